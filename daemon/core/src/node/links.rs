//! News of links: who came, who asks, what was answered.

use std::net::{IpAddr, SocketAddr};

use bytchat_proto::id::{EnvelopeId, MailMark, NodeId, UserId};
use bytchat_proto::key::{DeviceKey, NodeKey};
use bytchat_proto::limits::{ADDRESSES_PER_NODE_MAX, COMPARE_SOON_JITTER_MS, REGION_NODES};
use bytchat_proto::record::{Contact, NodeRecord};
use bytchat_proto::timestamp::Timestamp;
use bytchat_proto::unverified::{Unverified, Verified};
use bytchat_proto::wire::{Body, Contacts, Request, Response};
use serde_bytes::ByteBuf;

use super::Node;
use super::config::NodeConfig;
use super::kept::challenge;
use super::observed::WITNESSES;
use super::pods::PodAsk;
use crate::crypto::NodeSecret;
use crate::dht::{self, AskId, Event as DhtEvent};
use crate::inbox::RemovalId;
use crate::io::LinkId;
use crate::link::{Event, Failure, Links};
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
    Compare { marks: Vec<MailMark> },
    Offer { envelope: EnvelopeId },
    Remove(RemovalId),
    Kept { entry: EntryId, device: DeviceKey, nonce: Vec<u8> },
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
        stamp: ByteBuf::from(config.stamp.clone()),
        addresses,
        pod: config.pod.clone(),
        sequence: now.wall.0,
    };
    Unverified::sign(&record, |digest| secret.sign(digest))
}

/// The links of a node, none yet.
pub(super) fn of_config(config: &NodeConfig, secret: &NodeSecret, own: Contact) -> Links<Token> {
    Links::new(config.terms(), secret.key(), own).keyed(config.network_key.clone())
}

impl Node {
    pub(super) fn handle_link_event(&mut self, event: Event<Token>, now: Now) {
        match event {
            Event::Up { link, contact, observed, time, dial } => {
                self.handle_up(link, &contact, (observed, time), now);
                self.hosts.arrived(dial, &contact, now, &mut self.out);
            }
            Event::NoAnswer { dial } => self.hosts.no_answer(dial, now),
            Event::Down { link, .. } => {
                self.mailbox.link_down(link);
                for node in self.inbox.link_down(link, now) {
                    self.links.release(node);
                }
            }
            Event::Request { link, from, id, request } => {
                if let Some(challenge) = challenge(link, id, &request) {
                    return self.show_kept(challenge, now);
                }
                let response = self.serve(link, from, &request, now);
                self.links.respond(link, id, response, &mut self.out);
            }
            Event::Push { link, from, body } => self.handle_push((link, from), body, now),
            Event::Answer { token, from, result, rtt_ms } => {
                self.handle_answer(token, from, result, rtt_ms, now);
            }
            Event::Unreachable { node } => {
                if self.links.to(node).is_none() {
                    self.dht.failed(node, now, &mut self.out);
                    self.lose_pod(node, now);
                }
            }
        }
    }

    fn handle_up(
        &mut self,
        link: LinkId,
        contact: &Verified<NodeRecord>,
        (observed, time): (SocketAddr, Option<Timestamp>),
        now: Now,
    ) {
        tracing::debug!(?link, node = %contact.node(), "a node said hello");
        let measured = self.links.measure(link);
        let rtt = measured.and_then(|(_, rtt)| rtt);
        self.dht.saw(contact.clone(), rtt, now, &mut self.out);
        if let Some((address, _)) = measured {
            let by = (contact.node(), address.ip());
            self.observe(observed, by, now);
            if let Some(time) = time {
                self.hear_time(time, by, now);
            }
        }
        self.upkeep.joined(now);
    }

    /// Takes note of an address at which a node sees us; one that is believed becomes part of
    /// what we say of ourselves, and neighbours are told at once.
    fn observe(&mut self, address: SocketAddr, by: (NodeId, IpAddr), now: Now) {
        if self.config.listen.contains(&address) {
            return;
        }
        let before = self.believes();
        self.observed.note(address, by, now);
        let believed = self.believes();
        if believed == before {
            return;
        }
        let own = own_contact(&self.config, &self.secret, &believed, now);
        self.links.set_own(own.clone());
        self.dht.set_own(own.clone());
        self.own = own.clone();
        self.upkeep.moved(now);
        let links: Vec<_> = self.links.nodes().map(|(_, link)| link).collect();
        for link in links {
            let routing = Contacts { contacts: vec![own.clone()] };
            self.links.push(link, Body::Routing(routing), &mut self.out);
        }
    }

    /// The addresses at which others see us: two machines must agree on an address in public
    /// networks, unless we have only one neighbour and would be nowhere otherwise.
    pub(super) fn believes(&self) -> Vec<SocketAddr> {
        self.observed.believed(self.links.count() < WITNESSES)
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
                    Failure::Broken => dht::Failure::Broken,
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
            Token::Compare { marks } => {
                if let Ok(Response::Lacks { marks: lacks }) = result {
                    self.mailbox.compared(from, &marks, &lacks, now, &mut self.out);
                }
            }
            Token::Offer { envelope } => {
                self.mailbox.offered(envelope, from, result.as_ref().ok(), now, &mut self.out);
            }
            Token::Remove(removal) => {
                let taken = matches!(result, Ok(Response::Done));
                self.inbox.removed(removal, taken, now);
            }
            Token::Kept { entry, device, nonce } => {
                self.handle_kept((entry, device), (from, &nonce), result, now);
            }
            Token::Pod(ask) => self.handle_pod_answer(*ask, result, now),
            Token::Nothing => {}
        }
    }

    pub(super) fn handle_effect(&mut self, effect: mailbox::Effect, now: Now) {
        match effect {
            mailbox::Effect::Push { link, body } => self.links.push(link, *body, &mut self.out),
            mailbox::Effect::Respond { link, request, response } => {
                self.links.respond(link, request, *response, &mut self.out);
            }
            mailbox::Effect::Compare { to, marks } => {
                let request = Request::Compare { marks: marks.clone() };
                self.tell_holder(to, request, Token::Compare { marks }, now);
            }
            mailbox::Effect::HandOn { to, removal } => {
                self.tell_holder(to, Request::Remove { removal: *removal }, Token::Nothing, now);
            }
            mailbox::Effect::Offer { to, envelope, until } => self.offer(to, envelope, until, now),
        }
    }

    fn handle_push(&mut self, (link, from): (LinkId, NodeId), body: Body, now: Now) {
        match body {
            Body::Routing(routing) => {
                self.dht.learned(&routing.contacts, from, now, &mut self.out);
            }
            Body::Delivery(delivery) => self.handle_delivery(link, delivery.envelope, now),
            Body::Notice(notice) => self.handle_notice(link, &notice, now),
            Body::Hello(_) | Body::NetworkProof(_) | Body::Request(_) | Body::Response(_) => {}
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
            DhtEvent::NeighboursChanged => {
                let jitter_ms = self.out.random_below(COMPARE_SOON_JITTER_MS);
                self.upkeep.neighbours_changed(jitter_ms, now);
            }
            DhtEvent::Crowded(crowd) => {
                let (point, nodes) = (crowd.point, crowd.nodes);
                tracing::warn!(
                    %point, nodes, expected = REGION_NODES,
                    "eclipse suspected: more nodes are at a point than chance puts there"
                );
            }
        }
    }
}
