//! One iterative lookup: a pure state machine over a short list of candidates.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytchat_proto::id::NodeId;
use bytchat_proto::limits::{
    CONTACTS_PER_ANSWER_MAX, HOLDERS, LOOKUP_CANDIDATES_MAX, LOOKUP_PARALLEL,
    RECORDS_PER_POINT_MAX, WRITE_QUORUM,
};
use bytchat_proto::point::{Distance, Point};
use bytchat_proto::record::{Contact, RecordBody, RecordKind, RecordSlot};
use bytchat_proto::unverified::Verified;
use bytchat_proto::wire::Request;

use super::PutId;
use super::asks::{Attempt, State};
use super::contacts::Peer;
use super::records::is_newer;

/// A record with the slot that its signatures prove.
#[derive(Clone, Debug)]
pub(super) struct Slotted {
    pub(super) slot: RecordSlot,
    pub(super) record: Arc<Verified<RecordBody>>,
}

/// What a lookup is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The caller asked.
    Find,
    /// A put wants to know the holders.
    Put(PutId),
    /// The neighbourhood of the own id.
    Own,
    /// A bucket's refresh.
    Refresh,
}

#[derive(Clone, Debug)]
struct Candidate {
    attempt: Attempt,
    had: Vec<Slotted>,
}

/// One lookup (SPEC 4.9).
#[derive(Clone, Debug)]
pub(super) struct Lookup {
    pub(super) target: Point,
    pub(super) kind: Option<RecordKind>,
    pub(super) why: Why,
    /// Its result was handed out; it goes on to find holders that need repair.
    pub(super) reported: bool,
    candidates: BTreeMap<Distance, Candidate>,
    records: BTreeMap<RecordSlot, Slotted>,
    flying: usize,
}

impl Lookup {
    /// How full it is: candidates, and records.
    pub(super) fn fill(&self) -> (usize, usize) {
        (self.candidates.len(), self.records.len())
    }

    /// A lookup that starts from these nodes.
    pub(super) fn new(target: Point, kind: Option<RecordKind>, why: Why) -> Self {
        Self {
            target,
            kind,
            why,
            reported: false,
            candidates: BTreeMap::new(),
            records: BTreeMap::new(),
            flying: 0,
        }
    }

    /// What every candidate is asked.
    pub(super) fn request(&self) -> Request {
        let target = self.target;
        match self.kind {
            Some(kind) => Request::FindRecord { target, kind },
            None => Request::FindNode { target },
        }
    }

    /// Adds a candidate; the farthest go when there are too many.
    pub(super) fn offer(&mut self, peer: Peer) {
        let distance = peer.point().distance(self.target);
        let fresh = || Candidate { attempt: Attempt::new(peer), had: Vec::new() };
        self.candidates.entry(distance).or_insert_with(fresh);
        if self.candidates.len() > LOOKUP_CANDIDATES_MAX {
            self.candidates.pop_last();
        }
    }

    /// Adds a record that was found.
    pub(super) fn found(&mut self, found: Slotted) {
        let full = self.records.len() >= RECORDS_PER_POINT_MAX;
        match self.records.get(&found.slot) {
            Some(old) if !is_newer(&found.record, &old.record) => {}
            None if full => {}
            Some(_) | None => {
                self.records.insert(found.slot.clone(), found);
            }
        }
    }

    /// A record with the very same bytes, which then needs no second check.
    pub(super) fn known(&self, record: &bytchat_proto::record::Record) -> Option<Slotted> {
        let mut known = self.records.values();
        known.find(|it| it.record.source() == record).cloned()
    }

    /// The next node to ask, if there is one and a slot is free. Only the closest that are not
    /// slow are asked: what lies behind them cannot change the result.
    pub(super) fn next(&mut self) -> Option<Peer> {
        if self.flying >= LOOKUP_PARALLEL {
            return None;
        }
        let mut solid = 0;
        for candidate in self.candidates.values_mut() {
            if solid >= HOLDERS {
                return None;
            }
            if candidate.attempt.is_open() {
                candidate.attempt.asked();
                self.flying += 1;
                return Some(candidate.attempt.peer.clone());
            }
            match candidate.attempt.state {
                State::Asked | State::Done | State::Fresh => solid += 1,
                State::Slow | State::Failed => {}
            }
        }
        None
    }

