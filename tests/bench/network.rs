//! Networks on virtual time: what lookups find and cost, and how both grow.

use std::time::{Duration, Instant};

use bytchat_proto::id::UserId;
use bytchat_proto::limits::{HOLDERS, HOUR_MS, MINUTE_MS, WRITE_QUORUM};
use bytchat_proto::rpc::node::Status;
use bytchat_tests::sim::{Churn, Faults, Looked, Person, World};
use serde_json::json;

use crate::machine;
use crate::report::{Row, number, table, times};
use crate::samples::Samples;

/// All worlds follow from it; what is measured is the same again.
pub(crate) const SEED: u64 = 1;
/// The sizes that are compared.
pub(crate) const SIZES: [usize; 3] = [100, 1_000, 10_000];

/// Lookups at rest, and while some are dead.
const LOOKUPS: usize = 500;
/// Lookups while machines come and go.
const LOOKUPS_IN_CHURN: usize = 2_000;
/// People whose profiles lie in the network, and how often one is got.
pub(crate) const PEOPLE: usize = 10;
const GETS: usize = 300;
/// Machines that are asked how many others they know.
const ASKED: usize = 25;

/// Measures a network of a size.
pub(crate) fn of_size(machines: usize) -> Vec<Row> {
    let (before, began) = (memory_kb(), Instant::now());
    let mut world = World::swarm(SEED, machines, Faults::default());
    world.run(5 * MINUTE_MS);
    let each_kb = (memory_kb() - before) / machines as u64;
    let took = began.elapsed().as_secs();
    eprintln!("{machines} machines are there after {took} s, {each_kb} kB each");
    let mut rows = told(at_rest(&mut world, machines, each_kb));
    eprintln!("{machines}: at rest after {} s", began.elapsed().as_secs());
    let people = profiles(&mut world, machines);
    rows.extend(told(vec![gets(&mut world, &people, &format!("{machines} nodes: at rest"))]));
    rows.extend(told(in_churn(&mut world, machines, &people)));
    eprintln!("{machines}: churn after {} s", began.elapsed().as_secs());
    rows.extend(told(with_dead(&mut world, machines, &people)));
    let took = began.elapsed().as_secs();
    let memory = memory_kb() / 1_024;
    eprintln!("{machines} machines took {took} s and {memory} MB");
    rows
}

/// Says at once what was measured: a large network takes long.
pub(crate) fn told(rows: Vec<Row>) -> Vec<Row> {
    eprintln!("{}", table(&rows));
    rows
}

/// People on machines that are far from each other, who publish their profiles.
pub(crate) fn profiles(world: &mut World, machines: usize) -> Vec<UserId> {
    let people: Vec<Person> = (0..PEOPLE)
        .map(|turn| {
            let honest = (turn * machines / PEOPLE..).find(|host| !world.lies(*host));
            world.person(honest.expect("most are honest"))
        })
        .collect();
    world.run(MINUTE_MS);
    for person in &people {
        world.ask(person, "profile.set", json!({ "name": "Somebody" })).expect("it is published");
    }
    world.run(MINUTE_MS);
    people.into_iter().map(|person| person.id).collect()
}

/// Gets of profiles: how long they took, and how many were right.
pub(crate) fn gets(world: &mut World, people: &[UserId], when: &str) -> Row {
    got(&world.get(people, GETS), when)
}

fn got(got: &[Looked], when: &str) -> Row {
    let right = got.iter().filter(|it| it.right).count();
    let times_of: Samples = got.iter().map(|it| Duration::from_millis(it.ms)).collect();
    let (hops, requests) = (counts(got, |it| it.hops), counts(got, |it| it.requests));
    let limit = format!(
        "{right} got it; hops p50 {}, p99 {}; requests p50 {}, p99 {}, at least {WRITE_QUORUM}",
        at(&hops, 50),
        at(&hops, 99),
        at(&requests, 50),
        at(&requests, 99)
    );
    let aim = "p50 ≤ 250 ms, p99 ≤ 1 s";
    times(&format!("{when}: get a record"), &times_of, aim, limit)
}

