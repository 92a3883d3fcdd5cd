//! What waits for a moment: receipts that are gathered, calls that wait for news.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytchat_proto::id::{BlockId, UserId};
use bytchat_proto::limits::{GATHER_MS, OUTBOX_MAX, RPC_WAITS_MAX};
use bytchat_proto::rpc::event::wanted;
use bytchat_proto::rpc::message::State;

use crate::fill::Fills;
use crate::io::{CallId, Scope};
use crate::time::{Deadline, Mono, Now};

/// A call that waits for news.
#[derive(Clone, Debug)]
pub(super) enum Waiting {
    /// Until a message of one of these accounts reaches a state.
    Message { accounts: Vec<UserId>, id: BlockId, state: State },
    /// Until there is another event of one of these types for a Unix user.
    Event { uid: u32, types: Option<Vec<String>>, scope: Option<Arc<Scope>> },
}

/// A call that waited, until when, and for what.
pub(super) type Parked = (CallId, Mono, Waiting);

/// Receipts to gather, and calls that wait.
#[derive(Debug, Default)]
pub(super) struct Waits {
    receipts: BTreeMap<(UserId, UserId), Vec<BlockId>>,
    gather_at: Option<Mono>,
    calls: BTreeMap<CallId, (Mono, Waiting)>,
    reached: BTreeMap<(UserId, BlockId), State>,
}

impl Waits {
    /// How full it is.
    pub(super) fn fills(&self, fills: &mut Fills) {
        fills.note("calls that wait", self.calls.len(), RPC_WAITS_MAX);
        fills.note("messages that moved lately", self.reached.len(), OUTBOX_MAX);
    }

    /// Notes that a message's sender is to be told of its arrival.
    pub(super) fn receipt(&mut self, user: UserId, to: UserId, block: BlockId, now: Now) {
        let blocks = self.receipts.entry((user, to)).or_default();
        if !blocks.contains(&block) {
            blocks.push(block);
        }
        self.gather_at.get_or_insert(now.mono.plus_ms(GATHER_MS));
    }

    /// The receipts that are due.
    pub(super) fn poll_receipts(&mut self, now: Now) -> BTreeMap<(UserId, UserId), Vec<BlockId>> {
        if self.gather_at.is_none_or(|at| now.mono < at) {
            return BTreeMap::new();
        }
        self.gather_at = None;
        std::mem::take(&mut self.receipts)
    }

    /// Lets a call wait; false if too many do.
    pub(super) fn park(&mut self, call: CallId, until: Mono, waiting: Waiting) -> bool {
        let room = self.calls.len() < RPC_WAITS_MAX;
        if room {
            self.calls.insert(call, (until, waiting));
        }
        room
    }

    /// A front end no longer waits.
    pub(super) fn gone(&mut self, call: CallId) {
        self.calls.remove(&call);
    }

    /// The calls that have waited long enough.
    pub(super) fn over(&mut self, now: Now) -> Vec<Parked> {
        self.take(|until, _| now.mono >= until)
    }

    /// The calls that wait for a state of a message.
    pub(super) fn for_message(&mut self, id: BlockId) -> Vec<Parked> {
        self.take(
            |_, waiting| matches!(waiting, Waiting::Message { id: other, .. } if *other == id),
        )
    }

    /// The calls that wait for an event of this type and account for a Unix user.
    pub(super) fn for_event(&mut self, owner: u32, account: UserId, name: &str) -> Vec<Parked> {
        self.take(|_, waiting| match waiting {
            Waiting::Event { uid, types, scope } => {
                let seen = scope.as_ref().is_none_or(|scope| scope.has(account));
                *uid == owner && seen && wanted(types.as_deref(), name)
            }
            Waiting::Message { .. } => false,
        })
    }

    fn take(&mut self, pick: impl Fn(Mono, &Waiting) -> bool) -> Vec<Parked> {
        let picked: Vec<CallId> = self
            .calls
            .iter()
            .filter(|(_, (until, waiting))| pick(*until, waiting))
            .map(|(call, _)| *call)
            .collect();
        picked
            .into_iter()
            .filter_map(|call| {
                self.calls.remove(&call).map(|(until, waiting)| (call, until, waiting))
            })
            .collect()
    }

    /// Remembers how far a message has come, while older rows of it may still be read.
    pub(super) fn reach(&mut self, account: UserId, block: BlockId, state: State) -> State {
        if self.reached.len() >= OUTBOX_MAX {
            self.reached.clear();
        }
        let reached = self.reached.entry((account, block)).or_insert(state);
        *reached = state.max(*reached);
        *reached
    }

    /// How far a message has come, if it moved lately.
    pub(super) fn reached(&self, account: UserId, block: BlockId) -> Option<State> {
        self.reached.get(&(account, block)).copied()
    }

    /// When something is due.
    pub(super) fn poll_timeout(&self) -> Option<Deadline> {
        let gather = self.gather_at.map(|at| Deadline { at, why: "send receipts" });
        let call = self.calls.values().map(|(until, _)| *until).min();
        Deadline::earliest(gather, call.map(|at| Deadline { at, why: "a call waits" }))
    }
}
