//! What the DHT counts of itself, and the hops of lookups that somebody wants to see.

use std::collections::BTreeMap;

use bytchat_proto::id::NodeId;
use bytchat_proto::limits::{
    HOLDERS, LOOKUP_DEPTHS_MAX, LOOKUP_HOPS_MAX, LOOKUPS_SHOWN_MAX, REQUEST_TIMEOUT_MS,
};
use bytchat_proto::point::Point;
use bytchat_proto::rpc::dht::{Hop, Outcome};
use bytchat_proto::rpc::node::{Asks, Histogram, Lookups, Puts, Repair, one_more as more};
use bytchat_proto::wire::Response;

use super::asks::{Flying, Loss, Purpose, Reply};
use super::contacts::Peer;
use super::lookup::Lookup;
use super::put::Put;
use super::{Dht, Event, LookupId};
use crate::time::Mono;

const HOLDERS_EACH: [u64; HOLDERS + 1] = [0, 1, 2, 3, 4, 5];
const HOPS: [u64; 10] = [0, 1, 2, 3, 4, 5, 6, 8, 12, 16];
const DURATIONS_MS: [u64; 10] = [10, 30, 100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800];
const ROUND_TRIPS_MS: [u64; 10] = [1, 5, 10, 20, 50, 100, 200, 500, 1_000, REQUEST_TIMEOUT_MS];

/// Counters of the DHT since its start, and the lookups that are followed.
pub(super) struct Stats {
    lookups: Lookups,
    asks: Asks,
    puts: Puts,
    repair: Repair,
    courses: BTreeMap<LookupId, Course>,
    shown: BTreeMap<LookupId, Shown>,
}

/// A lookup under way: since when, and how many nodes led to those that were named.
struct Course {
    began: Mono,
    depths: BTreeMap<NodeId, u32>,
}

/// A lookup whose hops somebody wants to see.
#[derive(Debug)]
pub struct Shown {
    /// The point around which it looks.
    pub target: Point,
    /// Its requests, in the order of the answers.
    pub hops: Vec<Hop>,
    /// From the first request to the end, in milliseconds.
    pub duration_ms: u64,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            lookups: Lookups {
                hops: Histogram::new(&HOPS),
                duration_ms: Histogram::new(&DURATIONS_MS),
                ..Lookups::default()
            },
            asks: Asks { round_trip_ms: Histogram::new(&ROUND_TRIPS_MS), ..Asks::default() },
            puts: Puts { holders: Histogram::new(&HOLDERS_EACH), ..Puts::default() },
            repair: Repair::default(),
            courses: BTreeMap::new(),
            shown: BTreeMap::new(),
        }
    }
}

impl Course {
    /// How many nodes led to one, itself included.
    fn depth(&self, node: NodeId) -> u32 {
        self.depths.get(&node).copied().unwrap_or(1)
    }
}

impl Stats {
    /// A lookup found no place.
    pub(super) fn turned_away(&mut self) {
        more(&mut self.lookups.turned_away_total);
    }

    /// A lookup sends its first requests, to nodes that were known before.
    pub(super) fn began(&mut self, id: LookupId, lookup: &Lookup, now: Mono) {
        more(&mut self.lookups.started_total);
        let depths = lookup.usable_peers().map(|peer| (peer.node, 1)).collect();
        self.courses.insert(id, Course { began: now, depths });
    }

    /// A request has taken longer than usual.
    pub(super) fn slow(&mut self) {
        more(&mut self.asks.slow_total);
    }

    /// A request is over, whatever it was for.
    pub(super) fn over(
        &mut self,
        flying: &Flying,
        reply: Reply<'_>,
        rtt_ms: Option<u64>,
        now: Mono,
    ) {
        let outcome = match reply {
            Reply::Answer(_) => Outcome::Answered,
            Reply::Refused(..) => Outcome::Refused,
            Reply::Malformed => Outcome::Malformed,
            Reply::Lost(Loss::Silent) => Outcome::Silent,
            Reply::Lost(Loss::Broken | Loss::Unreachable) => Outcome::Unreachable,
        };
        let heard = matches!(outcome, Outcome::Answered | Outcome::Refused);
        let rtt_ms = rtt_ms.filter(|_| heard);
        more(match outcome {
            Outcome::Answered => &mut self.asks.answered_total,
            Outcome::Refused => &mut self.asks.refused_total,
            Outcome::Malformed => &mut self.asks.malformed_total,
            Outcome::Silent | Outcome::Unreachable => &mut self.asks.lost_total,
        });
        if let Some(rtt_ms) = rtt_ms {
            self.asks.round_trip_ms.add(rtt_ms);
        }
        match flying.purpose {
            Purpose::Repair { .. } if heard => more(&mut self.repair.records_total),
            Purpose::Repair { .. } => more(&mut self.repair.records_lost_total),
            Purpose::Lookup(id) => self.hop(id, &flying.peer, (outcome, rtt_ms), reply, now),
            Purpose::Put(_) | Purpose::Ping => {}
        }
    }

