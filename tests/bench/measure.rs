//! What is measured, one function each.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use bytchat_proto::id::BlockId;
use bytchat_proto::limits::{HOLDERS, RPC_CALLS_PER_CLIENT_MAX};
use bytchat_proto::rpc::Call;
use bytchat_proto::rpc::message::{ById, Message, Send, Sent, State, Trace, Wait};

use crate::client::{Client, PATIENCE, Watch};
use crate::machine::{self, BareDisk};
use crate::people::{BOB, Pair};
use crate::samples::{Samples, median};
use crate::world::World;

/// A short sentence.
const TEXT: &str = "The night train leaves at ten past eleven, from platform four.";

const SENDS: usize = 100;
const PROGRAM_RUNS: usize = 50;
const STORED: usize = 20;
const ALL_PATIENCE: Duration = Duration::from_secs(1);
const RETURNS: usize = 5;
const BURSTS: usize = 5;
const BURST: usize = 400;
/// A message of a burst that is told later than this after the last one counts as missing.
const BURST_PATIENCE: Duration = Duration::from_secs(5);
const SETTLE: Duration = Duration::from_secs(60);
const WINDOW: Duration = Duration::from_secs(60);

/// The first message opens the session and finds the way; it is not measured.
pub(crate) fn first(world: &World, pair: Pair) {
    let watch = Watch::start(world.node(pair.bob).socket());
    let mut alice = world.node(pair.alice).client();
    let id = send(&mut alice);
    assert_eq!(watch.next().0, id);
    reach(&mut alice, id, State::Delivered);
}

fn message() -> Call {
    let (to, text) = (BOB.to_owned(), TEXT.to_owned());
    Call::MessageSend(Send { to, text, ..Send::default() })
}

fn send(client: &mut Client) -> BlockId {
    client.call::<Sent>(&message()).id
}

fn reach(client: &mut Client, id: BlockId, state: State) {
    let timeout_ms = u64::try_from(PATIENCE.as_millis()).ok();
    client.call::<Message>(&Call::MessageWait(Wait { id, state, timeout_ms }));
}

/// Both are online: a message at a time, each beside a bare sync of the same disk.
pub(crate) struct Online {
    pub(crate) bare: Samples,
    pub(crate) queued: Samples,
    pub(crate) arrived: Samples,
    pub(crate) delivered: Samples,
}

pub(crate) fn online(world: &World, pair: Pair, dir: &Path) -> Online {
    let mut disk = BareDisk::new(dir);
    let mut alice = world.node(pair.alice).client();
    let watch = Watch::start(world.node(pair.bob).socket());
    let [mut bare, mut queued, mut arrived, mut delivered] = [(); 4].map(|()| Samples::default());
    for _ in 0..SENDS {
        bare.add(disk.sync());
        let began = Instant::now();
        let id = send(&mut alice);
        let answered = Instant::now();
        queued.add(answered - began);
        let (came, at) = watch.next();
        assert_eq!(came, id, "messages arrive once and in order");
        arrived.add(at.saturating_duration_since(answered));
        reach(&mut alice, id, State::Delivered);
        delivered.add(answered.elapsed());
    }
    Online { bare, queued, arrived, delivered }
}

/// `bytctl send`, from the start of the process to its end, and `bytctl --version` beside it.
pub(crate) fn program(world: &World, pair: Pair, bytctl: &Path) -> (Samples, Samples) {
    let watch = Watch::start(world.node(pair.bob).socket());
    let mut alice = world.node(pair.alice).client();
    let socket = world.node(pair.alice).socket();
    let run = |args: &[&str]| {
        let began = Instant::now();
        let mut command = Command::new(bytctl);
        command.arg("--socket").arg(&socket).args(args).stdin(Stdio::null()).stdout(Stdio::null());
        let status = command.status().expect("bytctl is built");
        assert!(status.success(), "bytctl {args:?} ended with {status}");
        began.elapsed()
    };
    let (mut sends, mut bare) = (Samples::default(), Samples::default());
    for _ in 0..PROGRAM_RUNS {
        sends.add(run(&["send", BOB, TEXT]));
        let (id, _) = watch.next();
        reach(&mut alice, id, State::Delivered);
        bare.add(run(&["--version"]));
    }
    (sends, bare)
}

