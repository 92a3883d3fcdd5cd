//! The envelopes that lie here: what is known of each, by owner, arrival and end.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};

use bytchat_proto::envelope::Envelope;
use bytchat_proto::id::{EnvelopeId, MailMark, NodeId, UserId};
use bytchat_proto::key::DeviceKey;
use bytchat_proto::limits::HOLDERS_CONFIRMED_MAX;
use bytchat_proto::timestamp::Timestamp;

use super::Limits;
use super::share::{SOURCE_BYTES, Shares, Source};
use crate::fill::Fills;
use crate::time::Mono;

/// Whose mail it is: one device of one user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Owner {
    pub(super) user: UserId,
    pub(super) device: DeviceKey,
}

/// An envelope without its bytes, which are on disk.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) owner: Owner,
    /// The order of its arrival.
    pub(super) arrival: u64,
    pub(super) bytes: usize,
    pub(super) until: Timestamp,
    /// Who brought it, and has so much less of its share.
    pub(super) source: Source,
    /// Nodes that have said that they have it, or that they will not take it, and when.
    pub(super) confirmed: Vec<(NodeId, Mono)>,
}

/// The index of all envelopes held for others.
pub(super) struct Shelf {
    held: BTreeMap<EnvelopeId, Held>,
    marks: BTreeMap<MailMark, EnvelopeId>,
    queues: BTreeMap<Owner, BTreeMap<u64, EnvelopeId>>,
    shares: Shares,
    ends: BTreeSet<(Timestamp, EnvelopeId)>,
    next_arrival: u64,
    /// Envelopes that other holders took from us, and those that they did not.
    pub(super) handed: (u64, u64),
}

impl Owner {
    pub(super) fn of(envelope: &Envelope) -> Self {
        Self { user: envelope.user(), device: envelope.device() }
    }

    /// All owners of a user, as the ends of a range.
    pub(super) fn all_of(user: UserId) -> std::ops::RangeInclusive<Self> {
        let end = |byte| Self { user, device: DeviceKey([byte; 32]) };
        end(0)..=end(u8::MAX)
    }
}

impl Held {
    /// Where its row is.
    pub(super) fn key(&self, id: EnvelopeId) -> Vec<u8> {
        row_key(self.owner, self.arrival, id)
    }
}

impl Shelf {
    /// How full it is.
    pub(super) fn fills(&self, limits: &Limits, fills: &mut Fills) {
        let indexes = [self.held.len(), self.marks.len(), self.ends.len(), self.queues.len()];
        let held = indexes.into_iter().max().unwrap_or_default();
        fills.note("envelopes", held, limits.envelopes);
        self.shares.fills("envelopes of a user", limits.envelopes_per_user, fills);
        let confirmed = self.held.values().map(|held| held.confirmed.len());
        fills.most("holders that confirmed an envelope", confirmed, HOLDERS_CONFIRMED_MAX);
    }

