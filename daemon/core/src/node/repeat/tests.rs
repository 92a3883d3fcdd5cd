//! Calls that are repeated, tried, and made by two at once.

use bytchat_proto::id::UserId;
use bytchat_proto::limits::{ANSWERS_KEPT_MS, ANSWERS_PER_USER_MAX, HOUR_MS};
use bytchat_proto::rpc::{Call, ErrorKind, RpcError};
use serde_json::{Value, json};

use crate::answer::hash;
use crate::fixture::at;
use crate::io::{CallId, Caller, Input, LoadId, Output};
use crate::node::fixture::Machine;
use crate::persist::{Row, Table};
use crate::time::Now;

const OWN: u32 = 1;

fn call(method: &str, params: Value) -> Call {
    Call::parse(method, params).unwrap()
}

impl Machine {
    fn does(&mut self, method: &str, params: Value, now: Now) -> Result<Value, RpcError> {
        self.ask(OWN, call(method, params), now)
    }

    /// Writes what is to be written and reads the answers that are asked for; tells nobody.
    fn loads(&mut self) -> Vec<(LoadId, Vec<Row>)> {
        let mut loads = Vec::new();
        while let Some(output) = self.node.poll_output() {
            if let Output::Persist(writes) = output {
                writes.into_iter().for_each(|write| self.write(write));
            } else if let Output::Load { load, query } = output
                && query.table == Table::Answer
            {
                loads.push((load, self.read(&query)));
            }
        }
        loads
    }

    fn counted(&self) -> Vec<Row> {
        let mut rows = self.rows(Table::Node);
        rows.retain(|(key, _)| key.starts_with(b"answers/"));
        rows
    }
}

/// A machine of Alice and of somebody else, and Bob, who is elsewhere.
fn world() -> (Machine, UserId, UserId) {
    let mut machine = Machine::new();
    let alice = machine.person(OWN);
    machine.person(2);
    (machine, alice, UserId([9; 20]))
}

/// How many rows of each kind a machine has.
fn sizes(machine: &Machine) -> Vec<usize> {
    let tables = [Table::Account, Table::Message, Table::Contact, Table::Answer, Table::Node];
    tables.map(|table| machine.rows(table).len()).to_vec()
}

fn hello(to: UserId) -> Value {
    json!({ "to": to, "text": "once", "client_id": "a:1" })
}

#[test]
fn a_repeated_call_happens_once_and_gives_the_first_answer() {
    let (mut machine, _, bob) = world();
    let first = machine.does("message.send", hello(bob), at(1)).unwrap();
    assert!(first.get("replayed").is_none());
    for moment in 2..5 {
        let mut again = machine.does("message.send", hello(bob), at(moment)).unwrap();
        assert_eq!(again["replayed"].take(), true);
        assert_eq!(again["id"], first["id"]);
        machine.crash(at(moment));
    }
    assert_eq!(machine.rows(Table::Message).len(), 1);
    assert_eq!(machine.rows(Table::Answer).len(), 2);
}

#[test]
fn another_call_with_the_same_id_is_a_conflict_and_another_user_has_ids_of_its_own() {
    let (mut machine, alice, bob) = world();
    machine.does("message.send", hello(bob), at(1)).unwrap();
    for (method, params) in [
        ("message.send", json!({ "to": bob, "text": "twice", "client_id": "a:1" })),
        (
            "message.send",
            json!({ "to": bob, "text": "once", "account": alice, "client_id": "a:1" }),
        ),
        ("contact.block", json!({ "who": bob, "client_id": "a:1" })),
    ] {
        let error = machine.does(method, params, at(2)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Conflict);
    }
    let other = json!({ "to": alice, "text": "once", "client_id": "a:1" });
    let sent = machine.ask(2, call("message.send", other), at(3)).unwrap();
    assert!(sent.get("replayed").is_none());
}

#[test]
fn a_call_that_failed_may_be_made_again() {
    let (mut machine, alice, bob) = world();
    let error = machine.does("message.send", hello(alice), at(1)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::BadAddress);
    assert!(machine.rows(Table::Answer).is_empty());
    machine.does("message.send", hello(bob), at(2)).unwrap();
}

