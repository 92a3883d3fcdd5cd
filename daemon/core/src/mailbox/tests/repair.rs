//! Tests of holders that compare what they keep, and hand on what others lack.

use bytchat_proto::limits::{
    COMPARE_MS, HOLDERS_CONFIRMED_MAX, MAILBOX_LOADS_MAX, OFFERS_MAX, OFFERS_WAITING_MAX,
};
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
        let done = world.mailbox.repair(&closest, 1_000, world.now);
        world.settle();
        done
    });
    rounds.unwrap();
    let mut to: Vec<NodeId> = world.offers.drain(..).map(|(to, ..)| to).collect();
    to.sort_by_key(|to| Point::of_node(*to).distance(Point::of_user(device.user())));
    to
}

/// Whom a walk asks, with these nodes as the closest.
fn asked(world: &mut World, device: &Device, closest: &[u8]) -> Vec<NodeId> {
    world.compared.clear();
    walk(world, device, closest);
    world.compared.drain(..).map(|(to, _)| to).collect()
}

fn mark(device: &Device, envelope: &Envelope) -> MailMark {
    device.owner().mark(envelope.id())
}

impl World {
    /// Another holder asks which of some envelopes this one lacks.
    fn lacks(&mut self, from: NodeId, marks: Vec<MailMark>) -> Vec<MailMark> {
        self.from = Some(Source { node: from, prefix: None, neighbour: false });
        let response = self.ask(5, &Request::Compare { marks });
        self.from = None;
        let Response::Lacks { marks } = response else { panic!("{response:?}") };
        marks
    }

    fn has(&mut self, node: NodeId, mark: MailMark) {
        self.others.entry(node).or_default().insert(mark);
    }
}

#[test]
fn only_who_lacks_an_envelope_gets_it_and_nobody_is_asked_twice_within_the_hour() {
    let alice = Device::new(0, 1);
    let mut world = holder(&alice, 1);
    let letter = alice.envelope(1);
    world.deposit(&letter);
    for distance in [2, 3, 5] {
        world.has(node(&alice, distance), mark(&alice, &letter));
    }
    assert_eq!(walk(&mut world, &alice, &[1, 2, 3, 4, 5]), [node(&alice, 4)]);
    assert_eq!(world.compared.len(), 4);
    assert_eq!(asked(&mut world, &alice, &[1, 2, 3, 4, 5]), []);
    assert_eq!(asked(&mut world, &alice, &[1, 2, 3, 4, 6]), [node(&alice, 6)]);
    world.advance(COMPARE_MS);
    assert_eq!(asked(&mut world, &alice, &[1, 2, 3, 4, 6]).len(), 4);
}

/// Views of a region differ: the one that spreads a letter knows of others than we do.
#[test]
fn a_holder_that_the_one_who_hands_on_does_not_see_gets_it_from_another() {
    let alice = Device::new(0, 1);
    let mut world = holder(&alice, 3);
    let letter = alice.envelope(1);
    let first = node(&alice, 1);
    world.from = Some(Source { node: first, prefix: None, neighbour: true });
    world.deposit_until(&letter, world.in_days(4), true);
    world.from = None;
    for distance in 1..=5 {
        world.has(node(&alice, distance), mark(&alice, &letter));
    }
    let closest = [1, 2, 3, 4, 5, 6, 7, 8];
    let missed = [6, 7, 8].map(|n| node(&alice, n));
    assert_eq!(walk(&mut world, &alice, &closest), missed);
    assert!(world.compared.iter().all(|(to, _)| *to != first), "it has brought the letter");
}

#[test]
fn a_holder_that_loses_an_envelope_gets_it_again_within_the_hour() {
    let alice = Device::new(0, 1);
    let mut world = holder(&alice, 1);
    world.deposit(&alice.envelope(1));
    assert_eq!(walk(&mut world, &alice, &[1, 2]), [node(&alice, 2)]);
    world.others.clear();
    assert_eq!(walk(&mut world, &alice, &[1, 2]), []);
    world.advance(COMPARE_MS);
    assert_eq!(walk(&mut world, &alice, &[1, 2]), [node(&alice, 2)]);
}

#[test]
fn an_offer_carries_the_envelope_and_its_end() {
    let alice = Device::new(0, 1);
    let mut world = holder(&alice, 1);
    let until = world.in_days(4);
    world.deposit_until(&alice.envelope(1), until, false);
    let closest = |_: Point| vec![node(&alice, 2)];
    assert!(world.mailbox.repair(&closest, 10, world.now));
    world.settle();
    let expected = (node(&alice, 2), alice.envelope(1).id(), until);
    assert_eq!(world.offers, [expected]);
}

