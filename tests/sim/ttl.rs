//! Nothing lives longer than it may, and nothing is given up too early.

use bytchat_core::persist::Table;
use bytchat_proto::rpc::message::State;
use bytchat_tests::sim::{Faults, History, World};

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;

/// Days during most of which the machines are suspended.
fn days(world: &mut World, days: u64) {
    for _ in 0..4 * days {
        world.suspend(6 * HOUR_MS - 2 * MINUTE_MS);
        world.run(2 * MINUTE_MS);
    }
}

/// Rows of a table on all machines but these.
fn rows(world: &World, table: Table, except: &[usize]) -> usize {
    let hosts = world.hosts.iter().enumerate().filter(|(host, _)| !except.contains(host));
    hosts.map(|(_, machine)| machine.disk.count(table)).sum()
}

#[test]
fn holders_forget_what_is_over_and_the_sender_does_not() {
    let mut world = World::grown(1, 8, Faults::default());
    let (alice, bob) = (world.person(4), world.person(6));
    let mut history = History::new();
    world.run(MINUTE_MS);
    world.crash(6);
    let id = history.send(&mut world, &alice, &bob);
    world.run(2 * MINUTE_MS);
    assert_eq!(world.state(&alice, id), State::Stored);
    world.crash(4);
    let except = [4, 6];
    assert!(rows(&world, Table::Envelope, &except) >= 3);
    assert!(rows(&world, Table::Record, &except) >= 3);
    days(&mut world, 6);
    assert!(rows(&world, Table::Envelope, &except) >= 3, "forgotten too early");
    days(&mut world, 2);
    assert_eq!(rows(&world, Table::Envelope, &except), 0, "mail outlives its time");
    assert_eq!(rows(&world, Table::Notice, &except), 0, "a notice outlives its time");
    assert_eq!(rows(&world, Table::Record, &except), 0, "a record outlives its time");

    // The message is still with its sender, who sees to it.
    world.restart(4);
    world.restart(6);
    world.run(15 * MINUTE_MS);
    let broken = history.end(&mut world, &[&alice, &bob]);
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn a_message_that_nobody_takes_expires_in_the_end() {
    let mut world = World::grown(2, 6, Faults::default());
    let (alice, bob) = (world.person(3), world.person(5));
    world.run(MINUTE_MS);
    world.crash(5);
    let mut history = History::new();
    let id = history.send(&mut world, &alice, &bob);
    world.run(2 * MINUTE_MS);
    days(&mut world, 20);
    assert_eq!(world.state(&alice, id), State::Stored, "given up too early");
    days(&mut world, 11);
    assert_eq!(world.state(&alice, id), State::Expired);
    assert_eq!(world.hosts[3].disk.count(Table::Outbox), 0);
}

#[test]
fn a_sender_who_is_away_for_ten_days_learns_that_its_mail_arrived() {
    let mut world = World::grown(3, 8, Faults::default());
    let (alice, bob) = (world.person(4), world.person(6));
    let mut history = History::new();
    world.run(MINUTE_MS);
    world.crash(6);
    let id = history.send(&mut world, &alice, &bob);
    world.run(2 * MINUTE_MS);
    assert_eq!(world.state(&alice, id), State::Stored);

    // Bob reads it while Alice is away; his receipt does not live as long as that.
    world.crash(4);
    world.restart(6);
    world.run(2 * MINUTE_MS);
    assert_eq!(world.texts(&bob).len(), 1);
    days(&mut world, 10);
    world.restart(4);
    days(&mut world, 1);
    assert_eq!(world.state(&alice, id), State::Delivered);
    days(&mut world, 20);
    assert_eq!(world.state(&alice, id), State::Delivered);
    let broken = history.end(&mut world, &[&alice, &bob]);
    assert!(broken.is_empty(), "{broken:#?}");
}
