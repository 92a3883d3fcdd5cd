//! Tests of handing envelopes on when the nodes near a user change.

use bytchat_proto::limits::{HOLDERS_TOLD_MAX, MAILBOX_LOADS_MAX, REPAIR_PATIENCE_MS};
use bytchat_proto::point::Point;

use super::*;

/// A node whose distance to a user is this number.
fn node(device: &Device, distance: u8) -> NodeId {
    let mut bytes = device.user().0;
    bytes[19] ^= distance;
    NodeId(bytes)
}

/// A holder that is so far from the user of a device.
fn holder(device: &Device, distance: u8) -> World {
    let mut world = World::new();
    world.mailbox.own = node(device, distance);
    world
}

/// Walks through all envelopes once, with these nodes as the closest; whom they were offered to.
fn walk(world: &mut World, device: &Device, closest: &[u8]) -> Vec<NodeId> {
    let nodes: Vec<NodeId> = closest.iter().map(|n| node(device, *n)).collect();
    let closest = |_: Point| nodes.clone();
    let rounds = (0..100).find(|_| {
        let done = world.mailbox.repair(&closest, 1_000, world.now, &mut world.out);
        world.settle();
        done
    });
    rounds.unwrap();
    world.offers.drain(..).map(|(to, ..)| to).collect()
}

#[test]
fn the_nearest_holder_offers_a_fresh_envelope_to_the_others_once() {
    let alice = Device::new(0, 1);
    let mut world = holder(&alice, 1);
    world.deposit(&alice.envelope(1));
    let others = [2, 3, 4, 5].map(|n| node(&alice, n));
    assert_eq!(walk(&mut world, &alice, &[1, 2, 3, 4, 5]), others);
    assert_eq!(walk(&mut world, &alice, &[1, 2, 3, 4, 5]), []);
    assert_eq!(walk(&mut world, &alice, &[1, 2, 3, 4, 6]), [node(&alice, 6)]);
    assert_eq!(walk(&mut world, &alice, &[1, 2, 3, 4, 5]), []);
}

#[test]
fn an_offer_carries_the_envelope_and_its_end() {
    let alice = Device::new(0, 1);
    let mut world = holder(&alice, 1);
    let until = world.in_days(4);
    world.deposit_until(&alice.envelope(1), until, false);
    let closest = |_: Point| vec![node(&alice, 2)];
    assert!(world.mailbox.repair(&closest, 10, world.now, &mut world.out));
    world.settle();
    let expected = (node(&alice, 2), alice.envelope(1).id(), until);
    assert_eq!(world.offers, [expected]);
}

#[test]
fn a_farther_holder_steps_in_when_no_repair_has_come_by() {
    let alice = Device::new(0, 1);
    let mut world = holder(&alice, 3);
    let closest = [1, 2, 3, 4, 5];
    world.deposit(&alice.envelope(1));
    assert_eq!(walk(&mut world, &alice, &closest), []);
    world.wait(2 * REPAIR_PATIENCE_MS - 1);
    assert_eq!(walk(&mut world, &alice, &closest), []);
    world.wait(1);
    assert_eq!(walk(&mut world, &alice, &closest).len(), 4);
}

#[test]
fn a_repair_that_came_by_settles_the_others_but_not_newcomers() {
    let alice = Device::new(0, 1);
    for fresh_first in [true, false] {
        let mut world = holder(&alice, 3);
        let until = world.in_days(4);
        if fresh_first {
            world.deposit_until(&alice.envelope(1), until, false);
        }
        world.deposit_until(&alice.envelope(1), until, true);
        world.wait(10 * REPAIR_PATIENCE_MS);
        assert_eq!(walk(&mut world, &alice, &[1, 2, 3, 4, 5]), []);
        assert_eq!(walk(&mut world, &alice, &[2, 3, 4, 5, 6]), [node(&alice, 6)]);
    }
}

#[test]
fn a_lost_offer_is_made_again_and_a_known_holder_is_spared() {
    let alice = Device::new(0, 1);
    let mut world = holder(&alice, 1);
    let id = alice.envelope(1).id();
    world.deposit(&alice.envelope(1));
    world.mailbox.held_by(id, node(&alice, 3));
    assert_eq!(walk(&mut world, &alice, &[1, 2, 3]), [node(&alice, 2)]);
    world.mailbox.offer_lost(id, node(&alice, 2));
    assert_eq!(walk(&mut world, &alice, &[1, 2, 3]), [node(&alice, 2)]);
    for distance in 10..200 {
        walk(&mut world, &alice, &[1, distance]);
    }
    let told = world.mailbox.shelf.get(id).unwrap().told.len();
    assert_eq!(told, HOLDERS_TOLD_MAX);
}

#[test]
fn a_walk_is_bounded_and_goes_on_where_it_stopped() {
    let (alice, bob) = (Device::new(0, 1), Device::new(1, 2));
    let mut world = World::new();
    for number in 0..20 {
        world.deposit(&alice.envelope(number));
        world.deposit(&bob.envelope(number));
    }
    world.wait(REPAIR_PATIENCE_MS);
    let other = NodeId([0x55; 20]);
    let closest = |_: Point| vec![other];
    let mut seen = Vec::new();
    for round in 0..8 {
        let done = world.mailbox.repair(&closest, 5, world.now, &mut world.out);
        assert_eq!(done, round == 7);
        world.settle();
        assert_eq!(world.offers.len(), 5);
        seen.extend(world.offers.drain(..).map(|(_, id, _)| id));
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 40);
    let mut world = World::new();
    for number in 0..40 {
        world.deposit(&alice.envelope(number));
    }
    world.wait(REPAIR_PATIENCE_MS);
    assert!(!world.mailbox.repair(&closest, 1_000, world.now, &mut world.out));
    assert_eq!(world.mailbox.loads.len(), MAILBOX_LOADS_MAX / 2);
    assert!(!world.mailbox.repair(&closest, 1_000, world.now, &mut world.out));
    assert_eq!(world.mailbox.loads.len(), MAILBOX_LOADS_MAX / 2);
}

#[test]
fn what_is_removed_or_over_is_not_offered() {
    let alice = Device::new(0, 1);
    let mut world = holder(&alice, 1);
    for number in 0..2 {
        world.deposit_until(&alice.envelope(number), world.in_days(3), false);
    }
    let closest = |_: Point| vec![node(&alice, 2)];
    world.mailbox.repair(&closest, 10, world.now, &mut world.out);
    let id = alice.envelope(0).id();
    world.mailbox.drop_envelope(id, &mut world.out);
    world.settle();
    assert_eq!(world.offers.len(), 1);
    world.offers.clear();
    world.mailbox.offer_lost(alice.envelope(1).id(), node(&alice, 2));
    world.advance(3 * DAY_MS);
    assert_eq!(walk(&mut world, &alice, &[1, 2]), []);
}