#[test]
fn every_change_can_be_repeated_over_a_crash() {
    let (mut machine, _, bob) = world();
    let export = json!({ "account": null });
    let pem = machine.does("account.export", export, at(1)).unwrap()["pem"].clone();
    let secret = pem.as_str().unwrap().lines().nth(1).unwrap().to_owned();
    let mut other = Machine::new();
    for (method, params) in [
        ("account.import", json!({ "pem": pem, "name": "home", "client_id": "1" })),
        ("account.create", json!({ "name": "second", "client_id": "2" })),
        ("contact.add", json!({ "account": "home", "who": bob, "client_id": "3" })),
        ("contact.accept", json!({ "account": "home", "who": bob, "client_id": "4" })),
        ("contact.block", json!({ "account": "home", "who": bob, "client_id": "5" })),
        ("cursor.set", json!({ "name": "bot", "seq": 0, "client_id": "6" })),
        ("cursor.delete", json!({ "name": "bot", "client_id": "7" })),
        ("message.read", json!({ "ids": [], "client_id": "8" })),
    ] {
        let first = other.does(method, params.clone(), at(2)).unwrap();
        other.crash(at(3));
        let before = sizes(&other);
        let mut again = other.does(method, params, at(4)).unwrap();
        assert_eq!(again["replayed"].take(), true, "{method}");
        again.as_object_mut().unwrap().remove("replayed");
        assert_eq!(again, first, "{method}");
        assert_eq!(sizes(&other), before, "{method}");
    }
    let bytes = other.rows(Table::Answer).into_iter().map(|(_, row)| row);
    for row in bytes {
        assert!(!String::from_utf8_lossy(&row).contains(&secret), "a key was kept");
    }
}

#[test]
fn a_profile_is_set_once_though_the_crash_comes_before_its_answer() {
    let (mut machine, alice, _) = world();
    let set = json!({ "name": "Alice", "client_id": "p" });
    let input = Input::Call {
        call: CallId(7),
        caller: Caller { uid: OWN },
        scope: None,
        request: call("profile.set", set.clone()),
    };
    machine.node.handle_input(input, at(5));
    machine.drain();
    machine.crash(at(6));
    let again = machine.does("profile.set", set, at(7)).unwrap();
    assert_eq!((&again["replayed"], &again["id"]), (&json!(true), &json!(alice)));
}

#[test]
fn a_call_that_is_under_way_is_not_begun_again() {
    let (mut machine, _, _) = world();
    let create = || call("account.create", json!({ "name": "second", "client_id": "c" }));
    for number in [8, 9] {
        let caller = Caller { uid: OWN };
        let input = Input::Call { call: CallId(number), caller, scope: None, request: create() };
        machine.node.handle_input(input, at(1));
    }
    machine.replies.clear();
    machine.drain();
    let kinds: Vec<_> =
        machine.replies.iter().map(|it| it.as_ref().err().map(|e| e.kind)).collect();
    assert_eq!(kinds, [Some(ErrorKind::Busy), None]);
    let again = machine.ask(OWN, create(), at(2)).unwrap();
    assert_eq!(again["replayed"], true);
}

#[test]
fn after_seven_days_nothing_is_left() {
    let (mut machine, _, bob) = world();
    let first = machine.does("message.send", hello(bob), at(1)).unwrap();
    assert_eq!(machine.counted().len(), 1);
    machine.wake(at(ANSWERS_KEPT_MS - HOUR_MS));
    let again = machine.does("message.send", hello(bob), at(ANSWERS_KEPT_MS - 1)).unwrap();
    assert_eq!(again["id"], first["id"]);
    machine.restart(at(ANSWERS_KEPT_MS));
    machine.wake(at(ANSWERS_KEPT_MS + 2 * HOUR_MS));
    assert!(machine.rows(Table::Answer).is_empty());
    assert!(machine.counted().is_empty());
    let later = at(ANSWERS_KEPT_MS + 2 * HOUR_MS);
    let anew = machine.does("message.send", hello(bob), later).unwrap();
    assert_ne!(anew["id"], first["id"]);
}

