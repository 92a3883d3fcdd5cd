//! Machines whose nodes are real and lie: about who is near, and about what they keep.

use std::collections::{BTreeMap, BTreeSet};

use bytchat_core::crypto::NodeSecret;
use bytchat_core::io::LinkId;
use bytchat_core::time::{Mono, Now};
use bytchat_proto::id::NodeId;
use bytchat_proto::limits::CONTACTS_PER_ANSWER_MAX;
use bytchat_proto::point::Point;
use bytchat_proto::record::Contact;
use bytchat_proto::timestamp::Timestamp;
use bytchat_proto::wire::{Body, Contacts, Frame, Refusal, Request, Response};

use super::host::Host;
use super::world::World;

/// The machines that lie, and what they need for it.
#[derive(Default)]
pub(super) struct Liars {
    /// What each has said of itself.
    contacts: BTreeMap<usize, Option<Contact>>,
    /// What they were asked about.
    targets: BTreeMap<(LinkId, u64), Point>,
    /// Machines that take mail and drop it, and are honest otherwise.
    droppers: BTreeSet<usize>,
}

impl World {
    /// From now on a machine names only its friends, takes everything and hands on nothing.
    pub fn lie(&mut self, host: usize) {
        self.liars.contacts.entry(host).or_default();
    }

    /// Whether a machine lies.
    pub fn lies(&self, host: usize) -> bool {
        self.liars.contacts.contains_key(&host)
    }

    /// From now on a machine signs for all mail and has none: it hands on nothing, brings nothing
    /// to anybody, and says that it lacks nothing.
    pub fn drop_mail(&mut self, host: usize) {
        self.liars.droppers.insert(host);
    }

    /// Whether a machine drops the mail that it takes.
    pub fn drops_mail(&self, host: usize) -> bool {
        self.liars.droppers.contains(&host)
    }

    /// Adds a machine that lies and is nearer to a point than a distance that another node has.
    fn buy_place(&mut self, point: Point, nearer_than: NodeId, bootstrap: &[usize]) -> usize {
        let reach = Point::of_node(nearer_than).distance(point);
        let near = |secret: &[u8; 32]| {
            let secret = NodeSecret::from_seed(*secret).expect("a seed makes a key");
            let node = secret.key().node(self.network, &[]);
            Point::of_node(node).distance(point) < reach
        };
        let mut secret: [u8; 32] = [0xab; 32];
        let mut number = self.hosts.len() as u64 * 1_000_000;
        while !near(&secret) {
            number += 1;
            secret[..8].copy_from_slice(&number.to_be_bytes());
        }
        let index = self.hosts.len();
        let addresses = bootstrap.iter().map(|host| self.hosts[*host].address).collect();
        let host = Host::with_secret(index, (self.network, None), None, addresses, secret);
        self.lie(index);
        self.start(host)
    }

    /// Adds so many machines that lie and are nearer to a point than every machine so far.
    pub fn buy_places(&mut self, point: Point, places: usize) {
        let all = self.hosts.iter().map(|host| host.id);
        let nearest = all.min_by_key(|node| Point::of_node(*node).distance(point));
        let nearest = nearest.expect("machines are there");
        for _ in 0..places {
            self.buy_place(point, nearest, &[0, 1]);
            self.run(2_000);
        }
    }

    /// Whether a machine has noticed that somebody crowds around it.
    pub fn noticed_crowd(&self, host: usize) -> bool {
        let now = Now { mono: Mono(self.now_ms()), wall: Timestamp(0) };
        self.node(host).defence(now).crowded > 0
    }

    /// What becomes of a frame on its way from one machine to another; `None` if it is not sent.
    pub(super) fn twisted(
        &mut self,
        (host, peer): (usize, usize),
        (link, far): (LinkId, LinkId),
        bytes: Vec<u8>,
    ) -> Option<Vec<u8>> {
        if self.liars.droppers.contains(&host) {
            return dropped(bytes);
        }
        let (lies, asks) =
            (self.liars.contacts.contains_key(&host), self.liars.contacts.contains_key(&peer));
        if !lies && !asks {
            return Some(bytes);
        }
        let frame = Frame::decode(&bytes).expect("a node speaks well");
        if asks && let Some(target) = target(&frame.body) {
            self.liars.targets.insert((far, frame.id), target);
        }
        if !lies {
            return Some(bytes);
        }
        let asked = self.liars.targets.remove(&(link, frame.id));
        let body = match frame.body {
            body @ Body::NetworkProof(_) => body,
            Body::Hello(hello) => {
                self.liars.contacts.insert(host, Some(hello.contact.clone()));
                Body::Hello(hello)
            }
            Body::Response(Response::Nodes(_)) => {
                Body::Response(Response::Nodes(Contacts { contacts: self.friends(asked) }))
            }
            Body::Response(Response::Records { .. }) => Body::Response(Response::Records {
                records: Vec::new(),
                contacts: self.friends(asked),
            }),
            Body::Routing(_) => Body::Routing(Contacts { contacts: self.friends(asked) }),
            Body::Delivery(_) | Body::Notice(_) => return None,
            Body::Request(Request::Deposit { .. } | Request::PutRecord { .. }) => return None,
            body @ (Body::Request(_) | Body::Response(_)) => body,
        };
        Some(body.with_id(frame.id).encode())
    }

    fn friends(&self, target: Option<Point>) -> Vec<Contact> {
        let mut all: Vec<(NodeId, &Contact)> = self
            .liars
            .contacts
            .iter()
            .filter_map(|(host, contact)| Some((self.hosts[*host].id, contact.as_ref()?)))
            .collect();
        let target = target.unwrap_or(Point([0; 20]));
        all.sort_by_key(|(node, _)| Point::of_node(*node).distance(target));
        all.into_iter().take(CONTACTS_PER_ANSWER_MAX).map(|(_, it)| it.clone()).collect()
    }
}

/// What somebody says who takes all mail and keeps none.
fn dropped(bytes: Vec<u8>) -> Option<Vec<u8>> {
    let frame = Frame::decode(&bytes).expect("a node speaks well");
    let says = |response| Some(Body::Response(response).with_id(frame.id).encode());
    match frame.body {
        Body::Delivery(_) | Body::Notice(_) => None,
        Body::Request(Request::Deposit { repair: true, .. } | Request::Compare { .. }) => None,
        Body::Response(Response::Kept { .. }) => {
            says(Response::refused(Refusal::NotFound, "the envelope is not here"))
        }
        Body::Response(Response::Lacks { .. }) => says(Response::Lacks { marks: Vec::new() }),
        Body::Hello(_)
        | Body::NetworkProof(_)
        | Body::Request(_)
        | Body::Response(_)
        | Body::Routing(_) => Some(bytes),
    }
}

#[allow(clippy::wildcard_enum_match_arm, reason = "two of many requests have a target")]
fn target(body: &Body) -> Option<Point> {
    match body {
        Body::Request(Request::FindNode { target } | Request::FindRecord { target, .. }) => {
            Some(*target)
        }
        _ => None,
    }
}
