//! Calls and events over the daemon's socket: how many a second, in each dialect, beside a bare
//! jsonrpsee that gives the same answer.

mod bare;
mod caller;

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use bytchat_proto::rpc::{Call, Nothing, account};
use serde_json::Value;

use crate::fill::History;
use crate::machine;
use crate::samples::{Samples, median};
use crate::world::World;

use bare::Bare;
pub(crate) use caller::Dialect;
use caller::{Caller, Lines};

/// The daemon that is called; the others are pods.
const PLACE: usize = 2;
const CLIENTS: [usize; 2] = [1, 64];
const SUBSCRIBERS: [usize; 3] = [1, 10, 100];
/// Each rate is the median of so many passes, ours and the bare one in turn.
const PASSES: usize = 3;
const PASS: Duration = Duration::from_secs(1);
const PROGRAM_RUNS: usize = 50;
/// Events in the log that subscribers read.
const EVENTS: u64 = 10_000;
const REQUEST: &str = r#"{"jsonrpc":"2.0","id":1,"method":"node.status"}"#;

/// The same call by so many clients at once.
pub(crate) struct Calls {
    pub(crate) dialect: Dialect,
    pub(crate) clients: usize,
    pub(crate) times: Samples,
    pub(crate) per_second: f64,
    /// Calls a second of a bare jsonrpsee; lines, which it does not speak, beside its WebSocket.
    pub(crate) bare_per_second: f64,
}

/// The log of events, read from its beginning by so many subscribers at once.
pub(crate) struct Replay {
    pub(crate) subscribers: usize,
    /// Events a second, of all subscribers together.
    pub(crate) per_second: f64,
}

/// What the socket can do.
pub(crate) struct Socket {
    pub(crate) calls: Vec<Calls>,
    pub(crate) replays: Vec<Replay>,
    /// `bytctl node status`, from the start of the process to its end.
    pub(crate) program: Samples,
}

pub(crate) fn socket(bytchatd: &Path, bytctl: &Path, dir: &Path) -> Socket {
    let mut world = World::start(bytchatd, dir);
    world.grow(PLACE + 1, 1);
    let create = Call::AccountCreate(account::Create::default());
    let created: account::Account = world.node(PLACE).client().call(&create);
    world.stop_node(PLACE);
    let history = History { account: created.id, messages: EVENTS, end: machine::now() };
    history.write(&world.node(PLACE).data());
    world.start_node(PLACE);
    let answer: Value = world.node(PLACE).client().call(&Call::NodeStatus(Nothing {}));
    let (path, bare) = (world.node(PLACE).socket(), Bare::start(answer));
    let mut calls = Vec::new();
    for dialect in [Dialect::Lines, Dialect::Http, Dialect::WebSocket] {
        calls.extend(CLIENTS.map(|clients| rates(&path, &bare, dialect, clients)));
    }
    let replays = SUBSCRIBERS.map(|subscribers| replay(&path, subscribers)).into();
    Socket { calls, replays, program: program(bytctl, &path) }
}

fn rates(path: &Path, bare: &Bare, dialect: Dialect, clients: usize) -> Calls {
    let beside = if dialect == Dialect::Lines { Dialect::WebSocket } else { dialect };
    let ours = || Caller::new(UnixStream::connect(path), dialect);
    let theirs = || Caller::new(TcpStream::connect(bare.address()), beside);
    let (mut times, mut own, mut others) = (Samples::default(), Vec::new(), Vec::new());
    for _ in 0..PASSES {
        let pass = run(clients, ours);
        own.push(per_second(pass.count(), PASS));
        times.extend(pass);
        others.push(per_second(run(clients, theirs).count(), PASS));
    }
    let (per_second, bare_per_second) = (median(own), median(others));
    Calls { dialect, clients, times, per_second, bare_per_second }
}

/// So many clients call one after the other, each on a connection of its own.
fn run<S: Read + Write>(clients: usize, connect: impl Fn() -> Caller<S> + Sync) -> Samples {
    let ready = Barrier::new(clients);
    let one = || {
        let mut caller = connect();
        caller.call(REQUEST);
        ready.wait();
        let end = Instant::now() + PASS;
        let mut times = Samples::default();
        while Instant::now() < end {
            let began = Instant::now();
            caller.call(REQUEST);
            times.add(began.elapsed());
        }
        times
    };
    thread::scope(|scope| {
        let running: Vec<_> = (0..clients).map(|_| scope.spawn(one)).collect();
        let mut times = Samples::default();
        for client in running {
            times.extend(client.join().expect("a client does not panic"));
        }
        times
    })
}

fn replay(path: &Path, subscribers: usize) -> Replay {
    let began = Instant::now();
    let counts = thread::scope(|scope| {
        let one = || -> io::Result<u64> { Lines::new(UnixStream::connect(path)?).replay() };
        let running: Vec<_> = (0..subscribers).map(|_| scope.spawn(one)).collect();
        let counts = running.into_iter().map(|one| one.join().expect("it does not panic"));
        counts.collect::<io::Result<Vec<u64>>>().expect("the daemon serves subscribers")
    });
    assert!(counts.iter().all(|count| *count == EVENTS), "each gets all events: {counts:?}");
    let events = usize::try_from(counts.iter().sum::<u64>()).unwrap_or_default();
    Replay { subscribers, per_second: per_second(events, began.elapsed()) }
}

fn program(bytctl: &Path, socket: &Path) -> Samples {
    let run = || {
        let began = Instant::now();
        let mut command = Command::new(bytctl);
        command.arg("--socket").arg(socket).args(["node", "status"]).stdout(Stdio::null());
        assert!(command.status().expect("bytctl is built").success(), "bytctl node status fails");
        began.elapsed()
    };
    (0..PROGRAM_RUNS).map(|_| run()).collect()
}

fn per_second(count: usize, time: Duration) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from) / time.as_secs_f64()
}
