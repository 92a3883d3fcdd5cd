//! What goes into the decisions and what comes out: effects as data.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use bytchat_proto::alias::Host;
use bytchat_proto::id::{NodeId, UserId};
use bytchat_proto::key::{AccountKey, NodeKey};
use bytchat_proto::rpc::{Call, RpcError};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::persist::{Query, Row, Table, Write};
use crate::planted::planted;

/// A link, as the shell numbers it; numbers are never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);
/// An attempt to open a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DialId(pub u64);
/// A call of a front end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);
/// A question to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LoadId(pub u64);
/// A piece of slow cryptography.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u64);

/// Who calls, by the kernel's word (SO_PEERCRED).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Caller {
    /// The Unix user.
    pub uid: u32,
}

/// To what a session was narrowed, beside role and methods, which are none of the node's business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The only accounts that there are for it, in order; all of the caller's if absent.
    pub accounts: Option<Vec<UserId>>,
}

impl Scope {
    /// Whether an account is among those that are left.
    pub fn has(&self, account: UserId) -> bool {
        self.accounts.as_ref().is_none_or(|accounts| accounts.contains(&account))
    }
}

/// Signs a 64-byte digest with the node's key.
pub type Sign<'a> = &'a dyn Fn(&[u8; 64]) -> Vec<u8>;

/// Something happened.
#[derive(Debug)]
pub enum Input {
    /// A link is up and its peer's key is proven.
    LinkUp {
        /// The link.
        link: LinkId,
        /// The peer's TLS key.
        key: NodeKey,
        /// Where the peer is.
        address: SocketAddr,
        /// The TLS exporter, equal at both ends.
        binding: [u8; 32],
        /// Our attempt, if we opened it.
        dial: Option<DialId>,
    },
    /// A link is gone.
    LinkDown {
        /// The link.
        link: LinkId,
        /// Why, for the log.
        reason: String,
    },
    /// An attempt failed.
    DialFailed {
        /// The attempt.
        dial: DialId,
        /// Why, for the log.
        reason: String,
    },
    /// A frame came in.
    Frame {
        /// Over this link.
        link: LinkId,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// A front end calls.
    Call {
        /// The call.
        call: CallId,
        /// Who calls.
        caller: Caller,
        /// To what its session was narrowed, if it was.
        scope: Option<Arc<Scope>>,
        /// What is asked.
        request: Call,
    },
    /// A front end no longer waits for its answer.
    CallGone {
        /// The call.
        call: CallId,
    },
    /// The disk answers.
    Loaded {
        /// The question.
        load: LoadId,
        /// The rows, in the order that was asked for; one that is damaged or gone has no bytes.
        rows: Vec<Row>,
    },
    /// The disk cannot answer at the moment.
    LoadFailed {
        /// The question.
        load: LoadId,
        /// Why, for people.
        reason: String,
    },
    /// Slow cryptography is done.
    Done {
        /// The job.
        job: JobId,
        /// Its result.
        result: JobResult,
    },
    /// A host name was looked up.
    Resolved {
        /// The host.
        host: Host,
        /// Where its pod is, or why nobody knows.
        result: Result<Vec<PodAddress>, String>,
    },
    /// The store reports how large it is.
    StoreSize {
        /// Bytes on disk.
        bytes: u64,
    },
    /// The configuration was read again: other places to ask when few neighbours are known, and
    /// hosts may be found that were not.
    Settings {
        /// Where to ask.
        bootstrap: Vec<SocketAddr>,
    },
    /// A deadline has passed, or nothing happened at all.
    Wake,
}

/// Something is to be done. Outputs run in order; everything to persist is on disk before
/// anything else of the same drain becomes visible.
#[derive(Debug)]
pub enum Output {
    /// Commit these writes together.
    Persist(Vec<Write>),
    /// Send a frame.
    Transmit {
        /// Over this link.
        link: LinkId,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// Open a link.
    Dial {
        /// The attempt.
        dial: DialId,
        /// Where to.
        address: SocketAddr,
        /// The key that must answer, if it is known.
        key: Option<NodeKey>,
    },
    /// Close a link.
    Close {
        /// The link.
        link: LinkId,
        /// Why, told to the peer.
        reason: String,
    },
    /// Answer a front end.
    Reply {
        /// The call.
        call: CallId,
        /// The result object or the error.
        result: Result<Value, RpcError>,
    },
    /// Tell the front ends of a Unix user what happened.
    Event {
        /// The user.
        uid: u32,
        /// The event's number.
        seq: u64,
        /// The account that it concerns.
        account: UserId,
        /// Its type.
        name: &'static str,
        /// The event as JSON.
        json: Arc<str>,
    },
    /// Ask the disk.
    Load {
        /// The question's number.
        load: LoadId,
        /// The question.
        query: Query,
    },
    /// Do slow cryptography.
    Job {
        /// The job.
        job: JobId,
        /// What to do.
        task: Task,
    },
    /// Look up a host name.
    Resolve {
        /// The host.
        host: Host,
    },
}

/// Slow cryptography.
pub enum Task {
    /// Make an account key.
    GenerateAccount,
    /// Read and check an account key in PEM.
    ReadAccount {
        /// PKCS#8 or PKCS#1.
        pem: Zeroizing<String>,
    },
    /// Sign a digest with an account key, and check the signature with two libraries.
    Sign {
        /// The account's PKCS#8 DER.
        secret: Zeroizing<Vec<u8>>,
        /// What is signed.
        digest: [u8; 64],
    },
}

/// What came of a task.
pub enum JobResult {
    /// An account key.
    Account {
        /// PKCS#8 DER.
        secret: Zeroizing<Vec<u8>>,
        /// The public key.
        key: AccountKey,
    },
    /// A signature.
    Signature(Vec<u8>),
    /// It did not work.
    Failed(String),
}

impl std::fmt::Debug for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::GenerateAccount => "GenerateAccount",
            Self::ReadAccount { .. } => "ReadAccount",
            Self::Sign { .. } => "Sign",
        })
    }
}

