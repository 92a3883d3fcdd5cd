//! A daemon with a million messages on disk: how long it takes to start, and what it holds.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use bytchat_proto::rpc::message::{ById, History as Read, Messages, Trace};
use bytchat_proto::rpc::{Call, account};

use crate::fill::{History, STEPS};
use crate::machine;
use crate::samples::Samples;
use crate::world::World;

/// Messages in the store of the daemon that starts.
pub(crate) const MESSAGES: u64 = 1_000_000;
const STARTS: usize = 5;
const READS: u64 = 50;
/// The daemon whose store is filled; the others are pods.
const PLACE: usize = 2;
/// After it, a daemon that did nothing holds what it holds for good.
const SETTLE: Duration = Duration::from_secs(10);

/// What a start costs, and what is held after it.
pub(crate) struct Start {
    pub(crate) ready: Samples,
    pub(crate) answers: Samples,
    /// Resident memory and the anonymous part of it.
    pub(crate) memory_mb: (f64, f64),
}

/// The same daemon with an empty store and with a full one.
pub(crate) struct Million {
    pub(crate) empty: Start,
    pub(crate) full: Start,
    pub(crate) filled: Duration,
    pub(crate) disk_mb: f64,
    /// The newest fifty of one conversation.
    pub(crate) history: Samples,
}

pub(crate) fn million(program: &Path, dir: &Path, messages: u64) -> Million {
    let mut world = World::start(program, dir);
    world.grow(PLACE + 1, 1);
    let create = Call::AccountCreate(account::Create::default());
    let created: account::Account = world.node(PLACE).client().call(&create);
    let empty = starts(&mut world);
    world.stop_node(PLACE);
    let data = world.node(PLACE).data();
    let history = History { account: created.id, messages, end: machine::now() };
    let began = Instant::now();
    history.write(&data);
    let filled = began.elapsed();
    eprintln!("{messages} messages are written in {:.0} s", filled.as_secs_f64());
    world.start_node(PLACE);
    let full = starts(&mut world);
    let read = read(&world, &history);
    Million { empty, full, filled, disk_mb: machine::disk_mb(&data), history: read }
}

fn starts(world: &mut World) -> Start {
    let (mut ready, mut answers) = (Samples::default(), Samples::default());
    for _ in 0..STARTS {
        drop(world.node(PLACE).client().events(None, 0));
        world.stop_node(PLACE);
        let began = Instant::now();
        world.start_node(PLACE);
        world.node(PLACE).await_ready();
        ready.add(began.elapsed());
        world.node(PLACE).client().events(None, 0);
        answers.add(began.elapsed());
    }
    thread::sleep(SETTLE);
    let pid = world.node(PLACE).pid().expect("the daemon runs");
    Start { ready, answers, memory_mb: machine::memory_mb(pid) }
}

/// Reads what was written, as a front end does; a form that differs from the node's ends here.
fn read(world: &World, history: &History) -> Samples {
    let mut client = world.node(PLACE).client();
    let mut samples = Samples::default();
    for back in 0..READS {
        let seq = history.messages - back * (history.messages / READS / 2);
        let newest = history.message(seq);
        let who = history.peer(seq).to_string();
        let (limit, before) = (Some(50), Some(seq + 1));
        let ask = Call::MessageHistory(Read { account: None, who, limit, before });
        let began = Instant::now();
        let found: Messages = client.call(&ask);
        samples.add(began.elapsed());
        assert_eq!(found.messages.last(), Some(&newest), "the history is read as written");
        let trace: Trace = client.call(&Call::MessageTrace(ById { id: newest.id }));
        let steps = if seq.is_multiple_of(2) { STEPS } else { 0 };
        assert_eq!(trace.steps.len() as u64, steps, "the trace is read as written");
    }
    samples
}
