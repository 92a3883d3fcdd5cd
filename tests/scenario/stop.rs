//! The end of a daemon: asked for, or by force while messages flow.

use std::sync::Mutex;
use std::time::Duration;

use bytchat_tests::daemon::{Backbone, Daemon, PATIENCE, pause};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use serde_json::{Value, json};

/// Messages in each direction in one round of kills.
const BURST: usize = 5;

/// A message that a daemon has promised to deliver.
struct Promise {
    id: String,
    text: String,
}

#[test]
fn a_daemon_that_is_told_to_stop_is_gone_in_five_seconds_and_says_so() {
    let backbone = Backbone::shared();
    let (alice, _) = backbone.user("stopper@a.test");
    let (bob, bob_id) = backbone.user("stopped@b.test");
    bob.stop();
    let sent = alice.get(&["send", &bob_id, "under way"]);
    // Calls that wait are answered before the end.
    let mut waiting = alice.socket();
    let id = sent["id"].as_str().unwrap();
    let wait = json!({ "jsonrpc": "2.0", "id": 1, "method": "message.wait",
        "params": { "id": id, "state": "read" } });
    assert!(waiting.send(format!("{wait}\n").as_bytes()));
    // An answer to what came later on the same connection: the call that waits was read.
    assert!(waiting.call("node.status", &json!({}))["result"].is_object());
    let (status, took) = alice.stop();
    assert!(status.success(), "{status}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(waiting.line().unwrap()["error"]["data"]["kind"], "shutting_down");
    assert!(waiting.line().is_none());
    assert!(!alice.socket_path().exists());
    let away = alice.ctl(&["node", "status"]);
    assert_eq!(away.kind(69), "daemon.unreachable");
    assert!(away.err.contains(alice.socket_path().to_str().unwrap()), "{}", away.err);
}

/// Links to it are dead for a minute until they time out; nobody may wait for that.
#[test]
fn a_daemon_that_was_killed_sends_and_gets_mail_at_once_at_its_new_port() {
    let backbone = Backbone::shared();
    let (alice, alice_id) = backbone.user("stays@a.test");
    let (bob, bob_id) = backbone.user("returns@b.test");
    let delivered = |from: &Daemon, to: &str, text: &str| {
        let sent = from.get(&["send", to, text, "--wait", "delivered", "--timeout", "30"]);
        assert_eq!(sent["state"], "delivered");
    };
    delivered(&alice, &bob_id, "before");
    delivered(&bob, &alice_id, "before");
    let port = bob.address().port();
    bob.kill();
    bob.run();
    assert_ne!(bob.address().port(), port);
    delivered(&bob, &alice_id, "after");
    delivered(&alice, &bob_id, "after");
}

/// Sends a burst; what the daemon answered is promised, what it did not may come or not.
fn burst(from: &Daemon, to: &str, prefix: &str, promised: &Mutex<Vec<Promise>>) {
    for number in 0..BURST {
        let text = format!("{prefix}-{number}");
        let ran = from.ctl(&["send", to, &text, "--timeout", "30"]);
        if ran.code == 0 {
            let id = ran.json()["id"].as_str().unwrap().to_owned();
            promised.lock().unwrap().push(Promise { id, text });
        } else {
            assert_eq!(ran.kind(69), "daemon.unreachable");
        }
    }
}

/// All texts that came in, from the newest page to the oldest.
fn received(daemon: &Daemon) -> Vec<String> {
    let mut texts = Vec::new();
    let mut before = u64::MAX;
    loop {
        let params = json!({ "limit": 500, "before": before });
        let page = daemon.call("message.inbox", &params);
        let page = page["messages"].as_array().unwrap();
        let Some(oldest) = page.first() else {
            return texts;
        };
        texts.extend(page.iter().map(|message| message["text"].as_str().unwrap().to_owned()));
        before = oldest["seq"].as_u64().unwrap();
    }
}

fn assert_delivered_once(from: &Daemon, to: &Daemon, promised: &[Promise]) {
    for Promise { id, text } in promised {
        let patience = u64::try_from(PATIENCE.as_millis()).unwrap();
        let params = json!({ "id": id, "state": "delivered", "timeout_ms": patience });
        let answer = from.socket().call("message.wait", &params);
        if !answer["error"].is_null() {
            let trace: Value = from.call("message.trace", &json!({ "id": id }));
            panic!("{text} was not delivered: {answer}\n{trace:#}\n{}", from.log());
        }
    }
    let mut texts = received(to);
    texts.sort_unstable();
    for Promise { text, .. } in promised {
        let times = texts.iter().filter(|got| *got == text).count();
        assert_eq!(times, 1, "{text} is in the inbox {times} times");
    }
    let all = texts.len();
    texts.dedup();
    assert_eq!(texts.len(), all, "a message that was not answered came twice");
}

#[test]
fn kills_at_random_instants_lose_nothing_that_was_answered_and_double_nothing() {
    let long = std::env::var_os("BYTCHAT_LONG").is_some_and(|long| long == "1");
    let seed = std::env::var("SEED").map_or(1, |seed| seed.parse().unwrap());
    let mut chance = ChaCha20Rng::seed_from_u64(seed);
    println!("SEED={seed}");
    let backbone = Backbone::new();
    let (alice, alice_id) = backbone.user("alice@a.test");
    let (bob, bob_id) = backbone.user("bob@b.test");
    alice.get(&["send", &bob_id, "first", "--wait", "delivered", "--timeout", "90"]);
    let victims = [&alice, &bob, &backbone.others[0], &backbone.pods[1]];
    let there = Mutex::new(Vec::new());
    let back = Mutex::new(Vec::new());
    for round in 0..if long { 200 } else { 8 } {
        let victim = victims[round % victims.len()];
        let before = Duration::from_micros(u64::from(chance.next_u32() % 400_000));
        let after = Duration::from_micros(u64::from(chance.next_u32() % 200_000));
        std::thread::scope(|scope| {
            let prefix = format!("round-{round}");
            let (to, from) = (prefix.clone(), prefix);
            let (alice, bob, there, back) = (&alice, &bob, &there, &back);
            let (alice_id, bob_id) = (&alice_id, &bob_id);
            scope.spawn(move || burst(alice, bob_id, &to, there));
            scope.spawn(move || burst(bob, alice_id, &from, back));
            pause(before);
            victim.kill();
            pause(after);
            victim.run();
        });
        if long {
            println!("round {round}: killed after {before:?}");
        }
    }
    let (there, back) = (there.into_inner().unwrap(), back.into_inner().unwrap());
    println!("promised {} and {} messages", there.len(), back.len());
    assert!(there.len() + back.len() >= 8 * BURST, "nearly nothing was sent");
    assert_delivered_once(&alice, &bob, &there);
    assert_delivered_once(&bob, &alice, &back);
    for daemon in [&alice, &bob] {
        assert!(daemon.stop().0.success(), "{}", daemon.log());
        daemon.run();
    }
}
