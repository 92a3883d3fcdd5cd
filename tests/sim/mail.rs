//! Messages between simulated machines.

use bytchat_proto::rpc::message::State;
use bytchat_tests::sim::{Faults, History, World, each_seed};

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
