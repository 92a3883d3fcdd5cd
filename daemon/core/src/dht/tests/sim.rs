//! Many nodes in virtual time: latency, loss, death and restart, all from one seed.

use std::collections::{BTreeMap, BTreeSet};

use bytchat_proto::id::NodeId;
use bytchat_proto::limits::{CONTACTS_PER_ANSWER_MAX, HOLDERS};
use bytchat_proto::point::Point;
use bytchat_proto::record::{NodeRecord, RecordKind};
use bytchat_proto::unverified::Verified;
use bytchat_proto::wire::{Contacts, Request, Response};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use super::keys::{at, contact, network, verified};
use crate::dht::{AskId, Dht, Event};
use crate::io::{Output, Outputs};
use crate::persist::{Table, Write};
use crate::time::{Mono, Now};

enum Parcel {
    Request { from: usize, to: usize, ask: AskId, sent: u64, request: Request },
    Answer { to: usize, ask: AskId, sent: u64, response: Response },
}

pub(super) struct Node {
    pub(super) id: NodeId,
    pub(super) dht: Dht,
    pub(super) alive: bool,
    /// It names only its friends, and keeps nothing of what it takes.
    pub(super) liar: bool,
    pub(super) rows: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
    pub(super) events: Vec<Event>,
    seed: u64,
    contact: Verified<NodeRecord>,
    out: Outputs,
    linked: BTreeSet<usize>,
    wake: Option<u64>,
}

pub(super) struct Sim {
    pub(super) nodes: Vec<Node>,
    pub(super) ms: u64,
    pub(super) sent: u64,
    /// A digest of all that was sent, in order.
    pub(super) trace: u64,
    loss_per_mille: u64,
    index: BTreeMap<NodeId, usize>,
    parcels: BTreeMap<(u64, u64), Parcel>,
    wakes: BTreeSet<(u64, usize)>,
    random: ChaCha20Rng,
}

impl Sim {
    pub(super) fn new(seed: u64, loss_per_mille: u64) -> Self {
        Self {
            nodes: Vec::new(),
            ms: 1,
            sent: 0,
            trace: 0xcbf2_9ce4_8422_2325,
            loss_per_mille,
            index: BTreeMap::new(),
            parcels: BTreeMap::new(),
            wakes: BTreeSet::new(),
            random: ChaCha20Rng::seed_from_u64(seed),
        }
    }

    /// A network of so many nodes that have found each other through the first one.
    pub(super) fn grown(seed: u64, count: usize, loss_per_mille: u64) -> Self {
        let mut sim = Self::new(seed, loss_per_mille);
        for index in 0..count {
            sim.add(u64::try_from(index).unwrap() + 1000 * seed);
            if index > 0 {
                let through = sim.below(index.min(8));
                sim.introduce(index, through);
                sim.act(index, |dht, now, out| dht.bootstrap(now, out));
            }
            sim.run_for(50);
        }
        sim.run_for(90_000);
        sim
    }

    pub(super) fn now(&self) -> Now {
        at(self.ms)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap();
        usize::try_from(self.random.next_u64() % bound).unwrap()
    }

    pub(super) fn point(&mut self) -> Point {
        let mut bytes = [0; 20];
        self.random.fill_bytes(&mut bytes);
        Point(bytes)
    }

    /// Adds a node that knows nobody.
    pub(super) fn add(&mut self, seed: u64) -> usize {
        let contact = contact(seed);
        let dht = Dht::new(contact.clone(), network()).unwrap();
        let contact = verified(&contact);
        let index = self.nodes.len();
        self.index.insert(contact.node(), index);
        self.nodes.push(Node {
            id: contact.node(),
            dht,
            alive: true,
            liar: false,
            rows: BTreeMap::new(),
            events: Vec::new(),
            seed,
            contact,
            out: Outputs::new([u8::try_from(seed % 251).unwrap(); 32]),
            linked: BTreeSet::new(),
            wake: None,
        });
        self.settle(index);
        index
    }

    /// Opens a link between two nodes: both say hello.
    pub(super) fn introduce(&mut self, a: usize, b: usize) {
        if a == b || !self.nodes[a].linked.insert(b) {
            return;
        }
        self.nodes[b].linked.insert(a);
        let (for_a, for_b) = (self.nodes[b].contact.clone(), self.nodes[a].contact.clone());
        self.act(a, |dht, now, out| dht.saw(for_a, None, now, out));
        self.act(b, |dht, now, out| dht.saw(for_b, None, now, out));
    }

