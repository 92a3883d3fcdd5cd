//! Mail while machines lose their power.

use bytchat_proto::rpc::message::State;
use bytchat_tests::sim::{Churn, Faults, History, World, each_seed};

const MINUTE_MS: u64 = 60_000;

/// Says which promises were broken, if any.
fn check(seed: u64, broken: &std::collections::BTreeSet<String>) {
    assert!(broken.is_empty(), "SEED={seed}: {broken:#?}");
}

#[test]
fn a_sender_that_crashes_right_after_queued_loses_nothing() {
    each_seed("sender crashes", 3, |seed| {
        let mut world = World::grown(seed, 10, Faults::default());
        let (alice, bob) = (world.person(4), world.person(7));
        let mut history = History::new();
        world.run(30_000);
        for _ in 0..4 {
            history.send(&mut world, &alice, &bob);
            let ms = world.below(60);
            world.run(ms);
            world.crash(4);
            world.run(45_000);
            world.restart(4);
            world.run(20_000);
            history.follow(&mut world, &[&alice, &bob]);
        }
        world.run(3 * MINUTE_MS);
        check(seed, &history.end(&mut world, &[&alice, &bob]));
    });
}

#[test]
fn a_recipient_that_crashes_while_mail_comes_shows_it_once_and_says_so() {
    each_seed("recipient crashes", 6, |seed| {
        let mut world = World::grown(seed, 10, Faults::default());
        let (alice, bob) = (world.person(4), world.person(7));
        let mut history = History::new();
        world.run(30_000);
        for _ in 0..4 {
            history.send(&mut world, &alice, &bob);
            let shown = world.hosts[7].disk.count(bytchat_core::persist::Table::Message);
            let end = world.now_ms() + 10_000;
            // Right after the message reached the disk: whatever follows from it is lost.
            while world.hosts[7].disk.count(bytchat_core::persist::Table::Message) == shown {
                assert!(world.now_ms() < end && world.step(), "SEED={seed}: no mail comes");
            }
            let ms = world.below(12);
            world.run(ms);
            world.crash(7);
            world.run(45_000);
            world.restart(7);
            world.run(20_000);
            history.follow(&mut world, &[&alice, &bob]);
        }
        world.run(3 * MINUTE_MS);
        check(seed, &history.end(&mut world, &[&alice, &bob]));
    });
}

#[test]
fn mail_waits_with_the_holders_for_people_who_never_meet() {
    each_seed("never together", 3, |seed| {
        let mut world = World::grown(seed, 12, Faults::default());
        let (alice, bob) = (world.person(4), world.person(7));
        let mut history = History::new();
        world.run(60_000);
        world.crash(7);
        world.run(40_000);
        let id = history.send(&mut world, &alice, &bob);
        history.send(&mut world, &alice, &bob);
        world.run(60_000);
        assert_eq!(world.state(&alice, id), State::Stored, "SEED={seed}");
        world.crash(4);
        world.run(40_000);
        world.restart(7);
        world.run(60_000);
        assert_eq!(world.texts(&bob).len(), 2, "SEED={seed}");
        history.follow(&mut world, &[&bob]);
        world.crash(7);
        world.run(40_000);
        world.restart(4);
        world.run(2 * MINUTE_MS);
        assert_eq!(world.state(&alice, id), State::Delivered, "SEED={seed}: no receipt lay there");
        world.restart(7);
        world.run(MINUTE_MS);
        check(seed, &history.end(&mut world, &[&alice, &bob]));
    });
}

#[test]
fn mail_survives_its_holders_and_two_days_of_absence() {
    each_seed("two days away", 2, |seed| {
        let mut world = World::grown(seed, 14, Faults::default());
        let (alice, bob) = (world.person(4), world.person(7));
        let mut history = History::new();
        world.run(60_000);
        world.crash(7);
        history.send(&mut world, &alice, &bob);
        history.send(&mut world, &alice, &bob);
        world.run(2 * MINUTE_MS);
        for quarter in 0..8 {
            world.suspend(6 * 60 * MINUTE_MS);
            // Two machines of the others are away for a quarter of a day, then two others.
            let away = [8 + (quarter * 2) % 6, 9 + (quarter * 2) % 6];
            away.into_iter().for_each(|host| world.crash(host));
            world.run(3 * MINUTE_MS);
            away.into_iter().for_each(|host| world.restart(host));
        }
        world.restart(7);
        world.run(5 * MINUTE_MS);
        check(seed, &history.end(&mut world, &[&alice, &bob]));
    });
}

#[test]
fn mail_goes_on_while_machines_come_and_go() {
    each_seed("churn", 3, |seed| {
        let mut world = World::grown(seed, 16, Faults::default());
        let people: Vec<_> = [4, 6, 8, 8].into_iter().map(|host| world.person(host)).collect();
        let all: Vec<_> = people.iter().collect();
        let mut history = History::new();
        world.run(60_000);
        let mut churn = Churn::of(&mut world, 2..16, [10 * MINUTE_MS, 2 * MINUTE_MS]);
        for turn in 0..12 {
            churn.run(&mut world, MINUTE_MS);
            let (from, to) = (&people[turn % 4], &people[(turn + 1 + turn / 4) % 4]);
            if world.is_up(from.host) && from.id != to.id {
                history.send(&mut world, from, to);
            }
            history.follow(&mut world, &all);
        }
        assert!(churn.crashes > 0, "SEED={seed}: nothing crashed");
        churn.end(&mut world);
        history.settle(&mut world, &all, 22 * MINUTE_MS);
        check(seed, &history.end(&mut world, &all));
    });
}