    fn candidate(&mut self, node: NodeId) -> Option<&mut Candidate> {
        let distance = Point::of_node(node).distance(self.target);
        self.candidates.get_mut(&distance)
    }

    /// A request became slow and frees its slot.
    pub(super) fn slow(&mut self, node: NodeId) {
        self.flying = self.flying.saturating_sub(1);
        if let Some(candidate) = self.candidate(node) {
            candidate.attempt.slow();
        }
    }

    /// A request was lost.
    pub(super) fn lost(&mut self, node: NodeId, was_slow: bool, final_word: bool) {
        self.free(was_slow);
        if let Some(candidate) = self.candidate(node) {
            candidate.attempt.lost(final_word);
        }
    }

    /// A node does not want to answer, or cannot.
    pub(super) fn refused(&mut self, node: NodeId, was_slow: bool) {
        self.free(was_slow);
        if let Some(candidate) = self.candidate(node) {
            candidate.attempt.end(State::Failed);
        }
    }

    /// A node has answered, with these records.
    pub(super) fn answered(&mut self, node: NodeId, was_slow: bool, had: Vec<Slotted>) {
        self.free(was_slow);
        for found in &had {
            self.found(found.clone());
        }
        if let Some(candidate) = self.candidate(node) {
            candidate.attempt.end(State::Done);
            candidate.had = had;
        }
    }

    fn free(&mut self, was_slow: bool) {
        self.flying = self.flying.saturating_sub(usize::from(!was_slow));
    }

    fn alive(&self) -> impl Iterator<Item = &Candidate> {
        let all = self.candidates.values();
        all.filter(|it| it.attempt.state != State::Failed)
    }

    /// Whether the closest nodes known have all answered (SPEC 4.9).
    pub(super) fn is_done(&self) -> bool {
        let mut closest = self.alive().take(HOLDERS);
        closest.all(|it| it.attempt.state == State::Done)
    }

    /// Whether enough of the closest nodes known have answered with records: as many readers
    /// as there are writers always meet in one holder.
    pub(super) fn has_quorum(&self) -> bool {
        let closest = self.alive().take(HOLDERS);
        let had = closest.filter(|it| it.attempt.state == State::Done && !it.had.is_empty());
        self.kind.is_some() && had.count() >= WRITE_QUORUM
    }

    /// How many answered.
    pub(super) fn answer_count(&self) -> usize {
        self.alive().filter(|it| it.attempt.state == State::Done).count()
    }

    /// All that may still be asked to hold something, closest first.
    pub(super) fn usable_peers(&self) -> impl Iterator<Item = &Peer> {
        let peers = self.alive().map(|it| &it.attempt.peer);
        peers.take(CONTACTS_PER_ANSWER_MAX)
    }

    /// How many did not answer.
    pub(super) fn failures(&self) -> usize {
        self.candidates.len() - self.alive().count()
    }

    /// The newest records.
    pub(super) fn records(&self) -> impl Iterator<Item = &Slotted> {
        self.records.values()
    }

    /// Which of the closest nodes should hold a record that they do not have.
    pub(super) fn lacking(&self) -> Vec<(Peer, Slotted)> {
        let mut lacking = Vec::new();
        for holder in self.alive().take(HOLDERS) {
            let lacks = |newest: &&Slotted| {
                let same = holder.had.iter().find(|had| had.slot == newest.slot);
                same.is_none_or(|had| is_newer(&newest.record, &had.record))
            };
            let peer = &holder.attempt.peer;
            let needs = self.records.values().filter(lacks).cloned();
            lacking.extend(needs.map(|record| (peer.clone(), record)));
        }
        lacking
    }
}

/// The contacts of an answer, no more than one may hold.
pub(super) fn bounded(contacts: &[Contact]) -> impl Iterator<Item = &Contact> {
    contacts.iter().take(CONTACTS_PER_ANSWER_MAX)
}
