//! One-time keys that this node hands out for devices: each once, the oldest first.

use std::collections::{BTreeMap, BTreeSet};

use bytchat_proto::codec::{decode, encode};
use bytchat_proto::envelope::OneTimeKey;
use bytchat_proto::id::{UserId, labelled_sha256};
use bytchat_proto::key::DeviceKey;
use bytchat_proto::limits::{CLOCK_SKEW_MS, DEVICES_PER_USER_MAX, ONE_TIME_KEY_TTL_MS};
use bytchat_proto::timestamp::Timestamp;
use bytchat_proto::unverified::{Unverified, Verified};
use bytchat_proto::wire::{Refusal, Response};
use serde::{Deserialize, Serialize};

use super::shelf::Owner;
use super::verbs::not_attached;
use super::{Limits, Mailbox};
use crate::fill::Fills;
use crate::io::{LinkId, Outputs};
use crate::persist::Table;
use crate::time::Now;

/// Names one key of one owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct KeyMark([u8; 16]);

/// A key as its row keeps it; without the key itself once it was handed out.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct KeyRow {
    user: UserId,
    device: DeviceKey,
    number: u64,
    expires: Timestamp,
    key: Option<Unverified<OneTimeKey>>,
}

/// All keys that are held or were handed out.
pub(super) struct OneTimeKeys {
    rows: BTreeMap<KeyMark, KeyRow>,
    live: BTreeMap<Owner, BTreeMap<u64, KeyMark>>,
    live_count: usize,
    spent: BTreeSet<(Timestamp, KeyMark)>,
    ends: BTreeSet<(Timestamp, KeyMark)>,
    next_number: u64,
}

impl Mailbox {
    // SPEC 6.4: each holder has its own batch, so that no key is handed out by two.
    pub(super) fn put_keys(
        &mut self,
        link: LinkId,
        user: UserId,
        keys: &[Unverified<OneTimeKey>],
        now: Now,
        out: &mut Outputs,
    ) -> Response {
        let devices = self.attachments.devices_on(link, user);
        if devices.is_empty() {
            return not_attached();
        }
        if keys.len() > self.limits.keys_per_device {
            return Response::refused(Refusal::Malformed, "too many keys in one batch");
        }
        let mut good = Vec::with_capacity(keys.len());
        for key in keys {
            match self.check_key(key, &devices, now.wall) {
                Ok(key) => good.push(key),
                Err((reason, detail)) => return Response::refused(reason, detail),
            }
        }
        for device in &devices {
            let more = good.iter().filter(|key| key.device == device.device);
            if !self.keys.has_room(*device, more.count(), &self.limits) {
                return Response::refused(Refusal::Full, "this node keeps no more keys");
            }
        }
        for key in good {
            let device = key.device;
            let owner = Owner { user, device };
            self.keys.put(owner, key.value(), key.source(), &self.limits, out);
        }
        Response::Done
    }

    fn check_key(
        &self,
        key: &Unverified<OneTimeKey>,
        devices: &[Owner],
        now: Timestamp,
    ) -> Result<Verified<OneTimeKey>, (Refusal, String)> {
        let Ok(named) = key.peek() else {
            return Err((Refusal::Malformed, "a key cannot be read".to_owned()));
        };
        if !devices.iter().any(|owner| owner.device == named.device) {
            let detail = "a key is of a device that is not attached here".to_owned();
            return Err((Refusal::NotAttached, detail));
        }
        let error = |error| (Refusal::BadSignature, format!("{error}"));
        let key = key.verify(&named.device).map_err(error)?;
        if key.holder != self.own {
            let detail = format!("a key is for holder {}, this is {}", key.holder, self.own);
            return Err((Refusal::BadSignature, detail));
        }
        let latest = now.plus_ms(ONE_TIME_KEY_TTL_MS + CLOCK_SKEW_MS);
        if key.key.len() != 32 || key.expires > latest {
            let detail = "a key has not 32 bytes, or lives too long".to_owned();
            return Err((Refusal::Malformed, detail));
        }
        if key.expires <= now {
            return Err((Refusal::Expired, "a key is over".to_owned()));
        }
        Ok(key)
    }

    // SPEC 6.4: a key is spent on disk before it is handed out.
    pub(super) fn take_keys(
        &mut self,
        link: LinkId,
        user: UserId,
        now: Now,
        out: &mut Outputs,
    ) -> Response {
        if !self.attachments.may_take_keys(link, now) {
            return Response::refused(Refusal::Busy, "too many requests for keys in this minute");
        }
        let keys = self.keys.take(user, now.wall, &self.limits, out);
        Response::Keys { keys }
    }
}

impl KeyMark {
    pub(super) fn new(owner: Owner, key: &[u8]) -> Self {
        let parts: [&[u8]; 3] = [&owner.user.0, &owner.device.0, key];
        let whole = labelled_sha256("bytchat/one-time-key-row/1", &parts);
        Self(std::array::from_fn(|i| whole[i]))
    }
}

impl KeyRow {
    fn owner(&self) -> Owner {
        Owner { user: self.user, device: self.device }
    }
}

impl OneTimeKeys {
    /// How full it is.
    pub(super) fn fills(&self, limits: &Limits, fills: &mut Fills) {
        fills.note("one-time keys", self.live_count, limits.keys);
        fills.note("one-time keys spent", self.spent.len(), limits.keys_spent);
        let live = self.live.values().map(BTreeMap::len);
        fills.most("one-time keys of a device", live, limits.keys_per_device);
    }

    pub(super) fn new() -> Self {
        Self {
            rows: BTreeMap::new(),
            live: BTreeMap::new(),
            live_count: 0,
            spent: BTreeSet::new(),
            ends: BTreeSet::new(),
            next_number: 1,
        }
    }

