//! Links: who is at the other end, requests and their answers, dialling when somebody is needed.

mod cost;
mod counts;
mod deliveries;
mod dial;
mod due;
mod early;
mod event;
mod garbage;
mod hello;
mod peer;
mod proof;
mod targets;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use bytchat_proto::id::NodeId;
use bytchat_proto::key::NodeKey;
use bytchat_proto::limits::{
    LINK_IDLE_MS, LINKS_AT_REST, LINKS_MAX, REQUEST_BUDGETS_MAX, REQUEST_COST_HEAVY,
    REQUEST_TOKENS_MAX, REQUEST_TOKENS_PER_SECOND, REQUESTS_PER_LINK_MAX,
};
use bytchat_proto::record::Contact;
use bytchat_proto::rpc::node::one_more;
use bytchat_proto::wire::{Body, Frame, Refusal, Response};

use crate::budget::{Budgets, Rate};
use crate::crypto::NetworkKey;
use crate::fill::Fills;
use crate::io::{DialId, LinkId, Output, Outputs};
use crate::stamp::{Stamps, Terms};
use crate::time::{Deadline, Mono, Now};

use counts::Counts;
use deliveries::Deliveries;
use dial::Dials;
pub use dial::Named;
use due::Due;
pub use event::{Event, Failure, NewAsk, Target, Up};
use garbage::Garbage;
pub use garbage::Tried;
use peer::Peer;

/// How much one node may ask.
const REQUESTS: Rate = Rate { per_second: REQUEST_TOKENS_PER_SECOND, max: REQUEST_TOKENS_MAX };

/// All links of this node; `T` says what a request is for.
pub struct Links<T> {
    stamps: Stamps,
    network_key: Option<NetworkKey>,
    key: NodeKey,
    own: Contact,
    peers: BTreeMap<LinkId, Peer<T>>,
    by_node: BTreeMap<NodeId, LinkId>,
    dials: Dials<T>,
    due: Due,
    /// By node and not by link: who opens a new link has the old budget.
    budgets: Budgets<NodeId>,
    deliveries: Deliveries,
    garbage: Garbage,
    kept: BTreeMap<NodeId, u32>,
    events: VecDeque<Event<T>>,
    swept: Mono,
    counts: Counts,
}

impl<T> Links<T> {
    /// No links yet.
    pub fn new(terms: impl Into<Terms>, key: NodeKey, own: Contact) -> Self {
        Self {
            stamps: Stamps::new(terms.into()),
            network_key: None,
            key,
            own,
            peers: BTreeMap::new(),
            by_node: BTreeMap::new(),
            dials: Dials::new(),
            due: Due::default(),
            budgets: Budgets::new(REQUESTS, REQUEST_BUDGETS_MAX),
            deliveries: Deliveries::new(),
            garbage: Garbage::new(),
            kept: BTreeMap::new(),
            events: VecDeque::new(),
            swept: Mono::default(),
            counts: Counts::default(),
        }
    }

    /// Sets what `Hello` says about us from now on.
    pub fn set_own(&mut self, own: Contact) {
        self.own = own;
    }

    /// The next news.
    pub fn poll_event(&mut self) -> Option<Event<T>> {
        self.events.pop_front()
    }

    /// How many links have a known node at the other end.
    pub fn count(&self) -> usize {
        self.by_node.len()
    }

