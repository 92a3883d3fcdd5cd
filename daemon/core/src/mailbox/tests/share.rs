//! Tests of fair shares: a flood from few sources leaves room for others.

use bytchat_proto::limits::{
    ENVELOPE_BYTES_PER_USER_MAX, ENVELOPE_CLASS_MAX, ENVELOPES_PER_USER_MAX, HOUR_MS,
    NEIGHBOUR_SHARE_FACTOR, NOTICE_TOLD_MS, NOTICES_PER_USER_MAX,
};

use super::*;

/// Deposits from one source until it is refused: how many were taken, and why no more.
fn flood(world: &mut World, to: &Device, from: Source, first: u32) -> (usize, String) {
    world.from = Some(from);
    let mut taken = 0;
    for number in first.. {
        let envelope = to.envelope(number);
        let until = world.in_days(7);
        let answer = world.deposit_until(&envelope, until, from.neighbour);
        if let Response::Refused { reason: Refusal::Full, detail } = answer {
            return (taken, detail);
        }
        taken += usize::from(!receipt(answer).taken);
    }
    unreachable!("a flood ends")
}

#[test]
fn one_node_fills_a_quarter_of_a_mailbox_and_a_contact_still_finds_room() {
    let (mut world, alice) = (World::new(), Device::new(0, 1));
    let (taken, why) = flood(&mut world, &alice, source(1, None), 0);
    assert_eq!((taken, why.as_str()), (125, "your node has its share of this user's room"));
    world.restart();
    let (more, _) = flood(&mut world, &alice, source(1, None), 1_000);
    assert_eq!(more, 0, "a restart does not forget who brought what");
    world.from = Some(source(2, Some(1)));
    receipt(world.deposit(&alice.envelope(9_999)));
}

#[test]
fn a_share_is_free_again_when_its_envelopes_are_removed() {
    let (mut world, alice) = (World::new(), Device::new(0, 1));
    let (taken, _) = flood(&mut world, &alice, source(1, None), 0);
    world.attach(1, &alice);
    world.remove(1, &alice, &ids(&envelopes(&alice, 0, taken)));
    let again = u32::try_from(taken).unwrap();
    assert_eq!(flood(&mut world, &alice, source(1, None), again).0, taken);
}

#[test]
fn nodes_of_one_network_share_and_many_networks_are_needed_to_leave_nothing() {
    let (mut world, alice) = (World::new(), Device::new(0, 1));
    let mut number = 0;
    let mut node = 0;
    let mut fill = |world: &mut World, subnet| {
        let mut taken = 0;
        loop {
            node += 1;
            let (more, why) = flood(world, &alice, source(node, subnet), number);
            number += u32::try_from(more).unwrap();
            taken += more;
            if more == 0 {
                return (taken, why);
            }
        }
    };
    let (taken, why) = fill(&mut world, Some(0));
    assert_eq!(why, "your address range has its share of this user's room");
    assert_eq!(taken, 167);
    let mut nets = 1;
    while world.mailbox.envelope_count() < ENVELOPES_PER_USER_MAX {
        assert!(fill(&mut world, Some(nets)).0 > 0, "a new network always finds room");
        nets += 1;
    }
    assert!(nets >= 12, "{nets} networks were enough");
}

#[test]
fn bytes_are_shared_like_envelopes() {
    let (mut world, alice) = (World::new(), Device::new(0, 1));
    world.from = Some(source(1, None));
    let sealed = |number: u32| {
        let mut sealed = vec![0; ENVELOPE_CLASS_MAX + TAG_BYTES];
        sealed[..4].copy_from_slice(&number.to_be_bytes());
        let encapsulation = [3; ENCAPSULATION_BYTES];
        let (user, device) = (alice.user(), alice.signer.device());
        Envelope::assemble(user, device, 1, &encapsulation, &sealed).unwrap()
    };
    let taken = (0..)
        .take_while(|number| matches!(world.deposit(&sealed(*number)), Response::Receipt { .. }));
    let bytes = taken.count() * sealed(0).as_bytes().len();
    let quarter = ENVELOPE_BYTES_PER_USER_MAX / 4;
    assert!(bytes.abs_diff(quarter) < 2 * ENVELOPE_CLASS_MAX, "{bytes}");
    world.from = None;
    receipt(world.deposit(&sealed(9_999)));
}

/// An envelope for a user that nobody is.
fn invented(number: u8) -> Envelope {
    let (user, device) = (UserId([number; 20]), DeviceKey([number; 32]));
    let sealed = [number; ENVELOPE_CLASS_MIN + TAG_BYTES];
    Envelope::assemble(user, device, 1, &[3; ENCAPSULATION_BYTES], &sealed).unwrap()
}

