//! Tests of deposits, receipts, quotas, tombstones and expiry.

use bytchat_proto::limits::{HOUR_MS, RECORD_TTL_MIN_MS};

use super::*;

#[test]
fn a_deposit_is_on_disk_before_its_receipt_and_the_receipt_is_signed() {
    let (mut world, alice) = (World::new(), Device::new(0, 1));
    let envelope = alice.envelope(1);
    let until = world.in_days(5);
    let request = Request::Deposit { envelope: envelope.clone(), until, repair: false };
    let answer = world.ask_only(1, &request);
    assert!(matches!(world.out.poll(), Some(Output::Persist(writes)) if writes.len() == 1));
    let receipt = receipt(answer);
    assert_eq!(receipt.envelope, envelope.id());
    assert_eq!(receipt.holder, OWN);
    assert_eq!(receipt.until, until);
    assert!(!receipt.taken);
    assert_eq!(world.mailbox.envelope_count(), 1);
}

#[test]
fn the_same_deposit_gets_the_same_receipt_and_is_kept_once() {
    let (mut world, alice) = (World::new(), Device::new(0, 1));
    let envelope = alice.envelope(1);
    let first = world.deposit(&envelope);
    world.near = false;
    world.advance(1_000);
    assert_eq!(world.deposit(&envelope), first);
    assert_eq!(world.rows(Table::Envelope), 1);
    assert_eq!(world.mailbox.envelope_count(), 1);
}

#[test]
fn a_sender_prolongs_what_waits_by_bringing_it_again() {
    let (mut world, alice) = (World::new(), Device::new(0, 1));
    let envelope = alice.envelope(1);
    world.deposit(&envelope);
    world.wait(2 * DAY_MS);
    let until = world.in_days(7);
    assert_eq!(receipt(world.deposit(&envelope)).until, until);
    assert_eq!(world.rows(Table::Envelope), 1);
    world.restart();
    world.wait(7 * DAY_MS - 1);
    assert_eq!(world.mailbox.envelope_count(), 1);
    world.wait(1);
    assert_eq!(world.mailbox.envelope_count(), 0);
}

#[test]
fn the_end_of_an_envelope_stays_within_three_and_seven_days() {
    let (mut world, alice) = (World::new(), Device::new(0, 1));
    let (now, day) = (world.now.wall, world.in_days(1));
    let mut until = |number, until, repair| {
        receipt(world.deposit_until(&alice.envelope(number), until, repair)).until
    };
    assert_eq!(until(1, day, false), now.plus_ms(RECORD_TTL_MIN_MS));
    assert_eq!(until(2, now.plus_ms(90 * DAY_MS), false), now.plus_ms(7 * DAY_MS));
    assert_eq!(until(3, day, true), day);
    assert_eq!(until(4, now.plus_ms(90 * DAY_MS), true), now.plus_ms(7 * DAY_MS));
    let over = world.deposit_until(&alice.envelope(5), now, false);
    assert_eq!(reason(&over), Refusal::Expired);
}

#[test]
fn a_node_that_is_not_near_keeps_nothing() {
    let (mut world, alice) = (World::new(), Device::new(0, 1));
    world.near = false;
    assert_eq!(reason(&world.deposit(&alice.envelope(1))), Refusal::NotClosest);
    let notify = Request::Notify { notice: alice.notice(1, world.in_days(1)) };
    assert_eq!(reason(&world.ask(1, &notify)), Refusal::NotClosest);
    assert!(world.disk.is_empty());
}

#[test]
fn quotas_hold_for_one_user_by_number_and_bytes_and_for_everybody() {
    let (alice, bob) = (Device::new(0, 1), Device::new(1, 2));
    let bytes = alice.envelope(0).as_bytes().len();
    let cases = [(3, 9, usize::MAX), (9, 3, usize::MAX), (9, 9, 3 * bytes)];
    for (envelopes, envelopes_per_user, bytes_per_user) in cases {
        let mut world = World::with_limits(Limits {
            envelopes,
            envelopes_per_user,
            bytes_per_user,
            ..Limits::default()
        });
        for number in 0..3 {
            receipt(world.deposit(&alice.envelope(number)));
        }
        assert_eq!(reason(&world.deposit(&alice.envelope(3))), Refusal::Full);
        let other = world.deposit(&bob.envelope(3));
        assert_eq!(matches!(other, Response::Refused { .. }), envelopes == 3);
        world.attach(1, &alice);
        world.remove(1, &alice, &[alice.envelope(0).id()]);
        receipt(world.deposit(&alice.envelope(3)));
    }
}

#[test]
fn a_removed_envelope_does_not_come_back_by_repair_or_restart() {
    let (mut world, alice) = (World::new(), Device::new(0, 1));
    let envelope = alice.envelope(1);
    world.deposit(&envelope);
    world.attach(1, &alice);
    world.remove(1, &alice, &[envelope.id()]);
    assert_eq!((world.rows(Table::Envelope), world.rows(Table::Tombstone)), (0, 1));
    let taken = world.now.wall;
    for _ in 0..2 {
        let until = world.in_days(6);
        let word = receipt(world.deposit_until(&envelope, until, true));
        assert_eq!((word.taken, word.until), (true, taken));
        assert_eq!(world.mailbox.envelope_count(), 0);
        world.restart();
    }
    world.wait(7 * DAY_MS);
    assert_eq!(world.mailbox.tombstone_count(), 0);
    assert!(world.disk.is_empty());
}

