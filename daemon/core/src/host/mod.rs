//! Hosts: where pods are, found by their names and pinned at first use.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use bytchat_proto::alias::Host;
use bytchat_proto::id::NodeId;
use bytchat_proto::limits::{HOST_RETRY_MS, HOST_WAITING_MAX, HOSTS_MAX};
use bytchat_proto::record::NodeRecord;

use crate::io::{DialId, Output, Outputs, PodAddress};
use crate::persist::Table;
use crate::time::{Mono, Now};

/// Why a pod cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Nobody knows where it is, or nobody answers there.
    #[error("pod {host} cannot be reached: {why}")]
    Unreachable {
        /// The pod.
        host: Host,
        /// Why.
        why: String,
    },
    /// Another node answers than the one that was pinned.
    #[error("pod {host} is node {got} now, pinned is {expected}")]
    Changed {
        /// The pod.
        host: Host,
        /// Who answers.
        got: NodeId,
        /// Who was pinned.
        expected: NodeId,
    },
    /// Too many wait already.
    #[error("too many requests wait for pod {host}")]
    Busy {
        /// The pod.
        host: Host,
    },
}

/// News for the switchboard; `P` says what the pod was wanted for.
#[derive(Debug)]
pub enum Event<P> {
    /// The pod is this node.
    Found {
        /// Its word about itself.
        record: NodeRecord,
        /// What it was wanted for.
        purpose: P,
    },
    /// The pod cannot be asked.
    Failed {
        /// What it was wanted for.
        purpose: P,
        /// Why.
        error: HostError,
    },
    /// Open a link to this address, and say which attempt it is.
    Dial {
        /// The pod.
        host: Host,
        /// Where.
        address: SocketAddr,
        /// Whether the operator of this node has written it down.
        trusted: bool,
    },
}

#[derive(Debug)]
struct Known<P> {
    pinned: Option<NodeId>,
    record: Option<NodeRecord>,
    left: Vec<PodAddress>,
    expected: Option<NodeId>,
    trusted: bool,
    dial: Option<DialId>,
    resolving: bool,
    waiting: Vec<P>,
    failed: Option<(Mono, HostError)>,
}

/// All pods that were ever asked for.
#[derive(Debug)]
pub struct Hosts<P> {
    known: BTreeMap<Host, Known<P>>,
    events: VecDeque<Event<P>>,
}

impl<P> Default for Hosts<P> {
    fn default() -> Self {
        Self { known: BTreeMap::new(), events: VecDeque::new() }
    }
}

impl<P> Hosts<P> {
    /// Reads the pin of a host at start.
    pub fn restore(&mut self, host: Host, node: NodeId) {
        self.entry(host).pinned = Some(node);
    }

    fn entry(&mut self, host: Host) -> &mut Known<P> {
        self.known.entry(host).or_insert_with(|| Known {
            pinned: None,
            record: None,
            left: Vec::new(),
            expected: None,
            trusted: false,
            dial: None,
            resolving: false,
            waiting: Vec::new(),
            failed: None,
        })
    }

    /// The next news.
    pub fn poll_event(&mut self) -> Option<Event<P>> {
        self.events.pop_front()
    }

    /// Asks for a pod; the answer comes as an event.
    pub fn find(&mut self, host: &Host, purpose: P, now: Now, out: &mut Outputs) {
        if self.known.len() >= HOSTS_MAX && !self.known.contains_key(host) {
            self.known.retain(|_, known| known.pinned.is_some() || !known.waiting.is_empty());
        }
        let full = self.known.len() >= HOSTS_MAX && !self.known.contains_key(host);
        let known = self.entry(host.clone());
        if let Some(record) = known.record.clone() {
            return self.events.push_back(Event::Found { record, purpose });
        }
        if full || known.waiting.len() >= HOST_WAITING_MAX {
            let error = HostError::Busy { host: host.clone() };
            return self.events.push_back(Event::Failed { purpose, error });
        }
        if let Some((_, error)) = known.failed.as_ref().filter(|(at, _)| now.mono < *at) {
            let error = error.clone();
            return self.events.push_back(Event::Failed { purpose, error });
        }
        known.waiting.push(purpose);
        if !known.resolving && known.dial.is_none() && known.left.is_empty() {
            known.resolving = true;
            out.push(Output::Resolve { host: host.clone() });
        }
    }

    /// Forgets where a pod is, because it did not answer there; its pin stays.
    pub fn lost(&mut self, host: &Host) {
        if let Some(known) = self.known.get_mut(host) {
            known.record = None;
        }
    }

