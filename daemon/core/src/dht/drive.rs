//! Lookups and puts under way: answers in, requests and results out.

use bytchat_proto::id::NodeId;
use bytchat_proto::limits::{BUCKET_CONTACTS_MAX, LOOKUPS_MAX, LOOKUPS_WAITING_MAX, PUTS_MAX};
use bytchat_proto::point::Point;
use bytchat_proto::record::{Contact, Record, RecordBody, RecordKind};
use bytchat_proto::unverified::Verified;
use bytchat_proto::wire::{Request, Response};

use super::asks::{Flying, Lapse, Loss, Purpose, Reply};
use super::contacts::Peer;
use super::density::Choice;
use super::lookup::{Lookup, Slotted, Why};
use super::put::Put;
use super::records::Kept;
use super::rtt::Rtt;
use super::{AskId, Dht, Event, Failure, LookupId, PutError, PutId, TooBusy};
use crate::io::Outputs;
use crate::time::Now;

impl Dht {
    /// Looks for the nodes nearest to a point, and for the records of a kind that lie there.
    pub fn find(
        &mut self,
        target: Point,
        kind: Option<RecordKind>,
        now: Now,
        out: &mut Outputs,
    ) -> Result<LookupId, TooBusy> {
        let id = self.look_up(Lookup::new(target, kind, Why::Find), now, out)?;
        self.pump(now, out);
        Ok(id)
    }

    /// Brings a record to the nodes that should hold it.
    pub fn put(
        &mut self,
        record: Verified<RecordBody>,
        now: Now,
        out: &mut Outputs,
    ) -> Result<PutId, PutError> {
        let what = Slotted { slot: record.slot()?, record: record.into() };
        let id = self.start_put(what, now, out)?;
        self.pump(now, out);
        Ok(id)
    }

    pub(super) fn start_put(
        &mut self,
        what: Slotted,
        now: Now,
        out: &mut Outputs,
    ) -> Result<PutId, TooBusy> {
        if self.puts.len() >= PUTS_MAX {
            return Err(TooBusy);
        }
        let id = PutId(self.fresh_id());
        let lookup = Lookup::new(what.slot.point, None, Why::Put(id));
        self.puts.insert(id, Put::new(what));
        if let Err(busy) = self.look_up(lookup, now, out) {
            self.puts.remove(&id);
            return Err(busy);
        }
        Ok(id)
    }

    /// Starts a lookup, or lets it wait for its turn.
    pub(super) fn look_up(
        &mut self,
        lookup: Lookup,
        now: Now,
        out: &mut Outputs,
    ) -> Result<LookupId, TooBusy> {
        if self.waiting.len() >= LOOKUPS_WAITING_MAX {
            self.stats.turned_away();
            return Err(TooBusy);
        }
        let id = LookupId(self.fresh_id());
        self.waiting.push_back((id, lookup));
        self.start_waiting(now, out);
        Ok(id)
    }

    /// Starts lookups that wait, as many as may run.
    pub(super) fn start_waiting(&mut self, now: Now, out: &mut Outputs) {
        while self.lookups.len() < LOOKUPS_MAX {
            let Some((id, mut lookup)) = self.waiting.pop_front() else {
                return;
            };
            self.touch_bucket(lookup.target, now, out);
            lookup.reach = self.density.reach();
            self.seed(&mut lookup);
            self.stats.began(id, &lookup, now.mono);
            self.lookups.insert(id, lookup);
            self.advance_lookup(id, now, out);
        }
    }

    fn seed(&self, lookup: &mut Lookup) {
        let near = self.table.closest(lookup.target, BUCKET_CONTACTS_MAX, false);
        let few = near.len() < BUCKET_CONTACTS_MAX;
        for peer in near {
            let rtt = self.table.rtt(peer.node);
            lookup.offer(peer, None, rtt);
        }
        if few {
            let stored = self.untested.stored().cloned();
            stored.for_each(|peer| lookup.offer(peer, None, Rtt::default()));
        }
        let Some(kind) = lookup.kind else { return };
        for held in self.records.of_kind(lookup.target, kind) {
            if let Ok(slot) = held.record.slot() {
                let record = held.record.clone();
                lookup.found(Slotted { slot, record });
            }
        }
    }

