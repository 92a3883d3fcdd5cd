//! Lookups, puts and upkeep of one node, step by step.

use bytchat_proto::limits::{
    HOLDERS, HOLDERS_MAX, LOOKUP_CANDIDATES_MAX, LOOKUP_PARALLEL, LOOKUPS_MAX, LOOKUPS_WAITING_MAX,
    PUTS_MAX, REPUBLISH_MS, REQUEST_SOFT_TIMEOUT_MS, REQUEST_TIMEOUT_MS,
};
use bytchat_proto::point::Point;
use bytchat_proto::record::RecordKind;
use bytchat_proto::wire::{Contacts, Refusal, Request, Response};

use super::keys::{START, accounts, at, believed, contact, network, peer, verified};
use crate::dht::lookup::{Lookup, Why};
use crate::dht::rtt::Rtt;
use crate::dht::{Ask, Dht, Event, Failure, Peer, PutError, TooBusy};
use crate::io::{Output, Outputs};
use crate::persist::{Table, Write};
use crate::time::Mono;

fn outputs() -> Outputs {
    Outputs::new([7; 32])
}

/// A node that knows so many others, and has nothing in flight.
fn knowing(count: u64) -> (Dht, Outputs) {
    let mut dht = Dht::new(contact(0), network()).unwrap();
    let mut out = outputs();
    for seed in 1..=count {
        dht.saw(verified(&contact(seed)), Some(50), at(0), &mut out);
    }
    while dht.poll_event().is_some() {}
    (dht, out)
}

fn asks(dht: &mut Dht) -> Vec<Ask> {
    std::iter::from_fn(|| dht.poll_ask()).collect()
}

fn events(dht: &mut Dht) -> Vec<Event> {
    std::iter::from_fn(|| dht.poll_event()).collect()
}

fn found_nodes(event: Event) -> Option<Vec<Peer>> {
    let Event::Found { closest, .. } = event else {
        return None;
    };
    Some(closest)
}

fn nodes(seeds: &[u64]) -> Response {
    let contacts = seeds.iter().map(|seed| contact(*seed)).collect();
    Response::Nodes(Contacts { contacts })
}

#[test]
fn a_lookup_of_a_lonely_node_ends_at_once() {
    let (mut dht, mut out) = knowing(0);
    let wanted = dht.find(Point([1; 20]), None, at(0), &mut out).unwrap();
    let found = events(&mut dht);
    let [Event::Found { lookup, closest, .. }] = &found[..] else {
        panic!("expected one result, got {found:?}")
    };
    assert!(*lookup == wanted && closest.is_empty());
}

#[test]
fn a_lookup_asks_in_parallel_and_follows_the_answers() {
    let (mut dht, mut out) = knowing(15);
    let target = peer(99).point();
    dht.find(target, None, at(0), &mut out).unwrap();
    let first = asks(&mut dht);
    assert_eq!(first.len(), LOOKUP_PARALLEL);
    assert!(first.iter().all(|ask| ask.request == Request::FindNode { target }));
    dht.handle_answer(first[0].id, Ok(&nodes(&[99])), 40, at(40), &mut out);
    let second = asks(&mut dht);
    assert_eq!(second.len(), 1);
    assert_eq!(second[0].to, peer(99));
    let mut rest: Vec<Ask> = first[1..].iter().chain(&second).cloned().collect();
    while let Some(ask) = rest.pop() {
        dht.handle_answer(ask.id, Ok(&nodes(&[])), 40, at(80), &mut out);
        rest.extend(asks(&mut dht));
    }
    let closest = events(&mut dht).into_iter().find_map(found_nodes);
    assert_eq!(closest.unwrap()[0], peer(99));
    // It has answered, so it is live now.
    assert!(dht.peers().any(|it| *it == peer(99)));
}

#[test]
fn a_node_is_asked_again_when_its_link_breaks_and_given_up_when_it_is_silent() {
    let (mut dht, mut out) = knowing(1);
    dht.find(Point([1; 20]), None, at(1), &mut out).unwrap();
    let first = asks(&mut dht);
    dht.handle_answer(first[0].id, Err(Failure::Broken), 0, at(1), &mut out);
    let mut asked = first.len() + asks(&mut dht).len();
    let mut now = 1;
    while let Some(deadline) = dht.poll_timeout() {
        now = deadline.at.0.max(now);
        if now > 4 * REQUEST_TIMEOUT_MS {
            break;
        }
        dht.handle_timeout(at(now), &mut out);
        let target = Point([1; 20]);
        let is_ours = |ask: &&Ask| ask.request == Request::FindNode { target };
        asked += asks(&mut dht).iter().filter(is_ours).count();
    }
    assert_eq!(asked, 2);
    let found = events(&mut dht);
    assert!(matches!(&found[..], [Event::Found { answered: 0, .. }]));
}

