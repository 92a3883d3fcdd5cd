//! A network that asks for work: where a node's record comes in, one without is refused.

use bytchat_proto::codec::encode;
use bytchat_proto::id::NetworkId;
use bytchat_proto::point::Point;
use bytchat_proto::record::{Contact, NodeRecord, RecordError};
use bytchat_proto::timestamp::Timestamp;
use bytchat_proto::wire::{Contacts, Refusal, Request, Response};
use serde::Serialize;

use super::keys::{START, accounts, at, contact_of};
use crate::dht::{Dht, Event};
use crate::io::Outputs;
use crate::stamp::{Terms, make};

const TERMS: u8 = 4;

fn terms() -> Terms {
    Terms { network: NetworkId::of("test", TERMS), work: TERMS }
}

fn with(seed: u64, stamp: Option<Vec<u8>>) -> Contact {
    contact_of(seed, |key| NodeRecord {
        network: terms().network,
        key,
        stamp: stamp.unwrap_or_else(|| make(terms(), key, 0, || true).unwrap()).into(),
        addresses: vec![format!("10.0.0.{seed}:1").parse().unwrap()],
        pod: None,
        sequence: 1,
    })
}

fn good(seed: u64) -> Contact {
    with(seed, None)
}

fn idle(seed: u64) -> Contact {
    with(seed, Some(Vec::new()))
}

fn dht() -> (Dht, Outputs) {
    (Dht::new(good(1), terms()).unwrap(), Outputs::new([7; 32]))
}

fn asked(dht: &mut Dht) -> Vec<Contact> {
    let asks = std::iter::from_fn(|| dht.poll_ask());
    asks.map(|ask| (*ask.to.contact).clone()).collect()
}

#[test]
fn a_node_without_a_stamp_does_not_start() {
    let refused = Dht::new(idle(1), terms()).err();
    assert_eq!(refused, Some(RecordError::Work { bits: TERMS }));
}

#[test]
fn hearsay_without_a_stamp_is_not_even_tested() {
    let (mut dht, mut out) = dht();
    let from = good(2).peek().unwrap().node();
    dht.learned(&[good(4), idle(3), good(5)], from, at(1), &mut out);
    dht.handle_timeout(at(2), &mut out);
    assert_eq!(asked(&mut dht), [good(4)]);
    // Who names such a node has not asked for the work itself: it lies.
    assert_eq!(dht.defence(at(2)).quarantined, 1);
}

#[test]
fn an_answer_that_names_nodes_without_stamps_leads_nowhere() {
    let (mut dht, mut out) = dht();
    let met = good(2);
    let met = bytchat_proto::record::verify_contact(&met, terms().network).unwrap();
    dht.saw(met, None, at(1), &mut out);
    dht.find(Point([9; 20]), None, at(1), &mut out).unwrap();
    let ask = dht.poll_ask().unwrap();
    let contacts = vec![idle(3), idle(4)];
    let answer = Response::Nodes(Contacts { contacts });
    dht.handle_answer(ask.id, Ok(&answer), 5, at(10), &mut out);
    assert_eq!(asked(&mut dht), []);
    let found = std::iter::from_fn(|| dht.poll_event()).find_map(|event| match event {
        Event::Found { closest, .. } => Some(closest.len()),
        Event::Stored { .. } | Event::NeighboursChanged | Event::Crowded(_) => None,
    });
    // The only node that is known has lied.
    assert_eq!((found, dht.peer_count()), (Some(0), 0));
}

#[test]
fn a_row_without_a_stamp_is_dropped() {
    #[derive(Serialize)]
    struct Row {
        contact: Contact,
        seen: Timestamp,
    }
    let (mut dht, mut out) = dht();
    for contact in [idle(3), good(4)] {
        let key = contact.peek().unwrap().node();
        let row = encode(&Row { contact, seen: START });
        dht.restore_peer(key.as_bytes(), &row, at(0));
    }
    dht.handle_timeout(at(2), &mut out);
    let tested = asked(&mut dht);
    assert!(tested.contains(&good(4)) && !tested.contains(&idle(3)));
}

#[test]
fn a_location_at_a_node_without_a_stamp_is_refused() {
    let (mut dht, mut out) = dht();
    let account = &accounts()[0];
    let mut put = |contact| {
        let record = account.location(contact, START);
        dht.handle_request(None, &Request::PutRecord { record }, at(0), &mut out)
    };
    let refused = put(idle(3));
    assert!(
        matches!(refused, Some(Response::Refused { reason: Refusal::Malformed, .. })),
        "{refused:?}"
    );
    assert_eq!(put(good(4)), Some(Response::Done));
}
