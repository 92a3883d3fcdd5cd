//! Machines whose clock is wrong when they start.

use bytchat_core::persist::Table;
use bytchat_tests::sim::{Faults, World, each_seed};
use serde_json::json;

const MINUTE_MS: u64 = 60_000;
const YEAR_MS: i64 = 365 * 86_400_000;

/// A machine loses its power and comes back with a clock that is wrong by so much.
fn restart(world: &mut World, host: usize, skew_ms: i64) {
    world.crash(host);
    world.hosts[host].skew_ms = skew_ms;
    world.restart(host);
}

fn clock(world: &mut World, host: usize) -> serde_json::Value {
    world.ask_as(host, 0, "node.status", json!({})).unwrap()["clock"].take()
}

#[test]
fn holders_that_start_a_year_ahead_lose_no_mail_and_say_so() {
    each_seed("clock ahead", 2, |seed| {
        let mut world = World::grown(seed, 12, Faults::default());
        let (alice, bob) = (world.person(4), world.person(7));
        world.run(MINUTE_MS);
        world.crash(bob.host);
        world.run(MINUTE_MS);
        let params = json!({ "to": bob.id, "text": "PLAINTEXT that waits" });
        world.ask(&alice, "message.send", params).unwrap();
        world.run(2 * MINUTE_MS);
        let held = |world: &World, host: usize| world.hosts[host].disk.count(Table::Envelope);
        let holders: Vec<usize> = (0..12).filter(|host| held(&world, *host) > 0).collect();
        assert!(holders.len() >= 3, "SEED={seed}: nobody holds the mail");
        holders.iter().for_each(|host| restart(&mut world, *host, YEAR_MS));
        world.run(20 * MINUTE_MS);
        for host in holders {
            assert!(held(&world, host) > 0, "SEED={seed}: {host} gave up what it holds");
            let records = world.hosts[host].disk.count(Table::Record);
            assert!(records > 0, "SEED={seed}: {host} gave up its records");
            assert_eq!(clock(&mut world, host), "ahead", "SEED={seed}");
        }
        world.restart(bob.host);
        world.run(3 * MINUTE_MS);
        assert_eq!(world.texts(&bob).len(), 1, "SEED={seed}");
        assert_eq!(clock(&mut world, bob.host), "ok", "SEED={seed}");
    });
}

#[test]
fn a_recipient_that_starts_a_year_behind_says_so_and_still_receives() {
    each_seed("clock behind", 2, |seed| {
        let mut world = World::grown(seed, 12, Faults::default());
        let (alice, bob) = (world.person(4), world.person(7));
        world.run(MINUTE_MS);
        restart(&mut world, bob.host, -YEAR_MS);
        assert_eq!(clock(&mut world, bob.host), "behind", "SEED={seed}: before it has peers");
        world.run(MINUTE_MS);
        let params = json!({ "to": bob.id, "text": "PLAINTEXT for the past" });
        world.ask(&alice, "message.send", params).unwrap();
        world.run(3 * MINUTE_MS);
        assert_eq!(world.texts(&bob).len(), 1, "SEED={seed}");
        assert_eq!(clock(&mut world, bob.host), "behind", "SEED={seed}");
    });
}
