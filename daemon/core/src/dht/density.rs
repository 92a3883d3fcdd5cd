//! How dense the network is, and which nodes hold what lies at a point by that.

use std::collections::{BTreeMap, VecDeque};

use bytchat_proto::id::NodeId;
use bytchat_proto::limits::{
    CROWD_KEEP_MS, CROWDED_NODES, CROWDS_MAX, DENSITY_SAMPLES_FIRST, DENSITY_SAMPLES_MAX,
    DENSITY_SAMPLES_MIN, HOLDERS, HOLDERS_MAX, REGION_NODES,
};
use bytchat_proto::point::{Distance, Point};

use super::lookup::Lookup;
use super::{Dht, Event};
use crate::time::{Mono, Now};

/// A point whose neighbourhood has more nodes than chance would put there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crowd {
    /// The point.
    pub point: Point,
    /// Nodes found where `REGION_NODES` are expected.
    pub nodes: usize,
}

/// How far from random points the fifth nearest node was, of the last lookups of the upkeep.
/// Points that others choose say nothing, because others may have gathered there.
#[derive(Default)]
pub(super) struct Density {
    samples: VecDeque<u64>,
}

impl Density {
    /// Takes in a lookup of a random point.
    pub(super) fn note(&mut self, lookup: &Lookup) {
        let Some(far) = lookup.answered_peers().nth(HOLDERS - 1) else {
            return;
        };
        self.samples.push_back(head(far.point().distance(lookup.target)));
        if self.samples.len() > DENSITY_SAMPLES_MAX {
            self.samples.pop_front();
        }
    }

    /// How many more lookups of random points are due.
    pub(super) fn wanted(&self) -> usize {
        if self.samples.len() < DENSITY_SAMPLES_MIN { DENSITY_SAMPLES_FIRST } else { 1 }
    }

    /// The distance of the fifth nearest node, as it usually is: its first eight bytes. The
    /// median, so that a few lookups that were lied to change little.
    fn fifth(&self) -> Option<u64> {
        if self.samples.len() < DENSITY_SAMPLES_MIN {
            return None;
        }
        let mut sorted: Vec<u64> = self.samples.iter().copied().collect();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied()
    }

    /// How many nodes the network has, as far as that is known.
    pub(super) fn nodes(&self) -> Option<u64> {
        // The median of the fifth of n random distances is 4.67 parts in n.
        let fifth = u128::from(self.fifth()?.max(1));
        let nodes = (u128::from(u64::MAX) * 467) / (fifth * 100);
        u64::try_from(nodes).ok()
    }

    /// Within this distance `REGION_NODES` are to be expected.
    pub(super) fn reach(&self) -> Option<u64> {
        let wide = u128::from(self.fifth()?) * 100 * u128::from(REGION_NODES) / 467;
        Some(u64::try_from(wide).unwrap_or(u64::MAX))
    }

    /// Whether so many nodes within reach are more than chance would put there.
    pub(super) fn crowd(&self, lookup: &Lookup) -> Option<Crowd> {
        let reach = self.reach()?;
        let point = lookup.target;
        let peers = lookup.answered_peers();
        let nodes = peers.filter(|peer| head(peer.point().distance(point)) <= reach).count();
        (nodes >= CROWDED_NODES).then_some(Crowd { point, nodes })
    }
}

/// The first eight bytes of a distance: enough to compare how far things are.
pub(super) fn head(distance: Distance) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = distance.0;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// Chooses the holders of a point among nodes, the nearest first: the five nearest and all within
/// reach, and so many at most (SPEC 4.1). What addresses a node names counts for nothing here: who
/// names those of others would push them out.
#[derive(Debug)]
pub(super) struct Choice {
    reach: Option<u64>,
    chosen: usize,
}

impl Choice {
    /// Nobody is chosen yet.
    pub(super) fn new(reach: Option<u64>) -> Self {
        Self { reach, chosen: 0 }
    }

    /// Whether nobody farther away can be chosen.
    pub(super) fn is_full(&self, distance: Distance) -> bool {
        let inside = self.reach.is_some_and(|reach| head(distance) <= reach);
        self.chosen >= if inside { HOLDERS_MAX } else { HOLDERS }
    }

    /// Chooses the next nearest node, if it may be one.
    pub(super) fn take(&mut self, distance: Distance) -> bool {
        let takes = !self.is_full(distance);
        self.chosen += usize::from(takes);
        takes
    }

    /// Notes that this node itself is one.
    pub(super) fn take_self(&mut self) {
        self.chosen += 1;
    }
}

/// The crowded points that were met lately.
#[derive(Default)]
pub(super) struct Crowds {
    met: BTreeMap<Point, Mono>,
}

