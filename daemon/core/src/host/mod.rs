//! Hosts: where pods are, found by their names; each Unix user pins them at first use.

mod fills;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use bytchat_proto::alias::Host;
use bytchat_proto::id::NodeId;
use bytchat_proto::limits::{
    HOST_PINS_MAX, HOST_PINS_PER_OWNER_MAX, HOST_RETRY_MS, HOST_WAITING_MAX, HOSTS_MAX,
};
use bytchat_proto::record::NodeRecord;

use crate::io::{Caller, DialId, Output, Outputs, PodAddress};
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
    /// Nobody knows which node was pinned.
    #[error("the node that was pinned for pod {host} cannot be read from the disk")]
    Damaged {
        /// The pod.
        host: Host,
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

/// Why a host was not found lately.
#[derive(Clone, Debug)]
enum Why {
    /// Nobody knows where it is, or nobody answers there.
    Nobody(String),
    /// This node answers; somebody has another one pinned.
    Node(NodeId),
}

#[derive(Debug)]
struct Known<P> {
    record: Option<NodeRecord>,
    left: Vec<PodAddress>,
    expected: Option<NodeId>,
    trusted: bool,
    dial: Option<DialId>,
    resolving: bool,
    waiting: Vec<(Caller, P)>,
    failed: Option<(Mono, Why)>,
}

impl<P> Default for Known<P> {
    fn default() -> Self {
        Self {
            record: None,
            left: Vec::new(),
            expected: None,
            trusted: false,
            dial: None,
            resolving: false,
            waiting: Vec::new(),
            failed: None,
        }
    }
}

/// Where pods are, for everybody here, and which node each Unix user believes to be behind one.
#[derive(Debug)]
pub struct Hosts<P> {
    known: BTreeMap<Host, Known<P>>,
    /// Without a node: the pin cannot be read, and no node is the one that was pinned.
    pins: BTreeMap<(Caller, Host), Option<NodeId>>,
    events: VecDeque<Event<P>>,
}

impl<P> Default for Hosts<P> {
    fn default() -> Self {
        Self { known: BTreeMap::new(), pins: BTreeMap::new(), events: VecDeque::new() }
    }
}

impl<P> Known<P> {
    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && !self.resolving && self.dial.is_none() && self.left.is_empty()
    }
}

impl HostError {
    /// The pod that cannot be asked.
    pub fn host(&self) -> &Host {
        match self {
            Self::Unreachable { host, .. }
            | Self::Changed { host, .. }
            | Self::Damaged { host }
            | Self::Busy { host } => host,
        }
    }
}

impl<P> Hosts<P> {
    /// Reads the pin of a host at start; without a node it could not be read, and no node is
    /// believed until somebody decides.
    pub fn restore(&mut self, owner: Caller, host: Host, node: Option<NodeId>) {
        self.pins.insert((owner, host), node);
    }

    /// Forgets where pods are and which could not be reached, so that the next question is asked
    /// at once and anew; pins stay.
    pub fn forget(&mut self) {
        for known in self.known.values_mut() {
            known.record = None;
            known.failed = None;
        }
    }

    /// The next news.
    pub fn poll_event(&mut self) -> Option<Event<P>> {
        self.events.pop_front()
    }

    /// Asks for a pod on behalf of a Unix user; the answer comes as an event.
    pub fn find(
        &mut self,
        host: &Host,
        (owner, purpose): (Caller, P),
        now: Now,
        out: &mut Outputs,
    ) {
        let record = self.known.get(host).and_then(|known| known.record.clone());
        if let Some(record) = record.filter(|it| self.change(owner, host, it.node()).is_none()) {
            self.pin(owner, host, record.node(), out);
            return self.events.push_back(Event::Found { record, purpose });
        }
        if let Some(error) = self.failure(owner, host, now) {
            return self.events.push_back(Event::Failed { purpose, error });
        }
        if self.known.len() >= HOSTS_MAX && !self.known.contains_key(host) {
            self.known.retain(|_, known| !known.is_idle());
        }
        let full = self.known.len() >= HOSTS_MAX && !self.known.contains_key(host);
        let crowd = self.known.get(host).map_or(0, |known| known.waiting.len());
        if full || crowd >= HOST_WAITING_MAX {
            let error = HostError::Busy { host: host.clone() };
            return self.events.push_back(Event::Failed { purpose, error });
        }
        let known = self.known.entry(host.clone()).or_default();
        let idle = known.is_idle();
        known.waiting.push((owner, purpose));
        if idle {
            known.resolving = true;
            out.push(Output::Resolve { host: host.clone() });
        }
    }

