//! Keeping records where they belong: repair when holders come and go, and putting our own
//! records again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytchat_proto::id::NodeId;
use bytchat_proto::limits::{
    MINUTE_MS, OWN_RECORDS_MAX, REPAIR_JOINED_JITTER_MS, REPAIR_JOINED_MS, REPAIR_LOST_JITTER_MS,
    REPAIR_LOST_MS, REPAIR_RANK_MS, REPAIRS_MAX, REPAIRS_WAITING_MAX, REPUBLISH_MS,
    REPUBLISH_RETRY_MS, SWEEP_MS,
};
use bytchat_proto::point::Point;
use bytchat_proto::record::{RecordBody, RecordSlot};
use bytchat_proto::unverified::Verified;
use bytchat_proto::wire::{Refusal, Request, Response};

use super::asks::{Purpose, Reply};
use super::contacts::Peer;
use super::lookup::{Lookup, Slotted, Why};
use super::put::parse_sequence;
use super::records::Spot;
use super::{Dht, Event, PutError, PutId, TooBusy};
use crate::fill::Fills;
use crate::io::Outputs;
use crate::time::{Mono, Now};

/// Points looked after in one go, so that a tick stays short.
const VISITS_PER_TICK: usize = 32;

/// Records on their way to holders that lack them.
#[derive(Default)]
pub(super) struct Repairs {
    waiting: VecDeque<(Peer, Slotted)>,
    flying: usize,
}

impl Repairs {
    /// How full it is.
    pub(super) fn fills(&self, fills: &mut Fills) {
        fills.note("repairs waiting", self.waiting.len(), REPAIRS_WAITING_MAX);
        fills.note("repairs in flight", self.flying, REPAIRS_MAX);
    }

    /// Adds one; what does not fit is left to the next sweep.
    pub(super) fn push(&mut self, to: Peer, record: Slotted) {
        if self.waiting.len() < REPAIRS_WAITING_MAX {
            self.waiting.push_back((to, record));
        }
    }

    /// How many wait for their turn.
    pub(super) fn waiting_count(&self) -> usize {
        self.waiting.len()
    }

    /// Whether more may be planned.
    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() < REPAIRS_WAITING_MAX / 2
    }
}

struct Own {
    what: Slotted,
    next: Mono,
    retry_ms: u64,
}

/// Our own records, which are put again and again.
#[derive(Default)]
pub(super) struct Published {
    all: BTreeMap<RecordSlot, Own>,
    due: BTreeSet<(Mono, RecordSlot)>,
}

impl Published {
    /// How full it is.
    pub(super) fn fills(&self, fills: &mut Fills) {
        fills.note("own records", self.all.len().max(self.due.len()), OWN_RECORDS_MAX);
    }

    fn schedule(&mut self, slot: &RecordSlot, at: Mono) {
        if let Some(own) = self.all.get_mut(slot) {
            self.due.remove(&(own.next, slot.clone()));
            own.next = at;
            self.due.insert((at, slot.clone()));
        }
    }

    fn remove(&mut self, slot: &RecordSlot) {
        if let Some(own) = self.all.remove(slot) {
            self.due.remove(&(own.next, slot.clone()));
        }
    }

    /// When the next one is due.
    pub(super) fn due(&self) -> Option<Mono> {
        self.due.first().map(|(at, _)| *at)
    }
}

/// A time within a fifth of the usual one.
pub(super) fn about(ms: u64, out: &mut Outputs) -> u64 {
    ms - ms / 5 + out.random_below(ms / 5 * 2)
}

