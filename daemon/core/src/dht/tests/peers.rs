//! The routing table and its contacts.

use std::collections::BTreeSet;

use bytchat_proto::id::NetworkId;
use bytchat_proto::limits::{
    BUCKET_CONTACTS_MAX, BUCKET_REPLACEMENTS_MAX, CONTACTS_CHECKED_MAX, CONTACTS_PER_ANSWER_MAX,
    PREFIX_PER_BUCKET_MAX, PREFIX_PER_TABLE_MAX, UNTESTED_MAX,
};
use bytchat_proto::point::Point;
use bytchat_proto::record::{Contact, RecordError};

use super::keys::{at, contact, contact_in, network, peer, verified};
use crate::dht::bucket::Heard;
use crate::dht::contacts::{Checked, Peer, Untested};
use crate::dht::table::RoutingTable;
use crate::dht::{Dht, Event};
use crate::fill::Fills;
use crate::io::Outputs;
use crate::prefix::Prefix;
use crate::time::Mono;

fn outputs() -> Outputs {
    Outputs::new([7; 32])
}

/// Peers that fall into one bucket of the node 0.
fn of_bucket(index: u32, count: usize, make: impl Fn(u64) -> Peer) -> Vec<Peer> {
    let own = peer(0).point();
    let all = (1..).map(make);
    let fitting = all.filter(|it| it.point().distance(own).leading_zeros() == index);
    fitting.take(count).collect()
}

fn at_address(seed: u64, address: &str) -> Peer {
    Peer::new(verified(&contact_in(seed, address, network(), 1)))
}

#[test]
fn a_full_bucket_keeps_its_old_contacts_and_lets_others_wait() {
    let mut table = RoutingTable::new(peer(0).node);
    let peers = of_bucket(0, BUCKET_CONTACTS_MAX + BUCKET_REPLACEMENTS_MAX + 2, peer);
    let heard: Vec<Heard> = peers.iter().map(|it| table.heard(it, None, Mono(1))).collect();
    let joined = heard.iter().filter(|it| **it == Heard::Joined).count();
    assert_eq!(joined, BUCKET_CONTACTS_MAX);
    assert_eq!(table.len(), BUCKET_CONTACTS_MAX);
    assert!(table.get(peers[0].node).is_some());
    assert!(!table.has_room(peers[0].node));
}

#[test]
fn the_second_failure_makes_way_for_the_contact_heard_last() {
    let mut table = RoutingTable::new(peer(0).node);
    let peers = of_bucket(0, BUCKET_CONTACTS_MAX + 2, peer);
    for (ms, it) in (1..).zip(&peers) {
        table.heard(it, None, Mono(ms));
    }
    let gone = peers[3].node;
    let heard = Some(Mono(60_000));
    assert!(table.failed(gone, heard, Mono(10_000)).is_none());
    // A second request that was lost together with the first says nothing new.
    assert!(table.failed(gone, heard, Mono(10_100)).is_none());
    let evicted = table.failed(gone, heard, Mono(20_000)).unwrap();
    assert_eq!(evicted.successor, Some(peers[BUCKET_CONTACTS_MAX + 1].clone()));
    assert!(table.get(gone).is_none());
    assert_eq!(table.len(), BUCKET_CONTACTS_MAX);
}

#[test]
fn nobody_is_evicted_while_nobody_answers() {
    let mut table = RoutingTable::new(peer(0).node);
    table.heard(&peer(1), None, Mono(1));
    for ms in [10_000, 20_000, 30_000] {
        assert!(table.failed(peer(1).node, Some(Mono(1)), Mono(ms)).is_none());
    }
    assert!(table.failed(peer(1).node, Some(Mono(35_000)), Mono(40_000)).is_some());
}

