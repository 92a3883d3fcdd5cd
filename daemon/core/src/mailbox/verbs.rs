//! What peers may ask of a mailbox, verb by verb.

use bytchat_proto::envelope::{Envelope, HolderReceipt, Removal};
use bytchat_proto::id::{EnvelopeId, UserId};
use bytchat_proto::limits::{
    EXTEND_MIN_MS, IDS_PER_REQUEST_MAX, RECORD_TTL_MAX_MS, RECORD_TTL_MIN_MS,
};
use bytchat_proto::timestamp::Timestamp;
use bytchat_proto::unverified::Unverified;
use bytchat_proto::wire::{Notice, Refusal, Response};
use serde_bytes::ByteBuf;

use super::attach::{Answer, Expected, ProveError};
use super::share::Source;
use super::shelf::{Held, Owner, row_value};
use super::tombstone::Tombstone;
use super::{Mailbox, Peer};
use crate::io::{LinkId, Outputs, Sign};
use crate::persist::Table;
use crate::planted::planted;
use crate::time::Now;

/// An envelope that a peer wants kept.
pub(super) struct Deposit<'a> {
    pub(super) envelope: &'a Envelope,
    pub(super) until: Timestamp,
    pub(super) repair: bool,
    pub(super) near: bool,
    pub(super) source: Source,
}

impl Deposit<'_> {
    /// Until when it is kept here. SPEC 6.7: a repair never makes mail live longer.
    fn end(&self, now: Timestamp) -> Timestamp {
        let latest = now.plus_ms(RECORD_TTL_MAX_MS);
        if planted!(TtlOverflow) {
            return self.until;
        }
        if self.repair {
            return self.until.min(latest);
        }
        self.until.clamp(now.plus_ms(RECORD_TTL_MIN_MS), latest)
    }
}

impl Mailbox {
    // SPEC 6.7: a holder answers for what it knows before it asks whether it is near or full.
    pub(super) fn deposit(
        &mut self,
        deposit: &Deposit<'_>,
        sign: Sign<'_>,
        now: Now,
        out: &mut Outputs,
    ) -> Response {
        if deposit.until <= now.wall {
            return Response::refused(Refusal::Expired, "the envelope is over");
        }
        let (id, owner) = (deposit.envelope.id(), Owner::of(deposit.envelope));
        // SPEC 6.10: what its device removed does not come back.
        if let Some(stone) = self.tombstones.get(owner.mark(id), now.wall) {
            return self.receipt(id, stone.taken, true, sign);
        }
        let held = self.shelf.get_mut(id).filter(|_| !planted!(NoDeduplication));
        if let Some(held) = held {
            let until = held.until;
            if deposit.repair {
                held.confirm(deposit.source.node, now.mono);
            }
            let until = self.again(id, until, deposit, now, out);
            return self.receipt(id, until, false, sign);
        }
        if !deposit.near {
            return not_closest();
        }
        let bytes = deposit.envelope.as_bytes().len();
        if let Some(detail) = self.shelf.full(owner.user, deposit.source, bytes, &self.limits) {
            return Response::refused(Refusal::Full, detail);
        }
        let until = deposit.end(now.wall);
        let held = Held {
            owner,
            arrival: self.shelf.next_arrival(),
            bytes,
            until,
            source: deposit.source,
            confirmed: deposit
                .repair
                .then_some((deposit.source.node, now.mono))
                .into_iter()
                .collect(),
        };
        let row = row_value(until, held.source, deposit.envelope);
        out.put(Table::Envelope, held.key(id), row);
        let arrival = held.arrival;
        self.shelf.insert(id, held);
        self.push_new(owner, arrival, deposit.envelope, now);
        self.receipt(id, until, false, sign)
    }

    /// An envelope that lies here is brought again: a sender may prolong it.
    fn again(
        &mut self,
        id: EnvelopeId,
        until: Timestamp,
        deposit: &Deposit<'_>,
        now: Now,
        out: &mut Outputs,
    ) -> Timestamp {
        let Some(held) = self.shelf.get(id) else {
            return until;
        };
        let (key, source) = (held.key(id), held.source);
        let later = deposit.end(now.wall);
        if later.since_ms(until) < EXTEND_MIN_MS {
            return until;
        }
        out.put(Table::Envelope, key, row_value(later, source, deposit.envelope));
        self.shelf.extend(id, later);
        later
    }

    // SPEC 6.8: the receipt is the holder's signed word.
    pub(super) fn receipt(
        &self,
        envelope: EnvelopeId,
        until: Timestamp,
        taken: bool,
        sign: Sign<'_>,
    ) -> Response {
        let receipt = HolderReceipt { envelope, holder: self.own, until, taken };
        Response::Receipt { receipt: Unverified::sign(&receipt, sign) }
    }

    // SPEC 6.9: one challenge per link; a new one replaces the old.
    pub(super) fn attach(
        &mut self,
        link: LinkId,
        user: UserId,
        now: Now,
        out: &mut Outputs,
    ) -> Response {
        let nonce = out.random_bytes::<32>();
        if !self.attachments.challenge(link, user, nonce, now) {
            return Response::refused(Refusal::Busy, "too many links ask for a challenge");
        }
        Response::Challenge { nonce: ByteBuf::from(nonce.to_vec()) }
    }

