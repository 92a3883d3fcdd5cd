//! Models for tests.

use std::ops::RangeInclusive;

use bytchat_proto::id::{BlockId, UserId};
use bytchat_proto::rpc::account::Account;
use bytchat_proto::rpc::contact::{Contact, Standing};
use bytchat_proto::rpc::message::{Direction, Message, State};
use bytchat_proto::timestamp::Timestamp;
use ratatui::layout::Size;

use super::model::{Answer, Chat, Command, Go, Key, Model, Msg, Page, Reading};
use super::update::update;

/// Ours.
pub(crate) const ALICE: UserId = UserId([1; 20]);
/// A contact.
pub(crate) const BOB: UserId = UserId([2; 20]);
/// A stranger.
pub(crate) const MALLORY: UserId = UserId([9; 20]);
/// A contact without alias.
pub(crate) const CAROL: UserId = UserId([3; 20]);

const MINUTE_MS: u64 = 60_000;

/// A message of Bob to Alice.
pub(crate) fn received(seq: u64, text: &str) -> Message {
    let at = Timestamp(seq * MINUTE_MS);
    let mut id = [0; 32];
    id[..8].copy_from_slice(&seq.to_be_bytes());
    Message {
        id: BlockId(id),
        seq,
        from: BOB,
        to: ALICE,
        direction: Direction::In,
        content_type: "text/plain".to_owned(),
        text: text.to_owned(),
        state: State::Delivered,
        sent_at: at,
        received_at: at,
        request: false,
        gap: false,
    }
}

/// A message of Alice to Bob.
pub(crate) fn sent(seq: u64, text: &str, state: State) -> Message {
    Message { from: ALICE, to: BOB, direction: Direction::Out, state, ..received(seq, text) }
}

/// A message of a stranger to Alice.
pub(crate) fn strange(seq: u64, text: &str) -> Message {
    Message { from: MALLORY, request: true, ..received(seq, text) }
}

/// A conversation with Bob.
pub(crate) fn chat(seqs: RangeInclusive<u64>) -> Chat {
    let mut chat = Chat::new(BOB);
    chat.reading = Reading::Yes;
    for seq in seqs {
        chat.insert(received(seq, &format!("text {seq}")));
    }
    chat
}

/// An entry of the address book.
pub(crate) fn contact(id: UserId, alias: Option<&str>, standing: Standing) -> Contact {
    contact_from(serde_json::json!({ "id": id, "alias": alias, "standing": standing, "rev": 1 }))
}

fn contact_from(value: serde_json::Value) -> Contact {
    serde_json::from_value(value).unwrap()
}

/// An account.
pub(crate) fn account(id: UserId, name: &str, alias: &str) -> Account {
    let aliases = vec![alias.parse().unwrap()];
    Account { id, name: name.to_owned(), aliases, damaged: false }
}

/// A front end whose daemon answered nothing yet.
pub(crate) fn fresh(columns: u16, rows: u16) -> Model {
    Model::new(Size::new(columns, rows), None, "seed".to_owned())
}

/// A front end of Alice, who knows Bob and Carol; a stranger wrote to her.
pub(crate) fn model(columns: u16, rows: u16) -> Model {
    let mut model = fresh(columns, rows);
    model.update(Msg::Up);
    model.answer(Answer::Accounts(vec![account(ALICE, "alice", "alice@a.test")]));
    model.answer(Answer::Contacts(
        ALICE,
        vec![
            contact(BOB, Some("bob@b.test"), Standing::Accepted),
            contact(CAROL, None, Standing::Accepted),
            contact(MALLORY, None, Standing::Request),
        ],
    ));
    let messages = vec![received(3, "hi alice"), strange(5, "buy this"), received(7, "there?")];
    model.answer(Answer::Inbox(ALICE, Page { messages, older: None }));
    model
}

impl Model {
    /// Takes a message as the outer loop does.
    pub(crate) fn update(&mut self, msg: Msg) -> Vec<Command> {
        update(self, msg)
    }

    /// Takes an answer.
    pub(crate) fn answer(&mut self, answer: Answer) -> Vec<Command> {
        update(self, Msg::Answer(answer))
    }

    /// Presses a key.
    pub(crate) fn press(&mut self, key: Key) -> Vec<Command> {
        update(self, Msg::Key(key))
    }

    /// Goes somewhere.
    pub(crate) fn go(&mut self, go: Go) -> Vec<Command> {
        self.press(Key::Go(go))
    }

    /// Types a text.
    pub(crate) fn write(&mut self, text: &str) {
        for c in text.chars() {
            self.press(Key::Char(c));
        }
    }

    /// Chooses a conversation and goes into it; its history is there.
    pub(crate) fn open(&mut self, peer: UserId, messages: Vec<Message>) -> Vec<Command> {
        let book = self.book_mut().unwrap();
        book.chosen = Some(peer);
        self.press(Key::Enter);
        let page = Page { messages, older: None };
        self.answer(Answer::History { account: ALICE, peer, older: None, page })
    }
}
