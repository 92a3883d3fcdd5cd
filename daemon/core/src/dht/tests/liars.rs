//! Networks in which some lie: about who is near, and about what they keep.

use bytchat_proto::id::NodeId;
use bytchat_proto::limits::{MINUTE_MS, QUARANTINE_MS};
use bytchat_proto::point::Point;
use bytchat_proto::record::{Contact, RecordKind};
use bytchat_proto::wire::{Contacts, Response};

use super::keys::{accounts, at, believed, contact, contact_in, network, peer, verified};
use super::sim::Sim;
use crate::dht::table::RoutingTable;
use crate::dht::{Dht, Event, Peer};
use crate::io::Outputs;
use crate::time::Mono;

#[test]
fn lookups_find_the_true_five_though_a_fifth_of_the_nodes_lie() {
    let mut sim = Sim::grown(21, 300, 20);
    (0..300).filter(|index| index % 5 == 2).for_each(|index| sim.nodes[index].liar = true);
    let honest: Vec<usize> = (0..300).filter(|index| !sim.nodes[*index].liar).collect();
    let mut exact = 0;
    for turn in 0..300 {
        let (from, point) = (honest[turn % honest.len()], sim.point());
        let (event, _) = sim.find(from, point, None);
        let Event::Found { closest, .. } = event else {
            unreachable!("only such events are returned")
        };
        let found: Vec<NodeId> = closest.iter().map(|it| it.node).take(5).collect();
        exact += usize::from(found == sim.true_holders(point, Some(from)));
    }
    assert!(exact >= 297, "{exact} of 300 lookups were exact");
}

/// Adds liars that are nearer to a point than every honest node.
fn buy_places(sim: &mut Sim, point: Point, count: usize) {
    let nearest = Point::of_node(sim.true_holders(point, None)[0]).distance(point);
    let mut bought = 0;
    for seed in 10_000_000_u64.. {
        if bought == count {
            break;
        }
        if peer(seed).point().distance(point) < nearest {
            let index = sim.add(seed);
            sim.introduce(index, index % 8);
            sim.act(index, |dht, now, out| dht.bootstrap(now, out));
            sim.run_for(500);
            bought += 1;
        }
    }
    sim.run_for(20 * MINUTE_MS);
    let first = sim.nodes.len() - count;
    (first..sim.nodes.len()).for_each(|index| sim.nodes[index].liar = true);
}

#[test]
fn twenty_bought_places_hide_no_record_and_are_noticed() {
    let mut sim = Sim::grown(22, 200, 20);
    let account = &accounts()[0];
    let kind = RecordKind::User;
    let point = kind.point(account.user());
    buy_places(&mut sim, point, 20);
    let now = sim.now().wall;
    let record = believed(&account.record(kind, 1, now), now);
    sim.act(3, |dht, now, out| dht.put(record, now, out)).unwrap();
    sim.run_for(10_000);
    let told = sim.nodes[3].events.iter().any(
        |event| matches!(event, Event::Crowded(crowd) if crowd.point == point && crowd.nodes >= 20),
    );
    assert!(told, "{:?}", sim.nodes[3].dht.defence(sim.now()));
    let found = (0..200).filter(|reader| {
        let (event, _) = sim.find(*reader, point, Some(kind));
        matches!(event, Event::Found { records, .. } if records.len() == 1)
    });
    let found = found.count();
    assert!(found >= 198, "{found} of 200 readers found the record");
}

#[test]
fn an_honest_network_looks_crowded_nowhere_and_knows_its_size() {
    let mut sim = Sim::grown(23, 200, 20);
    let mut crowded = 0;
    for _ in 0..200 {
        let (from, point) = (sim.below(200), sim.point());
        sim.find(from, point, None);
        sim.run_for(1_000);
        let events = sim.nodes[from].events.iter();
        crowded += events.filter(|it| matches!(it, Event::Crowded(_))).count();
    }
    assert!(crowded <= 2, "{crowded} of 200 points looked crowded");
    let mut sizes: Vec<u64> =
        sim.nodes.iter().filter_map(|node| node.dht.defence(at(sim.ms)).nodes).collect();
    sizes.sort_unstable();
    assert!(sizes.len() > 190, "{} nodes have an estimate", sizes.len());
    let (low, middle, high) = (sizes[10], sizes[sizes.len() / 2], sizes[sizes.len() - 10]);
    assert!(low > 80 && (140..290).contains(&middle) && high < 600, "{low} {middle} {high}");
}

#[test]
fn five_hundred_ids_of_four_subnets_do_not_fill_a_table() {
    let mut table = RoutingTable::new(peer(0).node);
    let of =
        |seed: u64, address: String| Peer::new(verified(&contact_in(seed, &address, network(), 1)));
    for seed in 1..=300 {
        table.heard(&of(seed, format!("20.{}.{}.1:4000", seed / 250, seed % 250)), None, Mono(1));
    }
    let honest = table.len();
    for seed in 1000..1500 {
        let address = format!("198.51.{}.{}:4000", seed % 4, 1 + seed % 250);
        table.heard(&of(seed, address), None, Mono(2));
    }
    let all = table.len();
    assert!(honest * 4 >= all * 3, "{honest} of {all} contacts are honest");
    let near = table.closest(peer(0).point(), 20, false);
    let theirs = near.iter().filter(|it| it.record.addresses[0].to_string().starts_with("198"));
    assert!(theirs.count() <= 5 * 4);
}

#[test]
fn who_hands_on_a_forgery_is_left_alone_for_an_hour() {
    let mut dht = Dht::new(contact(0), network()).unwrap();
    let mut out = Outputs::new([7; 32]);
    let liar = verified(&contact(1));
    dht.saw(liar.clone(), None, at(1), &mut out);
    dht.saw(verified(&contact(2)), None, at(1), &mut out);
    dht.find(Point([9; 20]), None, at(1), &mut out).unwrap();
    let (bytes, _) = Contact::prepare(&contact(3).peek().unwrap());
    let contacts = vec![contact(4), Contact::assemble(bytes, vec![0; 64])];
    let asks: Vec<_> = std::iter::from_fn(|| dht.poll_ask()).collect();
    let ask = asks.iter().find(|ask| ask.to.node == liar.node()).unwrap();
    let answer = Response::Nodes(Contacts { contacts });
    dht.handle_answer(ask.id, Ok(&answer), 5, at(10), &mut out);
    assert_eq!((dht.defence(at(10)).quarantined, dht.peer_count()), (1, 1));
    // Nothing that it said counts, not even what was true.
    assert!(dht.poll_ask().is_none());
    dht.saw(liar.clone(), None, at(20), &mut out);
    dht.learned(&[contact(1)], contact(2).peek().unwrap().node(), at(20), &mut out);
    assert_eq!(dht.peer_count(), 1);
    let over = at(20 + QUARANTINE_MS);
    dht.saw(liar, None, over, &mut out);
    assert_eq!((dht.defence(over).quarantined, dht.peer_count()), (0, 2));
}
