//! Private networks: nodes of two of them meet at every address and never mix.

use std::collections::BTreeSet;

use bytchat_proto::id::NodeId;
use bytchat_proto::rpc::message::State;
use bytchat_proto::rpc::node::{Peers, Stats};
use bytchat_proto::wire::Body;
use bytchat_tests::sim::{Faults, History, World};
use serde_json::json;

fn peers(world: &mut World, host: usize) -> Peers {
    serde_json::from_value(world.ask_as(host, 0, "node.peers", json!({})).unwrap()).unwrap()
}

fn stats(world: &mut World, host: usize) -> Stats {
    serde_json::from_value(world.ask_as(host, 0, "node.stats", json!({})).unwrap()).unwrap()
}

/// Two networks of machines in turn, each of which knows the addresses of both; each list is one.
fn mixed(seed: u64, one: (&str, Option<u8>), two: (&str, Option<u8>)) -> (World, [Vec<usize>; 2]) {
    let mut world = World::new(seed, Faults::default());
    let mut lists = [Vec::new(), Vec::new()];
    for round in 0..8 {
        for (side, (name, key)) in [one, two].into_iter().enumerate() {
            world.enter(name, key.map(|key| [key; 32]));
            let known: Vec<usize> = (0..round * 2).rev().take(6).collect();
            lists[side].push(world.add(None, &known));
            world.run(200);
        }
    }
    world.run(120_000);
    (world, lists)
}

/// Nobody of one list knows anybody of the other, and all of each know each other.
fn assert_apart(world: &mut World, lists: &[Vec<usize>; 2]) {
    for list in lists {
        let own: BTreeSet<NodeId> = list.iter().map(|host| world.hosts[*host].id).collect();
        let mut refused = 0;
        for host in list {
            let peers = peers(world, *host);
            let known: BTreeSet<NodeId> = peers.peers.iter().map(|peer| peer.node_id).collect();
            assert!(known.is_subset(&own), "{host} knows strangers");
            assert_eq!(known.len(), own.len() - 1, "{host} does not know its own");
            let stats = stats(world, *host);
            refused += stats.links.strangers_total;
            assert_eq!(stats.links.banned_total, 0, "{host} takes strangers for offenders");
        }
        assert!(refused > 0, "they never met");
    }
}

fn assert_mail_stays(world: &mut World, lists: &[Vec<usize>; 2]) {
    let [one, two] = lists;
    let (alice, bob) = (world.person(one[2]), world.person(one[5]));
    let carol = world.person(two[3]);
    world.run(30_000);
    let mut history = History::new();
    let within = history.send(world, &alice, &bob);
    let across = history.send(world, &alice, &carol);
    world.run(120_000);
    assert!(world.state(&alice, within) >= State::Delivered);
    assert_eq!(world.state(&alice, across), State::Queued);
    assert!(world.texts(&carol).is_empty());
}

fn stay_apart(seed: u64, one: (&str, Option<u8>), two: (&str, Option<u8>)) {
    let (mut world, lists) = mixed(seed, one, two);
    assert_apart(&mut world, &lists);
    assert_mail_stays(&mut world, &lists);
}

#[test]
fn networks_of_two_names_do_not_mix() {
    stay_apart(1, ("home", None), ("work", None));
}

#[test]
fn networks_of_two_keys_do_not_mix() {
    stay_apart(2, ("home", Some(1)), ("home", Some(2)));
}

#[test]
fn a_network_with_a_key_and_one_without_do_not_mix() {
    stay_apart(3, ("home", Some(1)), ("home", None));
}

#[test]
fn networks_of_one_key_and_two_names_do_not_mix() {
    stay_apart(4, ("home", Some(1)), ("work", Some(1)));
}

#[test]
fn an_outsider_hears_a_proof_and_no_more() {
    let mut world = World::new(5, Faults::default());
    world.enter("home", Some([1; 32]));
    let inside = world.add(None, &[]);
    world.enter("other", None);
    let outside = world.add(None, &[inside]);
    world.listen();
    world.run(60_000);
    let spoken = world.overheard();
    let of_inside: Vec<_> = spoken.iter().filter(|word| word.from == inside).collect();
    assert!(!of_inside.is_empty());
    for word in of_inside {
        assert!(matches!(word.body, Body::NetworkProof(_)), "{:?}", word.body);
    }
    assert!(stats(&mut world, outside).links.strangers_total > 0);
}
