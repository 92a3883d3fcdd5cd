//! Secrets and what is done with them: the only place of the decisions that holds private keys.
//!
//! vodozemac draws ratchet, identity and one-time keys from the operating system; everything else
//! here takes its chance from the caller.

pub mod account;
pub mod device;
mod kem;
pub mod network;
mod node_secret;
pub mod session;
pub mod sessions;
pub mod vault;

use bytchat_proto::codec::DecodeError;
use bytchat_proto::envelope::{EnvelopeError, Party};
use bytchat_proto::id::UserId;
use bytchat_proto::key::DeviceKey;
use bytchat_proto::record::RecordError;
use bytchat_proto::unverified::VerifyError;

pub use device::DeviceSecret;
pub use network::{NetworkKey, Prover};
pub use node_secret::NodeSecret;
pub use session::{Opened, Own, Recipient, open_inner, open_order, open_outer, seal};
pub use sessions::Sessions;
pub use vault::Vault;

/// Why something could not be sealed, opened or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CryptoError {
    /// The bytes are not what they should be.
    #[error("{what} is malformed: {why}")]
    Malformed {
        /// What was read.
        what: &'static str,
        /// Where it broke.
        why: String,
    },
    /// The envelope is for another device.
    #[error("envelope is for {got:?}, this is {expected:?}")]
    WrongDevice {
        /// Whom it names.
        got: DeviceKey,
        /// Who we are.
        expected: DeviceKey,
    },
    /// The envelope is sealed to a KEM key that this device never had or has forgotten.
    #[error("envelope is sealed to KEM key {0}, which is not here")]
    UnknownKem(u32),
    /// The outer seal does not open: the bytes were changed.
    #[error("seal does not open")]
    BadSeal,
    /// The message was opened before; harmless.
    #[error("message was opened before")]
    Replayed,
    /// There is no session for the message: a new one must be opened.
    #[error("message belongs to a session that is not here")]
    NoSession,
    /// The session was opened with a key that is used up or forgotten.
    #[error("session was opened with a one-time key that is not here")]
    MissingOneTimeKey,
    /// The ratchet cannot read the message: its key is lost, or the bytes were changed.
    #[error("message cannot be decrypted by any session with its sender")]
    Undecryptable,
    /// The word that opens a session is not believed.
    #[error("opening of the session is not believed: {0}")]
    BadOpening(#[from] OpeningFault),
    /// A party is named that is not the proven one.
    #[error("letter names {} as {end}, expected {}", show(.got), show(.expected))]
    WrongParty {
        /// Which end.
        end: End,
        /// The party that is named.
        got: Box<Party>,
        /// The party that is proven.
        expected: Box<Party>,
    },
    /// The ratchet message claims a sender other than the one the session was opened with.
    #[error("message claims to be from user {got}, the session is with {expected}")]
    WrongClaim {
        /// Who is claimed.
        got: UserId,
        /// Whom the session was opened with.
        expected: UserId,
    },
    /// The content does not fit the largest envelope.
    #[error("letter has {got} bytes sealed, an envelope holds {max}")]
    TooLong {
        /// How long it is.
        got: usize,
        /// How long it may be.
        max: usize,
    },
    /// A public key cannot be used.
    #[error("{0} key is unusable")]
    BadKey(&'static str),
    /// A secret of our own cannot be read: the disk or the sealing key is wrong.
    #[error("{0} on disk is corrupt or belongs elsewhere")]
    Corrupt(&'static str),
    /// The parts make no envelope.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
}

/// An end of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Who says it.
    Sender,
    /// Who is told.
    Recipient,
}

/// What is wrong with the opening of a session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpeningFault {
    /// There is none.
    #[error("it is missing")]
    Missing,
    /// The account key is not the claimed user's.
    #[error("account key is of user {got}, claimed is {expected}")]
    Account {
        /// Whose key it is.
        got: UserId,
        /// Who is claimed.
        expected: UserId,
    },
    /// The device certificate is not believed.
    #[error(transparent)]
    Certificate(RecordError),
    /// The certificate is for another device.
    #[error("certificate is for {got:?}, claimed is {expected:?}")]
    Device {
        /// Which device it is for.
        got: DeviceKey,
        /// Which is claimed.
        expected: DeviceKey,
    },
    /// The ratchet message was made by another identity key than the certified one.
    #[error("identity key is not the certified one")]
    Identity,
    /// The device's statement is not believed.
    #[error(transparent)]
    Statement(VerifyError),
    /// The statement is about another session.
    #[error("statement is about another session")]
    Session,
    /// The statement names another sender.
    #[error("statement names another sender")]
    From,
    /// The statement names another recipient (unknown key-share).
    #[error("statement names another recipient")]
    To,
}

impl CryptoError {
    fn malformed(what: &'static str, why: impl ToString) -> Self {
        Self::Malformed { what, why: why.to_string() }
    }

    fn undecoded(what: &'static str) -> impl FnOnce(DecodeError) -> Self {
        move |error| Self::malformed(what, error)
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Sender => "sender",
            Self::Recipient => "recipient",
        })
    }
}

fn show(party: &Party) -> String {
    format!("{}/{:?}", party.user, party.device)
}

#[cfg(test)]
mod tests {
    mod others;
    mod vectors;

    use super::*;
    use bytchat_proto::binding::{AliasBinding, AliasClaim};
    use bytchat_proto::envelope::{
        AttachProof, HolderReceipt, OneTimeKey, OpeningStatement, Removal,
    };
    use bytchat_proto::key::Verifier;
    use bytchat_proto::record::{DeviceCertificate, NodeRecord, RecordBody};
    use bytchat_proto::unverified::{Signable, digest_of};
    use std::path::Path;

    type Digest = fn(&[u8]) -> [u8; 64];

    fn signable<T: Signable>() -> (&'static str, Digest) {
        (T::LABEL, digest_of::<T>)
    }

    fn all_signable() -> Vec<(&'static str, Digest)> {
        vec![
            signable::<AliasBinding>(),
            signable::<AliasClaim>(),
            signable::<AttachProof>(),
            signable::<DeviceCertificate>(),
            signable::<HolderReceipt>(),
            signable::<NodeRecord>(),
            signable::<OneTimeKey>(),
            signable::<OpeningStatement>(),
            signable::<RecordBody>(),
            signable::<Removal>(),
        ]
    }

    #[test]
    fn a_signature_over_one_type_never_verifies_as_another() {
        let secret = NodeSecret::from_seed([1; 32]).unwrap();
        let bytes = b"the same bytes";
        for (label, digest) in all_signable() {
            assert!(label.starts_with("bytchat/"), "{label}");
            let signature = secret.sign(&digest(bytes));
            for (other, other_digest) in all_signable() {
                let verified = secret.key().check(&other_digest(bytes), &signature).is_ok();
                assert_eq!(verified, label == other, "{label} as {other}");
            }
        }
    }

    fn signed_types(folder: &Path) -> usize {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let count = |path: std::path::PathBuf| {
            if path.is_dir() {
                return signed_types(&path);
            }
            std::fs::read_to_string(path).unwrap().matches("\nimpl Signable for ").count()
        };
        entries.map(count).sum()
    }

    #[test]
    fn the_table_of_signed_types_is_complete() {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto/src");
        assert_eq!(signed_types(&sources), all_signable().len());
    }
}
