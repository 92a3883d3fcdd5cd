//! `bytctl watch --exec`: a bot in one line, through kills of the daemon and its own failures.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Stdio};

use bytchat_tests::daemon::{Backbone, Daemon, until};
use serde_json::Value;

/// Writes each event down, but fails at first for every third; keeps what it did in its folder.
const COMMAND: &str = "\
    read -r event; mark=tried.$BYTCHAT_EVENT_SEQ; \
    if test $((BYTCHAT_EVENT_SEQ % 3)) = 0 && ! test -e $mark; then : >$mark; exit 1; fi; \
    printf '%s\\n' \"$event\" >>done";
/// The text of the last message.
const END: &str = "the end";

/// A process that does not outlive this.
struct Follower(Child);

impl Drop for Follower {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn follow(daemon: &Daemon, since: &[&str]) -> Follower {
    let mut command = daemon.ctl_command();
    command.args(["watch", "--cursor", "bot", "--types", "message.received"]).args(since);
    command.args(["--exec", COMMAND]).current_dir(daemon.folder("bot"));
    Follower(command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

/// The texts that the command is done with, each with how often.
fn done(daemon: &Daemon) -> BTreeMap<String, usize> {
    let text = fs::read_to_string(daemon.path("bot/done")).unwrap_or_default();
    let mut texts = BTreeMap::new();
    for line in text.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        *texts.entry(event["text"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    texts
}

#[test]
fn a_hook_is_run_once_for_each_event_through_kills_of_the_daemon_and_failures() {
    let backbone = Backbone::shared();
    let (alice, alice_id) = backbone.user("hook@a.test");
    let (bob, _) = backbone.user("caller@b.test");
    let mut sent = BTreeMap::new();
    let mut send = |text: String| {
        bob.get(&["send", &alice_id, &text, "--wait", "delivered", "--timeout", "90"]);
        sent.insert(text, 1);
        sent.clone()
    };
    let bot = follow(&alice, &["--since", "0"]);
    for round in 0..3 {
        for number in 0..2 {
            send(format!("round {round}, {number}"));
        }
        alice.kill();
        alice.run();
    }
    let all = send(END.to_owned());
    until("the last event", || done(&alice).contains_key(END).then_some(()));
    assert_eq!(done(&alice), all);
    let cursor = || alice.get(&["rpc", "cursor.list", "name=bot"])["cursors"][0].clone();
    until("a cursor that has come to the end", || (cursor()["behind"] == 0).then_some(()));
    // What began again goes on where the first one was, and does nothing twice.
    drop(bot);
    let all = send("one more".to_owned());
    let bot = follow(&alice, &[]);
    until("an event after the restart", || done(&alice).contains_key("one more").then_some(()));
    assert_eq!(done(&alice), all);
    drop(bot);
}

#[test]
fn lines_become_messages_in_their_order() {
    let backbone = Backbone::shared();
    let (alice, alice_id) = backbone.user("lines@a.test");
    let (bob, _) = backbone.user("writer@b.test");
    let args = ["send", &alice_id, "--lines", "--wait", "delivered", "--timeout", "90"];
    let ran = bob.ctl_reading(&args, "first\n\nsecond\nthird".as_bytes());
    let ids: Vec<Value> = ran.ok().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(ids.len(), 3);
    for (sent, text) in ids.iter().zip(["first", "second", "third"]) {
        assert_eq!(alice.arrival(sent["id"].as_str().unwrap())["text"], text);
    }
}
