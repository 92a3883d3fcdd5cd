//! Hand-made peers: they run no node, and say to one machine what they like.

use std::net::SocketAddr;

use bytchat_core::crypto::NodeSecret;
use bytchat_core::io::{Input, LinkId};
use bytchat_proto::envelope::{ENCAPSULATION_BYTES, Envelope, TAG_BYTES};
use bytchat_proto::id::UserId;
use bytchat_proto::key::DeviceKey;
use bytchat_proto::limits::{ENVELOPE_CLASS_MIN, FRAME_BYTES_MAX, PROTOCOL_VERSION};
use bytchat_proto::record::{Contact, NodeRecord};
use bytchat_proto::unverified::Unverified;
use bytchat_proto::wire::{Body, Frame, Hello, Request, Response};

use super::world::World;

/// Somebody with a link to one machine.
pub struct Stranger {
    host: usize,
    link: LinkId,
    asked: u64,
}

/// A letter for a device of somebody that never opens.
pub fn letter(user: UserId) -> Envelope {
    let (encapsulation, sealed) = ([7; ENCAPSULATION_BYTES], [7; ENVELOPE_CLASS_MIN + TAG_BYTES]);
    let envelope = Envelope::assemble(user, DeviceKey([7; 32]), 1, &encapsulation, &sealed);
    envelope.expect("it has a size")
}

impl World {
    /// Somebody new opens a link to a machine and says hello.
    pub fn stranger(&mut self, host: usize) -> Stranger {
        let number = self.fresh();
        let mut seed = [0xee; 32];
        seed[..8].copy_from_slice(&number.to_be_bytes());
        let secret = NodeSecret::from_seed(seed).expect("a seed makes a key");
        let [.., high, low] = number.to_be_bytes();
        let address = SocketAddr::from(([192, 168, high, low], 4848));
        let record = NodeRecord {
            network: self.network,
            key: secret.key(),
            stamp: Default::default(),
            addresses: vec![address],
            pod: None,
            sequence: 1,
        };
        let hello = Hello {
            version: PROTOCOL_VERSION,
            network: self.network,
            contact: Unverified::sign(&record, |digest| secret.sign(digest)),
            observed: self.hosts[host].address,
            frame_bytes_max: u32::try_from(FRAME_BYTES_MAX).expect("a frame is short"),
            time: None,
        };
        let stranger = Stranger { host, link: LinkId(number), asked: 0 };
        self.heard.insert(stranger.link, Vec::new());
        let (link, key, binding) = (stranger.link, secret.key(), [0; 32]);
        let up = Input::LinkUp { link, key, address, binding, dial: None };
        self.schedule(self.now_ms(), host, up);
        self.say(&stranger, Body::Hello(hello), 0);
        stranger
    }

    /// A stranger asks something.
    pub fn asks(&mut self, stranger: &mut Stranger, request: Request) {
        stranger.asked += 1;
        self.say(stranger, Body::Request(request), stranger.asked);
    }

    /// A stranger says something that is no question.
    pub fn tells(&mut self, stranger: &Stranger, body: Body) {
        self.say(stranger, body, 0);
    }

    /// A stranger names a machine, without its signature, at a place where it is not.
    pub fn forged_contact(&self, host: usize, address: SocketAddr) -> Contact {
        let record = NodeRecord {
            network: self.network,
            key: self.hosts[host].key,
            stamp: Default::default(),
            addresses: vec![address],
            pod: None,
            sequence: u64::MAX / 2,
        };
        Unverified::sign(&record, |_| vec![0; 64])
    }

    fn say(&mut self, stranger: &Stranger, body: Body, id: u64) {
        let input = Input::Frame { link: stranger.link, bytes: body.with_id(id).encode() };
        self.schedule(self.now_ms(), stranger.host, input);
    }

    /// What a stranger was answered since the last question.
    pub fn answers(&mut self, stranger: &Stranger) -> Vec<Response> {
        let frames = self.heard.insert(stranger.link, Vec::new()).unwrap_or_default();
        let answer = |bytes: Vec<u8>| match Frame::decode(&bytes).expect("a node speaks well").body
        {
            Body::Response(response) => Some(response),
            Body::Hello(_)
            | Body::NetworkProof(_)
            | Body::Request(_)
            | Body::Routing(_)
            | Body::Delivery(_)
            | Body::Notice(_) => None,
        };
        frames.into_iter().filter_map(answer).collect()
    }
}
