//! Writer and reader who are never online together, and daemons that come back.

use bytchat_tests::daemon::{Backbone, Setup};
use serde_json::{Value, json};

fn steps(trace: &Value) -> Vec<&str> {
    let steps = trace["steps"].as_array().unwrap();
    steps.iter().map(|step| step["step"].as_str().unwrap()).collect()
}

#[test]
fn a_message_reaches_a_reader_who_was_away_when_the_writer_is_away() {
    let backbone = Backbone::shared();
    let (alice, _) = backbone.user("away@a.test");
    let (bob, bob_id) = backbone.user("returning@b.test");
    alice.get(&["contact", "add", "returning@b.test"]);
    // Nobody can write to keys that were never published: be sure that they are.
    alice.get(&["send", &bob_id, "first", "--wait", "delivered", "--timeout", "90"]);
    bob.stop();
    let args = ["send", "returning@b.test", "for later", "--wait", "stored", "--timeout", "90"];
    let sent = alice.get(&args);
    let id = sent["id"].as_str().unwrap();
    assert_eq!(sent["state"], "stored");
    let trace = alice.get(&["message", "trace", id]);
    assert_eq!(trace["state"], "stored");
    assert!((3..=5).contains(&trace["stored"].as_u64().unwrap()), "{trace}");
    // Three of five suffice; one that refuses is not counted among those that were asked.
    let said = |step: &&str| step.starts_with("stored 3/") && step.contains(" until 20");
    assert!(steps(&trace).iter().any(said), "{trace}");

    alice.stop();
    bob.run();
    assert_eq!(bob.arrival(id)["text"], "for later");
    assert_eq!(bob.times("for later"), (1, 1));
    alice.run();
    let wait = ["message", "wait", id, "--state", "delivered", "--timeout", "90"];
    assert_eq!(alice.get(&wait)["state"], "delivered");
    // Another start of the reader brings no second copy.
    bob.stop();
    bob.run();
    let after = alice.get(&["send", &bob_id, "now", "--wait", "delivered", "--timeout", "90"]);
    bob.arrival(after["id"].as_str().unwrap());
    assert_eq!(bob.times("for later"), (1, 1));
}

#[test]
fn a_restarted_daemon_is_the_same_node_with_its_history_and_finds_the_others_alone() {
    let backbone = Backbone::shared();
    let (alice, alice_id) = backbone.user("keeper@a.test");
    let (bob, bob_id) = backbone.user("friend@b.test");
    alice.get(&["send", &bob_id, "one", "--wait", "delivered", "--timeout", "90"]);
    let two = bob.get(&["send", "keeper@a.test", "two"]);
    alice.arrival(two["id"].as_str().unwrap());
    let node = alice.get(&["node", "status"])["node_id"].clone();
    let view = || {
        let lists = [
            &["history", &bob_id][..],
            &["inbox"],
            &["contact", "list"],
            &["account", "list"],
            &["alias", "list"],
        ];
        lists.map(|args| alice.get(args))
    };
    let before = view();
    let (status, took) = alice.stop();
    assert!(status.success() && took.as_secs() < 5, "{status} {took:?}");
    alice.configure(&Setup { bootstrap: Vec::new(), ..backbone.setup.clone() });
    alice.run();
    assert_eq!(view(), before);
    assert_eq!(alice.get(&["node", "status"])["node_id"], node);
    alice.meets(5);
    assert_eq!(alice.get(&["account", "list"])[0]["id"], json!(alice_id));
    alice.get(&["send", &bob_id, "three", "--wait", "delivered", "--timeout", "90"]);
    let four = bob.get(&["send", &alice_id, "four"]);
    alice.arrival(four["id"].as_str().unwrap());
}

#[test]
fn two_private_networks_never_mix() {
    let one = Backbone::new();
    let two = Backbone::new();
    // Each is told of the other as if they were one.
    let bootstrap = [one.setup.bootstrap.clone(), two.setup.bootstrap.clone()].concat();
    let (alice, alice_id) = one.user("same@a.test");
    let (bob, bob_id) = two.user("same@a.test");
    for (daemon, setup) in [(&alice, &one.setup), (&bob, &two.setup)] {
        daemon.stop();
        daemon.configure(&Setup { bootstrap: bootstrap.clone(), ..setup.clone() });
        daemon.run();
        daemon.meets(5);
    }
    let mine = |backbone: &Backbone| -> Vec<Value> {
        let nodes = backbone.pods.iter().chain(&backbone.others);
        nodes.map(|node| node.get(&["node", "status"])["node_id"].clone()).collect()
    };
    let lost = alice.get(&["send", &bob_id, "to the other world"]);
    for (daemon, own, other, id) in [(&alice, &one, &two, &alice_id), (&bob, &two, &one, &bob_id)] {
        let (near, far) = (mine(own), mine(other));
        let (friend, friend_id) = own.user("friend@b.test");
        let args = ["send", &friend_id, "hi", "--wait", "delivered", "--timeout", "90"];
        daemon.get(&args);
        friend.get(&["send", "same@a.test", "hi", "--wait", "delivered", "--timeout", "90"]);
        let resolved = friend.get(&["alias", "resolve", "same@a.test"]);
        assert_eq!(resolved["id"], json!(id));
        let peers = daemon.get(&["node", "peers"]);
        let peers = peers.as_array().unwrap();
        let know = |nodes: &[Value]| peers.iter().any(|peer| nodes.contains(&peer["node_id"]));
        assert!(know(&near) && !know(&far), "{peers:?}");
    }
    let lost = alice.get(&["message", "show", lost["id"].as_str().unwrap()]);
    assert_eq!(lost["state"], "queued");
    assert_eq!(bob.times("to the other world"), (0, 0));
}
