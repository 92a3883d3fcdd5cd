//! Two nodes with their disks, and peers that are made by hand.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use bytchat_core::crypto::{NodeSecret, account};
use bytchat_core::event::Keep;
use bytchat_core::io::{CallId, Caller, DialId, Input, JobId, JobResult, LinkId, LoadId};
use bytchat_core::io::{Output, PodAddress, Task};
use bytchat_core::node::{Node, NodeConfig};
use bytchat_core::persist::{Query, Table};
use bytchat_core::time::{Mono, Now};
use bytchat_proto::alias::Host;
use bytchat_proto::id::NetworkId;
use bytchat_proto::limits::FRAME_BYTES_MAX;
use bytchat_proto::rpc::Call;
use bytchat_proto::timestamp::Timestamp;
use bytchat_proto::wire::{Body, Frame, Request, Response};
use serde_json::json;
use zeroize::Zeroizing;

use crate::sim::{Disk, Faults, World, keys};

/// Machines of the world that the disks come from; the nodes here are two of them.
pub(super) const MACHINES: usize = 5;
const NODES: [usize; 2] = [3, 4];
const SEED: u64 = 1;
/// What the world's wall clock says at its start.
const EPOCH_MS: u64 = 1_795_219_200_000;
/// So long the world runs before its disks are taken.
const LIVED_MS: u64 = 400_000;
/// Outputs that follow from one event; more would be no end.
const OUTPUTS_MAX: usize = 20_000;
/// The Unix users whose accounts are on the first node.
pub(super) const UIDS: [u32; 2] = [1_001, 1_002];

pub(super) fn network() -> NetworkId {
    NetworkId::of_name("sim")
}

/// The seed of the key of a machine, as the world makes it.
fn seed_of(machine: usize) -> [u8; 32] {
    let mut secret = [0; 32];
    secret[..8].copy_from_slice(&(machine as u64).to_be_bytes());
    secret[24..].copy_from_slice(&SEED.to_be_bytes());
    secret
}

pub(super) fn secret_of(machine: usize) -> NodeSecret {
    NodeSecret::from_seed(seed_of(machine)).expect("a seed makes a key")
}

pub(super) fn address_of(machine: usize) -> SocketAddr {
    let [_, _, high, low] = u32::try_from(machine).unwrap_or(0).to_be_bytes();
    SocketAddr::from(([10, high, low, 1], 4848))
}

/// The disks of two nodes that have written to each other.
pub(super) fn live() -> [Disk; 2] {
    let mut world = World::grown(SEED, MACHINES, Faults::default());
    let alice = world.named(NODES[0], "alice@a.test");
    let carol = world.person(NODES[0]);
    let bob = world.named(NODES[1], "bob@b.test");
    world.run(30_000);
    for (from, to) in [(&alice, &bob), (&bob, &alice), (&alice, &bob), (&bob, &carol)] {
        let params = json!({ "to": to.id, "text": "hi" });
        world.ask(from, "message.send", params).expect("a message is taken");
        world.run(10_000);
    }
    world
        .ask(&alice, "message.send", json!({ "to": "x".repeat(32).replace('x', "a"), "text": "?" }))
        .expect("a message to nobody waits");
    world.run(LIVED_MS.saturating_sub(world.now_ms()));
    NODES.map(|machine| world.hosts[machine].disk.clone())
}

/// Who is at the other end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// A hand-made peer with the key of a machine.
    Peer(usize),
    /// The other node, with its name for the link.
    Node(LinkId),
}

/// A frame that is on its way from one node to the other.
pub(super) struct Flying {
    pub(super) to: usize,
    pub(super) link: LinkId,
    pub(super) bytes: Vec<u8>,
}

/// One node and what it waits for.
pub(super) struct Machine {
    pub(super) node: Node,
    pub(super) disk: Disk,
    pub(super) links: BTreeMap<LinkId, End>,
    pub(super) asked: Vec<(LinkId, u64, Request)>,
    pub(super) nonces: BTreeMap<LinkId, Vec<u8>>,
    pub(super) dials: Vec<DialId>,
    pub(super) loads: VecDeque<(LoadId, Query)>,
    pub(super) jobs: VecDeque<(JobId, Task)>,
    pub(super) resolves: Vec<Host>,
    pub(super) calls: BTreeSet<CallId>,
    gone: BTreeSet<CallId>,
}

