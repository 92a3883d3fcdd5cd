//! Front ends that follow the log of events while they and the daemon are killed.

use std::collections::BTreeMap;
use std::time::Duration;

use bytchat_tests::daemon::{Backbone, Daemon, Socket, pause};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use serde_json::{Value, json};

/// The text of the last message.
const END: &str = "the end";

/// What a front end has written down of the log: the only thing that outlives its process.
#[derive(Default)]
struct Notebook {
    events: BTreeMap<u64, Value>,
    twice: usize,
    finished: bool,
}

impl Notebook {
    fn last(&self) -> u64 {
        self.events.last_key_value().map_or(0, |(seq, _)| *seq)
    }

    fn write(&mut self, event: &Value) {
        let seq = event["seq"].as_u64().unwrap();
        if let Some(before) = self.events.insert(seq, event.clone()) {
            assert_eq!(&before, event, "an event has changed");
            self.twice += 1;
        }
        self.finished |= event["data"]["text"] == END;
    }
}

fn try_connect(daemon: &Daemon) -> Option<Socket> {
    let socket = Socket::try_connect(&daemon.socket_path());
    if socket.is_none() {
        pause(Duration::from_millis(20));
    }
    socket
}

/// Follows by subscription and is killed after every few events.
fn subscriber(daemon: &Daemon, mut chance: ChaCha20Rng) -> Notebook {
    let mut notebook = Notebook::default();
    while !notebook.finished {
        let Some(mut socket) = try_connect(daemon) else {
            continue;
        };
        let params = json!({ "since": notebook.last() });
        if socket.try_call("event.subscribe", &params).is_none_or(|a| a["result"].is_null()) {
            continue;
        }
        let mut lives = 1 + chance.next_u32() % 12;
        while lives > 0
            && !notebook.finished
            && let Some(told) = socket.try_line()
        {
            let told = &told["params"]["result"];
            assert_ne!(told["type"], "stream.gap", "{told}");
            if told["seq"].is_null() {
                continue;
            }
            assert_eq!(told["seq"], notebook.last() + 1, "an event is missing or came twice");
            notebook.write(told);
            lives -= 1;
        }
    }
    notebook
}

/// Follows by long polls.
fn poller(daemon: &Daemon) -> Notebook {
    let mut notebook = Notebook::default();
    let mut next = json!(0);
    while !notebook.finished {
        let Some(mut socket) = try_connect(daemon) else {
            continue;
        };
        let params = |next: &Value| json!({ "since": next, "limit": 3, "wait_ms": 5_000 });
        while let Some(answer) = socket.try_call("event.list", &params(&next))
            && answer["result"].is_object()
        {
            let page = &answer["result"];
            assert!(page["gap"].is_null(), "{page}");
            for event in page["events"].as_array().unwrap() {
                notebook.write(event);
            }
            next = page["next"].clone();
            if notebook.finished {
                break;
            }
        }
    }
    notebook
}

/// Follows from a named position, which it moves after each event, and has no other memory.
fn bot(daemon: &Daemon, mut chance: ChaCha20Rng) -> Notebook {
    let mut notebook = Notebook::default();
    while !notebook.finished {
        let (Some(mut socket), Some(mut other)) = (try_connect(daemon), try_connect(daemon)) else {
            continue;
        };
        let params = json!({ "cursor": "bot", "since": 0 });
        if socket.try_call("event.subscribe", &params).is_none_or(|a| a["result"].is_null()) {
            continue;
        }
        let mut lives = 1 + chance.next_u32() % 12;
        while lives > 0
            && !notebook.finished
            && let Some(told) = socket.try_line()
        {
            let told = &told["params"]["result"];
            if told["seq"].is_null() {
                continue;
            }
            notebook.write(told);
            lives -= 1;
            let params = json!({ "name": "bot", "seq": told["seq"] });
            // Killed before it could say that it is done with it: this one comes again.
            if lives > 0 && other.try_call("cursor.set", &params).is_none() {
                break;
            }
        }
    }
    notebook
}

#[test]
fn kills_of_front_ends_and_daemon_lose_no_event_and_double_none() {
    let long = std::env::var_os("BYTCHAT_LONG").is_some_and(|long| long == "1");
    let seed = std::env::var("SEED").map_or(1, |seed| seed.parse().unwrap());
    let mut chance = ChaCha20Rng::seed_from_u64(seed);
    println!("SEED={seed}");
    let backbone = Backbone::new();
    let (alice, alice_id) = backbone.user("alice@a.test");
    let (bob, bob_id) = backbone.user("bob@b.test");
    let (one, two) = (ChaCha20Rng::seed_from_u64(seed + 1), ChaCha20Rng::seed_from_u64(seed + 2));
    let epoch = alice.call("cursor.list", &json!({}))["epoch"].clone();
    let books = std::thread::scope(|scope| {
        let subscriber = scope.spawn(|| subscriber(&alice, one));
        let poller = scope.spawn(|| poller(&alice));
        let bot = scope.spawn(|| bot(&alice, two));
        for round in 0..if long { 100 } else { 5 } {
            for number in 0..4 {
                bob.get(&["send", &alice_id, &format!("round {round}, {number}")]);
            }
            let own = alice.get(&["send", &bob_id, &format!("from alice {round}")]);
            assert_eq!(own["state"], "queued");
            pause(Duration::from_micros(u64::from(chance.next_u32() % 300_000)));
            alice.kill();
            alice.run();
        }
        let args = ["send", &alice_id, END, "--wait", "delivered", "--timeout", "90"];
        bob.get(&args);
        [subscriber, poller, bot].map(|book| book.join().unwrap())
    });
    let all = list(&alice);
    let seqs: Vec<u64> = all.keys().copied().collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
    for (book, who) in books.iter().zip(["the subscriber", "the poller", "the bot"]) {
        let upto = book.last();
        for (seq, event) in all.range(..=upto) {
            assert_eq!(book.events.get(seq), Some(event), "{who} and event {seq}");
        }
        assert!(who == "the bot" || book.twice == 0, "{who} got {} twice", book.twice);
    }
    println!("{} events, {} told twice to the bot", all.len(), books[2].twice);
    assert_eq!(alice.call("cursor.list", &json!({}))["epoch"], epoch);
}

/// The whole log of a daemon.
fn list(daemon: &Daemon) -> BTreeMap<u64, Value> {
    let mut all = BTreeMap::new();
    let mut since = json!(0);
    loop {
        let page = daemon.call("event.list", &json!({ "since": since, "limit": 500 }));
        let events = page["events"].as_array().unwrap();
        if events.is_empty() {
            return all;
        }
        all.extend(events.iter().map(|event| (event["seq"].as_u64().unwrap(), event.clone())));
        since = page["next"].clone();
    }
}