#[test]
fn invented_users_do_not_help_to_fill_a_holder() {
    let limits = Limits { envelopes: 100, bytes: 100 * 4096, ..Limits::default() };
    let mut world = World::with_limits(limits);
    let victim = Device::new(1, 9);
    world.from = Some(source(1, None));
    let mut answers = (0..100).map(|number| world.deposit(&invented(number)));
    let refused = answers.find(|answer| matches!(answer, Response::Refused { .. })).unwrap();
    let Response::Refused { detail, .. } = refused else { unreachable!("it was refused") };
    assert_eq!(detail, "your node has its share of the room of all");
    assert_eq!(world.mailbox.envelope_count(), 11);
    world.from = Some(source(2, None));
    receipt(world.deposit(&victim.envelope(1)));
}

#[test]
fn a_neighbour_of_invented_users_takes_a_fifth_of_a_holder() {
    let mut world = World::with_limits(Limits { envelopes: 100, ..Limits::default() });
    world.from = Some(Source { neighbour: true, ..source(1, None) });
    let until = world.in_days(7);
    let answers = (0..100).map(|number| world.deposit_until(&invented(number), until, true));
    let taken = answers.filter(|answer| matches!(answer, Response::Receipt { .. })).count();
    assert_eq!(taken, 20);
}

#[test]
fn a_holder_keeps_no_more_bytes_than_it_may() {
    let bytes = Device::new(0, 1).envelope(0).as_bytes().len();
    let mut world = World::with_limits(Limits { bytes: 3 * bytes, ..Limits::default() });
    let (alice, bob) = (Device::new(0, 1), Device::new(1, 2));
    for number in 0..3 {
        receipt(world.deposit(&alice.envelope(number)));
    }
    assert_eq!(reason(&world.deposit(&bob.envelope(3))), Refusal::Full);
}

#[test]
fn a_neighbour_hands_on_most_of_a_mailbox_but_not_all() {
    let (mut world, alice) = (World::new(), Device::new(0, 1));
    let neighbour = Source { neighbour: true, ..source(1, None) };
    let (taken, _) = flood(&mut world, &alice, neighbour, 0);
    assert!(taken > ENVELOPES_PER_USER_MAX * 7 / 10, "{taken}");
    assert!(taken < ENVELOPES_PER_USER_MAX * 8 / 10, "{taken}");
    // What it brings for others does not count against what it brings itself.
    let (own, _) = flood(&mut world, &alice, source(1, None), 1_000);
    assert!(own > 0);
    // Who only says that it repairs has no more than anybody.
    let mut other = World::new();
    other.from = Some(source(1, None));
    let answers = (0..500).map(|number| {
        let until = other.in_days(7);
        other.deposit_until(&alice.envelope(number), until, true)
    });
    let taken = answers.filter(|answer| matches!(answer, Response::Receipt { .. })).count();
    assert!(taken < ENVELOPES_PER_USER_MAX / NEIGHBOUR_SHARE_FACTOR * 3, "{taken}");
}

#[test]
fn all_neighbours_together_leave_a_quarter_to_senders() {
    let (mut world, alice) = (World::new(), Device::new(0, 1));
    let mut number = 0;
    for node in 0..20 {
        let subnet = u8::try_from(node).ok();
        let neighbour = Source { neighbour: true, ..source(node, subnet) };
        let (taken, _) = flood(&mut world, &alice, neighbour, number);
        number += u32::try_from(taken).unwrap();
    }
    assert_eq!(world.mailbox.envelope_count(), ENVELOPES_PER_USER_MAX * 3 / 4);
    let (contact, _) = flood(&mut world, &alice, source(1_000, Some(99)), number);
    assert!(contact > 30, "{contact}");
}

#[test]
fn notices_of_one_node_leave_room_for_real_ones() {
    let (mut world, alice) = (World::new(), Device::new(0, 1));
    let until = world.in_days(7);
    let notify = |number| Request::Notify { notice: alice.notice(number, until) };
    world.from = Some(source(1, Some(1)));
    let taken = (0..1_000).filter(|number| world.ask(9, &notify(*number)) == Response::Done);
    let taken = taken.count();
    assert!(taken < NOTICES_PER_USER_MAX / 3, "{taken}");
    world.restart();
    assert_eq!(reason(&world.ask(9, &notify(5_000))), Refusal::Full);
    world.from = Some(source(2, Some(2)));
    assert_eq!(world.ask(9, &notify(5_000)), Response::Done);
}

#[test]
fn a_notice_that_its_device_was_told_of_does_not_stay_for_a_week() {
    let (mut world, alice) = (World::new(), Device::new(0, 1));
    let until = world.in_days(7);
    let notify = |number| Request::Notify { notice: alice.notice(number, until) };
    assert_eq!(world.ask(9, &notify(1)), Response::Done);
    world.wait(HOUR_MS);
    assert_eq!(world.mailbox.notices.len(), 1, "nobody was told yet");
    world.attach(1, &alice);
    assert_eq!(world.ask(9, &notify(2)), Response::Done);
    // Who comes back at once, because its link broke, is told again.
    world.mailbox.link_down(LinkId(1));
    world.wait(NOTICE_TOLD_MS / 2);
    world.attach(2, &alice);
    assert_eq!(world.notices.len(), 4);
    world.wait(NOTICE_TOLD_MS / 2 + 1_000);
    assert_eq!((world.mailbox.notices.len(), world.rows(Table::Notice)), (0, 0));
}
