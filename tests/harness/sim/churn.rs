//! Machines that come and go: short sessions mostly, and a few that hardly end.

use std::collections::BTreeMap;

use super::world::World;

/// The shortest time for which a machine is up or down.
const SHORTEST_MS: u64 = 60_000;
/// The longest.
const LONGEST_MS: u64 = 64 * SHORTEST_MS;

/// Machines that come and go.
pub struct Churn {
    due: BTreeMap<usize, u64>,
    /// How often a machine has crashed.
    pub crashes: usize,
}

impl Churn {
    /// These machines crash and come back from now on.
    pub fn of(world: &mut World, hosts: impl IntoIterator<Item = usize>) -> Self {
        let mut due = BTreeMap::new();
        for host in hosts {
            let at = world.now_ms() + world.below(SHORTEST_MS) + session(world, 80);
            due.insert(host, at);
        }
        Self { due, crashes: 0 }
    }

    /// Runs the world for so long.
    pub fn run(&mut self, world: &mut World, ms: u64) {
        let end = world.now_ms() + ms;
        while let Some((at, host)) = self.next().filter(|(at, _)| *at <= end) {
            world.run(at.saturating_sub(world.now_ms()));
            let stay_ms = if world.is_up(host) {
                world.crash(host);
                self.crashes += 1;
                session(world, 40)
            } else {
                world.restart(host);
                session(world, 80)
            };
            self.due.insert(host, world.now_ms() + stay_ms);
        }
        world.run(end - world.now_ms());
    }

    /// All machines come back, and stay.
    pub fn end(self, world: &mut World) {
        for host in self.due.into_keys() {
            if !world.is_up(host) {
                world.restart(host);
            }
        }
    }

    fn next(&self) -> Option<(u64, usize)> {
        self.due.iter().map(|(host, at)| (*at, *host)).min()
    }
}

/// A heavy-tailed time: so many of a hundred last twice as long, again and again.
fn session(world: &mut World, longer: u64) -> u64 {
    let mut ms = SHORTEST_MS + world.below(SHORTEST_MS);
    while ms < LONGEST_MS && world.below(100) < longer {
        ms *= 2;
    }
    ms
}