#[test]
fn who_has_too_many_ids_is_refused_and_nothing_is_forgotten_for_it() {
    let (mut machine, _, bob) = world();
    machine.does("message.send", hello(bob), at(1)).unwrap();
    let (key, _) = machine.counted().remove(0);
    let full = [ANSWERS_PER_USER_MAX.to_be_bytes(), 1_u64.to_be_bytes()].concat();
    machine.disk.insert((Table::Node, key), full);
    machine.restart(at(2));
    let new = json!({ "to": bob, "text": "new", "client_id": "a:2" });
    let error = machine.does("message.send", new, at(3)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Quota);
    let again = machine.does("message.send", hello(bob), at(4)).unwrap();
    assert_eq!(again["replayed"], true);
    machine.does("message.send", json!({ "to": bob, "text": "new" }), at(5)).unwrap();
}

#[test]
fn a_damaged_count_of_answers_lifts_no_limit_and_is_made_anew() {
    let (mut machine, _, bob) = world();
    for number in 0..5 {
        let with = json!({ "to": bob, "text": "x", "client_id": format!("a:{number}") });
        machine.does("message.send", with, at(number)).unwrap();
    }
    let (key, whole) = machine.counted().remove(0);
    for damaged in [Vec::new(), b"damaged".to_vec(), vec![1; 15]] {
        machine.disk.insert((Table::Node, key.clone()), damaged);
        machine.crash(at(10));
        assert_eq!(machine.counted(), [(key.clone(), whole.clone())]);
        let again = json!({ "to": bob, "text": "x", "client_id": "a:1" });
        machine.does("message.send", again, at(11)).unwrap();
    }
    // As long as it is not known, nobody's id is kept; what is known already is answered.
    machine.disk.insert((Table::Node, key.clone()), Vec::new());
    machine.restart_idle(at(12));
    let load = machine.loads().remove(0).0;
    let send = |id: &str| call("message.send", json!({ "to": bob, "text": "x", "client_id": id }));
    assert_eq!(machine.ask(OWN, send("new"), at(13)).unwrap_err().kind, ErrorKind::Busy);
    assert_eq!(machine.ask(OWN, send("a:2"), at(13)).unwrap()["replayed"], true);
    // The disk does not answer at the moment: it is asked again.
    let reason = "too many open files".to_owned();
    machine.node.handle_input(Input::LoadFailed { load, reason }, at(14));
    machine.wake(at(2_000));
    assert_eq!(machine.counted(), [(key, whole)]);
    assert!(machine.ask(OWN, send("new"), at(2_001)).is_ok());
}

#[test]
fn of_two_sweeps_at_once_one_counts_down() {
    let (mut machine, _, bob) = world();
    machine.does("message.send", hello(bob), at(1)).unwrap();
    let young = json!({ "to": bob, "text": "x", "client_id": "a:2" });
    machine.does("message.send", young, at(ANSWERS_KEPT_MS - HOUR_MS)).unwrap();
    let ripe = ANSWERS_KEPT_MS + 2 * HOUR_MS;
    let mut read = Vec::new();
    for moment in [ripe, ripe + HOUR_MS] {
        machine.node.handle_input(Input::Wake, at(moment));
        read.extend(machine.loads());
    }
    for (load, rows) in read {
        machine.node.handle_input(Input::Loaded { load, rows }, at(ripe + HOUR_MS));
        machine.drain();
    }
    assert_eq!(machine.rows(Table::Answer).len(), 2);
    assert_eq!(machine.counted()[0].1[..8], 1_u64.to_be_bytes());
    machine.wake(at(3 * ANSWERS_KEPT_MS));
    assert!(machine.rows(Table::Answer).is_empty() && machine.counted().is_empty());
}

#[test]
fn what_is_damaged_on_disk_is_not_done_again() {
    let (mut machine, _, bob) = world();
    machine.does("message.send", hello(bob), at(1)).unwrap();
    let (key, _) = machine.rows(Table::Answer).remove(0);
    machine.disk.insert((Table::Answer, key), b"damaged".to_vec());
    let error = machine.does("message.send", hello(bob), at(2)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Internal);
    assert_eq!(machine.rows(Table::Message).len(), 1);
}

#[test]
fn a_malformed_client_id_is_named() {
    let (mut machine, _, bob) = world();
    for id in [String::new(), "a b".to_owned(), "é".to_owned(), "x".repeat(129)] {
        let params = json!({ "to": bob, "text": "t", "client_id": id });
        let error = machine.does("message.send", params, at(1)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::BadParameters);
        assert!(error.message.contains("`client_id`"), "{}", error.message);
    }
}

