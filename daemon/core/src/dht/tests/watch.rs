//! What the DHT counts, shows and suspects.

use bytchat_proto::id::NodeId;
use bytchat_proto::limits::{
    BUCKET_CONTACTS_MAX, CROWDED_DENSITY, HOLDERS, HOLDERS_MAX, LOOKUPS_SHOWN_MAX,
    MAILBOXES_WATCHED_MAX,
};
use bytchat_proto::point::Point;
use bytchat_proto::rpc::dht::Outcome;

use super::keys::{contact, contact_in, network, peer, verified};
use super::sim::Sim;
use crate::dht::contacts::Peer;
use crate::dht::{Dht, Event};
use crate::time::Mono;

#[test]
fn what_a_lookup_does_is_counted_and_shown_hop_by_hop() {
    let mut sim = Sim::grown(11, 120, 0);
    let dead = 40;
    sim.kill(dead);
    let target = Point([0x5a; 20]);
    let before = sim.nodes[3].dht.counted();
    let lookup = sim.act(3, |dht, now, out| dht.find(target, None, now, out)).unwrap();
    assert!(sim.nodes[3].dht.show(lookup, target));
    sim.run_for(20_000);
    let shown = sim.nodes[3].dht.take_shown(lookup).unwrap();
    let (lookups, asks, ..) = sim.nodes[3].dht.counted();
    assert!(lookups.answered_total > before.0.answered_total);
    assert!(asks.answered_total > before.1.answered_total);
    assert_eq!(lookups.answered_total, lookups.hops.count());
    assert_eq!(asks.round_trip_ms.count(), asks.answered_total + asks.refused_total);
    let answered = shown.hops.iter().filter(|hop| hop.outcome == Outcome::Answered);
    let closest = sim.true_holders(target, None);
    for holder in &closest {
        let asked = answered.clone().find(|hop| hop.node_id == *holder).unwrap();
        assert!(asked.near_bits >= 3 && asked.contacts > 0, "{asked:?}");
        assert!(asked.round_trip_ms.is_some() && asked.at_ms <= shown.duration_ms, "{asked:?}");
    }
    assert_eq!(shown.hops[0].hop, 1);
    assert!(shown.hops.iter().all(|hop| (1..10).contains(&hop.hop)));
    assert!(sim.nodes[3].dht.take_shown(lookup).is_none());
}

#[test]
fn a_node_that_others_named_is_a_hop_further() {
    let mut sim = Sim::grown(12, 300, 0);
    let (mut further, mut all) = (0, 0);
    for round in 0..20_u8 {
        let target = Point([round.wrapping_mul(53); 20]);
        let lookup = sim.act(7, |dht, now, out| dht.find(target, None, now, out)).unwrap();
        assert!(sim.nodes[7].dht.show(lookup, target));
        sim.run_for(20_000);
        let shown = sim.nodes[7].dht.take_shown(lookup).unwrap();
        further += shown.hops.iter().filter(|hop| hop.hop > 1).count();
        all += shown.hops.len();
    }
    assert!(further > 0 && further < all, "{further} of {all}");
}

#[test]
fn few_lookups_are_shown_at_once_and_a_lookup_without_nodes_is_unanswered() {
    let mut sim = Sim::new(13, 0);
    sim.add(1);
    for number in 0..LOOKUPS_SHOWN_MAX {
        let target = Point([u8::try_from(number).unwrap(); 20]);
        let lookup = sim.act(0, |dht, now, out| dht.find(target, None, now, out)).unwrap();
        assert!(sim.nodes[0].dht.may_show());
        assert!(sim.nodes[0].dht.show(lookup, target));
    }
    assert!(!sim.nodes[0].dht.may_show());
    let lookup = sim.act(0, |dht, now, out| dht.find(Point([9; 20]), None, now, out)).unwrap();
    assert!(!sim.nodes[0].dht.show(lookup, Point([9; 20])));
    let (lookups, ..) = sim.nodes[0].dht.counted();
    assert!(lookups.unanswered_total > 0);
    assert_eq!(lookups.answered_total, 0);
}

