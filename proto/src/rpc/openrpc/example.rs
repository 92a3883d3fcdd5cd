//! The examples of the document. Together they are a story in this order: Alice makes an account,
//! gets an alias, and writes to Bob, who answers. A scenario tells it to a real daemon: there the
//! ids, the key and the pod are others, the rest is as it stands here.

mod node;

use serde_json::{Value, json};

/// A call with its parameters and what it comes to.
#[derive(Clone, Debug)]
pub struct Example {
    /// The method.
    pub method: &'static str,
    /// What it is an example of.
    pub name: &'static str,
    /// The parameters, by name.
    pub params: Value,
    /// The result.
    pub result: Value,
}

/// Bob's user id: he is not at the daemon that is asked.
pub const BOB: &str = "q4xjzc3nq6v2mre5tkd7wyhs2lofugba";
/// Where a private key stands that is imported.
pub const PEM: &str = "-----BEGIN PRIVATE KEY-----\nMIIG/gIBADANBgkqhkiG9w0BAQEFAASCBugw…\n\
                       -----END PRIVATE KEY-----\n";

const PUBLIC_PEM: &str = "-----BEGIN PUBLIC KEY-----\nMIIBojANBgkqhkiG9w0BAQEFAAOCAY8AMIIB…\n\
                          -----END PUBLIC KEY-----\n";
const ALICE: &str = "5zwsgxkd6dfumqf4gaafrwytgj4lkhrv";
const WORK: &str = "k2c7iymqw5rhdx3jvtznb6auesfo4gpl";
const MALLORY: &str = "zt4nwo6yb3qkfzl2pvhc5sgdjxr7emai";
const NODE: &str = "irceirceirceirceirceirceirceirce";
const PEER: &str = "bq7k3mwx5vzjhtn2yfdl6caupesgo4ri";
const NETWORK: &str = "ceirceirceirceirceirceirceirceirceirceirceirceirceiq";
const QUESTION: &str = "mztgmztgmztgmztgmztgmztgmztgmztgmztgmztgmztgmztgmzta";
const ANSWER: &str = "p5x3kd6wqnlz2rjy7hvtcf4bueasgmoip5x3kd6wqnlz2rjy7hva";
const EPOCH: &str = "0123456789abcdef0123456789abcdef";
const TOKEN_ID: &str = "0123456789abcdef";
const TOKEN: &str = "bytchat-mfrggzdfmztwq2lkmfrggzdfmztwq2lkmfrggzdfmztwq2lkmfrg";
const PICTURE: &str = "iVBORw0KGgo=";
const AT: u64 = 1_795_132_800_000;

/// All examples, in the order of the story.
pub fn examples() -> Vec<Example> {
    let parts = [
        node::node(),
        accounts(),
        names(),
        people(),
        messages(),
        events(),
        cursors(),
        own(),
        rights(),
    ];
    parts.into_iter().flatten().collect()
}

fn example(method: &'static str, name: &'static str, params: Value, result: Value) -> Example {
    Example { method, name, params, result }
}

fn account(id: &str, name: &str) -> Value {
    json!({ "id": id, "name": name, "aliases": [] })
}

fn accounts() -> Vec<Example> {
    vec![
        example(
            "account.create",
            "the first account",
            json!({ "name": "home" }),
            account(ALICE, "home"),
        ),
        example(
            "account.list",
            "one account",
            json!({}),
            json!({ "accounts": [account(ALICE, "home")] }),
        ),
        example(
            "dht.lookup",
            "the nodes that hold the mail of an account",
            json!({ "target": ALICE }),
            node::lookup(),
        ),
        example(
            "account.export",
            "the public key",
            json!({ "account": "home", "public": true }),
            json!({ "pem": PUBLIC_PEM }),
        ),
        example(
            "account.import",
            "a second account, from a key",
            json!({ "name": "work", "pem": PEM }),
            account(WORK, "work"),
        ),
    ]
}

fn names() -> Vec<Example> {
    let alias = "alice@pod.example";
    let binding = json!({ "alias": alias, "id": ALICE });
    let profile = json!({
        "id": ALICE,
        "name": "Alice",
        "avatar": PICTURE,
        "sequence": AT,
        "more": {},
        "holders": 5,
    });
    vec![
        example(
            "alias.register",
            "an alias for the first account",
            json!({ "account": "home", "alias": alias }),
            binding.clone(),
        ),
        example("alias.resolve", "whose an alias is", json!({ "alias": alias }), binding.clone()),
        example(
            "alias.list",
            "the aliases of one account",
            json!({ "account": "home" }),
            json!({ "aliases": [binding] }),
        ),
        example(
            "profile.set",
            "a name and a picture",
            json!({ "account": "home", "name": "Alice", "avatar": PICTURE }),
            profile.clone(),
        ),
        example("profile.show", "by alias", json!({ "who": alias }), profile),
    ]
}

fn people() -> Vec<Example> {
    let bob = json!({ "id": BOB, "alias": "bob@pod.example", "standing": "accepted", "rev": 1 });
    let mallory = json!({ "id": MALLORY, "alias": null, "standing": "blocked", "rev": 1 });
    let change = |who: &str| json!({ "account": "home", "who": who });
    vec![
        example("contact.add", "somebody by alias", change("bob@pod.example"), bob.clone()),
        example("contact.accept", "somebody by user id", change(BOB), bob.clone()),
        example(
            "contact.block",
            "somebody who is not to be heard",
            change(MALLORY),
            mallory.clone(),
        ),
        example(
            "contact.list",
            "the address book of one account",
            json!({ "account": "home" }),
            json!({ "contacts": [bob, mallory] }),
        ),
    ]
}

