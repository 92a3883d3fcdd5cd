//! Calls that are repeated while their daemon is killed: each happens once.

use std::time::Duration;

use bytchat_tests::daemon::{Backbone, Daemon, Socket, pause};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use serde_json::{Value, json};

/// So often a daemon is killed before it may answer.
const KILLS: u64 = 3;

/// Makes a call until it is answered, killing the daemon meanwhile; gives the answer.
fn insist(daemon: &Daemon, chance: &mut ChaCha20Rng, method: &str, params: &Value) -> Value {
    for _ in 0..KILLS {
        let mut socket = daemon.socket();
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        assert!(socket.send(format!("{request}\n").as_bytes()));
        // Now and then it is answered, now and then it is not even begun.
        pause(Duration::from_micros(u64::from(chance.next_u32() % 60_000)));
        daemon.kill();
        daemon.run();
    }
    answer(&mut daemon.socket(), method, params)
}

fn answer(socket: &mut Socket, method: &str, params: &Value) -> Value {
    let mut answer = socket.call(method, params);
    assert!(answer["error"].is_null(), "{method}: {answer}");
    answer["result"].take()
}

/// SPEC 8.50: the answer is on disk with the change, or neither is.
#[test]
fn what_is_repeated_over_kills_happens_once() {
    let seed = std::env::var("SEED").map_or(1, |seed| seed.parse().unwrap());
    println!("SEED={seed}");
    let mut chance = ChaCha20Rng::seed_from_u64(seed);
    let backbone = Backbone::shared();
    let (alice, alice_id) = backbone.user("insists@a.test");
    let (bob, bob_id) = backbone.user("patient@b.test");
    let me = || json!(alice_id);
    let calls = [
        ("message.send", json!({ "account": me(), "to": bob_id, "text": "once" })),
        ("account.create", json!({ "name": "second" })),
        ("contact.block", json!({ "account": me(), "who": alice_id })),
        ("alias.register", json!({ "account": me(), "alias": "insists-too@a.test" })),
        ("profile.set", json!({ "account": me(), "name": "Alice" })),
        ("cursor.set", json!({ "name": "bot", "seq": 0 })),
        ("message.send", json!({ "account": me(), "to": "patient@b.test", "text": "by alias" })),
    ];
    for (number, (method, mut params)) in calls.into_iter().enumerate() {
        params["client_id"] = json!(format!("call-{number}"));
        let first = insist(&alice, &mut chance, method, &params);
        let again = answer(&mut alice.socket(), method, &params);
        assert_eq!(again["replayed"], true, "{method}");
        for name in ["id", "alias", "sequence", "rev", "at"] {
            assert_eq!(again[name], first[name], "{method}");
        }
    }
    let accounts = alice.get(&["account", "list"]);
    let named = |name: &str| {
        let all = accounts.as_array().unwrap().iter();
        all.filter(|account| account["name"] == name).cloned().collect::<Vec<_>>()
    };
    assert_eq!((accounts.as_array().unwrap().len(), named("second").len()), (2, 1));
    let args = ["--account", &alice_id, "send", &bob_id, "last", "--wait", "delivered"];
    let last = alice.get(&[&args[..], &["--timeout", "90"]].concat());
    bob.arrival(last["id"].as_str().unwrap());
    for text in ["once", "by alias", "last"] {
        assert_eq!(bob.times(text), (1, 1), "{text}");
    }
    let history = alice.get(&["--account", &alice_id, "history", &bob_id, "--limit", "500"]);
    assert_eq!(history.as_array().unwrap().len(), 3);
}

/// SPEC 8.51: nothing is written and nothing leaves.
#[test]
fn a_dry_run_leaves_no_trace() {
    let backbone = Backbone::shared();
    let (alice, alice_id) = backbone.user("tries@a.test");
    let (bob, _) = backbone.user("tried@b.test");
    let would = alice.get(&["send", "tried@b.test", "not this", "--dry-run"]);
    assert_eq!((&would["dry_run"], &would["state"]), (&json!(true), &json!("queued")));
    let free = alice.get(&["alias", "register", "free-yet@b.test", "--dry-run"]);
    assert_eq!(free["id"], alice_id);
    let ran = alice.ctl(&["alias", "register", "tried@b.test", "--dry-run"]);
    assert_eq!(ran.kind(8), "alias.taken");
    let ran = alice.ctl(&["alias", "resolve", "free-yet@b.test"]);
    assert_eq!(ran.kind(5), "address.unknown");
    assert!(alice.get(&["inbox"]).as_array().unwrap().is_empty());
    let sent = alice.get(&["send", "tried@b.test", "this", "--wait", "delivered"]);
    bob.arrival(sent["id"].as_str().unwrap());
    assert_eq!(bob.times("not this"), (0, 0));
}
