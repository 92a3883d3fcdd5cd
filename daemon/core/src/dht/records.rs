//! Records that this node holds for others, within quotas.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytchat_proto::codec::encode;
use bytchat_proto::id::NodeId;
use bytchat_proto::key::DeviceKey;
use bytchat_proto::limits::{
    HOLDERS, HOLDERS_MAX, RECORDS_BYTES_MAX, RECORDS_MAX, RECORDS_PER_ANSWER_BYTES_MAX,
    RECORDS_PER_POINT_MAX,
};
use bytchat_proto::point::{Distance, Point};
use bytchat_proto::record::{Record, RecordBody, RecordKind, RecordSlot};
use bytchat_proto::timestamp::Timestamp;
use bytchat_proto::unverified::{Verified, digest_of};

use super::contacts::Peer;
use super::density::head;
use super::lookup::Slotted;
use crate::fill::Fills;
use crate::io::Outputs;
use crate::persist::Table;
use crate::planted::planted;
use crate::time::Mono;

/// Nodes remembered as holders of one record: those that are, and some that left or came.
const CONFIRMED_MAX: usize = 2 * HOLDERS_MAX;

/// How much a node holds; a type of its own so that tests can be small.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quota {
    pub(super) count: usize,
    pub(super) bytes: usize,
    pub(super) per_point: usize,
}

impl Default for Quota {
    fn default() -> Self {
        Self { count: RECORDS_MAX, bytes: RECORDS_BYTES_MAX, per_point: RECORDS_PER_POINT_MAX }
    }
}

/// What became of a record that was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// It is held now.
    New,
    /// The very same one was held already.
    Same,
    /// A newer one is held, with this sequence number.
    Stale(u64),
    /// A quota is used up, and everything held is nearer.
    Full,
}

/// One record held.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) record: Arc<Verified<RecordBody>>,
    /// Nodes that are believed to hold it too.
    pub(super) confirmed: Vec<NodeId>,
    /// When all holders were last served.
    pub(super) refreshed: Mono,
}

impl Held {
    /// Notes that a node holds it too.
    pub(super) fn confirm(&mut self, node: NodeId) {
        if !self.confirmed.contains(&node) {
            self.confirmed.push(node);
        }
        if self.confirmed.len() > CONFIRMED_MAX {
            self.confirmed.remove(0);
        }
    }
}

/// The records at one point, and who else should hold them.
#[derive(Clone, Debug)]
pub(super) struct Spot {
    pub(super) point: Point,
    pub(super) held: BTreeMap<(RecordKind, Option<DeviceKey>), Held>,
    /// The others that should hold it; unknown until somebody looked.
    holders: Option<Vec<NodeId>>,
    reach: Option<Distance>,
    /// Whoever is as near as this should hold it as well.
    region: Option<u64>,
    due: Mono,
}

impl Spot {
    /// Whether a node that came should hold this too.
    pub(super) fn wants(&self, node: NodeId) -> bool {
        let distance = Point::of_node(node).distance(self.point);
        let inside = self.region.is_some_and(|region| head(distance) <= region);
        let nearer = self.reach.is_none_or(|reach| distance < reach);
        self.holders.is_some() && (inside || nearer)
    }

    /// Whether a node that went should have held this.
    pub(super) fn misses(&self, node: NodeId) -> bool {
        let mut holders = self.holders.iter().flatten();
        holders.any(|holder| *holder == node)
    }

    /// How many of the holders are closer than a distance: they act first.
    pub(super) fn rank(&self, own: Distance) -> usize {
        let distance = |node: &NodeId| Point::of_node(*node).distance(self.point);
        let holders = self.holders.iter().flatten();
        holders.filter(|node| distance(node) < own).count()
    }

    /// Notes who should hold this.
    pub(super) fn set_holders(
        &mut self,
        others: &[Peer],
        own: Option<Distance>,
        region: Option<u64>,
    ) {
        self.region = region;
        self.holders = Some(others.iter().map(|peer| peer.node).collect());
        let full = others.len() + usize::from(own.is_some()) >= HOLDERS;
        let others = others.iter().map(|peer| peer.point().distance(self.point));
        let far = others.chain(own).max();
        self.reach = far.filter(|_| full);
    }
}

/// All records held, the nearest first.
pub(super) struct Records {
    own: Point,
    quota: Quota,
    spots: BTreeMap<Distance, Spot>,
    due: BTreeSet<(Mono, Distance)>,
    expiry: BTreeSet<(Timestamp, RecordSlot)>,
    bytes: usize,
}

