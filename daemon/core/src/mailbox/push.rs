//! Bodies on their way from the disk: pushes to attached devices, and repair to other holders.

use std::collections::{BTreeMap, BTreeSet};

use bytchat_proto::envelope::Envelope;
use bytchat_proto::id::{EnvelopeId, NodeId};
use bytchat_proto::limits::{
    IDS_PER_REQUEST_MAX, MAILBOX_LOAD_RETRY_MS, MAILBOX_LOADS_MAX, PUSHES_IN_FLIGHT_MAX,
    PUSHES_PER_LOAD_MAX,
};
use bytchat_proto::wire::{Body, Delivery};
use tracing::warn;

use super::shelf::{Owner, parse_row};
use super::{Challenge, Effect, Mailbox};
use crate::io::{LinkId, LoadId, Output, Outputs};
use crate::persist::{Query, Row, Table};
use crate::planted::planted;
use crate::time::Now;

/// What a question to the disk is for.
pub(super) enum Purpose {
    /// To push these to an attached device, in this order.
    Push { owner: Owner, ids: Vec<EnvelopeId> },
    /// To offer it to another holder.
    Offer { id: EnvelopeId, to: NodeId },
    /// To show that it is here.
    Show(Challenge),
}

impl Mailbox {
    /// Pushes an envelope that just came, if its device is attached and has seen all before it.
    pub(super) fn push_new(&mut self, owner: Owner, arrival: u64, envelope: &Envelope, now: Now) {
        let Some(attached) = self.attachments.get_mut(owner) else {
            return;
        };
        let next = self.shelf.queue(owner, attached.next).next();
        let turn = next.is_some_and(|(first, _)| first == arrival);
        let idle = attached.loading.is_none() && attached.again.is_empty();
        if !turn || !idle || attached.in_flight.len() >= PUSHES_IN_FLIGHT_MAX {
            self.wake(owner);
            return;
        }
        attached.next = arrival.saturating_add(1);
        attached.sent(envelope.id(), now.mono);
        let link = attached.link;
        self.push_envelope(link, envelope.clone());
        self.watch(now.mono);
    }

    fn push_envelope(&mut self, link: LinkId, envelope: Envelope) {
        let body = Box::new(Body::Delivery(Delivery { envelope }));
        self.effects.push_back(Effect::Push { link, body });
    }

    /// Pushes an envelope once more when its turn comes; false if too many wait for that.
    pub(super) fn push_again(&mut self, owner: Owner, id: EnvelopeId) -> bool {
        let Some(attached) = self.attachments.get_mut(owner) else {
            return false;
        };
        if !attached.again.contains(&id) {
            if attached.again.len() >= IDS_PER_REQUEST_MAX {
                return false;
            }
            attached.again.push_back(id);
        }
        self.wake(owner);
        true
    }

    /// An envelope is gone: there is room for the next one of its device.
    pub(super) fn landed(&mut self, owner: Owner, id: EnvelopeId) {
        if let Some(attached) = self.attachments.get_mut(owner) {
            attached.landed(id);
            let due = attached.first_due();
            self.again_at = self.again_at.map(|at| due.map_or(at, |due| due.min(at)));
            self.wake(owner);
        }
    }

    /// Lets an attached device wait for its turn to ask the disk.
    pub(super) fn wake(&mut self, owner: Owner) {
        let Some(attached) = self.attachments.get_mut(owner) else {
            return;
        };
        if !attached.queued && attached.loading.is_none() && !planted!(LostWakeUp) {
            attached.queued = true;
            self.ready.push_back(owner);
        }
    }

    /// Asks the disk for those whose turn it is.
    pub(super) fn pump(&mut self, now: Now, out: &mut Outputs) {
        while self.loads.len() < MAILBOX_LOADS_MAX {
            let Some(owner) = self.ready.pop_front() else {
                return;
            };
            let ids = self.next_of(owner, now);
            if ids.is_empty() {
                continue;
            }
            self.watch(now.mono);
            let load = self.ask(&ids, out);
            if let Some(attached) = self.attachments.get_mut(owner) {
                attached.loading = Some(load);
            }
            self.loads.insert(load, Purpose::Push { owner, ids });
        }
    }

    /// What a device gets next: what it asked for again, else what waits, within its window.
    fn next_of(&mut self, owner: Owner, now: Now) -> Vec<EnvelopeId> {
        let Some(attached) = self.attachments.get_mut(owner) else {
            return Vec::new();
        };
        attached.queued = false;
        let free = PUSHES_IN_FLIGHT_MAX.saturating_sub(attached.in_flight.len());
        // SPEC 6.9: what is asked for again has its place in the window too.
        while let Some(id) = attached.again.front().copied() {
            if free == 0 && !attached.in_flight.contains_key(&id) {
                return Vec::new();
            }
            attached.again.pop_front();
            if self.shelf.get_of(owner, id).is_some() {
                attached.sent(id, now.mono);
                return vec![id];
            }
        }
        let queue = self.shelf.queue(owner, attached.next);
        let lives = |id| self.shelf.get(id).is_some_and(|held| held.until > now.wall);
        // No gaps: the rows of a batch follow each other on disk. The sweep clears what is over.
        let batch = queue.take_while(|(_, id)| lives(*id));
        let batch: Vec<_> = batch.take(free.min(PUSHES_PER_LOAD_MAX)).collect();
        if let Some((last, _)) = batch.last() {
            attached.next = last.saturating_add(1);
        }
        let ids: Vec<EnvelopeId> = batch.into_iter().map(|(_, id)| id).collect();
        ids.iter().for_each(|id| attached.sent(*id, now.mono));
        ids
    }