    // SPEC 6.9: what waits is pushed in the order of arrival once the proof is good.
    pub(super) fn prove(&mut self, peer: Peer<'_>, answer: &Answer<'_>, now: Now) -> Response {
        // What lies here is handed out also by a node that is no longer near.
        let user = answer.account.user();
        if !peer.near && !self.shelf.holds_for(user) {
            return not_closest();
        }
        let expected = Expected { holder: self.own, link: peer.link, binding: peer.binding };
        let owner = match self.attachments.prove(&expected, answer, now) {
            Ok(owner) => owner,
            Err(error) => return Response::refused(reason_of(&error), error.to_string()),
        };
        let source = Source { neighbour: false, ..peer.source };
        if let Some(detail) = self.attachments.full(peer.link, owner, source, self.limits.attached)
        {
            return Response::refused(Refusal::Full, detail);
        }
        self.detach(owner);
        self.attachments.attach(peer.link, owner, source);
        self.pages.wake(peer.link, owner);
        self.wake(owner);
        Response::Attached {
            waiting: count(self.shelf.waiting(owner)),
            keys: count(self.keys.left(owner)),
        }
    }

    // SPEC 6.10: a device removes its own envelopes only, on a link where it is attached; what
    // a neighbour hands on removes only what is here.
    pub(super) fn remove(
        &mut self,
        (link, neighbour): (LinkId, bool),
        removal: &Unverified<Removal>,
        now: Now,
        out: &mut Outputs,
    ) -> Response {
        let Ok(mut named) = removal.peek() else {
            return Response::refused(Refusal::Malformed, "the removal cannot be read");
        };
        if named.envelopes.len() > IDS_PER_REQUEST_MAX {
            return too_many_ids();
        }
        let owner = Owner { user: named.user, device: named.device };
        if !self.attachments.is_attached(link, owner) {
            let here = |id: &EnvelopeId| neighbour && self.shelf.get_of(owner, *id).is_some();
            named.envelopes.retain(here);
            if named.envelopes.is_empty() {
                return not_attached();
            }
        }
        if let Err(error) = removal.verify(&owner.device) {
            return Response::refused(Refusal::BadSignature, error.to_string());
        }
        self.hand_on(owner, &named.envelopes, removal);
        for id in &named.envelopes {
            self.remove_one(owner, *id, now, out);
        }
        Response::Done
    }

    fn remove_one(&mut self, owner: Owner, id: EnvelopeId, now: Now, out: &mut Outputs) {
        self.drop_notice(owner, id, out);
        let mark = owner.mark(id);
        if self.tombstones.get(mark, now.wall).is_some() {
            return;
        }
        let held = self.shelf.get_of(owner, id).map(|held| held.until);
        if held.is_some() {
            self.drop_envelope(id, out);
        } else if !self.tombstones.has_room(owner.user, &self.limits) {
            return;
        }
        if planted!(ForgottenTombstone) {
            return;
        }
        let latest = now.wall.plus_ms(RECORD_TTL_MAX_MS);
        let stone = Tombstone {
            user: owner.user,
            taken: now.wall,
            until: held.unwrap_or(latest),
            seen: held.is_some(),
        };
        out.put(Table::Tombstone, mark.0, stone.row_value());
        self.tombstones.insert(mark, stone);
        while self.tombstones.len() > self.limits.tombstones {
            let Some((_, oldest)) = self.tombstones.first() else {
                return;
            };
            self.drop_tombstone(oldest, out);
        }
    }

    pub(super) fn fetch(&mut self, link: LinkId, user: UserId, ids: &[EnvelopeId]) -> Response {
        if ids.len() > IDS_PER_REQUEST_MAX {
            return too_many_ids();
        }
        let devices = self.attachments.devices_on(link, user);
        if devices.is_empty() {
            return not_attached();
        }
        let mut found = false;
        for id in ids {
            let held = self.shelf.get(*id);
            let Some(owner) = held.map(|held| held.owner).filter(|o| devices.contains(o)) else {
                continue;
            };
            if !self.push_again(owner, *id) {
                return Response::refused(
                    Refusal::Busy,
                    "earlier envelopes are still on their way",
                );
            }
            found = true;
        }
        if found {
            Response::Done
        } else {
            Response::refused(Refusal::NotFound, "none of these envelopes lies here")
        }
    }

    // SPEC 5.6: a notice is kept for playback until its envelope is removed or over, or its
    // device was told of it.
    pub(super) fn notify(
        &mut self,
        (near, source): (bool, Source),
        notice: &Notice,
        now: Now,
        out: &mut Outputs,
    ) -> Response {
        let (user, device, id) = (notice.user, notice.device, notice.envelope);
        let owner = Owner { user, device };
        if notice.until <= now.wall {
            return Response::refused(Refusal::Expired, "the notice is over");
        }
        let removed = self.tombstones.get(owner.mark(id), now.wall);
        if removed.is_some() || self.notices.contains(owner, id) {
            return Response::Done;
        }
        if !near {
            return not_closest();
        }
        let full = self.notices.full(user, source, &self.limits);
        if let Some(detail) = full.filter(|_| !planted!(UnboundedQueue)) {
            return Response::refused(Refusal::Full, detail);
        }
        let until = notice.until.min(now.wall.plus_ms(RECORD_TTL_MAX_MS));
        let (key, value) = self.notices.push(owner, id, until, source);
        out.put(Table::Notice, key, value);
        if let Some(link) = self.attachments.get(owner).map(|attached| attached.link) {
            self.pages.wake(link, owner);
        }
        Response::Done
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn reason_of(error: &ProveError) -> Refusal {
    match error {
        ProveError::NoChallenge => Refusal::NotAttached,
        ProveError::TooLate => Refusal::Expired,
        ProveError::Record(_) | ProveError::Mismatch(_) => Refusal::BadSignature,
    }
}

fn not_closest() -> Response {
    Response::refused(Refusal::NotClosest, "this node is not near the user")
}

pub(super) fn not_attached() -> Response {
    Response::refused(Refusal::NotAttached, "the device is not attached on this link")
}

pub(super) fn too_many_ids() -> Response {
    let detail = format!("more than {IDS_PER_REQUEST_MAX} ids in one request");
    Response::refused(Refusal::Malformed, detail)
}