/// Everything.
pub(super) struct Rig {
    pub(super) machines: [Machine; 2],
    pub(super) flying: VecDeque<Flying>,
    /// Frames, loads and jobs wait until it is their turn.
    pub(super) holds: bool,
    pub(super) mono_ms: u64,
    pub(super) wall_ms: u64,
    /// What hand-made peers were told, by kind.
    pub(super) heard: BTreeSet<&'static str>,
    boots: u64,
    next: u64,
}

impl Machine {
    fn start(which: usize, disk: Disk, boot: u64, now: Now) -> Self {
        let machine = NODES[which];
        let mut seed = seed_of(machine);
        seed[8..16].copy_from_slice(&boot.to_be_bytes());
        let config = NodeConfig {
            network_key: None,
            work: 0,
            stamp: Vec::new(),
            network: network(),
            secret: seed_of(machine),
            vault: [7; 32],
            listen: vec![address_of(machine)],
            bootstrap: vec![address_of(0), address_of(1)],
            pod: (which == 0).then(|| "c.test".parse().expect("a host")),
            events: Keep::default(),
            version: "fuzz".to_owned(),
        };
        let node = Node::new(config, seed, disk.hot(Node::HOT), now).expect("a node starts");
        Self {
            node,
            disk,
            links: BTreeMap::new(),
            asked: Vec::new(),
            nonces: BTreeMap::new(),
            dials: Vec::new(),
            loads: VecDeque::new(),
            jobs: VecDeque::new(),
            resolves: Vec::new(),
            calls: BTreeSet::new(),
            gone: BTreeSet::new(),
        }
    }
}

impl Rig {
    pub(super) const HOT: &'static [Table] = Node::HOT;

    pub(super) fn new(disks: [Disk; 2]) -> Self {
        let now = Now { mono: Mono(1_000), wall: Timestamp(EPOCH_MS + LIVED_MS) };
        let [first, second] = disks;
        let machines = [(0, first), (1, second)];
        let mut rig = Self {
            machines: machines.map(|(which, disk)| Machine::start(which, disk, 1, now)),
            flying: VecDeque::new(),
            holds: false,
            mono_ms: now.mono.0,
            wall_ms: now.wall.0,
            heard: BTreeSet::new(),
            boots: 1,
            next: 0,
        };
        rig.settle();
        rig
    }

    pub(super) fn now(&self) -> Now {
        Now { mono: Mono(self.mono_ms), wall: Timestamp(self.wall_ms) }
    }

