//! The network between simulated machines, and its clock.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytchat_core::crypto::NodeSecret;
use bytchat_core::io::{CallId, Caller, DialId, Input, LinkId, Output, PodAddress};
use bytchat_core::node::Node;
use bytchat_core::persist::Write;
use bytchat_proto::alias::Host as PodHost;
use bytchat_proto::id::{NetworkId, NodeId};
use bytchat_proto::rpc::{Call, RpcError};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::host::{Host, clock};

/// What goes wrong, and how often.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    /// Of a thousand packets, so many are lost and sent again by the link.
    pub loss_per_mille: u64,
    /// The shortest way between two machines.
    pub latency_min_ms: u64,
    /// The longest way between two machines.
    pub latency_max_ms: u64,
    /// A peer notices after so long that a machine is silent.
    pub silence_ms: u64,
}

impl Default for Faults {
    fn default() -> Self {
        Self { loss_per_mille: 20, latency_min_ms: 10, latency_max_ms: 60, silence_ms: 30_000 }
    }
}

enum Event {
    Input { host: usize, boot: u64, input: Box<Input> },
    Committed { host: usize, boot: u64 },
    Wake { host: usize, boot: u64 },
}

/// A network of simulated machines.
pub struct World {
    /// All machines.
    pub hosts: Vec<Host>,
    /// Answers to calls, as they come.
    pub replies: BTreeMap<CallId, Result<Value, RpcError>>,
    faults: Faults,
    network: NetworkId,
    now_ms: u64,
    events: BTreeMap<(u64, u64), Event>,
    order: BTreeMap<(usize, usize), u64>,
    random: ChaCha20Rng,
    digest: Sha256,
    next: u64,
    seed: u8,
}

