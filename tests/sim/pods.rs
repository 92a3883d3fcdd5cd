//! Pods, aliases and devices, and the twelve steps by which the notes describe mail.

use bytchat_core::persist::Table;
use bytchat_proto::rpc::ErrorKind;
use bytchat_proto::rpc::message::State;
use bytchat_proto::wire::{Body, Request, Response};
use bytchat_tests::sim::{Faults, History, Overheard, Person, World, each_seed};
use serde_json::json;

const MINUTE_MS: u64 = 60_000;

fn check(seed: u64, broken: &std::collections::BTreeSet<String>) {
    assert!(broken.is_empty(), "SEED={seed}: {broken:#?}");
}

/// Whether one machine said something to another.
fn said(all: &[Overheard], from: usize, to: usize, what: impl Fn(&Body) -> bool) -> bool {
    all.iter().any(|it| it.from == from && it.to == to && what(&it.body))
}

#[test]
fn mail_takes_the_twelve_steps_of_the_notes() {
    let mut world = World::grown(1, 12, Faults::default());
    world.listen();

    // 1. A node without any account asks a pod for the nodes nearest to it.
    let (newcomer, pod) = (world.add(None, &[0]), 0);
    world.run(20_000);
    let all = world.overheard();
    let asks = |body: &Body| matches!(body, Body::Request(Request::FindNode { .. }));
    assert!(said(&all, newcomer, pod, asks));
    assert_eq!(world.hosts[newcomer].disk.count(Table::Account), 0);

    // 2. The pod answers, and the node fills its routing table and writes it down.
    let nodes = |body: &Body| matches!(body, Body::Response(Response::Nodes(_)));
    assert!(said(&all, pod, newcomer, nodes));
    world.run(2 * MINUTE_MS);
    assert!(world.hosts[newcomer].disk.count(Table::Peer) >= 5);

    // 4. Alice registers her alias; Bob has his at another pod.
    let (alice, bob) = (world.named(newcomer, "alice@a.test"), world.named(7, "bob@b.test"));
    world.run(30_000);

    // 3. Her device identifies itself to the pod: it signs a challenge that is used once.
    let all = world.overheard();
    let challenge = |body: &Body| matches!(body, Body::Response(Response::Challenge { .. }));
    let proof = |body: &Body| matches!(body, Body::Request(Request::Prove { .. }));
    let attached = |body: &Body| matches!(body, Body::Response(Response::Attached { .. }));
    assert!(said(&all, pod, newcomer, challenge));
    assert!(said(&all, newcomer, pod, proof));
    assert!(said(&all, pod, newcomer, attached));

    // 6. Alice asks whose bob@b.test is; his pod answers with what he signed, and she checks it.
    let whose = world.ask(&alice, "alias.resolve", json!({"alias": "bob@b.test"})).unwrap();
    assert_eq!(whose["id"], json!(bob.id));
    let binding = |body: &Body| matches!(body, Body::Response(Response::Binding { .. }));
    assert!(said(&world.overheard(), 1, newcomer, binding));

    // 7. Alice's message is signed, sealed and on her disk. Bob is away.
    world.crash(bob.host);
    world.run(40_000);
    let mut history = History::new();
    let id = history.send_to(&mut world, &alice, "bob@b.test", bob.id);
    world.run(20_000);

    // 8. It lies with the nodes nearest to Bob, who have signed for it.
    let trace = world.trace(&alice, id);
    assert_eq!(world.state(&alice, id), State::Stored, "{trace:#}");
    assert!(trace["stored"].as_u64().unwrap() >= 3, "{trace:#}");
    let holding = |host: &&bytchat_tests::sim::Host| host.disk.count(Table::Envelope) > 0;
    assert!(world.hosts.iter().filter(holding).count() >= 5);

    // 9. Alice tells Bob's pod that mail lies there.
    let all = world.overheard();
    let notify = |body: &Body| matches!(body, Body::Request(Request::Notify { .. }));
    assert!(said(&all, newcomer, 1, notify));

    // 10. and 5. Bob comes back: his pod tells him of it and pushes it at once.
    let holders: Vec<usize> = (2..world.hosts.len())
        .filter(|host| world.is_up(*host) && world.hosts[*host].disk.count(Table::Envelope) > 0)
        .filter(|host| *host != newcomer)
        .collect();
    // 11. He gets it although two of the holders are gone.
    for host in holders.iter().take(2) {
        world.crash(*host);
    }
    world.restart(bob.host);
    world.run(30_000);
    let all = world.overheard();
    let notice = |body: &Body| matches!(body, Body::Notice(_));
    let delivery = |body: &Body| matches!(body, Body::Delivery(_));
    assert!(said(&all, 1, bob.host, notice) || said(&all, 1, bob.host, delivery));
    assert!(all.iter().any(|it| it.to == bob.host && delivery(&it.body)));

    // 12. Bob decrypts and verifies it; Alice is told by a receipt that his device signed.
    let inbox = world.inbox(&bob);
    assert_eq!((inbox.len(), inbox[0].from), (1, alice.id));
    assert_eq!(world.state(&alice, id), State::Delivered);
    for host in holders.iter().take(2) {
        world.restart(*host);
    }
    world.run(MINUTE_MS);
    check(1, &history.end(&mut world, &[&alice, &bob]));
}

