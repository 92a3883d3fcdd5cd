//! Tests of narrowed sessions, and of what belongs to others.

use bytchat_proto::id::BlockId;
use bytchat_proto::limits::HOUR_MS;
use bytchat_proto::rpc::message::{Read, State, Wait};
use bytchat_proto::rpc::session::Restrict;
use bytchat_proto::rpc::{Nothing, account, message, token};
use serde_json::{Value, json};

use super::super::fixture::Machine;
use super::*;
use crate::fixture::at;
use crate::persist::{Query, Table};

const ANN: u32 = 1_000;
const BEN: u32 = 1_001;

fn scope(accounts: &[UserId]) -> Option<Arc<Scope>> {
    Some(Arc::new(Scope { accounts: Some(accounts.to_vec()) }))
}

fn ask(machine: &mut Machine, scope: Option<Arc<Scope>>, request: Call) -> Result<Value, RpcError> {
    machine.ask_as(ANN, scope, request, at(0))
}

fn call(method: &str, params: Value) -> Call {
    Call::parse(method, params).unwrap()
}

/// The questions to the disk that a call leads to, none of which finds anything, and its answer.
fn questions(machine: &mut Machine, uid: u32, request: Call) -> (Vec<Query>, Value) {
    machine.asked.clear();
    let answer = machine.ask(uid, request, at(0)).map_err(|error| error.to_string());
    let asked = std::mem::take(&mut machine.asked);
    assert!(asked.iter().all(|(_, rows)| *rows == 0), "a row of somebody is read: {asked:?}");
    (asked.into_iter().map(|(query, _)| query).collect(), json!(answer))
}

#[test]
fn a_message_of_another_user_costs_and_says_what_one_that_is_not_there_does() {
    let mut machine = Machine::new();
    let ann = machine.person(ANN);
    machine.person(BEN);
    machine.person(BEN);
    let params = json!({ "to": UserId([5; 20]), "text": "hi", "account": ann });
    let sent = ask(&mut machine, None, call("message.send", params)).unwrap();
    let real: BlockId = serde_json::from_value(sent["id"].clone()).unwrap();
    let none = BlockId::from_slice(&[9; 32]).unwrap();
    let asks = |id: BlockId| {
        [
            Call::MessageShow(message::ById { id }),
            Call::MessageTrace(message::ById { id }),
            Call::MessageWait(Wait { id, state: State::Read, timeout_ms: Some(1_000) }),
            Call::MessageRead(Read { ids: vec![id], client_id: None, dry_run: false }),
        ]
    };
    for (real, none) in asks(real).into_iter().zip(asks(none)) {
        let (real, none) = (questions(&mut machine, BEN, real), questions(&mut machine, BEN, none));
        assert_eq!(real.1, none.1);
        // One look for each of Ben's accounts, at a place that only the id tells apart.
        assert_eq!((real.0.len(), none.0.len()), (2, 2));
        for (real, none) in real.0.iter().zip(&none.0) {
            assert_eq!(real.table, Table::MessageIndex);
            assert_eq!(real.from[33..], none.from[33..]);
        }
    }
}

#[test]
fn accounts_that_were_not_left_do_not_exist() {
    let mut machine = Machine::new();
    let (one, two) = (machine.person(ANN), machine.person(ANN));
    let ben = machine.person(BEN);
    let mut left = |method: &str, params| ask(&mut machine, scope(&[one]), call(method, params));
    let accounts = left("account.list", json!({})).unwrap();
    assert_eq!(accounts["accounts"].as_array().unwrap().len(), 1);
    assert_eq!(accounts["accounts"][0]["id"], json!(one));
    // The only one that is left is meant, and no other by any name.
    let params = json!({ "who": ben });
    assert!(left("contact.add", params).is_ok());
    for (method, params) in [
        ("contact.list", json!({ "account": two })),
        ("message.send", json!({ "account": two, "to": ben, "text": "x" })),
        ("message.inbox", json!({ "account": two })),
        ("message.history", json!({ "account": two, "who": ben })),
        ("profile.set", json!({ "account": two, "name": "x" })),
        ("alias.register", json!({ "account": two, "alias": "a@a.test" })),
        ("alias.list", json!({ "account": two })),
        ("contact.block", json!({ "account": two, "who": ben })),
        ("account.export", json!({ "account": two, "public": true })),
        ("session.restrict", json!({ "accounts": [two] })),
    ] {
        let other = left(method, params.clone()).unwrap_err();
        let mut stranger = params;
        let place = match method {
            "session.restrict" => &mut stranger["accounts"][0],
            _ => &mut stranger["account"],
        };
        *place = json!(ben);
        let none = left(method, stranger).unwrap_err();
        assert_eq!(other.kind, ErrorKind::NotFound, "{method}");
        let [two, ben] = [two, ben].map(|user| user.to_string());
        assert_eq!(other.message, none.message.replace(&ben, &two), "{method}");
    }
    for (method, params) in [
        ("account.export", json!({})),
        ("account.create", json!({})),
        ("account.import", json!({ "pem": "x" })),
        ("token.create", json!({})),
        ("token.list", json!({})),
        ("token.delete", json!({ "id": "x" })),
    ] {
        assert_eq!(left(method, params).unwrap_err().kind, ErrorKind::NotPermitted, "{method}");
    }
    let mut nothing = |method: &str| ask(&mut machine, scope(&[]), call(method, json!({})));
    assert_eq!(nothing("message.inbox").unwrap_err().kind, ErrorKind::NoAccount);
    assert_eq!(nothing("account.list").unwrap()["accounts"], json!([]));
}

