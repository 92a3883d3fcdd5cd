//! The commands against a daemon that only pretends: what they ask, print and exit with.

#[cfg(test)]
mod fake;

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use fake::{Fake, Reply, Seen, bytctl, ran};
use serde_json::{Value, json};

const ALICE: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const BOB: &str = "qeaqcaibaeaqcaibaeaqcaibaeaqcaib";
const ID: &str = "aeaqcaibaeaqcaibaeaqcaibaeaqcaibaeaqcaibaeaqcaibaeaq";

fn message(text: &str, state: &str) -> Value {
    json!({
        "id": ID, "seq": 3, "from": ALICE, "to": BOB, "direction": "in",
        "content_type": "text/plain", "text": text, "state": state,
        "sent_at": 1_795_231_949_123_u64, "received_at": 1_795_231_949_200_u64,
        "request": false, "gap": false, "of_a_later_daemon": 1,
    })
}

fn sent(state: &str) -> Value {
    json!({ "id": ID, "state": state, "to": BOB })
}

#[test]
fn lists_are_one_array_on_one_line() {
    let account = json!({ "id": ALICE, "name": "alice", "aliases": ["alice@a.test"] });
    let binding = json!({ "alias": "alice@a.test", "id": ALICE });
    let contact = json!({ "id": BOB, "alias": null, "standing": "request" });
    let peer = json!({
        "node_id": ALICE, "address": "127.0.0.1:1", "pod": null, "linked": true, "rtt_ms": 3,
    });
    for (args, method, field, item) in [
        (&["account", "list"][..], "account.list", "accounts", account),
        (&["alias", "list"], "alias.list", "aliases", binding),
        (&["contact", "list"], "contact.list", "contacts", contact),
        (&["node", "peers"], "node.peers", "peers", peer),
        (&["inbox"], "message.inbox", "messages", message("hi", "delivered")),
        (&["history", BOB], "message.history", "messages", message("hi", "delivered")),
    ] {
        let fake = Fake::knowing(method, json!({ field: [item.clone()] }));
        let ran = fake.run(&[args, &["--json"]].concat());
        assert_eq!(ran.code, 0, "{args:?}: {}", ran.err);
        assert_eq!(ran.json(), json!([item]), "{args:?}");
        let plain = fake.run(args);
        assert_eq!((plain.code, plain.out.lines().count()), (0, 1), "{args:?}: {}", plain.out);
        assert!(plain.out.contains('\t'), "{args:?}: {}", plain.out);
    }
}

