//! Depositing: envelopes to holders, pods and places, and the evidence that comes back.

use std::collections::BTreeMap;

use bytchat_proto::envelope::Envelope;
use bytchat_proto::id::{NodeId, UserId};
use bytchat_proto::key::{DeviceKey, NodeKey};
use bytchat_proto::limits::{HOLDERS, RECORD_TTL_MAX_MS, WRITE_QUORUM};
use bytchat_proto::record::NodeRecord;
use bytchat_proto::rpc::contact::Standing;
use bytchat_proto::rpc::message::State;
use bytchat_proto::timestamp::Timestamp;
use bytchat_proto::unverified::VerifyError;
use bytchat_proto::wire::{Notice, Request, Response};

use super::Node;
use super::links::Token;
use super::pods::Purpose;
use super::trace::{Mark, date};
use crate::link::Failure;
use crate::outbox::EntryId;
use crate::time::Now;

impl Node {
    /// Deposits every sealed envelope of an entry with the closest nodes, the recipient's pods
    /// and the nodes on which its devices are up (SPEC 6.8).
    pub(super) fn deposit_all(&mut self, id: EntryId, now: Now) {
        let Some(entry) = self.outbox.get(id) else {
            return;
        };
        let (account, to) = (entry.account, entry.to);
        let Some(route) = self.routes.get(to, now) else {
            return;
        };
        let mut nodes: BTreeMap<NodeId, NodeRecord> = BTreeMap::new();
        let places = self.places(to, now);
        if self.book.standing(account, to) == Some(Standing::Accepted) {
            places.iter().for_each(|place| self.links.know(place.node(), to, now));
        }
        for record in places.into_iter().chain(route.closest.iter().take(route.holders).cloned()) {
            nodes.insert(record.node(), record);
        }
        let (pods, devices) = (route.pods.clone(), entry.targets.keys().copied());
        let devices: Vec<DeviceKey> = devices.collect();
        for device in devices {
            let target = self.outbox.get_mut(id).and_then(|entry| entry.targets.get_mut(&device));
            if let Some(target) = target {
                target.failed.clear();
            }
            for record in nodes.values() {
                self.deposit(id, device, record, now);
            }
            self.deposit_instead(id, device, to, now);
            for host in &pods {
                let purpose = Purpose::Deposit { entry: id, device };
                self.find_pod(host, account, purpose, now);
            }
        }
    }

    /// Deposits one envelope with one node, unless it has it or was just asked.
    pub(super) fn deposit(&mut self, id: EntryId, device: DeviceKey, to: &NodeRecord, now: Now) {
        let node = to.node();
        let Some(entry) = self.outbox.get_mut(id) else {
            return;
        };
        let Some(target) = entry.targets.get_mut(&device) else {
            return;
        };
        let kept = target.holders.get(&node);
        let fresh = kept.is_some_and(|until| *until > now.wall.plus_ms(RECORD_TTL_MAX_MS / 2));
        let asked = fresh || target.lost.contains(&node);
        let Some(envelope) = target.envelope.clone().filter(|_| !asked) else {
            return;
        };
        if !target.asked.insert(node) {
            return;
        }
        let until = now.wall.plus_ms(RECORD_TTL_MAX_MS);
        let request = Request::Deposit { envelope, until, repair: false };
        self.ask(to, request, Token::Deposit { entry: id, device, holder: to.key }, now);
    }

    /// A node answered a deposit. SPEC 6.8: only a receipt that the holder signed counts.
    pub(super) fn handle_deposited(
        &mut self,
        id: EntryId,
        device: DeviceKey,
        (node, holder): (NodeId, NodeKey),
        result: Result<Response, Failure>,
        now: Now,
    ) {
        let Some(entry) = self.outbox.get_mut(id) else {
            return;
        };
        // Only the recipient's word says where its devices are: a holder that claims to be one
        // counts as one holder.
        let route = self.routes.get(entry.to, now);
        let home = route.is_some_and(|route| route.places.iter().any(|place| place.node() == node));
        let Some(target) = entry.targets.get_mut(&device) else {
            return;
        };
        target.asked.remove(&node);
        let refused = match result {
            Ok(Response::Receipt { receipt }) => match receipt.verify(&holder) {
                Ok(receipt) => {
                    let envelope = target.envelope.as_ref().map(Envelope::id);
                    if receipt.holder != node || Some(receipt.envelope) != envelope {
                        return;
                    }
                    target.sign(node, receipt.until);
                    let (until, taken) = (receipt.until, receipt.taken && home);
                    target.taken |= taken;
                    return self.handle_evidence(id, device, (node, until, taken), now);
                }
                Err(error) => {
                    if matches!(error, VerifyError::Key(_)) {
                        self.dht.accuse(node, "its receipt is forged", now, &mut self.out);
                    }
                    format!("its receipt is not believed: {error}")
                }
            },
            Ok(Response::Refused { detail, .. }) => detail.chars().take(120).collect(),
            Ok(_) => "it answers something else".to_owned(),
            Err(Failure::Unreachable) => "it cannot be reached".to_owned(),
            Err(Failure::Broken) => "its link went down".to_owned(),
            Err(Failure::TimedOut) => "it did not answer in time".to_owned(),
            Err(Failure::Busy) => "too much is under way with it".to_owned(),
        };
        target.failed.insert(node);
        let to = entry.to;
        self.step_entry(id, &format!("not stored with {node}: {refused}"), now);
        self.deposit_instead(id, device, to, now);
    }

