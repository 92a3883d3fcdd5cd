//! The outbox by its rows.

mod again;

use bytchat_proto::envelope::{ENCAPSULATION_BYTES, MessageReceipt, Party, TAG_BYTES};
use bytchat_proto::id::{Fingerprint, NodeId};
use bytchat_proto::limits::{
    MAIL_REPUBLISH_MS, OUTBOX_ANSWERS_MAX, OUTBOX_ANSWERS_PER_CONTACT_MAX,
    OUTBOX_ANSWERS_PER_STRANGER_MAX, RETRY_MIN_MS,
};
use bytchat_proto::rpc::message::State;
use bytchat_proto::timestamp::Timestamp;

use super::*;
use crate::io::Output;
use crate::persist::Write;

const ALICE: UserId = UserId([1; 20]);
const BOB: UserId = UserId([2; 20]);
const DEVICE: DeviceKey = DeviceKey([3; 32]);

fn now(ms: u64) -> Now {
    Now { mono: Mono(ms), wall: Timestamp(1_000_000 + ms) }
}

fn message(number: u8) -> Entry {
    let content = block_content(vec![number]);
    Entry { block: Some(BlockId([number; 32])), ..entry(ALICE, BOB, content, now(0)) }
}

fn envelope(number: u8) -> Envelope {
    let sealed = vec![number; 2048 + TAG_BYTES];
    Envelope::assemble(BOB, DEVICE, 1, &[0; ENCAPSULATION_BYTES], &sealed).unwrap()
}

/// Applies writes to rows as the store would.
fn rows(out: &mut Outputs, rows: &mut BTreeMap<Vec<u8>, Vec<u8>>) {
    while let Some(output) = out.poll() {
        let Output::Persist(writes) = output else {
            continue;
        };
        for write in writes {
            match write {
                Write::Put { key, value, .. } => rows.insert(key, value),
                Write::Remove { key, .. } => rows.remove(&key),
            };
        }
    }
}

fn restored(rows: &BTreeMap<Vec<u8>, Vec<u8>>) -> Outbox {
    let mut outbox = Outbox::default();
    for (key, value) in rows {
        outbox.restore(key, value);
    }
    outbox.restored();
    outbox
}

#[test]
fn a_message_that_arrived_is_found_again_until_its_row_says_so() {
    let (mut outbox, mut out, mut disk) =
        (Outbox::default(), Outputs::new([0; 32]), BTreeMap::new());
    let id = outbox.queue(message(1), &mut out);
    outbox.queue(message(2), &mut out);
    assert!(outbox.get_mut(id).unwrap().advance(State::Delivered));
    assert!(outbox.get(id).unwrap().is_done());
    outbox.save(id, &mut out);
    rows(&mut out, &mut disk);
    let expected = vec![(ALICE, BlockId([1; 32]), State::Delivered)];
    assert_eq!(restored(&disk).advanced(), expected);
}

#[test]
fn everything_comes_back_from_the_rows() {
    let (mut outbox, mut out, mut disk) =
        (Outbox::default(), Outputs::new([0; 32]), BTreeMap::new());
    let id = outbox.queue(message(1), &mut out);
    outbox.sealed(id, DEVICE, envelope(1), &mut out);
    outbox.get_mut(id).unwrap().target_mut(DEVICE).holders.insert(NodeId([9; 20]), Timestamp(7));
    outbox.save(id, &mut out);
    rows(&mut out, &mut disk);
    let again = restored(&disk);
    let entry = again.get(id).unwrap();
    assert_eq!(entry.targets[&DEVICE].envelope.as_ref().unwrap().id(), envelope(1).id());
    assert_eq!(entry.stored_count(), 1);
    assert_eq!(again.of_block(ALICE, BlockId([1; 32])), Some(id));
    assert_eq!(again.bytes, envelope(1).as_bytes().len());
}

