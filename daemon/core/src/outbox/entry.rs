//! One message or receipt on its way.

use std::collections::{BTreeMap, BTreeSet};

use bytchat_proto::alias::Alias;
use bytchat_proto::codec::encode;
use bytchat_proto::envelope::{Content, Envelope};
use bytchat_proto::id::{BlockId, NodeId, UserId};
use bytchat_proto::key::DeviceKey;
use bytchat_proto::limits::{
    HOLDERS_LOST_MAX, HOLDERS_SIGNED_MAX, LETTER_KEPT_MS, MAIL_REPUBLISH_MS, OUTBOX_TTL_MS,
    RETRY_MAX_MS, RETRY_MIN_MS,
};
use bytchat_proto::rpc::message::State;
use bytchat_proto::timestamp::Timestamp;
use serde::{Deserialize, Serialize};

use crate::time::{Mono, Now};

/// The number of an entry; numbers only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(pub u64);

/// One message or receipt on its way to all devices of a user.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// Who sends.
    pub account: UserId,
    /// To whom.
    pub to: UserId,
    /// The alias under which the sender addressed the recipient.
    pub alias: Option<Alias>,
    /// What is sent; absent only while rows are read.
    pub content: Option<Content>,
    /// The message; absent for receipts.
    pub block: Option<BlockId>,
    /// When it was queued.
    pub created: Timestamp,
    /// How far it has come.
    pub state: State,
    /// How far it has come, device by device.
    pub targets: BTreeMap<DeviceKey, Target>,
    /// It could not be read, and no quorum has signed for what was, or is to be, sealed anew.
    #[serde(default)]
    pub again: bool,
    /// A letter without a message is over when it is stored, but until then it can be sealed anew.
    #[serde(default)]
    pub(super) kept_until: Option<Timestamp>,
    /// When to try again.
    #[serde(skip)]
    pub(super) next_try: Mono,
    /// Tries since the last progress.
    #[serde(skip)]
    pub tries: u32,
    /// Steps written into its trace; kept in a row of its own.
    #[serde(skip)]
    pub steps: u32,
    /// The number of the try that last looked the recipient up again.
    #[serde(skip)]
    pub searched: u32,
}

/// One device of the recipient.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Target {
    /// What is sealed to it; kept in a row of its own.
    #[serde(skip)]
    pub envelope: Option<Envelope>,
    /// Who signed for it, and until when.
    pub holders: BTreeMap<NodeId, Timestamp>,
    /// The device's own node has it.
    pub taken: bool,
    /// Who was asked and has not answered.
    #[serde(skip)]
    pub asked: BTreeSet<NodeId>,
    /// Who would not or could not take it at this try: others step in.
    #[serde(skip)]
    pub failed: BTreeSet<NodeId>,
    /// Who signed for it and does not have it: they are not asked again.
    #[serde(default)]
    pub lost: BTreeSet<NodeId>,
    /// Who says that its device has removed it, in this round of challenges.
    #[serde(skip)]
    pub removed: BTreeSet<NodeId>,
    /// How many have shown it in this round of challenges.
    #[serde(skip)]
    pub shown: usize,
}

impl Default for Entry {
    fn default() -> Self {
        Self {
            account: UserId([0; 20]),
            to: UserId([0; 20]),
            alias: None,
            content: None,
            block: None,
            created: Timestamp::default(),
            state: State::Queued,
            targets: BTreeMap::new(),
            again: false,
            kept_until: None,
            next_try: Mono::default(),
            tries: 0,
            steps: 0,
            searched: 0,
        }
    }
}

impl Target {
    /// A device to which an envelope was sealed just now.
    pub fn of(envelope: Envelope) -> Self {
        Self { envelope: Some(envelope), ..Self::default() }
    }

    /// Whether a node did not take it, or did not keep it.
    pub fn has_failed(&self, node: NodeId) -> bool {
        self.failed.contains(&node) || self.lost.contains(&node)
    }

    /// A node has signed for it. Of too many the one is forgotten that keeps it least long.
    pub fn sign(&mut self, node: NodeId, until: Timestamp) {
        self.holders.insert(node, until);
        if self.holders.len() > HOLDERS_SIGNED_MAX {
            let first = self.holders.iter().min_by_key(|(_, until)| **until);
            if let Some(first) = first.map(|(node, _)| *node) {
                self.holders.remove(&first);
            }
        }
    }

