//! News of links: who came, who asks, what was answered.

use std::net::{IpAddr, SocketAddr};

use bytchat_proto::envelope::Envelope;
use bytchat_proto::id::{EnvelopeId, NodeId, UserId};
use bytchat_proto::key::{DeviceKey, NodeKey};
use bytchat_proto::limits::{ADDRESSES_PER_NODE_MAX, DEPOSIT_TIMEOUT_MS, REQUEST_TIMEOUT_MS};
use bytchat_proto::point::Point;
use bytchat_proto::record::{Contact, NodeRecord};
use bytchat_proto::unverified::{Unverified, Verified};
use bytchat_proto::wire::{Body, Refusal, Request, Response};
use serde_bytes::ByteBuf;

use super::Node;
use super::config::NodeConfig;
use super::pods::PodAsk;
use crate::crypto::NodeSecret;
use crate::dht::{self, Ask, AskId, Event as DhtEvent};
use crate::io::LinkId;
use crate::link::{Event, Failure, NewAsk, Target};
use crate::mailbox;
use crate::outbox::EntryId;
use crate::time::Now;

/// The link that stands for this node itself.
pub(super) const SELF: LinkId = LinkId(u64::MAX);

/// What a request to another node is for.
#[derive(Debug)]
pub(super) enum Token {
    Dht(AskId),
    TakeKeys { user: UserId },
    Deposit { entry: EntryId, device: DeviceKey, holder: NodeKey },
    Attach { user: UserId },
    Prove { user: UserId },
    Offer { envelope: EnvelopeId },
    Pod(Box<PodAsk>),
    Nothing,
}

/// Our word about ourselves: where we listen, and where others see us.
pub(super) fn own_contact(
    config: &NodeConfig,
    secret: &NodeSecret,
    observed: &[SocketAddr],
    now: Now,
) -> Contact {
    let listen = config.listen.iter().filter(|address| !address.ip().is_unspecified());
    let mut addresses: Vec<SocketAddr> = listen.chain(observed).copied().collect();
    addresses.dedup();
    addresses.truncate(ADDRESSES_PER_NODE_MAX);
    let record = NodeRecord {
        network: config.network,
        key: secret.key(),
        stamp: ByteBuf::new(),
        addresses,
        pod: config.pod.clone(),
        sequence: now.wall.0,
    };
    Unverified::sign(&record, |digest| secret.sign(digest))
}

impl Node {
    pub(super) fn handle_link_event(&mut self, event: Event<Token>, now: Now) {
        match event {
            Event::Up { link, contact, observed, dial } => {
                self.handle_up(link, &contact, observed, now);
                self.hosts.arrived(dial, &contact, now, &mut self.out);
            }
            Event::NoAnswer { dial } => self.hosts.no_answer(dial, now),
            Event::Down { link, .. } => {
                self.mailbox.link_down(link);
                self.inbox.link_down(link, now);
            }
            Event::Request { link, from, id, request } => {
                let response = self.serve(link, from, &request, now);
                self.links.respond(link, id, response, &mut self.out);
            }
            Event::Push { link, from, body } => self.handle_push(link, from, body, now),
            Event::Answer { token, from, result, rtt_ms } => {
                self.handle_answer(token, from, result, rtt_ms, now);
            }
            Event::Unreachable { node } => {
                if self.links.to(node).is_none() {
                    self.dht.failed(node, now, &mut self.out);
                }
            }
        }
    }

    fn handle_up(
        &mut self,
        link: LinkId,
        contact: &Verified<NodeRecord>,
        observed: SocketAddr,
        now: Now,
    ) {
        tracing::debug!(?link, node = %contact.node(), "a node said hello");
        let measured = self.links.measure(link);
        let rtt = measured.and_then(|(_, rtt)| rtt);
        self.dht.saw(contact.clone(), rtt, now, &mut self.out);
        if let Some((address, _)) = measured {
            self.observe(observed, (contact.node(), address.ip()), now);
        }
        self.upkeep.joined(now);
    }

    /// Takes note of the address at which a peer sees us.
    fn observe(&mut self, address: SocketAddr, by: (NodeId, IpAddr), now: Now) {
        if !self.config.listen.contains(&address) && self.observed.note(address, by, now) {
            let own = own_contact(&self.config, &self.secret, &self.believes(), now);
            self.links.set_own(own.clone());
            self.dht.set_own(own.clone());
            self.own = own;
            self.upkeep.moved(now);
        }
    }

    /// The addresses at which others see us.
    pub(super) fn believes(&self) -> Vec<SocketAddr> {
        self.observed.believed()
    }

    /// Answers a request of another node, or of this one.
    pub(super) fn serve(
        &mut self,
        link: LinkId,
        from: NodeId,
        request: &Request,
        now: Now,
    ) -> Response {
        let peer = (link != SELF).then_some(from);
        if let Some(response) = self.dht.handle_request(peer, request, now, &mut self.out) {
            self.note_revoked(request, &response);
            return response;
        }
        if let Some(refused) = self.refuse_revoked(request) {
            return refused;
        }
        if let Request::Deposit { envelope, until, .. } = request
            && let Some(taken) = self.take(envelope, *until, now)
        {
            return taken;
        }
        let secret = &self.secret;
        let sign = |digest: &[u8; 64]| secret.sign(digest);
        if let Some(response) = self.pod.handle_request(request, &sign, now, &mut self.out) {
            return response;
        }
        let binding = self.links.binding(link).unwrap_or_default();
        let near = about(request)
            .is_some_and(|user| self.pod.serves(user) || self.dht.is_holder(Point::of_user(user)));
        let peer = mailbox::Peer { link, binding: &binding, near };
        self.mailbox
            .handle_request(peer, request, &sign, now, &mut self.out)
            .unwrap_or_else(|| Response::refused(Refusal::Unknown, "nobody here answers this"))
    }