impl Crowds {
    /// Notes one; whether it is news.
    fn note(&mut self, point: Point, now: Mono) -> bool {
        let old = |at: &Mono| now.since_ms(*at) >= CROWD_KEEP_MS;
        self.met.retain(|_, at| !old(at));
        let news = self.met.len() < CROWDS_MAX && !self.met.contains_key(&point);
        if news {
            self.met.insert(point, now);
        }
        news
    }

    /// How many are remembered.
    pub(super) fn count(&self, now: Mono) -> usize {
        self.met.values().filter(|at| now.since_ms(**at) < CROWD_KEEP_MS).count()
    }
}

impl Dht {
    /// The nodes that should hold what lies at a point, this one perhaps among them.
    pub fn holders(&self, point: Point) -> Vec<NodeId> {
        let (others, own) = self.table.holders(point, self.density.reach());
        let mut nodes: Vec<NodeId> = others.iter().map(|peer| peer.node).collect();
        nodes.extend(own.then_some(self.own.node));
        nodes.sort_by_key(|node| Point::of_node(*node).distance(point));
        nodes
    }

    /// How many of some nodes, the nearest first, are the holders of a point.
    pub fn holders_among(&self, point: Point, nodes: impl Iterator<Item = NodeId>) -> usize {
        let mut choice = Choice::new(self.density.reach());
        nodes.take_while(|node| choice.take(Point::of_node(*node).distance(point))).count()
    }

    /// Whether we are so near to a point that others may take us for a holder: views differ.
    pub fn is_near(&self, point: Point) -> bool {
        self.may_hold(point, 2 * HOLDERS)
    }

    /// The same of another node.
    pub fn is_neighbour(&self, node: NodeId, point: Point) -> bool {
        let near = self.table.closest(point, 2 * HOLDERS, false);
        near.iter().any(|peer| peer.node == node) || self.is_within(node, point)
    }

    /// Whether fewer than so many nodes are nearer to a point, or we are within twice the reach.
    pub(super) fn may_hold(&self, point: Point, closer: usize) -> bool {
        self.table.closer_than_own(point) < closer || self.is_within(self.own.node, point)
    }

    fn is_within(&self, node: NodeId, point: Point) -> bool {
        let distance = head(Point::of_node(node).distance(point));
        self.density.reach().is_some_and(|reach| distance / 2 <= reach)
    }

    /// A lookup is done: does its target look as if somebody had bought the places there?
    pub(super) fn watch_crowds(&mut self, lookup: &Lookup, now: Now) {
        if let Some(crowd) = self.density.crowd(lookup)
            && self.crowds.note(crowd.point, now.mono)
        {
            self.news(Event::Crowded(crowd));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dense(nodes: u64) -> Density {
        let fifth = u64::MAX / nodes * 467 / 100;
        Density {
            samples: [1, 1, fifth / 2, fifth, fifth, fifth, fifth * 2, u64::MAX, u64::MAX].into(),
        }
    }

    fn at(head: u64) -> Distance {
        let mut distance = [0; 20];
        distance[..8].copy_from_slice(&head.to_be_bytes());
        Distance(distance)
    }

    #[test]
    fn the_median_tells_how_many_nodes_there_are() {
        let nodes = dense(1000).nodes().unwrap();
        assert!((995..=1005).contains(&nodes), "{nodes}");
        let few = Density { samples: [1; 7].into() };
        assert_eq!((few.nodes(), few.reach()), (None, None));
    }

    #[test]
    fn holders_are_the_nearest_and_all_within_reach_up_to_the_bound() {
        let reach = dense(1000).reach().unwrap();
        let chosen = |distances: &[u64]| {
            let mut choice = Choice::new(Some(reach));
            distances.iter().take_while(|distance| choice.take(at(**distance))).count()
        };
        assert_eq!(chosen(&[reach + 1; 9]), HOLDERS);
        assert_eq!(chosen(&[[1; 7].as_slice(), &[reach + 1]].concat()), 7);
        assert_eq!(chosen(&[reach; 100]), HOLDERS_MAX);
        assert_eq!(chosen(&[reach; 3]), 3);
    }

    #[test]
    fn crowds_are_told_of_once_an_hour_and_have_a_bound() {
        let mut crowds = Crowds::default();
        let point = |number: usize| Point([u8::try_from(number).unwrap(); 20]);
        assert!(crowds.note(point(0), Mono(0)) && !crowds.note(point(0), Mono(1)));
        for number in 1..=CROWDS_MAX {
            assert_eq!(crowds.note(point(number), Mono(2)), number < CROWDS_MAX);
        }
        assert_eq!(crowds.count(Mono(3)), CROWDS_MAX);
        assert!(crowds.note(point(0), Mono(CROWD_KEEP_MS)));
        assert_eq!(crowds.count(Mono(2 * CROWD_KEEP_MS)), 0);
    }
}
