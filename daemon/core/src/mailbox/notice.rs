//! Notices for devices that are away: that something waits for them elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use bytchat_proto::id::{EnvelopeId, UserId};
use bytchat_proto::timestamp::Timestamp;
use bytchat_proto::wire::Notice;

use super::Limits;
use super::shelf::{Owner, parse_row_key, row_key};

/// All notices that are kept, in the order in which they came.
pub(super) struct Notices {
    queues: BTreeMap<Owner, BTreeMap<u64, EnvelopeId>>,
    kept: BTreeMap<(Owner, EnvelopeId), Kept>,
    per_user: BTreeMap<UserId, usize>,
    ends: BTreeSet<(Timestamp, Owner, EnvelopeId)>,
    next_number: u64,
}

#[derive(Clone, Copy, Debug)]
struct Kept {
    number: u64,
    until: Timestamp,
}

impl Notices {
    pub(super) fn new() -> Self {
        Self {
            queues: BTreeMap::new(),
            kept: BTreeMap::new(),
            per_user: BTreeMap::new(),
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

    pub(super) fn is_full(&self, user: UserId, limits: &Limits) -> bool {
        let count = self.per_user.get(&user).copied().unwrap_or(0);
        count >= limits.notices_per_user || self.kept.len() >= limits.notices
    }

    /// Keeps a notice as the latest; returns its row.
    pub(super) fn push(
        &mut self,
        owner: Owner,
        id: EnvelopeId,
        until: Timestamp,
    ) -> (Vec<u8>, Vec<u8>) {
        let number = self.next_number;
        self.insert(owner, id, Kept { number, until });
        (row_key(owner, number, id), until.0.to_be_bytes().as_slice().to_vec())
    }

    /// Takes in a row that was kept; false if it is malformed.
    pub(super) fn restore(&mut self, key: &[u8], value: &[u8]) -> bool {
        let Some((owner, number, id)) = parse_row_key(key) else {
            return false;
        };
        let Ok(until) = value.try_into() else {
            return false;
        };
        let until = Timestamp(u64::from_be_bytes(until));
        self.insert(owner, id, Kept { number, until });
        true
    }

    fn insert(&mut self, owner: Owner, id: EnvelopeId, kept: Kept) {
        self.remove(owner, id);
        self.next_number = self.next_number.max(kept.number.saturating_add(1));
        self.queues.entry(owner).or_default().insert(kept.number, id);
        self.ends.insert((kept.until, owner, id));
        *self.per_user.entry(owner.user).or_default() += 1;
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
        if let Some(count) = self.per_user.get_mut(&owner.user) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.per_user.remove(&owner.user);
            }
        }
        Some(row_key(owner, kept.number, id))
    }

    /// What is kept for an owner, the oldest first.
    pub(super) fn of(&self, owner: Owner, now: Timestamp) -> Vec<Notice> {
        let queue = self.queues.get(&owner).into_iter().flatten();
        let notice = |(_, id): (&u64, &EnvelopeId)| {
            let kept = self.kept.get(&(owner, *id))?;
            (kept.until > now).then_some(Notice {
                user: owner.user,
                device: owner.device,
                envelope: *id,
                until: kept.until,
            })
        };
        queue.filter_map(notice).collect()
    }

    /// The one that ends first.
    pub(super) fn first(&self) -> Option<(Timestamp, Owner, EnvelopeId)> {
        self.ends.first().copied()
    }
}
