//! Three hundred machines.

use std::collections::BTreeMap;

use bytchat_core::io::CallId;
use bytchat_proto::id::{NodeId, UserId};
use bytchat_proto::limits::HOLDERS;
use bytchat_proto::point::Point;
use bytchat_proto::rpc::Call;
use bytchat_tests::sim::{Churn, Faults, History, World, each_seed};
use serde_json::json;

const MACHINES: usize = 300;
const LOOKUPS: usize = 1_000;
const MINUTE_MS: u64 = 60_000;
/// Bytes that a machine at rest sends in a minute, at most: 50 GB a year would be 100 kB.
const REST_BYTES_MAX: u64 = 20_000;

/// The nearest of some nodes to a point.
fn nearest(point: Point, nodes: impl IntoIterator<Item = NodeId>) -> Vec<NodeId> {
    let mut nodes: Vec<NodeId> = nodes.into_iter().collect();
    nodes.sort_by_key(|node| Point::of_node(*node).distance(point));
    nodes.truncate(HOLDERS);
    nodes
}

/// Looks for strangers from random machines; gives how many lookups found the nearest five.
fn look_up(world: &mut World, count: usize) -> usize {
    let mut right = 0;
    for _ in 0..count.div_ceil(50) {
        let mut asked: BTreeMap<CallId, (usize, Point)> = BTreeMap::new();
        for _ in 0..50 {
            let host = usize::try_from(world.below(MACHINES as u64)).unwrap();
            let user = UserId(world.random_bytes());
            let show = Call::parse("profile.show", json!({ "who": user })).unwrap();
            world.watch(Point::of_profile(user));
            let call = world.call(host, 1_000, show);
            asked.insert(call, (host, Point::of_profile(user)));
        }
        let end = world.now_ms() + MINUTE_MS;
        while !asked.is_empty() {
            assert!(world.now_ms() < end, "a lookup does not end");
            world.run(5);
            let done = std::mem::take(&mut world.replies);
            for (call, _) in done {
                let Some((host, point)) = asked.remove(&call) else { continue };
                let found = nearest(point, world.unwatch(point));
                let others = (0..MACHINES).filter(|it| *it != host && world.is_up(*it));
                let truth = nearest(point, others.map(|it| world.hosts[it].id));
                right += usize::from(found == truth);
            }
        }
    }
    right
}

fn sent_bytes(world: &World) -> u64 {
    world.hosts.iter().map(|host| host.sent_bytes).sum()
}

#[test]
#[allow(clippy::print_stdout, reason = "a run says what it has measured")]
fn three_hundred_machines_find_each_other_rest_and_deliver_under_churn() {
    each_seed("swarm", 1, |seed| {
        let mut world = World::grown(seed, MACHINES, Faults::default());
        world.run(30_000);
        let right = look_up(&mut world, LOOKUPS);
        println!("{right} of {LOOKUPS} lookups found the nearest {HOLDERS}");
        assert!(1_000 * right >= 999 * LOOKUPS, "SEED={seed}: {right} of {LOOKUPS}");

        let people: Vec<_> = [9, 40, 77, 140, 140].map(|host| world.person(host)).into();
        let all: Vec<_> = people.iter().collect();
        let mut history = History::new();
        world.run(60_000);
        let mut churn = Churn::of(&mut world, 2..MACHINES);
        for turn in 0..16 {
            churn.run(&mut world, 20_000);
            let (from, to) = (&people[turn % 5], &people[(turn + 1 + turn / 5) % 5]);
            if world.is_up(from.host) && from.id != to.id {
                history.send(&mut world, from, to);
            }
        }
        println!("{} crashes", churn.crashes);
        assert!(churn.crashes > MACHINES / 10, "SEED={seed}: {} crashes", churn.crashes);
        churn.end(&mut world);
        world.run(12 * MINUTE_MS);
        let broken = history.end(&mut world, &all);
        assert!(broken.is_empty(), "SEED={seed}: {broken:#?}");

        let before = sent_bytes(&world);
        world.run(2 * MINUTE_MS);
        let rest = (sent_bytes(&world) - before) / (2 * MACHINES as u64);
        println!("at rest a machine sends {rest} bytes a minute");
        assert!(rest <= REST_BYTES_MAX, "SEED={seed}: {rest} bytes a minute at rest");
    });
}
