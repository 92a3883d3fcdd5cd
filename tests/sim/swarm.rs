//! Three hundred machines.

use bytchat_proto::limits::HOLDERS;
use bytchat_tests::sim::{Churn, Faults, History, World, each_seed};

const MACHINES: usize = 300;
const LOOKUPS: usize = 1_000;
const MINUTE_MS: u64 = 60_000;
/// Bytes that a machine at rest sends in a minute, at most; measured after churn: 36 kB, most of
/// it contacts in the answers of upkeep.
const REST_BYTES_MAX: u64 = 50_000;

fn sent_bytes(world: &World) -> u64 {
    world.hosts.iter().map(|host| host.sent_bytes).sum()
}

#[test]
#[allow(clippy::print_stdout, reason = "a run says what it has measured")]
fn three_hundred_machines_find_each_other_rest_and_deliver_under_churn() {
    each_seed("swarm", 1, |seed| {
        let mut world = World::swarm(seed, MACHINES, Faults::default());
        world.run(30_000);
        let looked = world.look_up(LOOKUPS);
        let right = looked.iter().filter(|it| it.right).count();
        println!("{right} of {LOOKUPS} lookups found the nearest {HOLDERS}");
        assert!(1_000 * right >= 999 * LOOKUPS, "SEED={seed}: {right} of {LOOKUPS}");

        let people: Vec<_> = [9, 40, 77, 140, 140].map(|host| world.person(host)).into();
        let all: Vec<_> = people.iter().collect();
        let mut history = History::new();
        world.run(60_000);
        let mut churn = Churn::of(&mut world, 2..MACHINES, [10 * MINUTE_MS, 2 * MINUTE_MS]);
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
        history.settle(&mut world, &all, 12 * MINUTE_MS);
        let broken = history.end(&mut world, &all);
        assert!(broken.is_empty(), "SEED={seed}: {broken:#?}");

        // What moved to other holders in the end has come to rest.
        world.run(2 * MINUTE_MS);
        let before = sent_bytes(&world);
        world.run(4 * MINUTE_MS);
        let rest = (sent_bytes(&world) - before) / (4 * MACHINES as u64);
        println!("at rest a machine sends {rest} bytes a minute");
        assert!(rest <= REST_BYTES_MAX, "SEED={seed}: {rest} bytes a minute at rest");
    });
}