    /// An answer to a request, or the news that there is none.
    pub fn handle_answer(
        &mut self,
        ask: AskId,
        answer: Result<&Response, Failure>,
        rtt_ms: u64,
        now: Now,
        out: &mut Outputs,
    ) {
        let Some(flying) = self.asks.take(ask) else {
            return;
        };
        self.conclude(&flying, Reply::of(answer), Some(rtt_ms), now, out);
        self.pump(now, out);
    }

    /// Lets requests become slow or lost whose time is over.
    pub(super) fn lapse_asks(&mut self, now: Now, out: &mut Outputs) {
        while let Some(lapse) = self.asks.lapse(now.mono) {
            match lapse {
                Lapse::Slow(flying) => self.slowed(&flying, now, out),
                Lapse::Lost(flying) => {
                    let lost = Reply::Lost(Loss::Silent);
                    self.conclude(&flying, lost, None, now, out);
                }
            }
        }
    }

    fn slowed(&mut self, flying: &Flying, now: Now, out: &mut Outputs) {
        let node = flying.peer.node;
        self.stats.slow();
        match flying.purpose {
            Purpose::Lookup(id) => {
                if let Some(lookup) = self.lookups.get_mut(&id) {
                    lookup.slow(node);
                }
                self.advance_lookup(id, now, out);
            }
            Purpose::Put(id) => {
                if let Some(put) = self.puts.get_mut(&id) {
                    put.slow(node);
                }
                self.advance_put(id, now, out);
            }
            Purpose::Ping | Purpose::Repair { .. } => {}
        }
    }

    fn conclude(
        &mut self,
        flying: &Flying,
        reply: Reply<'_>,
        rtt_ms: Option<u64>,
        now: Now,
        out: &mut Outputs,
    ) {
        self.stats.over(flying, reply, rtt_ms, now.mono);
        match reply {
            Reply::Answer(_) | Reply::Refused(..) => self.heard(&flying.peer, rtt_ms, now, out),
            Reply::Malformed | Reply::Lost(_) => self.missed(flying.peer.node, now, out),
        }
        match &flying.purpose {
            Purpose::Lookup(id) => {
                self.lookup_reply(*id, flying, reply, now, out);
                self.advance_lookup(*id, now, out);
            }
            Purpose::Put(id) => {
                self.put_reply(*id, flying, reply);
                self.advance_put(*id, now, out);
            }
            Purpose::Repair { slot, sequence } => {
                self.repair_reply(flying.peer.node, slot, *sequence, reply, now);
            }
            Purpose::Ping => {}
        }
    }

    fn lookup_reply(
        &mut self,
        id: LookupId,
        flying: &Flying,
        reply: Reply<'_>,
        now: Now,
        out: &mut Outputs,
    ) {
        let node = flying.peer.node;
        let (records, contacts): (&[Record], &[Contact]) = match reply {
            Reply::Answer(Response::Nodes(nodes)) => (&[], &nodes.contacts),
            Reply::Answer(Response::Records { records, contacts }) => (records, contacts),
            Reply::Answer(_) | Reply::Refused(..) | Reply::Malformed => {
                let lookup = self.lookups.get_mut(&id);
                return lookup.map_or((), |it| it.refused(node, flying.slow));
            }
            Reply::Lost(loss) => {
                let lookup = self.lookups.get_mut(&id);
                return lookup.map_or((), |it| it.lost(node, flying.slow, loss));
            }
        };
        let Some(lookup) = self.lookups.remove(&id) else {
            return;
        };
        let had = self.believable(&lookup, node, records, now);
        self.lookups.insert(id, lookup);
        let told = had.and_then(|had| Ok((had, self.usable(contacts, node, now)?)));
        if let Err(lie) = &told {
            self.accuse(node, &lie.to_string(), now, out);
        }
        let Some(lookup) = self.lookups.get_mut(&id) else {
            return;
        };
        match told {
            Ok((had, peers)) => {
                self.stats.named(id, node, &peers);
                lookup.answered(node, flying.slow, had);
                for peer in peers {
                    let rtt = self.table.rtt(peer.node);
                    lookup.offer(peer, Some(node), rtt);
                }
            }
            Err(_) => lookup.refused(node, flying.slow),
        }
    }

