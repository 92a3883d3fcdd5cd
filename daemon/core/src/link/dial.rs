//! Attempts to open links, and the questions that wait for them.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use bytchat_proto::id::NodeId;
use bytchat_proto::key::NodeKey;
use bytchat_proto::limits::{
    ADDRESSES_PER_NODE_MAX, DIAL_TIMEOUT_MS, DIALS_MAX, FRAMES_WAITING_PER_NODE_MAX,
};

use super::early::is_harmless;
use super::targets::Targets;
use super::{Event, Failure, NewAsk, Target};
use crate::fill::Fills;
use crate::io::{DialId, Output, Outputs};
use crate::time::{Deadline, Mono, Now};

/// Who names an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// The operator of this node, who may dial what he likes.
    ByOperator,
    /// Records, pods and peers: they could mean to use us against somebody.
    ByOthers,
}

pub(super) struct Dials<T> {
    attempts: BTreeMap<DialId, Attempt<T>>,
    targets: Targets,
}

struct Attempt<T> {
    node: Option<NodeId>,
    key: Option<NodeKey>,
    left: Vec<SocketAddr>,
    named: Named,
    until: Mono,
    waiting: Vec<NewAsk<T>>,
}

impl<T> Dials<T> {
    /// How full it is.
    pub(super) fn fills(&self, fills: &mut Fills) {
        self.targets.fills(fills);
        fills.note("dials", self.attempts.len(), DIALS_MAX);
        let attempts = || self.attempts.values();
        let left = attempts().map(|it| it.left.len());
        fills.most("addresses of a dial", left, ADDRESSES_PER_NODE_MAX);
        let waiting = attempts().map(|it| it.waiting.len());
        fills.most("frames waiting for a link", waiting, FRAMES_WAITING_PER_NODE_MAX);
    }

    pub(super) fn new() -> Self {
        Self { attempts: BTreeMap::new(), targets: Targets::default() }
    }

    pub(super) fn address(
        &mut self,
        address: SocketAddr,
        named: Named,
        now: Now,
        out: &mut Outputs,
    ) -> Option<DialId> {
        if self.attempts.len() >= DIALS_MAX {
            return None;
        }
        let attempt = Attempt {
            node: None,
            key: None,
            left: vec![address],
            named,
            until: now.mono,
            waiting: Vec::new(),
        };
        self.start(attempt, now, out).ok()
    }

    /// Whether a node is the one that was dialled, or came by itself.
    pub(super) fn expects(&self, dial: Option<DialId>, node: NodeId) -> bool {
        let attempt = dial.and_then(|dial| self.attempts.get(&dial));
        attempt.and_then(|attempt| attempt.node).is_none_or(|wanted| wanted == node)
    }

    /// What waits for a node whose link is up, as far as it may be asked before hello.
    pub(super) fn take_early(
        &mut self,
        dial: Option<DialId>,
        key: NodeKey,
    ) -> Option<(NodeId, Vec<NewAsk<T>>)> {
        let attempt = self.attempts.get_mut(&dial?).filter(|it| it.key == Some(key))?;
        let waiting = std::mem::take(&mut attempt.waiting).into_iter();
        let (early, rest) = waiting.partition(|ask| is_harmless(&ask.request));
        attempt.waiting = rest;
        Some((attempt.node?, early))
    }

    /// Lets wait again what was asked early; gives back what has no attempt any more to wait for.
    pub(super) fn give_back(
        &mut self,
        dial: Option<DialId>,
        mut asks: Vec<NewAsk<T>>,
    ) -> Vec<NewAsk<T>> {
        let Some(attempt) = dial.and_then(|dial| self.attempts.get_mut(&dial)) else {
            return asks;
        };
        let room = FRAMES_WAITING_PER_NODE_MAX.saturating_sub(attempt.waiting.len());
        let rest = asks.split_off(asks.len().min(room));
        attempt.waiting.append(&mut asks);
        rest
    }

    /// A node has proven itself at an address.
    pub(super) fn proved(&mut self, address: SocketAddr, now: Mono) {
        self.targets.proved(address, now);
    }

