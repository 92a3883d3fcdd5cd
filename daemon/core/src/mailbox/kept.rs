//! Showing that what was promised is still here (SPEC 6.15).

use std::collections::BTreeMap;

use bytchat_proto::envelope::Envelope;
use bytchat_proto::id::{EnvelopeId, UserId};
use bytchat_proto::key::DeviceKey;
use bytchat_proto::limits::MAILBOX_LOADS_MAX;
use bytchat_proto::wire::{Refusal, Response};
use serde_bytes::ByteBuf;

use super::push::Purpose;
use super::shelf::Owner;
use super::{Effect, Mailbox};
use crate::io::{LinkId, Outputs, Sign};
use crate::time::Now;

/// A challenge to show that an envelope is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Over which link it came.
    pub link: LinkId,
    /// The number of the request there.
    pub request: u64,
    /// Whose envelope.
    pub user: UserId,
    /// For which device.
    pub device: DeviceKey,
    /// Which.
    pub envelope: EnvelopeId,
    /// What goes into the proof.
    pub nonce: Vec<u8>,
}

/// There is no such envelope here.
pub(super) fn not_here() -> Response {
    Response::refused(Refusal::NotFound, "the envelope is not here")
}

impl Mailbox {
    /// Reads an envelope back to show that it is here; the answer follows as an effect. Who names
    /// its id has sealed, kept or read it, so that nobody learns anything new.
    pub fn show(&mut self, challenge: Challenge, sign: Sign<'_>, now: Now, out: &mut Outputs) {
        let Challenge { user, device, envelope, .. } = challenge;
        let owner = Owner { user, device };
        if let Some(stone) = self.tombstones.get(owner.mark(envelope), now.wall) {
            let receipt = self.receipt(envelope, stone.taken, true, sign);
            return self.answer(&challenge, receipt);
        }
        if self.shelf.get_of(owner, envelope).is_none() {
            return self.answer(&challenge, not_here());
        }
        // Pushes to devices come first.
        if self.loads.len() >= MAILBOX_LOADS_MAX / 2 {
            return self.show_failed(&challenge);
        }
        let load = self.ask(&[envelope], out);
        self.loads.insert(load, Purpose::Show(challenge));
    }

    pub(super) fn show_loaded(
        &mut self,
        challenge: &Challenge,
        mut bodies: BTreeMap<EnvelopeId, Envelope>,
    ) {
        let id = challenge.envelope;
        let response = self.confirm(id, bodies.remove(&id)).map_or_else(not_here, |envelope| {
            let proof = envelope.kept_proof(&challenge.nonce, self.own);
            Response::Kept { proof: ByteBuf::from(proof) }
        });
        self.answer(challenge, response);
    }

    /// The disk has no time for it, or could not answer.
    pub(super) fn show_failed(&mut self, challenge: &Challenge) {
        let busy = Response::refused(Refusal::Busy, "the disk is busy: ask again later");
        self.answer(challenge, busy);
    }

    fn answer(&mut self, challenge: &Challenge, response: Response) {
        let (link, request) = (challenge.link, challenge.request);
        self.effects.push_back(Effect::Respond { link, request, response: Box::new(response) });
    }
}
