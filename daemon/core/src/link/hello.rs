//! The first frame each way: who is at the other end, and whether we may talk.

use bytchat_proto::id::NodeId;
use bytchat_proto::limits::{FRAME_BYTES_MAX, PROTOCOL_VERSION};
use bytchat_proto::record::verify_contact;
use bytchat_proto::rpc::node::one_more;
use bytchat_proto::wire::{Body, Hello};

use super::peer::Peer;
use super::{Event, Links};
use crate::io::{LinkId, Output, Outputs};
use crate::time::Now;

impl<T> Links<T> {
    // SPEC 2.2: the first frame each way is `Hello`.
    pub(super) fn say_hello(&self, link: LinkId, now: Now, out: &mut Outputs) {
        let Some(peer) = self.peers.get(&link) else {
            return;
        };
        let hello = Body::Hello(Hello {
            version: PROTOCOL_VERSION,
            network: self.stamps.network(),
            contact: self.own.clone(),
            observed: peer.address,
            frame_bytes_max: u32::try_from(FRAME_BYTES_MAX).unwrap_or(u32::MAX),
            time: Some(now.wall),
        });
        out.push(Output::Transmit { link, bytes: hello.with_id(0).encode() });
    }

    pub(super) fn handle_hello(&mut self, link: LinkId, body: Body, now: Now, out: &mut Outputs) {
        let Body::Hello(hello) = body else {
            return self.misbehaved(link, "the first frame is not hello", now, out);
        };
        // SPEC 3.5: nodes of two networks never talk.
        if hello.network != self.stamps.network() {
            let (theirs, ours) = (hello.network, self.stamps.network());
            let reason = format!("peer belongs to network {theirs}, this is {ours}");
            return self.stranger(link, &reason, now);
        }
        if let Err(reason) = self.check_hello(link, &hello) {
            return self.misbehaved(link, &reason, now, out);
        }
        let contact = verify_contact(&hello.contact, self.stamps.network());
        let known = contact.as_ref().ok().is_none_or(|it| {
            let knocks = self.peers.get(&link).is_some_and(|peer| peer.dial.is_none());
            !knocks || self.stamps.may_meet(it, now.mono)
        });
        if !known {
            let reason = "too many nodes that are not known come at once: try again later";
            return self.turn_away(link, reason, now, out);
        }
        let contact = match contact.and_then(|it| self.stamps.check(&it).map(|()| it)) {
            Ok(contact) => contact,
            Err(error) => return self.misbehaved(link, &error.to_string(), now, out),
        };
        let node = contact.node();
        if self.peers.get(&link).is_some_and(|it| it.expected != Some(node)) {
            self.take_back(link, now);
        }
        let Some(peer) = self.peers.get_mut(&link) else {
            return;
        };
        peer.node = Some(node);
        peer.early.clear();
        self.due.plan(link, peer.deadline());
        let (dial, address) = (peer.dial, peer.address);
        if self.dials.expects(dial, node) {
            self.dials.proved(address, now.mono);
        }
        let links = &mut self.counts.links;
        one_more(match dial {
            Some(_) => &mut links.opened_total,
            None => &mut links.accepted_total,
        });
        self.replace(node, link, now, out);
        let Hello { observed, time, .. } = hello;
        self.events.push_back(Event::Up { link, contact, observed, time, dial });
        let waiting = self.dials.arrived(dial, node, now, out, &mut self.events);
        for ask in waiting {
            self.request_on(link, ask, now, out);
        }
    }

    // SPEC 2.10: the newest link to a node is the one that is used.
    /// Takes a link for what is said to a node from now on. Who opens one has none that works,
    /// unless both have tried in the same moment, or it twice from one address: after a crash the
    /// old one would be believed in until it times out.
    fn replace(&mut self, node: NodeId, link: LinkId, now: Now, out: &mut Outputs) {
        let is_ours = |peer: &Peer<T>| peer.dial.is_some();
        let newer = self.peers.get(&link);
        let opened_by_peer = newer.is_some_and(|peer| !is_ours(peer));
        let address = newer.map(|peer| peer.address);
        let Some(old) = self.by_node.insert(node, link).filter(|old| *old != link) else {
            return;
        };
        // One id has two links at most, however it is dialled and dials.
        let of_node = |peer: &Peer<T>| peer.node == Some(node) && peer.dial.is_none();
        let all = self.peers.iter().filter(|(_, peer)| of_node(peer)).map(|(link, _)| *link);
        let surplus: Vec<LinkId> = all.filter(|it| ![old, link].contains(it)).collect();
        for surplus in surplus {
            self.turn_away(surplus, "the peer has opened newer links", now, out);
        }
        let Some(peer) = self.peers.get(&old) else {
            return;
        };
        // A node that is back at its former address resets what is dead.
        let both = is_ours(peer) || address == Some(peer.address);
        if opened_by_peer && !(both && peer.hello_by > now.mono) {
            tracing::debug!(link = ?old, "a peer has opened a newer link");
            self.turn_away(old, "the peer has opened a newer link", now, out);
        }
    }

    fn turn_away(&mut self, link: LinkId, reason: &str, now: Now, out: &mut Outputs) {
        out.push(Output::Close { link, reason: reason.to_owned() });
        self.link_down(link, now, out);
    }

    fn check_hello(&self, link: LinkId, hello: &Hello) -> Result<(), String> {
        if hello.version != PROTOCOL_VERSION {
            return Err(format!(
                "peer speaks protocol {}, expected {PROTOCOL_VERSION}",
                hello.version
            ));
        }
        let contact = hello.contact.peek().map_err(|error| error.to_string())?;
        let key = contact.key;
        match self.peers.get(&link) {
            Some(peer) if peer.key == key => Ok(()),
            Some(peer) => Err(format!("hello names key {key}, the link proved {}", peer.key)),
            None => Err("the link is gone".to_owned()),
        }
    }
}
