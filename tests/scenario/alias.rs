//! Aliases: who has one, who may not, and what happens when a pod changes its word.

use std::fs;
use std::path::Path;

use bytchat_tests::daemon::{Backbone, Daemon, Setup};
use serde_json::json;

#[test]
fn an_alias_is_registered_resolved_and_listed_and_nobody_else_can_have_it() {
    let backbone = Backbone::shared();
    let (alice, id) = backbone.user("first.come@a.test");
    let binding = json!({ "alias": "first.come@a.test", "id": id });
    assert_eq!(alice.get(&["alias", "list"]), json!([binding]));
    // The same account may ask again.
    assert_eq!(alice.get(&["alias", "register", "First.Come@a.test"]), binding);
    let (bob, _) = backbone.user("second@b.test");
    assert_eq!(bob.get(&["alias", "resolve", "first.come@a.test"]), binding);
    let taken = bob.ctl(&["alias", "register", "first.come@a.test"]);
    assert_eq!(taken.kind(8), "alias.taken");
    assert_eq!(bob.get(&["alias", "list"]).as_array().unwrap().len(), 1);
}

#[test]
fn addresses_that_lead_nowhere_are_told_apart() {
    let backbone = Backbone::shared();
    let (alice, _) = backbone.user("seeker@a.test");
    for command in [&["alias", "resolve"][..], &["contact", "add"]] {
        let run = |who: &'static str| alice.ctl(&[command, &[who]].concat());
        assert_eq!(run("nobody@b.test").kind(5), "address.unknown");
        assert_eq!(run("alice@pod.invalid").kind(5), "pod.unreachable");
    }
    assert_eq!(alice.ctl(&["send", "nobody@b.test", "x"]).kind(5), "address.unknown");
    assert_eq!(alice.ctl(&["send", "alice@pod.invalid", "x"]).kind(5), "pod.unreachable");
    let id = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    for bad in
        ["alice", "@a.test", "a b@a.test", "alice@", "a@b@c", &id[1..], &id.replace('a', "1")]
    {
        assert_eq!(alice.ctl(&["send", bad, "x"]).kind(2), "address.bad", "{bad}");
        assert_eq!(alice.ctl(&["alias", "resolve", bad]).kind(2), "address.bad", "{bad}");
    }
    assert_eq!(alice.ctl(&["send", "seeker@a.test", "x"]).kind(2), "address.bad");
    assert_eq!(alice.get(&["history", id]), json!([]));
}

#[test]
fn a_pod_that_is_away_is_unreachable_and_a_user_id_works_without_it() {
    let backbone = Backbone::new();
    let (alice, _) = backbone.user("alice@a.test");
    let (bob, bob_id) = backbone.user("bob@b.test");
    backbone.pods[1].kill();
    let ran = alice.ctl(&["alias", "resolve", "bob@b.test"]);
    assert_eq!(ran.kind(5), "pod.unreachable");
    let sent = alice.get(&["send", &bob_id, "no pod", "--wait", "delivered", "--timeout", "90"]);
    bob.arrival(sent["id"].as_str().unwrap());
    backbone.pods[1].run();
    bytchat_tests::daemon::until("the pod's return", || {
        (alice.ctl(&["alias", "resolve", "bob@b.test"]).code == 0).then_some(())
    });
}

/// What everybody sees who knows alice@a.test when the pod says that it is somebody else's.
fn assert_that_sending_stops_until_the_person_decides(bob: &Daemon, old: &str, new: &str) {
    assert_eq!(bob.ctl(&["alias", "resolve", "alice@a.test"]).kind(4), "contact.key_changed");
    assert_eq!(bob.ctl(&["send", "alice@a.test", "secret"]).kind(4), "contact.key_changed");
    let event = bob.event(0, |event| event["type"] == "contact.key_changed");
    assert_eq!(event["data"]["id"], json!(old));
    bob.get(&["send", old, "by id", "--wait", "delivered", "--timeout", "90"]);

    let added = bob.get(&["contact", "add", "alice@a.test"]);
    assert_eq!((&added["id"], &added["standing"]), (&json!(new), &json!("accepted")));
    let sent =
        bob.get(&["send", "alice@a.test", "hello", "--wait", "delivered", "--timeout", "90"]);
    assert_eq!(sent["to"], json!(new));
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (from, name) = (entry.as_ref().unwrap().path(), entry.unwrap().file_name());
        if from.is_dir() {
            copy(&from, &to.join(name));
        } else {
            fs::copy(from, to.join(name)).unwrap();
        }
    }
}

#[test]
fn a_pod_that_gives_an_alias_to_somebody_else_is_not_followed() {
    let backbone = Backbone::new();
    let pod = &backbone.pods[0];
    pod.stop();
    copy(&pod.path("data"), &pod.path("backup"));
    pod.run();
    let (alice, alice_id) = backbone.user("alice@a.test");
    let (bob, _) = backbone.user("bob@b.test");
    bob.get(&["contact", "add", "alice@a.test"]);
    bob.get(&["send", "alice@a.test", "hi", "--wait", "delivered"]);

    // The pod comes back from a backup, and somebody else is first.
    pod.stop();
    fs::rename(pod.path("data"), pod.path("gone")).unwrap();
    fs::rename(pod.path("backup"), pod.path("data")).unwrap();
    pod.run();
    let (mallory, mallory_id) = backbone.user("alice@a.test");
    assert_that_sending_stops_until_the_person_decides(&bob, &alice_id, &mallory_id);
    assert_eq!(alice.times("secret"), (0, 0));
    assert_eq!(mallory.times("secret"), (0, 0));
    assert_eq!((mallory.times("hello"), alice.times("by id")), ((1, 1), (1, 1)));
}

#[test]
fn another_node_at_a_pod_s_address_is_not_followed() {
    let backbone = Backbone::new();
    let (alice, alice_id) = backbone.user("alice@a.test");
    let (bob, _) = backbone.user("bob@b.test");
    bob.get(&["contact", "add", "alice@a.test"]);
    bob.get(&["send", "alice@a.test", "hi", "--wait", "delivered"]);
    let address = backbone.pods[0].address();
    backbone.pods[0].kill();
    let (host, listen) = (Some("a.test".to_owned()), Some(address));
    let _other = Daemon::start(&Setup { host, listen, ..backbone.setup.clone() });
    let (mallory, mallory_id) = backbone.user("alice@a.test");
    bytchat_tests::daemon::until("that the change is seen", || {
        (bob.ctl(&["alias", "resolve", "alice@a.test"]).code == 4).then_some(())
    });
    assert_that_sending_stops_until_the_person_decides(&bob, &alice_id, &mallory_id);
    assert_eq!(alice.times("secret"), (0, 0));
    assert_eq!(mallory.times("secret"), (0, 0));
}

#[test]
fn a_pod_has_aliases_for_accounts_of_its_own_machine() {
    let backbone = Backbone::new();
    let pod = &backbone.pods[0];
    let id = pod.account("keeper");
    let registered = pod.get(&["alias", "register", "keeper@a.test"]);
    assert_eq!(registered["id"], json!(id));
    assert_eq!(pod.get(&["alias", "resolve", "keeper@a.test"])["id"], json!(id));
    pod.get(&["profile", "set", "--name", "Keeper"]);
    assert_eq!(pod.get(&["profile", "show", "keeper@a.test"])["name"], "Keeper");
    // Others ask it as any pod.
    let other = &backbone.others[0];
    assert_eq!(other.get(&["profile", "show", "keeper@a.test"])["name"], "Keeper");
}