#[test]
fn a_session_that_was_narrowed_otherwise_keeps_all_accounts_and_gives_no_key_out() {
    let mut machine = Machine::new();
    let (one, two) = (machine.person(ANN), machine.person(ANN));
    let open = || Some(Arc::new(Scope { accounts: None }));
    for user in [one, two] {
        let params = json!({ "account": user, "public": true });
        assert!(ask(&mut machine, open(), call("account.export", params)).is_ok());
        let params = json!({ "account": user });
        let error = ask(&mut machine, open(), call("account.export", params)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotPermitted);
    }
    let create = Call::AccountCreate(account::Create::default());
    assert!(ask(&mut machine, open(), create).is_ok());
    let set = call("cursor.set", json!({ "name": "bot", "seq": 0 }));
    assert_eq!(ask(&mut machine, open(), set).unwrap()["name"], "bot");
}

#[test]
fn positions_of_narrowed_sessions_are_their_own() {
    let mut machine = Machine::new();
    let (one, two) = (machine.person(ANN), machine.person(ANN));
    let set = || call("cursor.set", json!({ "name": "bot", "seq": 0 }));
    let get = || call("cursor.get", json!({ "name": "bot" }));
    ask(&mut machine, None, set()).unwrap();
    assert_eq!(ask(&mut machine, scope(&[one]), get()).unwrap_err().kind, ErrorKind::NotFound);
    let own = ask(&mut machine, scope(&[one]), set()).unwrap();
    let full = own["name"].as_str().unwrap().to_owned();
    assert!(full.ends_with("/bot") && full.len() == 16 + 4, "{full}");
    let names = |answer: Value| {
        let cursors = answer["cursors"].as_array().unwrap().clone();
        cursors.iter().map(|c| c["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let list = || Call::CursorList(cursor::List::default());
    assert_eq!(
        names(ask(&mut machine, scope(&[one]), list()).unwrap()),
        std::slice::from_ref(&full)
    );
    assert!(names(ask(&mut machine, scope(&[two]), list()).unwrap()).is_empty());
    let all = names(ask(&mut machine, None, list()).unwrap());
    assert!(all.len() == 2 && all.contains(&full) && all.contains(&"bot".to_owned()), "{all:?}");
    // In full or not, it is the same; that of others is out of reach.
    for name in [full.as_str(), "bot"] {
        let get = call("cursor.get", json!({ "name": name }));
        assert_eq!(ask(&mut machine, scope(&[one]), get).unwrap()["name"], full);
        let delete = call("cursor.delete", json!({ "name": name }));
        assert!(ask(&mut machine, scope(&[two]), delete).is_err());
    }
    for name in ["../bot", "a/b", ""] {
        let set = call("cursor.set", json!({ "name": name, "seq": 0 }));
        let error = ask(&mut machine, scope(&[one]), set).unwrap_err();
        assert_eq!(error.kind, ErrorKind::BadParameters, "{name}");
    }
    machine.restart(at(0));
    assert_eq!(ask(&mut machine, scope(&[one]), get()).unwrap()["name"], full);
}

#[test]
fn a_token_narrows_to_what_it_says_and_survives_a_restart() {
    let mut machine = Machine::new();
    let one = machine.person(ANN);
    machine.person(ANN);
    let params = json!({ "name": "bot", "role": "read", "accounts": [one], "methods": ["event.*"],
        "until": at(0).wall.0 + 1_000 });
    let made = ask(&mut machine, None, call("token.create", params)).unwrap();
    machine.restart(at(0));
    let by = |token: &Value| {
        let token = token.as_str().map(|token| token.to_owned().into());
        Call::SessionRestrict(Restrict { token, ..Restrict::default() })
    };
    let left = ask(&mut machine, None, by(&made["token"])).unwrap();
    let expected = json!({ "role": "read", "accounts": [one], "methods": ["event.*"],
        "until": at(0).wall.0 + 1_000, "left_ms": 1_000 });
    assert_eq!(left, expected);
    let listed = ask(&mut machine, None, Call::TokenList(Nothing {})).unwrap();
    assert_eq!(listed["tokens"][0]["id"], made["id"]);
    assert!(!listed.to_string().contains(made["token"].as_str().unwrap()));
    // Wrong, over, another user's: the same.
    let wrong = ask(&mut machine, None, by(&json!("bytchat-wrong"))).unwrap_err();
    let foreign = machine.ask_as(BEN, None, by(&made["token"]), at(0)).unwrap_err();
    let over = machine.ask_as(ANN, None, by(&made["token"]), at(1_000)).unwrap_err();
    assert_eq!((&foreign, &over), (&wrong, &wrong));
    assert_eq!(wrong.kind, ErrorKind::BadToken);
    let delete =
        |id: &Value| Call::TokenDelete(token::ById { id: id.as_str().unwrap().to_owned() });
    let theirs = machine.ask_as(BEN, None, delete(&made["id"]), at(0)).unwrap_err();
    assert_eq!(theirs.kind, ErrorKind::NotFound);
    ask(&mut machine, None, delete(&made["id"])).unwrap();
    assert_eq!(ask(&mut machine, None, by(&made["token"])).unwrap_err(), wrong);
    for params in [
        json!({ "methods": ["message.sned"] }),
        json!({ "methods": [] }),
        json!({ "accounts": [] }),
        json!({ "until": 1 }),
        json!({ "name": "a\u{7}" }),
    ] {
        let error = ask(&mut machine, None, call("token.create", params)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::BadParameters);
    }
    let both = json!({ "token": "x", "role": "read" });
    let error = ask(&mut machine, None, call("session.restrict", both)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::BadParameters);
    let accept = call("contact.accept", json!({ "who": one }));
    assert!(ask(&mut machine, scope(&[one]), accept).is_ok());
}

#[test]
fn a_token_that_was_over_does_not_come_back_with_an_earlier_clock() {
    let mut machine = Machine::new();
    machine.person(ANN);
    let params = json!({ "until": at(0).wall.0 + 1_000 });
    let made = ask(&mut machine, None, call("token.create", params)).unwrap();
    let token = made["token"].as_str().unwrap();
    let by = |machine: &mut Machine, now| {
        let token = Some(token.to_owned().into());
        let restrict = Call::SessionRestrict(Restrict { token, ..Restrict::default() });
        machine.ask_as(ANN, None, restrict, now).map_err(|error| error.kind)
    };
    assert!(by(&mut machine, at(0)).is_ok());
    let later = at(2 * HOUR_MS);
    machine.wake(later);
    assert_eq!(by(&mut machine, later), Err(ErrorKind::BadToken));
    machine.restart(at(0));
    assert_eq!(by(&mut machine, at(0)), Err(ErrorKind::BadToken));
    let listed = machine.ask_as(ANN, None, Call::TokenList(Nothing {}), at(0)).unwrap();
    assert_eq!(listed["tokens"], json!([]));
}

#[test]
fn client_ids_of_narrowed_sessions_are_their_own() {
    let mut machine = Machine::new();
    let (one, two) = (machine.person(ANN), machine.person(ANN));
    let send = |text: &str| {
        let to = UserId([9; 20]);
        call("message.send", json!({ "to": to, "text": text, "client_id": "a:1", "account": one }))
    };
    let first = ask(&mut machine, scope(&[one]), send("narrow")).unwrap();
    let open = ask(&mut machine, None, send("open")).unwrap();
    let other = ask(&mut machine, scope(&[one, two]), send("both")).unwrap();
    assert!(first["id"] != open["id"] && open["id"] != other["id"]);
    let again = ask(&mut machine, scope(&[one]), send("narrow")).unwrap();
    assert_eq!((&again["id"], &again["replayed"]), (&first["id"], &json!(true)));
    let conflict = ask(&mut machine, scope(&[one]), send("open")).unwrap_err();
    assert_eq!(conflict.kind, ErrorKind::Conflict);
}

#[test]
fn an_id_means_one_account_whatever_others_are_called() {
    let mut machine = Machine::new();
    let (one, two) = (machine.person(ANN), machine.person(ANN));
    let named = call("account.create", json!({ "name": one }));
    let error = ask(&mut machine, None, named).unwrap_err();
    assert_eq!(error.kind, ErrorKind::BadParameters);
    // One that was made before that was refused.
    machine.node.accounts.get_mut(two).unwrap().name = one.to_string();
    let caller = Caller { uid: ANN };
    let meant = machine.node.accounts.pick(caller, Some(&one.to_string())).unwrap();
    assert_eq!(meant.user(), one);
}