    /// How many may still be handed out for a device.
    pub(super) fn left(&self, owner: Owner) -> usize {
        self.live.get(&owner).map_or(0, BTreeMap::len)
    }

    /// How many may still be handed out for everybody.
    #[cfg(test)]
    pub(super) fn live_count(&self) -> usize {
        self.live_count
    }

    #[cfg(test)]
    pub(super) fn spent_count(&self) -> usize {
        self.spent.len()
    }

    /// Whether there is room for so many more keys of a device.
    pub(super) fn has_room(&self, owner: Owner, more: usize, limits: &Limits) -> bool {
        let devices = self.live.range(Owner::all_of(owner.user)).count();
        let known = self.live.contains_key(&owner);
        let replaced = (self.left(owner) + more).saturating_sub(limits.keys_per_device);
        let after = (self.live_count + more).saturating_sub(replaced);
        (known || devices < DEVICES_PER_USER_MAX) && after <= limits.keys
    }

    /// Takes a key in, in place of the device's oldest if there are too many. One that is here or
    /// was handed out is left alone.
    pub(super) fn put(
        &mut self,
        owner: Owner,
        value: &OneTimeKey,
        source: &Unverified<OneTimeKey>,
        limits: &Limits,
        out: &mut Outputs,
    ) {
        let mark = KeyMark::new(owner, &value.key);
        if self.rows.contains_key(&mark) {
            return;
        }
        let row = KeyRow {
            user: owner.user,
            device: owner.device,
            number: self.next_number,
            expires: value.expires,
            key: Some(source.clone()),
        };
        out.put(Table::Prekey, mark.0, encode(&row));
        self.insert(mark, row);
        while self.left(owner) > limits.keys_per_device {
            let oldest = self.live.get(&owner).and_then(BTreeMap::first_key_value);
            let Some((_, oldest)) = oldest else { return };
            let oldest = *oldest;
            self.remove(oldest, out);
        }
    }

    /// Hands out the oldest key of each device of a user; the rows are spent before the answer
    /// goes out.
    pub(super) fn take(
        &mut self,
        user: UserId,
        now: Timestamp,
        limits: &Limits,
        out: &mut Outputs,
    ) -> Vec<Unverified<OneTimeKey>> {
        let oldest = |queue: &BTreeMap<u64, KeyMark>| {
            let good = |mark: &&KeyMark| self.rows.get(mark).is_some_and(|row| row.expires > now);
            queue.values().find(good).copied()
        };
        let devices = self.live.range(Owner::all_of(user));
        let marks: Vec<KeyMark> = devices.filter_map(|(_, queue)| oldest(queue)).collect();
        let keys = marks.iter().filter_map(|mark| self.spend(*mark, out));
        let keys = keys.collect();
        while self.spent.len() > limits.keys_spent {
            let Some((_, mark)) = self.spent.first().copied() else {
                break;
            };
            self.remove(mark, out);
        }
        keys
    }

    fn spend(&mut self, mark: KeyMark, out: &mut Outputs) -> Option<Unverified<OneTimeKey>> {
        let row = self.rows.get_mut(&mark)?;
        let key = row.key.take()?;
        out.put(Table::Prekey, mark.0, encode(row));
        let (owner, number, expires) = (row.owner(), row.number, row.expires);
        self.unqueue(owner, number);
        self.spent.insert((expires, mark));
        Some(key)
    }

    /// Forgets all keys of a device that may no longer be handed out.
    pub(super) fn revoke(&mut self, owner: Owner, out: &mut Outputs) {
        let queue = self.live.get(&owner).into_iter().flatten();
        let marks: Vec<KeyMark> = queue.map(|(_, mark)| *mark).collect();
        for mark in marks {
            self.remove(mark, out);
        }
    }

    /// Takes in a row that was kept; false if it is malformed.
    pub(super) fn restore(&mut self, key: &[u8], value: &[u8]) -> bool {
        let Ok(mark) = key.try_into() else {
            return false;
        };
        let Ok(row) = decode::<KeyRow>(value) else {
            return false;
        };
        self.insert(KeyMark(mark), row);
        true
    }

    fn insert(&mut self, mark: KeyMark, row: KeyRow) {
        self.next_number = self.next_number.max(row.number.saturating_add(1));
        self.ends.insert((row.expires, mark));
        if row.key.is_some() {
            self.live_count += 1;
            let queue = self.live.entry(row.owner()).or_default();
            queue.insert(row.number, mark);
        } else {
            self.spent.insert((row.expires, mark));
        }
        self.rows.insert(mark, row);
    }

    fn remove(&mut self, mark: KeyMark, out: &mut Outputs) {
        let Some(row) = self.rows.remove(&mark) else {
            return;
        };
        out.remove(Table::Prekey, mark.0);
        self.ends.remove(&(row.expires, mark));
        self.spent.remove(&(row.expires, mark));
        if row.key.is_some() {
            self.unqueue(row.owner(), row.number);
        }
    }

    fn unqueue(&mut self, owner: Owner, number: u64) {
        let Some(queue) = self.live.get_mut(&owner) else {
            return;
        };
        if queue.remove(&number).is_some() {
            self.live_count = self.live_count.saturating_sub(1);
        }
        if queue.is_empty() {
            self.live.remove(&owner);
        }
    }

    /// The earliest end.
    pub(super) fn earliest(&self) -> Option<Timestamp> {
        self.ends.first().map(|(expires, _)| *expires)
    }

    /// Removes one key that is over; false if there is none.
    pub(super) fn sweep_one(&mut self, now: Timestamp, out: &mut Outputs) -> bool {
        let Some((_, mark)) = self.ends.first().filter(|(expires, _)| *expires <= now) else {
            return false;
        };
        let mark = *mark;
        self.remove(mark, out);
        true
    }
}
