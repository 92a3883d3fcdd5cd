//! Many real daemons: what they cost, and what is left of lookups when a third of them dies.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use bytchat_proto::id::{NodeId, UserId};
use bytchat_proto::limits::{HOLDERS, LOOKUPS_SHOWN_MAX};
use bytchat_proto::point::Point;
use bytchat_proto::rpc::dht::{Found, Lookup};
use bytchat_proto::rpc::node::{Peers, Status};
use bytchat_proto::rpc::profile::{Profile, Set, Show};
use bytchat_proto::rpc::{Call, Nothing, account};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::machine;
use crate::report::{Row, number, times};
use crate::samples::{Samples, median};
use crate::world::{PODS, World};

/// The size that the table is about.
pub(crate) const DAEMONS: usize = 100;
/// Peers that each daemon knows before anything is measured.
const PEERS: usize = 20;
/// So many of a hundred are killed.
const KILLED_PERCENT: usize = 30;
/// Lookups at rest, and while the dead are not noticed yet.
const LOOKUPS: usize = 200;
/// Lookups at once: no more than one daemon shows, for they may all be its own.
const AT_ONCE: usize = LOOKUPS_SHOWN_MAX;
/// Profiles that are put, by daemons that die later.
const PROFILES: usize = 20;
/// Before rest is measured, and while it is.
const REST: Duration = Duration::from_secs(30);
/// Between two looks into all tables.
const LOOK: Duration = Duration::from_secs(1);
/// Tables that are not right by then are said to be wrong.
const WRONG_AFTER: Duration = Duration::from_secs(180);

/// Lookups of some daemons at once: how long each took, and how many were right.
struct Looked {
    times: Samples,
    right: usize,
}

/// How the tables came together again after the kill, as far as they did.
struct Tables {
    /// Each daemon knows the five that live nearest to it.
    nearest: Option<Duration>,
    /// No daemon knows a dead one.
    clean: Option<Duration>,
}

/// Starts so many daemons, kills some, and says what came of it.
pub(crate) fn daemons(world: &mut World, count: usize) -> Vec<Row> {
    let began = Instant::now();
    world.grow(count, PEERS.min(count / 2));
    eprintln!("{count} daemons know others after {} s", began.elapsed().as_secs());
    let ids = ids(world);
    let dying = dying(count);
    let (users, puts) = put(world, &dying);
    let mut rows = rest(world);
    let before = look_up(world, &ids, "before");
    eprintln!("{} of the daemons are killed", dying.len());
    for place in &dying {
        world.kill_node(*place);
    }
    let killed = Instant::now();
    let alive = ids.iter().filter(|(place, _)| !dying.contains(place)).copied().collect::<Vec<_>>();
    let (after, profiles, tables) = thread::scope(|scope| {
        let looked = scope.spawn(|| look_up(world, &alive, "after"));
        let shown = scope.spawn(|| show(world, &alive, &users));
        let tables = watch(world, &alive, killed);
        (looked.join().expect("lookups end"), shown.join().expect("profiles are read"), tables)
    });
    let settled = look_up(world, &alive, "settled");
    let of = |what: &str| format!("{count} daemons: {what}");
    let dead = dying.len();
    rows.insert(0, times(&of("a profile put, until three of five holders have it"), &puts, "", ""));
    for (when, looked, aim, limit) in [
        ("at rest", &before, "", "links that are up, or one to the nearest"),
        ("right after the kill", &after, "≥ 99 % right", "requests that nobody answers"),
        ("after that", &settled, "≥ 99 % right", "the same, where a dead one is still known"),
    ] {
        let right = format!("{} of {} found the true five; {limit}", looked.right, LOOKUPS);
        rows.push(times(&of(&format!("lookup {when}")), &looked.times, aim, right));
    }
    let limit = format!("{} of {PROFILES} found, all put by daemons that are dead", profiles.right);
    rows.push(times(&of("a profile read, right after the kill"), &profiles.times, "all", limit));
    rows.extend(converged(&of, dead, &tables));
    rows
}

fn converged(of: &impl Fn(&str) -> String, dead: usize, tables: &Tables) -> [Row; 2] {
    let show = |time: Option<Duration>| match time {
        Some(time) => format!("{} s", time.as_secs()),
        None => format!("more than {} s", WRONG_AFTER.as_secs()),
    };
    let killed = format!("{dead} killed by SIGKILL at once; all tables are looked at each second");
    [
        number(
            &of("until each knows the five that live nearest to it"),
            show(tables.nearest),
            "1",
            "≤ 60 s",
            killed,
        ),
        number(
            &of("until no table names a dead one"),
            show(tables.clean),
            "1",
            "",
            "a node that is not asked for anything is missed when its link has been silent",
        ),
    ]
}

/// The places of those that will be killed: no pods, and spread over the order of their start.
fn dying(count: usize) -> BTreeSet<usize> {
    let dead = count * KILLED_PERCENT / 100;
    let others = count - PODS.len();
    (0..dead).map(|turn| PODS.len() + turn * others / dead).collect()
}

fn ids(world: &World) -> Vec<(usize, NodeId)> {
    let id = |place| {
        let status: Status = world.node(place).client().call(&Call::NodeStatus(Nothing {}));
        (place, status.node_id)
    };
    (0..world.count()).map(id).collect()
}

