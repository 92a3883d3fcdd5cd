//! One put: a record on its way to the holders that a lookup has found.

use std::collections::BTreeMap;

use bytchat_proto::id::NodeId;
use bytchat_proto::limits::WRITE_QUORUM;
use bytchat_proto::point::Distance;
use bytchat_proto::wire::Refusal;

use super::asks::{Attempt, Loss, State};
use super::contacts::Peer;
use super::density::Choice;
use super::lookup::{Lookup, Slotted};
use super::{Event, PutId};

/// One put (SPEC 4.10).
#[derive(Clone, Debug)]
pub(super) struct Put {
    pub(super) what: Slotted,
    reach: Option<u64>,
    targets: BTreeMap<Distance, Attempt>,
    holders: Vec<NodeId>,
    /// We are among the holders ourselves.
    own: bool,
    /// There are others, but none of them answers.
    cut_off: bool,
    /// How many holders the network can offer.
    offered: usize,
    asked: usize,
    stale: Option<u64>,
    reported: bool,
}

impl Put {
    /// A put that waits for its lookup.
    pub(super) fn new(what: Slotted) -> Self {
        Self {
            what,
            reach: None,
            targets: BTreeMap::new(),
            holders: Vec::new(),
            own: false,
            cut_off: false,
            offered: 0,
            asked: 0,
            stale: None,
            reported: false,
        }
    }

    /// Takes the result of the lookup. Returns whether `own` is among the holders.
    pub(super) fn start(&mut self, lookup: &Lookup, own: Distance) -> bool {
        let point = self.what.slot.point;
        for peer in lookup.usable_peers() {
            let distance = peer.point().distance(point);
            self.targets.insert(distance, Attempt::new(peer.clone()));
        }
        let answered = lookup.answer_count();
        self.reach = lookup.reach;
        let mut choice = Choice::new(self.reach);
        for (distance, _) in self.targets.range(..own) {
            choice.take(*distance);
        }
        self.own = !choice.is_full(own);
        self.cut_off = answered == 0 && lookup.failures() > 0;
        self.offered = answered + usize::from(self.own);
        self.own
    }

    /// We hold the record ourselves.
    pub(super) fn stored_here(&mut self, own: NodeId) {
        self.asked += 1;
        self.holders.push(own);
    }

    /// We hold a newer one ourselves.
    pub(super) fn stale_here(&mut self, sequence: u64) {
        self.asked += 1;
        self.stale = self.stale.max(Some(sequence));
    }

    /// The next node to be asked: as many as are wanted, and one for each that failed.
    pub(super) fn next(&mut self) -> Option<Peer> {
        let mut choice = Choice::new(self.reach);
        if self.own {
            choice.take_self();
        }
        for (distance, attempt) in &mut self.targets {
            if choice.is_full(*distance) {
                return None;
            }
            if attempt.is_open() {
                self.asked += 1;
                attempt.asked();
                return Some(attempt.peer.clone());
            }
            if attempt.state != State::Failed {
                choice.take(*distance);
            }
        }
        None
    }

    fn attempt(&mut self, node: NodeId) -> Option<&mut Attempt> {
        let mut all = self.targets.values_mut();
        all.find(|attempt| attempt.peer.node == node)
    }

    /// A request became slow.
    pub(super) fn slow(&mut self, node: NodeId) {
        if let Some(attempt) = self.attempt(node) {
            attempt.slow();
        }
    }

    /// A request was lost.
    pub(super) fn lost(&mut self, node: NodeId, loss: Loss) {
        if let Some(attempt) = self.attempt(node) {
            attempt.lost(loss == Loss::Unreachable);
        }
    }

    /// A node holds the record now.
    pub(super) fn stored(&mut self, node: NodeId) {
        if let Some(attempt) = self.attempt(node) {
            attempt.end(State::Done);
            if !self.holders.contains(&node) {
                self.holders.push(node);
            }
        }
    }

    /// A node refuses. One with a newer record is a holder all the same, so that nobody else
    /// is asked in its place.
    pub(super) fn refused(&mut self, node: NodeId, reason: Refusal, detail: &str) {
        let own_sequence = self.what.record.sequence;
        let Some(attempt) = self.attempt(node) else {
            return;
        };
        if reason != Refusal::Stale {
            attempt.end(State::Failed);
            return;
        }
        attempt.end(State::Done);
        let named = parse_sequence(detail).unwrap_or(own_sequence);
        self.stale = self.stale.max(Some(named));
    }

    /// Whether nothing more will happen.
    pub(super) fn is_over(&self) -> bool {
        let pending = |it: &Attempt| matches!(it.state, State::Asked | State::Slow);
        !self.targets.values().any(pending)
    }

    /// The result, once: when enough holders have answered, or when nothing more will happen.
    pub(super) fn report(&mut self, put: PutId) -> Option<Event> {
        // SPEC 4.10: three of five make a put good; fewer only where there are fewer nodes.
        let needed = self.offered.clamp(1, WRITE_QUORUM);
        let enough = self.holders.len() >= needed && !self.cut_off;
        let settled = enough && self.holders.len() >= WRITE_QUORUM && self.stale.is_none();
        if self.reported || !(settled || self.is_over()) {
            return None;
        }
        self.reported = true;
        Some(Event::Stored {
            put,
            slot: self.what.slot.clone(),
            holders: self.holders.clone(),
            asked: self.asked,
            ok: enough,
            stale: self.stale,
        })
    }

    /// The nodes that hold the record.
    pub(super) fn holders(&self) -> &[NodeId] {
        &self.holders
    }
}

/// How a holder names the sequence number that it has.
pub(super) fn stale_detail(sequence: u64) -> String {
    format!("sequence {sequence}")
}

/// Reads that number.
pub(super) fn parse_sequence(detail: &str) -> Option<u64> {
    detail.strip_prefix("sequence ")?.parse().ok()
}