    fn advance_lookup(&mut self, id: LookupId, now: Now, out: &mut Outputs) {
        let Some(lookup) = self.lookups.get_mut(&id) else {
            return;
        };
        while let Some(peer) = lookup.next() {
            let rtt = self.table.rtt(peer.node);
            let purpose = Purpose::Lookup(id);
            self.asks.send(&peer, lookup.request(), purpose, rtt, now.mono);
        }
        let done = lookup.is_done();
        let tell = lookup.why == Why::Find && !lookup.reported;
        if tell && (done || lookup.has_quorum()) {
            lookup.reported = true;
            let found = found(id, lookup);
            self.news(found);
        }
        if done && let Some(lookup) = self.lookups.remove(&id) {
            self.stats.ended(id, &lookup, now.mono);
            self.finish_lookup(&lookup, now, out);
        }
    }

    fn finish_lookup(&mut self, lookup: &Lookup, now: Now, out: &mut Outputs) {
        match lookup.why {
            Why::Sample => self.density.note(lookup),
            Why::Own | Why::Find | Why::Put(_) => self.watch_crowds(lookup, now),
            Why::Refresh => {}
        }
        match lookup.why {
            Why::Put(id) => return self.begin_put(id, lookup, now, out),
            Why::Own => self.own_lookup_done(lookup.answer_count(), now),
            Why::Find | Why::Refresh | Why::Sample => {}
        }
        if lookup.kind.is_none() {
            return;
        }
        // SPEC 4.12: a reader brings what it found to the holders that lack it.
        for (peer, record) in lookup.lacking() {
            self.repairs.push(peer, record);
        }
        if self.is_among(lookup) {
            let all: Vec<Slotted> = lookup.records().cloned().collect();
            for record in all {
                self.keep(&record, None, now, out);
            }
        }
    }

    fn is_among(&self, lookup: &Lookup) -> bool {
        let own = self.own.point().distance(lookup.target);
        let mut choice = Choice::new(lookup.reach);
        for peer in lookup.usable_peers() {
            let distance = peer.point().distance(lookup.target);
            if distance < own {
                choice.take(distance);
            }
        }
        !choice.is_full(own)
    }

    fn begin_put(&mut self, id: PutId, lookup: &Lookup, now: Now, out: &mut Outputs) {
        let Some(mut put) = self.puts.remove(&id) else {
            return;
        };
        let own = self.own.point().distance(lookup.target);
        if put.start(lookup, own) {
            let what = put.what.clone();
            match self.keep(&what, None, now, out) {
                Kept::New | Kept::Same => put.stored_here(self.own.node),
                Kept::Stale(sequence) => put.stale_here(sequence),
                Kept::Full => {}
            }
        }
        self.puts.insert(id, put);
        self.advance_put(id, now, out);
    }

    fn put_reply(&mut self, id: PutId, flying: &Flying, reply: Reply<'_>) {
        let Some(put) = self.puts.get_mut(&id) else {
            return;
        };
        let node = flying.peer.node;
        match reply {
            Reply::Answer(Response::Done) => put.stored(node),
            Reply::Answer(_) | Reply::Malformed => put.lost(node, Loss::Unreachable),
            Reply::Refused(reason, detail) => put.refused(node, reason, detail),
            Reply::Lost(loss) => put.lost(node, loss),
        }
    }

    fn advance_put(&mut self, id: PutId, now: Now, out: &mut Outputs) {
        let Some(put) = self.puts.get_mut(&id) else {
            return;
        };
        while let Some(peer) = put.next() {
            let record = put.what.record.source().clone();
            let rtt = self.table.rtt(peer.node);
            let request = Request::PutRecord { record };
            self.asks.send(&peer, request, Purpose::Put(id), rtt, now.mono);
        }
        let event = put.report(id);
        if put.is_over()
            && let Some(put) = self.puts.remove(&id)
        {
            self.stats.put_over(&put);
            self.note_holders(&put);
        }
        if let Some(event) = event {
            self.stats.put(&event);
            self.note_published(&event, now, out);
            self.news(event);
        }
    }

    /// What the put has learnt about the others spares repairs.
    fn note_holders(&mut self, put: &Put) {
        let sequence = put.what.record.sequence;
        let own = self.own.node;
        let Some(held) = self.records.get_mut(&put.what.slot) else {
            return;
        };
        if held.record.sequence == sequence {
            held.confirmed.clear();
            let others = put.holders().iter().filter(|node| **node != own);
            others.for_each(|node: &NodeId| held.confirm(*node));
        }
    }
}

fn found(id: LookupId, lookup: &Lookup) -> Event {
    let closest: Vec<Peer> = lookup.usable_peers().cloned().collect();
    let records = lookup.records().map(|it| (*it.record).clone()).collect();
    Event::Found { lookup: id, answered: lookup.answer_count(), closest, records }
}