    /// The nodes at the other ends.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, LinkId)> + '_ {
        self.by_node.iter().map(|(node, link)| (*node, *link))
    }

    /// The link to a node, if one is up.
    pub fn to(&self, node: NodeId) -> Option<LinkId> {
        self.by_node.get(&node).copied()
    }

    /// The TLS exporter of a link.
    pub fn binding(&self, link: LinkId) -> Option<[u8; 32]> {
        self.peers.get(&link).map(|peer| peer.binding)
    }

    /// Where the other end of a link is, and its smoothed round trip.
    pub fn measure(&self, link: LinkId) -> Option<(SocketAddr, Option<u64>)> {
        self.peers.get(&link).map(|peer| (peer.address, peer.rtt_ms))
    }

    /// Keeps links to a node when they rest; each call is undone by one `release`.
    pub fn keep(&mut self, node: NodeId) {
        *self.kept.entry(node).or_default() += 1;
    }

    /// Undoes one `keep`.
    pub fn release(&mut self, node: NodeId) {
        if let Some(count) = self.kept.get_mut(&node) {
            *count -= 1;
            if *count == 0 {
                self.kept.remove(&node);
            }
        }
    }

    /// A link is up: say who is there.
    pub fn link_up(&mut self, link: LinkId, up: Up, now: Now, out: &mut Outputs) {
        if up.key == self.key || self.peers.len() >= LINKS_MAX {
            let reason = if up.key == self.key { "this is myself" } else { "too many links" };
            out.push(Output::Close { link, reason: reason.to_owned() });
            if let Some(dial) = up.dial {
                self.dials.failed(dial, now, out, &mut self.events);
            }
            return;
        }
        let peer = Peer::new(up, now);
        self.due.plan(link, peer.deadline());
        self.peers.insert(link, peer);
        self.greet(link, now, out);
        self.ask_early(link, now, out);
    }

    /// A link is gone: what was asked over it has no answer.
    pub fn link_down(&mut self, link: LinkId, now: Now, out: &mut Outputs) {
        self.take_back(link, now);
        let Some(peer) = self.peers.remove(&link) else {
            return;
        };
        self.due.plan(link, None);
        let dial = peer.dial;
        if let Some(node) = peer.node {
            self.deliveries.link_down(link, node);
            for (_, ask) in peer.asks {
                self.events.push_back(ask.failed(node, Failure::Broken, now));
            }
            if self.by_node.get(&node) == Some(&link) {
                let other = self.peers.iter().find(|(_, peer)| peer.node == Some(node));
                match other.map(|(link, _)| *link) {
                    Some(other) => self.by_node.insert(node, other),
                    None => self.by_node.remove(&node),
                };
            }
            self.events.push_back(Event::Down { link, node });
        } else if let Some(dial) = dial {
            self.dials.failed(dial, now, out, &mut self.events);
        }
    }

    /// An attempt failed: try the next address or give up.
    pub fn dial_failed(&mut self, dial: DialId, now: Now, out: &mut Outputs) {
        one_more(&mut self.counts.links.dials_failed_total);
        self.dials.failed(dial, now, out, &mut self.events);
    }

    /// Opens a link to whoever listens at an address; `None` if too much is under way,
    /// or was lately.
    pub fn dial_address(
        &mut self,
        address: SocketAddr,
        named: Named,
        now: Now,
        out: &mut Outputs,
    ) -> Option<DialId> {
        self.dials.address(address, named, now, out)
    }

    /// Asks a node, over the link to it or over one that is opened for it.
    pub fn request(&mut self, to: &Target, ask: NewAsk<T>, now: Now, out: &mut Outputs) {
        if let Some(link) = self.by_node.get(&to.node).copied() {
            self.request_on(link, ask, now, out);
        } else {
            self.dials.ask(to, ask, now, out, &mut self.events);
        }
    }

    /// Asks over a certain link.
    pub fn request_on(&mut self, link: LinkId, ask: NewAsk<T>, now: Now, out: &mut Outputs) {
        if let Some(node) = self.peers.get(&link).and_then(|peer| peer.node) {
            self.ask_on((link, node), ask, now, out);
        }
    }

    /// Sends a request over a link to a node; its id, if there is room for it.
    fn ask_on(
        &mut self,
        (link, node): (LinkId, NodeId),
        ask: NewAsk<T>,
        now: Now,
        out: &mut Outputs,
    ) -> Option<u64> {
        let peer = self.peers.get_mut(&link)?;
        match peer.ask(ask, now) {
            Ok(frame) => {
                out.push(Output::Transmit { link, bytes: frame.encode() });
                peer.deadline().into_iter().for_each(|it| self.due.sooner(link, it));
                Some(frame.id)
            }
            Err(token) => {
                let result = Err(Failure::Busy);
                self.events.push_back(Event::Answer { token, from: node, result, rtt_ms: 0 });
                None
            }
        }
    }

    /// Answers a request.
    pub fn respond(&mut self, link: LinkId, id: u64, response: Response, out: &mut Outputs) {
        self.counts.answered(&response);
        let bytes = Body::Response(response).with_id(id).encode();
        // How large an answer gets is known only now.
        if let Some(node) = self.peers.get(&link).and_then(|peer| peer.node) {
            self.budgets.owe(node, cost::answer_cost(bytes.len()));
        }
        out.push(Output::Transmit { link, bytes });
    }

    /// Says something that wants no answer.
    pub fn push(&self, link: LinkId, body: Body, out: &mut Outputs) {
        out.push(Output::Transmit { link, bytes: body.with_id(0).encode() });
    }

    /// Reads a frame.
    pub fn handle_frame(&mut self, link: LinkId, bytes: &[u8], now: Now, out: &mut Outputs) {
        let Some(peer) = self.peers.get_mut(&link) else {
            return;
        };
        let frame = match Frame::decode(bytes) {
            Ok(frame) => frame,
            Err(error) => {
                // SPEC 2.5: a frame with a readable head is refused and the link kept.
                tracing::debug!(?link, %error, "a frame is malformed");
                match error.id {
                    Some(id) if peer.node.is_some() && peer.forgive() => {
                        let response = Response::refused(Refusal::Unknown, error.to_string());
                        self.respond(link, id, response, out);
                    }
                    Some(_) | None => self.misbehaved(link, &error.to_string(), now, out),
                }
                return;
            }
        };
        let Some(node) = peer.node else {
            return match (frame.body, peer.expected) {
                (Body::Response(response), Some(node)) => {
                    self.answered_early((link, node), frame.id, response, now);
                }
                (body, _) => self.handle_first(link, body, now, out),
            };
        };
        match frame.body {
            Body::Request(request) => {
                peer.used = now.mono;
                // SPEC 2.8: who asks for too much is told to come back later.
                if !self.budgets.pay(node, cost::cost(&request), now.mono) {
                    let response = Response::refused(Refusal::Busy, "too many requests at once");
                    return self.respond(link, frame.id, response, out);
                }
                self.events.push_back(Event::Request { link, from: node, id: frame.id, request });
            }
            Body::Response(response) => {
                if let Some(event) = peer.answered(node, frame.id, response, now) {
                    self.events.push_back(event);
                    self.due.plan(link, peer.deadline());
                }
            }
            Body::Hello(_) | Body::NetworkProof(_) => {
                self.misbehaved(link, "hello was said twice", now, out);
            }
            // Each contact of a list is a signature to check; hearsay can be missed.
            Body::Routing(_) if !self.budgets.pay(node, REQUEST_COST_HEAVY, now.mono) => {
                tracing::debug!(?link, "a peer tells of too many nodes");
            }
            body @ Body::Routing(_) => {
                self.events.push_back(Event::Push { link, from: node, body });
            }
            body @ (Body::Delivery(_) | Body::Notice(_)) => {
                self.handle_delivery((link, node), body, now, out);
            }
        }
    }

    fn misbehaved(&mut self, link: LinkId, reason: &str, now: Now, out: &mut Outputs) {
        tracing::debug!(?link, reason, "a peer misbehaved; its link is closed");
        one_more(&mut self.counts.links.banned_total);
        self.end(link, reason, now, out);
    }

    /// Closes a link and says why.
    fn end(&mut self, link: LinkId, reason: &str, now: Now, out: &mut Outputs) {
        out.push(Output::Close { link, reason: reason.to_owned() });
        self.link_down(link, now, out);
    }

    /// Drops a link whose other end broke the rules.
    pub fn punish(&mut self, link: LinkId, reason: &str, now: Now, out: &mut Outputs) {
        self.misbehaved(link, reason, now, out);
    }

    /// Gives up what took too long.
    pub fn handle_timeout(&mut self, now: Now, out: &mut Outputs) {
        self.dials.handle_timeout(now, out, &mut self.events);
        for (link, from, body) in self.deliveries.due(now.mono) {
            self.events.push_back(Event::Push { link, from, body });
        }
        while let Some(link) = self.due.pop(now.mono) {
            let Some(peer) = self.peers.get_mut(&link) else { continue };
            if let Some(node) = peer.node {
                for ask in peer.expired(now) {
                    self.events.push_back(ask.failed(node, Failure::TimedOut, now));
                }
            } else if now.mono >= peer.hello_by {
                self.end_silent(link, now, out);
                continue;
            }
            self.due.plan(link, peer.deadline());
        }
        self.close_resting(now, out);
    }

    fn close_resting(&mut self, now: Now, out: &mut Outputs) {
        if self.peers.len() <= LINKS_AT_REST || now.mono.since_ms(self.swept) < 10_000 {
            return;
        }
        self.swept = now.mono;
        let resting = |peer: &Peer<T>| {
            let kept = peer.node.is_some_and(|node| self.kept.contains_key(&node));
            !kept && peer.asks.is_empty() && now.mono.since_ms(peer.used) >= LINK_IDLE_MS
        };
        let excess = self.peers.len() - LINKS_AT_REST;
        let idle: Vec<LinkId> = self
            .peers
            .iter()
            .filter(|(_, peer)| resting(peer))
            .map(|(link, _)| *link)
            .take(excess)
            .collect();
        for link in idle {
            self.end(link, "at rest", now, out);
        }
    }

    /// When something will have taken too long.
    pub fn poll_timeout(&self) -> Option<Deadline> {
        let rest = (self.peers.len() > LINKS_AT_REST)
            .then(|| Deadline { at: self.swept.plus_ms(10_000), why: "close links at rest" });
        let work = Deadline::earliest(self.dials.deadline(), self.deliveries.deadline());
        Deadline::earliest(Deadline::earliest(self.due.first(), rest), work)
    }
}

impl<T> Links<T> {
    /// How full everything is that others can fill.
    pub fn fills(&self, fills: &mut Fills) {
        fills.note("links", self.peers.len().max(self.by_node.len()), LINKS_MAX);
        let asks = self.peers.values().map(|peer| peer.asks.len());
        fills.most("requests on a link", asks, REQUESTS_PER_LINK_MAX);
        fills.note("nodes with tokens", self.budgets.count(), REQUEST_BUDGETS_MAX);
        self.dials.fills(fills);
        self.deliveries.fills(fills);
        self.garbage.fills(fills);
    }
}

#[cfg(test)]
mod tests;
