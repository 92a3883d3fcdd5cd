//! What is done by the clock: publishing, attaching, repairing, telling neighbours.

use std::collections::BTreeMap;

use bytchat_proto::alias::Host;
use bytchat_proto::id::{EnvelopeId, NodeId, UserId};
use bytchat_proto::key::DeviceKey;
use bytchat_proto::limits::{
    ASKED_AGAIN_MAX, ATTACH_RETRY_MAX_MS, ATTACH_RETRY_MIN_MS, COMPARE_SOON_MS, HOUR_MS,
    KEPT_CHALLENGE_MS, MINUTE_MS, RESEND_IDS_MAX, RESEND_MS, UNREAD_DEVICES_MAX,
};
use bytchat_proto::record::NodeRecord;

use super::Node;
use super::asked::AskedAgain;
use super::waits::Waiting;
use crate::fill::Fills;
use crate::outbox::EntryId;
use crate::time::{Deadline, Mono, Now};

/// When each duty is due.
#[derive(Debug)]
pub(super) struct Upkeep {
    pub(super) publish: BTreeMap<UserId, Mono>,
    pub(super) attach: BTreeMap<UserId, Mono>,
    pub(super) location: Mono,
    pub(super) bootstrap: Mono,
    pub(super) bootstrap_tries: u32,
    pub(super) routing: Mono,
    pub(super) resend: Mono,
    pub(super) repair: Mono,
    pub(super) kept: Mono,
    pub(super) sweep: Mono,
    joined: bool,
    pods: BTreeMap<(UserId, Host), NodeRecord>,
    seeks: BTreeMap<(UserId, Host), (u32, Mono)>,
    pub(super) asked_again: AskedAgain,
    pub(super) resent: AskedAgain,
    pub(super) unread: BTreeMap<(UserId, UserId, DeviceKey), Vec<EnvelopeId>>,
}

impl Upkeep {
    /// How full it is.
    pub(super) fn fills(&self, fills: &mut Fills) {
        fills.note("devices not read", self.unread.len(), UNREAD_DEVICES_MAX);
        fills.most("letters not read", self.unread.values().map(Vec::len), RESEND_IDS_MAX);
        fills.note("devices asked again", self.asked_again.count(), ASKED_AGAIN_MAX);
        fills.note("devices sent to again", self.resent.count(), ASKED_AGAIN_MAX);
    }

    pub(super) fn new(now: Now) -> Self {
        Self {
            publish: BTreeMap::new(),
            attach: BTreeMap::new(),
            location: now.mono.plus_ms(10 * MINUTE_MS),
            bootstrap: now.mono,
            bootstrap_tries: 0,
            routing: now.mono.plus_ms(MINUTE_MS),
            resend: now.mono.plus_ms(RESEND_MS),
            repair: now.mono.plus_ms(MINUTE_MS),
            kept: now.mono.plus_ms(KEPT_CHALLENGE_MS),
            sweep: now.mono.plus_ms(HOUR_MS),
            joined: false,
            pods: BTreeMap::new(),
            seeks: BTreeMap::new(),
            asked_again: AskedAgain::every_ms(RESEND_MS),
            resent: AskedAgain::every_ms(MINUTE_MS),
            unread: BTreeMap::new(),
        }
    }

    /// The first neighbour is there: what waited for the network is due.
    pub(super) fn joined(&mut self, now: Now) {
        if !std::mem::replace(&mut self.joined, true) {
            let soon = now.mono.plus_ms(500);
            for at in self.publish.values_mut().chain(self.attach.values_mut()) {
                *at = soon.min(*at).max(soon);
            }
        }
    }

    /// Our addresses have changed: say so soon.
    pub(super) fn moved(&mut self, now: Now) {
        self.location = now.mono.plus_ms(1_000);
    }

    pub(super) fn publish_soon(&mut self, user: UserId, now: Now) {
        self.publish.insert(user, now.mono);
    }

    pub(super) fn publish_later(&mut self, user: UserId, now: Now) {
        self.publish.insert(user, now.mono.plus_ms(10_000));
    }

    /// There is more to be forgotten.
    pub(super) fn sweep_soon(&mut self, now: Now) {
        self.sweep = self.sweep.min(now.mono.plus_ms(1_000));
    }

    pub(super) fn attach_soon(&mut self, user: UserId, now: Now) {
        self.attach.insert(user, now.mono);
    }

    pub(super) fn attach_later(&mut self, user: UserId, now: Now) {
        let later = now.mono.plus_ms(10_000);
        let at = self.attach.entry(user).or_insert(later);
        *at = later.min(*at);
    }

    /// The nodes around us changed: holders may be others, and mail may have to move.
    pub(super) fn neighbours_changed(&mut self, jitter_ms: u64, now: Now) {
        let soon = now.mono.plus_ms(2_000);
        for at in self.attach.values_mut() {
            *at = soon.min(*at);
        }
        self.repair = self.repair.min(now.mono.plus_ms(COMPARE_SOON_MS + jitter_ms));
    }

