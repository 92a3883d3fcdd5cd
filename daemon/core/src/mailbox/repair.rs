//! Repair: holders compare what they keep, and send each other what is lacking (SPEC 6.13).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytchat_proto::envelope::{Envelope, Removal};
use bytchat_proto::id::{EnvelopeId, MailMark, NodeId};
use bytchat_proto::limits::{
    COMPARE_MS, HOLDERS_CONFIRMED_MAX, IDS_PER_REQUEST_MAX, MAILBOX_LOADS_MAX, OFFERS_MAX,
    OFFERS_WAITING_MAX,
};
use bytchat_proto::point::Point;
use bytchat_proto::rpc::node::one_more;
use bytchat_proto::unverified::Unverified;
use bytchat_proto::wire::{Refusal, Response};

use super::push::Purpose;
use super::shelf::{Held, Owner};
use super::verbs::too_many_ids;
use super::{Effect, Mailbox};
use crate::io::Outputs;
use crate::planted::planted;
use crate::time::{Mono, Now};

/// What other holders lack, on its way to them.
#[derive(Default)]
pub(super) struct Offers {
    all: BTreeSet<(EnvelopeId, NodeId)>,
    waiting: VecDeque<(EnvelopeId, NodeId)>,
}

impl Offers {
    /// How many wait or are under way.
    pub(super) fn count(&self) -> usize {
        self.all.len()
    }

    fn push(&mut self, id: EnvelopeId, to: NodeId) {
        if self.all.len() < OFFERS_WAITING_MAX && self.all.insert((id, to)) {
            self.waiting.push_back((id, to));
        }
    }

    /// One has come to its end, well or not.
    pub(super) fn end(&mut self, id: EnvelopeId, to: NodeId) {
        self.all.remove(&(id, to));
    }

    fn has_room(&self) -> bool {
        self.all.len() < OFFERS_WAITING_MAX / 2
    }

    fn under_way(&self) -> usize {
        self.all.len().saturating_sub(self.waiting.len())
    }
}

impl Mailbox {
    /// Walks some of the held envelopes and compares them with the other nodes that should hold
    /// them and have not confirmed them; `Effect::Compare` follows. `closest` names the nodes that
    /// should hold what lies at a point. True when every envelope was visited; then the next walk
    /// starts anew. False: go on soon.
    // SPEC 6.13: a holder believes of another what that one has said itself, and for a while.
    pub fn repair(
        &mut self,
        closest: &dyn Fn(Point) -> Vec<NodeId>,
        budget: usize,
        now: Now,
    ) -> bool {
        let mut unconfirmed: BTreeMap<NodeId, Vec<MailMark>> = BTreeMap::new();
        let mut near: Option<(Point, Vec<NodeId>)> = None;
        let mut done = false;
        for _ in 0..budget {
            if !self.offers.has_room() {
                break;
            }
            let Some((owner, arrival, id)) = self.shelf.after(self.place) else {
                done = true;
                break;
            };
            self.place = Some((owner, arrival));
            let point = Point::of_user(owner.user);
            let (_, nodes) = match near.take() {
                Some(known) if known.0 == point => near.insert(known),
                _ => near.insert((point, closest(point))),
            };
            let held = self.shelf.get_mut(id).filter(|held| held.until > now.wall);
            for node in held.map(|held| held.unconfirmed(nodes, now.mono)).unwrap_or_default() {
                if node != self.own {
                    unconfirmed.entry(node).or_default().push(owner.mark(id));
                }
            }
        }
        for (to, marks) in unconfirmed {
            let parts = marks.chunks(IDS_PER_REQUEST_MAX);
            self.effects.extend(parts.map(|part| Effect::Compare { to, marks: part.to_vec() }));
        }
        done |= self.shelf.after(self.place).is_none();
        if done {
            self.place = None;
        }
        done
    }

    /// Says which of the envelopes that another node keeps are neither here nor removed here. That
    /// it has the others is known then.
    pub(super) fn compare(&mut self, from: NodeId, marks: &[MailMark], now: Now) -> Response {
        if marks.len() > IDS_PER_REQUEST_MAX {
            return too_many_ids();
        }
        let mut lacks = Vec::new();
        for mark in marks {
            if let Some(held) = self.shelf.marked(*mark).and_then(|id| self.shelf.get_mut(id)) {
                held.confirm(from, now.mono);
            } else if self.tombstones.get(*mark, now.wall).is_none() {
                lacks.push(*mark);
            }
        }
        Response::Lacks { marks: lacks }
    }

