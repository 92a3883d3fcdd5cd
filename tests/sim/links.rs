//! Links that are cut in one direction, and machines that nobody can dial.

use bytchat_proto::rpc::message::State;
use bytchat_tests::sim::{Faults, History, World};

const MINUTE_MS: u64 = 60_000;

#[test]
fn who_is_not_heard_still_hears_and_is_believed_when_the_cut_is_mended() {
    let mut world = World::grown(1, 8, Faults::default());
    let (alice, bob) = (world.person(4), world.person(6));
    let mut history = History::new();
    world.run(MINUTE_MS);
    history.send(&mut world, &alice, &bob);
    world.run(20_000);
    world.cut([bob.host], 0..8);
    let id = history.send(&mut world, &alice, &bob);
    world.run(15_000);
    assert_eq!(world.texts(&bob).len(), 2);
    assert!(world.state(&alice, id) < State::Delivered);
    world.mend();
    history.settle(&mut world, &[&alice, &bob], 10 * MINUTE_MS);
    let broken = history.end(&mut world, &[&alice, &bob]);
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn mail_comes_to_people_whom_nobody_can_dial() {
    let faults = Faults { nats_percent: 40, ..Faults::default() };
    let mut world = World::grown(1, 14, faults);
    let hidden: Vec<usize> = (0..14).filter(|host| world.is_behind_nat(*host)).collect();
    assert!(hidden.len() >= 2, "{hidden:?}");
    let (alice, bob) = (world.person(hidden[0]), world.person(hidden[1]));
    let mut history = History::new();
    world.run(MINUTE_MS);
    for (from, to) in [(&alice, &bob), (&bob, &alice), (&alice, &bob)] {
        history.send(&mut world, from, to);
        world.run(MINUTE_MS);
    }
    history.settle(&mut world, &[&alice, &bob], 10 * MINUTE_MS);
    let broken = history.end(&mut world, &[&alice, &bob]);
    assert!(broken.is_empty(), "{broken:#?}");
}
