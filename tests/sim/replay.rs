//! The same seed gives the same run.

use bytchat_tests::sim::{Churn, Faults, History, World};

/// Mail, crashes and churn; gives what was sent between whom and when, and how long it was.
fn run(seed: u64) -> [u8; 32] {
    let mut world = World::grown(seed, 14, Faults { nats_percent: 20, ..Faults::default() });
    let people: Vec<_> = [3, 5, 7].into_iter().map(|host| world.person(host)).collect();
    let mut history = History::new();
    world.run(30_000);
    let mut churn = Churn::of(&mut world, 2..14, [300_000, 60_000]);
    for turn in 0..8 {
        churn.run(&mut world, 40_000);
        for from in people.iter().filter(|from| from.id != people[turn % 3].id) {
            if world.is_up(from.host) {
                history.send(&mut world, from, &people[turn % 3]);
            }
        }
    }
    churn.end(&mut world);
    world.run(120_000);
    assert!(world.hosts.iter().map(|host| host.sent_bytes).sum::<u64>() > 100_000);
    world.digest()
}

#[test]
fn a_seed_gives_the_same_run_again_and_another_seed_another() {
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}