#[test]
fn an_answer_wipes_out_a_failure() {
    let mut table = RoutingTable::new(peer(0).node);
    table.heard(&peer(1), None, Mono(1));
    assert!(table.failed(peer(1).node, Some(Mono(90_000)), Mono(10_000)).is_none());
    assert!(table.closest(peer(1).point(), 5, true).is_empty());
    table.heard(&peer(1), None, Mono(20_000));
    assert_eq!(table.closest(peer(1).point(), 5, true).len(), 1);
    assert!(table.failed(peer(1).node, Some(Mono(90_000)), Mono(30_000)).is_none());
}

#[test]
fn one_subnet_cannot_fill_a_bucket_or_the_table() {
    let mut table = RoutingTable::new(peer(0).node);
    let make = |seed: u64| at_address(seed, &format!("198.51.100.{}:{}", seed % 250, 4000 + seed));
    for it in of_bucket(0, 30, make) {
        table.heard(&it, None, Mono(1));
    }
    assert_eq!(table.len(), PREFIX_PER_BUCKET_MAX);
    (1..2000).for_each(|seed| {
        table.heard(&make(seed), None, Mono(2));
    });
    assert_eq!(table.len(), PREFIX_PER_TABLE_MAX);
    let stranger = at_address(5000, "203.0.113.1:4000");
    assert_eq!(table.heard(&stranger, None, Mono(3)), Heard::Joined);
}

#[test]
fn private_and_loopback_addresses_have_no_prefix() {
    let none = ["127.0.0.1", "10.1.2.3", "192.168.0.9", "172.16.5.5", "169.254.1.1"];
    let none6 = ["::1", "fd00::1", "fe80::1", "::ffff:10.0.0.1"];
    for address in none.iter().chain(&none6) {
        assert_eq!(Prefix::of(address.parse().unwrap()), None, "{address}");
    }
    let of = |text: &str| Prefix::of(text.parse().unwrap());
    assert_eq!(of("198.51.100.7"), Some(Prefix::V4([198, 51, 100])));
    assert_eq!(of("::ffff:198.51.100.7"), of("198.51.100.200"));
    assert_eq!(of("2001:db8:1:2::3"), of("2001:db8:1:ffff::9"));
    assert_ne!(of("2001:db8:1:2::3"), of("2001:db8:2:2::3"));
}

#[test]
fn a_contact_that_moves_into_a_full_subnet_loses_its_place() {
    let mut table = RoutingTable::new(peer(0).node);
    let make = |seed: u64| at_address(seed, &format!("198.51.100.9:{}", 4000 + seed));
    for it in of_bucket(0, PREFIX_PER_BUCKET_MAX, make) {
        table.heard(&it, None, Mono(1));
    }
    let mover = of_bucket(0, 1, |seed| at_address(seed + 5000, "203.0.113.1:9"));
    assert_eq!(table.heard(&mover[0], None, Mono(2)), Heard::Joined);
    let seed = (5001..).find(|seed| at_address(*seed, "203.0.113.1:9").node == mover[0].node);
    let moved = contact_in(seed.unwrap(), "198.51.100.1:9", network(), 2);
    assert_eq!(table.renew(&Peer::new(verified(&moved))), Heard::Waiting);
    assert_eq!(table.len(), PREFIX_PER_BUCKET_MAX);
}

#[test]
fn the_closest_are_the_closest_of_all() {
    let mut table = RoutingTable::new(peer(0).node);
    (1..400).for_each(|seed| {
        table.heard(&peer(seed), None, Mono(1));
    });
    let inside: Vec<Peer> = table.entries().map(|entry| entry.peer.clone()).collect();
    for seed in 1000..1050 {
        let point = peer(seed).point();
        let mut expected = inside.clone();
        expected.sort_by_key(|it| it.point().distance(point));
        let own = peer(0).point().distance(point);
        let closer = expected.iter().filter(|it| it.point().distance(point) < own);
        assert_eq!(table.closer_than_own(point), closer.count());
        expected.truncate(20);
        assert_eq!(table.closest(point, 20, false), expected);
    }
    let own = peer(0).point();
    let nearest = inside.iter().min_by_key(|it| it.point().distance(own));
    assert_eq!(table.closest(own, 1, false).first(), nearest);
}

