//! One iterative lookup: a pure state machine over a short list of candidates.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytchat_proto::id::NodeId;
use bytchat_proto::limits::{
    CONTACTS_PER_ANSWER_MAX, HOLDERS, HOLDERS_MAX, LOOKUP_CANDIDATES_MAX, LOOKUP_PARALLEL,
    LOOKUP_PATH_WIDTH, LOOKUP_PATHS, RECORDS_PER_POINT_MAX, WRITE_QUORUM,
};
use bytchat_proto::point::{Distance, Point};
use bytchat_proto::record::{Contact, RecordBody, RecordKind, RecordSlot};
use bytchat_proto::unverified::Verified;
use bytchat_proto::wire::Request;

use super::PutId;
use super::asks::{Attempt, Loss, State};
use super::contacts::Peer;
use super::density::Choice;
use super::records::is_newer;
use super::rtt::Rtt;

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
    /// How near the nearest of a random point are.
    Sample,
}

#[derive(Clone, Debug)]
struct Candidate {
    attempt: Attempt,
    had: Vec<Slotted>,
    path: usize,
    /// The paths on which it was named, as bits.
    named_on: u8,
    rtt: Rtt,
}

impl Candidate {
    fn is_alive(&self) -> bool {
        self.attempt.state != State::Failed
    }

    fn is_in_time(&self) -> bool {
        !matches!(self.attempt.state, State::Slow | State::Failed)
    }

    fn is_done(&self) -> bool {
        self.attempt.state == State::Done
    }
}

/// One lookup (SPEC 4.9).
#[derive(Clone, Debug)]
pub(super) struct Lookup {
    pub(super) target: Point,
    pub(super) kind: Option<RecordKind>,
    pub(super) why: Why,
    /// Its result was handed out; it goes on to find holders that need repair.
    pub(super) reported: bool,
    /// Nodes as near as this hold what lies at the target, besides the nearest.
    pub(super) reach: Option<u64>,
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
            reach: None,
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