#[test]
fn an_alias_belongs_to_who_came_first_and_mail_goes_on_when_its_pod_is_dead() {
    each_seed("alias", 2, |seed| {
        let mut world = World::grown(seed, 10, Faults::default());
        let (alice, bob) = (world.named(4, "alice@a.test"), world.named(6, "bob@b.test"));
        let thief = world.person(8);
        let stolen = world.ask(&thief, "alias.register", json!({"alias": "bob@b.test"}));
        assert_eq!(stolen.unwrap_err().kind, ErrorKind::AliasTaken, "SEED={seed}");
        let whose = world.ask(&thief, "alias.resolve", json!({"alias": "bob@b.test"})).unwrap();
        assert_eq!(whose["id"], json!(bob.id), "SEED={seed}");
        world.run(30_000);
        world.crash(1);
        let mut history = History::new();
        let id = history.send(&mut world, &alice, &bob);
        world.run(60_000);
        let trace = world.trace(&alice, id);
        assert_eq!(world.state(&alice, id), State::Delivered, "SEED={seed}: {trace:#}");
        check(seed, &history.end(&mut world, &[&alice, &bob]));
    });
}

#[test]
fn two_people_on_one_machine_write_to_each_other_and_see_only_their_own() {
    let mut world = World::grown(1, 8, Faults::default());
    let (alice, bob, carol) = (world.person(4), world.person(4), world.person(6));
    let mut history = History::new();
    world.run(30_000);
    for (from, to) in [(&alice, &bob), (&bob, &alice), (&carol, &bob), (&carol, &alice)] {
        history.send(&mut world, from, to);
        world.run(20_000);
    }
    assert_eq!((world.texts(&alice).len(), world.texts(&bob).len()), (2, 2));
    let stranger = Person { uid: 77, ..alice.clone() };
    assert!(world.ask(&stranger, "message.inbox", json!({})).is_err());
    check(1, &history.end(&mut world, &[&alice, &bob, &carol]));
}

#[test]
fn who_is_blocked_is_not_heard_and_not_told() {
    let mut world = World::grown(1, 8, Faults::default());
    let (alice, bob) = (world.person(4), world.person(6));
    world.run(30_000);
    world.ask(&bob, "contact.block", json!({"who": alice.id})).unwrap();
    let params = json!({"to": bob.id, "text": "PLAINTEXT of somebody blocked"});
    let sent = world.ask(&alice, "message.send", params).unwrap();
    world.run(2 * MINUTE_MS);
    assert!(world.texts(&bob).is_empty());
    let id = serde_json::from_value(sent["id"].clone()).unwrap();
    assert!(world.state(&alice, id) <= State::Stored);
}

#[test]
fn a_second_device_gets_what_waits_and_what_comes_later() {
    each_seed("second device", 2, |seed| {
        let mut world = World::grown(seed, 12, Faults::default());
        let (alice, bob) = (world.person(4), world.person(6));
        let mut history = History::new();
        world.run(MINUTE_MS);
        world.crash(6);
        history.send(&mut world, &alice, &bob);
        world.run(MINUTE_MS);
        let second = world.device(9, &bob.pem);
        // What was sealed before the device was known is published again within half a day.
        world.run(MINUTE_MS);
        world.sleep(13 * 60 * MINUTE_MS);
        world.run(2 * MINUTE_MS);
        assert_eq!(world.texts(&second).len(), 1, "SEED={seed}");
        world.restart(6);
        world.run(2 * MINUTE_MS);
        history.send(&mut world, &alice, &bob);
        world.run(2 * MINUTE_MS);
        assert_eq!(world.texts(&second).len(), 2, "SEED={seed}");
        assert_eq!(world.texts(&bob).len(), 2, "SEED={seed}");
        check(seed, &history.end(&mut world, &[&alice, &bob, &second]));
    });
}