#[test]
fn numbers_are_not_used_again_after_a_restart() {
    let (mut outbox, mut out, mut disk) =
        (Outbox::default(), Outputs::new([0; 32]), BTreeMap::new());
    let first = outbox.queue(message(1), &mut out);
    rows(&mut out, &mut disk);
    let second = restored(&disk).queue(message(2), &mut out);
    assert!(second > first);
}

#[test]
fn what_has_gone_leaves_no_row() {
    let (mut outbox, mut out, mut disk) =
        (Outbox::default(), Outputs::new([0; 32]), BTreeMap::new());
    let id = outbox.queue(message(1), &mut out);
    outbox.sealed(id, DEVICE, envelope(1), &mut out);
    outbox.sealed(id, DEVICE, envelope(2), &mut out);
    outbox.remove(id, &mut out);
    rows(&mut out, &mut disk);
    assert!(disk.is_empty());
    assert_eq!((outbox.bytes, outbox.count()), (0, 0));
}

#[test]
fn an_unread_envelope_is_sealed_anew() {
    let (mut outbox, mut out) = (Outbox::default(), Outputs::new([0; 32]));
    let id = outbox.queue(message(1), &mut out);
    outbox.sealed(id, DEVICE, envelope(1), &mut out);
    outbox.put_off(id, true, now(0));
    assert!(outbox.due(now(5)).is_empty());
    let (unread, fingerprint) = ([envelope(1).id()], Fingerprint([0; 64]));
    let bob = Party { user: BOB, fingerprint, device: DEVICE };
    let others = [
        (BOB, bob),
        (ALICE, Party { user: ALICE, ..bob }),
        (ALICE, Party { device: DeviceKey([99; 32]), ..bob }),
    ];
    for (account, to) in others {
        assert!(outbox.resend((account, &to), &unread, Mono(5)).is_empty());
    }
    assert_eq!(outbox.resend((ALICE, &bob), &unread, Mono(5)), vec![id]);
    assert!(outbox.get(id).unwrap().targets.is_empty());
    assert_eq!(outbox.due(now(5)), vec![id]);
}

#[test]
fn tries_come_later_and_later_and_rarely_once_stored() {
    let mut entry = message(1);
    entry.put_off(true, now(0));
    assert_eq!(entry.next_try, Mono(RETRY_MIN_MS));
    entry.put_off(true, now(0));
    assert_eq!(entry.next_try, Mono(2 * RETRY_MIN_MS));
    assert!(entry.advance(State::Stored));
    entry.put_off(true, now(0));
    assert_eq!(entry.next_try, Mono(MAIL_REPUBLISH_MS));
}

#[test]
fn a_stored_message_whose_recipient_is_not_found_is_tried_again_soon() {
    let mut entry = message(1);
    assert!(entry.advance(State::Stored));
    entry.put_off(false, now(0));
    assert_eq!(entry.next_try, Mono(RETRY_MIN_MS));
}

#[test]
fn a_state_never_goes_back() {
    let mut entry = message(1);
    assert!(entry.advance(State::Delivered));
    assert!(!entry.advance(State::Stored));
    assert_eq!(entry.state, State::Delivered);
}

#[test]
fn receipts_do_not_count_as_messages() {
    let (mut outbox, mut out) = (Outbox::default(), Outputs::new([0; 32]));
    let receipt = MessageReceipt { blocks: vec![], read: false, at: Timestamp(0) };
    outbox.queue(entry(ALICE, BOB, Content::Receipt(receipt), now(0)), &mut out);
    assert_eq!(outbox.count(), 0);
}