/// The recipient is away: until a quorum of its holders has signed, and until all have.
pub(crate) fn stored(world: &mut World, pair: Pair) -> (Samples, Samples) {
    world.stop_node(pair.bob);
    let mut alice = world.node(pair.alice).client();
    let (mut quorum, mut all) = (Samples::default(), Samples::default());
    for _ in 0..STORED {
        let id = send(&mut alice);
        let began = Instant::now();
        reach(&mut alice, id, State::Stored);
        quorum.add(began.elapsed());
        // Where one of the two is itself among the five nearest, there is no fifth to sign.
        while began.elapsed() < ALL_PATIENCE {
            if alice.call::<Trace>(&Call::MessageTrace(ById { id })).stored >= HOLDERS {
                all.add(began.elapsed());
                break;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
    world.start_node(pair.bob);
    let mut bob = world.node(pair.bob).client();
    let last = send(&mut alice);
    bob.await_arrival(0, last);
    (quorum, all)
}

/// The recipient comes back: until its daemon answers, and until its mail is in the log of events.
pub(crate) fn returns(world: &mut World, pair: Pair) -> (Samples, Samples) {
    let mut alice = world.node(pair.alice).client();
    let (mut up, mut mail) = (Samples::default(), Samples::default());
    for _ in 0..RETURNS {
        let since = world.node(pair.bob).client().events(None, 0).next;
        world.stop_node(pair.bob);
        let id = send(&mut alice);
        reach(&mut alice, id, State::Stored);
        let began = Instant::now();
        world.start_node(pair.bob);
        let mut bob = world.node(pair.bob).client();
        bob.events(None, 0);
        up.add(began.elapsed());
        bob.await_arrival(since, id);
        mail.add(began.elapsed());
        reach(&mut alice, id, State::Delivered);
    }
    (up, mail)
}

/// Messages a second of one pair, with as many calls in flight as one connection may have:
/// answered to the sender, and told to the recipient; and how many were not told in time.
pub(crate) fn bursts(world: &World, pair: Pair) -> (f64, f64, usize) {
    let mut alice = world.node(pair.alice).client();
    let watch = Watch::start(world.node(pair.bob).socket());
    let (mut queued, mut arrived, mut missing) = (Vec::new(), Vec::new(), 0);
    for _ in 0..BURSTS {
        let began = Instant::now();
        let mut sent = BTreeMap::new();
        for number in 0..BURST {
            if number >= RPC_CALLS_PER_CLIENT_MAX {
                note(&mut alice, &mut sent);
            }
            alice.post(&message());
        }
        while sent.len() < BURST {
            note(&mut alice, &mut sent);
        }
        queued.push(rate(BURST, began.elapsed()));
        let mut last = began;
        while let Some((id, at)) = watch.next_within(BURST_PATIENCE) {
            sent.remove(&id);
            last = at;
            if sent.is_empty() {
                break;
            }
        }
        arrived.push(rate(BURST - sent.len(), last - began));
        missing += sent.len();
    }
    (median(queued), median(arrived), missing)
}

fn note(client: &mut Client, sent: &mut BTreeMap<BlockId, ()>) {
    let answer: Sent = serde_json::from_value(client.answer().1).expect("a message was sent");
    sent.insert(answer.id, ());
}

fn rate(count: usize, time: Duration) -> f64 {
    let count = u32::try_from(count).map_or(f64::MAX, f64::from);
    count / time.as_secs_f64()
}

/// A network at rest.
pub(crate) struct Idle {
    pub(crate) nodes: usize,
    /// Peers and links of the node whose memory is shown.
    pub(crate) peers: usize,
    pub(crate) links: usize,
    /// Resident memory and the anonymous part of it, of alice's node.
    pub(crate) memory_mb: (f64, f64),
    /// Of the median of all nodes.
    pub(crate) memory_mb_median: f64,
    /// Bytes and packets a second that one node sends, on average.
    pub(crate) sent: (f64, f64),
    /// Per cent of one core that one node uses, on average.
    pub(crate) cpu_percent: f64,
}

/// Nothing happens: memory, traffic and processor time after a minute of rest, over a minute.
pub(crate) fn idle(world: &World, pair: Pair) -> Idle {
    let pids = world.pids();
    thread::sleep(SETTLE);
    let (before, began) = (machine::loopback(), Instant::now());
    let cpu = || pids.iter().map(|pid| machine::cpu(*pid)).sum::<Duration>();
    let cpu_before = cpu();
    thread::sleep(WINDOW);
    let (after, took) = (machine::loopback(), began.elapsed());
    let cpu = cpu() - cpu_before;
    let nodes = u32::try_from(pids.len()).map_or(f64::MAX, f64::from);
    let each = |from: u64, to: u64| machine::kilo(to - from) * 1000.0 / took.as_secs_f64() / nodes;
    let alice = world.node(pair.alice);
    let status: bytchat_proto::rpc::node::Status =
        alice.client().call(&Call::NodeStatus(bytchat_proto::rpc::Nothing {}));
    let memory = pids.iter().map(|pid| machine::memory_mb(*pid).0).collect();
    Idle {
        nodes: pids.len(),
        peers: status.peers,
        links: status.links,
        memory_mb: machine::memory_mb(alice.pid().expect("alice's daemon runs")),
        memory_mb_median: median(memory),
        sent: (each(before.0, after.0), each(before.1, after.1)),
        cpu_percent: cpu.as_secs_f64() / took.as_secs_f64() / nodes * 100.0,
    }
}
