//! Messages on disk: keeping them, reading them, moving their state.

use bytchat_proto::codec::{decode, encode};
use bytchat_proto::id::{BlockId, UserId};
use bytchat_proto::limits::{PAGE_DEFAULT, PAGE_MAX, TRACE_STEPS_MAX};
use bytchat_proto::rpc::event::What;
use bytchat_proto::rpc::message::{Direction, Message, Messages, Sent, State, Step, Trace};
use bytchat_proto::rpc::{ErrorKind, to_result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Node;
use super::events::EventAsk;
use super::send::Draft;
use super::waits::Waiting;
use crate::io::{CallId, LoadId, Output};
use crate::persist::{Query, Row, Table};
use crate::time::{Mono, Now};

/// What rows are read for.
pub(super) enum Loading {
    /// A list of messages for a front end; the rows come newest first.
    Messages { call: CallId },
    /// One message for a front end.
    Show { call: CallId, accounts: Vec<UserId> },
    /// One message whose steps are read next.
    Trace { call: CallId, accounts: Vec<UserId> },
    /// The steps of a message.
    Steps { call: CallId, message: Box<Message> },
    /// One message that a call waits for.
    Wait { call: CallId, accounts: Vec<UserId>, id: BlockId, state: State, until: Mono },
    /// A message of ours whose recipient says that it got further.
    Advance { from: UserId, by: Option<UserId>, state: State },
    /// Messages that a person has read.
    Read { accounts: Vec<UserId> },
    /// Whether a client id was used before.
    Client { draft: Box<Draft>, to: UserId },
    /// Events.
    Events { ask: EventAsk },
}

impl Node {
    pub(super) fn load(&mut self, query: Query, loading: Loading) {
        let load = LoadId(self.out.fresh());
        self.loads.insert(load, loading);
        self.out.push(Output::Load { load, query });
    }

    pub(super) fn handle_loaded(&mut self, load: LoadId, rows: &[Row], now: Now) {
        let Some(loading) = self.loads.remove(&load) else {
            self.mailbox.handle_loaded(load, rows, now, &mut self.out);
            return;
        };
        match loading {
            Loading::Messages { call } => self.answer_messages(call, rows),
            Loading::Show { call, accounts } => match self.find(rows, &accounts) {
                Some(message) => self.reply(call, Ok(to_result(&message))),
                None => self.no_message(call),
            },
            Loading::Trace { call, accounts } => match find(rows, &accounts) {
                Some(message) => self.load_steps(call, message),
                None => self.no_message(call),
            },
            Loading::Steps { call, message } => self.answer_trace(call, &message, rows),
            Loading::Wait { call, accounts, id, state, until } => {
                match self.find(rows, &accounts) {
                    Some(message) if message.state >= state => {
                        self.reply(call, Ok(to_result(&message)));
                    }
                    Some(_) => self.park_message(call, until, accounts, id, state),
                    None => self.no_message(call),
                }
            }
            Loading::Advance { from, by, state } => self.advance_rows(from, by, state, rows, now),
            Loading::Read { accounts } => self.mark_read(&accounts, rows, now),
            Loading::Client { draft, to } => self.handle_client(*draft, to, rows, now),
            Loading::Events { ask } => self.handle_events(ask, rows),
        }
    }

    /// Rows cannot be read: who asked is told, and everything else goes on.
    pub(super) fn load_failed(&mut self, load: LoadId, reason: &str, now: Now) {
        tracing::error!(reason, "rows on the disk cannot be read");
        let Some(loading) = self.loads.remove(&load) else {
            self.mailbox.handle_loaded(load, &[], now, &mut self.out);
            return;
        };
        let call = match loading {
            Loading::Messages { call }
            | Loading::Show { call, .. }
            | Loading::Trace { call, .. }
            | Loading::Steps { call, .. }
            | Loading::Wait { call, .. } => call,
            Loading::Events { ask } => ask.call,
            Loading::Client { draft, .. } => {
                let client_id = draft.client_id.unwrap_or_default();
                self.waits.end_client(&(draft.account, hash(&client_id)));
                draft.call
            }
            Loading::Advance { .. } | Loading::Read { .. } => return,
        };
        self.reply(call, Err(ErrorKind::Internal.because(reason)));
    }

    /// The first of some rows that belongs to one of these accounts, as far as it has come by
    /// now: a row may have been read before the state that was written last.
    fn find(&self, rows: &[Row], accounts: &[UserId]) -> Option<Message> {
        let mut message = find(rows, accounts)?;
        if let Some(reached) = self.waits.reached(owner_of(&message), message.id) {
            message.state = message.state.max(reached);
        }
        Some(message)
    }

    /// Gives a message its number and writes it with its indexes.
    pub(super) fn keep_message(
        &mut self,
        account: UserId,
        peer: UserId,
        mut message: Message,
    ) -> Message {
        let Some(owner) = self.accounts.get_mut(account) else {
            return message;
        };
        message.seq = owner.next_message;
        owner.next_message += 1;
        let next = owner.next_message.to_be_bytes();
        self.out.put(Table::Node, [b"next/".as_slice(), account.as_bytes()].concat(), next);
        let key = message_key(account, message.seq);
        let number = message.seq.to_be_bytes();
        let account = account.as_bytes();
        let by_block = [b"b".as_slice(), message.id.as_bytes(), account].concat();
        self.out.put(Table::MessageIndex, by_block, key.clone());
        let by_peer = [b"p".as_slice(), account, peer.as_bytes(), &number].concat();
        self.out.put(Table::MessageIndex, by_peer, key.clone());
        if message.direction == Direction::In {
            let incoming = [b"i".as_slice(), account, &number].concat();
            self.out.put(Table::MessageIndex, incoming, key.clone());
        }
        self.out.put(Table::Message, key, encode(&message));
        message
    }

    /// Reads the newest messages of an index.
    pub(super) fn list(
        &mut self,
        call: CallId,
        prefix: &[u8],
        limit: Option<usize>,
        before: Option<u64>,
    ) {
        let limit = limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
        let mut query = Query::prefix(Table::MessageIndex, prefix, limit);
        if let Some(before) = before {
            query.to = Some([prefix, &before.to_be_bytes()].concat());
        }
        let query = query.backwards().following(Table::Message);
        self.load(query, Loading::Messages { call });
    }

    /// Reads a message by its id; several accounts here may have it.
    pub(super) fn load_message(&mut self, id: BlockId, loading: Loading) {
        let prefix = [b"b".as_slice(), id.as_bytes()].concat();
        let query = Query::prefix(Table::MessageIndex, &prefix, 64).following(Table::Message);
        self.load(query, loading);
    }

    fn answer_messages(&mut self, call: CallId, rows: &[Row]) {
        let mut messages: Vec<Message> =
            rows.iter().filter_map(|(_, value)| decode(value).ok()).collect();
        messages.reverse();
        self.reply(call, Ok(to_result(&Messages { messages })));
    }

    pub(super) fn no_message(&mut self, call: CallId) {
        self.reply(call, Err(ErrorKind::NotFound.because("there is no such message here")));
    }

    fn load_steps(&mut self, call: CallId, message: Message) {
        let account = owner_of(&message);
        let prefix = [message.id.as_bytes(), account.as_bytes()].concat();
        let query = Query::prefix(Table::Trace, &prefix, 4 * TRACE_STEPS_MAX);
        self.load(query, Loading::Steps { call, message: Box::new(message) });
    }

    fn answer_trace(&mut self, call: CallId, message: &Message, rows: &[Row]) {
        let steps: Vec<Step> = rows.iter().filter_map(|(_, value)| decode(value).ok()).collect();
        let stored = steps.iter().filter(|step| step.step.starts_with("stored ")).count();
        let trace = Trace { id: message.id, state: message.state, stored, steps };
        self.reply(call, Ok(to_result(&trace)));
    }

    pub(super) fn park_message(
        &mut self,
        call: CallId,
        until: Mono,
        accounts: Vec<UserId>,
        id: BlockId,
        state: State,
    ) {
        if !self.waits.park(call, until, Waiting::Message { accounts, id, state }) {
            self.reply(call, Err(ErrorKind::Busy.because("too many calls wait")));
        }
    }

    /// Moves a message of ours forward on disk; its events and waiting calls follow.
    pub(super) fn set_state(&mut self, account: UserId, id: BlockId, state: State) {
        self.load_message(id, Loading::Advance { from: account, by: None, state });
    }

    /// A recipient says that a message got further that is no longer in the outbox.
    pub(super) fn advance_stored(
        &mut self,
        account: UserId,
        by: UserId,
        id: BlockId,
        state: State,
    ) {
        self.load_message(id, Loading::Advance { from: account, by: Some(by), state });
    }

    fn advance_rows(
        &mut self,
        account: UserId,
        by: Option<UserId>,
        state: State,
        rows: &[Row],
        now: Now,
    ) {
        let Some(mut message) = find(rows, &[account]) else {
            return;
        };
        tracing::debug!(id = %message.id, from = ?message.state, to = ?state, "a message moves");
        let others = by.is_some_and(|by| by != message.to);
        if others || message.direction != Direction::Out || message.state >= state {
            return;
        }
        if self.waits.reach(account, message.id, state) > state {
            return;
        }
        message.state = state;
        let key = message_key(account, message.seq);
        self.out.put(Table::Message, key, encode(&message));
        self.wake_message(&message);
        self.event(account, What::State(message), now);
    }

    fn wake_message(&mut self, message: &Message) {
        for (call, until, waiting) in self.waits.for_message(message.id) {
            let Waiting::Message { accounts, id, state } = waiting else {
                continue;
            };
            let mine = accounts.contains(&owner_of(message));
            if mine && message.state >= state {
                self.reply(call, Ok(to_result(message)));
            } else {
                self.park_message(call, until, accounts, id, state);
            }
        }
    }

    fn mark_read(&mut self, accounts: &[UserId], rows: &[Row], now: Now) {
        if let Some(mut message) = find(rows, accounts)
            && message.direction == Direction::In
            && message.state < State::Read
        {
            message.state = State::Read;
            let account = message.to;
            let key = message_key(account, message.seq);
            self.out.put(Table::Message, key, encode(&message));
            self.send_receipt(account, message.from, vec![message.id], true, now);
        }
    }

    /// Remembers what a client id led to, so that a repeated call gives the same answer.
    pub(super) fn remember_client(&mut self, account: UserId, client_id: &str, done: &ClientDone) {
        let row = serde_json::to_vec(done).expect("answers have a JSON form");
        self.out.put(Table::MessageIndex, client_key(account, client_id), row);
    }

    /// Looks whether a client id was used before, then sends.
    pub(super) fn load_client(&mut self, draft: Draft, client_id: &str, to: UserId) {
        if !self.waits.begin_client((draft.account, hash(client_id))) {
            let error = ErrorKind::Busy.because("a call with this client id is under way");
            return self.reply(draft.call, Err(error));
        }
        let key = client_key(draft.account, client_id);
        let query = Query::row(Table::MessageIndex, &key);
        self.load(query, Loading::Client { draft: Box::new(draft), to });
    }

    fn handle_client(&mut self, draft: Draft, to: UserId, rows: &[Row], now: Now) {
        let client_id = draft.client_id.clone().unwrap_or_default();
        self.waits.end_client(&(draft.account, hash(&client_id)));
        let used = rows.first().and_then(|(_, value)| serde_json::from_slice(value).ok());
        match used {
            Some(ClientDone { sent, text }) if text == hash(&draft.text) && sent.to == to => {
                self.reply(draft.call, Ok(to_result(&sent)));
            }
            Some(_) => self.reply(
                draft.call,
                Err(ErrorKind::Conflict.because("this client id was used for another message")),
            ),
            None => self.send(draft, to, now),
        }
    }
}

/// What a client id led to.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ClientDone {
    pub(super) sent: Sent,
    pub(super) text: [u8; 32],
}

/// SHA-256 of a text.
pub(super) fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

fn client_key(account: UserId, client_id: &str) -> Vec<u8> {
    [b"c".as_slice(), account.as_bytes(), &hash(client_id)].concat()
}

fn message_key(account: UserId, seq: u64) -> Vec<u8> {
    [account.as_bytes(), &seq.to_be_bytes()].concat()
}

/// The account whose history a message stands in.
fn owner_of(message: &Message) -> UserId {
    match message.direction {
        Direction::In => message.to,
        Direction::Out => message.from,
    }
}

/// The first of some rows that belongs to one of these accounts.
fn find(rows: &[Row], accounts: &[UserId]) -> Option<Message> {
    let mut messages = rows.iter().filter_map(|(_, value)| decode::<Message>(value).ok());
    messages.find(|message| accounts.contains(&owner_of(message)))
}