#[test]
fn the_order_of_tries_is_that_of_the_entries_whatever_happens() {
    let (mut outbox, mut out) = (Outbox::default(), Outputs::new([0; 32]));
    let ids: Vec<_> = (1..=4).map(|number| outbox.queue(message(number), &mut out)).collect();
    assert_eq!(outbox.due(now(0)), ids);
    for (put_off, id) in ids.iter().enumerate() {
        for _ in 0..=put_off {
            outbox.put_off(*id, true, now(0));
        }
    }
    outbox.remove(ids[0], &mut out);
    outbox.sealed(ids[3], DEVICE, envelope(4), &mut out);
    let bob = Party { user: BOB, fingerprint: Fingerprint([0; 64]), device: DEVICE };
    assert_eq!(outbox.resend((ALICE, &bob), &[envelope(4).id()], Mono(7)), [ids[3]]);
    let first = outbox.entries.values().map(|entry| entry.next_try).min().unwrap();
    assert_eq!((first, outbox.poll_timeout().unwrap().at), (Mono(7), Mono(7)));
    assert_eq!(outbox.due(now(7)), [ids[3]]);
    assert_eq!(outbox.due(now(4 * RETRY_MIN_MS)), ids[1..]);
    assert_eq!(outbox.to_user(BOB), ids[1..]);
    assert_eq!(outbox.tries.len(), outbox.entries.len());
}

#[test]
fn what_only_this_node_holds_is_no_safer_than_before() {
    let (own, other) = (NodeId([1; 20]), NodeId([2; 20]));
    let mut entry = message(1);
    entry.target_mut(DEVICE).holders.insert(own, Timestamp(7));
    assert!(entry.is_stored(1) && !entry.is_held_elsewhere(own));
    entry.target_mut(DEVICE).holders.insert(other, Timestamp(7));
    assert!(entry.is_held_elsewhere(own));
}

fn message_of(account: UserId, number: usize) -> Entry {
    let mut block = [account.0[0]; 32];
    block[24..].copy_from_slice(&number.to_be_bytes());
    Entry { account, block: Some(BlockId(block)), ..message(1) }
}

#[test]
fn nobody_shuts_the_others_out_and_who_is_alone_has_most_of_the_room() {
    let (mut outbox, mut out, mut disk) =
        (Outbox::default(), Outputs::new([0; 32]), BTreeMap::new());
    let most = OUTBOX_MAX * USER_SHARE_FACTOR / (USER_SHARE_FACTOR + 1);
    let own = [ALICE, UserId([9; 20])];
    let mut ids = Vec::new();
    while outbox.room(&own).is_ok() {
        let account = own[ids.len() % 2];
        ids.push(outbox.queue(message_of(account, ids.len()), &mut out));
    }
    assert_eq!((ids.len(), outbox.room(&own)), (most, Err(Full::Share(most))));
    // Others still find room, each less, and receipts are nobody's.
    let mut queued = 0;
    while outbox.room(&[BOB]).is_ok() {
        queued += 1;
        outbox.queue(message_of(BOB, queued), &mut out);
    }
    assert_eq!(queued, (OUTBOX_MAX - most) * USER_SHARE_FACTOR / (USER_SHARE_FACTOR + 1));
    outbox.queue(Entry { block: None, ..message_of(BOB, 1) }, &mut out);
    assert_eq!(outbox.room(&[BOB]), Err(Full::Share(queued)));
    assert_eq!(outbox.room(&[UserId([7; 20])]), Ok(()));
    // The same after a restart.
    rows(&mut out, &mut disk);
    let mut again = restored(&disk);
    assert_eq!(again.own, outbox.own);
    // It comes back with what has gone.
    for id in ids {
        again.remove(id, &mut out);
    }
    assert_eq!((again.room(&own), again.own.len()), (Ok(()), 1));
}

