//! What a holder takes, refuses, keeps and gives up.

use bytchat_proto::codec::encode;
use bytchat_proto::id::NetworkId;
use bytchat_proto::limits::{
    BUCKET_CONTACTS_MAX, CLOCK_SKEW_MS, DAY_MS, RECORD_TTL_MAX_MS, RECORD_TTL_MIN_MS,
};
use bytchat_proto::record::{Record, RecordKind};
use bytchat_proto::wire::{Refusal, Request, Response};

use super::keys::{Account, START, accounts, at, believed, contact, network, peer, verified};
use crate::dht::Dht;
use crate::dht::lookup::Slotted;
use crate::dht::records::{Kept, Quota, Records, row_key};
use crate::io::{Output, Outputs};
use crate::persist::{Table, Write};
use crate::time::{Doubt, Mono};

fn outputs() -> Outputs {
    Outputs::new([7; 32])
}

fn dht() -> Dht {
    Dht::new(contact(0), network()).unwrap()
}

fn put(dht: &mut Dht, record: &Record, out: &mut Outputs) -> Response {
    let record = record.clone();
    let request = Request::PutRecord { record };
    dht.handle_request(None, &request, at(0), out).unwrap()
}

fn refusal(response: &Response) -> Option<Refusal> {
    let Response::Refused { reason, .. } = response else {
        return None;
    };
    Some(*reason)
}

fn writes(out: &mut Outputs) -> Vec<Write> {
    match out.poll() {
        Some(Output::Persist(writes)) => writes,
        _ => Vec::new(),
    }
}

fn slotted(record: &Record) -> Slotted {
    let record = believed(record, START);
    Slotted { slot: record.slot().unwrap(), record: record.into() }
}

fn account() -> &'static Account {
    &accounts()[0]
}

#[test]
fn a_good_record_is_kept_and_written_and_handed_out() {
    let (mut dht, mut out) = (dht(), outputs());
    let record = account().record(RecordKind::Profile, 5, START);
    assert_eq!(put(&mut dht, &record, &mut out), Response::Done);
    let slot = slotted(&record).slot;
    let expected = Write::Put { table: Table::Record, key: row_key(&slot), value: encode(&record) };
    assert_eq!(writes(&mut out), vec![expected]);
    assert_eq!(dht.holds(slot.point, RecordKind::Profile).len(), 1);
    let ask = |kind| Request::FindRecord { target: slot.point, kind };
    let found = dht.handle_request(None, &ask(RecordKind::Profile), at(0), &mut out);
    let expected = Response::Records { records: vec![record], contacts: vec![] };
    assert_eq!(found, Some(expected));
    let other = dht.handle_request(None, &ask(RecordKind::User), at(0), &mut out);
    assert!(matches!(other, Some(Response::Records { records, .. }) if records.is_empty()));
}

#[test]
fn an_older_record_is_refused_with_the_number_that_is_held() {
    let (mut dht, mut out) = (dht(), outputs());
    let new = account().record(RecordKind::Profile, 5, START);
    let old = account().record(RecordKind::Profile, 4, START);
    put(&mut dht, &new, &mut out);
    assert_eq!(put(&mut dht, &old, &mut out), Response::refused(Refusal::Stale, "sequence 5"));
    assert_eq!(put(&mut dht, &new, &mut out), Response::Done);
    let newer = account().record(RecordKind::Profile, 6, START);
    assert_eq!(put(&mut dht, &newer, &mut out), Response::Done);
    assert_eq!(dht.record_count(), 1);
}

#[test]
fn of_two_records_with_one_number_all_holders_keep_the_same() {
    let mut bodies = [1, 2].map(|_| account().body(RecordKind::Profile, 5, START));
    bodies[1].expires = bodies[1].expires.minus_ms(1);
    let [a, b] = bodies.map(|body| account().signed(&body));
    let kept = [[&a, &b], [&b, &a]].map(|order| {
        let (mut dht, mut out) = (dht(), outputs());
        let answers = order.map(|record| put(&mut dht, record, &mut out));
        assert_eq!(answers[0], Response::Done);
        let point = slotted(&a).slot.point;
        dht.holds(point, RecordKind::Profile)[0].source().clone()
    });
    assert_eq!(kept[0], kept[1]);
}

