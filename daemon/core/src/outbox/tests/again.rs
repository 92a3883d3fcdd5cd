//! What is stored and has to be sealed anew.

use bytchat_proto::limits::{
    HOLDERS_LOST_MAX, HOLDERS_SIGNED_MAX, LETTER_KEPT_MS, LETTERS_KEPT_MAX,
    LETTERS_KEPT_PER_USER_MAX,
};

use super::*;

const BOBS: Party = Party { user: BOB, fingerprint: Fingerprint([0; 64]), device: DEVICE };

/// A letter that its holders have signed for.
fn kept(outbox: &mut Outbox, to: UserId, number: u8, out: &mut Outputs) -> EntryId {
    let id = outbox.queue(receipt(to), out);
    outbox.sealed(id, DEVICE, envelope(number), out);
    outbox.keep(id, now(0), out);
    id
}

#[test]
fn a_stored_receipt_that_cannot_be_read_is_sealed_anew_also_after_a_restart() {
    let (mut outbox, mut out, mut disk) =
        (Outbox::default(), Outputs::new([0; 32]), BTreeMap::new());
    let id = kept(&mut outbox, BOB, 1, &mut out);
    rows(&mut out, &mut disk);
    for mut outbox in [outbox, restored(&disk)] {
        assert!(outbox.get(id).unwrap().is_kept());
        assert!(outbox.unsealed(BOB).is_empty() && !outbox.get(id).unwrap().is_under_way());
        assert_eq!(outbox.resend((ALICE, &BOBS), &[envelope(1).id()], Mono(5)), [id]);
        let entry = outbox.get(id).unwrap();
        assert!(entry.is_urgent() && !entry.is_kept());
        assert_eq!(outbox.unsealed(BOB), [id]);
        outbox.sealed(id, DEVICE, envelope(2), &mut out);
        assert!(outbox.get(id).unwrap().is_under_way());
        outbox.keep(id, now(9), &mut out);
        assert!(outbox.get(id).unwrap().is_kept());
    }
}

#[test]
fn a_stored_receipt_goes_when_it_was_kept_for_its_time() {
    let (mut outbox, mut out, mut disk) =
        (Outbox::default(), Outputs::new([0; 32]), BTreeMap::new());
    let id = kept(&mut outbox, BOB, 1, &mut out);
    // It is kept for the time after it was stored at first, however often it is stored.
    outbox.keep(id, now(LETTER_KEPT_MS - 1), &mut out);
    let entry = outbox.get(id).unwrap();
    assert!(!entry.was_kept(now(LETTER_KEPT_MS - 1)) && entry.was_kept(now(LETTER_KEPT_MS)));
    outbox.remove(id, &mut out);
    rows(&mut out, &mut disk);
    assert!(disk.is_empty() && outbox.kept.is_empty());
}

#[test]
fn kept_receipts_are_few_and_take_no_room_of_messages() {
    let (mut outbox, mut out) = (Outbox::default(), Outputs::new([0; 32]));
    let mut ids = Vec::new();
    for _ in 0..=LETTERS_KEPT_PER_USER_MAX {
        ids.push(kept(&mut outbox, BOB, 1, &mut out));
    }
    assert!(outbox.get(ids[0]).is_none() && outbox.get(ids[1]).is_some());
    assert_eq!(outbox.to_user(BOB).len(), LETTERS_KEPT_PER_USER_MAX);
    for number in 0..LETTERS_KEPT_MAX {
        let mut user = [9; 20];
        user[..8].copy_from_slice(&number.to_be_bytes());
        kept(&mut outbox, UserId(user), 1, &mut out);
    }
    assert_eq!((outbox.kept.len(), outbox.entries.len()), (LETTERS_KEPT_MAX, LETTERS_KEPT_MAX));
    assert!(outbox.to_user(BOB).is_empty());
    // All places of messages are free.
    let most = OUTBOX_MAX * USER_SHARE_FACTOR / (USER_SHARE_FACTOR + 1);
    let mut queued = 0;
    while outbox.room(&[ALICE]).is_ok() {
        outbox.queue(message_of(ALICE, queued), &mut out);
        queued += 1;
    }
    assert_eq!(queued, most);
}

