//! What people see and scripts rely on: tables, colours, lines, hooks, completions, the doctor.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "people wait in real time")]

#[cfg(test)]
#[expect(dead_code, reason = "the other tests use the rest of it")]
mod fake;

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use fake::{Fake, Ran, Reply, bytctl, ran};
use serde_json::{Value, json};

const ALICE: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const BOB: &str = "qeaqcaibaeaqcaibaeaqcaibaeaqcaib";
const ID: &str = "aeaqcaibaeaqcaibaeaqcaibaeaqcaibaeaqcaibaeaqcaibaeaq";

fn message(from: &str, text: &str, request: bool) -> Value {
    json!({
        "id": ID, "seq": 3, "from": from, "to": BOB, "direction": "in",
        "content_type": "text/plain", "text": text, "state": "delivered",
        "sent_at": 1_795_231_949_123_u64, "received_at": 1_795_231_949_200_u64,
        "request": request, "gap": false,
    })
}

/// An inbox with a friend, whose alias is known, and a stranger.
fn inbox(text: &str) -> Fake {
    let messages = json!([message(BOB, text, false), message(ALICE, "漢字", true)]);
    Fake::new(move |method, _| match method {
        "message.inbox" => Reply::Result(json!({ "messages": messages })),
        "contact.list" => Reply::Result(json!({ "contacts": [
            { "id": BOB, "alias": "bob@b.test", "standing": "accepted" },
        ]})),
        other => panic!("{other}"),
    })
}

/// A command on a terminal that has so many columns.
fn terminal(fake: &Fake, columns: u16, args: &[&str]) -> Command {
    let program = env!("CARGO_BIN_EXE_bytctl");
    let socket = fake.socket();
    let line = format!(
        "stty cols {columns}; exec {program} --socket {} {}",
        socket.display(),
        args.join(" ")
    );
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
    script.env("TERM", "xterm").stdin(Stdio::null());
    script
}

/// Runs a command on a terminal and gives the lines that it shows.
fn on_terminal(fake: &Fake, columns: u16, args: &[&str]) -> Vec<String> {
    let output = terminal(fake, columns, args).output().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    out.lines().map(|line| line.trim_end_matches('\r').to_owned()).collect()
}

#[test]
fn a_wide_terminal_shows_a_row_a_line_with_names_for_people() {
    let fake = inbox("hi");
    let lines = on_terminal(&fake, 180, &["inbox", "--color", "never"]);
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[0].starts_with("RECEIVED  "), "{lines:?}");
    assert!(lines[1].contains("  bob@b.test   ") && lines[1].contains("  delivered  hi "));
    assert!(lines[2].contains(&format!("  {ALICE}  request    漢字  {ID}")), "{lines:?}");
    let column = |line: &str| line.find(ID).map(|at| line[..at].chars().count());
    // Each of the two wide characters takes two columns.
    assert_eq!(column(&lines[1]), column(&lines[2]).map(|at| at + 2));
}

#[test]
fn a_narrow_terminal_cuts_texts_and_no_ids() {
    let fake = inbox(&"long ".repeat(100));
    let lines = on_terminal(&fake, 160, &["inbox", "--color", "never"]);
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines.iter().all(|line| line.chars().count() <= 160), "{lines:?}");
    assert!(lines[1].contains('…') && lines[1].ends_with(ID), "{lines:?}");
    for columns in [80, 60] {
        let lines = on_terminal(&fake, columns, &["inbox", "--color", "never"]);
        let width = usize::from(columns);
        assert!(lines.iter().all(|line| line.chars().count() <= width), "{lines:?}");
        assert_eq!(lines.iter().filter(|line| line.trim() == ID).count(), 2, "{lines:?}");
    }
}

#[test]
fn a_terminal_is_coloured_and_a_stranger_cannot_colour_it() {
    let fake = inbox("\u{1b}[31mred\u{202e}\u{200b}");
    let lines = on_terminal(&fake, 180, &["inbox"]);
    assert!(lines[0].contains("\u{1b}[1mRECEIVED\u{1b}[0m"), "{lines:?}");
    assert!(lines[1].contains("\u{1b}[32mdelivered\u{1b}[0m"), "{lines:?}");
    assert!(lines[1].contains("\\u{1b}[31mred\\u{202e}\\u{200b}"), "{lines:?}");
    assert!(lines[2].contains("\u{1b}[33mrequest\u{1b}[0m"), "{lines:?}");
}