impl std::fmt::Debug for JobResult {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Account { key, .. } => write!(f, "Account({key:?})"),
            Self::Signature(_) => f.write_str("Signature"),
            Self::Failed(why) => write!(f, "Failed({why})"),
        }
    }
}

/// Where a pod is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PodAddress {
    /// Its address.
    pub address: SocketAddr,
    /// Its node id, if the source names it.
    pub node: Option<NodeId>,
    /// Whether the operator wrote it down; DNS is anybody's word.
    pub trusted: bool,
}

/// The sink that every core writes its effects to, with the node's one source of chance.
pub struct Outputs {
    queue: VecDeque<Output>,
    writes: Vec<Write>,
    random: ChaCha20Rng,
    next_id: u64,
}

impl Outputs {
    /// An empty sink whose chance follows from a seed.
    pub fn new(seed: [u8; 32]) -> Self {
        Self {
            queue: VecDeque::new(),
            writes: Vec::new(),
            random: ChaCha20Rng::from_seed(seed),
            next_id: 1,
        }
    }

    /// Sets a row.
    pub fn put(&mut self, table: Table, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.writes.push(Write::Put { table, key: key.into(), value: value.into() });
    }

    /// Removes a row.
    pub fn remove(&mut self, table: Table, key: impl Into<Vec<u8>>) {
        self.writes.push(Write::Remove { table, key: key.into() });
    }

    /// Adds an effect.
    pub fn push(&mut self, output: Output) {
        self.queue.push_back(output);
    }

    /// The next effect; all writes come first, as one.
    pub fn poll(&mut self) -> Option<Output> {
        let early = planted!(AnswerBeforeCommit) && !self.queue.is_empty();
        if early || self.writes.is_empty() {
            return self.queue.pop_front();
        }
        Some(Output::Persist(std::mem::take(&mut self.writes)))
    }

    /// The node's source of chance.
    pub fn random(&mut self) -> &mut ChaCha20Rng {
        &mut self.random
    }

    /// So many random bytes.
    pub fn random_bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.random.fill_bytes(&mut bytes);
        bytes
    }

    /// A number from 0 to below `bound`; 0 if `bound` is 0.
    pub fn random_below(&mut self, bound: u64) -> u64 {
        self.random.next_u64().checked_rem(bound).unwrap_or(0)
    }

    /// A number that was not used before.
    pub fn fresh(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }
}
