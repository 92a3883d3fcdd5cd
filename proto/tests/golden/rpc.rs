//! Golden forms of every call, its result, every event and the table of errors.

use std::collections::BTreeMap;

use bytchat_proto::point::Point;
use bytchat_proto::rpc::{
    Call, Changed, Done, ErrorKind, Nothing, Role, account, alias, contact, cursor, dht, event,
    message, node, profile, session, to_result, token,
};
use serde_json::{Value, json};

use crate::fixtures::{
    AT, BLOCK, HOLDER, NETWORK, USER, account as account_key, addresses, alias as an_alias, host,
};
use crate::sink::{Golden, assert_all_covered, variants};

const EPOCH: &str = "0123456789abcdef0123456789abcdef";

variants!(what_name, WHATS, event::What {
    event::What::Received(_) => "message.received",
    event::What::State(_) => "message.state",
    event::What::KeyChanged { .. } => "contact.key_changed",
});

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn change() -> contact::Change {
    contact::Change {
        account: some("home"),
        who: "alice@pod.example".to_owned(),
        expect_rev: Some(3),
        client_id: some("1"),
        dry_run: true,
    }
}

fn session_calls() -> Vec<Call> {
    let (accounts, methods) = (Some(vec!["home".to_owned()]), Some(vec!["message.*".to_owned()]));
    vec![
        Call::SessionRestrict(session::Restrict {
            role: Some(Role::Read),
            accounts: accounts.clone(),
            methods: methods.clone(),
            until: Some(AT),
            token: Some("bytchat-…".to_owned().into()),
        }),
        Call::TokenCreate(token::Create {
            name: some("bot"),
            role: Some(Role::Send),
            accounts,
            methods,
            until: Some(AT),
        }),
        Call::TokenList(Nothing {}),
        Call::TokenDelete(token::ById { id: "0123456789abcdef".to_owned() }),
    ]
}

fn account_calls() -> Vec<Call> {
    vec![
        Call::AccountCreate(account::Create {
            name: some("home"),
            client_id: some("1"),
            dry_run: true,
        }),
        Call::AccountImport(account::Import {
            pem: "-----BEGIN …".to_owned().into(),
            name: some("home"),
            client_id: some("1"),
            dry_run: true,
        }),
        Call::AccountExport(account::Export { account: some("home"), public: true }),
        Call::AccountList(account::List { limit: Some(10), after: Some(USER) }),
        Call::ProfileSet(profile::Set {
            account: some("home"),
            name: "Alice".to_owned(),
            avatar: some("IyMjIw=="),
            expect_rev: Some(9),
            client_id: some("1"),
            dry_run: true,
        }),
        Call::ProfileShow(profile::Show { who: USER.to_string() }),
        Call::AliasRegister(alias::Register {
            account: some("home"),
            alias: an_alias().to_string(),
            client_id: some("1"),
            dry_run: true,
        }),
        Call::AliasResolve(alias::Resolve { alias: an_alias().to_string() }),
        Call::AliasList(alias::List {
            account: some("home"),
            limit: Some(10),
            after: Some(an_alias()),
        }),
    ]
}

fn message_calls() -> Vec<Call> {
    vec![
        Call::MessageSend(message::Send {
            account: some("home"),
            to: an_alias().to_string(),
            text: "hi".to_owned(),
            client_id: some("1"),
            dry_run: true,
        }),
        Call::MessageShow(message::ById { id: BLOCK }),
        Call::MessageTrace(message::ById { id: BLOCK }),
        Call::MessageWaiting(message::Waiting {
            account: some("home"),
            limit: Some(10),
            after: Some(BLOCK),
        }),
        Call::MessageWait(message::Wait {
            id: BLOCK,
            state: message::State::Delivered,
            timeout_ms: Some(1_000),
        }),
        Call::MessageInbox(message::Inbox {
            account: some("home"),
            limit: Some(10),
            before: Some(7),
        }),
        Call::MessageHistory(message::History {
            account: some("home"),
            who: USER.to_string(),
            limit: Some(10),
            before: Some(7),
        }),
        Call::MessageRead(message::Read { ids: vec![BLOCK], client_id: some("1"), dry_run: true }),
    ]
}