#[test]
fn a_random_point_falls_into_its_bucket() {
    let table = RoutingTable::new(peer(0).node);
    for index in [0, 1, 7, 8, 9, 63, 64, 158, 159] {
        for random in [[0; 20], [0xff; 20], [0xa5; 20]] {
            let point = table.point_in(index, random);
            assert_eq!(table.index_of(point), Some(index));
        }
    }
    assert_eq!(table.index_of(peer(0).point()), None);
}

#[test]
fn forged_and_foreign_contacts_are_not_believed() {
    let mut checked = Checked::new(network().into());
    let good = contact(1);
    assert!(checked.check(&good).is_ok());
    let (bytes, _) = Contact::prepare(&good.peek().unwrap());
    let forged = Contact::assemble(bytes, vec![0; 64]);
    // The forgery has the bytes of a contact that was checked, but not its signature.
    assert!(matches!(checked.check(&forged), Err(RecordError::Verify(_))));
    let foreign = contact_in(2, "10.0.0.1:1", NetworkId::of_name("other"), 1);
    assert!(matches!(checked.check(&foreign), Err(RecordError::Network { .. })));
}

#[test]
fn what_is_learned_is_asked_before_it_gets_a_place() {
    let mut dht = Dht::new(contact(0), network()).unwrap();
    let mut out = outputs();
    let many: Vec<Contact> = (0..60).map(contact).collect();
    dht.learned(&many, peer(99).node, at(1), &mut out);
    dht.handle_timeout(at(2), &mut out);
    assert_eq!(dht.peer_count(), 0);
    let mut asked = BTreeSet::new();
    for ms in (10..20_000).step_by(100) {
        while let Some(ask) = dht.poll_ask() {
            assert_ne!(ask.to.node, peer(0).node);
            asked.insert(ask.to.node);
        }
        dht.handle_timeout(at(ms), &mut out);
    }
    // The own contact is one of the twenty that count, and is not asked.
    assert_eq!(asked.len(), CONTACTS_PER_ANSWER_MAX - 1);
    assert_eq!(dht.peer_count(), 0);
}

#[test]
fn hearsay_is_bounded() {
    let mut untested = Untested::default();
    for seed in 0..u64::try_from(UNTESTED_MAX).unwrap() + 50 {
        untested.add(peer(seed), false, Mono(seed));
    }
    let mut count = 0;
    while untested.next(Mono(1_000_000)).is_some() {
        count += 1;
    }
    assert_eq!(count, UNTESTED_MAX);
}

#[test]
fn a_node_without_addresses_or_of_another_network_gets_no_place() {
    let mut dht = Dht::new(contact(0), network()).unwrap();
    let mut out = outputs();
    let foreign = contact_in(2, "10.0.0.1:1", NetworkId::of_name("other"), 1);
    dht.saw(verified(&foreign), None, at(1), &mut out);
    dht.saw(verified(&contact(0)), None, at(1), &mut out);
    assert_eq!(dht.peer_count(), 0);
    dht.saw(verified(&contact(1)), Some(30), at(1), &mut out);
    assert_eq!(dht.peer_count(), 1);
    assert!(matches!(dht.poll_event(), Some(Event::NeighboursChanged)));
    assert!(dht.is_holder(Point([9; 20])));
}

#[test]
fn contacts_that_were_checked_are_remembered_up_to_a_limit() {
    let mut checked = Checked::new(network().into());
    for seed in 0..=u64::try_from(CONTACTS_CHECKED_MAX).unwrap() {
        checked.check(&contact_in(seed, "192.0.2.1:1", network(), 1)).unwrap();
    }
    let mut fills = Fills::default();
    checked.fills(&mut fills);
    assert_eq!(fills.all()[0].got, CONTACTS_CHECKED_MAX);
}
