//! Devices that are attached here while their user's record lies elsewhere: are they still theirs?

use std::collections::{BTreeMap, BTreeSet};

use bytchat_proto::codec::decode;
use bytchat_proto::id::UserId;
use bytchat_proto::key::DeviceKey;
use bytchat_proto::limits::{
    ATTACH_CHECK_MIN_MS, ATTACH_CHECK_MS, ATTACH_CHECKS_MAX, DEVICES_PER_USER_MAX, MINUTE_MS,
};
use bytchat_proto::point::Point;
use bytchat_proto::record::{RecordBody, RecordKind, UserBody};
use bytchat_proto::timestamp::Timestamp;
use bytchat_proto::unverified::Verified;
use bytchat_proto::wire::{Request, Response};

use super::Node;
use super::search::Lookup;
use crate::time::{Deadline, Mono, Now};

/// What is known of the attached devices of users whose record is not held here.
#[derive(Debug, Default)]
pub(super) struct Checks {
    users: BTreeMap<UserId, Check>,
}

#[derive(Debug)]
struct Check {
    next: Mono,
    /// Before this time the record is not looked up again, whoever attaches.
    not_before: Mono,
    devices: BTreeMap<DeviceKey, Seen>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    /// When its certificate was made.
    added: Timestamp,
    /// The record that was found last speaks against it.
    refused: bool,
}

impl Checks {
    /// How many users are remembered.
    pub(super) fn count(&self) -> usize {
        self.users.len()
    }

    /// Notes a device that has attached; `attached` says whose devices still are.
    fn note(
        &mut self,
        (user, device): (UserId, DeviceKey),
        added: Timestamp,
        attached: &dyn Fn(UserId) -> bool,
        now: Now,
    ) {
        if self.users.len() >= ATTACH_CHECKS_MAX && !self.users.contains_key(&user) {
            let gone = self.users.keys().find(|other| !attached(**other)).copied();
            let gone = gone.or_else(|| self.users.keys().next().copied());
            gone.and_then(|gone| self.users.remove(&gone));
        }
        let fresh = || Check { next: now.mono, not_before: now.mono, devices: BTreeMap::new() };
        let check = self.users.entry(user).or_insert_with(fresh);
        check.next = check.next.min(check.not_before.max(now.mono));
        if check.devices.len() >= DEVICES_PER_USER_MAX && !check.devices.contains_key(&device) {
            check.devices.pop_first();
        }
        check.devices.insert(device, Seen { added, refused: false });
    }

    /// Whether the record that was found last speaks against a device.
    pub(super) fn is_refused(&self, user: UserId, device: DeviceKey) -> bool {
        let check = self.users.get(&user);
        check.and_then(|check| check.devices.get(&device)).is_some_and(|seen| seen.refused)
    }

    /// The users whose record is to be looked up now; who has no device attached is forgotten.
    fn due(&mut self, attached: &dyn Fn(UserId) -> bool, now: Now) -> Vec<UserId> {
        self.users.retain(|user, check| now.mono < check.next || attached(*user));
        let due = self.users.iter_mut().filter(|(_, check)| now.mono >= check.next);
        let take = |(user, check): (&UserId, &mut Check)| {
            check.next = now.mono.plus_ms(ATTACH_CHECK_MS);
            check.not_before = now.mono.plus_ms(ATTACH_CHECK_MIN_MS);
            *user
        };
        due.map(take).collect()
    }

    /// The lookup could not begin.
    fn later(&mut self, user: UserId, now: Now) {
        if let Some(check) = self.users.get_mut(&user) {
            check.next = now.mono.plus_ms(MINUTE_MS);
        }
    }

    /// Holds devices against a record of their user: those that it speaks against. A device that
    /// is younger than the record may be named by one that is not found yet.
    fn judge(&mut self, record: &RecordBody, user: UserId) -> Vec<DeviceKey> {
        let (Some(check), Ok(body)) = (self.users.get_mut(&user), decode::<UserBody>(&record.body))
        else {
            return Vec::new();
        };
        let certificates = body.devices.iter().filter_map(|it| it.peek().ok());
        let named: BTreeSet<DeviceKey> = certificates.map(|it| it.device).collect();
        for (device, seen) in &mut check.devices {
            let left_out = !named.contains(device) && seen.added <= record.created;
            seen.refused = left_out || body.revoked.contains(device);
        }
        let refused = check.devices.iter().filter(|(_, seen)| seen.refused);
        refused.map(|(device, _)| *device).collect()
    }

    /// When a record is to be looked up.
    pub(super) fn poll_timeout(&self) -> Option<Deadline> {
        let at = self.users.values().map(|check| check.next).min()?;
        Some(Deadline { at, why: "check attached devices" })
    }
}