#[test]
fn a_pipe_has_tabs_and_colours_only_if_they_are_asked_for() {
    let fake = inbox("a\tb");
    let plain = fake.run(&["inbox"]);
    assert!(!plain.out.contains('\u{1b}'), "{}", plain.out);
    assert!(plain.out.lines().all(|line| line.matches('\t').count() == 4), "{}", plain.out);
    // Scripts get ids: a name in the address book may change.
    assert!(plain.out.contains(&format!("\t{BOB}\t")), "{}", plain.out);
    let with = |name: &str, value: &str, args: &[&str]| {
        let mut command = fake.command(&[&["inbox"], args].concat());
        ran(&command.env(name, value).output().unwrap()).out
    };
    assert!(with("CLICOLOR_FORCE", "1", &[]).contains("\u{1b}[32mdelivered"));
    assert!(with("NO_COLOR", "1", &["--color", "always"]).contains("\u{1b}[32mdelivered"));
    assert_eq!(with("CLICOLOR_FORCE", "1", &["--color", "never"]), plain.out);
    assert_eq!(with("NO_COLOR", "1", &[]), plain.out);
}

#[test]
fn what_takes_long_is_told_to_who_looks_on_and_wiped_afterwards() {
    let (end, ended) = channel();
    let fake = Fake::new(move |_, _| {
        ended.recv().unwrap();
        Reply::Result(json!({ "id": ALICE, "name": "alice", "aliases": [] }))
    });
    let mut command = terminal(&fake, 80, &["account", "create", "--color", "never"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut output = child.stdout.take().unwrap();
    let mut shown = Vec::new();
    while !String::from_utf8_lossy(&shown).contains("making a key … 0 s") {
        let mut byte = [0];
        output.read_exact(&mut byte).unwrap();
        shown.push(byte[0]);
    }
    end.send(()).unwrap();
    output.read_to_end(&mut shown).unwrap();
    assert!(child.wait().unwrap().success());
    let shown = String::from_utf8(shown).unwrap();
    let rest = shown.rsplit_once("\r\u{1b}[K").unwrap().1;
    assert!(rest.starts_with("NAME   ID"), "{shown:?}");
}

#[test]
fn a_wait_goes_on_when_the_daemon_restarts() {
    let mut calls = 0;
    let fake = Fake::new(move |_, _| {
        calls += 1;
        if calls < 3 { Reply::HangUp } else { Reply::Result(message(ALICE, "hi", false)) }
    });
    let ran = fake.run(&["message", "wait", ID, "--state", "delivered"]);
    assert_eq!((ran.code, ran.out), (0, format!("delivered {ID}\n")), "{}", ran.err);
}

/// Takes every message but one with this text.
fn taking_all_but(bad: &'static str) -> Fake {
    Fake::new(move |_, params| match params["text"] == bad {
        true => Reply::Error(json!({ "code": 1106, "message": "no" })),
        false => Reply::Result(json!({ "id": ID, "state": "queued", "to": BOB })),
    })
}

#[test]
fn each_line_is_a_message_with_an_id_of_its_own() {
    let fake = taking_all_but("bad");
    let ran = fake.run_with(&["send", "bob", "--lines"], "one\n\n  \nGrüße\r\nlast".as_bytes());
    assert_eq!((ran.code, ran.out), (0, format!("queued {ID}\n").repeat(3)), "{}", ran.err);
    let calls: Vec<_> = fake.seen.try_iter().collect();
    let texts: Vec<_> = calls.iter().map(|call| call.params["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["one", "Grüße", "last"]);
    assert_ne!(calls[0].params["client_id"], calls[1].params["client_id"]);
}

#[test]
fn the_line_at_which_sending_stopped_is_named() {
    let fake = taking_all_but("bad");
    let ran = fake.run_with(&["send", "bob", "--lines"], b"one\n\nbad\nthree\n");
    assert_eq!((ran.code, ran.out), (7, format!("queued {ID}\n")));
    assert!(ran.err.contains("stopped at line 3, which is not sent"), "{}", ran.err);
    assert_eq!(fake.seen.try_iter().count(), 2);
    let both = bytctl().args(["send", "bob", "text", "--lines"]).output().unwrap();
    assert_eq!(fake::ran(&both).code, 2);
}

/// A log with three events; says what cursors are set to.
fn log() -> Fake {
    Fake::new(|method, params| match method {
        "cursor.list" => Reply::Result(json!({ "cursors": [], "epoch": "e", "head": 0 })),
        "cursor.set" => Reply::Result(params.clone()),
        "event.list" if params["limit"] == 1 => {
            Reply::Result(json!({ "events": [], "next": 9, "epoch": "e" }))
        }
        "event.list" if params["since"] == 0 => {
            assert_eq!(params["types"], json!(["message.*", "contact.key_changed"]));
            let event = |seq: u64| {
                let data = message(ALICE, &format!("text {seq}"), false);
                let kind = "message.received";
                json!({ "seq": seq, "at": 0, "account": BOB, "type": kind, "data": data })
            };
            let events = [event(1), event(2), event(5)];
            Reply::Result(json!({ "events": events, "next": 6, "epoch": "e" }))
        }
        // The end of the test.
        _ => Reply::Error(json!({ "code": 1502, "message": "the end" })),
    })
}

fn follow(fake: &Fake, exec: &str, more: &[&str]) -> Ran {
    let types = "message.*,contact.key_changed";
    let args = ["watch", "--since", "0", "--cursor", "bot", "--types", types, "--exec", exec];
    let mut command = fake.command(&[&args, more].concat());
    ran(&command.current_dir(fake.dir.path()).output().unwrap())
}

fn cursor(fake: &Fake) -> Vec<Value> {
    let sets = fake.seen.try_iter().filter(|call| call.method == "cursor.set");
    sets.map(|call| call.params["seq"].clone()).collect()
}

#[test]
fn a_command_is_run_for_each_event_and_again_when_it_fails() {
    let fake = log();
    let exec = "cat >>all; echo $BYTCHAT_EVENT $BYTCHAT_EVENT_SEQ >>names; \
                test $BYTCHAT_EVENT_SEQ != 2 || test -e again || { touch again; exit 3; }";
    let followed = follow(&fake, exec, &[]);
    assert_eq!(followed.code, 1, "{}", followed.err);
    assert!(followed.err.contains("event 2 ended with exit status: 3; again in 0.5 s"));
    let all = fs::read_to_string(fake.dir.path().join("all")).unwrap();
    let events: Vec<Value> = all.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let seqs: Vec<_> = events.iter().map(|event| event["event_seq"].clone()).collect();
    assert_eq!(seqs, [1, 2, 2, 5]);
    assert_eq!(events[0]["event"], "message.received");
    assert_eq!(events[0]["text"], "text 1");
    let names = fs::read_to_string(fake.dir.path().join("names")).unwrap();
    assert!(names.starts_with("message.received 1\n"), "{names}");
    // Where it began, then each event that is done, then the end of what was read.
    assert_eq!(cursor(&fake), [0, 1, 2, 5, 6]);
}

#[test]
fn a_command_that_keeps_failing_leaves_the_cursor_before_its_event() {
    let fake = log();
    let followed = follow(&fake, "test $BYTCHAT_EVENT_SEQ = 1", &["--tries", "2", "--json"]);
    assert_eq!(followed.code, 1, "{}", followed.err);
    assert!(
        followed.err.contains("event 2 ended with exit status: 1, 2 times"),
        "{}",
        followed.err
    );
    assert_eq!(cursor(&fake), [0, 1]);
}

#[test]
fn a_command_needs_a_cursor() {
    let output = bytctl().args(["watch", "--exec", "true", "--json"]).output().unwrap();
    let ran = ran(&output);
    assert_eq!(ran.code, 2);
    assert!(output.stdout.is_empty());
}

/// Knows one of everything that can be completed.
fn knowing_all() -> Fake {
    Fake::new(|method, params| {
        assert!(params.as_object().is_some_and(|params| params.len() <= 1));
        Reply::Result(match method {
            "contact.list" => json!({ "contacts": [
                { "id": BOB, "alias": "bob@b.test" }, { "id": ALICE, "alias": null },
                { "id": BOB, "alias": "$(reboot)" },
            ]}),
            "account.list" => json!({ "accounts": [
                { "id": ALICE, "name": "my own", "aliases": ["alice@a.test"] },
                { "id": BOB, "name": "bob", "aliases": [] },
            ]}),
            "cursor.list" => json!({ "cursors": [{ "name": "bot" }] }),
            "rpc.methods" => json!({ "methods": ["node.status", "node.peers"] }),
            other => panic!("{other}"),
        })
    })
}

#[test]
fn completions_know_what_the_daemon_knows() {
    let fake = knowing_all();
    for (args, words) in [
        (&["who", ""][..], format!("{ALICE}\nbob@b.test\n")),
        (&["who", "bo"], "bob@b.test\n".to_owned()),
        (&["account", ""], "alice@a.test\nbob\n".to_owned()),
        (&["cursor", ""], "bot\n".to_owned()),
        (&["method", "node.s"], "node.status\n".to_owned()),
        (&["weather", ""], String::new()),
        (&["line", "--", "send", "bo"], "bob@b.test\n".to_owned()),
        (&["line", "--", "--account", "b"], "bob\n".to_owned()),
        (&["line", "--", "node", ""], String::new()),
    ] {
        let ran = fake.run(&[&["__complete"], args].concat());
        assert_eq!((ran.code, ran.out, ran.err), (0, words, String::new()), "{args:?}");
    }
}

#[test]
fn completions_are_silent_when_the_daemon_is_away_or_slow() {
    let none = bytctl().args(["--socket", "/none", "__complete", "who", ""]).output().unwrap();
    let none = ran(&none);
    assert_eq!((none.code, none.out, none.err), (0, String::new(), String::new()));
    let (end, ended) = channel::<()>();
    let fake = Fake::new(move |_, _| match ended.recv() {
        Ok(()) | Err(_) => Reply::HangUp,
    });
    let begun = Instant::now();
    let slow = fake.run(&["__complete", "who", ""]);
    // Generous: the machine may be busy. Without the limit it would never end.
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert_eq!((slow.code, slow.out, slow.err), (0, String::new(), String::new()));
    drop(end);
}

/// What bash has for the last word of a line, of which it means to replace a part.
fn bash(fake: &Fake, line: &str, part: &str) -> String {
    let script = ran(&bytctl().args(["completion", "bash"]).output().unwrap()).out;
    let run = "eval \"$SCRIPT\"; COMP_POINT=${#COMP_LINE}; read -ra COMP_WORDS <<<\"$COMP_LINE\"; \
               [[ $COMP_LINE == *' ' ]] && COMP_WORDS+=(''); \
               COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); \
               _bytctl bytctl \"$PART\" \"${COMP_WORDS[-2]}\"; \
               printf '%s\\n' \"${COMPREPLY[@]}\"";
    let mut command = Command::new("bash");
    command.args(["-c", run]).env("SCRIPT", script).env("COMP_LINE", line).env("PART", part);
    let own = Path::new(env!("CARGO_BIN_EXE_bytctl")).parent().unwrap();
    command.env("PATH", format!("{}:/usr/bin:/bin", own.display()));
    command.env("BYTCHAT_SOCKET", fake.socket());
    ran(&command.output().unwrap()).out
}

#[test]
fn bash_completes_aliases_and_still_knows_commands() {
    let fake = knowing_all();
    assert_eq!(bash(&fake, "bytctl send b", "b"), "bob@b.test\n");
    // For bash a word begins anew with an @.
    assert_eq!(bash(&fake, "bytctl send bob@b.", "@b."), "@b.test\n");
    assert_eq!(bash(&fake, "bytctl --account bo", "bo"), "bob\n");
    assert_eq!(bash(&fake, "bytctl docto", "docto"), "doctor\n");
    let all = bash(&fake, "bytctl ", "");
    assert!(all.contains("send\n") && !all.contains("__complete"), "{all}");
}

/// A daemon to which nothing is amiss, or without anybody whom it knows.
fn daemon(peers: u64) -> Fake {
    Fake::new(move |method, _| {
        Reply::Result(match method {
            "node.status" => json!({
                "node_id": ALICE, "listen": [], "peers": peers, "links": peers, "outbox": 0,
                "store_bytes": 5_000_000, "version": env!("CARGO_PKG_VERSION"), "clock": "ok",
            }),
            "cursor.list" => json!({ "cursors": [{ "name": "old", "behind": 20_000 }] }),
            "account.list" => json!({ "accounts": [{ "id": ALICE }] }),
            _ => return Reply::Error(json!({ "code": -32601, "message": "no such method" })),
        })
    })
}

fn check(report: &Value, name: &str) -> Value {
    let mut checks = report["checks"].as_array().unwrap().iter();
    checks.find(|check| check["name"] == name).unwrap().clone()
}

#[test]
fn the_doctor_says_what_is_wrong_and_what_mends_it() {
    let fake = daemon(0);
    let ran = fake.run(&["doctor", "--json"]);
    assert_eq!(ran.code, 1);
    assert!(ran.error()["message"].as_str().unwrap().contains("failed"));
    let report = ran.json();
    assert_eq!(report["ok"], false);
    assert_eq!(check(&report, "socket")["verdict"], "ok");
    assert_eq!(check(&report, "network")["verdict"], "fail");
    assert!(check(&report, "network")["fix"].as_str().unwrap().contains("bootstrap"));
    assert_eq!(check(&report, "udp")["verdict"], "fail");
    assert_eq!(check(&report, "clock")["verdict"], "ok");
    assert_eq!(check(&report, "versions")["verdict"], "ok");
    let late = check(&report, "cursors");
    assert_eq!(late["verdict"], "warn");
    assert!(late["fix"].as_str().unwrap().contains("cursor.delete name=old"));
    let plain = fake.run(&["doctor"]);
    assert!(plain.out.lines().all(|line| line.matches('\t').count() == 3), "{}", plain.out);
    let shown = on_terminal(&fake, 100, &["doctor"]);
    assert!(shown.iter().any(|line| line.contains("\u{1b}[1;31mfail\u{1b}[0m  network")));
}

#[test]
fn the_doctor_without_a_daemon_says_how_to_start_it() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("none");
    let output = bytctl().arg("--socket").arg(socket).args(["doctor", "--json"]).output().unwrap();
    let ran = ran(&output);
    assert_eq!(ran.code, 1);
    let socket = check(&ran.json(), "socket");
    assert_eq!(socket["verdict"], "fail");
    assert!(socket["fix"].as_str().unwrap().contains("systemctl start bytchatd"));
}

#[test]
fn the_exit_codes_are_printed_under_both_names() {
    let (own, help) = (["exit-codes"].as_slice(), ["help", "exit-codes"].as_slice());
    let [own, help] = [own, help].map(|args| ran(&bytctl().args(args).output().unwrap()));
    assert_eq!((own.code, help.code), (0, 0));
    assert_eq!(own.out.trim(), help.out.trim());
    assert!(own.out.contains("\n 69  The daemon cannot be reached."), "{}", own.out);
    let json = ran(&bytctl().args(["exit-codes", "--json"]).output().unwrap()).json();
    let codes: Vec<_> = json.as_array().unwrap().iter().map(|exit| exit["code"].clone()).collect();
    assert_eq!(codes, [0, 1, 2, 4, 5, 6, 7, 8, 69, 130]);
}

#[test]
fn the_configuration_is_shown_with_the_origin_of_each_value() {
    let setting = |key: &str, value: Value, origin: &str, place: Value| {
        let waits = key == "network";
        json!({ "key": key, "value": value, "origin": origin, "place": place, "waits": waits })
    };
    let config = json!({ "file": "/b.toml", "values": [
        setting("listen", json!(["[::]:1", "0.0.0.0:1"]), "flag", json!("--listen")),
        setting("network", json!("home"), "file", json!("/b.toml:3")),
        setting("pod", Value::Null, "default", Value::Null),
    ]});
    let fake = Fake::knowing("node.config", config.clone());
    assert_eq!(fake.run(&["config", "show", "--json"]).json(), config);
    let rows = "listen\t--listen\t[::]:1 0.0.0.0:1\n\
                network\t/b.toml:3 (changed, needs a restart)\thome\n\
                pod\tdefault\t-\n";
    assert_eq!(fake.run(&["config", "show"]).out, rows);
}

#[test]
fn methods_are_listed_with_what_they_take_and_do() {
    let fake = Fake::new(|method, _| {
        Reply::Result(match method {
            "rpc.methods" => json!({ "methods": ["node.status"] }),
            "rpc.discover" => json!({ "methods": [
                { "name": "node.status", "x-role": "observe", "summary": "How it stands." },
            ]}),
            other => panic!("{other}"),
        })
    });
    let ran = fake.run(&["rpc", "--list"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "node.status\tobserve\tHow it stands.\n"));
    let ran = fake.run(&["--json", "rpc", "--list"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "{\"methods\":[\"node.status\"]}\n"));
}

#[test]
fn a_lookup_shows_its_holders_and_its_hops_if_asked_to() {
    let found = json!({
        "target": ALICE, "answered": 2, "duration_ms": 60,
        "holders": [
            { "node_id": BOB, "address": "192.0.2.1:7", "near_bits": 9, "own": false },
            { "node_id": ALICE, "address": null, "near_bits": 8, "own": true },
        ],
        "hops": [{
            "node_id": BOB, "address": "192.0.2.1:7", "hop": 2, "near_bits": 9, "at_ms": 40,
            "round_trip_ms": 23, "outcome": "answered", "contacts": 20,
        }],
    });
    let fake = Fake::knowing("dht.lookup", found.clone());
    let short = fake.run(&["dht", "lookup", ALICE]);
    assert_eq!((short.code, short.out.lines().count()), (0, 2), "{}{}", short.out, short.err);
    assert!(short.out.contains("this node"), "{}", short.out);
    assert_eq!(fake.next().params, json!({ "target": ALICE }));
    let long = fake.run(&["dht", "lookup", ALICE, "--trace"]);
    assert_eq!(long.out.lines().count(), 3);
    assert!(long.out.contains("40 ms\t23 ms\t9\t20\tanswered"), "{}", long.out);
    assert_eq!(fake.run(&["dht", "lookup", ALICE, "--json"]).json(), found);
    let bad = fake.run(&["dht", "lookup", "nobody"]);
    assert!(bad.code != 0 && bad.err.contains("neither an alias nor an id"), "{}", bad.err);
}

#[test]
fn what_was_counted_is_a_table_of_few_lines() {
    let histogram = json!({ "bounds": [10, 100], "counts": [1, 1, 0], "sum": 60 });
    let stats = json!({
        "uptime_ms": 60_000,
        "lookups": {
            "started_total": 2, "answered_total": 2, "unanswered_total": 0,
            "turned_away_total": 0, "hops": histogram, "duration_ms": histogram,
        },
        "asks": {
            "answered_total": 9, "refused_total": 0, "malformed_total": 0, "lost_total": 1,
            "slow_total": 0, "round_trip_ms": histogram,
        },
        "puts": { "stored_total": 1, "short_total": 0, "stale_total": 0, "holders": histogram },
        "repair": {
            "records_total": 0, "records_lost_total": 0, "records_waiting": 0,
            "envelopes_total": 0, "envelopes_lost_total": 0,
        },
        "links": {
            "opened_total": 3, "accepted_total": 2, "dials_failed_total": 0,
            "strangers_total": 0, "banned_total": 0,
        },
        "refusals": [{ "reason": "busy", "refused_total": 4 }],
        "keyspace": {
            "nodes_estimate": 900, "mailboxes": 1, "mailboxes_crowded": 0, "density_max": 1,
            "mailboxes_one_prefix": 0,
        },
    });
    let fake = Fake::knowing("node.stats", stats.clone());
    let ran = fake.run(&["node", "stats"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    for told in ["lookup time\t50 % ≤ 10 ms, 95 % ≤ 100 ms", "refused\t4 busy", "about 900 nodes"]
    {
        assert!(ran.out.contains(told), "{told} of {}", ran.out);
    }
    assert_eq!(fake.run(&["node", "stats", "--json"]).json(), stats);
}
