//! A third of all daemons dies at once, without a word.

use std::collections::BTreeSet;

use bytchat_proto::id::NodeId;
use bytchat_proto::point::Point;
use bytchat_tests::daemon::{Backbone, Daemon, until};
use bytchat_tests::sim::nearest;
use serde_json::{Value, json};

/// Daemons that join the six that are always there, and how many of them die.
const JOIN: usize = 14;
const DIE: usize = 6;
/// Points that are looked up, each from another daemon.
const LOOKUPS: u8 = 10;

fn node(daemon: &Daemon) -> NodeId {
    let mut status = daemon.call("node.status", &json!({}));
    serde_json::from_value(status["node_id"].take()).unwrap()
}

/// The nodes that a list of a result names.
fn named(list: &Value) -> BTreeSet<NodeId> {
    let nodes = list.as_array().unwrap().iter().map(|entry| entry["node_id"].clone());
    nodes.map(|node| serde_json::from_value(node).unwrap()).collect()
}

#[test]
fn when_a_third_of_the_daemons_dies_the_others_find_each_other_and_what_was_put() {
    let backbone = Backbone::new();
    let mut joined: Vec<Daemon> = (0..JOIN).map(|_| backbone.join()).collect();
    let dying = joined.split_off(JOIN - DIE);
    let user = dying[0].account("mortal");
    dying[0].call("profile.set", &json!({ "name": "Remembered" }));
    for daemon in &dying {
        daemon.kill();
    }

    let alive: Vec<&Daemon> = backbone.pods.iter().chain(&backbone.others).chain(&joined).collect();
    let ids: Vec<NodeId> = alive.iter().map(|daemon| node(daemon)).collect();
    for turn in 0..LOOKUPS {
        let target = Point([turn * 25; 20]);
        let truth: BTreeSet<NodeId> = nearest(target, ids.iter().copied()).into_iter().collect();
        until("a lookup that finds the nearest living", || {
            let asker = alive[usize::from(turn) % alive.len()];
            let found = asker.call("dht.lookup", &json!({ "target": target }));
            (named(&found["holders"]) == truth).then_some(())
        });
    }
    until("the profile that a dead daemon put", || {
        let profile = alive[3].call("profile.show", &json!({ "who": user }));
        (profile["name"] == "Remembered").then_some(())
    });
    for (daemon, own) in alive.iter().zip(&ids) {
        let others = ids.iter().copied().filter(|id| id != own);
        let near = nearest(Point::of_node(*own), others);
        until("a table with the nearest living", || {
            let known = named(&daemon.call("node.peers", &json!({}))["peers"]);
            near.iter().all(|id| known.contains(id)).then_some(())
        });
    }
}