fn event_calls() -> Vec<Call> {
    let types = || Some(vec!["message.*".to_owned()]);
    vec![
        Call::EventList(event::List {
            since: Some(4),
            cursor: some("bot"),
            epoch: some(EPOCH),
            types: types(),
            limit: Some(10),
            wait_ms: Some(1_000),
        }),
        Call::EventSubscribe(event::Subscribe {
            since: Some(4),
            cursor: some("bot"),
            epoch: some(EPOCH),
            types: types(),
        }),
        Call::EventUnsubscribe(event::Unsubscribe { subscription: "s1".to_owned() }),
        Call::CursorSet(cursor::Set {
            name: "bot".to_owned(),
            seq: 4,
            epoch: some(EPOCH),
            expect_rev: Some(3),
            client_id: some("1"),
            dry_run: true,
        }),
        Call::CursorGet(cursor::ByName { name: "bot".to_owned() }),
        Call::CursorList(cursor::List { name: some("bot"), limit: Some(10), after: some("a") }),
        Call::CursorDelete(cursor::Delete {
            name: "bot".to_owned(),
            client_id: some("1"),
            dry_run: true,
        }),
    ]
}

pub(crate) fn calls() -> Vec<Call> {
    let node =
        [Call::NodeStatus, Call::NodePeers, Call::NodeStats, Call::NodeConfig, Call::SessionShow];
    let mut calls: Vec<Call> = node.iter().map(|call| call(Nothing {})).collect();
    calls.push(Call::DhtLookup(dht::Lookup { target: Point::of_user(USER) }));
    calls.extend(session_calls());
    calls.extend(account_calls());
    calls.extend(message_calls());
    calls.extend([
        Call::ContactList(contact::List {
            account: some("home"),
            limit: Some(10),
            after: Some(USER),
        }),
        Call::SessionSet(session::Set { deprecated: Some(false) }),
        Call::ContactAdd(change()),
        Call::ContactAccept(change()),
        Call::ContactBlock(change()),
    ]);
    calls.extend(event_calls());
    calls
}

fn a_config() -> node::Config {
    let file = "/etc/bytchat/bytchatd.toml";
    let key = |key: &str, value: Value, origin, place: Option<String>| node::Setting {
        key: key.to_owned(),
        value,
        origin,
        waits: place.is_some(),
        place,
    };
    node::Config {
        file: some(file),
        values: vec![
            key("network", json!("home"), node::Origin::File, Some(format!("{file}:3"))),
            key("socket", json!("/s"), node::Origin::Flag, some("--socket")),
            key("data_dir", json!("/d"), node::Origin::Environment, some("STATE_DIRECTORY")),
            key("pod", Value::Null, node::Origin::Default, None),
        ],
    }
}

/// The result of each call; a new call does not compile until it has one.
fn result_of(call: &Call) -> Value {
    match call {
        Call::NodeStatus(_) => to_result(&status()),
        Call::NodePeers(_) => to_result(&node::Peers { peers: vec![peer()] }),
        Call::NodeStats(_) => to_result(&stats()),
        Call::DhtLookup(_) => to_result(&found()),
        Call::NodeConfig(_) => to_result(&a_config()),
        Call::SessionShow(_) | Call::SessionRestrict(_) => to_result(&a_session()),
        Call::TokenCreate(_) => {
            to_result(&token::Created { token: "bytchat-…".to_owned().into(), about: a_token() })
        }
        Call::TokenList(_) => to_result(&token::Tokens { tokens: vec![a_token()] }),
        Call::TokenDelete(_) => to_result(&Done {}),
        Call::SessionSet(_) => to_result(&session::Settings { deprecated: false }),
        Call::AccountCreate(_) | Call::AccountImport(_) => changed(an_account()),
        Call::AccountExport(_) => {
            to_result(&account::Exported { pem: "-----BEGIN …".to_owned().into() })
        }
        Call::AccountList(_) => {
            to_result(&account::Accounts { accounts: vec![an_account()], next: Some(USER) })
        }
        Call::ProfileSet(_) => changed(a_profile()),
        Call::ProfileShow(_) => to_result(&a_profile()),
        Call::AliasRegister(_) => changed(a_binding()),
        Call::AliasResolve(_) => to_result(&a_binding()),
        Call::AliasList(_) => {
            to_result(&alias::Bindings { aliases: vec![a_binding()], next: Some(an_alias()) })
        }
        Call::MessageSend(_) => {
            changed(message::Sent { id: BLOCK, state: message::State::Queued, to: USER })
        }
        Call::MessageShow(_) | Call::MessageWait(_) => to_result(&a_message()),
        Call::MessageTrace(_) => to_result(&a_trace()),
        Call::MessageWaiting(_) => {
            to_result(&message::Waits { messages: vec![on_its_way()], next: Some(BLOCK) })
        }
        Call::MessageInbox(_) | Call::MessageHistory(_) => {
            to_result(&message::Messages { messages: vec![a_message()], next: Some(7) })
        }
        Call::MessageRead(_) | Call::CursorDelete(_) => changed(Done {}),
        Call::ContactAdd(_) | Call::ContactAccept(_) | Call::ContactBlock(_) => {
            changed(a_contact())
        }
        Call::ContactList(_) => {
            to_result(&contact::Contacts { contacts: vec![a_contact()], next: Some(USER) })
        }
        Call::EventList(_) => to_result(&events()),
        Call::EventSubscribe(_) => to_result(&event::Subscribed {
            subscription: "s1".to_owned(),
            epoch: EPOCH.to_owned(),
            first: 0,
            head: 7,
        }),
        Call::EventUnsubscribe(_) => to_result(&Done {}),
        Call::CursorSet(_) => changed(a_cursor()),
        Call::CursorGet(_) => to_result(&a_cursor()),
        Call::CursorList(_) => to_result(&cursor::Cursors {
            cursors: vec![a_cursor()],
            epoch: EPOCH.to_owned(),
            first: 0,
            head: 7,
            next: some("bot"),
        }),
    }
}