impl Dht {
    /// Puts an own record now, and again twice a day until it ends or is forgotten.
    pub fn publish(
        &mut self,
        record: Verified<RecordBody>,
        now: Now,
        out: &mut Outputs,
    ) -> Result<PutId, PutError> {
        let slot = record.slot()?;
        let known = self.published.all.contains_key(&slot);
        if !known && self.published.all.len() >= OWN_RECORDS_MAX {
            return Err(TooBusy.into());
        }
        let what = Slotted { slot: slot.clone(), record: record.into() };
        self.published.remove(&slot);
        let own = Own { what: what.clone(), next: now.mono, retry_ms: REPUBLISH_RETRY_MS };
        self.published.all.insert(slot.clone(), own);
        // Until the result is known; one that comes at once sets it again.
        self.published.schedule(&slot, now.mono.plus_ms(MINUTE_MS));
        let put = self.start_put(what, now, out)?;
        self.pump(now, out);
        Ok(put)
    }

    /// Stops putting an own record again.
    pub fn forget_own(&mut self, slot: &RecordSlot) {
        self.published.remove(slot);
    }

    /// Sets when an own record is put again, now that a put has ended.
    pub(super) fn note_published(&mut self, event: &Event, now: Now, out: &mut Outputs) {
        let Event::Stored { slot, ok, .. } = event else {
            return;
        };
        let Some(own) = self.published.all.get_mut(slot) else {
            return;
        };
        let pause_ms = if *ok {
            own.retry_ms = REPUBLISH_RETRY_MS;
            about(REPUBLISH_MS, out)
        } else {
            own.retry_ms = (own.retry_ms * 2).min(10 * MINUTE_MS);
            about(own.retry_ms, out)
        };
        self.published.schedule(slot, now.mono.plus_ms(pause_ms));
    }

    /// Puts own records again whose time has come.
    pub(super) fn republish(&mut self, now: Now, out: &mut Outputs) {
        for _ in 0..VISITS_PER_TICK {
            let Some((at, slot)) = self.published.due.first().cloned() else {
                return;
            };
            if at > now.mono {
                return;
            }
            let Some(own) = self.published.all.get(&slot) else {
                return;
            };
            if own.what.record.expires <= now.wall {
                self.published.remove(&slot);
                continue;
            }
            let what = own.what.clone();
            self.published.schedule(&slot, now.mono.plus_ms(MINUTE_MS));
            if self.start_put(what, now, out).is_err() {
                return;
            }
        }
    }

    /// The first peer is there: what was put before reached nobody.
    pub(super) fn republish_soon(&mut self, now: Now, out: &mut Outputs) {
        let slots: Vec<RecordSlot> = self.published.all.keys().cloned().collect();
        for slot in slots {
            let pause_ms = about(REPAIR_JOINED_MS, out);
            self.published.schedule(&slot, now.mono.plus_ms(pause_ms));
        }
    }

    /// Notes who holds what lies at a point, and looks after it in an hour.
    pub(super) fn watch(&mut self, point: Point, now: Now, out: &mut Outputs) {
        let region = self.density.reach();
        let (others, own) = self.table.holders(point, region);
        let distance = self.own.point().distance(point);
        let Some(spot) = self.records.spot_mut(point) else {
            return;
        };
        spot.set_holders(&others, own.then_some(distance), region);
        let pause_ms = about(SWEEP_MS, out) + rank_ms(spot, &self.own);
        let at = now.mono.plus_ms(pause_ms);
        self.records.schedule(point, at, false);
    }

    /// A node came that should hold some of what we hold.
    pub(super) fn repair_for(&mut self, node: NodeId, now: Now, out: &mut Outputs) {
        let wanted = self.records.spots().filter(|spot| spot.wants(node));
        let wanted: Vec<(Point, u64)> =
            wanted.map(|spot| (spot.point, rank_ms(spot, &self.own))).collect();
        for (point, wait_ms) in wanted {
            // SPEC 4.12: the closest holder first, the others if it does not.
            let jitter_ms = out.random_below(REPAIR_JOINED_JITTER_MS);
            let pause_ms = REPAIR_JOINED_MS + jitter_ms + wait_ms;
            self.records.schedule(point, now.mono.plus_ms(pause_ms), true);
        }
    }