    /// Lets one node do something, and takes what comes of it.
    pub(super) fn act<T>(
        &mut self,
        index: usize,
        action: impl FnOnce(&mut Dht, Now, &mut Outputs) -> T,
    ) -> T {
        let now = self.now();
        let node = &mut self.nodes[index];
        let result = action(&mut node.dht, now, &mut node.out);
        self.settle(index);
        result
    }

    fn settle(&mut self, index: usize) {
        let mut asks = Vec::new();
        let node = &mut self.nodes[index];
        while let Some(ask) = node.dht.poll_ask() {
            asks.push(ask);
        }
        while let Some(event) = node.dht.poll_event() {
            node.events.push(event);
        }
        while let Some(output) = node.out.poll() {
            let Output::Persist(writes) = output else {
                panic!("the DHT only writes rows");
            };
            for write in writes {
                match write {
                    Write::Put { table, key, value } => node.rows.insert((table, key), value),
                    Write::Remove { table, key } => node.rows.remove(&(table, key)),
                };
            }
        }
        let wake = node.dht.poll_timeout().map(|deadline| deadline.at.0);
        let wake = wake.map(|wake| wake.max(self.ms));
        if wake != node.wake {
            node.wake.map(|old| self.wakes.remove(&(old, index)));
            wake.map(|new| self.wakes.insert((new, index)));
            node.wake = wake;
        }
        for ask in asks {
            let to = self.index[&ask.to.node];
            let parcel = Parcel::Request {
                from: index,
                to,
                ask: ask.id,
                sent: self.ms,
                request: ask.request,
            };
            self.send(index, to, parcel);
        }
    }

    fn send(&mut self, from: usize, to: usize, parcel: Parcel) {
        self.sent += 1;
        for word in [self.ms, from as u64, to as u64] {
            self.trace = (self.trace ^ word).wrapping_mul(0x0100_0000_01b3);
        }
        let pair = (from.min(to) * 7919 + from.max(to) * 104_729) as u64;
        let one_way = 10 + pair.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 50;
        // A link sends again what was lost (RFC 9002, 6.2): it comes late.
        let (mut late, mut again) = (0, 2 * one_way + one_way / 4 + 25);
        while self.random.next_u64() % 1000 < self.loss_per_mille {
            late += again;
            again *= 2;
        }
        self.parcels.insert((self.ms + one_way + late, self.sent), parcel);
    }

