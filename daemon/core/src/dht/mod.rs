//! The DHT: who is near a point, and what is held there (Kademlia, 2002). Sans-IO: asks go out
//! by `poll_ask`, news by `poll_event`, and everything comes in with its time.

mod asks;
mod bucket;
mod contacts;
mod crowd;
mod density;
mod drive;
mod lookup;
mod maintain;
mod put;
mod records;
mod repair;
mod rows;
mod rtt;
mod serve;
mod stats;
mod table;
#[cfg(test)]
mod tests;
mod trust;

use std::collections::{BTreeMap, VecDeque};

use bytchat_proto::id::{NetworkId, NodeId};
use bytchat_proto::limits::{
    CONTACTS_PER_ANSWER_MAX, HOLDERS, LOOKUP_CANDIDATES_MAX, LOOKUPS_MAX, LOOKUPS_WAITING_MAX,
    PUTS_MAX, RECORDS_PER_POINT_MAX,
};
use bytchat_proto::point::Point;
use bytchat_proto::record::{Contact, NodeRecord, RecordBody, RecordError, RecordKind, RecordSlot};
use bytchat_proto::unverified::Verified;
use bytchat_proto::wire::{Refusal, Request};

pub use contacts::Peer;
pub use density::Crowd;
pub use stats::Shown;
pub use trust::Defence;

use crate::fill::Fills;
use crate::io::Outputs;
use crate::stamp::Terms;
use crate::time::{Doubt, Now};
use asks::Asks;
use contacts::{Checked, Untested};
use crowd::Mailboxes;
use density::{Crowds, Density};
use lookup::Lookup;
use maintain::Upkeep;
use put::Put;
use records::{Quota, Records};
use repair::{Published, Repairs};
use rows::Rows;
use stats::Stats;
use table::RoutingTable;
use trust::{Quarantine, is_lie};

/// A request of the DHT to another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AskId(pub u64);
/// A lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LookupId(pub u64);
/// A put.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PutId(pub u64);

/// A request to be sent; its answer comes back by `Dht::handle_answer`.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Which one.
    pub id: AskId,
    /// To whom.
    pub to: Peer,
    /// What is asked.
    pub request: Request,
    /// After so long it no longer holds up others; the answer is still welcome.
    pub soft_timeout_ms: u64,
    /// After so long it counts as lost.
    pub timeout_ms: u64,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No link to the node comes up.
    Unreachable,
    /// The link to the node went down.
    Broken,
    /// The node says nothing.
    TimedOut,
    /// The node says no.
    Refused(Refusal),
    /// The node says something that is no answer.
    Malformed,
}

/// News for the node.
#[derive(Clone, Debug)]
pub enum Event {
    /// A lookup has ended.
    Found {
        /// Which one.
        lookup: LookupId,
        /// The nodes nearest to its target that have not failed, nearest first; never ourselves.
        closest: Vec<Peer>,
        /// The newest record of every slot, those that we hold ourselves included.
        records: Vec<Verified<RecordBody>>,
        /// How many nodes answered.
        answered: usize,
    },
    /// A put has ended.
    Stored {
        /// Which one.
        put: PutId,
        /// Where the record stands.
        slot: RecordSlot,
        /// Who holds it so far; ourselves included.
        holders: Vec<NodeId>,
        /// How many were asked to.
        asked: usize,
        /// Whether enough of them hold it.
        ok: bool,
        /// A holder says that it has a newer record, with this sequence number. Its word
        /// alone proves nothing: look the record up.
        stale: Option<u64>,
    },
    /// The nodes nearest to us are others than before.
    NeighboursChanged,
    /// More nodes are near a point than chance would put there.
    Crowded(Crowd),
}

/// Too many lookups or puts wait already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many lookups or puts are under way")]
pub struct TooBusy;