#[test]
fn waits_follow_what_was_measured() {
    let (mut dht, mut out) = knowing(1);
    dht.find(Point([1; 20]), None, at(1), &mut out).unwrap();
    let known = asks(&mut dht).remove(0);
    assert_eq!(known.soft_timeout_ms, 150);
    assert_eq!(known.timeout_ms, REQUEST_TIMEOUT_MS);
    dht.handle_answer(known.id, Ok(&nodes(&[2])), 50, at(51), &mut out);
    let stranger = asks(&mut dht).remove(0);
    assert_eq!(stranger.soft_timeout_ms, REQUEST_SOFT_TIMEOUT_MS);
}

#[test]
fn an_unreachable_node_is_not_asked_twice_and_a_late_answer_is_harmless() {
    let (mut dht, mut out) = knowing(1);
    dht.find(Point([1; 20]), None, at(1), &mut out).unwrap();
    let ask = asks(&mut dht).remove(0);
    dht.handle_answer(ask.id, Err(Failure::Unreachable), 0, at(2), &mut out);
    assert!(asks(&mut dht).is_empty());
    assert_eq!(events(&mut dht).len(), 1);
    dht.handle_answer(ask.id, Ok(&Response::Done), 0, at(3), &mut out);
    assert!(events(&mut dht).is_empty());
}

#[test]
fn a_flood_of_contacts_does_not_swell_a_lookup() {
    let mut lookup = Lookup::new(Point([1; 20]), None, Why::Find);
    (0..500).for_each(|seed| lookup.offer(peer(seed), None, Rtt::default()));
    let mut best: Vec<_> = (0..500).map(peer).collect();
    best.sort_by_key(|it| it.point().distance(Point([1; 20])));
    assert!(lookup.usable_peers().eq(best.iter().take(HOLDERS_MAX)));
    let mut asked = 0;
    while let Some(it) = lookup.next() {
        lookup.refused(it.node, false);
        asked += 1;
    }
    assert_eq!(asked, LOOKUP_CANDIDATES_MAX);
}

#[test]
fn too_many_lookups_and_puts_are_refused() {
    let (mut dht, mut out) = knowing(3);
    for _ in 0..LOOKUPS_MAX + LOOKUPS_WAITING_MAX {
        dht.find(Point([1; 20]), None, at(0), &mut out).unwrap();
    }
    assert_eq!(dht.find(Point([1; 20]), None, at(0), &mut out), Err(TooBusy));
    assert_eq!(dht.asks.len(), 3 * LOOKUPS_MAX);
    let (mut dht, mut out) = knowing(3);
    let record = believed(&accounts()[0].record(RecordKind::User, 1, START), START);
    for _ in 0..PUTS_MAX {
        dht.put(record.clone(), at(0), &mut out).unwrap();
    }
    let refused = dht.put(record, at(0), &mut out);
    assert_eq!(refused, Err(PutError::TooBusy(TooBusy)));
}

/// Answers every lookup with nothing, and gives the puts.
fn put_asks(dht: &mut Dht, out: &mut Outputs) -> Vec<Ask> {
    let mut puts = Vec::new();
    loop {
        let new = asks(dht);
        if new.is_empty() {
            return puts;
        }
        for ask in new {
            if matches!(ask.request, Request::PutRecord { .. }) {
                puts.push(ask);
            } else if matches!(ask.request, Request::FindNode { .. }) {
                dht.handle_answer(ask.id, Ok(&nodes(&[])), 50, at(50), out);
            }
        }
    }
}

#[test]
fn a_put_turns_to_the_next_when_one_refuses() {
    let (mut dht, mut out) = knowing(15);
    let record = believed(&accounts()[0].record(RecordKind::User, 1, START), START);
    let slot = record.slot().unwrap();
    let own_too = dht.is_holder(slot.point);
    let put = dht.put(record, at(0), &mut out).unwrap();
    let first = put_asks(&mut dht, &mut out);
    assert_eq!(first.len(), HOLDERS - usize::from(own_too));
    let no = Response::refused(Refusal::Full, "");
    dht.handle_answer(first[0].id, Ok(&no), 50, at(100), &mut out);
    let next = put_asks(&mut dht, &mut out);
    assert_eq!(next.len(), 1);
    assert!(first.iter().all(|ask| ask.to != next[0].to));
    for ask in first[1..].iter().chain(&next) {
        dht.handle_answer(ask.id, Ok(&Response::Done), 50, at(150), &mut out);
    }
    let stored = events(&mut dht).into_iter().find(|it| matches!(it, Event::Stored { .. }));
    let Some(Event::Stored { put: it, ok, stale, .. }) = stored else {
        panic!("no result of the put")
    };
    assert_eq!((it, ok, stale), (put, true, None));
}