impl Node {
    /// A device may have attached. SPEC 6.9: whoever does not hold the record of its user looks
    /// it up, and again from time to time.
    pub(super) fn note_attached(&mut self, request: &Request, response: &Response, now: Now) {
        let (Request::Prove { account, certificate, .. }, Response::Attached { .. }) =
            (request, response)
        else {
            return;
        };
        let Ok(certificate) = certificate.peek() else { return };
        let mailbox = &self.mailbox;
        let attached = |user| mailbox.has_attached(user);
        let whose = (account.user(), certificate.device);
        self.checks.note(whose, certificate.added, &attached, now);
        self.check_attached(now);
    }

    /// Looks up the records whose turn it is.
    pub(super) fn check_attached(&mut self, now: Now) {
        let mailbox = &self.mailbox;
        for user in self.checks.due(&|user| mailbox.has_attached(user), now) {
            let point = Point::of_user(user);
            // What is held here is looked at whenever it changes and whenever a device attaches.
            if !self.dht.holds(point, RecordKind::User).is_empty() {
                continue;
            }
            let why = Lookup::Attached { user };
            if !self.look(point, Some(RecordKind::User), why, now) {
                self.checks.later(user, now);
            }
        }
    }

    /// The record of a user with attached devices was found, or none: then nothing is known
    /// against them.
    pub(super) fn handle_checked(&mut self, user: UserId, records: &[Verified<RecordBody>]) {
        let own = records.iter().filter(|it| it.kind == RecordKind::User && it.user() == user);
        let Some(newest) = own.max_by_key(|record| record.sequence) else {
            return;
        };
        let refused = self.checks.judge(newest, user);
        if !refused.is_empty() {
            tracing::debug!(%user, count = refused.len(), "devices are no longer their user's");
            self.mailbox.revoke(user, &refused, &mut self.out);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytchat_proto::codec::encode;
    use bytchat_proto::id::NetworkId;
    use bytchat_proto::limits::SUITE;
    use bytchat_proto::record::Signer;
    use serde_bytes::ByteBuf;

    use super::*;
    use crate::fixture::{Account, at};

    fn user(number: usize) -> UserId {
        let mut user = UserId([0; 20]);
        user.0[..8].copy_from_slice(&number.to_be_bytes());
        user
    }

    #[test]
    fn a_record_is_looked_up_at_once_then_rarely_however_often_devices_attach() {
        let mut checks = Checks::default();
        let everybody = |_| true;
        let (start, mut looked) = (at(0), 0);
        for minute in 0..60 {
            for device in 0..4 {
                let now = at(minute * MINUTE_MS);
                let whose = (user(1), DeviceKey([device; 32]));
                checks.note(whose, start.wall, &everybody, now);
                looked += checks.due(&everybody, now).len();
            }
        }
        assert_eq!(looked, usize::try_from(60 * MINUTE_MS / ATTACH_CHECK_MIN_MS).unwrap());
        let quiet = at(60 * MINUTE_MS + ATTACH_CHECK_MS);
        assert_eq!(checks.due(&everybody, quiet), [user(1)]);
        assert_eq!(checks.poll_timeout().unwrap().at, quiet.mono.plus_ms(ATTACH_CHECK_MS));
        let nobody = |_| false;
        assert_eq!(checks.due(&nobody, at(10 * ATTACH_CHECK_MS)), []);
        assert_eq!(checks.poll_timeout(), None);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_attached_stay() {
        let mut checks = Checks::default();
        let first = |other| other == user(0);
        for number in 0..2 * ATTACH_CHECKS_MAX {
            for device in 0..3 {
                checks.note((user(number), DeviceKey([device; 32])), at(0).wall, &first, at(0));
            }
        }
        for device in 0..100 {
            checks.note((user(0), DeviceKey([device; 32])), at(0).wall, &first, at(0));
        }
        assert_eq!(checks.users.len(), ATTACH_CHECKS_MAX);
        assert_eq!(checks.users[&user(0)].devices.len(), DEVICES_PER_USER_MAX);
    }

    #[test]
    fn a_device_younger_than_the_record_that_was_found_is_not_judged_by_it() {
        let (mut checks, account) = (Checks::default(), Account::of(0));
        let body = UserBody { devices: Vec::new(), revoked: Vec::new(), pods: Vec::new() };
        let record = RecordBody {
            suite: SUITE,
            network: NetworkId::of_name("test"),
            kind: RecordKind::User,
            signer: Signer::Account { account: account.key.clone() },
            sequence: 1,
            created: Timestamp(5),
            expires: Timestamp(9),
            body: ByteBuf::from(encode(&body)),
        };
        let (old, young) = (DeviceKey([1; 32]), DeviceKey([2; 32]));
        for (device, added) in [(old, 5), (young, 6)] {
            checks.note((user(1), device), Timestamp(added), &|_| true, at(0));
        }
        assert_eq!(checks.judge(&record, user(1)), [old]);
        assert!(checks.is_refused(user(1), old) && !checks.is_refused(user(1), young));
    }
}