#[test]
fn forged_foreign_expired_and_odd_records_are_refused() {
    let (mut dht, mut out) = (dht(), outputs());
    let body = || account().body(RecordKind::Profile, 5, START);
    let good = account().signed(&body());
    let forged = Record::assemble(good.signed_bytes().to_vec(), vec![1; 384]);
    let mut foreign = body();
    foreign.network = NetworkId::of_name("other");
    let mut expired = body();
    expired.created = START.minus_ms(RECORD_TTL_MIN_MS + 1);
    expired.expires = START;
    let mut future = body();
    future.created = START.plus_ms(CLOCK_SKEW_MS + 1);
    future.expires = future.created.plus_ms(RECORD_TTL_MIN_MS);
    let mut eternal = body();
    eternal.expires = START.plus_ms(RECORD_TTL_MAX_MS + 1);
    let mut of_another = body();
    of_another.body = accounts()[1].body(RecordKind::Profile, 5, START).body;
    let cases = [
        (forged, Refusal::BadSignature),
        (account().signed(&foreign), Refusal::Malformed),
        (account().signed(&expired), Refusal::Expired),
        (account().signed(&future), Refusal::Malformed),
        (account().signed(&eternal), Refusal::Malformed),
        (account().signed(&of_another), Refusal::Malformed),
        (Record::assemble(vec![0xff; 40], vec![]), Refusal::Malformed),
        (Record::assemble(vec![0; 50_000], vec![]), Refusal::Malformed),
    ];
    for (record, expected) in cases {
        assert_eq!(refusal(&put(&mut dht, &record, &mut out)), Some(expected));
    }
    assert_eq!(dht.record_count(), 0);
    assert!(writes(&mut out).is_empty());
}

#[test]
fn a_node_far_away_refuses() {
    let (mut dht, mut out) = (dht(), outputs());
    let record = account().record(RecordKind::Profile, 1, START);
    let point = slotted(&record).slot.point;
    let own = peer(0).point().distance(point);
    let closer: Vec<u64> = (1..)
        .filter(|seed| peer(*seed).point().distance(point) < own)
        .take(BUCKET_CONTACTS_MAX)
        .collect();
    for seed in &closer[1..] {
        dht.saw(verified(&contact(*seed)), None, at(0), &mut out);
    }
    assert_eq!(put(&mut dht, &record, &mut out), Response::Done);
    dht.saw(verified(&contact(closer[0])), None, at(0), &mut out);
    assert!(dht.peer_count() == BUCKET_CONTACTS_MAX && !dht.is_holder(point));
    assert_eq!(refusal(&put(&mut dht, &record, &mut out)), Some(Refusal::NotClosest));
}

#[test]
fn a_full_holder_gives_up_the_farthest_and_never_a_nearer_one() {
    let quota = Quota { count: 2, ..Quota::default() };
    let own = peer(0);
    let mut records = Records::new(own.node, quota);
    let mut out = outputs();
    let mut all: Vec<Slotted> = accounts()
        .iter()
        .map(|account| slotted(&account.record(RecordKind::Profile, 1, START)))
        .collect();
    all.sort_by_key(|it| own.point().distance(it.slot.point));
    assert_eq!(records.keep(&all[1], Mono(0), &mut out), Kept::New);
    assert_eq!(records.keep(&all[2], Mono(0), &mut out), Kept::New);
    assert_eq!(records.keep(&all[3], Mono(0), &mut out), Kept::Full);
    assert_eq!(records.keep(&all[0], Mono(0), &mut out), Kept::New);
    assert!(records.get(&all[2].slot).is_none() && records.get(&all[1].slot).is_some());
    assert_eq!(records.len(), 2);
    let removed = writes(&mut out).into_iter().filter_map(|write| match write {
        Write::Remove { key, .. } => Some(key),
        Write::Put { .. } => None,
    });
    assert_eq!(removed.collect::<Vec<_>>(), vec![row_key(&all[2].slot)]);
}