#[test]
fn a_put_learns_that_a_newer_record_is_held() {
    let (mut dht, mut out) = knowing(15);
    let record = believed(&accounts()[0].record(RecordKind::User, 1, START), START);
    dht.put(record, at(0), &mut out).unwrap();
    let all = put_asks(&mut dht, &mut out);
    let no = Response::refused(Refusal::Stale, "sequence 9");
    for ask in &all {
        dht.handle_answer(ask.id, Ok(&no), 50, at(100), &mut out);
    }
    assert!(put_asks(&mut dht, &mut out).is_empty());
    let stored = events(&mut dht).into_iter().find(|it| matches!(it, Event::Stored { .. }));
    assert!(matches!(stored, Some(Event::Stored { ok: false, stale: Some(9), .. })));
}

#[test]
fn a_put_of_a_node_that_is_cut_off_is_not_good() {
    let (mut dht, mut out) = knowing(4);
    let record = believed(&accounts()[0].record(RecordKind::User, 1, START), START);
    dht.put(record.clone(), at(0), &mut out).unwrap();
    for ask in asks(&mut dht) {
        dht.handle_answer(ask.id, Err(Failure::Unreachable), 0, at(5), &mut out);
    }
    let stored = events(&mut dht);
    assert!(matches!(&stored[..], [Event::Stored { ok: false, .. }]));
    // But one that is alone in its network is a network.
    let (mut dht, mut out) = knowing(0);
    dht.put(record, at(0), &mut out).unwrap();
    let stored = events(&mut dht);
    assert!(matches!(&stored[..], [Event::Stored { ok: true, asked: 1, .. }]));
}

#[test]
fn own_records_are_put_again_until_they_are_forgotten() {
    let (mut dht, mut out) = knowing(0);
    let record = believed(&accounts()[0].record(RecordKind::User, 1, START), START);
    let slot = record.slot().unwrap();
    dht.publish(record, at(0), &mut out).unwrap();
    assert_eq!(events(&mut dht).len(), 1);
    dht.handle_timeout(at(REPUBLISH_MS / 2), &mut out);
    assert!(events(&mut dht).is_empty());
    dht.handle_timeout(at(REPUBLISH_MS * 6 / 5), &mut out);
    assert_eq!(events(&mut dht).len(), 1);
    dht.forget_own(&slot);
    dht.handle_timeout(at(REPUBLISH_MS * 3), &mut out);
    assert!(events(&mut dht).is_empty());
}

#[test]
fn a_row_of_the_table_is_written_once_a_minute_at_most() {
    let (mut dht, mut out) = knowing(3);
    let rows = |out: &mut Outputs| match out.poll() {
        Some(Output::Persist(writes)) => writes,
        _ => Vec::new(),
    };
    assert_eq!(rows(&mut out).len(), 3);
    for (sequence, ms) in [(2, 1_000), (3, 2_000)] {
        let contact = super::keys::contact_in(1, "10.0.0.9:1", network(), sequence);
        dht.saw(verified(&contact), None, at(ms), &mut out);
    }
    assert!(rows(&mut out).is_empty());
    dht.handle_timeout(at(59_999), &mut out);
    assert!(rows(&mut out).is_empty());
    dht.handle_timeout(at(60_000), &mut out);
    let written = rows(&mut out);
    assert!(matches!(&written[..], [Write::Put { table: Table::Peer, .. }]));
}

#[test]
fn a_lonely_node_looks_around_less_and_less() {
    let (mut dht, mut out) = knowing(0);
    let mut wakes = Vec::new();
    while let Some(deadline) = dht.poll_timeout().filter(|it| it.at < Mono(3_600_000)) {
        wakes.push(deadline.at.0);
        dht.handle_timeout(at(deadline.at.0), &mut out);
    }
    assert!(wakes.windows(2).all(|pair| pair[0] < pair[1]));
    assert!(wakes.len() < 20, "{} wakes in an hour", wakes.len());
}

#[test]
fn what_is_pushed_to_neighbours_starts_with_ourselves_and_turns() {
    let (mut dht, _) = knowing(120);
    let first = dht.routing();
    let second = dht.routing();
    assert_eq!(first[0], contact(0));
    assert_eq!((first.len(), second.len()), (20, 20));
    assert_ne!(first, second);
}

#[test]
fn the_own_contact_can_be_renewed_but_not_replaced() {
    let (mut dht, _) = knowing(0);
    let moved = super::keys::contact_in(0, "10.9.9.9:9", network(), 2);
    dht.set_own(moved.clone());
    dht.set_own(contact(5));
    assert_eq!(dht.routing(), vec![moved]);
}