    fn hop(
        &mut self,
        id: LookupId,
        peer: &Peer,
        (outcome, round_trip_ms): (Outcome, Option<u64>),
        reply: Reply<'_>,
        now: Mono,
    ) {
        let (Some(course), Some(shown)) = (self.courses.get(&id), self.shown.get_mut(&id)) else {
            return;
        };
        if shown.hops.len() >= LOOKUP_HOPS_MAX {
            return;
        }
        let contacts = match reply {
            Reply::Answer(Response::Nodes(nodes)) => nodes.contacts.len(),
            Reply::Answer(Response::Records { contacts, .. }) => contacts.len(),
            Reply::Answer(_) | Reply::Refused(..) | Reply::Malformed | Reply::Lost(_) => 0,
        };
        shown.hops.push(Hop {
            node_id: peer.node,
            address: peer.record.addresses.first().copied(),
            hop: course.depth(peer.node),
            near_bits: peer.point().distance(shown.target).leading_zeros(),
            at_ms: now.since_ms(course.began),
            round_trip_ms,
            outcome,
            contacts,
        });
    }

    /// A node named others to a lookup.
    pub(super) fn named(&mut self, id: LookupId, by: NodeId, peers: &[Peer]) {
        let Some(course) = self.courses.get_mut(&id) else {
            return;
        };
        let depth = course.depth(by).saturating_add(1);
        for peer in peers {
            if course.depths.len() >= LOOKUP_DEPTHS_MAX {
                return;
            }
            course.depths.entry(peer.node).or_insert(depth);
        }
    }

    /// A lookup has ended.
    pub(super) fn ended(&mut self, id: LookupId, lookup: &Lookup, now: Mono) {
        let Some(course) = self.courses.remove(&id) else {
            return;
        };
        let duration_ms = now.since_ms(course.began);
        if let Some(shown) = self.shown.get_mut(&id) {
            shown.duration_ms = duration_ms;
        }
        if lookup.answer_count() == 0 {
            return more(&mut self.lookups.unanswered_total);
        }
        more(&mut self.lookups.answered_total);
        self.lookups.duration_ms.add(duration_ms);
        let nearest = lookup.usable_peers().take(HOLDERS);
        let hops = nearest.map(|peer| course.depth(peer.node)).max().unwrap_or(0);
        self.lookups.hops.add(u64::from(hops));
    }

    /// A put has a result; more holders may follow.
    pub(super) fn put(&mut self, event: &Event) {
        let Event::Stored { ok, stale, .. } = event else {
            return;
        };
        more(if *ok { &mut self.puts.stored_total } else { &mut self.puts.short_total });
        if stale.is_some() {
            more(&mut self.puts.stale_total);
        }
    }

    /// Nobody is asked any more to take a record.
    pub(super) fn put_over(&mut self, put: &Put) {
        self.puts.holders.add(u64::try_from(put.holders().len()).unwrap_or(u64::MAX));
    }
}

impl Dht {
    /// Follows a lookup that was begun just now, so that its hops can be seen; false if too many
    /// are followed.
    pub fn show(&mut self, lookup: LookupId, target: Point) -> bool {
        let room = self.stats.shown.len() < LOOKUPS_SHOWN_MAX;
        if room {
            let shown = Shown { target, hops: Vec::new(), duration_ms: 0 };
            self.stats.shown.insert(lookup, shown);
        }
        room
    }

    /// Whether one more lookup may be followed.
    pub fn may_show(&self) -> bool {
        self.stats.shown.len() < LOOKUPS_SHOWN_MAX
    }

    /// What was seen of a lookup that has ended.
    pub fn take_shown(&mut self, lookup: LookupId) -> Option<Shown> {
        self.stats.shown.remove(&lookup)
    }

    /// What was counted: lookups, requests, puts and repair.
    pub fn counted(&self) -> (Lookups, Asks, Puts, Repair) {
        let stats = &self.stats;
        let waiting = u64::try_from(self.repairs.waiting_count()).unwrap_or(u64::MAX);
        let repair = Repair { records_waiting: waiting, ..stats.repair.clone() };
        (stats.lookups.clone(), stats.asks.clone(), stats.puts.clone(), repair)
    }
}
