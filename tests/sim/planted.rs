//! Faults that are planted, to see that a run with a fault does not pass.

use std::collections::BTreeSet;

use bytchat_tests::sim::{Faults, History, World};

/// A short run with crashes; gives what the checker has against it.
fn run(faults: Faults) -> BTreeSet<String> {
    let mut world = World::grown(1, 8, faults);
    let (alice, bob) = (world.person(4), world.person(6));
    let mut history = History::new();
    world.run(30_000);
    history.send(&mut world, &alice, &bob);
    world.run(8);
    world.crash(4);
    world.run(35_000);
    world.restart(4);
    world.run(60_000);
    let broken = history.end(&mut world, &[&alice, &bob]);
    world.take_errors();
    broken
}

#[test]
fn a_sound_run_has_nothing_against_it() {
    assert_eq!(run(Faults::default()), BTreeSet::new());
}

#[test]
fn a_disk_that_forgets_what_it_acknowledged_is_noticed() {
    let broken = run(Faults { disks_lie: true, ..Faults::default() });
    assert!(broken.iter().any(|what| what.contains("is there so often: {}")), "{broken:#?}");
}

#[test]
fn bits_that_turn_on_the_way_are_noticed() {
    let broken = run(Faults { bits_turn: true, ..Faults::default() });
    assert!(!broken.is_empty());
}

#[test]
fn plaintext_in_a_frame_is_noticed() {
    let broken = run(Faults { gossip: true, ..Faults::default() });
    assert!(broken.iter().any(|what| what.contains("in plain text")), "{broken:#?}");
}

#[test]
fn a_message_that_is_shown_twice_is_noticed() {
    let mut world = World::grown(1, 8, Faults::default());
    let (alice, bob) = (world.person(4), world.person(6));
    let mut history = History::new();
    world.run(30_000);
    history.send(&mut world, &alice, &bob);
    world.run(30_000);
    world.hosts[6].disk.show_again();
    let broken = history.end(&mut world, &[&alice, &bob]);
    assert!(broken.iter().any(|what| what.contains("so often: {6: 2}")), "{broken:#?}");
}

#[test]
fn what_is_logged_as_error_is_noticed() {
    let mut world = World::new(1, Faults::default());
    world.add(None, &[]);
    world.hosts[0].disk.spoil_events();
    world.crash(0);
    world.restart(0);
    let errors = world.take_errors();
    assert!(errors.iter().any(|error| error.contains("log of events")), "{errors:#?}");
}
