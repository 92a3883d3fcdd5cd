//! What comes before hello in a private network that has a key: each end proves that it has it.

use bytchat_proto::limits::STRANGER_LINGER_MS;
use bytchat_proto::rpc::node::one_more;
use bytchat_proto::wire::{Body, NetworkProof};
use serde_bytes::ByteBuf;

use super::Links;
use super::peer::Peer;
use crate::crypto::{NetworkKey, Prover};
use crate::io::{LinkId, Output, Outputs};
use crate::time::Now;

impl<T> Links<T> {
    /// Asks everybody for a proof of this key, if there is one.
    pub fn keyed(self, network_key: Option<NetworkKey>) -> Self {
        Self { network_key, ..self }
    }

    // SPEC 2.11: a node that has a key proves it, and says nothing else before the other did.
    /// Says the first word over a new link.
    pub(super) fn greet(&self, link: LinkId, now: Now, out: &mut Outputs) {
        let Some(key) = &self.network_key else {
            return self.say_hello(link, now, out);
        };
        let Some(peer) = self.peers.get(&link) else {
            return;
        };
        let prover = Prover {
            network: self.stamps.network(),
            binding: &peer.binding,
            key: self.key,
            opened: peer.dial.is_some(),
        };
        let proof = ByteBuf::from(key.prove(prover).to_vec());
        let proof = Body::NetworkProof(NetworkProof { proof });
        out.push(Output::Transmit { link, bytes: proof.with_id(0).encode() });
    }

    /// Takes a frame of somebody who has not said hello yet.
    pub(super) fn handle_first(&mut self, link: LinkId, body: Body, now: Now, out: &mut Outputs) {
        let Some(peer) = self.peers.get_mut(&link).filter(|peer| peer.refused.is_none()) else {
            return;
        };
        let Some(key) = self.network_key.as_ref().filter(|_| !peer.proved) else {
            if self.network_key.is_none() && matches!(body, Body::NetworkProof(_)) {
                let reason = "peer belongs to a private network with a key, this node has none";
                return self.stranger(link, reason, now);
            }
            return self.handle_hello(link, body, now, out);
        };
        let Body::NetworkProof(NetworkProof { proof }) = body else {
            let reason = "peer does not prove that it has the key of this private network";
            return self.stranger(link, reason, now);
        };
        if !key.proves(prover(peer, self.stamps.network()), &proof) {
            let reason = "peer has another network key, or another name of the network";
            return self.stranger(link, reason, now);
        }
        peer.proved = true;
        self.say_hello(link, now, out);
    }

    /// Refuses a node of another network. The link ends a moment later, so that the other end hears
    /// the first word too and can tell its operator; ours hears of the first.
    pub(super) fn stranger(&mut self, link: LinkId, reason: &str, now: Now) {
        let Some(peer) = self.peers.get_mut(&link) else {
            return;
        };
        peer.refused = Some(reason.to_owned());
        peer.hello_by = now.mono.plus_ms(STRANGER_LINGER_MS);
        self.due.plan(link, peer.deadline());
        let count = &mut self.counts.links.strangers_total;
        one_more(count);
        if *count == 1 {
            tracing::warn!(reason, "a node of another network was refused; more are only counted");
        } else {
            tracing::debug!(?link, reason, "a node of another network was refused");
        }
    }

    /// Ends a link whose other end has not said hello in time, or was refused.
    pub(super) fn end_silent(&mut self, link: LinkId, now: Now, out: &mut Outputs) {
        let refused = self.peers.get_mut(&link).and_then(|peer| peer.refused.take());
        match refused {
            Some(reason) => self.end(link, &reason, now, out),
            None => self.misbehaved(link, "hello did not come", now, out),
        }
    }
}

fn prover<T>(peer: &Peer<T>, network: bytchat_proto::id::NetworkId) -> Prover<'_> {
    let opened = peer.dial.is_none();
    Prover { network, binding: &peer.binding, key: peer.key, opened }
}