    /// Adds a candidate to the path of the node that named it, unless another path has it: paths
    /// share no node. A candidate that nobody named begins one. Where there are too many, the
    /// path with the most loses its farthest.
    pub(super) fn offer(&mut self, peer: Peer, by: Option<NodeId>, rtt: Rtt) {
        let distance = peer.point().distance(self.target);
        let path = match by.and_then(|node| self.candidate(node)) {
            Some(named_by) => named_by.path,
            None => self.candidates.len() % LOOKUP_PATHS,
        };
        let bit = 1 << path;
        if let Some(known) = self.candidates.get_mut(&distance) {
            known.named_on |= if by.is_some() { bit } else { 0 };
            return;
        }
        let (attempt, had) = (Attempt::new(peer), Vec::new());
        self.candidates.insert(distance, Candidate { attempt, had, path, named_on: bit, rtt });
        if self.candidates.len() > LOOKUP_CANDIDATES_MAX {
            let of = |path: &usize| self.candidates.values().filter(|it| it.path == *path).count();
            let widest = (0..LOOKUP_PATHS).max_by_key(of).unwrap_or_default();
            let mut far = self.candidates.iter().rev();
            let spare = far.find(|(_, it)| it.path == widest).map(|(distance, _)| *distance);
            spare.map(|distance| self.candidates.remove(&distance));
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

    /// The next node to ask, if there is one and a slot is free. Only those that may become
    /// holders and are not slow are asked, and the nearest of each path: what lies behind them
    /// cannot change the result.
    pub(super) fn next(&mut self) -> Option<Peer> {
        if self.flying >= LOOKUP_PARALLEL {
            return None;
        }
        let distance = self.open_holder().or_else(|| self.open_on_path())?;
        let candidate = self.candidates.get_mut(&distance)?;
        candidate.attempt.asked();
        self.flying += 1;
        Some(candidate.attempt.peer.clone())
    }

    /// Of those that may become holders and are to be asked, the nearest; of those that share as
    /// many bits with the target, the one that answers soonest.
    fn open_holder(&self) -> Option<Distance> {
        let mut choice = Choice::new(self.reach);
        let mut open = Vec::new();
        for (distance, candidate) in &self.candidates {
            let may_hold = match candidate.attempt.state {
                State::Fresh | State::Asked | State::Done => choice.take(*distance),
                State::Slow | State::Failed => continue,
            };
            if !may_hold {
                break;
            }
            if candidate.attempt.is_open() {
                let cost = (Reverse(distance.leading_zeros()), candidate.rtt.expected_us());
                open.push((cost, *distance));
            }
        }
        open.into_iter().min().map(|(_, distance)| distance)
    }

    fn open_on_path(&self) -> Option<Distance> {
        (0..self.paths()).find_map(|path| {
            let mut heads = self.heads(path);
            heads.find(|(_, it)| it.attempt.is_open()).map(|(distance, _)| *distance)
        })
    }

    /// How many paths are followed: several where it matters who is found, because one node that
    /// lies leads a single path to its friends (S/Kademlia, 2007).
    fn paths(&self) -> usize {
        match self.why {
            Why::Find | Why::Put(_) => LOOKUP_PATHS,
            Why::Own | Why::Refresh | Why::Sample => 0,
        }
    }

    /// The nearest nodes of a path that have not failed. Those that are slow are passed over: on
    /// a path it matters that somebody answers, and not who.
    fn heads(&self, path: usize) -> impl Iterator<Item = (&Distance, &Candidate)> {
        let on_path = self.candidates.iter().filter(move |(_, it)| it.path == path);
        on_path.filter(|(_, it)| it.is_in_time()).take(LOOKUP_PATH_WIDTH)
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

    /// A request was lost. Only what was asked over a link that went down is asked again.
    pub(super) fn lost(&mut self, node: NodeId, was_slow: bool, loss: Loss) {
        self.free(was_slow);
        if let Some(candidate) = self.candidate(node) {
            candidate.attempt.lost(loss != Loss::Broken);
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
        self.candidates.values().filter(|it| it.is_alive())
    }

    /// The nodes that should hold what lies at the target, as far as they are known.
    fn holders(&self) -> impl Iterator<Item = &Candidate> {
        let mut choice = Choice::new(self.reach);
        self.alive().filter(move |it| choice.take(it.attempt.peer.point().distance(self.target)))
    }

    /// Whether the holders known have all answered, and the nearest of each path (SPEC 4.9).
    pub(super) fn is_done(&self) -> bool {
        let mut paths = (0..self.paths()).flat_map(|path| self.heads(path));
        self.holders().all(Candidate::is_done) && paths.all(|(_, it)| it.is_done())
    }

    /// Whether enough of the closest nodes known have answered with records, and not all of them
    /// were named on one path alone: as many readers as there are writers always meet in one
    /// holder. Nobody waits for those that are slow, who mostly are gone.
    pub(super) fn has_quorum(&self) -> bool {
        let closest = self.candidates.values().filter(|it| it.is_in_time()).take(HOLDERS);
        let had: Vec<&Candidate> =
            closest.filter(|it| it.is_done() && !it.had.is_empty()).collect();
        let by_these = named_on(had.iter().copied());
        let several = by_these.count_ones() > 1 || named_on(self.alive()) == by_these;
        self.kind.is_some() && had.len() >= WRITE_QUORUM && several
    }

    /// How many answered.
    pub(super) fn answer_count(&self) -> usize {
        self.answered_peers().count()
    }

    /// All that may still be asked to hold something, closest first, few of one prefix.
    pub(super) fn usable_peers(&self) -> impl Iterator<Item = &Peer> {
        self.alive().map(|it| &it.attempt.peer).take(HOLDERS_MAX)
    }

    /// Those that answered, closest first.
    pub(super) fn answered_peers(&self) -> impl Iterator<Item = &Peer> {
        let done = self.candidates.values().filter(|it| it.is_done());
        done.map(|it| &it.attempt.peer)
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
        for holder in self.holders() {
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

/// The paths on which some candidates were named.
fn named_on<'a>(candidates: impl Iterator<Item = &'a Candidate>) -> u8 {
    candidates.fold(0, |all, it| all | it.named_on)
}

/// The contacts of an answer, no more than one may hold.
pub(super) fn bounded(contacts: &[Contact]) -> impl Iterator<Item = &Contact> {
    contacts.iter().take(CONTACTS_PER_ANSWER_MAX)
}