    /// Asks a node; this one answers itself without a link.
    pub(super) fn ask(&mut self, to: &NodeRecord, request: Request, token: Token, now: Now) {
        let node = to.node();
        if node == self.id {
            let response = self.serve(SELF, node, &request, now);
            let answer = Event::Answer { token, from: node, result: Ok(response), rtt_ms: 0 };
            return self.answers.push_back(answer);
        }
        let timeout_ms = match request {
            Request::Deposit { .. } | Request::RegisterAlias { .. } => DEPOSIT_TIMEOUT_MS,
            Request::Ping
            | Request::FindNode { .. }
            | Request::FindRecord { .. }
            | Request::PutRecord { .. }
            | Request::TakeKeys { .. }
            | Request::PutKeys { .. }
            | Request::Attach { .. }
            | Request::Prove { .. }
            | Request::Remove { .. }
            | Request::Fetch { .. }
            | Request::Notify { .. }
            | Request::ResolveAlias { .. } => 2 * REQUEST_TIMEOUT_MS,
        };
        let target = Target { node, record: to.clone() };
        let ask = NewAsk { request, token, timeout_ms };
        self.links.request(&target, ask, now, &mut self.out);
    }

    pub(super) fn handle_ask(&mut self, ask: Ask, now: Now) {
        let target = Target { node: ask.to.node, record: NodeRecord::clone(&ask.to.record) };
        let token = Token::Dht(ask.id);
        let ask = NewAsk { request: ask.request, token, timeout_ms: ask.timeout_ms };
        self.links.request(&target, ask, now, &mut self.out);
    }

    fn handle_answer(
        &mut self,
        token: Token,
        from: NodeId,
        result: Result<Response, Failure>,
        rtt_ms: u64,
        now: Now,
    ) {
        match token {
            Token::Dht(ask) => {
                let answer = result.as_ref().map_err(|failure| match failure {
                    Failure::Unreachable | Failure::Busy => dht::Failure::Unreachable,
                    Failure::TimedOut => dht::Failure::TimedOut,
                });
                self.dht.handle_answer(ask, answer, rtt_ms, now, &mut self.out);
            }
            Token::TakeKeys { user } => self.handle_keys(user, from, result.ok(), now),
            Token::Deposit { entry, device, holder } => {
                self.handle_deposited(entry, device, (from, holder), result, now);
            }
            Token::Attach { user } => self.handle_challenge(user, from, result.ok(), now),
            Token::Prove { user } => self.handle_attached(user, from, result.ok(), now),
            Token::Offer { envelope } => match result {
                Ok(Response::Receipt { .. }) => self.mailbox.held_by(envelope, from),
                Ok(_) | Err(_) => self.mailbox.offer_lost(envelope, from),
            },
            Token::Pod(ask) => self.handle_pod_answer(*ask, result, now),
            Token::Nothing => {}
        }
    }

    pub(super) fn handle_effect(&mut self, effect: mailbox::Effect, now: Now) {
        match effect {
            mailbox::Effect::Push { link, body } => self.links.push(link, *body, &mut self.out),
            mailbox::Effect::Offer { to, envelope, until } => self.offer(to, envelope, until, now),
        }
    }

    fn offer(
        &mut self,
        to: NodeId,
        envelope: Envelope,
        until: bytchat_proto::timestamp::Timestamp,
        now: Now,
    ) {
        let point = Point::of_user(envelope.user());
        let id = envelope.id();
        let near = self.dht.closest(point, bytchat_proto::limits::CONTACTS_PER_ANSWER_MAX);
        match near.into_iter().find(|peer| peer.node == to) {
            Some(peer) => {
                let request = Request::Deposit { envelope, until, repair: true };
                self.ask(&peer.record, request, Token::Offer { envelope: id }, now);
            }
            None => self.mailbox.offer_lost(id, to),
        }
    }

    fn handle_push(&mut self, link: LinkId, from: NodeId, body: Body, now: Now) {
        match body {
            Body::Routing(routing) => self.dht.learned(&routing.contacts, now),
            Body::Delivery(delivery) => self.handle_delivery(link, delivery.envelope, now),
            Body::Notice(notice) => self.handle_notice(from, &notice, now),
            Body::Hello(_) | Body::Request(_) | Body::Response(_) => {}
        }
    }

    pub(super) fn handle_dht_event(&mut self, event: DhtEvent, now: Now) {
        match event {
            DhtEvent::Found { lookup, closest, records, answered } => {
                self.handle_found(lookup, &closest, records, answered, now);
            }
            DhtEvent::Stored { put, holders, ok, stale, .. } => {
                self.handle_stored(put, &holders, ok, stale, now);
            }
            DhtEvent::NeighboursChanged => self.upkeep.neighbours_changed(now),
        }
    }
}

/// The user whose mailbox a request is about.
fn about(request: &Request) -> Option<UserId> {
    match request {
        Request::Deposit { envelope, .. } => Some(envelope.user()),
        Request::TakeKeys { user }
        | Request::PutKeys { user, .. }
        | Request::Attach { user }
        | Request::Fetch { user, .. } => Some(*user),
        Request::Prove { account, .. } => Some(account.user()),
        Request::Notify { notice } => Some(notice.user),
        Request::Remove { .. }
        | Request::Ping
        | Request::FindNode { .. }
        | Request::FindRecord { .. }
        | Request::PutRecord { .. }
        | Request::RegisterAlias { .. }
        | Request::ResolveAlias { .. } => None,
    }
}