/// The result of a call that was repeated.
fn changed<T: serde::Serialize>(result: T) -> Value {
    to_result(&Changed { result, replayed: true, dry_run: false })
}

fn status() -> node::Status {
    node::Status {
        node_id: HOLDER,
        listen: addresses(),
        observed: vec![addresses()[0]],
        peers: 30,
        links: 5,
        records: 12,
        envelopes: 3,
        damaged_accounts: 0,
        clock: node::Clock::Behind,
        clock_offset_ms: 3_600_000,
        outbox: 1,
        network: NETWORK,
        pod: Some(host()),
        store_bytes: 4_096,
        uptime_ms: 60_000,
        version: "0.1.0".to_owned(),
    }
}

fn stats() -> node::Stats {
    let histogram = |bounds: &[u64], value| {
        let mut histogram = node::Histogram::new(bounds);
        histogram.add(value);
        histogram
    };
    node::Stats {
        uptime_ms: 60_000,
        lookups: node::Lookups {
            started_total: 3,
            answered_total: 1,
            unanswered_total: 1,
            turned_away_total: 2,
            hops: histogram(&[1, 2], 2),
            duration_ms: histogram(&[100, 1_000], 250),
        },
        asks: node::Asks {
            answered_total: 9,
            refused_total: 1,
            malformed_total: 2,
            lost_total: 3,
            slow_total: 4,
            round_trip_ms: histogram(&[10, 100], 23),
        },
        puts: node::Puts {
            stored_total: 1,
            short_total: 2,
            stale_total: 3,
            holders: histogram(&[4, 5], 5),
        },
        repair: node::Repair {
            records_total: 1,
            records_lost_total: 2,
            records_waiting: 3,
            envelopes_total: 4,
            envelopes_lost_total: 5,
        },
        links: node::Links {
            opened_total: 1,
            accepted_total: 2,
            dials_failed_total: 3,
            strangers_total: 4,
            banned_total: 5,
        },
        refusals: vec![node::Refusals { reason: "busy".to_owned(), refused_total: 6 }],
        keyspace: node::Keyspace {
            nodes_estimate: Some(1_000),
            mailboxes: 2,
            mailboxes_crowded: 1,
            density_max: 40,
            mailboxes_one_prefix: 1,
        },
    }
}

fn found() -> dht::Found {
    let (node_id, address) = (HOLDER, Some(addresses()[1]));
    dht::Found {
        target: Point::of_user(USER),
        holders: vec![dht::Holder { node_id, address, near_bits: 7, own: true }],
        hops: vec![dht::Hop {
            node_id,
            address,
            hop: 2,
            near_bits: 7,
            at_ms: 40,
            round_trip_ms: Some(23),
            outcome: dht::Outcome::Answered,
            contacts: 20,
        }],
        answered: 1,
        duration_ms: 60,
    }
}

fn on_its_way() -> message::OnItsWay {
    message::OnItsWay {
        id: BLOCK,
        to: USER,
        alias: Some(an_alias()),
        state: message::State::Queued,
        since: AT,
        tries: 3,
        holders: 2,
        cause: message::Cause::FewHolders,
        next_try_ms: 4_000,
    }
}

fn peer() -> node::Peer {
    node::Peer {
        node_id: HOLDER,
        address: addresses()[1],
        pod: Some(host()),
        linked: true,
        rtt_ms: Some(23),
    }
}

fn a_session() -> session::Session {
    session::Session {
        uid: 1_000,
        role: Role::Read,
        narrowed: true,
        accounts: Some(vec![USER]),
        methods: Some(vec!["message.show".to_owned()]),
        until: Some(AT),
    }
}