/// Why a record cannot be put.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PutError {
    /// Too many are under way.
    #[error(transparent)]
    TooBusy(#[from] TooBusy),
    /// The record names no slot.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// The DHT of one node.
pub struct Dht {
    network: NetworkId,
    own: Peer,
    checked: Checked,
    table: RoutingTable,
    untested: Untested,
    quarantine: Quarantine,
    density: Density,
    crowds: Crowds,
    asks: Asks,
    lookups: BTreeMap<LookupId, Lookup>,
    waiting: VecDeque<(LookupId, Lookup)>,
    puts: BTreeMap<PutId, Put>,
    records: Records,
    published: Published,
    repairs: Repairs,
    upkeep: Upkeep,
    rows: Rows,
    events: VecDeque<Event>,
    last_id: u64,
    doubt: Doubt,
    stats: Stats,
    mailboxes: Mailboxes,
}

impl Dht {
    /// The DHT of the node with this contact: knows nobody and holds nothing.
    pub fn new(own: Contact, terms: impl Into<Terms>) -> Result<Self, RecordError> {
        Self::with_quota(own, terms.into(), Quota::default())
    }

    fn with_quota(own: Contact, terms: Terms, quota: Quota) -> Result<Self, RecordError> {
        let mut checked = Checked::new(terms);
        let own = checked.check(&own)?;
        Ok(Self {
            network: terms.network,
            table: RoutingTable::new(own.node),
            records: Records::new(own.node, quota),
            own,
            checked,
            untested: Untested::default(),
            quarantine: Quarantine::default(),
            density: Density::default(),
            crowds: Crowds::default(),
            asks: Asks::default(),
            lookups: BTreeMap::new(),
            waiting: VecDeque::new(),
            puts: BTreeMap::new(),
            published: Published::default(),
            repairs: Repairs::default(),
            upkeep: Upkeep::default(),
            rows: Rows::default(),
            events: VecDeque::new(),
            last_id: 0,
            doubt: Doubt::default(),
            stats: Stats::default(),
            mailboxes: Mailboxes::default(),
        })
    }

    /// Says how wrong the clock may be: records are checked against the times that are possible.
    pub fn set_doubt(&mut self, doubt: Doubt) {
        self.doubt = doubt;
    }

    /// Replaces the own contact, when addresses change. One of another node is ignored.
    pub fn set_own(&mut self, own: Contact) {
        match self.checked.check(&own) {
            Ok(peer) if peer.node == self.own.node => self.own = peer,
            Ok(peer) => tracing::error!(node = %peer.node, "own contact names another node"),
            Err(error) => tracing::error!(%error, "own contact is not valid"),
        }
    }

    /// A node said hello over a link that proves the key of this contact: it is live.
    pub fn saw(
        &mut self,
        contact: Verified<NodeRecord>,
        rtt_ms: Option<u64>,
        now: Now,
        out: &mut Outputs,
    ) {
        if contact.network == self.network {
            self.heard(&Peer::new(contact), rtt_ms, now, out);
            self.pump(now, out);
        }
    }

    /// Another node names contacts. They are tested before they are believed.
    pub fn learned(&mut self, contacts: &[Contact], from: NodeId, now: Now, out: &mut Outputs) {
        if self.quarantine.has(from, now.mono) {
            return;
        }
        // SPEC 4.13: what a node hears of is asked itself before it gets a place.
        for contact in lookup::bounded(contacts) {
            let peer = match self.checked.hear(contact, from, crate::stamp::Why::Pushed, now.mono) {
                None => continue,
                Some(Ok(peer)) => peer,
                Some(Err(error)) if is_lie(&error) => {
                    return self.accuse(from, &error.to_string(), now, out);
                }
                Some(Err(_)) => continue,
            };
            if self.table.get(peer.node).is_some() {
                self.renew(&peer, now);
            } else if peer.node != self.own.node
                && !self.quarantine.has(peer.node, now.mono)
                && self.table.has_room(peer.node)
            {
                self.untested.add(peer, false, now.mono);
            }
        }
    }

    /// A node cannot be reached.
    pub fn failed(&mut self, node: NodeId, now: Now, out: &mut Outputs) {
        self.missed(node, now, out);
        self.pump(now, out);
    }

    /// The next request to be sent.
    pub fn poll_ask(&mut self) -> Option<Ask> {
        self.asks.poll()
    }

    /// The next piece of news.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The live contacts nearest to a point, nearest first; never ourselves.
    pub fn closest(&self, point: Point, count: usize) -> Vec<Peer> {
        self.table.closest(point, count, false)
    }

    /// Whether we are among the nodes that should hold what lies at a point, as far as we know.
    pub fn is_holder(&self, point: Point) -> bool {
        self.table.holders(point, self.density.reach()).1
    }

    /// The records of a kind that we hold at a point.
    pub fn holds(&self, point: Point, kind: RecordKind) -> Vec<&Verified<RecordBody>> {
        let held = self.records.of_kind(point, kind);
        held.map(|held| &*held.record).collect()
    }

    /// The live contacts.
    pub fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.table.entries().map(|entry| &entry.peer)
    }

    /// How many live contacts there are.
    pub fn peer_count(&self) -> usize {
        self.table.len()
    }

    /// How many records we hold.
    pub fn record_count(&self) -> usize {
        self.records.len()
    }

    /// The contacts to be pushed to neighbours now: ourselves, our neighbours, and others in
    /// turn.
    pub fn routing(&mut self) -> Vec<Contact> {
        let near = self.table.closest(self.own.point(), HOLDERS, true);
        let count = self.table.len();
        let skip = self.upkeep.next_routing(count);
        let all = self.table.entries().chain(self.table.entries());
        let sound = all.skip(skip).take(count).filter(|it| !it.is_suspect());
        let others = sound.map(|entry| &entry.peer).filter(|peer| !near.contains(peer));
        [&self.own]
            .into_iter()
            .chain(&near)
            .chain(others)
            .take(CONTACTS_PER_ANSWER_MAX)
            .map(|peer| (*peer.contact).clone())
            .collect()
    }

    /// How full everything is that others can fill.
    pub fn fills(&self, fills: &mut Fills) {
        self.checked.fills(fills);
        self.untested.fills(fills);
        self.table.fills(fills);
        self.records.fills(fills);
        self.published.fills(fills);
        self.repairs.fills(fills);
        fills.note("lookups", self.lookups.len(), LOOKUPS_MAX);
        fills.note("lookups waiting", self.waiting.len(), LOOKUPS_WAITING_MAX);
        fills.note("puts", self.puts.len(), PUTS_MAX);
        let of = || self.lookups.values().map(Lookup::fill);
        fills.most("candidates of a lookup", of().map(|(it, _)| it), LOOKUP_CANDIDATES_MAX);
        fills.most("records of a lookup", of().map(|(_, it)| it), RECORDS_PER_POINT_MAX);
    }

    fn fresh_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    fn news(&mut self, event: Event) {
        self.events.push_back(event);
    }
}