fn question(state: &str) -> Value {
    json!({
        "id": QUESTION,
        "seq": 1,
        "from": ALICE,
        "to": BOB,
        "direction": "out",
        "content_type": "text/plain",
        "text": "Lunch at noon?",
        "state": state,
        "sent_at": AT,
        "received_at": AT,
        "request": false,
        "gap": false,
    })
}

fn answer() -> Value {
    json!({
        "id": ANSWER,
        "seq": 2,
        "from": BOB,
        "to": ALICE,
        "direction": "in",
        "content_type": "text/plain",
        "text": "See you there.",
        "state": "delivered",
        "sent_at": AT + 60_000,
        "received_at": AT + 60_300,
        "request": false,
        "gap": false,
    })
}

fn messages() -> Vec<Example> {
    let by_id = || json!({ "id": QUESTION });
    let trace = json!({
        "id": QUESTION,
        "state": "delivered",
        "stored": 5,
        "steps": [{ "at": AT, "step": "queued: it is on this machine's disk" }],
    });
    vec![
        example(
            "message.waiting",
            "nothing is on its way",
            json!({ "account": "home" }),
            json!({ "messages": [] }),
        ),
        example(
            "message.send",
            "a text that may be sent again",
            json!({
                "account": "home",
                "to": "bob@pod.example",
                "text": "Lunch at noon?",
                "client_id": "draft-7",
            }),
            json!({ "id": QUESTION, "state": "queued", "to": BOB }),
        ),
        example(
            "message.wait",
            "until a device of the recipient has it",
            json!({ "id": QUESTION, "state": "delivered", "timeout_ms": 60_000 }),
            question("delivered"),
        ),
        example("message.show", "one message", by_id(), question("delivered")),
        example("message.trace", "its first step", by_id(), trace),
        example(
            "message.inbox",
            "the newest ten",
            json!({ "account": "home", "limit": 10 }),
            json!({ "messages": [answer()] }),
        ),
        example(
            "message.history",
            "both sides of a conversation",
            json!({ "account": "home", "who": "bob@pod.example", "limit": 10 }),
            json!({ "messages": [question("delivered"), answer()] }),
        ),
        example("message.read", "one message", json!({ "ids": [ANSWER] }), json!({})),
    ]
}

fn events() -> Vec<Example> {
    let event = json!({
        "seq": 1,
        "at": AT + 300,
        "account": ALICE,
        "type": "message.state",
        "data": question("delivered"),
    });
    let page = json!({ "events": [event], "next": 1, "first": 0, "head": 3, "epoch": EPOCH });
    let subscribed = json!({ "subscription": "s1", "epoch": EPOCH, "first": 0, "head": 3 });
    vec![
        example(
            "event.list",
            "what happened with messages",
            json!({ "since": 0, "types": ["message.*"], "limit": 1 }),
            page,
        ),
        example(
            "event.subscribe",
            "the whole log, then what happens",
            json!({ "since": 0, "epoch": EPOCH }),
            subscribed,
        ),
        example("event.unsubscribe", "no more of it", json!({ "subscription": "s1" }), json!({})),
    ]
}

fn cursors() -> Vec<Example> {
    let cursor = json!({ "name": "bot", "seq": 1, "at": AT, "behind": 2 });
    let by_name = || json!({ "name": "bot" });
    vec![
        example(
            "cursor.set",
            "the first event is done with",
            json!({ "name": "bot", "seq": 1, "epoch": EPOCH }),
            cursor.clone(),
        ),
        example("cursor.get", "how far the bot is", by_name(), cursor.clone()),
        example(
            "cursor.list",
            "one position",
            json!({}),
            json!({ "cursors": [cursor], "epoch": EPOCH, "first": 0, "head": 3 }),
        ),
        example("cursor.delete", "the bot is gone", by_name(), json!({})),
    ]
}

fn own() -> Vec<Example> {
    let info = json!({ "title": "BytChat RPC", "version": env!("CARGO_PKG_VERSION") });
    vec![
        example(
            super::METHODS,
            "two of them",
            json!({}),
            json!({
                "methods": ["node.status", "cursor.get"],
                "deprecated": { "cursor.get": { "since": "0.1", "instead": "cursor.list" } },
            }),
        ),
        example(
            super::DISCOVER,
            "its beginning",
            json!({}),
            json!({ "openrpc": super::OPENRPC, "info": info, "methods": [] }),
        ),
    ]
}

/// The end of the story: rights that are given up do not come back.
fn rights() -> Vec<Example> {
    let token = json!({
        "id": TOKEN_ID,
        "name": "bot",
        "role": "send",
        "accounts": [ALICE],
        "methods": ["message.*", "event.*"],
        "until": null,
        "made_at": AT,
    });
    let mut created = token.clone();
    created["token"] = json!(TOKEN);
    vec![
        example(
            "token.create",
            "for a bot that answers messages of one account",
            json!({
                "name": "bot",
                "role": "send",
                "accounts": ["home"],
                "methods": ["message.*", "event.*"],
            }),
            created,
        ),
        example("token.list", "one bot", json!({}), json!({ "tokens": [token] })),
        example("token.delete", "the bot is gone", json!({ "id": TOKEN_ID }), json!({})),
        example(
            "session.show",
            "a member of the group bytchat",
            json!({}),
            json!({ "uid": 1_000, "role": "send", "narrowed": false }),
        ),
        example(
            "session.restrict",
            "a display that only reads",
            json!({ "role": "read" }),
            json!({ "uid": 1_000, "role": "read", "narrowed": true }),
        ),
    ]
}