    /// Whether another node answered for a host than the one that is pinned.
    pub fn has_changed(&self, host: &Host) -> bool {
        let failed = self.known.get(host).and_then(|known| known.failed.as_ref());
        failed.is_some_and(|(_, error)| matches!(error, HostError::Changed { .. }))
    }

    /// Forgets which node was pinned for a host: a person has decided to trust another one.
    pub fn unpin(&mut self, host: &Host, out: &mut Outputs) {
        if let Some(known) = self.known.get_mut(host) {
            known.pinned = None;
            known.failed = None;
            out.remove(Table::Pin, [b"host/", host.as_str().as_bytes()].concat());
        }
    }

    /// The name was looked up.
    pub fn resolved(&mut self, host: &Host, result: Result<Vec<PodAddress>, String>, now: Now) {
        let Some(known) = self.known.get_mut(host) else {
            return;
        };
        known.resolving = false;
        match result {
            Ok(mut addresses) => {
                addresses.truncate(8);
                addresses.reverse();
                known.left = addresses;
                self.next(host, "its name leads to no address", now);
            }
            Err(why) => self.fail(host, &why, now),
        }
    }

    fn next(&mut self, host: &Host, why: &str, now: Now) {
        let Some(known) = self.known.get_mut(host) else {
            return;
        };
        match known.left.pop() {
            Some(PodAddress { address, node, trusted }) => {
                known.expected = node;
                known.trusted = trusted;
                self.events.push_back(Event::Dial { host: host.clone(), address, trusted });
            }
            None => self.fail(host, why, now),
        }
    }

    /// Names the attempt that an event asked for; `None` if it could not be made.
    pub fn dialling(&mut self, host: &Host, dial: Option<DialId>, now: Now) {
        let Some(known) = self.known.get_mut(host) else {
            return;
        };
        known.dial = dial;
        if dial.is_none() {
            self.next(host, "too many links are being opened", now);
        }
    }

    /// Nobody answered.
    pub fn no_answer(&mut self, dial: DialId, now: Now) {
        if let Some(host) = self.by_dial(dial) {
            self.next(&host, "nobody answers at its address", now);
        }
    }

    fn by_dial(&mut self, dial: DialId) -> Option<Host> {
        let (host, known) = self.known.iter_mut().find(|(_, known)| known.dial == Some(dial))?;
        known.dial = None;
        Some(host.clone())
    }

    /// A node said hello. SPEC 5.5: the node behind a host is pinned at first use, and another
    /// one is not believed, unless the operator names it: who answers for DNS must not move a pin.
    pub fn arrived(
        &mut self,
        dial: Option<DialId>,
        record: &NodeRecord,
        now: Now,
        out: &mut Outputs,
    ) {
        let Some(host) = dial.and_then(|dial| self.by_dial(dial)) else {
            return;
        };
        let Some(known) = self.known.get_mut(&host) else {
            return;
        };
        let got = record.node();
        if record.pod.as_ref() != Some(&host) || known.expected.is_some_and(|node| node != got) {
            return self.next(&host, "the node at its address is another", now);
        }
        let named = known.trusted && known.expected == Some(got);
        if let Some(expected) = known.pinned.filter(|pinned| *pinned != got && !named) {
            let error = HostError::Changed { host: host.clone(), got, expected };
            return self.fail_with(&host, error, now);
        }
        if known.pinned != Some(got) {
            known.pinned = Some(got);
            out.put(Table::Pin, [b"host/", host.as_str().as_bytes()].concat(), got.as_bytes());
        }
        known.record = Some(record.clone());
        known.failed = None;
        known.left.clear();
        for purpose in std::mem::take(&mut known.waiting) {
            self.events.push_back(Event::Found { record: record.clone(), purpose });
        }
    }

    fn fail(&mut self, host: &Host, why: &str, now: Now) {
        let error = HostError::Unreachable { host: host.clone(), why: why.to_owned() };
        self.fail_with(host, error, now);
    }

    fn fail_with(&mut self, host: &Host, error: HostError, now: Now) {
        let Some(known) = self.known.get_mut(host) else {
            return;
        };
        known.left.clear();
        known.failed = Some((now.mono.plus_ms(HOST_RETRY_MS), error.clone()));
        for purpose in std::mem::take(&mut known.waiting) {
            self.events.push_back(Event::Failed { purpose, error: error.clone() });
        }
    }
}

#[cfg(test)]
mod tests;