    /// Another node has said which of some envelopes it lacks: it gets those.
    pub fn compared(
        &mut self,
        node: NodeId,
        marks: &[MailMark],
        lacks: &[MailMark],
        now: Now,
        out: &mut Outputs,
    ) {
        let lacks: BTreeSet<&MailMark> = lacks.iter().collect();
        for mark in marks {
            let Some(id) = self.shelf.marked(*mark) else { continue };
            if lacks.contains(mark) {
                self.offers.push(id, node);
            } else if let Some(held) = self.shelf.get_mut(id) {
                held.confirm(node, now.mono);
            }
        }
        self.send_offers(out);
    }

    /// Asks the disk for what other holders lack.
    pub(super) fn send_offers(&mut self, out: &mut Outputs) {
        // Pushes to devices come first: repair takes half of the questions at most.
        while self.offers.under_way() < OFFERS_MAX && self.loads.len() < MAILBOX_LOADS_MAX / 2 {
            let Some((id, to)) = self.offers.waiting.pop_front() else {
                return;
            };
            if self.shelf.get(id).is_none() || planted!(NoRepair) {
                self.offers.end(id, to);
                continue;
            }
            let load = self.ask(&[id], out);
            self.loads.insert(load, Purpose::Offer { id, to });
        }
    }

    pub(super) fn offer_loaded(
        &mut self,
        id: EnvelopeId,
        to: NodeId,
        mut bodies: BTreeMap<EnvelopeId, Envelope>,
        now: Now,
    ) {
        let whole = self.confirm(id, bodies.remove(&id));
        let until = self.shelf.get(id).map(|held| held.until).filter(|until| *until > now.wall);
        match whole.zip(until) {
            Some((envelope, until)) => {
                self.effects.push_back(Effect::Offer { to, envelope, until });
            }
            None => self.offers.end(id, to),
        }
    }

    /// A node answered an offer, or did not. Who is too far off or too full is not asked again
    /// soon; who could not answer is with the next walk.
    pub fn offered(
        &mut self,
        id: EnvelopeId,
        node: NodeId,
        answer: Option<&Response>,
        now: Now,
        out: &mut Outputs,
    ) {
        self.offers.end(id, node);
        let taken = matches!(answer, Some(Response::Receipt { .. }));
        let (well, lost) = &mut self.shelf.handed;
        one_more(if taken { well } else { lost });
        let refused = matches!(
            answer,
            Some(Response::Refused { reason: Refusal::NotClosest | Refusal::Full, .. })
        );
        if let Some(held) = self.shelf.get_mut(id).filter(|_| taken || refused) {
            held.confirm(node, now.mono);
        }
        self.send_offers(out);
    }

    /// A device removes envelopes: those who keep them too and are farther off get its word, as it
    /// may not be attached there. Each of them hears it from all nearer ones.
    pub(super) fn hand_on(
        &mut self,
        owner: Owner,
        ids: &[EnvelopeId],
        removal: &Unverified<Removal>,
    ) {
        let point = Point::of_user(owner.user);
        let distance = |node: NodeId| Point::of_node(node).distance(point);
        let held = ids.iter().filter_map(|id| self.shelf.get_of(owner, *id));
        let keep = held.flat_map(|held| held.confirmed.iter().map(|(node, _)| *node));
        let farther: BTreeSet<NodeId> =
            keep.filter(|node| distance(*node) > distance(self.own)).collect();
        self.effects.extend(farther.into_iter().map(|to| {
            let removal = Box::new(removal.clone());
            Effect::HandOn { to, removal }
        }));
    }

    /// How many envelopes other holders took from us or had already, and how many they did not.
    pub fn handed(&self) -> (u64, u64) {
        self.shelf.handed
    }
}

impl Held {
    /// Those of some nodes of which it is not known that they have it.
    fn unconfirmed(&mut self, nodes: &[NodeId], now: Mono) -> Vec<NodeId> {
        self.confirmed.retain(|(_, at)| now.since_ms(*at) < COMPARE_MS);
        let confirmed = |node: &NodeId| self.confirmed.iter().any(|(known, _)| known == node);
        nodes.iter().copied().filter(|node| !confirmed(node)).collect()
    }

    /// A node has said itself that it has it.
    pub(super) fn confirm(&mut self, node: NodeId, now: Mono) {
        self.confirmed.retain(|(known, _)| *known != node);
        if self.confirmed.len() >= HOLDERS_CONFIRMED_MAX {
            self.confirmed.remove(0);
        }
        self.confirmed.push((node, now));
    }
}