impl World {
    /// An empty network whose chance follows from a seed.
    pub fn new(seed: u64, faults: Faults) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        Self {
            hosts: Vec::new(),
            replies: BTreeMap::new(),
            faults,
            network: NetworkId::of_name("sim"),
            now_ms: 1_000,
            events: BTreeMap::new(),
            order: BTreeMap::new(),
            random: ChaCha20Rng::from_seed(bytes),
            digest: Sha256::new(),
            next: 1,
            seed: bytes[7],
        }
    }

    /// Adds a machine that knows some others, and starts it.
    pub fn add(&mut self, pod: Option<&str>, bootstrap: &[usize]) -> usize {
        let index = self.hosts.len();
        let pod: Option<PodHost> = pod.map(|pod| pod.parse().expect("a host name"));
        let addresses = bootstrap.iter().map(|host| self.hosts[*host].address).collect();
        let mut host = Host::new(index, self.network, pod, addresses, self.seed);
        host.start(self.now_ms);
        self.hosts.push(host);
        self.wake(index, self.now_ms);
        index
    }

    /// Milliseconds since the world began.
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// What was sent between whom and when, and how long it was. Two runs of one seed agree.
    pub fn digest(&self) -> [u8; 32] {
        self.digest.clone().finalize().into()
    }

    /// A number below `bound` from the world's chance.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.random.next_u64() % bound
    }

    /// The running node of a machine.
    pub fn node(&self, host: usize) -> &Node {
        self.hosts[host].node.as_ref().expect("the machine is up")
    }

    /// The node id of a machine.
    pub fn id(&self, host: usize) -> NodeId {
        self.node(host).id()
    }

    /// Calls a node as a Unix user; the answer comes into `replies`.
    pub fn call(&mut self, host: usize, uid: u32, call: Call) -> CallId {
        let id = CallId(self.fresh());
        let input = Input::Call { call: id, caller: Caller { uid }, request: call };
        let at = self.now_ms;
        self.schedule(at, host, input);
        id
    }

    /// Calls a node and runs the world until it answers.
    pub fn ask(&mut self, host: usize, method: &str, params: Value) -> Result<Value, RpcError> {
        let call = Call::parse(method, params)?;
        let id = self.call(host, 1_000, call);
        let end = self.now_ms + 120_000;
        while self.now_ms < end {
            if let Some(reply) = self.replies.remove(&id) {
                return reply;
            }
            assert!(self.step(), "the world is still and {method} has no answer");
        }
        panic!("{method} has no answer after two minutes");
    }

    /// Runs for so long.
    pub fn run(&mut self, ms: u64) {
        let end = self.now_ms + ms;
        while self.events.first_key_value().is_some_and(|((at, _), _)| *at <= end) {
            self.step();
        }
        self.now_ms = end;
    }

    /// A machine loses its power: what was being committed may be on disk or not.
    pub fn crash(&mut self, host: usize) {
        let torn = self.below(2) == 0;
        let machine = &mut self.hosts[host];
        machine.node = None;
        if torn && !machine.committing.is_empty() {
            let (_, writes, _) = machine.committing.remove(0);
            machine.disk.commit(writes);
        }
        let links = std::mem::take(&mut machine.links);
        for (_, (peer, link)) in links {
            self.hosts[peer].links.remove(&link);
            let input = Input::LinkDown { link, reason: "silent".to_owned() };
            let at = self.now_ms + self.faults.silence_ms;
            self.schedule(at, peer, input);
        }
    }

    /// A machine comes back with its disk.
    pub fn restart(&mut self, host: usize) {
        let now = self.now_ms;
        self.hosts[host].start(now);
        self.wake(host, now);
    }

    fn fresh(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn schedule(&mut self, at: u64, host: usize, input: Input) {
        let boot = self.hosts[host].boot;
        let event = Event::Input { host, boot, input: Box::new(input) };
        let key = (at, self.fresh());
        self.events.insert(key, event);
    }

    fn wake(&mut self, host: usize, at: u64) {
        let boot = self.hosts[host].boot;
        self.hosts[host].wake_at = Some(at);
        let key = (at, self.fresh());
        self.events.insert(key, Event::Wake { host, boot });
    }

    fn step(&mut self) -> bool {
        let Some(((at, _), event)) = self.events.pop_first() else { return false };
        self.now_ms = self.now_ms.max(at);
        match event {
            Event::Input { host, boot, input } if self.hosts[host].boot == boot => {
                self.input(host, *input);
            }
            Event::Wake { host, boot } if self.hosts[host].boot == boot => {
                if self.hosts[host].wake_at == Some(at) {
                    self.hosts[host].wake_at = None;
                    self.input(host, Input::Wake);
                }
            }
            Event::Committed { host, boot } if self.hosts[host].boot == boot => {
                self.committed(host);
            }
            Event::Input { .. } | Event::Wake { .. } | Event::Committed { .. } => {}
        }
        true
    }

    fn input(&mut self, host: usize, input: Input) {
        let now = clock(self.now_ms);
        let Some(node) = self.hosts[host].node.as_mut() else { return };
        node.handle_input(input, now);
        let (mut writes, mut outputs): (Vec<Write>, Vec<Output>) = (Vec::new(), Vec::new());
        while let Some(output) = node.poll_output() {
            if let Output::Persist(batch) = output {
                writes.extend(batch);
            } else {
                outputs.push(output);
            }
        }
        let wake = node.poll_timeout().map(|deadline| deadline.at.0.max(self.now_ms + 1));
        if !writes.is_empty() || !outputs.is_empty() {
            let sync_ms = if writes.is_empty() { 0 } else { 1 + self.below(5) };
            let at = self.hosts[host].busy_until.max(self.now_ms + sync_ms);
            self.hosts[host].busy_until = at;
            self.hosts[host].committing.push((at, writes, outputs));
            let boot = self.hosts[host].boot;
            let key = (at, self.fresh());
            self.events.insert(key, Event::Committed { host, boot });
        }
        if let Some(at) = wake
            && self.hosts[host].wake_at.is_none_or(|old| at < old)
        {
            self.wake(host, at);
        }
    }

    /// A batch is on disk: what waited for it becomes visible.
    fn committed(&mut self, host: usize) {
        if self.hosts[host].node.is_none() || self.hosts[host].committing.is_empty() {
            return;
        }
        let (_, writes, outputs) = self.hosts[host].committing.remove(0);
        self.hosts[host].disk.commit(writes);
        for output in outputs {
            self.output(host, output);
        }
    }

    fn output(&mut self, host: usize, output: Output) {
        match output {
            Output::Persist(_) => {}
            Output::Transmit { link, bytes } => self.transmit(host, link, bytes),
            Output::Dial { dial, address, .. } => self.dial(host, dial, address),
            Output::Close { link, reason } => self.close(host, link, &reason),
            Output::Reply { call, result } => {
                self.replies.insert(call, result);
            }
            Output::Load { load, query } => {
                let rows = self.hosts[host].disk.scan(&query);
                self.schedule(self.now_ms, host, Input::Loaded { load, rows });
            }
            Output::Job { job, task } => {
                let result = bytchat_core::crypto::account::run(task);
                self.schedule(self.now_ms + 5, host, Input::Done { job, result });
            }
            Output::Resolve { host: name } => {
                let pod = self.hosts.iter().find(|other| other.pod.as_ref() == Some(&name));
                let found = pod.map(|pod| {
                    vec![PodAddress { address: pod.address, node: None, trusted: false }]
                });
                let result = found.ok_or_else(|| format!("there is no host {name}"));
                self.schedule(self.now_ms + 20, host, Input::Resolved { host: name, result });
            }
        }
    }

    /// How long a packet takes; a lost one is sent again by the link.
    fn latency(&mut self) -> u64 {
        let spread = self.faults.latency_max_ms - self.faults.latency_min_ms;
        let mut latency = self.faults.latency_min_ms + self.below(spread + 1);
        while self.below(1_000) < self.faults.loss_per_mille {
            latency += 2 * self.faults.latency_max_ms;
        }
        latency
    }

    fn transmit(&mut self, host: usize, link: LinkId, bytes: Vec<u8>) {
        let Some((peer, link)) = self.hosts[host].links.get(&link).copied() else { return };
        let latency = self.latency();
        // A link keeps the order of its frames.
        let last = self.order.entry((host, peer)).or_default();
        let at = (self.now_ms + latency).max(*last);
        *last = at;
        let parts = [at, host as u64, peer as u64, bytes.len() as u64];
        for part in parts {
            self.digest.update(part.to_be_bytes());
        }
        self.schedule(at, peer, Input::Frame { link, bytes });
    }

    fn dial(&mut self, host: usize, dial: DialId, address: SocketAddr) {
        let latency = self.latency();
        let peer = self.hosts.iter().position(|other| other.address == address);
        let up = peer.filter(|peer| self.hosts[*peer].node.is_some() && *peer != host);
        let Some(peer) = up else {
            let input = Input::DialFailed { dial, reason: "nobody answers".to_owned() };
            return self.schedule(self.now_ms + 1_000, host, input);
        };
        let (near, far) = (LinkId(self.fresh()), LinkId(self.fresh()));
        self.hosts[host].links.insert(near, (peer, far));
        self.hosts[peer].links.insert(far, (host, near));
        let mut binding = [0; 32];
        self.random.fill_bytes(&mut binding);
        let at = self.now_ms + 3 * latency;
        for (here, link, there, dial) in [(host, near, peer, Some(dial)), (peer, far, host, None)] {
            let (key, address) = (self.key(there), self.hosts[there].address);
            self.schedule(at, here, Input::LinkUp { link, key, address, binding, dial });
            let order = self.order.entry((here, there)).or_default();
            *order = at.max(*order);
        }
    }

    fn key(&self, host: usize) -> bytchat_proto::key::NodeKey {
        let secret = self.hosts[host].secret();
        NodeSecret::from_seed(secret).expect("a seed makes a key").key()
    }

    fn close(&mut self, host: usize, link: LinkId, reason: &str) {
        let Some((peer, far)) = self.hosts[host].links.remove(&link) else { return };
        self.hosts[peer].links.remove(&far);
        let latency = self.latency();
        let last = self.order.get(&(host, peer)).copied().unwrap_or_default();
        let at = (self.now_ms + latency).max(last);
        self.schedule(at, peer, Input::LinkDown { link: far, reason: reason.to_owned() });
    }
}
