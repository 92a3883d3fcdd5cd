//! People of a simulated network: accounts with keys that are the same in every run.

use bytchat_proto::id::{BlockId, UserId};
use bytchat_proto::limits::MINUTE_MS;
use bytchat_proto::rpc::message::{Message, Messages, State};
use serde_json::{Value, json};

use super::world::World;

/// Keys for simulated people and for nobody else: a run must be the same again.
const KEYS: &str = include_str!("keys.pem");
const END: &str = "-----END PRIVATE KEY-----\n";

/// The keys of simulated people, in PEM.
pub fn keys() -> impl Iterator<Item = &'static str> {
    KEYS.split_inclusive(END)
}

/// An account on a machine.
#[derive(Clone, Debug)]
pub struct Person {
    /// The machine.
    pub host: usize,
    /// The Unix user who owns the account.
    pub uid: u32,
    /// Who it is.
    pub id: UserId,
    /// The key, for further devices.
    pub pem: String,
}

impl World {
    /// Makes an account on a machine.
    pub fn person(&mut self, host: usize) -> Person {
        let pem = keys().nth(self.keys_used).expect("there are few people");
        self.keys_used += 1;
        self.device(host, pem)
    }

    /// Brings an account to a machine with its key.
    pub fn device(&mut self, host: usize, pem: &str) -> Person {
        let uid = 1_000 + u32::try_from(self.keys_used).expect("few people");
        let made = self.ask_as(host, uid, "account.import", json!({ "pem": pem }));
        let made = made.expect("a good key is taken");
        let id = serde_json::from_value(made["id"].clone()).expect("an account has an id");
        Person { host, uid, id, pem: pem.to_owned() }
    }

    /// Makes an account with an alias on a machine.
    pub fn named(&mut self, host: usize, alias: &str) -> Person {
        let person = self.person(host);
        self.ask(&person, "alias.register", json!({ "alias": alias })).expect("the alias is free");
        person
    }

    /// Calls a person's node.
    pub fn ask(
        &mut self,
        who: &Person,
        method: &str,
        params: Value,
    ) -> Result<Value, bytchat_proto::rpc::RpcError> {
        self.ask_as(who.host, who.uid, method, params)
    }

    /// What a person has received.
    pub fn inbox(&mut self, who: &Person) -> Vec<Message> {
        let inbox = self.ask(who, "message.inbox", json!({"limit": 500})).expect("an inbox");
        let inbox: Messages = serde_json::from_value(inbox).expect("messages");
        inbox.messages
    }

    /// The texts that a person has received.
    pub fn texts(&mut self, who: &Person) -> Vec<String> {
        self.inbox(who).into_iter().map(|message| message.text).collect()
    }

    /// How far a message has come.
    pub fn state(&mut self, who: &Person, id: BlockId) -> State {
        let message = self.ask(who, "message.show", json!({ "id": id })).expect("a message");
        serde_json::from_value(message["state"].clone()).expect("a state")
    }

    /// The steps of a message, to be shown when a test fails.
    pub fn trace(&mut self, who: &Person, id: BlockId) -> Value {
        self.ask(who, "message.trace", json!({ "id": id })).expect("a trace")
    }

    /// Sends texts to somebody whose machine is down meanwhile, and whose senders are gone when it
    /// comes up: how many of how many have arrived then.
    pub fn deliver_late(&mut self, from: &[Person], to: &Person, each: usize) -> (usize, usize) {
        self.crash(to.host);
        let mut sent: Vec<BlockId> = Vec::new();
        for turn in 0..each {
            for from in from {
                let params = json!({ "to": to.id, "text": format!("{turn} of {}", from.id) });
                let answer = self.ask(from, "message.send", params).expect("it is taken");
                sent.push(serde_json::from_value(answer["id"].clone()).expect("an id"));
                self.run(500);
            }
        }
        self.run(2 * MINUTE_MS);
        from.iter().for_each(|from| self.crash(from.host));
        self.restart(to.host);
        self.run(5 * MINUTE_MS);
        let arrived: Vec<BlockId> = self.inbox(to).into_iter().map(|message| message.id).collect();
        (sent.iter().filter(|id| arrived.contains(id)).count(), sent.len())
    }
}
