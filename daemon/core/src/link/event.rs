//! What the links are told, and what they tell.

use std::net::SocketAddr;

use bytchat_proto::id::NodeId;
use bytchat_proto::key::NodeKey;
use bytchat_proto::record::NodeRecord;
use bytchat_proto::timestamp::Timestamp;
use bytchat_proto::unverified::Verified;
use bytchat_proto::wire::{Body, Request, Response};

use crate::io::{DialId, LinkId};

/// Why a request has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No link could be opened.
    Unreachable,
    /// The link went down before the answer came.
    Broken,
    /// The link is there, the answer is not.
    TimedOut,
    /// Too much is under way with that node.
    Busy,
}

/// News for the switchboard.
#[derive(Debug)]
pub enum Event<T> {
    /// A node is at the other end of a link.
    Up {
        /// The link.
        link: LinkId,
        /// Its word about itself, checked against the link's key.
        contact: Verified<NodeRecord>,
        /// The address at which it sees us.
        observed: SocketAddr,
        /// What it says the time is.
        time: Option<Timestamp>,
        /// Our attempt, if we opened the link.
        dial: Option<DialId>,
    },
    /// Nobody answered at an address that was dialled for itself.
    NoAnswer {
        /// The attempt.
        dial: DialId,
    },
    /// A link is gone.
    Down {
        /// The link.
        link: LinkId,
        /// Who was at the other end.
        node: NodeId,
    },
    /// A request came in and wants an answer.
    Request {
        /// The link.
        link: LinkId,
        /// Who asks.
        from: NodeId,
        /// The request's id on this link.
        id: u64,
        /// What is asked.
        request: Request,
    },
    /// Something came in that wants no answer.
    Push {
        /// The link.
        link: LinkId,
        /// Who says it.
        from: NodeId,
        /// What is said.
        body: Body,
    },
    /// A request of ours is answered, or never will be.
    Answer {
        /// What it was for.
        token: T,
        /// Whom it went to.
        from: NodeId,
        /// The answer.
        result: Result<Response, Failure>,
        /// How long it took.
        rtt_ms: u64,
    },
    /// A node could not be reached at any of its addresses.
    Unreachable {
        /// The node.
        node: NodeId,
    },
}

/// A node that is to be asked.
#[derive(Clone, Debug)]
pub struct Target {
    /// The node.
    pub node: NodeId,
    /// Its checked word about itself.
    pub record: NodeRecord,
}

/// What the shell knows of a new link.
#[derive(Clone, Copy, Debug)]
pub struct Up {
    /// The peer's TLS key.
    pub key: NodeKey,
    /// Where the peer is.
    pub address: SocketAddr,
    /// The TLS exporter.
    pub binding: [u8; 32],
    /// Our attempt, if we opened it.
    pub dial: Option<DialId>,
}

/// A question for another node.
#[derive(Debug)]
pub struct NewAsk<T> {
    /// What is asked.
    pub request: Request,
    /// What it is for.
    pub token: T,
    /// How long to wait once it is sent.
    pub timeout_ms: u64,
}
