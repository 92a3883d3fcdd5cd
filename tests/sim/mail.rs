//! Messages between simulated machines.

use bytchat_core::persist::Table;
use bytchat_proto::point::Point;
use bytchat_proto::rpc::message::State;
use bytchat_tests::sim::{Faults, History, Person, World, each_seed};

#[test]
fn both_see_their_messages_delivered_in_turn() {
    each_seed("mail in turn", 2, |seed| {
        let mut world = World::grown(seed, 12, Faults::default());
        let mut history = History::new();
        let (alice, bob) = (world.named(4, "alice@a.test"), world.named(7, "bob@b.test"));
        world.run(30_000);
        for _ in 0..3 {
            let pairs = [(&alice, "bob@b.test", &bob), (&bob, "alice@a.test", &alice)];
            for (from, address, to) in pairs {
                let id = history.send_to(&mut world, from, address, to.id);
                world.run(5_000);
                let trace = world.trace(from, id);
                assert_eq!(world.state(from, id), State::Delivered, "{trace:#}");
            }
        }
        let broken = history.end(&mut world, &[&alice, &bob]);
        assert!(broken.is_empty(), "SEED={seed}: {broken:#?}");
    });
}

#[test]
fn a_burst_arrives_whole_although_letters_overtake_each_other() {
    each_seed("burst", 1, |seed| {
        let rough = Faults { loss_per_mille: 100, round_trip_ms: 200, ..Faults::default() };
        let mut world = World::grown(seed, 12, rough);
        let mut history = History::new();
        let (alice, bob) = (world.named(4, "alice@a.test"), world.named(7, "bob@b.test"));
        world.run(30_000);
        for _ in 0..150 {
            history.send(&mut world, &alice, &bob);
            history.send(&mut world, &bob, &alice);
        }
        world.run(300_000);
        let broken = history.end(&mut world, &[&alice, &bob]);
        assert!(broken.is_empty(), "SEED={seed}: {broken:#?}");
    });
}

/// Two who have written to each other.
fn friends(seed: u64) -> (World, History, [Person; 2]) {
    let mut world = World::grown(seed, 12, Faults::default());
    let mut history = History::new();
    let (alice, bob) = (world.named(4, "alice@a.test"), world.named(7, "bob@b.test"));
    world.run(30_000);
    for (from, to) in [(&alice, &bob), (&bob, &alice)] {
        history.send(&mut world, from, to);
        world.run(10_000);
    }
    (world, history, [alice, bob])
}

#[test]
fn a_receipt_that_is_lost_with_its_session_comes_again_in_minutes() {
    each_seed("lost receipt", 2, |seed| {
        let (mut world, mut history, [alice, bob]) = friends(seed);
        world.crash(bob.host);
        let id = history.send(&mut world, &alice, &bob);
        world.run(60_000);
        assert_eq!(world.state(&alice, id), State::Stored);
        // Its receipt waits with the holders when she comes back without her sessions.
        world.crash(alice.host);
        world.restart(bob.host);
        world.run(60_000);
        assert_eq!(world.texts(&bob).len(), 2);
        world.hosts[alice.host].disk.damage(Table::Session, Vec::clear);
        world.restart(alice.host);
        world.run(5 * 60_000);
        let trace = world.trace(&alice, id);
        assert_eq!(world.state(&alice, id), State::Delivered, "SEED={seed}: {trace:#}");
        let broken = history.end(&mut world, &[&alice, &bob]);
        assert!(broken.is_empty(), "SEED={seed}: {broken:#?}");
        world.take_errors();
    });
}

#[test]
fn what_waited_comes_before_what_is_brought_directly() {
    each_seed("overtaken", 2, |seed| {
        let (mut world, mut history, [alice, bob]) = friends(seed);
        world.crash(bob.host);
        // More than a ratchet keeps keys for.
        let mut ids: Vec<_> = (0..100).map(|_| history.send(&mut world, &alice, &bob)).collect();
        world.run(60_000);
        world.restart(bob.host);
        for _ in 0..50 {
            world.run(100);
            ids.push(history.send(&mut world, &alice, &bob));
        }
        world.run(60_000);
        let mut unread = 0;
        for id in ids {
            let trace = world.trace(&alice, id);
            assert_eq!(world.state(&alice, id), State::Delivered, "SEED={seed}: {trace:#}");
            unread += usize::from(trace.to_string().contains("could not read"));
        }
        assert_eq!(unread, 0, "SEED={seed}: so many of 150 could not be read at first");
        let broken = history.end(&mut world, &[&alice, &bob]);
        assert!(broken.is_empty(), "SEED={seed}: {broken:#?}");
    });
}

#[test]
fn holders_that_drop_what_they_signed_for_are_found_out_and_replaced() {
    each_seed("droppers", 2, |seed| {
        let mut world = World::grown(seed, 20, Faults::default());
        let mut history = History::new();
        let (alice, bob) = (world.person(4), world.person(6));
        world.run(30_000);
        history.send(&mut world, &alice, &bob);
        world.run(10_000);
        let point = Point::of_user(bob.id);
        let mut near: Vec<usize> = (0..20).filter(|it| ![4, 6].contains(it)).collect();
        near.sort_by_key(|host| Point::of_node(world.hosts[*host].id).distance(point));
        let (droppers, honest) = (&near[..4], near[4]);
        world.crash(bob.host);
        let id = history.send(&mut world, &alice, &bob);
        world.run(60_000);
        assert_eq!(world.state(&alice, id), State::Stored);
        // Four of the five nearest drop what they take, and the fifth goes for good.
        for _ in 0..25 * 6 {
            world.run(10_000);
            for host in droppers {
                world.hosts[*host].disk.damage(Table::Envelope, Vec::clear);
            }
        }
        let trace = world.trace(&alice, id).to_string();
        assert!(trace.contains("others are to keep it"), "SEED={seed}: {trace}");
        world.crash(honest);
        world.crash(alice.host);
        world.run(60_000);
        world.restart(bob.host);
        world.run(120_000);
        assert_eq!(world.texts(&bob).len(), 2, "SEED={seed}: {trace}");
        world.restart(alice.host);
        world.restart(honest);
        world.run(60_000);
        assert_eq!(world.state(&alice, id), State::Delivered);
        let mut broken = history.end(&mut world, &[&alice, &bob]);
        // What was emptied still has its row beside the one that came again.
        broken.retain(|what| !what.contains("once more"));
        assert!(broken.is_empty(), "SEED={seed}: {broken:#?}");
        world.take_errors();
    });
}
