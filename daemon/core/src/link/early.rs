//! What is asked before the other end has said hello: a new link costs one round trip less.
//!
//! TLS has proven that the dialled node is there, and our hello goes first on the same stream.

use bytchat_proto::id::NodeId;
use bytchat_proto::wire::{Request, Response};

use super::{Event, Failure, Links, NewAsk};
use crate::io::{LinkId, Outputs};
use crate::time::Now;

impl<T> Links<T> {
    // SPEC 2.2: our hello is the first frame, the other end's need not have come.
    /// Asks a dialled node whose link is up what waits for it and changes nothing there. In a
    /// private network that has a key nothing is said to somebody who has not proven it.
    pub(super) fn ask_early(&mut self, link: LinkId, now: Now, out: &mut Outputs) {
        let Some(peer) = self.peers.get_mut(&link).filter(|_| self.network_key.is_none()) else {
            return;
        };
        let Some((node, waiting)) = self.dials.take_early(peer.dial, peer.key) else {
            return;
        };
        peer.expected = Some(node);
        for ask in waiting {
            let request = ask.request.clone();
            let asked = self.ask_on((link, node), ask, now, out);
            if let Some((id, peer)) = asked.zip(self.peers.get_mut(&link)) {
                peer.early.insert(id, request);
            }
        }
    }

    /// An answer of a dialled node, which may overtake its hello.
    pub(super) fn answered_early(
        &mut self,
        (link, node): (LinkId, NodeId),
        id: u64,
        response: Response,
        now: Now,
    ) {
        let peer = self.peers.get_mut(&link);
        let event = peer.and_then(|peer| peer.answered(node, id, response, now));
        self.events.extend(event);
    }

    /// The other end is not who was dialled, or gone before it said hello: what was asked early
    /// waits for the next address again.
    pub(super) fn take_back(&mut self, link: LinkId, now: Now) {
        let Some(peer) = self.peers.get_mut(&link) else {
            return;
        };
        let early = std::mem::take(&mut peer.early);
        let Some(node) = peer.expected.take() else {
            return;
        };
        let asks = early.into_iter().filter_map(|(id, request)| {
            let ask = peer.asks.remove(&id)?;
            let timeout_ms = ask.timeout_ms;
            Some(NewAsk { request, token: ask.token, timeout_ms })
        });
        let asks: Vec<NewAsk<T>> = asks.collect();
        for ask in self.dials.give_back(peer.dial, asks) {
            let result = Err(Failure::Unreachable);
            let rtt_ms = now.mono.since_ms(peer.used);
            self.events.push_back(Event::Answer { token: ask.token, from: node, result, rtt_ms });
        }
    }
}

/// Whether a request changes nothing where it goes, so that it may be asked twice.
pub(super) fn is_harmless(request: &Request) -> bool {
    matches!(request, Request::Ping | Request::FindNode { .. } | Request::FindRecord { .. })
}