/// SPEC 8.51: a dry run changes nothing and sends nothing.
#[test]
fn a_dry_run_changes_nothing() {
    let (mut machine, alice, bob) = world();
    let pem = machine.ask(2, call("account.export", json!({})), at(1)).unwrap()["pem"].clone();
    machine.does("cursor.set", json!({ "name": "bot", "seq": 0 }), at(1)).unwrap();
    machine.does("contact.add", json!({ "who": bob }), at(1)).unwrap();
    machine.drain();
    for (method, params, would) in [
        ("account.create", json!({ "name": "second" }), json!({ "name": "second" })),
        ("profile.set", json!({ "name": "Al" }), json!({ "id": alice, "name": "Al" })),
        (
            "message.send",
            json!({ "to": bob, "text": "t" }),
            json!({ "to": bob, "state": "queued" }),
        ),
        ("message.read", json!({ "ids": [] }), json!({})),
        ("contact.add", json!({ "who": bob }), json!({ "standing": "accepted", "rev": 1 })),
        ("contact.block", json!({ "who": bob }), json!({ "standing": "blocked", "rev": 2 })),
        ("cursor.set", json!({ "name": "b", "seq": 0 }), json!({ "name": "b" })),
        ("cursor.delete", json!({ "name": "bot" }), json!({})),
    ] {
        let before = machine.disk.clone();
        let mut params = params;
        (params["dry_run"], params["client_id"]) = (json!(true), json!("dry"));
        let request = call(method, params);
        let caller = Caller { uid: OWN };
        let input = Input::Call { call: CallId(1), caller, scope: None, request };
        machine.replies.clear();
        machine.node.handle_input(input, at(2));
        let outputs = machine.drain();
        let quiet = |output: &Output| matches!(output, Output::Dial { .. });
        assert!(outputs.iter().all(quiet), "{method}: {outputs:?}");
        let answer = machine.replies.pop().unwrap().unwrap();
        assert_eq!(answer["dry_run"], true, "{method}");
        for (name, value) in would.as_object().unwrap() {
            assert_eq!(&answer[name], value, "{method}");
        }
        assert!(machine.disk == before, "{method} has written");
    }
    // What would fail says so.
    let import = json!({ "pem": pem, "dry_run": true });
    let error = machine.does("account.import", import, at(3)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotPermitted);
    for (method, params, kind) in [
        ("account.create", json!({ "name": "a@b", "dry_run": true }), ErrorKind::BadParameters),
        (
            "message.send",
            json!({ "to": alice, "text": "", "dry_run": true }),
            ErrorKind::BadAddress,
        ),
        (
            "cursor.set",
            json!({ "name": "b", "seq": 99, "dry_run": true }),
            ErrorKind::BadParameters,
        ),
        ("cursor.delete", json!({ "name": "no", "dry_run": true }), ErrorKind::NotFound),
    ] {
        assert_eq!(machine.does(method, params, at(3)).unwrap_err().kind, kind, "{method}");
    }
}

/// SPEC 8.52: what is no longer as the caller saw it is left alone.
#[test]
fn an_edit_that_expects_another_rev_is_refused() {
    let (mut machine, _, bob) = world();
    let stand = |machine: &mut Machine, method: &str, rev: u64| {
        machine.does(method, json!({ "who": bob, "expect_rev": rev }), at(1))
    };
    assert_eq!(stand(&mut machine, "contact.add", 0).unwrap()["rev"], 1);
    let error = stand(&mut machine, "contact.block", 0).unwrap_err();
    assert_eq!(error.kind, ErrorKind::RevConflict);
    assert_eq!(stand(&mut machine, "contact.block", 1).unwrap()["rev"], 2);
    // Nothing changes, and neither does the rev.
    assert_eq!(stand(&mut machine, "contact.block", 2).unwrap()["rev"], 2);
    machine.restart(at(2));
    let list = machine.does("contact.list", json!({}), at(3)).unwrap();
    assert_eq!(list["contacts"][0]["rev"], 2);

    let set = json!({ "name": "bot", "seq": 0, "expect_rev": 4 });
    let error = machine.does("cursor.set", set, at(3)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::RevConflict);

    let profile = json!({ "name": "Alice", "expect_rev": 5 });
    let error = machine.does("profile.set", profile, at(3)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::RevConflict);
    assert!(machine.rows(Table::Answer).is_empty());
}

