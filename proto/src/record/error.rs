//! Why a record, a contact or a binding is not believed.

use super::RecordKind;
use crate::codec::DecodeError;
use crate::id::{NetworkId, UserId};
use crate::key::KeyError;
use crate::limits::SUITE;
use crate::timestamp::Timestamp;
use crate::unverified::VerifyError;

/// Why a record is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The record is too long.
    #[error("record has {got} bytes, allowed are {max}")]
    TooLong {
        /// How long it is.
        got: usize,
        /// How long it may be.
        max: usize,
    },
    /// It is signed with an unknown suite.
    #[error("record uses suite {0}, expected {SUITE}")]
    Suite(u8),
    /// It belongs to another network.
    #[error("record belongs to network {got}, this is {expected}")]
    Network {
        /// The record's network.
        got: NetworkId,
        /// Ours.
        expected: NetworkId,
    },
    /// A device signed what only the account may say, or the other way round.
    #[error("a {0:?} record is signed by the wrong kind of key")]
    WrongSigner(RecordKind),
    /// The device certificate names another user.
    #[error("device certificate is for user {got}, expected {expected}")]
    WrongUser {
        /// Whom it names.
        got: UserId,
        /// Whom it should name.
        expected: UserId,
    },
    /// It is over.
    #[error("record expired at {0:?}")]
    Expired(Timestamp),
    /// It comes from the future.
    #[error("record was made at {0:?}, later than this clock allows")]
    Future(Timestamp),
    /// It lives too short or too long.
    #[error("record lives {got} ms, allowed are {min} to {max}")]
    Lifetime {
        /// How long it lives.
        got: u64,
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// A part of the body breaks a limit.
    #[error("record body breaks a limit: {0}")]
    Limit(&'static str),
    /// The stamp of a node does not hold the work that the network asks for.
    #[error("the node's stamp does not hold {bits} bits of work for its key")]
    Work {
        /// What the network asks for.
        bits: u8,
    },
    /// A signature is wrong or the bytes are malformed.
    #[error(transparent)]
    Verify(#[from] VerifyError),
}

impl From<DecodeError> for RecordError {
    fn from(error: DecodeError) -> Self {
        Self::Verify(error.into())
    }
}

impl From<KeyError> for RecordError {
    fn from(error: KeyError) -> Self {
        Self::Verify(error.into())
    }
}
