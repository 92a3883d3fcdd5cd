//! Disks that give back other bytes than they were given: every decoder of rows meets them.

use std::cell::RefCell;
use std::collections::BTreeSet;

use bytchat_core::node::Node;
use bytchat_core::persist::{Query, Table};
use bytchat_proto::rpc::ErrorKind;
use bytchat_proto::rpc::message::State;
use bytchat_tests::sim::{Faults, Person, World, each_seed};
use serde_json::json;

const MINUTE_MS: u64 = 60_000;
/// What a front end asks for; an error is an answer too.
const READS: [&str; 4] = ["message.inbox", "event.list", "contact.list", "node.status"];

/// One way to damage a row: bits, a cut, more bytes, other bytes, or nothing left.
fn damage(world: &mut World, row: &mut Vec<u8>) {
    let at = usize::try_from(world.below(row.len().max(1) as u64)).unwrap();
    match world.below(5) {
        0 => row.truncate(at),
        1 => row.extend(world.random_bytes::<9>()),
        2 => *row = world.random_bytes::<64>().to_vec(),
        3 => row.clear(),
        _ => {
            let bits = world.random_bytes::<1>()[0] | 1;
            row.iter_mut().skip(at).step_by(50).for_each(|byte| *byte ^= bits);
        }
    }
}

/// A network in which every table has rows: people at pods, mail that waits, mail that went.
fn lived(seed: u64) -> (World, [Person; 4], serde_json::Value) {
    let mut world = World::grown(seed, 12, Faults::default());
    let [alice, bob] =
        [(4, "alice@a.test"), (6, "bob@b.test")].map(|(host, alias)| world.named(host, alias));
    let [carol, dave] = [8, 9].map(|host| world.person(host));
    world.run(MINUTE_MS);
    let send = |world: &mut World, from: &Person, to: &Person| {
        let params = json!({ "to": to.id, "text": "PLAINTEXT of a damaged world" });
        world.ask(from, "message.send", params).unwrap()["id"].clone()
    };
    for (from, to) in [(&alice, &bob), (&bob, &alice), (&carol, &dave)] {
        send(&mut world, from, to);
        world.run(20_000);
    }
    world.ask(&alice, "contact.add", json!({ "who": "bob@b.test" })).unwrap();
    world.run(5_000);
    world.crash(bob.host);
    let waits = send(&mut world, &alice, &bob);
    world.run(MINUTE_MS);
    (world, [alice, bob, carol, dave], waits)
}

#[test]
fn damaged_rows_stop_no_machine_and_nobody_else() {
    let met = RefCell::new(BTreeSet::new());
    each_seed("damage", 2, |seed| {
        let (mut world, [alice, bob, carol, dave], waits) = lived(seed);
        // An unreadable account stops the start on purpose, because its mail would be lost.
        let tables = Table::ALL.into_iter();
        let tables = tables.filter(|table| ![Table::Account, Table::Device].contains(table));
        for table in tables {
            // Bob stays away, so that his mail goes on waiting.
            let spared = [bob.host, carol.host, dave.host];
            for host in (0..12).filter(|host| !spared.contains(host)) {
                if world.hosts[host].disk.count(table) == 0 {
                    continue;
                }
                met.borrow_mut().insert(table);
                world.crash(host);
                let mut disk = world.hosts[host].disk.clone();
                disk.damage(table, |row| damage(&mut world, row));
                world.hosts[host].disk = disk;
                world.restart(host);
            }
            world.run(10_000);
            for method in READS {
                drop(world.ask(&alice, method, json!({})));
            }
            for (method, params) in [
                ("message.trace", json!({ "id": waits })),
                ("message.history", json!({ "who": bob.id })),
            ] {
                drop(world.ask(&alice, method, params));
            }
        }
        world.restart(bob.host);
        world.run(5 * MINUTE_MS);
        let params = json!({ "to": dave.id, "text": "PLAINTEXT after the damage" });
        let sent = world.ask(&carol, "message.send", params).unwrap();
        world.run(3 * MINUTE_MS);
        let id = serde_json::from_value(sent["id"].clone()).unwrap();
        assert_eq!(world.state(&carol, id), State::Delivered, "SEED={seed}");
        assert_eq!(world.texts(&dave).len(), 2, "SEED={seed}");
        // Damage is reported, never passed over in silence.
        assert!(!world.take_errors().is_empty(), "SEED={seed}: nothing was reported");
    });
    let met = met.into_inner();
    let hot: Vec<_> = Node::HOT.iter().filter(|table| !met.contains(table)).collect();
    let unmet = [&Table::Account, &Table::Device];
    assert!(hot.iter().all(|table| unmet.contains(table)), "no row of {hot:?} was damaged");
}

/// All rows of a table on a machine are emptied, and the machine starts with them.
fn empty(world: &mut World, host: usize, table: Table) {
    world.crash(host);
    world.hosts[host].disk.damage(table, Vec::clear);
    world.restart(host);
    world.run(10_000);
}

#[test]
fn a_damaged_pin_is_not_made_anew_and_who_was_blocked_stays_so() {
    each_seed("damaged pins", 1, |seed| {
        let mut world = World::grown(seed, 12, Faults::default());
        let alice = world.named(4, "alice@a.test");
        world.named(6, "bob@b.test");
        let carol = world.person(8);
        world.run(MINUTE_MS);
        let to = |who: &str| json!({ "to": who, "text": "PLAINTEXT of somebody careful" });
        world.ask(&alice, "message.send", to("bob@b.test")).unwrap();
        world.ask(&alice, "contact.block", json!({ "who": carol.id })).unwrap();
        world.run(20_000);

        empty(&mut world, alice.host, Table::Pin);
        assert!(!world.take_errors().is_empty(), "SEED={seed}: nothing was reported");
        let error = world.ask(&alice, "message.send", to("bob@b.test")).unwrap_err();
        assert_eq!(error.kind, ErrorKind::KeyChanged, "SEED={seed}: {error}");
        world.run(MINUTE_MS);
        let rows = world.hosts[alice.host].disk.scan(&Query::prefix(Table::Pin, b"", 99));
        assert!(!rows.is_empty() && rows.iter().all(|(_, value)| value.is_empty()));
        world.ask(&alice, "contact.add", json!({ "who": "bob@b.test" })).unwrap();
        world.ask(&alice, "message.send", to("bob@b.test")).unwrap();

        empty(&mut world, alice.host, Table::Contact);
        assert!(!world.take_errors().is_empty(), "SEED={seed}: nothing was reported");
        world.ask(&carol, "message.send", to(&alice.id.to_string())).unwrap();
        world.run(2 * MINUTE_MS);
        assert!(world.texts(&alice).is_empty(), "SEED={seed}: the block was forgotten");
        let error = world.ask(&alice, "message.send", to(&carol.id.to_string())).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Blocked, "SEED={seed}: {error}");
        world.ask(&alice, "contact.accept", json!({ "who": carol.id })).unwrap();
        world.ask(&alice, "message.send", to(&carol.id.to_string())).unwrap();
    });
}