    /// Deposits with the next closest nodes in place of those that failed.
    pub(super) fn deposit_instead(&mut self, id: EntryId, device: DeviceKey, to: UserId, now: Now) {
        let target = self.outbox.get(id).and_then(|entry| entry.targets.get(&device));
        let (Some(target), Some(route)) = (target, self.routes.get(to, now)) else {
            return;
        };
        let sound = |record: &&NodeRecord| !target.has_failed(record.node());
        let next: Vec<NodeRecord> =
            route.closest.iter().filter(sound).take(route.holders).cloned().collect();
        for record in next {
            self.deposit(id, device, &record, now);
        }
    }

    fn handle_evidence(
        &mut self,
        id: EntryId,
        device: DeviceKey,
        (node, until, taken): (NodeId, Timestamp, bool),
        now: Now,
    ) {
        let Some(entry) = self.outbox.get(id) else {
            return;
        };
        let (to, block) = (entry.to, entry.block);
        let route = self.routes.get(to, now);
        let target = entry.targets.get(&device);
        let failed = |node: &NodeId| target.is_some_and(|target| target.has_failed(*node));
        let nodes = route.into_iter().flat_map(|route| &route.closest).map(NodeRecord::node);
        let near: Vec<NodeId> = nodes.filter(|node| !failed(node)).take(HOLDERS).collect();
        let known = route.map_or(HOLDERS, |route| route.closest.len());
        let closest = known.clamp(1, HOLDERS);
        let held = |node: &&NodeId| target.is_some_and(|it| it.holders.contains_key(*node));
        let stored = near.iter().filter(held).count();
        let enough = entry.is_stored(WRITE_QUORUM.min(closest));
        let whole = enough && entry.is_held_elsewhere(self.id);
        let until_day = date(until);
        let sentence = if taken {
            format!("taken by the recipient's own node {node}")
        } else if near.contains(&node) {
            format!("stored {stored}/{closest} until {until_day} by {node}")
        } else {
            format!("a fast copy is kept until {until_day} by {node}")
        };
        let near = near.contains(&node);
        self.note(id, Mark::Kept(near.then_some((device, node))), &sentence, now);
        if whole && block.is_none() {
            self.outbox.keep(id, now, &mut self.out);
            return self.work_on(to, now);
        }
        let again = whole && self.outbox.get(id).is_some_and(|it| it.again);
        if again {
            self.outbox.settle(id, now);
        }
        self.outbox.save(id, &mut self.out);
        if whole && self.advance(id, State::Stored, now) || again {
            self.notify_pods(id, until, now);
            self.work_on(to, now);
        }
    }

    /// Tells the recipient's pods that mail lies with the holders (SPEC 5.6).
    fn notify_pods(&mut self, id: EntryId, until: Timestamp, now: Now) {
        let Some(entry) = self.outbox.get(id) else {
            return;
        };
        let Some(route) = self.routes.get(entry.to, now) else {
            return;
        };
        let (account, user) = (entry.account, entry.to);
        let waiting = |(device, target): (&DeviceKey, &crate::outbox::Target)| {
            let envelope = target.envelope.as_ref()?.id();
            Some(Notice { user, device: *device, envelope, until })
        };
        let notices: Vec<Notice> = entry.targets.iter().filter_map(waiting).collect();
        for host in route.pods.clone() {
            for notice in &notices {
                let purpose = Purpose::Notify { notice: notice.clone() };
                self.find_pod(&host, account, purpose, now);
            }
        }
    }

    /// Moves a message of ours forward and tells front ends; false if it was there already.
    pub(super) fn advance(&mut self, id: EntryId, state: State, now: Now) -> bool {
        let Some(entry) = self.outbox.get_mut(id) else {
            return false;
        };
        let (account, block) = (entry.account, entry.block);
        if !entry.advance(state) {
            return false;
        }
        if state == State::Stored {
            self.outbox.settle(id, now);
        }
        self.outbox.save(id, &mut self.out);
        if let Some(block) = block {
            self.set_state(account, block, state);
        }
        true
    }
}