#[test]
fn puts_and_their_holders_are_counted() {
    let mut sim = Sim::grown(14, 40, 0);
    let account = &super::keys::accounts()[0];
    let kind = bytchat_proto::record::RecordKind::Profile;
    let now = sim.now().wall;
    let record = super::keys::believed(&account.record(kind, 1, now), now);
    sim.act(5, |dht, now, out| dht.put(record, now, out)).unwrap();
    sim.run_for(10_000);
    let events = &sim.nodes[5].events;
    assert!(events.iter().any(|event| matches!(event, Event::Stored { ok: true, .. })));
    let (_, _, puts, _) = sim.nodes[5].dht.counted();
    assert_eq!((puts.stored_total, puts.short_total, puts.holders.count()), (1, 0, 1));
    // Those within the distance of the eighth hold as well.
    assert!((5..=HOLDERS_MAX as u64).contains(&puts.holders.sum), "{}", puts.holders.sum);
}

/// A DHT whose table holds the nodes of these seeds.
fn full(count: u64) -> Dht {
    let mut dht = Dht::new(contact(0), network()).unwrap();
    for seed in 1..=count {
        dht.table.heard(&peer(seed), None, Mono(1));
    }
    dht
}

fn nearest(point: Point, mut peers: Vec<Peer>) -> Vec<Peer> {
    peers.sort_by_key(|peer| peer.point().distance(point));
    peers.truncate(HOLDERS);
    peers
}

#[test]
fn the_size_of_the_network_is_estimated_within_a_factor_of_two() {
    assert_eq!(full(5).nodes_estimate(), None);
    let estimate = full(1_000).nodes_estimate().unwrap();
    assert!((500..2_000).contains(&estimate), "{estimate}");
}

#[test]
fn nodes_that_stand_around_a_mailbox_are_noticed_and_chance_is_not() {
    let mut dht = full(1_000);
    let all: Vec<Peer> = (1..=1_000).map(peer).collect();
    for byte in 0..=255 {
        let mailbox = Point([byte; 20]);
        dht.watch_over(mailbox, &nearest(mailbox, all.clone()));
    }
    let keyspace = dht.keyspace();
    assert_eq!((keyspace.mailboxes, keyspace.mailboxes_crowded), (256, 0), "{keyspace:?}");
    // Five ids that have the first 16 bits in common with the mailbox, as 300 000 tries give.
    let mailbox = Point([77; 20]);
    let planted = |last: u8| {
        let mut id = mailbox.0;
        (id[2], id[19]) = (!id[2], last);
        Peer { node: NodeId(id), ..peer(1) }
    };
    let planted: Vec<Peer> = [1, 2, 3, 4, 5].map(planted).to_vec();
    dht.watch_over(mailbox, &nearest(mailbox, planted));
    let keyspace = dht.keyspace();
    assert_eq!((keyspace.mailboxes, keyspace.mailboxes_crowded), (256, 1));
    assert!(keyspace.density_max >= CROWDED_DENSITY, "{keyspace:?}");
    // They are gone: so is the suspicion.
    dht.watch_over(mailbox, &nearest(mailbox, all));
    assert_eq!(dht.keyspace().mailboxes_crowded, 0);
}

#[test]
fn holders_of_one_prefix_are_noticed() {
    let mut dht = full(u64::try_from(BUCKET_CONTACTS_MAX).unwrap());
    let at = |seed, address| Peer::new(verified(&contact_in(seed, address, network(), 1)));
    let several = [(1, "198.51.100.1:1"), (2, "198.51.100.2:1"), (3, "203.0.113.1:1")];
    let mut holders: Vec<Peer> = several.map(|(seed, address)| at(seed, address)).to_vec();
    dht.watch_over(Point([1; 20]), &holders);
    assert_eq!(dht.keyspace().mailboxes_one_prefix, 0);
    holders.push(at(4, "198.51.100.9:1"));
    dht.watch_over(Point([1; 20]), &holders);
    assert_eq!(dht.keyspace().mailboxes_one_prefix, 1);
}

#[test]
fn so_many_mailboxes_are_watched_and_no_more() {
    let mut dht = full(1);
    for number in 0..=MAILBOXES_WATCHED_MAX {
        let mut point = [0; 20];
        point[..8].copy_from_slice(&number.to_be_bytes());
        dht.watch_over(Point(point), &[]);
    }
    let watched = u64::try_from(MAILBOXES_WATCHED_MAX).unwrap();
    assert_eq!(dht.keyspace().mailboxes, watched);
}
