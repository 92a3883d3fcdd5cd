//! One link: its other end and what was asked over it.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytchat_proto::id::NodeId;
use bytchat_proto::key::NodeKey;
use bytchat_proto::limits::{DIAL_TIMEOUT_MS, FRAMES_FORGIVEN_MAX, REQUESTS_PER_LINK_MAX};
use bytchat_proto::wire::{Body, Frame, Request, Response};

use super::{Event, Failure, NewAsk, Up};
use crate::io::DialId;
use crate::time::{Deadline, Mono, Now};

pub(super) struct Peer<T> {
    pub(super) key: NodeKey,
    pub(super) address: SocketAddr,
    pub(super) binding: [u8; 32],
    pub(super) dial: Option<DialId>,
    /// It belongs to another network: why the link ends soon.
    pub(super) refused: Option<String>,
    /// It has the key of our private network.
    pub(super) proved: bool,
    pub(super) node: Option<NodeId>,
    pub(super) hello_by: Mono,
    pub(super) used: Mono,
    pub(super) rtt_ms: Option<u64>,
    pub(super) asks: BTreeMap<u64, Ask<T>>,
    /// Who was dialled, if something was asked before it said hello.
    pub(super) expected: Option<NodeId>,
    /// What was asked before hello.
    pub(super) early: BTreeMap<u64, Request>,
    next_id: u64,
    forgiven: u32,
}

pub(super) struct Ask<T> {
    pub(super) token: T,
    pub(super) sent: Mono,
    pub(super) timeout_ms: u64,
}

impl<T> Ask<T> {
    /// The news that nobody answers it.
    pub(super) fn failed(self, from: NodeId, failure: Failure, now: Now) -> Event<T> {
        let rtt_ms = now.mono.since_ms(self.sent);
        Event::Answer { token: self.token, from, result: Err(failure), rtt_ms }
    }

    fn until(&self) -> Mono {
        self.sent.plus_ms(self.timeout_ms)
    }
}

impl<T> Peer<T> {
    pub(super) fn new(up: Up, now: Now) -> Self {
        Self {
            key: up.key,
            address: up.address,
            binding: up.binding,
            dial: up.dial,
            refused: None,
            proved: false,
            node: None,
            hello_by: now.mono.plus_ms(DIAL_TIMEOUT_MS),
            used: now.mono,
            rtt_ms: None,
            asks: BTreeMap::new(),
            expected: None,
            early: BTreeMap::new(),
            next_id: 1,
            forgiven: 0,
        }
    }

    /// Numbers a request; gives the token back if too many are in flight.
    pub(super) fn ask(&mut self, ask: NewAsk<T>, now: Now) -> Result<Frame, T> {
        if self.asks.len() >= REQUESTS_PER_LINK_MAX {
            return Err(ask.token);
        }
        let id = self.next_id;
        self.next_id += 1;
        self.used = now.mono;
        let timeout_ms = ask.timeout_ms;
        self.asks.insert(id, Ask { token: ask.token, sent: now.mono, timeout_ms });
        Ok(Body::Request(ask.request).with_id(id))
    }

    /// Matches an answer with its request; an answer that nobody waits for is late and harmless.
    pub(super) fn answered(
        &mut self,
        node: NodeId,
        id: u64,
        response: Response,
        now: Now,
    ) -> Option<Event<T>> {
        let ask = self.asks.remove(&id)?;
        let rtt_ms = now.mono.since_ms(ask.sent);
        self.rtt_ms = Some(self.rtt_ms.map_or(rtt_ms, |old| (old * 7 + rtt_ms) / 8));
        Some(Event::Answer { token: ask.token, from: node, result: Ok(response), rtt_ms })
    }

    pub(super) fn expired(&mut self, now: Now) -> Vec<Ask<T>> {
        let over: Vec<u64> = self
            .asks
            .iter()
            .filter(|(_, ask)| now.mono >= ask.until())
            .map(|(id, _)| *id)
            .collect();
        over.into_iter().filter_map(|id| self.asks.remove(&id)).collect()
    }

    pub(super) fn forgive(&mut self) -> bool {
        self.forgiven = self.forgiven.saturating_add(1);
        self.forgiven <= FRAMES_FORGIVEN_MAX
    }

    pub(super) fn deadline(&self) -> Option<Deadline> {
        if self.node.is_none() {
            return Some(Deadline { at: self.hello_by, why: "hello" });
        }
        let at = self.asks.values().map(Ask::until).min()?;
        Some(Deadline { at, why: "answer" })
    }
}
