//! One trial: everything goes wrong for a while, then nothing does, and all must come to rest.

use std::collections::BTreeSet;

use super::history::History;
use super::network::Faults;
use super::people::Person;
use super::world::World;

const MINUTE_MS: u64 = 60_000;
const DAY_MS: i64 = 86_400_000;
const MACHINES: usize = 14;
/// Turns in each of which something goes wrong and somebody writes.
const TURNS: usize = 12;
/// After the last fault all is done within this time.
const BOUND_MS: u64 = 25 * MINUTE_MS;

/// Runs a trial of a seed; gives what a checker has against it.
pub fn trial(seed: u64) -> BTreeSet<String> {
    let faults = Faults {
        loss_per_mille: 40,
        twice_per_mille: 20,
        slow_disks_percent: 30,
        drift_ppm: 500,
        ..Faults::default()
    };
    let mut world = World::grown(seed, MACHINES, faults);
    let people = [
        world.named(4, "alice@a.test"),
        world.named(7, "bob@b.test"),
        world.person(9),
        world.person(9),
    ];
    let all: Vec<&Person> = people.iter().collect();
    let mut history = History::new();
    world.run(MINUTE_MS);
    for turn in 0..TURNS {
        go_wrong(&mut world);
        let (from, to) = (&people[turn % 4], &people[(turn + 1 + turn / 4) % 4]);
        if world.is_up(from.host) && from.id != to.id {
            history.send(&mut world, from, to);
        }
        let pause = 20_000 + world.below(40_000);
        world.run(pause);
        history.follow(&mut world, &all);
    }
    world.heal();
    history.settle(&mut world, &all, BOUND_MS);
    history.end(&mut world, &all)
}

/// One thing goes wrong, or another is mended.
fn go_wrong(world: &mut World) {
    let host = usize::try_from(world.below(MACHINES as u64)).expect("few machines");
    match world.below(8) {
        0..=2 if world.is_up(host) => world.crash(host),
        0..=3 if !world.is_up(host) => world.restart(host),
        4 => {
            let half: BTreeSet<usize> = (0..MACHINES).filter(|_| world.below(2) == 0).collect();
            let others = (0..MACHINES).filter(|it| !half.contains(it)).collect::<Vec<_>>();
            world.cut(half, others);
        }
        5 => world.cut([host], 0..MACHINES),
        6 => {
            let skew = DAY_MS * i64::try_from(world.below(60)).unwrap_or_default();
            world.hosts[host].skew_ms = skew - 30 * DAY_MS;
        }
        _ => world.mend(),
    }
}