    /// A node is gone that held some of what we hold.
    pub(super) fn repair_after(&mut self, node: NodeId, now: Now, out: &mut Outputs) {
        let missing = self.records.spots().filter(|spot| spot.misses(node));
        let missing: Vec<(Point, u64)> =
            missing.map(|spot| (spot.point, rank_ms(spot, &self.own))).collect();
        for (point, wait_ms) in missing {
            let jitter_ms = out.random_below(REPAIR_LOST_JITTER_MS);
            let pause_ms = REPAIR_LOST_MS + jitter_ms + wait_ms;
            self.records.schedule(point, now.mono.plus_ms(pause_ms), true);
        }
    }

    /// Looks after the points whose time has come.
    pub(super) fn look_after(&mut self, now: Now, out: &mut Outputs) {
        for _ in 0..VISITS_PER_TICK {
            if !self.repairs.has_room() {
                return;
            }
            let Some(point) = self.records.due(now.mono) else {
                return;
            };
            self.visit(point, now, out);
        }
    }

    fn visit(&mut self, point: Point, now: Now, out: &mut Outputs) {
        let (others, own) = self.table.holders(point, self.density.reach());
        let near = self.is_near(point);
        if let Some(spot) = self.records.spot_mut(point) {
            for ((kind, device), held) in &mut spot.held {
                let slot = RecordSlot { point, kind: *kind, device: *device };
                // Whoever served all holders within the hour has spared us the sweep.
                let sweep = now.mono.since_ms(held.refreshed) > SWEEP_MS / 4 * 3;
                if own && sweep {
                    held.confirmed.clear();
                    held.refreshed = now.mono;
                }
                let lacking = others.iter().filter(|it| !held.confirmed.contains(&it.node));
                for peer in lacking.filter(|_| near) {
                    let record = held.record.clone();
                    let slot = slot.clone();
                    self.repairs.push(peer.clone(), Slotted { slot, record });
                }
            }
        }
        self.watch(point, now, out);
    }

    /// Sends repairs, as many as may be in flight.
    pub(super) fn send_repairs(&mut self, now: Now) {
        while self.repairs.flying < REPAIRS_MAX {
            let Some((peer, what)) = self.repairs.waiting.pop_front() else {
                return;
            };
            if what.record.expires <= now.wall {
                continue;
            }
            let record = what.record.source().clone();
            let sequence = what.record.sequence;
            let slot = what.slot;
            let rtt = self.table.rtt(peer.node);
            let purpose = Purpose::Repair { slot, sequence };
            self.repairs.flying += 1;
            let request = Request::PutRecord { record };
            self.asks.send(&peer, request, purpose, rtt, now.mono);
        }
    }

    pub(super) fn repair_reply(
        &mut self,
        node: NodeId,
        slot: &RecordSlot,
        sequence: u64,
        reply: Reply<'_>,
        now: Now,
    ) {
        self.repairs.flying = self.repairs.flying.saturating_sub(1);
        match reply {
            Reply::Answer(Response::Done) | Reply::Refused(..) => {
                let held = self.records.get_mut(slot);
                if let Some(held) = held.filter(|held| held.record.sequence == sequence) {
                    held.confirm(node);
                }
            }
            Reply::Answer(_) | Reply::Malformed => {}
            Reply::Lost(_) => {
                let again = now.mono.plus_ms(REPUBLISH_RETRY_MS);
                self.records.schedule(slot.point, again, true);
            }
        }
        if let Reply::Refused(Refusal::Stale, detail) = reply
            && parse_sequence(detail).is_some_and(|named| named > sequence)
        {
            // The other one has missed less than we have: fetch what it names.
            let lookup = Lookup::new(slot.point, Some(slot.kind), Why::Refresh);
            self.upkeep.want(lookup);
        }
    }
}

fn rank_ms(spot: &Spot, own: &Peer) -> u64 {
    let distance = own.point().distance(spot.point);
    let rank = u64::try_from(spot.rank(distance)).unwrap_or(u64::MAX);
    rank.saturating_mul(REPAIR_RANK_MS)
}
