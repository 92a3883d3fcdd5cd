//! The clock of a simulated network, and what happens on its machines.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use bytchat_core::crypto::NetworkKey;
use bytchat_core::io::{CallId, Caller, Input, LinkId, Output, PodAddress};
use bytchat_core::node::Node;
use bytchat_proto::alias::Host as PodHost;
use bytchat_proto::id::NetworkId;
use bytchat_proto::point::Point;
use bytchat_proto::rpc::{Call, RpcError};
use bytchat_proto::timestamp::Timestamp;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::disk::Disk;
use super::events::{Agenda, Event, What};
use super::host::{Batch, Host};
use super::liar::Liars;
use super::network::{Cut, Faults};
use super::witness::{Errors, Overheard, Witness};

/// A call that has no answer by then will have none.
const PATIENCE_MS: u64 = 120_000;

/// A wave of newcomers takes so long, and as long again to find its place.
const WAVE_MS: u64 = 20_000;

/// A network of simulated machines.
pub struct World {
    /// All machines.
    pub hosts: Vec<Host>,
    /// Answers to calls, as they come.
    pub replies: BTreeMap<CallId, Result<Value, RpcError>>,
    /// What nobody may ever see and was seen.
    pub findings: BTreeSet<String>,
    pub(super) seed: u64,
    pub(super) faults: Faults,
    pub(super) witness: Witness,
    pub(super) digest: Sha256,
    pub(super) cuts: Vec<Cut>,
    /// Somebody may have seen fewer machines than there are.
    pub(super) was_cut: bool,
    /// Frames that cuts have swallowed.
    pub(super) stalled: Vec<(usize, LinkId, Vec<u8>)>,
    pub(super) by_address: BTreeMap<SocketAddr, usize>,
    pub(super) keys_used: usize,
    /// What hand-made peers were told.
    pub(super) heard: BTreeMap<LinkId, Vec<Vec<u8>>>,
    pub(super) network: NetworkId,
    network_key: Option<NetworkKey>,
    pub(super) liars: Liars,
    errors: Errors,
    now_ms: u64,
    agenda: Agenda,
    random: ChaCha20Rng,
    next: u64,
}

