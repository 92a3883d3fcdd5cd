//! Envelopes that their owners removed: remembered, so that no other holder brings them back.

use std::collections::{BTreeMap, BTreeSet};

use bytchat_proto::id::{EnvelopeId, MailMark, UserId};
use bytchat_proto::timestamp::Timestamp;

use super::Limits;
use super::shelf::Owner;
use crate::fill::Fills;

/// A removed envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tombstone {
    pub(super) user: UserId,
    /// When its owner removed it.
    pub(super) taken: Timestamp,
    /// When it would have ended.
    pub(super) until: Timestamp,
    /// Whether it lay here.
    pub(super) seen: bool,
}

/// All removed envelopes that are remembered.
pub(super) struct Tombstones {
    marks: BTreeMap<MailMark, Tombstone>,
    ends: BTreeSet<(Timestamp, MailMark)>,
    unseen: BTreeMap<UserId, usize>,
}

impl Owner {
    /// Names one envelope of one owner: nobody can bury the mail of somebody else.
    pub(super) fn mark(self, id: EnvelopeId) -> MailMark {
        MailMark::new(self.user, self.device, id)
    }
}

impl Tombstones {
    /// How full it is.
    pub(super) fn fills(&self, limits: &Limits, fills: &mut Fills) {
        fills.note("tombstones", self.marks.len().max(self.ends.len()), limits.tombstones);
        let unseen = self.unseen.values().copied();
        let max = limits.tombstones_unseen_per_user;
        fills.most("removals never seen of a user", unseen, max);
    }

    pub(super) fn new() -> Self {
        Self { marks: BTreeMap::new(), ends: BTreeSet::new(), unseen: BTreeMap::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.marks.len()
    }

    /// The tombstone of an envelope, unless it is over.
    pub(super) fn get(&self, mark: MailMark, now: Timestamp) -> Option<&Tombstone> {
        self.marks.get(&mark).filter(|stone| stone.until > now)
    }

    /// Whether there is room for one more, if it never lay here.
    pub(super) fn has_room(&self, user: UserId, limits: &Limits) -> bool {
        self.unseen.get(&user).copied().unwrap_or(0) < limits.tombstones_unseen_per_user
    }

    pub(super) fn insert(&mut self, mark: MailMark, stone: Tombstone) {
        self.remove(mark);
        if !stone.seen {
            *self.unseen.entry(stone.user).or_default() += 1;
        }
        self.ends.insert((stone.until, mark));
        self.marks.insert(mark, stone);
    }

    pub(super) fn remove(&mut self, mark: MailMark) {
        let Some(stone) = self.marks.remove(&mark) else {
            return;
        };
        self.ends.remove(&(stone.until, mark));
        if stone.seen {
            return;
        }
        if let Some(count) = self.unseen.get_mut(&stone.user) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.unseen.remove(&stone.user);
            }
        }
    }

    /// The one that ends first.
    pub(super) fn first(&self) -> Option<(Timestamp, MailMark)> {
        self.ends.first().copied()
    }
}

impl Tombstone {
    /// The value of its row.
    pub(super) fn row_value(&self) -> Vec<u8> {
        let mut value = Vec::with_capacity(37);
        value.extend_from_slice(&self.user.0);
        value.extend_from_slice(&self.taken.0.to_be_bytes());
        value.extend_from_slice(&self.until.0.to_be_bytes());
        value.push(u8::from(self.seen));
        value
    }

    /// Reads a row.
    pub(super) fn parse_row(key: &[u8], value: &[u8]) -> Option<(MailMark, Self)> {
        let mark = MailMark::from_slice(key)?;
        let (user, rest) = value.split_first_chunk()?;
        let (taken, rest) = rest.split_first_chunk()?;
        let (until, rest) = rest.split_first_chunk()?;
        let stone = Self {
            user: UserId(*user),
            taken: Timestamp(u64::from_be_bytes(*taken)),
            until: Timestamp(u64::from_be_bytes(*until)),
            seen: *rest.first()? != 0,
        };
        Some((mark, stone))
    }
}