#[test]
fn bytes_and_records_at_one_point_have_limits() {
    let [first, second] = [1, 2].map(|device| slotted(&account().prekey(device, 1, START)));
    let size = first.record.source().bytes_len();
    let tight = |per_point, bytes| Quota { count: 10, bytes, per_point };
    for quota in [tight(1, 10 * size), tight(5, size + size / 2)] {
        let mut records = Records::new(peer(0).node, quota);
        let mut out = outputs();
        assert_eq!(records.keep(&first, Mono(0), &mut out), Kept::New);
        assert_eq!(records.keep(&second, Mono(0), &mut out), Kept::Full);
        let newer = slotted(&account().prekey(1, 2, START));
        assert_eq!(records.keep(&newer, Mono(0), &mut out), Kept::New);
        assert_eq!(records.bytes(), newer.record.source().bytes_len());
    }
}

#[test]
fn a_record_ends_with_its_own_expiry_and_not_later() {
    let (mut dht, mut out) = (dht(), outputs());
    let record = account().record(RecordKind::Profile, 1, START);
    put(&mut dht, &record, &mut out);
    writes(&mut out);
    dht.handle_timeout(at(7 * DAY_MS - 1), &mut out);
    assert_eq!(dht.record_count(), 1);
    let deadline = dht.poll_timeout().unwrap();
    assert!(deadline.at <= Mono(7 * DAY_MS));
    dht.handle_timeout(at(7 * DAY_MS), &mut out);
    assert_eq!(dht.record_count(), 0);
    let key = row_key(&slotted(&record).slot);
    let table = Table::Record;
    assert!(writes(&mut out).contains(&Write::Remove { table, key }));
}

#[test]
fn rows_come_back_and_broken_rows_are_removed() {
    let (mut dht, mut out) = (dht(), outputs());
    let record = account().prekey(1, 1, START);
    let key = row_key(&slotted(&record).slot);
    assert_eq!(key.len(), 20 + 1 + 32);
    dht.restore_record(&key, &encode(&record), at(0));
    dht.restore_record(&key[1..], &encode(&record), at(0));
    dht.restore_record(b"broken", b"row", at(0));
    dht.restore_peer(b"broken", b"row", at(0));
    assert_eq!(dht.record_count(), 1);
    dht.handle_timeout(at(1), &mut out);
    let removed = writes(&mut out);
    assert_eq!(removed.len(), 3);
    assert!(removed.iter().all(|write| matches!(write, Write::Remove { .. })));
    let mut late = Dht::new(contact(0), network()).unwrap();
    late.restore_record(&key, &encode(&record), at(8 * DAY_MS));
    assert_eq!(late.record_count(), 0);
}

#[test]
fn verbs_of_others_are_left_to_them() {
    let (mut dht, mut out) = (dht(), outputs());
    let user = account().user();
    let request = Request::TakeKeys { user };
    assert_eq!(dht.handle_request(None, &request, at(0), &mut out), None);
    let pong = dht.handle_request(None, &Request::Ping, at(0), &mut out);
    assert_eq!(pong, Some(Response::Done));
}

#[test]
fn while_the_clock_is_in_doubt_every_possible_time_counts() {
    let (mut dht, mut out) = (dht(), outputs());
    let mut expired = account().body(RecordKind::Profile, 5, START);
    expired.created = START.minus_ms(RECORD_TTL_MIN_MS);
    expired.expires = START;
    let mut future = account().body(RecordKind::Profile, 6, START);
    future.created = START.plus_ms(CLOCK_SKEW_MS + 1);
    future.expires = future.created.plus_ms(RECORD_TTL_MIN_MS);
    let records = [expired, future].map(|body| account().signed(&body));
    for record in &records {
        assert!(refusal(&put(&mut dht, record, &mut out)).is_some());
    }
    dht.set_doubt(Doubt { earlier_ms: 1, later_ms: 1 });
    for record in &records {
        assert_eq!(put(&mut dht, record, &mut out), Response::Done);
    }
}
