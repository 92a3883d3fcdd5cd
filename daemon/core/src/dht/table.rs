//! The routing table: 160 buckets around the own id (Kademlia, 2002).

use std::collections::BTreeMap;

use bytchat_proto::id::NodeId;
use bytchat_proto::limits::{
    BUCKET_CONTACTS_MAX, BUCKET_REPLACEMENTS_MAX, HOLDERS_MAX, PREFIX_PER_TABLE_MAX,
};
use bytchat_proto::point::{Distance, Point};

use super::bucket::{Bucket, Entry, Heard};
use super::contacts::Peer;
use super::density::Choice;
use super::rtt::Rtt;
use crate::fill::Fills;
use crate::prefix::Prefix;
use crate::time::Mono;

/// Buckets: one per bit of an id.
pub(super) const BUCKETS: usize = 160;

/// What came of a failure.
#[derive(Debug)]
pub(super) struct Evicted {
    /// Who took the free place.
    pub(super) successor: Option<Peer>,
}

/// The routing table (SPEC 4.8).
pub(super) struct RoutingTable {
    own: Point,
    buckets: Vec<Bucket>,
    prefixes: BTreeMap<Prefix, usize>,
    count: usize,
}

impl RoutingTable {
    /// How full it is.
    pub(super) fn fills(&self, fills: &mut Fills) {
        let of = || self.buckets.iter().map(Bucket::fill);
        fills.most("contacts of a bucket", of().map(|(live, _)| live), BUCKET_CONTACTS_MAX);
        let behind = of().map(|(_, waiting)| waiting);
        fills.most("contacts behind a bucket", behind, BUCKET_REPLACEMENTS_MAX);
        let counts = self.prefixes.values().copied();
        fills.most("contacts of a prefix", counts, PREFIX_PER_TABLE_MAX);
    }

    /// An empty table around a node.
    pub(super) fn new(own: NodeId) -> Self {
        Self {
            own: Point::of_node(own),
            buckets: vec![Bucket::default(); BUCKETS],
            prefixes: BTreeMap::new(),
            count: 0,
        }
    }

    /// How many live contacts it has.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// The bucket of a point; none for the own id.
    pub(super) fn index_of(&self, point: Point) -> Option<usize> {
        let zeros = usize::try_from(self.own.distance(point).leading_zeros()).ok()?;
        (zeros < BUCKETS).then_some(zeros)
    }

    fn bucket_of(&mut self, node: NodeId) -> Option<&mut Bucket> {
        let index = self.index_of(Point::of_node(node))?;
        self.buckets.get_mut(index)
    }

    /// Finds a live contact.
    pub(super) fn get(&self, node: NodeId) -> Option<&Entry> {
        let index = self.index_of(Point::of_node(node))?;
        self.buckets.get(index)?.get(node)
    }

    /// Whether a stranger would find a place, or one to wait.
    pub(super) fn has_room(&self, node: NodeId) -> bool {
        let index = self.index_of(Point::of_node(node));
        let bucket = index.and_then(|index| self.buckets.get(index));
        bucket.is_some_and(Bucket::has_room)
    }

    /// The measured round trip of a node, as far as it is known.
    pub(super) fn rtt(&self, node: NodeId) -> Rtt {
        self.get(node).map(|entry| entry.rtt).unwrap_or_default()
    }