    pub(super) fn ask(
        &mut self,
        to: &Target,
        ask: NewAsk<T>,
        now: Now,
        out: &mut Outputs,
        events: &mut VecDeque<Event<T>>,
    ) {
        let known = self.attempts.values_mut().find(|attempt| attempt.node == Some(to.node));
        if let Some(attempt) = known {
            if attempt.waiting.len() < FRAMES_WAITING_PER_NODE_MAX {
                attempt.waiting.push(ask);
            } else {
                events.push_back(unanswered(ask, to.node, Failure::Busy));
            }
            return;
        }
        if self.attempts.len() >= DIALS_MAX || to.record.addresses.is_empty() {
            events.push_back(unanswered(ask, to.node, Failure::Unreachable));
            return;
        }
        let mut left = to.record.addresses.clone();
        left.reverse();
        let attempt = Attempt {
            node: Some(to.node),
            key: Some(to.record.key),
            left,
            named: Named::ByOthers,
            until: now.mono,
            waiting: vec![ask],
        };
        if let Err(attempt) = self.start(attempt, now, out) {
            let unanswered = |ask| unanswered(ask, to.node, Failure::Unreachable);
            events.extend(attempt.waiting.into_iter().map(unanswered));
        }
    }

    /// Dials the next address that may be dialled; gives the attempt back if there is none.
    fn start(
        &mut self,
        mut attempt: Attempt<T>,
        now: Now,
        out: &mut Outputs,
    ) -> Result<DialId, Attempt<T>> {
        while let Some(address) = attempt.left.pop() {
            let free = attempt.named == Named::ByOperator;
            if !free && !self.targets.may_dial(address, now.mono) {
                tracing::debug!(%address, "an address was dialled too often");
                continue;
            }
            let dial = DialId(out.fresh());
            attempt.until = now.mono.plus_ms(DIAL_TIMEOUT_MS);
            out.push(Output::Dial { dial, address, key: attempt.key });
            self.attempts.insert(dial, attempt);
            return Ok(dial);
        }
        Err(attempt)
    }

    /// Tries the next address, or tells everybody who waits that there is none.
    pub(super) fn failed(
        &mut self,
        dial: DialId,
        now: Now,
        out: &mut Outputs,
        events: &mut VecDeque<Event<T>>,
    ) {
        let Some(attempt) = self.attempts.remove(&dial) else {
            return;
        };
        let Err(attempt) = self.start(attempt, now, out) else {
            return;
        };
        let Some(node) = attempt.node else {
            events.push_back(Event::NoAnswer { dial });
            return;
        };
        for ask in attempt.waiting {
            events.push_back(unanswered(ask, node, Failure::Unreachable));
        }
        events.push_back(Event::Unreachable { node });
    }

    /// A node said hello: what waits for it can go. An attempt that reached somebody else than it
    /// was made for has failed.
    pub(super) fn arrived(
        &mut self,
        dial: Option<DialId>,
        node: NodeId,
        now: Now,
        out: &mut Outputs,
        events: &mut VecDeque<Event<T>>,
    ) -> Vec<NewAsk<T>> {
        let mut waiting = Vec::new();
        if let Some(dial) = dial {
            match self.attempts.get(&dial).and_then(|attempt| attempt.node) {
                Some(wanted) if wanted != node => self.failed(dial, now, out, events),
                Some(_) | None => {
                    waiting.extend(self.attempts.remove(&dial).into_iter().flat_map(|a| a.waiting));
                }
            }
        }
        for attempt in self.attempts.values_mut() {
            if attempt.node == Some(node) {
                waiting.append(&mut attempt.waiting);
            }
        }
        waiting
    }

    pub(super) fn handle_timeout(
        &mut self,
        now: Now,
        out: &mut Outputs,
        events: &mut VecDeque<Event<T>>,
    ) {
        let over: Vec<DialId> = self
            .attempts
            .iter()
            .filter(|(_, attempt)| now.mono >= attempt.until)
            .map(|(dial, _)| *dial)
            .collect();
        for dial in over {
            self.failed(dial, now, out, events);
        }
    }

    pub(super) fn deadline(&self) -> Option<Deadline> {
        let at = self.attempts.values().map(|attempt| attempt.until).min()?;
        Some(Deadline { at, why: "dial" })
    }
}

fn unanswered<T>(ask: NewAsk<T>, from: NodeId, failure: Failure) -> Event<T> {
    Event::Answer { token: ask.token, from, result: Err(failure), rtt_ms: 0 }
}
