//! The network as the engine uses it.

use std::net::SocketAddr;

use bytchat_core::io::{DialId, Input, LinkId};
use bytchat_proto::key::NodeKey;

use super::outside::Links;
use crate::net::{self, Events, Net, NetEvent};

/// A network and its events.
#[derive(Debug)]
pub struct Wires {
    /// The handle.
    pub net: Net,
    /// What it tells.
    pub events: Events,
}

impl Links for Wires {
    async fn next(&mut self) -> Option<Input> {
        self.events.recv().await.map(input)
    }

    fn dial(&self, dial: DialId, address: SocketAddr, key: Option<NodeKey>) {
        let key = key.map(|key| key.0);
        self.net.dial(net::DialId(dial.0), address, key);
    }

    fn send(&self, link: LinkId, bytes: Vec<u8>) {
        if let Err(error) = self.net.send(net::LinkId(link.0), bytes) {
            tracing::debug!(link = link.0, %error, "a frame was lost");
        }
    }

    fn close(&self, link: LinkId, reason: &str) {
        self.net.close(net::LinkId(link.0), reason);
    }
}

fn input(event: NetEvent) -> Input {
    match event {
        NetEvent::Up { link, key, address, binding, dial } => Input::LinkUp {
            link: LinkId(link.0),
            key: NodeKey(key),
            address,
            binding,
            dial: dial.map(|dial| DialId(dial.0)),
        },
        NetEvent::Frame { link, bytes } => Input::Frame { link: LinkId(link.0), bytes },
        NetEvent::Down { link, reason } => Input::LinkDown { link: LinkId(link.0), reason },
        NetEvent::DialFailed { dial, reason } => Input::DialFailed { dial: DialId(dial.0), reason },
    }
}