    /// The error for a Unix user who has another node pinned than the one that answers.
    fn change(&self, owner: Caller, host: &Host, got: NodeId) -> Option<HostError> {
        let Some(expected) = *self.pins.get(&(owner, host.clone()))? else {
            return Some(HostError::Damaged { host: host.clone() });
        };
        (expected != got).then(|| HostError::Changed { host: host.clone(), got, expected })
    }

    /// Why a search has failed so lately that it is not begun again, if it concerns this user.
    fn failure(&self, owner: Caller, host: &Host, now: Now) -> Option<HostError> {
        let (until, why) = self.known.get(host)?.failed.as_ref()?;
        match why {
            _ if now.mono >= *until => None,
            Why::Nobody(why) => {
                Some(HostError::Unreachable { host: host.clone(), why: why.clone() })
            }
            Why::Node(got) => self.change(owner, host, *got),
        }
    }

    /// Pins a node at first use. Nobody fills the table alone.
    fn pin(&mut self, owner: Caller, host: &Host, node: NodeId, out: &mut Outputs) {
        let key = (owner, host.clone());
        if self.pins.get(&key) == Some(&Some(node)) {
            return;
        }
        let mine = self.pins.keys().filter(|(other, _)| *other == owner).count();
        let full = mine >= HOST_PINS_PER_OWNER_MAX || self.pins.len() >= HOST_PINS_MAX;
        if self.pins.contains_key(&key) || !full {
            self.pins.insert(key, Some(node));
            out.put(Table::Pin, pin_key(owner, host), node.as_bytes());
        }
    }

    /// Forgets where a pod is, because it did not answer there; its pins stay.
    pub fn lost(&mut self, host: &Host) {
        if let Some(known) = self.known.get_mut(host) {
            known.record = None;
        }
    }

    /// Forgets where the pods of a node are: it may have moved.
    pub fn lost_node(&mut self, node: NodeId) {
        for known in self.known.values_mut() {
            known.record.take_if(|record| record.node() == node);
        }
    }

    /// Whether another node answers for a host than the one that a Unix user has pinned, or
    /// nobody knows which one that was.
    pub fn has_changed(&self, owner: Caller, host: &Host) -> bool {
        if self.pins.get(&(owner, host.clone())) == Some(&None) {
            return true;
        }
        let Some(known) = self.known.get(host) else {
            return false;
        };
        let failed = match &known.failed {
            Some((_, Why::Node(got))) => Some(*got),
            Some((_, Why::Nobody(_))) | None => None,
        };
        let answers = known.record.as_ref().map(NodeRecord::node);
        let mut seen = failed.into_iter().chain(answers);
        seen.any(|got| self.change(owner, host, got).is_some())
    }

    /// Forgets which node a Unix user has pinned for a host: a person has decided to trust
    /// another one, for its own accounts.
    pub fn unpin(&mut self, owner: Caller, host: &Host, out: &mut Outputs) {
        if self.pins.remove(&(owner, host.clone())).is_some() {
            out.remove(Table::Pin, pin_key(owner, host));
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
        known.record = Some(record.clone());
        known.failed = None;
        known.left.clear();
        for (owner, purpose) in std::mem::take(&mut known.waiting) {
            match self.change(owner, &host, got).filter(|_| !named) {
                Some(error) => {
                    self.failed(&host, Why::Node(got), now);
                    self.events.push_back(Event::Failed { purpose, error });
                }
                None => {
                    self.pin(owner, &host, got, out);
                    self.events.push_back(Event::Found { record: record.clone(), purpose });
                }
            }
        }
    }

    fn fail(&mut self, host: &Host, why: &str, now: Now) {
        self.failed(host, Why::Nobody(why.to_owned()), now);
        let Some(known) = self.known.get_mut(host) else {
            return;
        };
        known.left.clear();
        let error = HostError::Unreachable { host: host.clone(), why: why.to_owned() };
        for (_, purpose) in std::mem::take(&mut known.waiting) {
            self.events.push_back(Event::Failed { purpose, error: error.clone() });
        }
    }

    fn failed(&mut self, host: &Host, why: Why, now: Now) {
        if let Some(known) = self.known.get_mut(host) {
            known.failed = Some((now.mono.plus_ms(HOST_RETRY_MS), why));
        }
    }
}

fn pin_key(owner: Caller, host: &Host) -> Vec<u8> {
    [b"host/".as_slice(), &owner.uid.to_be_bytes(), host.as_str().as_bytes()].concat()
}

#[cfg(test)]
mod tests;
