//! Challenges: holders show that they still have what they signed for (SPEC 6.15).

use bytchat_proto::envelope::Envelope;
use bytchat_proto::id::NodeId;
use bytchat_proto::key::DeviceKey;
use bytchat_proto::limits::{KEPT_CHALLENGES_MAX, KEPT_NONCE_BYTES};
use bytchat_proto::record::NodeRecord;
use bytchat_proto::wire::{Refusal, Request, Response};
use serde_bytes::ByteBuf;

use super::Node;
use super::links::Token;
use crate::io::LinkId;
use crate::link::Failure;
use crate::mailbox::Challenge;
use crate::outbox::EntryId;
use crate::time::Now;

/// The challenge in a request, if it is one.
pub(super) fn challenge(link: LinkId, request: u64, asked: &Request) -> Option<Challenge> {
    let Request::ShowKept { user, device, envelope, nonce } = asked else {
        return None;
    };
    let (user, device, envelope) = (*user, *device, *envelope);
    Some(Challenge { link, request, user, device, envelope, nonce: nonce.to_vec() })
}

impl Node {
    /// Answers a challenge once the disk has given the envelope.
    pub(super) fn show_kept(&mut self, challenge: Challenge, now: Now) {
        if challenge.nonce.len() != KEPT_NONCE_BYTES {
            let error = format!("the chance of a challenge has {KEPT_NONCE_BYTES} bytes");
            let response = Response::refused(Refusal::Malformed, &error);
            return self.links.respond(challenge.link, challenge.request, response, &mut self.out);
        }
        let secret = &self.secret;
        let sign = |digest: &[u8; 64]| secret.sign(digest);
        self.mailbox.show(challenge, &sign, self.clock.calm(now), &mut self.out);
    }

    /// Asks the holders of some messages that are stored and not delivered to show them, and
    /// deposits what is missing with others.
    pub(super) fn challenge_holders(&mut self, now: Now) {
        for id in self.outbox.next_stored(KEPT_CHALLENGES_MAX) {
            let Some(entry) = self.outbox.get(id) else { continue };
            let (to, devices) = (entry.to, entry.targets.keys().copied());
            let devices: Vec<DeviceKey> = devices.collect();
            let Some(route) = self.routes.get(to, now) else {
                // It is deposited with those who are nearest then.
                self.search_route(to, now);
                continue;
            };
            let near = route.closest.clone();
            for device in devices {
                self.challenge_for(id, device, &near, now);
            }
        }
    }

    fn challenge_for(&mut self, id: EntryId, device: DeviceKey, near: &[NodeRecord], now: Now) {
        let own = self.id;
        let entry = self.outbox.get_mut(id);
        let Some((to, target)) =
            entry.and_then(|entry| Some((entry.to, entry.targets.get_mut(&device)?)))
        else {
            return;
        };
        let liars = target.begin_round();
        let Some(envelope) = target.envelope.as_ref().map(Envelope::id) else {
            return;
        };
        let holders = target.holders.keys().filter(|node| **node != own);
        let holders: Vec<NodeId> = holders.copied().collect();
        for node in liars {
            self.lose(id, device, node, "says that it was removed, and others have it", now);
        }
        for record in near.iter().filter(|record| holders.contains(&record.node())) {
            let nonce = ByteBuf::from(self.out.random_bytes::<KEPT_NONCE_BYTES>());
            let request = Request::ShowKept { user: to, device, envelope, nonce: nonce.clone() };
            let token = Token::Kept { entry: id, device, nonce: nonce.into_vec() };
            self.ask(record, request, token, now);
        }
    }

    /// A holder has shown an envelope, or not. Who cannot be reached or is busy is asked in the
    /// next round; when it is gone for good the nearest nodes are others.
    pub(super) fn handle_kept(
        &mut self,
        (id, device): (EntryId, DeviceKey),
        (node, nonce): (NodeId, &[u8]),
        result: Result<Response, Failure>,
        now: Now,
    ) {
        let Some(target) = self.outbox.get_mut(id).and_then(|it| it.targets.get_mut(&device))
        else {
            return;
        };
        let Some(envelope) = target.envelope.as_ref() else {
            return;
        };
        let why = match result {
            Ok(Response::Kept { proof }) => {
                let expected = envelope.kept_proof(nonce, node);
                if expected.as_slice() == proof.as_slice() {
                    target.shown += 1;
                    return;
                }
                "shows something else"
            }
            Ok(Response::Receipt { .. }) => {
                target.removed.insert(node);
                return;
            }
            Ok(Response::Refused { reason: Refusal::NotFound, .. }) => "does not have it any more",
            Ok(_)
            | Err(Failure::Unreachable | Failure::Broken | Failure::TimedOut | Failure::Busy) => {
                return;
            }
        };
        self.lose(id, device, node, why, now);
    }

    /// A holder does not have what it signed for: others take its place.
    fn lose(&mut self, id: EntryId, device: DeviceKey, node: NodeId, why: &str, now: Now) {
        let Some(entry) = self.outbox.get_mut(id) else {
            return;
        };
        let to = entry.to;
        if !entry.targets.get_mut(&device).is_some_and(|target| target.lose(node)) {
            return;
        }
        tracing::info!(%node, why, "a holder has lost what it signed for");
        self.outbox.save(id, &mut self.out);
        self.step_entry(id, &format!("{node} {why}: others are to keep it"), now);
        self.deposit_instead(id, device, to, now);
    }
}

#[cfg(test)]
mod tests {
    use bytchat_proto::id::{EnvelopeId, UserId};
    use bytchat_proto::wire::{Body, Frame};

    use super::*;
    use crate::fixture::at;
    use crate::io::Output;
    use crate::node::fixture::Machine;

    #[test]
    fn a_challenge_has_its_length_and_asks_the_disk_only_for_what_is_here() {
        let mut machine = Machine::new();
        for (bytes, expected) in
            [(31, Refusal::Malformed), (33, Refusal::Malformed), (32, Refusal::NotFound)]
        {
            let request = Request::ShowKept {
                user: UserId([1; 20]),
                device: DeviceKey([2; 32]),
                envelope: EnvelopeId([3; 32]),
                nonce: ByteBuf::from(vec![4; bytes]),
            };
            let challenge = challenge(LinkId(1), 5, &request).unwrap();
            machine.node.show_kept(challenge, at(0));
            machine.node.handle_input(crate::io::Input::Wake, at(0));
            let outputs = std::iter::from_fn(|| machine.node.poll_output());
            let mut answers = Vec::new();
            for output in outputs {
                assert!(!matches!(output, Output::Load { .. }), "it asks the disk");
                if let Output::Transmit { bytes, .. } = output {
                    answers.push(Frame::decode(&bytes).unwrap());
                }
            }
            let [Frame { id: 5, body: Body::Response(Response::Refused { reason, .. }) }] =
                answers.as_slice()
            else {
                panic!("{answers:?}");
            };
            assert_eq!(*reason, expected);
        }
    }
}