fn a_token() -> token::Token {
    token::Token {
        id: "0123456789abcdef".to_owned(),
        name: "bot".to_owned(),
        role: Some(Role::Send),
        accounts: Some(vec![USER]),
        methods: None,
        until: Some(AT),
        made_at: AT,
    }
}

fn an_account() -> account::Account {
    account::Account {
        id: account_key().user(),
        name: "home".to_owned(),
        damaged: false,
        aliases: vec![an_alias()],
    }
}

fn a_profile() -> profile::Profile {
    profile::Profile {
        id: account_key().user(),
        name: "Alice".to_owned(),
        avatar: "IyMjIw==".to_owned(),
        sequence: 9,
        more: BTreeMap::from([("motto".to_owned(), "hi".to_owned())]),
        holders: 5,
    }
}

fn a_binding() -> alias::Binding {
    alias::Binding { alias: an_alias(), id: account_key().user() }
}

fn a_contact() -> contact::Contact {
    contact::Contact {
        id: account_key().user(),
        alias: Some(an_alias()),
        standing: contact::Standing::Accepted,
        rev: 3,
    }
}

fn a_message() -> message::Message {
    message::Message {
        id: BLOCK,
        seq: 7,
        from: account_key().user(),
        to: USER,
        direction: message::Direction::In,
        content_type: "text/plain".to_owned(),
        text: "hi".to_owned(),
        state: message::State::Delivered,
        sent_at: AT,
        received_at: AT.plus_ms(300),
        request: true,
        gap: false,
    }
}

fn a_trace() -> message::Trace {
    message::Trace {
        id: BLOCK,
        state: message::State::Stored,
        stored: 5,
        steps: vec![message::Step { at: AT, step: "stored 5/5 until 27 Nov".to_owned() }],
    }
}

fn whats() -> Vec<event::What> {
    vec![
        event::What::Received(a_message()),
        event::What::State(a_message()),
        event::What::KeyChanged { id: USER },
    ]
}

fn events() -> event::Events {
    let events =
        (5..).zip(whats()).map(|(seq, what)| event::Event { seq, at: AT, account: USER, what });
    let gap = event::Gap { from: 2, to: 4, reason: event::GapReason::Retention };
    event::Events {
        events: events.collect(),
        next: 7,
        first: 4,
        head: 7,
        epoch: EPOCH.to_owned(),
        gap: Some(gap),
    }
}

fn a_cursor() -> cursor::Cursor {
    cursor::Cursor { name: "bot".to_owned(), seq: 4, at: AT, behind: 3 }
}

fn notes() -> Vec<event::Note> {
    let place = event::Place { next: 4, head: 7 };
    let gap = |reason| event::Note::Gap(event::Gap { from: 2, to: 4, reason });
    vec![
        event::Note::CaughtUp(place),
        gap(event::GapReason::Retention),
        gap(event::GapReason::Epoch),
        event::Note::Lagged(place),
        event::Note::Heartbeat(place),
        event::Note::Failed { kind: ErrorKind::Internal, message: "why".to_owned() },
    ]
}

/// SPEC 8.4, 8.6: names, parameters and results are stable.
#[test]
fn calls_and_results_keep_their_json() {
    let mut golden = Golden::default();
    for call in calls() {
        golden.line(&format!("== {}", call.method()));
        golden.line(&format!("params {}", call.params()));
        golden.line(&format!("result {}", result_of(&call)));
    }
    for note in notes() {
        golden.line(&format!("note {}", to_result(&note)));
    }
    golden.check("rpc.txt");
    let sampled: Vec<_> = calls().iter().map(Call::method).collect();
    assert_all_covered(Call::METHODS, &sampled);
    let sampled: Vec<_> = whats().iter().map(what_name).collect();
    assert_all_covered(WHATS, &sampled);
    assert_eq!(WHATS, event::What::NAMES);
}

/// SPEC 8.5: a number, a name and an exit code never change their meaning.
#[test]
fn errors_keep_their_numbers() {
    let mut golden = Golden::default();
    for kind in ErrorKind::ALL {
        let data = to_result(&kind.because("why").data());
        golden.line(&format!("{} {} exit {} {data}", kind.code(), kind.name(), kind.exit_code(),));
    }
    golden.check("errors.txt");
}

#[test]
fn a_call_comes_back_from_its_parameters() {
    for call in calls() {
        let again = Call::parse(call.method(), call.params()).expect("a call of our own");
        assert_eq!(again, call);
    }
}

/// SPEC 8.4: what may be left out may be left out.
#[test]
fn optional_parameters_may_be_absent() {
    for method in ["account.create", "alias.list", "message.inbox", "event.list"] {
        Call::parse(method, json!({})).expect(method);
    }
}