fn at_rest(world: &mut World, machines: usize, each_kb: u64) -> Vec<Row> {
    let sent = |world: &World| {
        let of_all = world.hosts.iter().map(|host| (host.sent_bytes, host.sent_packets));
        of_all.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1))
    };
    let before = sent(world);
    world.run(10 * MINUTE_MS);
    let after = sent(world);
    let seconds = 600 * machines as u64;
    let (bytes, packets) = ((after.0 - before.0) / seconds, after.1 - before.1);
    let peers = (0..ASKED).map(|turn| {
        let host = turn * machines / ASKED;
        let status = world.ask_as(host, 0, "node.status", json!({})).expect("a status");
        serde_json::from_value::<Status>(status).expect("a status").peers as u64
    });
    let peers: Vec<u64> = peers.collect();
    let looked = world.look_up(LOOKUPS);
    let of = |what: &str| format!("{machines} nodes: {what}");
    let count = LOOKUPS.to_string();
    let (hops, requests) = (counts(&looked, |it| it.hops), counts(&looked, |it| it.requests));
    let limit = format!(
        "p50; p99 {}. One if the asker knew the nearest: of {machines} it knows {}",
        at(&hops, 99),
        at(&peers, 50)
    );
    let hops = number(&of("hops of a lookup"), at(&hops, 50).to_string(), &count, "", limit);
    let limit = format!(
        "p50; p99 {}. At least {HOLDERS}: each of the nearest has to answer",
        at(&requests, 99)
    );
    let requests =
        number(&of("requests of a lookup"), at(&requests, 50).to_string(), &count, "", limit);
    let limit = format!(
        "contacts in the table, median; {each_kb} kB of memory a simulated node, its harness \
         included"
    );
    let state =
        number(&of("state of a node"), at(&peers, 50).to_string(), &ASKED.to_string(), "", limit);
    let limit = format!(
        "frames of ten minutes, with what newcomers still do; headers come on top, of {} packets \
         a minute at least",
        packets * 60 / seconds
    );
    let upkeep =
        number(&of("upkeep"), format!("{bytes} B/s"), &machines.to_string(), "≤ 1 kB/s", limit);
    vec![
        share(&of("at rest: true five found"), &looked, "≥ 99.9 %", String::new()),
        hops,
        requests,
        state,
        upkeep,
    ]
}

/// Machines come and go with sessions of an hour, half of them shorter, and are away for a
/// quarter of an hour.
fn in_churn(world: &mut World, machines: usize, people: &[UserId]) -> Vec<Row> {
    let hosts = 2..world.hosts.len();
    let mut churn = Churn::of(world, hosts, [HOUR_MS, HOUR_MS / 4]);
    churn.run(world, 15 * MINUTE_MS);
    let mut looked = Vec::new();
    while looked.len() < LOOKUPS_IN_CHURN {
        churn.run(world, MINUTE_MS / 2);
        looked.extend(world.look_up(100));
    }
    let gets = gets(world, people, &format!("{machines} nodes: in churn"));
    let up = world.hosts.iter().filter(|host| host.node.is_some()).count();
    let what = format!("{machines} nodes: in churn, 2 % loss: true five found");
    let limit = format!("{} crashes, {up} nodes up at the end", churn.crashes);
    let row = share(&what, &looked, "≥ 99.9 %", limit);
    let times_of: Samples = looked.iter().map(|it| Duration::from_millis(it.ms)).collect();
    let what = format!("{machines} nodes: in churn: a lookup");
    let late = times(&what, &times_of, "", "dead entries; 80 ms a median round trip");
    churn.end(world);
    world.run(10 * MINUTE_MS);
    vec![row, late, gets]
}

/// A fifth of all machines lose their power at once, and nobody has noticed yet.
fn with_dead(world: &mut World, machines: usize, people: &[UserId]) -> Vec<Row> {
    for host in 2..machines {
        if world.below(5) == 0 {
            world.crash(host);
        }
    }
    let (mut looked, mut all) = (Vec::new(), Vec::new());
    let began = world.now_ms();
    while looked.len() < LOOKUPS && world.now_ms() < began + MINUTE_MS / 3 {
        all.extend(world.get(people, PEOPLE));
        looked.extend(world.look_up(50));
    }
    let right = looked.iter().filter(|it| it.right).count();
    let times_of: Samples = looked.iter().map(|it| Duration::from_millis(it.ms)).collect();
    let when = format!("{machines} nodes: a fifth has just died");
    let limit = format!("requests that nobody answers; {right} found the true five");
    vec![times(&format!("{when}: a lookup"), &times_of, "", limit), got(&all, &when)]
}

pub(crate) fn share(what: &str, looked: &[Looked], aim: &'static str, limit: String) -> Row {
    let right = looked.iter().filter(|it| it.right).count();
    number(what, percent(right, looked.len()), &looked.len().to_string(), aim, limit)
}

/// A part of all, as a table shows it.
pub(crate) fn percent(part: usize, all: usize) -> String {
    let [part, all] = [part, all.max(1)].map(|it| u32::try_from(it).map_or(f64::MAX, f64::from));
    format!("{:.2} %", 100.0 * part / all)
}

fn counts(looked: &[Looked], of: impl Fn(&Looked) -> usize) -> Vec<u64> {
    looked.iter().map(|it| of(it) as u64).collect()
}

/// The smallest number that so many of a hundred do not exceed.
fn at(numbers: &[u64], percent: usize) -> u64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

/// Resident memory of this process.
fn memory_kb() -> u64 {
    machine::memory_kb(std::process::id())
}