#[test]
fn who_is_asked_says_what_is_neither_here_nor_removed_and_asks_less_itself() {
    let alice = Device::new(0, 1);
    let mut world = World::new();
    let letters = envelopes(&alice, 0, 4);
    let marks: Vec<MailMark> = letters.iter().map(|it| mark(&alice, it)).collect();
    world.deposit(&letters[0]);
    world.deposit(&letters[1]);
    world.attach(1, &alice);
    world.remove(1, &alice, &[letters[1].id(), letters[2].id()]);
    let other = node(&alice, 2);
    assert_eq!(world.lacks(other, marks.clone()), [marks[3]]);
    assert_eq!(asked(&mut world, &alice, &[2, 3]), [node(&alice, 3)]);
    // The mark of another device's envelope names nothing here.
    let bob = Device::new(1, 2);
    let foreign = bob.owner().mark(letters[0].id());
    assert_eq!(world.lacks(other, vec![foreign]), [foreign]);
    let many = vec![marks[0]; IDS_PER_REQUEST_MAX + 1];
    let response = world.ask(5, &Request::Compare { marks: many });
    assert_eq!(reason(&response), Refusal::Malformed);
}

#[test]
fn who_does_not_answer_is_asked_by_the_next_walk_and_who_refuses_is_not() {
    let alice = Device::new(0, 1);
    let mut world = holder(&alice, 1);
    let letter = alice.envelope(1);
    world.deposit(&letter);
    let other = node(&alice, 2);
    world.deaf.insert(other);
    assert_eq!(asked(&mut world, &alice, &[1, 2]), [other]);
    assert_eq!(asked(&mut world, &alice, &[1, 2]), [other]);
    // It lacks the letter, and then cannot be reached.
    let marks = [mark(&alice, &letter)];
    world.mailbox.compared(other, &marks, &marks, world.now, &mut world.out);
    world.settle();
    assert_eq!((world.offers.len(), world.mailbox.offers.count()), (1, 0));
    assert_eq!(asked(&mut world, &alice, &[1, 2]), [other]);
    assert_eq!(world.mailbox.handed(), (0, 1));
    for (reason, again) in [(Refusal::Busy, true), (Refusal::Full, false)] {
        let refused = Response::refused(reason, "");
        world.mailbox.offered(letter.id(), other, Some(&refused), world.now, &mut world.out);
        assert_eq!(asked(&mut world, &alice, &[1, 2]).len(), usize::from(again));
    }
}

#[test]
fn what_was_not_asked_about_is_not_offered_and_few_who_confirm_are_remembered() {
    let alice = Device::new(0, 1);
    let mut world = holder(&alice, 1);
    let letter = alice.envelope(1);
    world.deposit(&letter);
    let own = mark(&alice, &letter);
    let other = node(&alice, 2);
    world.mailbox.compared(other, &[], &[own], world.now, &mut world.out);
    world.mailbox.compared(other, &[MailMark([1; 16])], &[own], world.now, &mut world.out);
    world.settle();
    assert_eq!(world.offers, []);
    for distance in 10..200 {
        world.lacks(node(&alice, distance), vec![own]);
    }
    let confirmed = world.mailbox.shelf.get(letter.id()).unwrap().confirmed.len();
    assert_eq!(confirmed, HOLDERS_CONFIRMED_MAX);
}

#[test]
fn a_walk_is_bounded_and_goes_on_where_it_stopped() {
    let (alice, bob) = (Device::new(0, 1), Device::new(1, 2));
    let mut world = World::new();
    for number in 0..20 {
        world.deposit(&alice.envelope(number));
        world.deposit(&bob.envelope(number));
    }
    let other = NodeId([0x55; 20]);
    let closest = |_: Point| vec![other];
    let mut seen = Vec::new();
    for round in 0..8 {
        let done = world.mailbox.repair(&closest, 5, world.now);
        assert_eq!(done, round == 7);
        world.settle();
        assert_eq!(world.offers.len(), 5);
        seen.extend(world.offers.drain(..).map(|(_, id, _)| id));
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 40);
}