#[test]
fn the_bytes_of_a_user_are_shared_likewise_and_counted_back() {
    let (mut outbox, mut out, mut disk) =
        (Outbox::default(), Outputs::new([0; 32]), BTreeMap::new());
    let id = outbox.queue(message(1), &mut out);
    outbox.sealed(id, DEVICE, envelope(1), &mut out);
    outbox.sealed(id, DEVICE, envelope(2), &mut out);
    let bytes = envelope(1).as_bytes().len();
    assert_eq!((outbox.bytes, outbox.own[&ALICE].bytes), (bytes, bytes));
    outbox.save(id, &mut out);
    rows(&mut out, &mut disk);
    let mut again = restored(&disk);
    assert_eq!((again.bytes, again.own[&ALICE].bytes), (bytes, bytes));
    let most = OUTBOX_BYTES_MAX * USER_SHARE_FACTOR / (USER_SHARE_FACTOR + 1);
    again.weigh(Some(ALICE), most - bytes, 0);
    assert_eq!(again.room(&[ALICE]), Err(Full::Share(1)));
    assert_eq!(again.room(&[BOB]), Ok(()));
    again.weigh(Some(ALICE), 0, most - bytes);
    again.remove(id, &mut out);
    assert_eq!((again.bytes, again.own.len()), (0, 0));
}

/// A receipt for somebody.
fn receipt(to: UserId) -> Entry {
    let receipt = MessageReceipt { blocks: Vec::new(), read: false, at: Timestamp(0) };
    entry(ALICE, to, Content::Receipt(receipt), now(0))
}

/// Queues receipts for one user until there is room for no more.
fn answer(outbox: &mut Outbox, to: UserId, known: bool, out: &mut Outputs) -> usize {
    let mut count = 0;
    while outbox.may_answer(to, known) {
        outbox.queue(receipt(to), out);
        count += 1;
    }
    count
}

#[test]
fn whoever_makes_us_answer_takes_no_place_of_messages_nor_all_those_of_answers() {
    let (mut outbox, mut out) = (Outbox::default(), Outputs::new([0; 32]));
    let stranger = |number: usize| {
        let mut id = [9; 20];
        id[..8].copy_from_slice(&number.to_be_bytes());
        UserId(id)
    };
    assert_eq!(answer(&mut outbox, BOB, true, &mut out), OUTBOX_ANSWERS_PER_CONTACT_MAX);
    let counts: Vec<usize> = (0..2 * OUTBOX_ANSWERS_MAX / OUTBOX_ANSWERS_PER_STRANGER_MAX)
        .map(|number| answer(&mut outbox, stranger(number), false, &mut out))
        .collect();
    assert_eq!(counts[0], OUTBOX_ANSWERS_PER_STRANGER_MAX);
    assert_eq!(outbox.answers(), OUTBOX_ANSWERS_MAX / 2);
    assert_eq!(answer(&mut outbox, UserId([4; 20]), true, &mut out), 1_000);
    let others = 0..OUTBOX_ANSWERS_MAX;
    let more: usize = others.map(|it| answer(&mut outbox, stranger(it), true, &mut out)).sum();
    assert!(more > 0);
    assert_eq!(outbox.answers(), OUTBOX_ANSWERS_MAX);
    assert_eq!(outbox.room(&[ALICE]), Ok(()));
    let mut fills = Fills::default();
    outbox.fills(&mut fills);
    assert_eq!(fills.above().count(), 0);
}

#[test]
fn the_messages_of_one_account_come_in_the_order_of_their_ids_and_receipts_do_not() {
    let (mut outbox, mut out) = (Outbox::default(), Outputs::new([7; 32]));
    for number in [3, 1, 2] {
        outbox.queue(message(number), &mut out);
    }
    outbox.queue(entry(ALICE, BOB, block_content(vec![9]), now(0)), &mut out);
    let of_bob = Entry { account: BOB, ..message(1) };
    outbox.queue(of_bob, &mut out);
    let ids = |after: Option<u8>| -> Vec<u8> {
        let after = after.map(|number| BlockId([number; 32]));
        outbox.of_account(ALICE, after).map(|entry| entry.block.unwrap().0[0]).collect()
    };
    assert_eq!(ids(None), [1, 2, 3]);
    assert_eq!(ids(Some(1)), [2, 3]);
    assert!(ids(Some(3)).is_empty());
}