/// Puts profiles from daemons that die; a call ends when enough holders have it.
fn put(world: &World, dying: &BTreeSet<usize>) -> (Vec<UserId>, Samples) {
    let mut puts = Samples::default();
    let mut users = Vec::new();
    for turn in 0..PROFILES {
        let place = dying.iter().nth(turn % dying.len()).expect("somebody dies");
        let mut client = world.node(*place).client();
        let made: Value = client.call(&Call::AccountCreate(account::Create::default()));
        let account = made["id"].as_str().map(str::to_owned);
        let set = Set { account, name: format!("user {turn}"), ..Set::default() };
        let began = Instant::now();
        let profile: Profile = client.call(&Call::ProfileSet(set));
        puts.add(began.elapsed());
        users.push(profile.id);
    }
    (users, puts)
}

/// A point that nobody chose.
fn point(name: &str, turn: usize) -> Point {
    let hash = Sha256::digest(format!("{name} {turn}"));
    let mut point = [0; 20];
    point.copy_from_slice(&hash[..20]);
    Point(point)
}

/// The nearest of some nodes.
fn nearest(point: Point, nodes: &[(usize, NodeId)], own: Option<NodeId>) -> Vec<NodeId> {
    let others = nodes.iter().map(|(_, node)| *node).filter(|node| Some(*node) != own);
    let mut nodes: Vec<_> = others.collect();
    nodes.sort_by_key(|node| Point::of_node(*node).distance(point));
    nodes.truncate(HOLDERS);
    nodes
}

/// Shares turns among some threads, each of which does one after the other.
fn at_once<T: Send>(turns: usize, one: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let one = &one;
    thread::scope(|scope| {
        let worker =
            |first| scope.spawn(move || (first..turns).step_by(AT_ONCE).map(one).collect());
        let workers: Vec<_> = (0..AT_ONCE).map(worker).collect();
        let all = workers.into_iter().map(|it| it.join().expect("no turn panics"));
        all.collect::<Vec<Vec<T>>>().into_iter().flatten().collect()
    })
}

fn counted(all: Vec<(Duration, bool)>) -> Looked {
    let right = all.iter().filter(|(_, right)| *right).count();
    Looked { right, times: all.into_iter().map(|(time, _)| time).collect() }
}

fn look_up(world: &World, alive: &[(usize, NodeId)], name: &str) -> Looked {
    counted(at_once(LOOKUPS, |turn| {
        let target = point(name, turn);
        let (place, _) = alive[turn * 7 % alive.len()];
        let mut client = world.node(place).client();
        let began = Instant::now();
        let found: Found = client.call(&Call::DhtLookup(Lookup { target }));
        let took = began.elapsed();
        let found: Vec<NodeId> = found.holders.iter().map(|holder| holder.node_id).collect();
        (took, found == nearest(target, alive, None))
    }))
}

fn show(world: &World, alive: &[(usize, NodeId)], users: &[UserId]) -> Looked {
    counted(at_once(users.len(), |turn| {
        let (place, _) = alive[turn * 11 % alive.len()];
        let mut client = world.node(place).client();
        let who = users[turn].to_string();
        let began = Instant::now();
        client.post(&Call::ProfileShow(Show { who }));
        let name = client.outcome().map(|result| result["name"] == format!("user {turn}"));
        (began.elapsed(), name.unwrap_or_default())
    }))
}

/// What each daemon costs when nothing happens.
fn rest(world: &World) -> Vec<Row> {
    thread::sleep(REST);
    let pids = world.pids();
    let cpu = || pids.iter().map(|pid| machine::cpu(*pid)).collect::<Vec<_>>();
    let (before, began) = (cpu(), Instant::now());
    thread::sleep(REST);
    let took = began.elapsed().as_secs_f64();
    let used = cpu().into_iter().zip(before).map(|(after, before)| after - before);
    let used: Vec<f64> = used.map(|used| used.as_secs_f64() / took * 100.0).collect();
    let memory: Vec<f64> = pids.iter().map(|pid| machine::memory_mb(*pid).0).collect();
    let most = memory.iter().copied().fold(0.0, f64::max);
    let busiest = used.iter().copied().fold(0.0, f64::max);
    let count = pids.len();
    let of = |what: &str| format!("{count} daemons: {what}");
    vec![
        number(
            &of("resident memory of one"),
            format!("{:.1} MB", median(memory)),
            &count.to_string(),
            "≤ 40 MB",
            format!("median; the largest {most:.1} MB"),
        ),
        number(
            &of("processor time of one at rest"),
            format!("{:.2} %", median(used)),
            &count.to_string(),
            "",
            format!("of one core, median over {} s; the busiest {busiest:.2} %", REST.as_secs()),
        ),
    ]
}

/// Looks into all tables until they are right.
fn watch(world: &World, alive: &[(usize, NodeId)], killed: Instant) -> Tables {
    let mut tables = Tables { nearest: None, clean: None };
    let living: BTreeSet<NodeId> = alive.iter().map(|(_, node)| *node).collect();
    while killed.elapsed() < WRONG_AFTER && (tables.nearest.is_none() || tables.clean.is_none()) {
        thread::sleep(LOOK);
        let at = killed.elapsed();
        let (mut wrong, mut dead) = (0, 0);
        for (place, own) in alive {
            let peers: Peers = world.node(*place).client().call(&Call::NodePeers(Nothing {}));
            let known: BTreeSet<NodeId> = peers.peers.iter().map(|peer| peer.node_id).collect();
            let near = nearest(Point::of_node(*own), alive, Some(*own));
            wrong += usize::from(!near.iter().all(|node| known.contains(node)));
            dead += known.difference(&living).count();
        }
        eprintln!("{} s: {wrong} tables miss a nearest one, {dead} dead are known", at.as_secs());
        tables.nearest = tables.nearest.or((wrong == 0).then_some(at));
        tables.clean = tables.clean.or((dead == 0).then_some(at));
    }
    tables
}