#[test]
fn a_removal_that_comes_first_wins() {
    let (mut world, alice) = (World::new(), Device::new(0, 1));
    world.attach(1, &alice);
    world.remove(1, &alice, &[alice.envelope(1).id()]);
    assert!(receipt(world.deposit(&alice.envelope(1))).taken);
    assert_eq!(world.mailbox.envelope_count(), 0);
}

#[test]
fn nobody_removes_or_buries_the_mail_of_another_device() {
    let mut world = World::new();
    let (alice, tablet, bob) = (Device::new(0, 1), Device::new(0, 2), Device::new(1, 3));
    let (here, later) = (alice.envelope(1), alice.envelope(2));
    world.deposit(&here);
    for (link, other) in [(1, &tablet), (2, &bob)] {
        world.attach(link, other);
        world.remove(link, other, &[here.id(), later.id()]);
    }
    assert_eq!(world.mailbox.envelope_count(), 1);
    assert!(!receipt(world.deposit(&here)).taken);
    assert!(!receipt(world.deposit(&later)).taken);
    let foreign = world.ask(2, &alice.removal(&[here.id()]));
    assert_eq!(reason(&foreign), Refusal::NotAttached);
    let Request::Remove { removal } = tablet.removal(&[here.id()]) else {
        unreachable!("a removal");
    };
    let forged = Unverified::sign(&removal.peek().unwrap(), |digest| bob.signer.sign(digest));
    let forged = world.ask(1, &Request::Remove { removal: forged });
    assert_eq!(reason(&forged), Refusal::BadSignature);
    assert_eq!(world.mailbox.envelope_count(), 2);
}

#[test]
fn tombstones_are_bounded_and_the_first_to_end_is_dropped() {
    let mut world = World::with_limits(Limits {
        tombstones: 4,
        tombstones_unseen_per_user: 2,
        ..Limits::default()
    });
    let alice = Device::new(0, 1);
    let mail = envelopes(&alice, 0, 5);
    for (envelope, hours) in mail.iter().zip([100, 90, 80, 110, 120]) {
        let until = world.now.wall.plus_ms(hours * HOUR_MS);
        world.deposit_until(envelope, until, false);
    }
    world.attach(1, &alice);
    world.remove(1, &alice, &ids(&mail));
    assert_eq!(world.mailbox.tombstone_count(), 4);
    assert_eq!(world.rows(Table::Tombstone), 4);
    assert!(!receipt(world.deposit(&mail[2])).taken);
    assert!(receipt(world.deposit(&mail[0])).taken);
    let mut other = World::with_limits(world.mailbox.limits);
    other.attach(1, &alice);
    other.remove(1, &alice, &ids(&mail));
    assert_eq!(other.mailbox.tombstone_count(), 2);
    other.restart();
    assert!(!other.mailbox.tombstones.has_room(alice.user(), &other.mailbox.limits));
}

#[test]
fn envelopes_end_on_time_and_a_long_sweep_is_cut() {
    let (mut world, alice) = (World::new(), Device::new(0, 1));
    let first = world.in_days(3);
    let count = SWEEP_ROWS_MAX + 40;
    for envelope in envelopes(&alice, 0, count) {
        world.deposit_until(&envelope, first, true);
    }
    world.deposit(&alice.envelope(9_999));
    world.wait(3 * DAY_MS - 1);
    assert_eq!(world.mailbox.envelope_count(), count + 1);
    world.advance(1);
    world.mailbox.handle_timeout(world.now, &mut world.out);
    assert_eq!(world.mailbox.envelope_count(), 41);
    world.wait(10);
    assert_eq!((world.mailbox.envelope_count(), world.rows(Table::Envelope)), (1, 1));
    world.wait(5 * DAY_MS);
    assert_eq!(world.mailbox.poll_timeout(), None);
}

#[test]
fn malformed_rows_are_left_out() {
    let (mut world, alice) = (World::new(), Device::new(0, 1));
    world.deposit(&alice.envelope(1));
    let ((_, key), value) = world.disk.pop_first().unwrap();
    let now = world.now;
    let mailbox = &mut World::new().mailbox;
    mailbox.restore(Table::Envelope, &key[1..], &value, now);
    mailbox.restore(Table::Envelope, &key, &value[1..], now);
    mailbox.restore(Table::Envelope, &key, &[], now);
    let mut foreign = key.clone();
    foreign[0] ^= 1;
    mailbox.restore(Table::Envelope, &foreign, &value, now);
    for table in [Table::Tombstone, Table::Prekey, Table::Notice, Table::Node] {
        mailbox.restore(table, &key, &value, now);
        mailbox.restore(table, &key[..16], &value[..3], now);
        mailbox.restore(table, &[], &[], now);
    }
    assert_eq!(mailbox.envelope_count() + mailbox.tombstone_count(), 0);
    assert_eq!(mailbox.keys.live_count() + mailbox.notices.len(), 0);
    mailbox.restore(Table::Envelope, &key, &value, now);
    assert_eq!(mailbox.envelope_count(), 1);
}
