//! Notices for devices that are away: that something waits for them elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use bytchat_proto::id::{EnvelopeId, UserId};
use bytchat_proto::limits::NOTICE_TOLD_MS;
use bytchat_proto::timestamp::Timestamp;
use bytchat_proto::wire::Notice;

use super::Limits;
use super::share::{Shares, Source};
use super::shelf::{Owner, parse_row_key, row_key};
use crate::fill::Fills;

/// All notices that are kept, in the order in which they came.
pub(super) struct Notices {
    queues: BTreeMap<Owner, BTreeMap<u64, EnvelopeId>>,
    kept: BTreeMap<(Owner, EnvelopeId), Kept>,
    shares: Shares,
    ends: BTreeSet<(Timestamp, Owner, EnvelopeId)>,
    next_number: u64,
}

#[derive(Clone, Copy, Debug)]
struct Kept {
    number: u64,
    until: Timestamp,
    source: Source,
}

impl Notices {
    /// How full it is.
    pub(super) fn fills(&self, limits: &Limits, fills: &mut Fills) {
        let kept = self.kept.len().max(self.ends.len()).max(self.queues.len());
        fills.note("notices", kept, limits.notices);
        self.shares.fills("notices of a user", limits.notices_per_user, fills);
    }

    pub(super) fn new() -> Self {
        Self {
            queues: BTreeMap::new(),
            kept: BTreeMap::new(),
            shares: Shares::default(),
            ends: BTreeSet::new(),
            next_number: 1,
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    pub(super) fn contains(&self, owner: Owner, id: EnvelopeId) -> bool {
        self.kept.contains_key(&(owner, id))
    }

    /// Why there is no room for one more from a source.
    pub(super) fn full(
        &self,
        user: UserId,
        source: Source,
        limits: &Limits,
    ) -> Option<&'static str> {
        self.shares.full(user, source, 0, &limits.of_notices())
    }

    /// Keeps a notice as the latest; returns its row.
    pub(super) fn push(
        &mut self,
        owner: Owner,
        id: EnvelopeId,
        until: Timestamp,
        source: Source,
    ) -> (Vec<u8>, Vec<u8>) {
        let number = self.next_number;
        self.insert(owner, id, Kept { number, until, source });
        let value = [until.0.to_be_bytes().as_slice(), &source.encode()].concat();
        (row_key(owner, number, id), value)
    }

    /// Its device was told: the notice ends soon. Only memory knows of it; after a restart the
    /// device is told once more.
    pub(super) fn told(&mut self, owner: Owner, id: EnvelopeId, now: Timestamp) {
        if let Some(kept) = self.kept.get_mut(&(owner, id)) {
            self.ends.remove(&(kept.until, owner, id));
            kept.until = kept.until.min(now.plus_ms(NOTICE_TOLD_MS));
            self.ends.insert((kept.until, owner, id));
        }
    }

    /// Takes in a row that was kept; false if it is malformed.
    pub(super) fn restore(&mut self, key: &[u8], value: &[u8]) -> bool {
        let Some((owner, number, id)) = parse_row_key(key) else {
            return false;
        };
        let Some((until, source)) = value.split_first_chunk() else {
            return false;
        };
        let Some(source) = source.try_into().ok().and_then(Source::decode) else {
            return false;
        };
        let until = Timestamp(u64::from_be_bytes(*until));
        self.insert(owner, id, Kept { number, until, source });
        true
    }

    fn insert(&mut self, owner: Owner, id: EnvelopeId, kept: Kept) {
        self.remove(owner, id);
        self.next_number = self.next_number.max(kept.number.saturating_add(1));
        self.queues.entry(owner).or_default().insert(kept.number, id);
        self.ends.insert((kept.until, owner, id));
        self.shares.add(owner.user, kept.source, 0);
        self.kept.insert((owner, id), kept);
    }

    /// Forgets a notice; returns the key of its row.
    pub(super) fn remove(&mut self, owner: Owner, id: EnvelopeId) -> Option<Vec<u8>> {
        let kept = self.kept.remove(&(owner, id))?;
        self.ends.remove(&(kept.until, owner, id));
        if let Some(queue) = self.queues.get_mut(&owner) {
            queue.remove(&kept.number);
            if queue.is_empty() {
                self.queues.remove(&owner);
            }
        }
        self.shares.take(owner.user, kept.source, 0);
        Some(row_key(owner, kept.number, id))
    }

    /// The first notice for an owner from a number on, and its number.
    pub(super) fn after(&self, owner: Owner, from: u64, now: Timestamp) -> Option<(u64, Notice)> {
        let notice = |(number, id): (&u64, &EnvelopeId)| {
            let until = self.kept.get(&(owner, *id))?.until;
            let (user, device) = (owner.user, owner.device);
            let notice = Notice { user, device, envelope: *id, until };
            (until > now).then_some((*number, notice))
        };
        self.queues.get(&owner)?.range(from..).find_map(notice)
    }

    /// The one that ends first.
    pub(super) fn first(&self) -> Option<(Timestamp, Owner, EnvelopeId)> {
        self.ends.first().copied()
    }
}
