//! Upkeep on a clock: the own neighbourhood, idle buckets, silent contacts, rows on disk.

use std::collections::{BTreeMap, VecDeque};

use bytchat_proto::id::NodeId;
use bytchat_proto::limits::{
    BUCKET_CONTACTS_MAX, BUCKET_REFRESH_MS, CONTACTS_MIN, HOLDERS, LIVENESS_PING_MS, MINUTE_MS,
    NEIGHBOUR_SILENCE_MS, SELF_LOOKUP_FIRST_MS, SELF_LOOKUP_MS, SUSPECT_PING_MS,
    UNTESTED_PINGS_MAX, UPKEEP_LOOKUPS_MAX,
};
use bytchat_proto::point::Point;
use bytchat_proto::wire::Request;

use super::asks::Purpose;
use super::bucket::{Entry, Heard};
use super::contacts::Peer;
use super::density::Density;
use super::lookup::{Lookup, Why};
use super::repair::about;
use super::{Dht, Event};
use crate::io::Outputs;
use crate::time::{Deadline, Mono, Now};

/// Lookups of the upkeep that wait; each stands for one record that is held too old.
const WANTED_MAX: usize = 64;

/// When what is due.
#[derive(Default)]
pub(super) struct Upkeep {
    own_at: Mono,
    own_pause_ms: u64,
    own_running: bool,
    joined: bool,
    ping_at: Mono,
    sample_at: Mono,
    sample_rounds: u8,
    expire_at: Option<Mono>,
    heard: Option<Mono>,
    neighbours: Vec<NodeId>,
    wanted: VecDeque<Lookup>,
    routing: usize,
}

impl Upkeep {
    /// Asks for a lookup when there is time.
    pub(super) fn want(&mut self, lookup: Lookup) {
        if self.wanted.len() < WANTED_MAX {
            self.wanted.push_back(lookup);
        }
    }

    /// Where in the table the next routing push begins.
    pub(super) fn next_routing(&mut self, count: usize) -> usize {
        let at = self.routing.checked_rem(count).unwrap_or(0);
        self.routing = at + BUCKET_CONTACTS_MAX;
        at
    }
}

impl Dht {
    /// Looks for neighbours now, then fills the other buckets.
    pub fn bootstrap(&mut self, now: Now, out: &mut Outputs) {
        self.upkeep.own_at = now.mono;
        self.upkeep.own_pause_ms = 0;
        self.upkeep.joined = false;
        self.pump(now, out);
        self.look_around(now, out);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now, out: &mut Outputs) {
        self.rows.sweep(out);
        self.lapse_asks(now, out);
        self.look_around(now, out);
        self.refresh_buckets(now, out);
        self.sample(now, out);
        self.ping_silent(now, out);
        self.expire(now, out);
        self.republish(now, out);
        self.look_after(now, out);
        self.pump(now, out);
    }

    /// When to be woken next, and why.
    pub fn poll_timeout(&self) -> Option<Deadline> {
        let upkeep = &self.upkeep;
        let spare = self.spare_upkeep() > 0;
        let refreshes = self.table.in_use().filter_map(|(_, it)| it.refresh_at);
        let tests = self.untested.due();
        let pings = (self.table.len() > 0).then_some(upkeep.ping_at);
        let test_slot = self.untested.flying() < UNTESTED_PINGS_MAX;
        let all = [
            (self.asks.due(), "dht request"),
            ((!upkeep.own_running).then_some(upkeep.own_at), "dht neighbours"),
            (refreshes.min().filter(|_| spare), "dht bucket"),
            (pings, "dht ping"),
            (self.may_sample().then_some(upkeep.sample_at), "dht density"),
            (tests.filter(|_| test_slot), "dht test"),
            (upkeep.expire_at, "dht expiry"),
            (self.published.due(), "dht republish"),
            (self.records.next_due().filter(|_| self.repairs.has_room()), "dht repair"),
            (self.rows.due(), "dht rows"),
        ];
        let named = all.into_iter().filter_map(|(at, why)| at.map(|at| Deadline { at, why }));
        named.min()
    }

    /// Starts what waits for room, after anything that may have made some.
    pub(super) fn pump(&mut self, now: Now, out: &mut Outputs) {
        while self.spare_upkeep() > 0
            && let Some(lookup) = self.upkeep.wanted.pop_front()
        {
            // Too busy: the next sweep asks again.
            if self.look_up(lookup, now, out).is_err() {
                break;
            }
        }
        self.start_waiting(now, out);
        self.test_contacts(now);
        self.send_repairs(now);
        self.write_rows(now, out);
    }

    /// A node answered or said hello over an authenticated link.
    pub(super) fn heard(&mut self, peer: &Peer, rtt_ms: Option<u64>, now: Now, out: &mut Outputs) {
        self.upkeep.heard = Some(now.mono);
        self.untested.remove(peer.node);
        // Without an address others could not reach it.
        if peer.node == self.own.node || peer.record.addresses.is_empty() {
            return;
        }
        if self.quarantine.has(peer.node, now.mono) {
            return;
        }
        match self.table.heard(peer, rtt_ms, now.mono) {
            Heard::Joined => self.joined(peer.node, now, out),
            Heard::Renewed => self.rows.mark(peer.node, now.mono),
            Heard::Known | Heard::Waiting => {}
        }
    }