#[test]
fn a_page_that_the_daemon_cut_is_read_to_its_end() {
    let numbered = |seq: u64| {
        let mut message = message("hi", "delivered");
        message["seq"] = json!(seq);
        message
    };
    let fake = Fake::new(move |_, params| {
        let before = params["before"].as_u64().unwrap_or(10);
        let page = [numbered(before - 2), numbered(before - 1)];
        let next = (before > 4).then_some(before - 2);
        Reply::Result(json!({ "messages": page, "next": next }))
    });
    let seqs = |args: &[&str]| {
        let ran = fake.run(&[args, &["--json"]].concat());
        let messages = ran.json();
        let seqs = messages.as_array().unwrap().iter().map(|message| message["seq"].as_u64());
        seqs.map(Option::unwrap).collect::<Vec<_>>()
    };
    assert_eq!(seqs(&["inbox"]), [2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(seqs(&["history", BOB, "--limit", "4"]), [6, 7, 8, 9]);
    let asked: Vec<_> = (0..6).map(|_| fake.next().params).collect();
    assert_eq!(asked[0], json!({}));
    assert_eq!(asked[4], json!({ "who": BOB, "limit": 4 }));
    assert_eq!(asked[5], json!({ "who": BOB, "limit": 2, "before": 8 }));
}

#[test]
fn what_waits_is_listed_page_by_page_with_its_cause() {
    let waits = |cause: &str| {
        json!({
            "id": ID, "to": BOB, "alias": "bob@b.test", "state": "queued",
            "since": 1_795_231_949_123_u64, "tries": 3, "holders": 0, "cause": cause,
            "next_try_ms": 1_500,
        })
    };
    let fake = Fake::new(move |_, params| {
        let first = params["after"].is_null();
        let cause = if first { "no_holder" } else { "key_changed" };
        Reply::Result(json!({ "messages": [waits(cause)], "next": first.then_some(ID) }))
    });
    let ran = fake.run(&["message", "waiting"]);
    assert_eq!((ran.code, ran.out.lines().count()), (0, 2), "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("bob@b.test\tno holder took it\t2 s"), "{}", ran.out);
    let listed = fake.run(&["message", "waiting", "--json"]).json();
    assert_eq!(
        (listed[0]["cause"].as_str(), listed[1]["cause"].as_str()),
        (Some("no_holder"), Some("key_changed"))
    );
}

#[test]
fn single_things_are_one_object() {
    let account = json!({ "id": ALICE, "name": "alice", "aliases": [] });
    let binding = json!({ "alias": "alice@a.test", "id": ALICE });
    let profile = json!({
        "id": ALICE, "name": "Alice", "avatar": "", "sequence": 2, "more": {}, "holders": 5,
    });
    let status = json!({
        "node_id": ALICE, "listen": ["127.0.0.1:1"], "observed": [], "peers": 11, "links": 5,
        "records": 1, "envelopes": 0, "outbox": 0, "network": ID, "pod": "a.test",
        "store_bytes": 1024, "uptime_ms": 60_000, "version": "0.1.0",
    });
    let trace = json!({
        "id": ID, "state": "stored", "stored": 5, "steps": [{ "at": 1, "step": "queued" }],
    });
    for (args, method, result) in [
        (&["account", "create", "--name", "alice"][..], "account.create", account),
        (&["account", "export", "--public"], "account.export", json!({ "pem": "-----" })),
        (&["alias", "register", "alice@a.test"], "alias.register", binding.clone()),
        (&["alias", "resolve", "alice@a.test"], "alias.resolve", binding),
        (&["profile", "show", ALICE], "profile.show", profile.clone()),
        (&["account", "profile", "set", "--name", "Alice"], "profile.set", profile),
        (&["contact", "add", "bob@b.test"], "contact.add", json!({})),
        (&["contact", "accept", BOB], "contact.accept", json!({})),
        (&["contact", "block", BOB], "contact.block", json!({})),
        (&["node", "status"], "node.status", status),
        (&["message", "show", ID], "message.show", message("hi", "delivered")),
        (&["message", "trace", ID], "message.trace", trace),
        (&["rpc", "node.new", "a=1", "b:=2"], "node.new", json!({ "c": [3] })),
    ] {
        let fake = Fake::knowing(method, result.clone());
        let ran = fake.run(&[args, &["--json"]].concat());
        assert_eq!(ran.code, 0, "{args:?}: {}", ran.err);
        assert_eq!(ran.json(), result, "{args:?}");
        let plain = fake.run(args);
        assert_eq!(plain.code, 0, "{args:?}: {}", plain.err);
        assert_eq!(plain.err, "", "{args:?}");
    }
}

#[test]
fn a_clock_that_is_wrong_is_said_and_a_right_one_is_not() {
    let status = |clock: &str, offset_ms: u64| {
        let status = json!({
            "node_id": ALICE, "listen": [], "observed": [], "peers": 0, "links": 0, "records": 0,
            "envelopes": 0, "outbox": 0, "network": ID, "pod": null, "store_bytes": 0,
            "version": "0.1.0", "uptime_ms": 0, "clock": clock, "clock_offset_ms": offset_ms,
        });
        Fake::knowing("node.status", status).run(&["node", "status"]).out
    };
    assert!(!status("ok", 0).contains("clock"));
    assert!(status("behind", 600_000).contains("behind by 600 s"));
    assert!(status("ahead", 600_000).contains("ahead by 600 s"));
}

#[test]
fn the_account_and_the_parameters_are_passed_on() {
    let fake = Fake::refusing(1107, "account.none");
    for (args, method, params) in [
        (&["inbox", "--limit", "3"][..], "message.inbox", json!({ "account": "me", "limit": 3 })),
        (&["alias", "list"], "alias.list", json!({ "account": "me" })),
        (&["account", "list"], "account.list", json!({})),
        (&["contact", "block", "x@y"], "contact.block", json!({ "account": "me", "who": "x@y" })),
        (
            &["rpc", "message.send", "to=x", "n:=[1]"],
            "message.send",
            json!({ "to": "x", "n": [1] }),
        ),
    ] {
        fake.run(&[&["--account", "me"], args].concat());
        let mut seen = fake.next();
        assert_eq!(seen.take_id().is_some(), method == "contact.block");
        let method = method.to_owned();
        assert_eq!(seen, Seen { method, params }, "{args:?}");
    }
}

#[test]
fn a_text_is_sent_with_an_id_of_its_own() {
    let fake = Fake::knowing("message.send", sent("queued"));
    let ran = fake.run(&["send", "bob@b.test", "hi", "--json"]);
    assert_eq!(ran.json(), sent("queued"));
    let first = fake.next().params;
    assert_eq!(first["to"], "bob@b.test");
    assert_eq!(first["text"], "hi");
    assert_eq!(first["client_id"].as_str().unwrap().len(), 32);
    fake.run(&["send", "bob@b.test", "hi"]);
    assert_ne!(fake.next().params["client_id"], first["client_id"]);
}

#[test]
fn a_text_comes_from_stdin_without_its_last_newline() {
    let fake = Fake::knowing("message.send", sent("queued"));
    for (args, stdin, text) in [
        (&["send", "bob"][..], "two\nlines\n", "two\nlines"),
        (&["send", "bob", "-"], "Grüße\n\n", "Grüße\n"),
        (&["send", "bob"], "", ""),
    ] {
        let ran = fake.run_with(args, stdin.as_bytes());
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert_eq!(fake.next().params["text"], text);
    }
}

#[test]
fn what_is_no_text_is_not_sent() {
    let fake = Fake::knowing("message.send", sent("queued"));
    let ran = fake.run_with(&["send", "bob", "--json"], b"a\xff");
    assert_eq!(ran.code, 2);
    assert!(ran.error()["message"].to_string().contains("UTF-8"));
    let long = vec![b'x'; bytchat_proto::limits::TEXT_BYTES_MAX + 1];
    let ran = fake.run_with(&["send", "bob", "--json"], &long);
    assert_eq!(ran.code, 2);
    assert_eq!(ran.error()["kind"], "message.too_large");
    assert!(fake.seen.try_recv().is_err());
}

#[test]
fn sending_waits_for_the_state_that_is_asked_for() {
    let fake = Fake::new(|method, _| match method {
        "message.send" => Reply::Result(sent("queued")),
        "message.wait" => Reply::Result(message("hi", "read")),
        other => panic!("{other}"),
    });
    let ran = fake.run(&["send", "bob", "hi", "--wait", "delivered", "--json"]);
    assert_eq!(ran.json(), sent("read"));
    fake.next();
    let wait = fake.next();
    assert_eq!(wait.method, "message.wait");
    assert_eq!(wait.params["id"], ID);
    assert_eq!(wait.params["state"], "delivered");
    assert!(wait.params["timeout_ms"].as_u64().unwrap() <= 60_000);
}

#[test]
fn a_wait_in_vain_still_names_the_message() {
    let fake = Fake::new(|method, _| match method {
        "message.send" => Reply::Result(sent("queued")),
        _ => Reply::Error(json!({ "code": 1006, "message": "late" })),
    });
    let args = ["send", "bob", "hi", "--wait", "stored", "--timeout", "0.1", "--json"];
    let ran = fake.run(&args);
    assert_eq!(ran.code, 6);
    assert_eq!(ran.json(), sent("queued"));
    assert_eq!(ran.error()["kind"], "timeout");
}

#[test]
fn an_expired_message_was_not_delivered() {
    let fake = Fake::knowing("message.wait", message("hi", "expired"));
    let ran = fake.run(&["message", "wait", ID, "--state", "delivered"]);
    assert_eq!(ran.code, 6);
    let ran = fake.run(&["message", "wait", ID, "--state", "expired"]);
    assert_eq!((ran.code, ran.out), (0, format!("expired {ID}\n")));
}

#[test]
fn a_send_is_repeated_with_the_same_id_when_the_daemon_restarts() {
    let mut calls = 0;
    let fake = Fake::new(move |_, _| {
        calls += 1;
        match calls {
            1 => Reply::HangUp,
            2 => Reply::Error(json!({ "code": 1004, "message": "stopping" })),
            _ => Reply::Result(sent("queued")),
        }
    });
    let ran = fake.run(&["send", "bob", "hi"]);
    assert_eq!((ran.code, ran.out), (0, format!("queued {ID}\n")), "{}", ran.err);
    let first = fake.next();
    assert_eq!(fake.next(), first);
    assert_eq!(fake.next(), first);
}

#[test]
fn a_send_gives_up_at_its_deadline() {
    let fake = Fake::new(|_, _| Reply::HangUp);
    let ran = fake.run(&["send", "bob", "hi", "--timeout", "0", "--json"]);
    assert_eq!(ran.code, 69);
    assert_eq!(ran.error()["kind"], "daemon.unreachable");
}

/// SPEC 8.50: a change is repeated with its id over a restart, also while it is under way there.
#[test]
fn every_change_is_repeated_with_the_same_id() {
    let account = json!({ "id": ALICE, "name": "a", "aliases": [] });
    let binding = json!({ "alias": "a@b.test", "id": ALICE });
    let profile = json!({
        "id": ALICE, "name": "A", "avatar": "", "sequence": 2, "more": {}, "holders": 5,
    });
    for (args, result) in [
        (&["account", "create"][..], account),
        (&["alias", "register", "a@b.test"], binding),
        (&["profile", "set", "--name", "A"], profile),
        (&["contact", "add", BOB], json!({})),
    ] {
        let (mut calls, result) = (0, result);
        let fake = Fake::new(move |_, _| {
            calls += 1;
            match calls {
                1 => Reply::HangUp,
                2 => Reply::Error(json!({ "code": 1005, "message": "under way" })),
                _ => Reply::Result(result.clone()),
            }
        });
        let ran = fake.run(args);
        assert_eq!(ran.code, 0, "{args:?}: {}", ran.err);
        let first = fake.next();
        assert_eq!((fake.next(), fake.next()), (first.clone(), first.clone()));
        assert_eq!(first.params["client_id"].as_str().unwrap().len(), 32, "{args:?}");
    }
}

#[test]
fn a_dry_run_says_what_would_happen_and_an_edit_names_what_it_expects() {
    let would =
        json!({ "id": BOB, "alias": null, "standing": "blocked", "rev": 5, "dry_run": true });
    let fake = Fake::knowing("contact.block", would.clone());
    let args = ["contact", "block", BOB, "--dry-run", "--expect-rev", "4"];
    let ran = fake.run(&args);
    assert_eq!(ran.out, format!("id\t{BOB}\nrev\t5\nstanding\tblocked\n"));
    assert!(ran.err.contains("nothing was changed"), "{}", ran.err);
    let seen = fake.next().params;
    assert_eq!((&seen["dry_run"], &seen["expect_rev"]), (&json!(true), &json!(4)));
    let ran = fake.run(&[&args[..], &["--json"]].concat());
    assert_eq!((ran.json(), ran.err.as_str()), (would, ""));
    let fake = Fake::knowing("message.send", json!({ "state": "queued", "to": BOB }));
    let ran = fake.run(&["send", BOB, "hi", "--dry-run"]);
    assert_eq!(ran.out, format!("state\tqueued\nto\t{BOB}\n"));
    assert_eq!(fake.next().params["dry_run"], true);
    assert_eq!(fake.run(&["send", BOB, "hi", "--dry-run", "--wait", "read"]).code, 2);
    let fake = Fake::refusing(1009, "rev_conflict");
    assert_eq!(fake.run(&args).code, 8);
}

/// SPEC 8.53: a short page is not the last one, and the last one says so.
#[test]
fn as_many_messages_are_listed_as_were_asked_for() {
    let fake = Fake::new(|_, params| {
        let before = params["before"].as_u64().unwrap_or(8);
        let mut page = json!({ "messages": [message("hi", "read"), message("hi", "read")] });
        if before > 2 {
            page["next"] = json!(before - 2);
        }
        Reply::Result(page)
    });
    for (limit, messages, calls) in
        [("3", 4, vec![None, Some(6)]), ("100", 8, vec![None, Some(6), Some(4), Some(2)])]
    {
        let ran = fake.run(&["inbox", "--limit", limit, "--json"]);
        assert_eq!(ran.json().as_array().unwrap().len(), messages);
        for before in calls {
            assert_eq!(fake.next().params["before"].as_u64(), before);
        }
    }
    let ran = fake.run(&["inbox"]);
    assert!(!ran.err.contains("older"), "{}", ran.err);
    let ran = fake.run(&["inbox", "--limit", "2"]);
    assert!(ran.err.contains("--before 6"), "{}", ran.err);
}

#[test]
fn other_calls_are_not_repeated() {
    let fake = Fake::new(|_, _| Reply::HangUp);
    assert_eq!(fake.run(&["account", "list"]).code, 69);
    fake.next();
    assert!(fake.seen.try_recv().is_err());
}

#[test]
fn an_error_is_json_on_stderr_and_has_its_exit_code() {
    for (code, kind, exit) in [
        (1101, "contact.key_changed", 4),
        (1104, "address.unknown", 5),
        (1107, "account.none", 5),
        (1108, "account.exists", 8),
        (-32603, "internal", 1),
    ] {
        let fake = Fake::refusing(code, kind);
        let ran = fake.run(&["account", "list", "--json"]);
        assert_eq!((ran.code, ran.out.as_str()), (exit, ""), "{kind}");
        let expected = json!({ "code": code, "kind": kind, "message": "no", "hint": "do this" });
        assert_eq!(ran.error(), expected);
        let plain = fake.run(&["account", "list"]);
        assert_eq!(plain.err, "bytctl: no\n  do this\n");
    }
}

#[test]
fn a_missing_daemon_is_explained() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("missing.sock");
    let run = |json: &[&str]| {
        let mut command = bytctl();
        command.env("BYTCHAT_SOCKET", &socket).args(["node", "status"]);
        ran(&command.args(json).output().unwrap())
    };
    let plain = run(&[]);
    assert_eq!(plain.code, 69);
    assert!(plain.err.contains(socket.to_str().unwrap()), "{}", plain.err);
    assert!(plain.err.contains("systemctl start bytchatd"), "{}", plain.err);
    let json = run(&["--json"]).error();
    assert_eq!(json["kind"], "daemon.unreachable");
    assert_eq!(json["code"], 1601);
}

#[test]
fn a_command_line_without_sense_exits_with_2() {
    for args in [
        &["frobnicate"][..],
        &["send"],
        &["message", "show", "xyz"],
        &["message", "wait", ID, "--state", "lost"],
        &["send", "bob", "hi", "--wait", "queued"],
        &["inbox", "--limit", "-1"],
        &["rpc"],
    ] {
        let output = bytctl().args(args).output().unwrap();
        assert_eq!(ran(&output).code, 2, "{args:?}");
        let json = ran(&bytctl().args(args).arg("--json").output().unwrap());
        assert_eq!(json.code, 2, "{args:?}");
        assert_eq!(json.error()["kind"], "parameters.bad", "{args:?}");
    }
    let help = ran(&bytctl().arg("--help").output().unwrap());
    assert_eq!(help.code, 0);
    assert!(help.out.contains("Exit codes"));
}

#[test]
fn an_avatar_goes_as_its_bytes_and_not_above_the_limit() {
    let fake = Fake::refusing(1107, "account.none");
    let file = fake.dir.path().join("a.png");
    let args = ["profile", "set", "--name", "A", "--avatar", file.to_str().unwrap()];
    std::fs::write(&file, b"\x89PNG").unwrap();
    fake.run(&args);
    let mut seen = fake.next();
    seen.take_id().unwrap();
    assert_eq!(seen.params, json!({ "name": "A", "avatar": "iVBORw==" }));
    std::fs::write(&file, vec![0; bytchat_proto::limits::AVATAR_BYTES_MAX + 1]).unwrap();
    assert_eq!(fake.run(&args).code, 2);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(fake.run(&args).code, 2);
    assert!(fake.seen.try_recv().is_err());
}

#[test]
fn a_key_is_read_from_a_file_or_stdin() {
    let account = json!({ "id": ALICE, "name": "a", "aliases": [] });
    let fake = Fake::knowing("account.import", account);
    let file = fake.dir.path().join("key.pem");
    std::fs::write(&file, "PEM").unwrap();
    fake.run(&["account", "import", file.to_str().unwrap(), "--name", "a"]);
    let mut seen = fake.next();
    let first = seen.take_id().unwrap();
    assert_eq!(seen.params, json!({ "pem": "PEM", "name": "a" }));
    fake.run_with(&["account", "import", "-"], b"STDIN");
    let mut seen = fake.next();
    assert_ne!(seen.take_id().unwrap(), first);
    assert_eq!(seen.params, json!({ "pem": "STDIN" }));
}

#[test]
fn texts_of_strangers_do_not_reach_a_terminal_raw() {
    let fake = Fake::knowing(
        "message.inbox",
        json!({ "messages": [message("a\u{1b}[2J\tb\nc", "delivered")] }),
    );
    let ran = fake.run(&["inbox"]);
    assert_eq!(
        ran.out,
        format!("2026-11-21T03:32:29.200Z\t{ALICE}\tdelivered\ta\\u{{1b}}[2J\\tb\\nc\t{ID}\n")
    );
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let messages = vec![message(&"x".repeat(40_000), "delivered"); 100];
    let fake = Fake::knowing("message.inbox", json!({ "messages": messages }));
    let mut command = fake.command(&["inbox", "--json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let ran = ran(&child.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
}

/// Answers `event.list` like a daemon that restarts once.
fn log_of_events() -> Fake {
    let mut polls = 0;
    Fake::new(move |method, params| {
        assert_eq!(method, "event.list");
        polls += 1;
        let event = |seq: u64, kind: &str, data: Value| {
            let account = BOB;
            json!({ "seq": seq, "at": 0, "account": account, "type": kind, "data": data })
        };
        let answer = |events: Vec<Value>, next: u64| {
            Reply::Result(json!({ "events": events, "next": next, "first": 0 }))
        };
        match (polls, params["since"].as_u64()) {
            (1, None) => answer(vec![], 7),
            (2, Some(7)) => {
                answer(vec![event(8, "message.received", message("one", "delivered"))], 8)
            }
            (3, Some(8)) => Reply::HangUp,
            (4, Some(8)) => answer(
                vec![
                    event(9, "message.state", message("two", "delivered")),
                    event(10, "moon.risen", json!({ "phase": 1 })),
                ],
                10,
            ),
            (_, since) => {
                assert_eq!(since, Some(10));
                answer(vec![], 10)
            }
        }
    })
}

#[test]
fn watching_goes_on_where_it_was_when_the_daemon_restarts() {
    let fake = log_of_events();
    let mut command = fake.command(&["watch", "--json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let seen: Vec<Value> =
        lines.take(3).map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(seen[0]["event"], "message.received");
    assert_eq!(seen[0]["event_seq"], 8);
    assert_eq!(seen[0]["id"], ID);
    assert_eq!(seen[0]["text"], "one");
    assert_eq!(seen[1]["event"], "message.state");
    assert_eq!(seen[1]["state"], "delivered");
    assert_eq!(seen[2]["event"], "moon.risen");
    assert_eq!(seen[2]["phase"], 1);
}

#[test]
fn watching_prints_a_line_for_people() {
    let fake = log_of_events();
    let mut command = fake.command(&["watch"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let seen: Vec<String> = lines.take(3).map(Result::unwrap).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(
        seen,
        [
            format!("1970-01-01T00:00:00.000Z  {ALICE}: one"),
            format!("1970-01-01T00:00:00.000Z  delivered  {ID}  to {BOB}"),
            "moon.risen (unknown to this bytctl)".to_owned(),
        ]
    );
}