    /// Asks for the rows of envelopes that follow each other in the table.
    pub(super) fn ask(&self, ids: &[EnvelopeId], out: &mut Outputs) -> LoadId {
        let key_of = |id: &EnvelopeId| self.shelf.get(*id).map(|held| held.key(*id));
        let from = ids.first().and_then(key_of).unwrap_or_default();
        let mut to = ids.last().and_then(key_of).unwrap_or_default();
        to.push(0);
        let load = LoadId(out.fresh());
        let query = Query {
            table: Table::Envelope,
            from,
            to: Some(to),
            // Rows that were forgotten may lie between them, and take nobody's place.
            limit: usize::MAX,
            reverse: false,
            follow: None,
            bytes: usize::MAX,
        };
        out.push(Output::Load { load, query });
        load
    }

    /// Takes rows from the disk; false if somebody else asked for them.
    pub fn handle_loaded(
        &mut self,
        load: LoadId,
        rows: &[Row],
        now: Now,
        out: &mut Outputs,
    ) -> bool {
        let Some(purpose) = self.loads.remove(&load) else {
            return false;
        };
        let parsed = rows.iter().filter_map(|(key, value)| parse_row(key, value));
        let bodies = parsed.map(|(id, _, envelope)| (id, envelope)).collect();
        match purpose {
            Purpose::Push { owner, ids } => self.push_loaded(owner, load, &ids, bodies),
            Purpose::Offer { id, to } => self.offer_loaded(id, to, bodies, now),
            Purpose::Show(challenge) => self.show_loaded(&challenge, bodies),
        }
        self.pump(now, out);
        self.send_offers(out);
        self.arm(now);
        true
    }

    /// The disk could not answer a question: nothing is lost by that, and it is asked again.
    pub fn load_failed(&mut self, load: LoadId, now: Now, out: &mut Outputs) {
        match self.loads.remove(&load) {
            Some(Purpose::Push { owner, ids }) => self.push_failed(owner, load, &ids, now),
            Some(Purpose::Offer { id, to }) => self.offers.end(id, to),
            Some(Purpose::Show(challenge)) => self.show_failed(&challenge),
            None => {}
        }
        self.pump(now, out);
        self.send_offers(out);
        self.arm(now);
    }

    // They keep their places in the window and come first, in the same order.
    fn push_failed(&mut self, owner: Owner, load: LoadId, ids: &[EnvelopeId], now: Now) {
        let attached = self.attachments.get_mut(owner);
        let Some(attached) = attached.filter(|attached| attached.loading == Some(load)) else {
            return;
        };
        attached.loading = None;
        attached.again.retain(|id| !ids.contains(id));
        ids.iter().rev().for_each(|id| attached.again.push_front(*id));
        // Its turn does not come before that.
        attached.queued = true;
        let at = now.mono.plus_ms(MAILBOX_LOAD_RETRY_MS);
        self.late.get_or_insert_with(|| (at, BTreeSet::new())).1.insert(owner);
    }

    /// Asks again what the disk could not answer, when it is time.
    pub(super) fn ask_again(&mut self, now: Now, out: &mut Outputs) {
        let Some((_, owners)) = self.late.take_if(|(at, _)| *at <= now.mono) else {
            return;
        };
        for owner in owners {
            if !self.ready.contains(&owner)
                && let Some(attached) = self.attachments.get_mut(owner)
            {
                attached.queued = false;
                self.wake(owner);
            }
        }
        self.pump(now, out);
    }

    fn push_loaded(
        &mut self,
        owner: Owner,
        load: LoadId,
        ids: &[EnvelopeId],
        mut bodies: BTreeMap<EnvelopeId, Envelope>,
    ) {
        let attached = self.attachments.get_mut(owner);
        let Some(attached) = attached.filter(|attached| attached.loading == Some(load)) else {
            return;
        };
        attached.loading = None;
        let link = attached.link;
        for id in ids {
            if let Some(envelope) = self.confirm(*id, bodies.remove(id)) {
                self.push_envelope(link, envelope);
            }
        }
        self.wake(owner);
    }

    /// The body of an envelope that is still here. One that the disk does not give is forgotten,
    /// so that another holder can bring it back; its row stays, as the disk may recover.
    pub(super) fn confirm(&mut self, id: EnvelopeId, body: Option<Envelope>) -> Option<Envelope> {
        self.shelf.get(id)?;
        let whole = body.filter(|envelope| envelope.id() == id);
        if whole.is_none() {
            warn!(envelope = %id, "the disk did not give a held envelope: forgotten");
            if let Some(held) = self.shelf.remove(id) {
                self.landed(held.owner, id);
            }
        }
        whole
    }
}
