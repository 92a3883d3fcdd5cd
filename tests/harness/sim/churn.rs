//! Machines that come and go: short sessions mostly, and a few that hardly end (Weibull, 1/2).

use std::collections::BTreeMap;

use super::path::session_ms;
use super::world::World;

/// Machines that come and go.
pub struct Churn {
    due: BTreeMap<usize, u64>,
    /// The medians of being up and of being down.
    medians_ms: [u64; 2],
    /// How often a machine has crashed.
    pub crashes: usize,
}

impl Churn {
    /// These machines crash and come back from now on; half of their sessions are shorter than
    /// the first time, and half of their absences than the second.
    pub fn of(
        world: &mut World,
        hosts: impl IntoIterator<Item = usize>,
        medians_ms: [u64; 2],
    ) -> Self {
        let mut churn = Self { due: BTreeMap::new(), medians_ms, crashes: 0 };
        for host in hosts {
            churn.draw(world, host);
        }
        churn
    }

    fn draw(&mut self, world: &mut World, host: usize) {
        let median_ms = self.medians_ms[usize::from(!world.is_up(host))];
        let bits = u64::from_be_bytes(world.random_bytes());
        self.due.insert(host, world.now_ms() + session_ms(bits, median_ms));
    }

    /// Runs the world for so long.
    pub fn run(&mut self, world: &mut World, ms: u64) {
        let end = world.now_ms() + ms;
        while let Some((at, host)) = self.next().filter(|(at, _)| *at <= end) {
            world.run(at.saturating_sub(world.now_ms()));
            if world.is_up(host) {
                world.crash(host);
                self.crashes += 1;
            } else {
                world.restart(host);
            }
            self.draw(world, host);
        }
        world.run(end - world.now_ms());
    }

    /// All machines come back, and stay.
    pub fn end(self, world: &mut World) {
        for host in self.due.into_keys() {
            if !world.is_up(host) && !world.hosts[host].lost {
                world.restart(host);
            }
        }
    }

    fn next(&self) -> Option<(u64, usize)> {
        self.due.iter().map(|(host, at)| (*at, *host)).min()
    }
}