    /// All live contacts, the farthest bucket first.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.buckets.iter().flat_map(Bucket::live)
    }

    /// Takes a contact in that was heard from over an authenticated link.
    pub(super) fn heard(&mut self, peer: &Peer, rtt_ms: Option<u64>, now: Mono) -> Heard {
        let Some(bucket) = self.bucket_of(peer.node) else {
            return Heard::Known;
        };
        let Some(entry) = bucket.get_mut(peer.node) else {
            return self.add(Entry::new(peer.clone(), rtt_ms, now));
        };
        entry.answered(rtt_ms, now);
        let renewed = self.renew(peer);
        self.promote(peer.node).unwrap_or(renewed)
    }

    /// Lets a waiting contact that was heard from take a free place.
    fn promote(&mut self, node: NodeId) -> Option<Heard> {
        let bucket = self.bucket_of(node)?;
        if bucket.get(node).is_some() {
            return None;
        }
        let (entry, _) = bucket.remove(node)?;
        Some(self.add(entry))
    }

    /// Notes that a contact is there, as far as it does not fail.
    pub(super) fn noticed(&mut self, node: NodeId, now: Mono) {
        let entry = self.bucket_of(node).and_then(|it| it.get_mut(node));
        if let Some(entry) = entry.filter(|entry| !entry.is_suspect()) {
            entry.seen = now;
        }
    }

    /// Replaces a contact by a newer one of the same node.
    pub(super) fn renew(&mut self, peer: &Peer) -> Heard {
        let Some(bucket) = self.bucket_of(peer.node) else {
            return Heard::Known;
        };
        let Some(entry) = bucket.get_mut(peer.node) else {
            return Heard::Known;
        };
        if peer.record.sequence <= entry.peer.record.sequence {
            return Heard::Known;
        }
        let moved = entry.prefixes != peer.prefixes();
        entry.peer = peer.clone();
        if !moved {
            return Heard::Renewed;
        }
        // A new prefix has to pass the same limits as a new contact.
        let Some((mut entry, was_live)) = bucket.remove(peer.node) else {
            return Heard::Known;
        };
        self.uncount(was_live.then_some(&entry));
        entry.prefixes = peer.prefixes();
        match (self.add(entry), was_live) {
            (Heard::Joined, true) => Heard::Renewed,
            (heard, _) => heard,
        }
    }

    fn add(&mut self, entry: Entry) -> Heard {
        let fits = fits(&self.prefixes, &entry);
        let (node, prefixes) = (entry.peer.node, entry.prefixes.clone());
        let Some(bucket) = self.bucket_of(node) else {
            return Heard::Known;
        };
        let heard = bucket.add(entry, fits);
        if heard == Heard::Joined {
            self.count += 1;
            for prefix in prefixes {
                *self.prefixes.entry(prefix).or_default() += 1;
            }
        }
        heard
    }

    fn uncount(&mut self, gone: Option<&Entry>) {
        let Some(gone) = gone else { return };
        self.count -= 1;
        for prefix in &gone.prefixes {
            let left = self.prefixes.get(prefix).map_or(0, |it| it.saturating_sub(1));
            if left == 0 {
                self.prefixes.remove(prefix);
            } else {
                self.prefixes.insert(*prefix, left);
            }
        }
    }

    /// Counts a failure; a contact that must go is replaced by one that waits.
    pub(super) fn failed(
        &mut self,
        node: NodeId,
        heard: Option<Mono>,
        now: Mono,
    ) -> Option<Evicted> {
        let bucket = self.bucket_of(node)?;
        if !bucket.failed(node, heard, now) {
            return None;
        }
        self.expel(node)
    }

    /// Takes a contact out; one that was live is replaced by one that waits.
    pub(super) fn expel(&mut self, node: NodeId) -> Option<Evicted> {
        let (gone, was_live) = self.bucket_of(node)?.remove(node)?;
        if !was_live {
            return None;
        }
        self.uncount(Some(&gone));
        let index = self.index_of(Point::of_node(node))?;
        let prefixes = &self.prefixes;
        let bucket = self.buckets.get_mut(index)?;
        let next = bucket.take_waiting(|entry| fits(prefixes, entry));
        let successor = next.as_ref().map(|entry| entry.peer.clone());
        if let Some(next) = next {
            self.add(next);
        }
        Some(Evicted { successor })
    }

    /// The live contacts closest to a point, closest first.
    pub(super) fn closest(&self, point: Point, count: usize, trusted: bool) -> Vec<Peer> {
        let mut found: Vec<Peer> = Vec::new();
        for group in self.groups(point) {
            let live = group.iter().flat_map(|bucket| bucket.live());
            let mut here: Vec<(Distance, &Entry)> = live
                .filter(|entry| !(trusted && entry.is_suspect()))
                .map(|entry| (entry.peer.point().distance(point), entry))
                .collect();
            here.sort_unstable_by_key(|(distance, _)| *distance);
            let room = count.saturating_sub(found.len());
            found.extend(here.into_iter().take(room).map(|(_, it)| it.peer.clone()));
            if found.len() >= count {
                break;
            }
        }
        found
    }

    /// The buckets in groups of growing distance from a point: first the bucket in which the
    /// point lies, then all closer to us (they differ from the point at the same bit), then
    /// one after the other outwards.
    fn groups(&self, point: Point) -> impl Iterator<Item = &[Bucket]> {
        let index = self.index_of(point).unwrap_or(BUCKETS);
        let (outer, rest) = self.buckets.split_at(index);
        let (own, inner) = rest.split_at(rest.len().min(1));
        [own, inner].into_iter().chain(outer.chunks(1).rev())
    }

    /// How many live contacts are closer to a point than we are: exactly those in the buckets
    /// of the bits in which we differ from it.
    pub(super) fn closer_than_own(&self, point: Point) -> usize {
        let distance = self.own.distance(point);
        let bit_is_set = |index: usize| {
            let byte = distance.0.get(index / 8).copied().unwrap_or(0);
            byte & (0x80 >> (index % 8)) != 0
        };
        let buckets = self.buckets.iter().enumerate();
        let closer = buckets.filter(|(index, _)| bit_is_set(*index));
        closer.map(|(_, bucket)| bucket.live().len()).sum()
    }

    /// The others among the nodes that should hold what lies at a point, as far as we know,
    /// and whether we are one of the holders too.
    pub(super) fn holders(&self, point: Point, reach: Option<u64>) -> (Vec<Peer>, bool) {
        let own = self.own.distance(point);
        let mut choice = Choice::new(reach);
        let near = self.closest(point, 2 * HOLDERS_MAX, false);
        let ours = near.partition_point(|peer| peer.point().distance(point) < own);
        let (closer, farther) = near.split_at(ours);
        let mut chosen: Vec<Peer> = Vec::new();
        let distance = |peer: &Peer| peer.point().distance(point);
        chosen.extend(closer.iter().filter(|peer| choice.take(distance(peer))).cloned());
        let holds = choice.take(own);
        chosen.extend(farther.iter().filter(|peer| choice.take(distance(peer))).cloned());
        (chosen, holds)
    }

    /// The bucket of the closest live contact.
    pub(super) fn deepest(&self) -> Option<usize> {
        self.buckets.iter().rposition(|it| !it.live().is_empty())
    }

    /// The buckets that need a refresh now and then, with their index.
    pub(super) fn in_use(&self) -> impl Iterator<Item = (usize, &Bucket)> {
        let count = self.deepest().map_or(0, |index| index + 1);
        self.buckets.iter().take(count).enumerate()
    }

    /// Sets when a bucket is refreshed.
    pub(super) fn set_refresh(&mut self, index: usize, at: Mono) {
        if let Some(bucket) = self.buckets.get_mut(index) {
            bucket.refresh_at = Some(at);
        }
    }

    /// A point in a bucket, from random bytes.
    pub(super) fn point_in(&self, index: usize, random: [u8; 20]) -> Point {
        let mut point = random;
        let own = self.own.0;
        for (at, byte) in point.iter_mut().enumerate() {
            let kept = index.saturating_sub(at * 8).min(8);
            let mask = u8::try_from(0xff00_u32 >> kept & 0xff).unwrap_or(0xff);
            let ours = own.get(at).copied().unwrap_or(0);
            *byte = (ours & mask) | (*byte & !mask);
            if at == index / 8 {
                let bit = 0x80 >> (index % 8);
                *byte = (*byte & !bit) | (!ours & bit);
            }
        }
        Point(point)
    }
}

fn fits(counts: &BTreeMap<Prefix, usize>, entry: &Entry) -> bool {
    let count = |prefix| counts.get(prefix).copied().unwrap_or(0);
    let mut prefixes = entry.prefixes.iter();
    prefixes.all(|prefix| count(prefix) < PREFIX_PER_TABLE_MAX)
}