#[test]
fn few_envelopes_are_under_way_at_once_and_what_waits_has_a_bound() {
    let (alice, bob) = (Device::new(0, 1), Device::new(1, 2));
    let mut world = World::new();
    let mut marks = Vec::new();
    for device in [&alice, &bob] {
        for number in 0..60 {
            let letter = device.envelope(number);
            world.deposit(&letter);
            marks.push(mark(device, &letter));
        }
    }
    for number in 0..100 {
        let other = NodeId([number; 20]);
        world.mailbox.compared(other, &marks, &marks, world.now, &mut world.out);
    }
    assert_eq!(world.mailbox.offers.count(), OFFERS_WAITING_MAX);
    assert_eq!(world.mailbox.loads.len(), OFFERS_MAX.min(MAILBOX_LOADS_MAX / 2));
    let closest = |_: Point| vec![NodeId([0x55; 20])];
    assert!(!world.mailbox.repair(&closest, 1_000, world.now), "it goes on with too much to do");
    assert_eq!(world.compared.len(), 0);
    world.settle();
    assert_eq!((world.offers.len(), world.mailbox.offers.count()), (OFFERS_WAITING_MAX, 0));
    assert!(world.mailbox.repair(&closest, 1_000, world.now));
}

#[test]
fn what_is_removed_or_over_is_not_offered() {
    let alice = Device::new(0, 1);
    let mut world = holder(&alice, 1);
    for number in 0..2 {
        world.deposit_until(&alice.envelope(number), world.in_days(3), false);
    }
    let closest = |_: Point| vec![node(&alice, 2)];
    world.mailbox.repair(&closest, 10, world.now);
    let id = alice.envelope(0).id();
    world.mailbox.drop_envelope(id, &mut world.out);
    world.settle();
    assert_eq!((world.offers.len(), world.mailbox.offers.count()), (1, 0));
    world.offers.clear();
    world.others.clear();
    world.advance(3 * DAY_MS);
    assert_eq!(walk(&mut world, &alice, &[1, 2]), []);
}

#[test]
fn a_removal_is_handed_on_to_those_farther_off_who_keep_what_it_names() {
    let alice = Device::new(0, 1);
    let letters = envelopes(&alice, 0, 3);
    let marks: Vec<MailMark> = letters.iter().map(|it| mark(&alice, it)).collect();
    // Two holders: the device is attached to the nearer one alone.
    let [mut near, mut far] = [World::new(), World::new()];
    for world in [&mut near, &mut far] {
        letters.iter().for_each(|letter| {
            world.deposit(letter);
        });
    }
    let point = Point::of_user(alice.user());
    let own = Point::of_node(OWN).distance(point);
    let (nearer, farther) = (node(&alice, 1), NodeId(point.0.map(|byte| !byte)));
    assert!(Point::of_node(farther).distance(point) > own);
    for other in [nearer, farther] {
        near.lacks(other, marks[..2].to_vec());
    }
    near.attach(1, &alice);
    near.remove(1, &alice, &[letters[0].id(), letters[2].id()]);
    let handed_on = std::mem::take(&mut near.handed_on);
    let [(to, removal)] = handed_on.as_slice() else { panic!("{handed_on:?}") };
    assert_eq!(*to, farther);
    // Nobody else keeps that one.
    near.remove(1, &alice, &[letters[2].id()]);
    assert_eq!(near.handed_on.len(), 0);

    let request = Request::Remove { removal: removal.clone() };
    far.from = Some(source(7, None));
    assert_eq!(reason(&far.ask(7, &request)), Refusal::NotAttached, "who says it is far off");
    far.from = Some(Source { neighbour: true, ..source(7, None) });
    assert_eq!(far.ask(7, &request), Response::Done);
    assert_eq!(far.lacks(nearer, marks.clone()), []);
    assert_eq!((far.mailbox.envelope_count(), far.mailbox.tombstone_count()), (1, 2));
    far.from = Some(Source { neighbour: true, ..source(7, None) });
    // It says nothing new there, and buries nothing that is not there.
    assert_eq!(reason(&far.ask(7, &request)), Refusal::NotAttached);
    let unseen = alice.removal(&[alice.envelope(9).id(), letters[1].id()]);
    assert_eq!(far.ask(7, &unseen), Response::Done);
    assert_eq!((far.mailbox.envelope_count(), far.mailbox.tombstone_count()), (0, 3));
    // Nobody hands on what the device has not signed.
    let forged = Removal {
        user: alice.user(),
        device: alice.signer.device(),
        envelopes: vec![letters[1].id()],
    };
    let forged = Unverified::sign(&forged, |digest| Signer::new(77).sign(digest));
    near.from = Some(Source { neighbour: true, ..source(7, None) });
    let response = near.ask(7, &Request::Remove { removal: forged });
    assert_eq!(reason(&response), Refusal::BadSignature);
}