#[test]
fn of_two_profiles_that_expect_the_same_one_is_set() {
    let (mut machine, _, _) = world();
    machine.replies.clear();
    for (number, name) in [(8, "A"), (9, "B")] {
        let request = call("profile.set", json!({ "name": name, "expect_rev": 0 }));
        let caller = Caller { uid: OWN };
        let input = Input::Call { call: CallId(number), caller, scope: None, request };
        machine.node.handle_input(input, at(1));
    }
    machine.drain();
    let failed = machine.replies.iter().filter_map(|reply| reply.as_ref().err());
    assert_eq!(failed.map(|error| error.kind).collect::<Vec<_>>(), [ErrorKind::RevConflict]);
}

/// SPEC 8.53: who goes on from `next` sees each entry once, whatever comes or goes meanwhile.
/// The texts of a history, read in pages of two, newest first.
fn read_all(machine: &mut Machine, bob: UserId) -> Vec<String> {
    let (mut texts, mut before) = (Vec::new(), Value::Null);
    loop {
        let with = json!({ "who": bob, "limit": 2, "before": before });
        let answer = machine.does("message.history", with, at(100)).unwrap();
        let messages = answer["messages"].as_array().unwrap();
        texts.extend(messages.iter().rev().map(|it| it["text"].as_str().unwrap().to_owned()));
        match answer["next"].as_u64() {
            Some(next) => before = Value::from(next),
            None => return texts,
        }
    }
}

#[test]
fn a_message_that_is_damaged_or_gone_ends_no_list_and_is_said_to_be_unreadable() {
    let (mut machine, _, bob) = world();
    let mut ids = Vec::new();
    for number in 0..5 {
        let send = json!({ "to": bob, "text": format!("{number}") });
        ids.push(machine.does("message.send", send, at(number)).unwrap()["id"].clone());
    }
    let whole = machine.disk.clone();
    let rows = machine.rows(Table::Message);
    let mut names = machine.rows(Table::MessageIndex);
    names.retain(|(key, _)| key.starts_with(b"p"));
    for lost in 0..5 {
        let others: Vec<String> =
            (0..5).rev().filter(|it| *it != lost).map(|it| it.to_string()).collect();
        let (row, name) = (rows[lost].0.clone(), names[lost].0.clone());
        machine.disk.remove(&(Table::Message, row.clone()));
        assert_eq!(read_all(&mut machine, bob), others, "{lost} is gone");
        machine.disk.insert((Table::Message, row), Vec::new());
        assert_eq!(read_all(&mut machine, bob), others, "{lost} is damaged");
        let error = machine.does("message.show", json!({ "id": ids[lost] }), at(9)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Internal);
        machine.disk.clone_from(&whole);
        machine.disk.insert((Table::MessageIndex, name), Vec::new());
        assert_eq!(read_all(&mut machine, bob), others, "the name of {lost} is damaged");
        machine.disk.clone_from(&whole);
    }
}