    pub(super) fn new() -> Self {
        Self {
            held: BTreeMap::new(),
            marks: BTreeMap::new(),
            queues: BTreeMap::new(),
            shares: Shares::default(),
            ends: BTreeSet::new(),
            handed: (0, 0),
            next_arrival: 1,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    pub(super) fn get(&self, id: EnvelopeId) -> Option<&Held> {
        self.held.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: EnvelopeId) -> Option<&mut Held> {
        self.held.get_mut(&id)
    }

    /// The envelope with a mark.
    pub(super) fn marked(&self, mark: MailMark) -> Option<EnvelopeId> {
        self.marks.get(&mark).copied()
    }

    /// The envelope, if it is this owner's.
    pub(super) fn get_of(&self, owner: Owner, id: EnvelopeId) -> Option<&Held> {
        self.get(id).filter(|held| held.owner == owner)
    }

    /// Why there is no room for an envelope of so many bytes from a source.
    pub(super) fn full(
        &self,
        user: UserId,
        source: Source,
        bytes: usize,
        limits: &Limits,
    ) -> Option<&'static str> {
        self.shares.full(user, source, bytes, &limits.of_envelopes())
    }

    /// A number for the next envelope that comes.
    pub(super) fn next_arrival(&self) -> u64 {
        self.next_arrival
    }

    /// Takes an envelope in; false if it is here already.
    pub(super) fn insert(&mut self, id: EnvelopeId, held: Held) -> bool {
        if self.held.contains_key(&id) {
            return false;
        }
        self.next_arrival = self.next_arrival.max(held.arrival.saturating_add(1));
        self.ends.insert((held.until, id));
        self.shares.add(held.owner.user, held.source, held.bytes);
        self.queues.entry(held.owner).or_default().insert(held.arrival, id);
        self.marks.insert(held.owner.mark(id), id);
        self.held.insert(id, held);
        true
    }

    pub(super) fn remove(&mut self, id: EnvelopeId) -> Option<Held> {
        let held = self.held.remove(&id)?;
        self.ends.remove(&(held.until, id));
        self.marks.remove(&held.owner.mark(id));
        if let Some(queue) = self.queues.get_mut(&held.owner) {
            queue.remove(&held.arrival);
            if queue.is_empty() {
                self.queues.remove(&held.owner);
            }
        }
        self.shares.take(held.owner.user, held.source, held.bytes);
        Some(held)
    }

    /// Gives an envelope a later end.
    pub(super) fn extend(&mut self, id: EnvelopeId, until: Timestamp) {
        if let Some(held) = self.held.get_mut(&id) {
            self.ends.remove(&(held.until, id));
            held.until = until;
            self.ends.insert((until, id));
        }
    }

    /// Whether anything lies here for a user.
    pub(super) fn holds_for(&self, user: UserId) -> bool {
        self.shares.of_user(user).count > 0
    }

    /// How many wait for an owner.
    pub(super) fn waiting(&self, owner: Owner) -> usize {
        self.queues.get(&owner).map_or(0, BTreeMap::len)
    }

    /// What waits for an owner, in the order of arrival, from a number on.
    pub(super) fn queue(&self, owner: Owner, from: u64) -> impl Iterator<Item = (u64, EnvelopeId)> {
        self.queues
            .get(&owner)
            .into_iter()
            .flat_map(move |queue| queue.range(from..).map(|(arrival, id)| (*arrival, *id)))
    }

    /// The one after a place in the order of owners and arrivals.
    pub(super) fn after(&self, place: Option<(Owner, u64)>) -> Option<(Owner, u64, EnvelopeId)> {
        let first = |(owner, queue): (&Owner, &BTreeMap<u64, EnvelopeId>)| {
            let (arrival, id) = queue.first_key_value()?;
            Some((*owner, *arrival, *id))
        };
        let Some((owner, arrival)) = place else {
            return self.queues.first_key_value().and_then(first);
        };
        let same = self.queues.get(&owner).and_then(|queue| {
            let (arrival, id) = queue.range((Excluded(arrival), Unbounded)).next()?;
            Some((owner, *arrival, *id))
        });
        same.or_else(|| {
            let mut later = self.queues.range((Excluded(owner), Unbounded));
            later.next().and_then(first)
        })
    }

    /// The earliest end.
    pub(super) fn earliest(&self) -> Option<Timestamp> {
        self.ends.first().map(|(until, _)| *until)
    }

    /// The first one that is over.
    pub(super) fn expired(&self, now: Timestamp) -> Option<EnvelopeId> {
        let (until, id) = self.ends.first()?;
        (*until <= now).then_some(*id)
    }

    #[cfg(test)]
    pub(super) fn sizes(&self) -> impl Iterator<Item = usize> {
        self.held.values().map(|held| held.bytes)
    }

    #[cfg(test)]
    pub(super) fn usage_of(&self, user: UserId) -> (usize, usize) {
        let used = self.shares.of_user(user);
        (used.count, used.bytes)
    }

    #[cfg(test)]
    pub(super) fn shares_mut(&mut self) -> &mut Shares {
        &mut self.shares
    }
}

/// The key of a row of mail: owner, arrival, id.
pub(super) fn row_key(owner: Owner, arrival: u64, id: EnvelopeId) -> Vec<u8> {
    let mut key = Vec::with_capacity(92);
    key.extend_from_slice(&owner.user.0);
    key.extend_from_slice(&owner.device.0);
    key.extend_from_slice(&arrival.to_be_bytes());
    key.extend_from_slice(&id.0);
    key
}

/// Reads the key of a row of mail.
pub(super) fn parse_row_key(key: &[u8]) -> Option<(Owner, u64, EnvelopeId)> {
    let (user, rest) = key.split_first_chunk()?;
    let (device, rest) = rest.split_first_chunk()?;
    let (arrival, id) = rest.split_first_chunk()?;
    let owner = Owner { user: UserId(*user), device: DeviceKey(*device) };
    Some((owner, u64::from_be_bytes(*arrival), EnvelopeId::from_slice(id)?))
}

/// The value of an envelope's row: its end, who brought it, and its bytes.
pub(super) fn row_value(until: Timestamp, source: Source, envelope: &Envelope) -> Vec<u8> {
    let mut value = Vec::with_capacity(8 + SOURCE_BYTES + envelope.as_bytes().len());
    value.extend_from_slice(&until.0.to_be_bytes());
    value.extend_from_slice(&source.encode());
    value.extend_from_slice(envelope.as_bytes());
    value
}

/// Reads an envelope's row; the envelope must be its owner's.
pub(super) fn parse_row(key: &[u8], value: &[u8]) -> Option<(EnvelopeId, Held, Envelope)> {
    let (owner, arrival, id) = parse_row_key(key)?;
    let (until, rest) = value.split_first_chunk()?;
    let (source, bytes) = rest.split_first_chunk()?;
    let envelope = Envelope::decode(bytes.to_vec()).ok()?;
    let held = Held {
        owner,
        arrival,
        bytes: bytes.len(),
        until: Timestamp(u64::from_be_bytes(*until)),
        source: Source::decode(*source)?,
        confirmed: Vec::new(),
    };
    (Owner::of(&envelope) == owner).then_some((id, held, envelope))
}
