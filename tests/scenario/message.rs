//! Messages between users of two pods: sending, reading, following.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use bytchat_tests::daemon::{Backbone, Daemon, until};
use serde_json::{Value, json};

const MESSAGE: [&str; 12] = [
    "content_type",
    "direction",
    "from",
    "gap",
    "id",
    "received_at",
    "request",
    "sent_at",
    "seq",
    "state",
    "text",
    "to",
];

fn names(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

fn sorted<const N: usize>(mut names: [&str; N]) -> Vec<&str> {
    names.sort_unstable();
    names.to_vec()
}

#[test]
fn two_users_of_two_pods_write_to_each_other_and_every_answer_has_its_fields() {
    let backbone = Backbone::shared();
    let (alice, alice_id) = backbone.user("alice@a.test");
    let (bob, bob_id) = backbone.user("bob@b.test");

    let sent = alice.get(&["send", "bob@b.test", "hi bob", "--wait", "delivered"]);
    assert_eq!(names(&sent), ["id", "state", "to"]);
    assert_eq!((&sent["state"], &sent["to"]), (&json!("delivered"), &json!(bob_id)));
    let id = sent["id"].as_str().unwrap();
    let seen = bob.arrival(id);
    assert_eq!(seen["request"], true);

    let inbox = bob.get(&["inbox"]);
    let message = &inbox[0];
    assert_eq!(inbox.as_array().unwrap().len(), 1);
    assert_eq!(names(message), sorted(MESSAGE));
    let said = json!({
        "id": id, "from": alice_id, "to": bob_id, "direction": "in", "text": "hi bob",
        "content_type": "text/plain", "state": "delivered", "gap": false,
    });
    for (name, value) in said.as_object().unwrap() {
        assert_eq!(&message[name], value, "{name}");
    }
    assert!(message["sent_at"].as_u64() <= message["received_at"].as_u64());

    bob.get(&["contact", "accept", &alice_id]);
    let back = bob.get(&["send", &alice_id, "hi alice", "--wait", "delivered"]);
    assert_eq!(back["to"], json!(alice_id));
    for (daemon, who) in [(&alice, "bob@b.test"), (&alice, &bob_id), (&bob, &alice_id)] {
        let history = daemon.get(&["history", who]);
        let texts: Vec<_> = history.as_array().unwrap().iter().map(|m| &m["text"]).collect();
        assert_eq!(texts, ["hi bob", "hi alice"]);
        assert_eq!(names(&history[1]), sorted(MESSAGE));
    }
    assert_eq!(alice.get(&["history", "bob@b.test", "--limit", "1"])[0]["text"], "hi alice");
    assert_eq!(alice.get(&["inbox"])[0]["request"], false);
    assert_eq!(bob.times("hi bob"), (1, 1));
    assert_eq!(alice.times("hi alice"), (1, 1));

    let trace = alice.get(&["message", "trace", id]);
    assert_eq!(names(&trace), ["id", "state", "steps", "stored"]);
    let steps = trace["steps"].as_array().unwrap();
    assert!(steps.iter().all(|step| names(step) == ["at", "step"]));
    assert!(steps[0]["step"].as_str().unwrap().starts_with("queued"));
    assert_eq!(alice.get(&["message", "show", id])["text"], "hi bob");
}

#[test]
fn a_text_can_come_from_stdin_and_keeps_its_lines() {
    let backbone = Backbone::shared();
    let (writer, _) = backbone.user("stdin@a.test");
    let (reader, reader_id) = backbone.user("reader@b.test");
    let text = "first line\n\n\tthird – ünïcödé 🚲";
    for args in [&["send", &reader_id][..], &["send", &reader_id, "-"]] {
        let ran = writer.ctl_reading(args, format!("{text}\n").as_bytes());
        let sent = ran.json();
        assert_eq!(sent["state"], "queued");
        assert_eq!(reader.arrival(sent["id"].as_str().unwrap())["text"], text);
    }
    let long = "x".repeat(48 * 1024);
    let sent = writer.ctl_reading(&["send", &reader_id], long.as_bytes()).json();
    assert_eq!(reader.arrival(sent["id"].as_str().unwrap())["text"], long);
    let longer = writer.ctl_reading(&["send", &reader_id], format!("{long}x").as_bytes());
    assert_eq!(longer.kind(2), "message.too_large");
    assert_eq!(writer.ctl_reading(&["send", &reader_id], b"\xff\xfe").kind(2), "parameters.bad");
}

#[test]
fn a_wait_that_ends_too_early_exits_with_6_and_the_message_stays_queued() {
    let backbone = Backbone::shared();
    let (alice, _) = backbone.user("waiter@a.test");
    let (bob, bob_id) = backbone.user("absent@b.test");
    bob.stop();
    let ran = alice.ctl(&["send", &bob_id, "hello", "--wait", "delivered", "--timeout", "0.5"]);
    assert_eq!(ran.kind(6), "timeout");
    // The id is said in any case.
    let sent: Value = serde_json::from_str(&ran.out).unwrap();
    let id = sent["id"].as_str().unwrap();
    let wait = ["message", "wait", id, "--state", "delivered", "--timeout"];
    assert_eq!(alice.ctl(&[&wait[..], &["0"]].concat()).kind(6), "timeout");
    bob.run();
    assert_eq!(alice.get(&[&wait[..], &["90"]].concat())["state"], "delivered");
    assert_eq!(bob.times("hello"), (1, 1));
}

#[test]
fn watch_tells_what_comes_in_and_how_far_one_s_own_has_come() {
    let backbone = Backbone::shared();
    let (alice, _) = backbone.user("watched@a.test");
    let (bob, bob_id) = backbone.user("watcher@b.test");
    let mut watch = bob.ctl_command();
    let mut watch = watch.args(["watch", "--since", "0"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    let sent = alice.get(&["send", &bob_id, "look"]);
    let event = next();
    assert_eq!(event["event"], "message.received");
    assert_eq!((&event["id"], &event["text"]), (&sent["id"], &json!("look")));
    assert_eq!(event["account"], json!(bob_id));
    assert!(event["event_seq"].is_u64());

    let back = bob.get(&["send", "watched@a.test", "seen"]);
    let delivered = loop {
        let event = next();
        assert_eq!((&event["event"], &event["id"]), (&json!("message.state"), &back["id"]));
        if event["state"] == "delivered" {
            break event;
        }
    };
    // A watch goes on over a restart of the daemon, and tells nothing twice.
    bob.stop();
    bob.run();
    let again = alice.get(&["send", &bob_id, "and again"]);
    let event = next();
    assert_eq!(event["id"], again["id"]);
    assert!(event["event_seq"].as_u64() > delivered["event_seq"].as_u64());
    watch.kill().unwrap();
    watch.wait().unwrap();
}

#[test]
fn a_reader_who_says_so_makes_a_message_read() {
    let backbone = Backbone::shared();
    let (alice, _) = backbone.user("author@a.test");
    let (bob, bob_id) = backbone.user("careful@b.test");
    let sent = alice.get(&["send", &bob_id, "read me"]);
    let id = sent["id"].as_str().unwrap();
    bob.arrival(id);
    bob.call("message.read", &json!({ "ids": [id] }));
    let read = alice.get(&["message", "wait", id, "--state", "read", "--timeout", "90"]);
    assert_eq!(read["state"], "read");
    until("the state in the reader's inbox", || {
        (bob.get(&["inbox"])[0]["state"] == "read").then_some(())
    });
}

#[test]
fn a_repeated_call_with_one_client_id_is_one_message() {
    let backbone = Backbone::shared();
    let (alice, _) = backbone.user("twice@a.test");
    let (bob, bob_id) = backbone.user("once@b.test");
    let call = json!({ "to": bob_id, "text": "once", "client_id": "a-retry" });
    let first = alice.call("message.send", &call);
    assert_eq!(alice.call("message.send", &call)["id"], first["id"]);
    let other = json!({ "to": bob_id, "text": "another", "client_id": "a-retry" });
    let answer = alice.socket().call("message.send", &other);
    assert_eq!(answer["error"]["data"]["kind"], "conflict");
    let after = alice.get(&["send", &bob_id, "after", "--wait", "delivered"]);
    bob.arrival(after["id"].as_str().unwrap());
    assert_eq!(bob.times("once"), (1, 1));
    assert_eq!(bob.times("another"), (0, 0));
}

#[test]
fn of_two_accounts_of_one_daemon_the_writer_sees_the_way_and_the_reader_marks() {
    let backbone = Backbone::shared();
    let daemon = Daemon::start(&backbone.setup);
    let ids = ["one", "two"].map(|name| {
        let made = daemon.get(&["account", "create", "--name", name]);
        made["id"].as_str().unwrap().to_owned()
    });
    // Whichever of the ids is the lower.
    for (from, to) in [(0, 1), (1, 0)] {
        let send = ["--account", &ids[from], "send", &ids[to], "hi", "--wait", "delivered"];
        let sent = daemon.get(&[&send[..], &["--timeout", "90"]].concat());
        let id = sent["id"].as_str().unwrap();
        let trace = daemon.get(&["message", "trace", id]);
        assert!(trace["steps"].to_string().contains("queued"), "{trace}");
        assert_eq!(daemon.get(&["message", "show", id])["direction"], "out");
        daemon.call("message.read", &json!({ "ids": [id] }));
        daemon.get(&["message", "wait", id, "--state", "read", "--timeout", "90"]);
    }
}