    /// A node asked us something: it is there, but whether it can be reached is not known.
    pub(super) fn noticed(&mut self, node: NodeId, now: Now) {
        self.upkeep.heard = Some(now.mono);
        self.table.noticed(node, now.mono);
    }

    /// A signed contact says something newer about a node that we know.
    pub(super) fn renew(&mut self, peer: &Peer, now: Now) {
        match self.table.renew(peer) {
            Heard::Known => return,
            Heard::Renewed | Heard::Joined | Heard::Waiting => {}
        }
        self.rows.mark(peer.node, now.mono);
        self.watch_neighbours();
    }

    /// A node did not answer.
    pub(super) fn missed(&mut self, node: NodeId, now: Now, out: &mut Outputs) {
        let again = now.mono.plus_ms(LIVENESS_PING_MS);
        if self.untested.failed(node, self.upkeep.heard.is_some(), again) {
            self.rows.mark(node, now.mono);
        }
        let peer = self.table.get(node).map(|entry| entry.peer.clone());
        let Some(evicted) = self.table.failed(node, self.upkeep.heard, now.mono) else {
            return;
        };
        // On a busy machine answers come too late from nodes that live: they get another chance
        // to come back, as from hearsay.
        if let Some(peer) = peer {
            let soon = now.mono.plus_ms(about(SELF_LOOKUP_FIRST_MS, out));
            self.untested.add(peer, false, soon);
        }
        self.left(node, evicted.successor, now, out);
    }

    /// A live contact has lost its place, perhaps to one that waited.
    pub(super) fn left(
        &mut self,
        node: NodeId,
        successor: Option<Peer>,
        now: Now,
        out: &mut Outputs,
    ) {
        self.rows.mark(node, now.mono);
        self.repair_after(node, now, out);
        if let Some(successor) = successor {
            self.joined(successor.node, now, out);
        }
        self.watch_neighbours();
    }

    fn joined(&mut self, node: NodeId, now: Now, out: &mut Outputs) {
        self.rows.mark(node, now.mono);
        if self.table.len() == 1 {
            self.upkeep.ping_at = now.mono.plus_ms(LIVENESS_PING_MS);
            self.republish_soon(now, out);
        }
        if self.table.len() < CONTACTS_MIN {
            let soon = now.mono.plus_ms(about(SELF_LOOKUP_FIRST_MS, out));
            self.upkeep.own_at = self.upkeep.own_at.min(soon);
        }
        let fresh: Vec<usize> = self
            .table
            .in_use()
            .filter(|(_, bucket)| bucket.refresh_at.is_none())
            .map(|(index, _)| index)
            .collect();
        for index in fresh {
            let at = now.mono.plus_ms(about(BUCKET_REFRESH_MS, out));
            self.table.set_refresh(index, at);
        }
        self.repair_for(node, now, out);
        self.watch_neighbours();
    }

    fn watch_neighbours(&mut self) {
        let near = self.table.closest(self.own.point(), BUCKET_CONTACTS_MAX, false);
        let near: Vec<NodeId> = near.iter().map(|peer| peer.node).collect();
        if near == self.upkeep.neighbours {
            return;
        }
        self.upkeep.neighbours = near;
        let is_told = |event: &Event| matches!(event, Event::NeighboursChanged);
        if !self.events.iter().any(is_told) {
            self.news(Event::NeighboursChanged);
        }
    }

    fn spare_upkeep(&self) -> usize {
        let upkeep = |it: &&Lookup| matches!(it.why, Why::Own | Why::Refresh | Why::Sample);
        let running = self.lookups.values().filter(upkeep).count();
        UPKEEP_LOOKUPS_MAX.saturating_sub(running)
    }

    fn look_around(&mut self, now: Now, out: &mut Outputs) {
        if self.upkeep.own_running || now.mono < self.upkeep.own_at {
            return;
        }
        let known = self.table.len();
        let pause_ms = if known >= CONTACTS_MIN {
            self.upkeep.own_pause_ms = 0;
            about(SELF_LOOKUP_MS, out)
        } else {
            let doubled = self.upkeep.own_pause_ms * 2;
            let pause_ms = doubled.clamp(SELF_LOOKUP_FIRST_MS, SELF_LOOKUP_MS);
            self.upkeep.own_pause_ms = pause_ms;
            pause_ms
        };
        self.upkeep.own_at = now.mono.plus_ms(pause_ms);
        if known == 0 && self.untested.stored().next().is_none() {
            return;
        }
        let lookup = Lookup::new(self.own.point(), None, Why::Own);
        self.upkeep.own_running = true;
        if self.look_up(lookup, now, out).is_err() {
            self.upkeep.own_running = false;
        }
    }

