//! Messages between simulated machines.

use bytchat_tests::sim::{Faults, World};
use serde_json::{Value, json};

/// A network of so many nodes, of which the first two are pods.
pub fn network(seed: u64, nodes: usize) -> World {
    let mut world = World::new(seed, Faults::default());
    world.add(Some("a.test"), &[]);
    world.add(Some("b.test"), &[0]);
    for _ in 2..nodes {
        world.add(None, &[0, 1]);
        world.run(200);
    }
    world.run(30_000);
    world
}

/// Makes an account with an alias on a machine.
pub fn person(world: &mut World, host: usize, alias: &str) -> String {
    let made = world.ask(host, "account.create", json!({"name": alias.split('@').next()})).unwrap();
    world.ask(host, "alias.register", json!({ "alias": alias })).unwrap();
    made["id"].as_str().unwrap().to_owned()
}

fn texts(world: &mut World, host: usize) -> Vec<String> {
    let inbox = world.ask(host, "message.inbox", json!({"limit": 500})).unwrap();
    let text = |message: &Value| message["text"].as_str().unwrap().to_owned();
    inbox["messages"].as_array().unwrap().iter().map(text).collect()
}

fn state(world: &mut World, host: usize, id: &Value) -> String {
    let message = world.ask(host, "message.show", json!({ "id": id })).unwrap();
    message["state"].as_str().unwrap().to_owned()
}

#[test]
fn a_message_arrives_while_both_are_up() {
    let mut world = network(1, 12);
    person(&mut world, 4, "alice@a.test");
    person(&mut world, 7, "bob@b.test");
    world.run(30_000);
    let sent = world.ask(4, "message.send", json!({"to": "bob@b.test", "text": "hi"})).unwrap();
    assert_eq!(sent["state"], "queued");
    world.run(5_000);
    let trace = world.ask(4, "message.trace", json!({"id": sent["id"]})).unwrap();
    assert_eq!(texts(&mut world, 7), ["hi"], "{trace:#}");
    assert_eq!(state(&mut world, 4, &sent["id"]), "delivered", "{trace:#}");
}