#[test]
fn a_stored_message_that_is_sealed_anew_is_as_urgent_as_a_new_one_until_a_quorum_signs() {
    let (mut outbox, mut out, mut disk) =
        (Outbox::default(), Outputs::new([0; 32]), BTreeMap::new());
    let id = outbox.queue(message(1), &mut out);
    outbox.sealed(id, DEVICE, envelope(1), &mut out);
    assert!(outbox.get_mut(id).unwrap().advance(State::Stored));
    outbox.settle(id, now(0));
    assert!(outbox.due(now(MAIL_REPUBLISH_MS - 1)).is_empty());
    outbox.resend((ALICE, &BOBS), &[envelope(1).id()], Mono(5));
    outbox.save(id, &mut out);
    rows(&mut out, &mut disk);
    for mut outbox in [outbox, restored(&disk)] {
        // Its state does not go back, but it is tried soon, and has its place in the window.
        let entry = outbox.get(id).unwrap();
        assert!(entry.state == State::Stored && entry.targets.is_empty());
        assert_eq!(outbox.unsealed(BOB), [id]);
        outbox.put_off(id, true, now(5));
        assert_eq!(outbox.due(now(5 + RETRY_MIN_MS)), [id]);
        outbox.sealed(id, DEVICE, envelope(2), &mut out);
        assert!(outbox.get(id).unwrap().is_under_way() && outbox.unsealed(BOB).is_empty());
        outbox.settle(id, now(5));
        assert!(!outbox.get(id).unwrap().is_urgent());
        assert!(outbox.due(now(MAIL_REPUBLISH_MS)).is_empty());
    }
}

#[test]
fn what_has_arrived_is_not_sealed_anew() {
    let (mut outbox, mut out) = (Outbox::default(), Outputs::new([0; 32]));
    let id = outbox.queue(message(1), &mut out);
    outbox.sealed(id, DEVICE, envelope(1), &mut out);
    assert!(outbox.get_mut(id).unwrap().advance(State::Delivered));
    assert!(outbox.resend((ALICE, &BOBS), &[envelope(1).id()], Mono(5)).is_empty());
}

#[test]
fn stored_messages_have_their_turn_one_after_the_other() {
    let (mut outbox, mut out) = (Outbox::default(), Outputs::new([0; 32]));
    let ids: Vec<_> = (1..=6).map(|number| outbox.queue(message(number), &mut out)).collect();
    for id in &ids[..5] {
        assert!(outbox.get_mut(*id).unwrap().advance(State::Stored));
    }
    assert!(outbox.get_mut(ids[1]).unwrap().advance(State::Delivered));
    kept(&mut outbox, BOB, 1, &mut out);
    assert_eq!(outbox.next_stored(2), [ids[0], ids[2]]);
    assert_eq!(outbox.next_stored(3), [ids[3], ids[4], ids[0]]);
    outbox.remove(ids[2], &mut out);
    assert_eq!(outbox.next_stored(9), [ids[3], ids[4], ids[0]]);
    assert_eq!(Outbox::default().next_stored(9), []);
}

#[test]
fn a_holder_that_lost_it_counts_no_more_and_one_that_says_it_was_removed_is_checked() {
    let (first, second) = (NodeId([1; 20]), NodeId([2; 20]));
    let mut target = Target::of(envelope(1));
    for node in [first, second] {
        target.holders.insert(node, Timestamp(7));
    }
    assert!(target.is_stored(2));
    assert!(target.lose(first) && !target.lose(first));
    assert!(target.has_failed(first) && !target.is_stored(2));
    assert!(!target.lose(NodeId([3; 20])), "it never signed");
    let mut signed = Target::of(envelope(1));
    for number in 0..=HOLDERS_SIGNED_MAX as u64 {
        signed.sign(NodeId([u8::try_from(number).unwrap(); 20]), Timestamp(1_000 - number));
    }
    let last = NodeId([u8::try_from(HOLDERS_SIGNED_MAX).unwrap(); 20]);
    assert!(signed.holders.len() == HOLDERS_SIGNED_MAX && !signed.holders.contains_key(&last));
    for number in 0..2 * HOLDERS_LOST_MAX {
        let node = NodeId([u8::try_from(number).unwrap(); 20]);
        target.holders.insert(node, Timestamp(7));
        target.lose(node);
    }
    assert_eq!(target.lost.len(), HOLDERS_LOST_MAX);
    // Nobody has shown it since: it may be true.
    target.removed.insert(second);
    assert_eq!(target.begin_round(), BTreeSet::new());
    target.removed.insert(second);
    target.shown = 1;
    assert_eq!(target.begin_round(), BTreeSet::from([second]));
    assert_eq!(target.begin_round(), BTreeSet::new());
}