    /// The neighbourhood was looked up.
    pub(super) fn own_lookup_done(&mut self, answered: usize, now: Now) {
        self.upkeep.own_running = false;
        if answered == 0 || self.upkeep.joined {
            return;
        }
        self.upkeep.joined = true;
        // Fill the buckets that the way here has left empty, one after the other.
        let in_use: Vec<usize> = self.table.in_use().map(|(index, _)| index).collect();
        for (turn, index) in (0..).zip(in_use) {
            self.table.set_refresh(index, now.mono.plus_ms(200 * turn));
        }
    }

    /// A lookup spares the refresh of the bucket that it goes through.
    pub(super) fn touch_bucket(&mut self, target: Point, now: Now, out: &mut Outputs) {
        if let Some(index) = self.table.index_of(target) {
            let at = now.mono.plus_ms(about(BUCKET_REFRESH_MS, out));
            self.table.set_refresh(index, at);
        }
    }

    fn refresh_buckets(&mut self, now: Now, out: &mut Outputs) {
        let is_due = |at: Option<Mono>| at.is_some_and(|at| at <= now.mono);
        let in_use = self.table.in_use();
        let due = in_use.filter(|(_, bucket)| is_due(bucket.refresh_at));
        let spare = self.spare_upkeep();
        let due: Vec<usize> = due.map(|(index, _)| index).take(spare).collect();
        for index in due {
            let target = self.table.point_in(index, out.random_bytes());
            // The bucket is touched when its lookup starts; this is for one that has to wait.
            self.table.set_refresh(index, now.mono.plus_ms(MINUTE_MS));
            if self.look_up(Lookup::new(target, None, Why::Refresh), now, out).is_err() {
                return;
            }
        }
    }

    /// In a network of few nodes the nearest five are many enough.
    fn may_sample(&self) -> bool {
        self.table.len() >= BUCKET_CONTACTS_MAX
    }

    /// Looks for random points, to see how near the nearest nodes usually are. What is seen at
    /// first is seen with half a table, and again a minute later.
    fn sample(&mut self, now: Now, out: &mut Outputs) {
        if !self.may_sample() || now.mono < self.upkeep.sample_at {
            return;
        }
        let early = self.upkeep.sample_rounds < 2;
        let pause_ms = if self.upkeep.sample_rounds == 0 { MINUTE_MS } else { SELF_LOOKUP_MS };
        self.upkeep.sample_at = now.mono.plus_ms(about(pause_ms, out));
        self.upkeep.sample_rounds = self.upkeep.sample_rounds.saturating_add(1);
        if early {
            self.density = Density::default();
        }
        for _ in 0..self.density.wanted() {
            let target = Point(out.random_bytes());
            self.upkeep.want(Lookup::new(target, None, Why::Sample));
        }
    }

    fn ping_silent(&mut self, now: Now, out: &mut Outputs) {
        if self.table.len() == 0 || now.mono < self.upkeep.ping_at {
            return;
        }
        let suspects = self.table.entries().filter(|it| it.is_suspect()).count();
        let cut_off = suspects == self.table.len();
        let hurry = suspects > 0 && !cut_off;
        let pause_ms = if hurry { SUSPECT_PING_MS } else { LIVENESS_PING_MS };
        self.upkeep.ping_at = now.mono.plus_ms(about(pause_ms, out));
        let oldest = |a: &&Entry, b: &&Entry| a.seen.cmp(&b.seen);
        let suspect = self.table.entries().filter(|it| it.is_suspect());
        let silent = |it: &&Entry| now.mono.since_ms(it.seen) >= LIVENESS_PING_MS;
        let stalest =
            suspect.min_by(oldest).or_else(|| self.table.entries().filter(silent).min_by(oldest));
        let near = self.upkeep.neighbours.iter().take(2 * HOLDERS);
        let near = near.filter_map(|node| self.table.get(*node));
        let quiet = |it: &&Entry| now.mono.since_ms(it.seen) >= NEIGHBOUR_SILENCE_MS;
        let neighbour = near.filter(quiet).min_by(oldest);
        let both = stalest.into_iter().chain(neighbour);
        let chosen: BTreeMap<NodeId, Peer> =
            both.map(|entry| (entry.peer.node, entry.peer.clone())).collect();
        for peer in chosen.values() {
            self.ping(peer, now);
        }
    }

    fn ping(&mut self, peer: &Peer, now: Now) {
        let rtt = self.table.rtt(peer.node);
        self.asks.send(peer, Request::Ping, Purpose::Ping, rtt, now.mono);
    }

    fn test_contacts(&mut self, now: Now) {
        while self.untested.flying() < UNTESTED_PINGS_MAX {
            let Some(peer) = self.untested.next(now.mono) else {
                return;
            };
            self.ping(&peer, now);
        }
    }

    fn expire(&mut self, now: Now, out: &mut Outputs) {
        self.records.expire(now.wall, out);
        self.plan_expiry(now);
    }

    /// Sets when expired records are looked for.
    pub(super) fn plan_expiry(&mut self, now: Now) {
        self.upkeep.expire_at = self.records.next_expiry().map(|expires| {
            // The wall clock may jump, so that a far expiry is looked at again and again.
            let wait_ms = expires.since_ms(now.wall).clamp(1, 10 * MINUTE_MS);
            now.mono.plus_ms(wait_ms)
        });
    }
}