    /// Lets time pass.
    pub(super) fn run_for(&mut self, ms: u64) {
        let end = self.ms + ms;
        loop {
            let parcel = self.parcels.first_key_value().map(|((at, _), _)| *at);
            let wake = self.wakes.first().map(|(at, _)| *at);
            let next = [parcel, wake].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= end) else {
                break;
            };
            self.ms = self.ms.max(next);
            if parcel == Some(next) {
                let (_, parcel) = self.parcels.pop_first().unwrap();
                self.deliver(parcel);
            } else {
                let (_, index) = self.wakes.pop_first().unwrap();
                self.nodes[index].wake = None;
                if self.nodes[index].alive {
                    self.act(index, |dht, now, out| dht.handle_timeout(now, out));
                }
            }
        }
        self.ms = end;
    }

    fn deliver(&mut self, parcel: Parcel) {
        match parcel {
            Parcel::Request { from, to, ask, sent, request } => {
                if !self.nodes[to].alive {
                    return;
                }
                self.introduce(to, from);
                if let Some(response) = self.lie(to, &request) {
                    return self.send(to, from, Parcel::Answer { to: from, ask, sent, response });
                }
                let asker = self.nodes[from].id;
                let response = self
                    .act(to, |dht, now, out| dht.handle_request(Some(asker), &request, now, out));
                let answer = Parcel::Answer { to: from, ask, sent, response: response.unwrap() };
                self.send(to, from, answer);
            }
            Parcel::Answer { to, ask, sent, response } => {
                if self.nodes[to].alive {
                    let rtt_ms = self.ms - sent;
                    self.act(to, |dht, now, out| {
                        dht.handle_answer(ask, Ok(&response), rtt_ms, now, out);
                    });
                }
            }
        }
    }

    /// What a liar answers: the friends nearest to the target, and that it keeps what it drops.
    fn lie(&self, index: usize, request: &Request) -> Option<Response> {
        if !self.nodes[index].liar {
            return None;
        }
        let friends = |target: Point| {
            let mut friends: Vec<&Node> = self.nodes.iter().filter(|node| node.liar).collect();
            friends.sort_by_key(|node| Point::of_node(node.id).distance(target));
            let near = friends.into_iter().take(CONTACTS_PER_ANSWER_MAX);
            near.map(|node| node.contact.source().clone()).collect()
        };
        #[allow(clippy::wildcard_enum_match_arm, reason = "the DHT has four requests")]
        match request {
            Request::FindNode { target } => {
                Some(Response::Nodes(Contacts { contacts: friends(*target) }))
            }
            Request::FindRecord { target, .. } => {
                Some(Response::Records { records: Vec::new(), contacts: friends(*target) })
            }
            Request::PutRecord { .. } => Some(Response::Done),
            _ => None,
        }
    }

    /// Takes a node away, without a word to anybody.
    pub(super) fn kill(&mut self, index: usize) {
        self.nodes[index].alive = false;
        let links = std::mem::take(&mut self.nodes[index].linked);
        for other in links {
            self.nodes[other].linked.remove(&index);
        }
    }

    /// Starts a node again from what it had on disk.
    pub(super) fn restart(&mut self, index: usize) {
        let now = self.now();
        let node = &mut self.nodes[index];
        node.alive = true;
        node.events.clear();
        node.dht = Dht::new(contact(node.seed), network()).unwrap();
        for ((table, key), value) in &node.rows {
            #[allow(clippy::wildcard_enum_match_arm, reason = "two of many tables are ours")]
            match table {
                Table::Peer => node.dht.restore_peer(key, value, now),
                Table::Record => node.dht.restore_record(key, value, now),
                _ => panic!("no row of {table:?} belongs to the DHT"),
            }
        }
        self.settle(index);
    }

    pub(super) fn alive(&self) -> Vec<usize> {
        let all = 0..self.nodes.len();
        all.filter(|index| self.nodes[*index].alive).collect()
    }

    /// The living nodes closest to a point, by knowledge that no node has.
    pub(super) fn true_holders(&self, point: Point, without: Option<usize>) -> Vec<NodeId> {
        let alive = self.alive().into_iter();
        let mut ids: Vec<NodeId> = alive
            .filter(|index| Some(*index) != without)
            .map(|index| self.nodes[index].id)
            .collect();
        ids.sort_by_key(|id| Point::of_node(*id).distance(point));
        ids.truncate(HOLDERS);
        ids
    }

    /// Looks a point up from a node; returns what was found and how long it took.
    pub(super) fn find(
        &mut self,
        from: usize,
        point: Point,
        kind: Option<RecordKind>,
    ) -> (Event, u64) {
        self.nodes[from].events.clear();
        let wanted = self.act(from, |dht, now, out| dht.find(point, kind, now, out));
        let wanted = wanted.unwrap();
        let start = self.ms;
        loop {
            let is_it =
                |event: &&Event| matches!(event, Event::Found { lookup, .. } if *lookup == wanted);
            if let Some(event) = self.nodes[from].events.iter().find(is_it) {
                return (event.clone(), self.ms - start);
            }
            assert!(self.ms - start < 60_000, "a lookup never ended");
            self.run_for(5);
        }
    }

    /// How many of so many random lookups find exactly the true five.
    pub(super) fn exact_lookups(&mut self, count: usize) -> usize {
        let alive = self.alive();
        let mut exact = 0;
        for _ in 0..count {
            let from = alive[self.below(alive.len())];
            let point = self.point();
            let (event, _) = self.find(from, point, None);
            let Event::Found { closest, .. } = event else {
                unreachable!("only such events are returned")
            };
            let found: Vec<NodeId> = closest.iter().map(|it| it.node).take(HOLDERS).collect();
            exact += usize::from(found == self.true_holders(point, Some(from)));
        }
        exact
    }

    /// Which living nodes hold something of a kind at a point.
    pub(super) fn holding(&self, point: Point, kind: RecordKind, sequence: u64) -> Vec<NodeId> {
        let alive = self.alive().into_iter().map(|index| &self.nodes[index]);
        let mut ids: Vec<NodeId> = alive
            .filter(|node| {
                let held = node.dht.holds(point, kind);
                held.iter().any(|record| record.sequence == sequence)
            })
            .map(|node| node.id)
            .collect();
        ids.sort_by_key(|id| Point::of_node(*id).distance(point));
        ids
    }

    pub(super) fn deadline_in_the_past(&self, index: usize) -> bool {
        let deadline = self.nodes[index].dht.poll_timeout();
        deadline.is_some_and(|it| it.at < Mono(self.ms))
    }
}