    /// A node that signed for it does not have it; false if that is known already.
    pub fn lose(&mut self, node: NodeId) -> bool {
        if self.lost.len() >= HOLDERS_LOST_MAX {
            self.lost.pop_first();
        }
        self.holders.remove(&node).is_some() && self.lost.insert(node)
    }

    /// Begins a round of challenges. Whoever said that the device has removed it while at least as
    /// many others still had it is not believed: removals go to all holders.
    pub fn begin_round(&mut self) -> BTreeSet<NodeId> {
        let removed = std::mem::take(&mut self.removed);
        let most = std::mem::take(&mut self.shown) >= removed.len();
        if most { removed } else { BTreeSet::new() }
    }

    /// Whether enough nodes have signed. SPEC 6.8: `stored` needs a quorum of holders, or the
    /// device's own node.
    pub fn is_stored(&self, quorum: usize) -> bool {
        self.taken || self.holders.len() >= quorum
    }
}

impl Entry {
    /// The encoded row.
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    /// The account whose share of the outbox it takes; receipts take nobody's.
    pub(super) fn payer(&self) -> Option<UserId> {
        self.block.map(|_| self.account)
    }

    /// The bytes of what is sealed.
    pub(super) fn sealed_bytes(&self) -> usize {
        let sealed = self.targets.values().filter_map(|target| target.envelope.as_ref());
        sealed.map(|envelope| envelope.as_bytes().len()).sum()
    }

    /// Whether a quorum is still to sign for what is sealed, or is to be.
    pub fn is_urgent(&self) -> bool {
        !self.is_done() && (self.state == State::Queued || self.again)
    }

    /// Whether it is sealed and no quorum has signed for it yet.
    pub fn is_under_way(&self) -> bool {
        let sealed = self.targets.values().any(|target| target.envelope.is_some());
        sealed && self.is_urgent()
    }

    /// Whether it is a letter that is stored and only kept to be sealed anew.
    pub fn is_kept(&self) -> bool {
        self.kept_until.is_some() && !self.again
    }

    /// Whether it was kept for long enough.
    pub fn was_kept(&self, now: Now) -> bool {
        self.kept_until.is_some_and(|until| until <= now.wall)
    }

    /// The state of one device, made if it is not there.
    pub fn target_mut(&mut self, device: DeviceKey) -> &mut Target {
        self.targets.entry(device).or_default()
    }

    /// Whether every device that was sealed to is stored.
    pub fn is_stored(&self, quorum: usize) -> bool {
        !self.targets.is_empty() && self.targets.values().all(|target| target.is_stored(quorum))
    }

    /// Whether for every device somebody else than this node has signed: where it knows nobody
    /// else it may be a holder itself, and nothing is safer by that.
    pub fn is_held_elsewhere(&self, own: NodeId) -> bool {
        let elsewhere =
            |target: &Target| target.taken || target.holders.keys().any(|holder| *holder != own);
        self.targets.values().all(elsewhere)
    }

    /// How many holders have signed, for the device that has fewest.
    pub fn stored_count(&self) -> usize {
        self.targets.values().map(|target| target.holders.len()).min().unwrap_or(0)
    }

    /// Nothing more is to be sent: it goes when its message's row says so too.
    pub fn is_done(&self) -> bool {
        self.state >= State::Delivered
    }

    /// Nobody took it in time.
    pub fn is_over(&self, now: Now) -> bool {
        now.wall.since_ms(self.created) >= OUTBOX_TTL_MS
    }

    /// Puts the next try off: soon and ever later while it is not stored, rarely afterwards. What
    /// could not be tried, because it is not known where to, is as urgent as ever.
    pub(super) fn put_off(&mut self, known: bool, now: Now) {
        let wait = if self.is_kept() {
            LETTER_KEPT_MS
        } else if known && !self.is_urgent() {
            MAIL_REPUBLISH_MS
        } else {
            (RETRY_MIN_MS << self.tries.min(9)).min(RETRY_MAX_MS)
        };
        self.tries += 1;
        self.next_try = now.mono.plus_ms(wait);
    }

    /// Whether this try should look the recipient up again: once per try that is due.
    pub fn search_again(&mut self, now: Now) -> bool {
        let due = now.mono >= self.next_try && self.searched < self.tries;
        if due {
            self.searched = self.tries;
        }
        due
    }

    /// When it is tried again.
    pub fn next_try(&self) -> Mono {
        self.next_try
    }

    /// Moves the state forward; false if it is there already. SPEC 6.11: never back.
    pub fn advance(&mut self, state: State) -> bool {
        let forward = state > self.state;
        if forward {
            self.state = state;
        }
        forward
    }
}