impl Records {
    /// How full it is.
    pub(super) fn fills(&self, fills: &mut Fills) {
        fills.note("records held", self.len(), self.quota.count);
        fills.note("places of records", self.spots.len().max(self.due.len()), self.quota.count);
        fills.note("bytes of records held", self.bytes, self.quota.bytes);
        let spots = || self.spots.values();
        fills.most("records of a point", spots().map(|it| it.held.len()), self.quota.per_point);
        let confirmed = spots().flat_map(|it| it.held.values().map(|it| it.confirmed.len()));
        fills.most("holders of a record", confirmed, CONFIRMED_MAX);
    }

    /// Holds nothing yet.
    pub(super) fn new(own: NodeId, quota: Quota) -> Self {
        Self {
            own: Point::of_node(own),
            quota,
            spots: BTreeMap::new(),
            due: BTreeSet::new(),
            expiry: BTreeSet::new(),
            bytes: 0,
        }
    }

    /// How many records are held.
    pub(super) fn len(&self) -> usize {
        self.expiry.len()
    }

    /// How many bytes they have.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn distance(&self, point: Point) -> Distance {
        self.own.distance(point)
    }

    /// The records at a point.
    pub(super) fn spot(&self, point: Point) -> Option<&Spot> {
        self.spots.get(&self.distance(point))
    }

    /// The records at a point, to change what is known about their holders.
    pub(super) fn spot_mut(&mut self, point: Point) -> Option<&mut Spot> {
        let distance = self.distance(point);
        self.spots.get_mut(&distance)
    }

    /// All points, nearest first.
    pub(super) fn spots(&self) -> impl Iterator<Item = &Spot> {
        self.spots.values()
    }

    /// The record in a slot.
    pub(super) fn get(&self, slot: &RecordSlot) -> Option<&Held> {
        self.spot(slot.point)?.held.get(&(slot.kind, slot.device))
    }

    /// The record in a slot, to change what is known about its holders.
    pub(super) fn get_mut(&mut self, slot: &RecordSlot) -> Option<&mut Held> {
        let spot = self.spot_mut(slot.point)?;
        spot.held.get_mut(&(slot.kind, slot.device))
    }

    /// The records of a kind at a point.
    pub(super) fn of_kind(&self, point: Point, kind: RecordKind) -> impl Iterator<Item = &Held> {
        let held = self.spot(point).into_iter().flat_map(|spot| &spot.held);
        held.filter(move |((its, _), _)| *its == kind).map(|(_, held)| held)
    }

    /// The same as an answer that fits a frame.
    pub(super) fn answer(&self, point: Point, kind: RecordKind, now: Timestamp) -> Vec<Record> {
        let mut bytes = 0;
        let live = self.of_kind(point, kind).map(|held| &held.record);
        live.filter(|record| record.expires > now)
            .map(|record| record.source().clone())
            .take_while(|record| {
                bytes += record.bytes_len();
                bytes <= RECORDS_PER_ANSWER_BYTES_MAX
            })
            .collect()
    }

    /// Keeps a record, if it is newer than what is held and there is room (SPEC 4.11).
    pub(super) fn keep(&mut self, new: &Slotted, now: Mono, out: &mut Outputs) -> Kept {
        let old = self.get(&new.slot).map(|held| held.record.clone());
        if let Some(old) = &old {
            if old.source().signed_bytes() == new.record.source().signed_bytes() {
                return Kept::Same;
            }
            if !is_newer(&new.record, old) && !planted!(StaleAccepted) {
                return Kept::Stale(old.sequence);
            }
        }
        if !self.make_room(new, old.as_deref(), out) {
            return Kept::Full;
        }
        self.take_out(&new.slot);
        out.put(Table::Record, row_key(&new.slot), encode(new.record.source()));
        self.insert(new, now);
        Kept::New
    }

    /// Puts a record in place that the disk had.
    pub(super) fn restore(&mut self, record: &Slotted, now: Mono) -> bool {
        let bytes = self.bytes + record.record.source().bytes_len();
        let fits = self.len() < self.quota.count && bytes <= self.quota.bytes;
        let free = self.get(&record.slot).is_none();
        if fits && free {
            self.insert(record, now);
        }
        fits && free
    }

    fn insert(&mut self, new: &Slotted, now: Mono) {
        let distance = self.distance(new.slot.point);
        self.bytes += new.record.source().bytes_len();
        self.expiry.insert((new.record.expires, new.slot.clone()));
        let spot = self.spots.entry(distance).or_insert_with(|| Spot {
            point: new.slot.point,
            held: BTreeMap::new(),
            holders: None,
            reach: None,
            region: None,
            due: now,
        });
        self.due.insert((spot.due, distance));
        let held = Held { record: new.record.clone(), confirmed: Vec::new(), refreshed: now };
        spot.held.insert((new.slot.kind, new.slot.device), held);
    }

    /// Whether a record fits, after farther ones have gone.
    fn make_room(
        &mut self,
        new: &Slotted,
        old: Option<&Verified<RecordBody>>,
        out: &mut Outputs,
    ) -> bool {
        let size = new.record.source().bytes_len();
        let freed = old.map_or(0, |old| old.source().bytes_len());
        let here = self.spot(new.slot.point).map_or(0, |spot| spot.held.len());
        if old.is_none() && here >= self.quota.per_point {
            return false;
        }
        let own = self.distance(new.slot.point);
        let fits = |records: &Self| {
            let count = records.len() + usize::from(old.is_none());
            let bytes = (records.bytes + size).saturating_sub(freed);
            count <= records.quota.count && bytes <= records.quota.bytes
        };
        while !fits(self) {
            // SPEC 4.11: a full holder gives up what is farthest from it, never what is nearer.
            let Some((distance, spot)) = self.spots.last_key_value() else {
                return false;
            };
            let Some((kind, device)) = spot.held.keys().next_back().copied() else {
                return false;
            };
            if *distance <= own {
                return false;
            }
            let point = spot.point;
            self.remove(&RecordSlot { point, kind, device }, out);
        }
        true
    }

    fn take_out(&mut self, slot: &RecordSlot) {
        let distance = self.distance(slot.point);
        let Some(spot) = self.spots.get_mut(&distance) else {
            return;
        };
        let Some(held) = spot.held.remove(&(slot.kind, slot.device)) else {
            return;
        };
        self.bytes = self.bytes.saturating_sub(held.record.source().bytes_len());
        self.expiry.remove(&(held.record.expires, slot.clone()));
        if spot.held.is_empty() {
            self.due.remove(&(spot.due, distance));
            self.spots.remove(&distance);
        }
    }

    /// Gives a record up.
    pub(super) fn remove(&mut self, slot: &RecordSlot, out: &mut Outputs) {
        self.take_out(slot);
        out.remove(Table::Record, row_key(slot));
    }

    /// Gives up what has expired.
    pub(super) fn expire(&mut self, now: Timestamp, out: &mut Outputs) {
        while let Some((expires, slot)) = self.expiry.first().cloned() {
            if expires > now {
                return;
            }
            self.remove(&slot, out);
        }
    }

    /// When the next record expires.
    pub(super) fn next_expiry(&self) -> Option<Timestamp> {
        self.expiry.first().map(|(expires, _)| *expires)
    }

    /// Sets when the holders of a point are looked after; `sooner` never puts it off.
    pub(super) fn schedule(&mut self, point: Point, at: Mono, sooner: bool) {
        let distance = self.distance(point);
        let Some(spot) = self.spots.get_mut(&distance) else {
            return;
        };
        if sooner && spot.due <= at {
            return;
        }
        self.due.remove(&(spot.due, distance));
        spot.due = at;
        self.due.insert((at, distance));
    }

    /// When the next point is to be looked after.
    pub(super) fn next_due(&self) -> Option<Mono> {
        self.due.first().map(|(at, _)| *at)
    }

    /// The next point to be looked after.
    pub(super) fn due(&self, now: Mono) -> Option<Point> {
        let (at, distance) = self.due.first()?;
        let spot = self.spots.get(distance)?;
        (*at <= now).then_some(spot.point)
    }
}

/// The key of a record's row: point, kind, device.
pub(super) fn row_key(slot: &RecordSlot) -> Vec<u8> {
    let kind = match slot.kind {
        RecordKind::User => 1,
        RecordKind::Profile => 2,
        RecordKind::Prekey => 3,
        RecordKind::Location => 4,
    };
    let device = slot.device.iter().flat_map(|device| device.0);
    let point = slot.point.0.into_iter();
    point.chain([kind]).chain(device).collect()
}

/// Which of two records with the same slot is kept: the one with the higher sequence number,
/// and among equals the one with the lower hash, so that all holders decide alike.
pub(super) fn is_newer(new: &Verified<RecordBody>, old: &Verified<RecordBody>) -> bool {
    // SPEC 4.11: the number decides, then the hash.
    if new.sequence != old.sequence {
        return new.sequence > old.sequence;
    }
    let hash = |it: &Verified<RecordBody>| digest_of::<RecordBody>(it.source().signed_bytes());
    hash(new) < hash(old)
}
