//! The same work for each kind of node.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use crate::kinds::{Kind, Node};
use crate::samples::{Samples, median};

/// The port of the first node.
const PORT: u16 = 20_000;
/// Values that are put, each by another node.
const PUTS: usize = 40;
/// Reads, each by a node that has not read that value yet.
const GETS: usize = 100;
/// So many of a hundred are killed.
const KILLED_PERCENT: usize = 30;
/// Between two starts, and from the last one until something is asked.
const PAUSE: Duration = Duration::from_millis(100);
const SETTLE: Duration = Duration::from_secs(30);
/// While nothing is asked and packets are counted.
const REST: Duration = Duration::from_secs(20);

/// What one kind of node did.
pub(crate) struct Measured {
    pub(crate) kind: Kind,
    pub(crate) puts: Done,
    pub(crate) gets: Done,
    /// Gets right after the kill.
    pub(crate) after: Done,
    /// Resident memory and the anonymous part of it, medians in MB.
    pub(crate) memory_mb: (f64, f64),
    /// Packets that one node sends in a second when nothing happens.
    pub(crate) rest: f64,
}

/// Operations, one after the other.
pub(crate) struct Done {
    pub(crate) times: Samples,
    pub(crate) tried: usize,
    /// Packets and bytes of all nodes for each operation, without those of rest.
    pub(crate) packets: f64,
    pub(crate) bytes: f64,
}

/// What loopback carried and how long it took.
#[derive(Clone, Copy)]
struct Carried {
    packets: f64,
    bytes: f64,
    seconds: f64,
}

/// Starts nodes of a kind and has them put, get, and get again when some are dead.
pub(crate) fn kind(kind: Kind, count: usize) -> Measured {
    eprintln!("{}: {count} nodes", kind.name());
    let dir = tempfile::tempdir().expect("a directory can be made");
    let port = |place: usize| PORT + u16::try_from(place).expect("nodes are few");
    let mut nodes = Vec::new();
    for place in 0..count {
        let first = (place > 0).then_some(PORT);
        nodes.push(Some(kind.start(dir.path(), port(place), first)));
        thread::sleep(PAUSE);
    }
    let names: Vec<String> = (0..PUTS).map(|turn| node(&mut nodes, turn * 7).name(turn)).collect();
    thread::sleep(SETTLE);
    let rest = carried(|| thread::sleep(REST));
    let memory = |field| {
        let pids = nodes.iter().flatten().map(Node::pid);
        median(pids.map(|pid| memory_mb(pid, field)).collect())
    };
    let memory_mb = (memory("VmRSS:"), memory("RssAnon:"));
    let puts = done(PUTS, rest, |turn| {
        node(&mut nodes, turn * 7).put(&names[turn], &format!("value-{turn}"))
    });
    eprintln!("{}: {} of {PUTS} put", kind.name(), puts.times.count());
    let mut get = |nodes: &mut [Option<Node>], turn: usize, shift: usize| {
        let asked = turn * 7 + shift + turn / PUTS;
        let got = node(nodes, asked).get(&names[turn % PUTS]);
        got.is_some_and(|value| value == format!("value-{}", turn % PUTS))
    };
    let gets = done(GETS, rest, |turn| get(&mut nodes, turn, 3));
    eprintln!("{}: {} of {GETS} got", kind.name(), gets.times.count());
    let dead = count * KILLED_PERCENT / 100;
    // All but the first, spread over the order of their start.
    for turn in 0..dead {
        nodes[1 + turn * (count - 1) / dead] = None;
    }
    let after = done(GETS, rest, |turn| get(&mut nodes, turn, 11));
    eprintln!("{}: {} of {GETS} got after the kill", kind.name(), after.times.count());
    let each = f64::from(u32::try_from(count).expect("nodes are few"));
    Measured { kind, puts, gets, after, memory_mb, rest: rest.packets / rest.seconds / each }
}

/// The node of a turn, or the next one that lives.
fn node(nodes: &mut [Option<Node>], turn: usize) -> &mut Node {
    let count = nodes.len();
    let places = (0..count).map(|step| (turn + step) % count);
    let place = places.into_iter().find(|place| nodes[*place].is_some());
    nodes[place.expect("somebody lives")].as_mut().expect("it lives")
}

fn done(tried: usize, rest: Carried, mut one: impl FnMut(usize) -> bool) -> Done {
    let mut times = Samples::default();
    let carried = carried(|| {
        for turn in 0..tried {
            let began = Instant::now();
            if one(turn) {
                times.add(began.elapsed());
            }
        }
    });
    let all = f64::from(u32::try_from(tried).expect("operations are few"));
    let beyond = |did: f64, at_rest: f64| (did - at_rest * carried.seconds / rest.seconds) / all;
    Done {
        times,
        tried,
        packets: beyond(carried.packets, rest.packets),
        bytes: beyond(carried.bytes, rest.bytes),
    }
}

fn carried(act: impl FnOnce()) -> Carried {
    let (before, began) = (loopback(), Instant::now());
    act();
    let after = loopback();
    Carried {
        packets: after.1 - before.1,
        bytes: after.0 - before.0,
        seconds: began.elapsed().as_secs_f64(),
    }
}

/// Bytes and packets that loopback has carried in this network namespace.
fn loopback() -> (f64, f64) {
    let table = fs::read_to_string("/proc/self/net/dev").expect("the kernel counts");
    let line = table.lines().find_map(|line| line.trim().strip_prefix("lo:"));
    let mut numbers = line.expect("loopback is up").split_whitespace().map_while(|n| n.parse().ok());
    (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default())
}

fn memory_mb(pid: u32, field: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or_default() * 1.024 / 1000.0
}