#[test]
fn pages_follow_each_other_without_gap_or_repetition() {
    let (mut machine, _, bob) = world();
    for number in 0..7 {
        let send = json!({ "to": bob, "text": format!("{number}") });
        machine.does("message.send", send, at(number)).unwrap();
    }
    // A message that cannot be read is no end.
    let (key, _) = machine.rows(Table::Message)[2].clone();
    machine.disk.insert((Table::Message, key), Vec::new());
    let (mut texts, mut before) = (Vec::new(), None);
    for page in 0.. {
        let mut with = json!({ "who": bob, "limit": 2 });
        with["before"] = before.map_or(Value::Null, Value::from);
        let answer = machine.does("message.history", with, at(100)).unwrap();
        let messages = answer["messages"].as_array().unwrap();
        texts.extend(messages.iter().rev().map(|it| it["text"].as_str().unwrap().to_owned()));
        let send = json!({ "to": bob, "text": format!("new {page}") });
        machine.does("message.send", send, at(200)).unwrap();
        match answer["next"].as_u64() {
            Some(next) => before = Some(next),
            None => break,
        }
    }
    assert_eq!(texts, ["6", "5", "4", "3", "1", "0"]);

    let mut expected = Vec::new();
    for number in 0..5 {
        let who = UserId([number; 20]);
        expected.push(json!(who));
        machine.does("contact.block", json!({ "who": who }), at(300)).unwrap();
    }
    let mut found = Vec::new();
    let mut after = Value::Null;
    loop {
        let with = json!({ "limit": 2, "after": after });
        let answer = machine.does("contact.list", with, at(301)).unwrap();
        found.extend(answer["contacts"].as_array().unwrap().iter().map(|it| it["id"].clone()));
        match answer.get("next") {
            Some(next) => after = next.clone(),
            None => break,
        }
    }
    expected.push(json!(bob));
    assert_eq!(found, expected);
    let all = machine.does("contact.list", json!({}), at(302)).unwrap();
    assert_eq!(all["contacts"].as_array().unwrap().len(), 6);
    assert!(all.get("next").is_none());

    for name in ["a", "b", "c"] {
        machine.does("cursor.set", json!({ "name": name, "seq": 0 }), at(303)).unwrap();
    }
    let page = machine.does("cursor.list", json!({ "limit": 2 }), at(304)).unwrap();
    assert_eq!(page["next"], "b");
    let page = machine.does("cursor.list", json!({ "limit": 2, "after": "b" }), at(304)).unwrap();
    assert_eq!((page["cursors"][0]["name"].as_str(), page.get("next")), (Some("c"), None));
    let one = machine.does("cursor.list", json!({ "name": "b" }), at(304)).unwrap();
    assert_eq!(one["cursors"].as_array().unwrap().len(), 1);
    machine.does("account.create", json!({ "name": "second" }), at(305)).unwrap();
    let first = machine.does("account.list", json!({ "limit": 1 }), at(306)).unwrap();
    let with = json!({ "limit": 1, "after": first["next"] });
    let second = machine.does("account.list", with, at(306)).unwrap();
    assert_eq!(second["accounts"].as_array().unwrap().len(), 1);
    assert!(second.get("next").is_none() && first["accounts"] != second["accounts"]);
}

#[test]
fn a_damaged_row_about_former_versions_lets_nothing_happen_twice() {
    let (mut machine, alice, bob) = world();
    let sent = json!({ "id": bytchat_proto::id::BlockId([7; 32]), "state": "queued", "to": bob });
    let row = json!({ "sent": sent, "text": hash("once") }).to_string().into_bytes();
    let key = [b"c".as_slice(), alice.as_bytes(), &hash("a:1")].concat();
    machine.disk.insert((Table::MessageIndex, key), row);
    for (moment, damaged) in (1..).zip([&b""[..], b"x", b"damaged", b"nonesuch!"]) {
        machine.disk.insert((Table::Node, b"answers-before".to_vec()), damaged.to_vec());
        machine.restart(at(2 * moment));
        let again = machine.does("message.send", hello(bob), at(2 * moment + 1)).unwrap();
        assert_eq!(again["replayed"], true, "{damaged:?}");
    }
    // Where there are none, this stays known.
    let (mut machine, ..) = world();
    machine.restart(at(1));
    assert_eq!(machine.node.kept.former, crate::answer::Former::None);
}

#[test]
fn what_former_versions_kept_is_honoured_for_a_while() {
    let (mut machine, alice, bob) = world();
    let sent = json!({ "id": bytchat_proto::id::BlockId([7; 32]), "state": "queued", "to": bob });
    let row = json!({ "sent": sent, "text": hash("once") }).to_string().into_bytes();
    let key = [b"c".as_slice(), alice.as_bytes(), &hash("a:1")].concat();
    machine.disk.insert((Table::MessageIndex, key.clone()), row);
    machine.disk.remove(&(Table::Node, b"answers-before".to_vec()));
    machine.restart(at(1));
    let again = machine.does("message.send", hello(bob), at(2)).unwrap();
    assert_eq!((&again["replayed"], &again["id"]), (&json!(true), &sent["id"]));
    let other = json!({ "to": bob, "text": "other", "client_id": "a:1" });
    let error = machine.does("message.send", other, at(3)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conflict);
    machine.restart(at(4));
    machine.wake(at(ANSWERS_KEPT_MS + 2 * HOUR_MS));
    assert!(!machine.disk.contains_key(&(Table::MessageIndex, key)));
    let anew = machine.does("message.send", hello(bob), at(ANSWERS_KEPT_MS + 3 * HOUR_MS));
    assert!(anew.unwrap().get("replayed").is_none());
}