impl World {
    /// An empty network whose chance follows from a seed.
    pub fn new(seed: u64, faults: Faults) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        Self {
            hosts: Vec::new(),
            replies: BTreeMap::new(),
            findings: BTreeSet::new(),
            seed,
            faults,
            witness: Witness::new(),
            digest: Sha256::new(),
            cuts: Vec::new(),
            was_cut: false,
            stalled: Vec::new(),
            by_address: BTreeMap::new(),
            keys_used: 0,
            heard: BTreeMap::new(),
            network: NetworkId::of_name("sim"),
            network_key: None,
            liars: Liars::default(),
            errors: Errors::listen(),
            now_ms: 1_000,
            agenda: Agenda::default(),
            random: ChaCha20Rng::from_seed(bytes),
            next: 1,
        }
    }

    /// A network of so many machines, of which the first two are the pods `a.test` and `b.test`.
    pub fn grown(seed: u64, machines: usize, faults: Faults) -> Self {
        let mut world = Self::new(seed, faults);
        world.add(Some("a.test"), &[]);
        world.add(Some("b.test"), &[0]);
        for _ in 2..machines {
            world.add(None, &[0, 1]);
            world.run(200);
        }
        world.run(30_000);
        world
    }

    /// Puts the machines that are added from now on into another network, with a key if it has one.
    pub fn enter(&mut self, name: &str, key: Option<[u8; 32]>) {
        let key = key.map(|key| NetworkKey::new(key.into()));
        let named = || NetworkId::of_name(name);
        self.network = key.as_ref().map_or_else(named, |key| key.network(name, 0));
        self.network_key = key;
    }

    /// A network of many machines that come in waves, each as many as there are already and each
    /// by three of those; the first two are the pods `a.test` and `b.test`.
    pub fn swarm(seed: u64, machines: usize, faults: Faults) -> Self {
        let mut world = Self::grown(seed, machines.min(16), faults);
        while world.hosts.len() < machines {
            let there = world.hosts.len();
            let more = there.min(machines - there);
            for _ in 0..more {
                let known = [(); 3].map(|()| usize::try_from(world.below(there as u64)));
                world.add(None, &known.map(|host| host.expect("few hosts")));
                let pause = world.below(2 * WAVE_MS / more as u64 + 1);
                world.run(pause);
            }
            world.run(WAVE_MS);
        }
        world
    }

    /// Adds a machine that knows some others, and starts it.
    pub fn add(&mut self, pod: Option<&str>, bootstrap: &[usize]) -> usize {
        let index = self.hosts.len();
        let pod: Option<PodHost> = pod.map(|pod| pod.parse().expect("a host name"));
        let addresses = bootstrap.iter().map(|host| self.hosts[*host].address).collect();
        let network = (self.network, self.network_key.clone());
        let mut host = Host::new(index, network, pod, addresses, self.seed);
        if self.below(100) < self.faults.slow_disks_percent {
            host.slow_ms = 150;
        }
        if host.pod.is_none() && self.below(100) < self.faults.nats_percent {
            host.nat = Some(BTreeMap::new());
        }
        if self.faults.liars_percent > 0 && self.below(100) < self.faults.liars_percent {
            self.lie(index);
        }
        let drift = i64::try_from(self.below(2 * self.faults.drift_ppm + 1)).unwrap_or_default();
        host.drift_ppm = drift.saturating_sub_unsigned(self.faults.drift_ppm);
        self.start(host)
    }

    pub(super) fn start(&mut self, mut host: Host) -> usize {
        let index = self.hosts.len();
        host.start(self.now_ms);
        self.by_address.insert(host.address, index);
        self.hosts.push(host);
        self.wake(index, self.now_ms);
        index
    }

    /// Milliseconds since the world began.
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// The time by a clock that is right.
    pub fn wall(&self) -> Timestamp {
        Host::wall(self.now_ms)
    }

    /// What was sent between whom and when, and how long it was. Two runs of one seed agree.
    pub fn digest(&self) -> [u8; 32] {
        self.digest.clone().finalize().into()
    }

    /// What was logged as error since the last question; what is left fails the run.
    pub fn take_errors(&mut self) -> Vec<String> {
        self.errors.take()
    }

    /// A number below `bound` from the world's chance.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.random.next_u64() % bound
    }

    /// Bytes from the world's chance.
    pub fn random_bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.random.fill_bytes(&mut bytes);
        bytes
    }

    /// Whether a machine is up.
    pub fn is_up(&self, host: usize) -> bool {
        self.hosts[host].node.is_some()
    }

    /// The machines that are up and nearest to a point, nearest first.
    pub fn nearest(&self, point: Point, count: usize) -> Vec<usize> {
        let up = (0..self.hosts.len()).filter(|host| self.is_up(*host));
        let distance = |host: &usize| Point::of_node(self.hosts[*host].id).distance(point);
        let mut up: Vec<_> = up.map(|host| (distance(&host), host)).collect();
        up.sort_unstable();
        up.into_iter().take(count).map(|(_, host)| host).collect()
    }

    /// Notes from now on who is asked about a point, and who answers.
    pub fn watch(&mut self, point: Point) {
        self.witness.watch(point);
    }

    /// Listens to everything that is said from now on.
    pub fn listen(&mut self) {
        self.witness.overheard = Some(Vec::new());
    }

    /// What was said since the last question.
    pub fn overheard(&mut self) -> Vec<Overheard> {
        self.witness.overheard.replace(Vec::new()).unwrap_or_default()
    }

    /// Calls a node as a Unix user; the answer comes into `replies`.
    pub fn call(&mut self, host: usize, uid: u32, call: Call) -> CallId {
        let id = CallId(self.fresh());
        let input = Input::Call { call: id, caller: Caller { uid }, scope: None, request: call };
        let at = self.now_ms;
        self.schedule(at, host, input);
        id
    }

    /// Calls a node as a Unix user and runs the world until it answers.
    pub fn ask_as(
        &mut self,
        host: usize,
        uid: u32,
        method: &str,
        params: Value,
    ) -> Result<Value, RpcError> {
        let call = Call::parse(method, params)?;
        let id = self.call(host, uid, call);
        let end = self.now_ms + PATIENCE_MS;
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
        while self.agenda.next_at().is_some_and(|at| at <= end) {
            self.step();
        }
        self.now_ms = end;
    }

    /// Everything sleeps for so long, as laptops do; then all that is overdue is due at once.
    pub fn suspend(&mut self, ms: u64) {
        self.now_ms += ms;
    }

    /// A machine loses its power: of the batches on their way to the disk, the first ones are
    /// there, as one log holds them all; one that is torn counts as not there.
    pub fn crash(&mut self, host: usize) {
        let under_way = self.hosts[host].committing.len() as u64;
        let whole = usize::try_from(self.below(under_way + 1)).unwrap_or_default();
        let machine = &mut self.hosts[host];
        machine.node = None;
        for batch in machine.committing.drain(..).take(whole) {
            machine.disk.commit(batch.writes);
        }
        if let Some(before) = machine.before.take() {
            machine.disk = before;
        }
        let links = std::mem::take(&mut machine.links);
        for end in links.into_values() {
            self.hosts[end.peer].links.remove(&end.far);
            let input = Input::LinkDown { link: end.far, reason: "silent".to_owned() };
            let at = self.now_ms + self.faults.silence_ms;
            self.schedule(at, end.peer, input);
        }
    }

    /// A machine is gone for good, and its disk with it.
    pub fn lose(&mut self, host: usize) {
        if self.is_up(host) {
            self.crash(host);
        }
        self.hosts[host].lost = true;
        self.hosts[host].disk = Disk::default();
    }

    /// Only what is usual goes wrong from now on, such as loss: all machines are there, each with a
    /// good clock and disk, and everybody reaches everybody who is not behind a NAT.
    pub fn heal(&mut self) {
        let Faults { round_trip_ms, silence_ms, .. } = self.faults;
        self.faults = Faults { round_trip_ms, silence_ms, ..Faults::default() };
        self.mend();
        for host in 0..self.hosts.len() {
            (self.hosts[host].slow_ms, self.hosts[host].skew_ms) = (0, 0);
            if !self.is_up(host) && !self.hosts[host].lost {
                self.restart(host);
            }
        }
    }

    /// A machine comes back with its disk.
    pub fn restart(&mut self, host: usize) {
        let now = self.now_ms;
        self.hosts[host].start(now);
        self.wake(host, now);
    }

    pub(super) fn fresh(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn add_event(&mut self, at: u64, host: usize, what: What) {
        let boot = self.hosts[host].boot;
        self.agenda.add(at, Event { host, boot, what });
    }

    pub(super) fn schedule(&mut self, at: u64, host: usize, input: Input) {
        self.add_event(at, host, What::Input(Box::new(input)));
    }

    pub(super) fn silence(&mut self, at: u64, host: usize, link: LinkId) {
        self.add_event(at, host, What::Silent(link));
    }

    fn wake(&mut self, host: usize, at: u64) {
        self.hosts[host].wake_at = Some(at);
        self.add_event(at, host, What::Wake);
    }

    /// Does the next thing; false if there is none.
    pub fn step(&mut self) -> bool {
        let Some((at, event)) = self.agenda.pop() else { return false };
        self.now_ms = self.now_ms.max(at);
        let Event { host, boot, what } = event;
        if self.hosts[host].boot != boot || !self.is_up(host) {
            return true;
        }
        match what {
            What::Input(input) => self.input(host, *input),
            What::Committed => self.committed(host),
            What::Silent(link) => self.silent(host, link),
            What::Wake => {
                if self.hosts[host].wake_at == Some(at) {
                    self.hosts[host].wake_at = None;
                    self.input(host, Input::Wake);
                }
            }
        }
        true
    }

    fn input(&mut self, host: usize, input: Input) {
        let now = self.hosts[host].clock(self.now_ms);
        if let Input::Frame { link, bytes } = &input
            && let Some(end) = self.hosts[host].links.get(link)
        {
            let from = self.hosts[end.peer].id;
            self.witness.arrived(*link, from, bytes);
        }
        let Some(node) = self.hosts[host].node.as_mut() else { return };
        node.handle_input(input, now);
        let (mut writes, mut early, mut outputs) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(output) = node.poll_output() {
            if let Output::Persist(batch) = output {
                writes.extend(batch);
                // What was said before is visible before it is on disk.
                early.append(&mut outputs);
            } else {
                outputs.push(output);
            }
        }
        let wake = node.poll_timeout();
        let wake = wake.map(|it| self.hosts[host].when(it.at).max(self.now_ms + 1));
        early.into_iter().for_each(|output| self.output(host, output));
        if !writes.is_empty() || !outputs.is_empty() {
            self.commit(host, Batch { writes, outputs });
        }
        if let Some(at) = wake
            && self.hosts[host].wake_at.is_none_or(|old| at < old)
        {
            self.wake(host, at);
        }
    }

    fn commit(&mut self, host: usize, batch: Batch) {
        let slow_ms = self.hosts[host].slow_ms;
        let sync_ms = if batch.writes.is_empty() { 0 } else { 1 + self.below(5) + slow_ms };
        let at = self.hosts[host].busy_until.max(self.now_ms + sync_ms);
        self.hosts[host].busy_until = at;
        self.hosts[host].committing.push(batch);
        self.add_event(at, host, What::Committed);
    }

    /// A batch is on disk: what waited for it becomes visible.
    fn committed(&mut self, host: usize) {
        if self.hosts[host].committing.is_empty() {
            return;
        }
        let Batch { writes, outputs } = self.hosts[host].committing.remove(0);
        let acknowledges = outputs.iter().any(|output| matches!(output, Output::Reply { .. }));
        if self.faults.disks_lie && acknowledges && !writes.is_empty() {
            self.hosts[host].before = Some(self.hosts[host].disk.clone());
        }
        self.hosts[host].disk.commit(writes);
        for output in outputs {
            self.output(host, output);
        }
    }

    fn output(&mut self, host: usize, output: Output) {
        match output {
            Output::Persist(_) | Output::Event { .. } => {}
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

    /// The running node of a machine.
    pub fn node(&self, host: usize) -> &Node {
        self.hosts[host].node.as_ref().expect("the machine is up")
    }
}