    pub(super) fn fresh(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Something happens to a node, and all that follows from it.
    pub(super) fn input(&mut self, which: usize, input: Input) {
        let now = self.now();
        self.machines[which].node.handle_input(input, now);
        self.settle();
    }

    /// Time passes; both nodes are woken.
    pub(super) fn pass(&mut self, ms: u64) {
        self.mono_ms = self.mono_ms.saturating_add(ms);
        self.wall_ms = self.wall_ms.saturating_add(ms);
        for which in 0..2 {
            self.input(which, Input::Wake);
        }
    }

    /// Lets all that was held go on, and passes some time.
    pub(super) fn rest(&mut self) {
        self.holds = false;
        self.settle();
        for ms in [10, 1_000, 20_000] {
            self.pass(ms);
        }
    }

    /// A call of a Unix user.
    pub(super) fn call(&mut self, which: usize, uid: u32, request: Call) {
        let call = CallId(self.fresh());
        self.machines[which].calls.insert(call);
        let caller = Caller { uid };
        self.input(which, Input::Call { call, caller, scope: None, request });
    }

    pub(super) fn give_up_call(&mut self, which: usize) {
        if let Some(call) = self.machines[which].calls.pop_first() {
            self.machines[which].gone.insert(call);
            self.input(which, Input::CallGone { call });
        }
    }

    /// A node loses its power and starts again with its disk.
    pub(super) fn crash(&mut self, which: usize) {
        self.boots += 1;
        let links: Vec<LinkId> = self.machines[which].links.keys().copied().collect();
        links.into_iter().for_each(|link| self.part(which, link));
        self.flying.clear();
        let (disk, now) = (self.machines[which].disk.clone(), self.now());
        self.machines[which] = Machine::start(which, disk, self.boots, now);
        self.settle();
    }

    /// A link is gone at the other end too.
    fn part(&mut self, which: usize, link: LinkId) {
        let Some(End::Node(other)) = self.machines[which].links.remove(&link) else { return };
        if self.machines[1 - which].links.remove(&other).is_some() {
            let (down, now) = (Input::LinkDown { link: other, reason: "gone".into() }, self.now());
            self.machines[1 - which].node.handle_input(down, now);
        }
    }

    /// A link goes down.
    pub(super) fn down(&mut self, which: usize, link: LinkId) {
        self.part(which, link);
        self.input(which, Input::LinkDown { link, reason: "fuzz".to_owned() });
    }

    /// A link of a node to a hand-made peer.
    pub(super) fn up(&mut self, which: usize, machine: usize, dial: Option<DialId>) -> LinkId {
        let link = LinkId(self.fresh());
        self.machines[which].links.insert(link, End::Peer(machine));
        let (key, address) = (secret_of(machine).key(), address_of(machine));
        self.input(which, Input::LinkUp { link, key, address, binding: [9; 32], dial });
        link
    }

    /// A link between the two nodes.
    pub(super) fn meet(&mut self) {
        let ends = [LinkId(self.fresh()), LinkId(self.fresh())];
        for which in 0..2 {
            self.machines[which].links.insert(ends[which], End::Node(ends[1 - which]));
        }
        for which in 0..2 {
            let other = NODES[1 - which];
            let (link, key) = (ends[which], secret_of(other).key());
            let address = address_of(other);
            let up = Input::LinkUp { link, key, address, binding: [8; 32], dial: None };
            self.input(which, up);
        }
    }

    /// Does what the nodes want done, until they want no more or what is left is held.
    pub(super) fn settle(&mut self) {
        for _ in 0..OUTPUTS_MAX {
            if !self.settle_one() {
                return self.check();
            }
        }
        unreachable!("the nodes find no end");
    }

    fn settle_one(&mut self) -> bool {
        for which in 0..2 {
            if let Some(output) = self.machines[which].node.poll_output() {
                self.output(which, output);
                return true;
            }
        }
        !self.holds && (self.deliver() || (0..2).any(|which| self.serve(which)))
    }

    /// Delivers the frame that is longest on its way.
    pub(super) fn deliver(&mut self) -> bool {
        let Some(Flying { to, link, bytes }) = self.flying.pop_front() else { return false };
        if self.machines[to].links.contains_key(&link) {
            let now = self.now();
            self.machines[to].node.handle_input(Input::Frame { link, bytes }, now);
        }
        true
    }

    /// Answers a question to the disk, or does a job.
    pub(super) fn serve(&mut self, which: usize) -> bool {
        let now = self.now();
        let machine = &mut self.machines[which];
        if let Some((load, query)) = machine.loads.pop_front() {
            let rows = machine.disk.scan(&query);
            assert!(rows.len() <= query.limit);
            machine.node.handle_input(Input::Loaded { load, rows }, now);
            return true;
        }
        let Some((job, task)) = machine.jobs.pop_front() else { return false };
        machine.node.handle_input(Input::Done { job, result: run(task) }, now);
        true
    }

    fn output(&mut self, which: usize, output: Output) {
        match output {
            Output::Persist(writes) => self.machines[which].disk.commit(writes),
            Output::Transmit { link, bytes } => self.transmit(which, link, bytes),
            Output::Dial { dial, .. } => self.machines[which].dials.push(dial),
            Output::Close { link, .. } => self.part(which, link),
            Output::Reply { call, .. } => {
                let machine = &mut self.machines[which];
                let waits = machine.calls.remove(&call) || machine.gone.remove(&call);
                assert!(waits, "{call:?} is answered twice, or nobody asked");
            }
            Output::Event { json, .. } => {
                let event = serde_json::from_str::<serde_json::Value>(&json);
                assert!(event.is_ok(), "an event is JSON");
            }
            Output::Load { load, query } => {
                self.machines[which].loads.push_back((load, query));
            }
            Output::Job { job, task } => self.machines[which].jobs.push_back((job, task)),
            Output::Resolve { host } => self.machines[which].resolves.push(host),
        }
    }

    fn transmit(&mut self, which: usize, link: LinkId, bytes: Vec<u8>) {
        assert!(bytes.len() <= FRAME_BYTES_MAX, "a frame of {} bytes", bytes.len());
        let frame = Frame::decode(&bytes).expect("a node speaks well");
        let Some(end) = self.machines[which].links.get(&link).copied() else { return };
        match end {
            End::Node(link) => self.flying.push_back(Flying { to: 1 - which, link, bytes }),
            End::Peer(_) => self.hear(which, link, frame),
        }
    }

    /// A hand-made peer is told something.
    fn hear(&mut self, which: usize, link: LinkId, frame: Frame) {
        self.heard.insert(word(&frame.body));
        let machine = &mut self.machines[which];
        if let Body::Request(request) = frame.body {
            machine.asked.push((link, frame.id, request));
        } else if let Body::Response(Response::Challenge { nonce }) = frame.body {
            machine.nonces.insert(link, nonce.into_vec());
        }
    }

    /// Nothing is above its limit.
    fn check(&self) {
        for machine in &self.machines {
            let fills = machine.node.fills();
            let above: Vec<_> = fills.above().collect();
            assert!(above.is_empty(), "{above:?}");
        }
    }

    /// Where a pod of the world is.
    pub(super) fn resolved(&mut self, which: usize, found: bool) {
        let Some(host) = self.machines[which].resolves.pop() else { return };
        let places = [("a.test", 0), ("b.test", 1), ("c.test", NODES[0])];
        let place = places.iter().find(|(name, _)| *name == host.as_str() && found);
        let result = place.map(|(_, machine)| {
            vec![PodAddress { address: address_of(*machine), node: None, trusted: false }]
        });
        let result = result.ok_or_else(|| "there is no such host".to_owned());
        self.input(which, Input::Resolved { host, result });
    }
}

/// The kind of what is said.
fn word(body: &Body) -> &'static str {
    match body {
        Body::NetworkProof(_) => "network_proof",
        Body::Hello(_) => "hello",
        Body::Routing(_) => "routing",
        Body::Delivery(_) => "delivery",
        Body::Notice(_) => "notice",
        Body::Request(_) => "request",
        Body::Response(response) => match response {
            Response::Done => "done",
            Response::Nodes(_) => "nodes",
            Response::Records { .. } => "records",
            Response::Keys { .. } => "keys",
            Response::Receipt { .. } => "receipt",
            Response::Kept { .. } => "kept",
            Response::Lacks { .. } => "lacks",
            Response::Challenge { .. } => "challenge",
            Response::Attached { .. } => "attached",
            Response::Binding { .. } => "binding",
            Response::Refused { .. } => "refused",
        },
    }
}

/// Does a job; signatures of the same are made once, and no key is made for it.
fn run(task: Task) -> JobResult {
    static SIGNED: Mutex<BTreeMap<[u8; 64], Vec<u8>>> = Mutex::new(BTreeMap::new());
    match task {
        Task::GenerateAccount => {
            let pem = keys().nth(7).expect("there are some keys").to_owned();
            account::run(Task::ReadAccount { pem: Zeroizing::new(pem) })
        }
        task @ Task::ReadAccount { .. } => account::run(task),
        Task::Sign { secret, digest } => {
            let mut signed = SIGNED.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(signature) = signed.get(&digest) {
                return JobResult::Signature(signature.clone());
            }
            let result = account::run(Task::Sign { secret, digest });
            if let JobResult::Signature(signature) = &result {
                if signed.len() >= 1_000 {
                    signed.clear();
                }
                signed.insert(digest, signature.clone());
            }
            result
        }
    }
}