    /// Where a pod of one of our users is; one table for all would follow what another Unix user
    /// has accepted.
    pub(super) fn pod(&self, user: UserId, host: &Host) -> Option<&NodeRecord> {
        self.pods.get(&(user, host.clone()))
    }

    pub(super) fn found_pod(&mut self, user: UserId, host: Host, record: NodeRecord) {
        self.seeks.remove(&(user, host.clone()));
        self.pods.insert((user, host), record);
    }

    /// Forgets where all pods are: they are asked for again with the holders, at once.
    pub(super) fn forget_pods(&mut self, now: Now) {
        self.pods.clear();
        self.seeks.clear();
        for at in self.attach.values_mut() {
            *at = now.mono.min(*at);
        }
    }

    /// A node cannot be reached: the pods that it was are looked for again.
    pub(super) fn lost_pod(&mut self, node: NodeId, now: Now) {
        let of_node = self.pods.iter().filter(|(_, record)| record.node() == node);
        let lost: Vec<(UserId, Host)> = of_node.map(|(key, _)| key.clone()).collect();
        for (user, host) in lost {
            self.pods.remove(&(user, host.clone()));
            self.no_pod(user, &host, now);
        }
    }

    /// A pod was not found, or is lost: it is looked for soon, and ever later.
    pub(super) fn no_pod(&mut self, user: UserId, host: &Host, now: Now) {
        let (tries, at) = self.seeks.entry((user, host.clone())).or_default();
        let wait = (ATTACH_RETRY_MIN_MS << (*tries).min(10)).min(ATTACH_RETRY_MAX_MS);
        *tries += 1;
        *at = now.mono.plus_ms(wait);
        let due = self.attach.entry(user).or_insert(*at);
        *due = (*at).min(*due);
    }

    /// Whether a pod may be looked for now.
    pub(super) fn may_seek(&self, user: UserId, host: &Host, now: Now) -> bool {
        self.seeks.get(&(user, host.clone())).is_none_or(|(_, at)| now.mono >= *at)
    }

    /// When the next duty is due.
    pub(super) fn poll_timeout(&self) -> Option<Deadline> {
        let of_users = self.publish.values().chain(self.attach.values()).copied().min();
        let clocks = [
            self.location,
            self.bootstrap,
            self.routing,
            self.resend,
            self.repair,
            self.kept,
            self.sweep,
        ];
        let at = clocks.into_iter().chain(of_users).min()?;
        Some(Deadline { at, why: "upkeep" })
    }
}

impl Node {
    pub(super) fn handle_timeout(&mut self, now: Now) {
        self.links.handle_timeout(now, &mut self.out);
        let calm = self.clock.calm(now);
        self.dht.handle_timeout(calm, &mut self.out);
        self.mailbox.handle_timeout(calm, &mut self.out);
        self.handle_waits(now);
        self.send_removals(now);
        self.send_fetches(now);
        self.send_receipts(now);
        self.attach_due(now);
        self.check_attached(now);
        let due: Vec<EntryId> = self.outbox.due(now);
        for entry in due {
            self.work(entry, now);
        }
        self.handle_duties(now);
    }

    fn handle_waits(&mut self, now: Now) {
        for (call, _, waiting) in self.waits.over(now) {
            match waiting {
                Waiting::Event { uid, .. } => self.no_events(call, uid),
                Waiting::Message { state, .. } => {
                    let error = bytchat_proto::rpc::ErrorKind::Timeout
                        .because(format!("the message is not {} yet", state.as_str()));
                    self.reply(call, Err(error));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::at;

    #[test]
    fn letters_that_cannot_be_read_are_noted_up_to_a_limit() {
        let mut upkeep = Upkeep::new(at(0));
        let sender = |number: usize| {
            let mut key = [7; 32];
            key[..8].copy_from_slice(&number.to_be_bytes());
            (UserId([2; 20]), DeviceKey(key))
        };
        for number in 0..UNREAD_DEVICES_MAX + 1 {
            upkeep.unread(UserId([1; 20]), sender(number), EnvelopeId([1; 32]));
        }
        for _ in 0..RESEND_IDS_MAX + 1 {
            upkeep.unread(UserId([1; 20]), sender(0), EnvelopeId([1; 32]));
        }
        assert_eq!(upkeep.unread.len(), UNREAD_DEVICES_MAX);
        assert_eq!(upkeep.unread.values().map(Vec::len).max(), Some(RESEND_IDS_MAX));
        assert_eq!(upkeep.poll_unread(at(0)).len(), UNREAD_DEVICES_MAX);
        assert!(upkeep.unread.is_empty());
    }
}
