//! Messages on disk: keeping them, reading them, moving their state.

use bytchat_proto::codec::{decode, encode};
use bytchat_proto::id::{BlockId, UserId};
use bytchat_proto::limits::{PAGE_BYTES_MAX, PAGE_DEFAULT, PAGE_MAX};
use bytchat_proto::rpc::message::{Direction, Message, Messages, State};
use bytchat_proto::rpc::{ErrorKind, RpcError, to_result};

use super::Node;
use super::events::EventAsk;
use super::narrow::is_wanted;
use super::repeat::Repeated;
use crate::io::{CallId, LoadId, Output};
use crate::persist::{Query, Row, Table};
use crate::time::{Mono, Now};

/// What rows are read for.
pub(super) enum Loading {
    /// A list of messages for a front end; the rows come newest first.
    Messages { call: CallId, limit: usize },
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
    /// A message that a person has read, and those that are still to be marked.
    Read { call: CallId, accounts: Vec<UserId>, rest: Vec<BlockId> },
    /// What a client id led to.
    Repeated { repeated: Box<Repeated> },
    /// The same, as former versions kept it.
    Former { repeated: Box<Repeated> },
    /// Answers that are no longer kept.
    OldAnswers,
    /// Answers that are counted anew.
    Recount,
    /// Answers of former versions that are no longer kept.
    OldFormer,
    /// Events.
    Events { ask: Box<EventAsk> },
    /// A message of one of these accounts, one account after the other.
    /// Of two that wrote to each other, the one who wrote it, or for a mark the one who reads it.
    Own { id: BlockId, rest: Vec<UserId>, found: Vec<Row>, then: Box<Self> },
}

impl Node {
    pub(super) fn load(&mut self, query: Query, loading: Loading) {
        let load = LoadId(self.out.fresh());
        self.loads.insert(load, loading);
        self.out.push(Output::Load { load, query });
    }

    pub(super) fn handle_loaded(&mut self, load: LoadId, rows: &[Row], now: Now) {
        let Some(loading) = self.loads.remove(&load) else {
            self.mailbox.handle_loaded(load, rows, self.clock.calm(now), &mut self.out);
            return;
        };
        self.loaded(loading, rows, now);
    }

    fn loaded(&mut self, loading: Loading, rows: &[Row], now: Now) {
        match loading {
            Loading::Own { id, rest, found, then } => {
                let wanted = is_wanted(&then, rows);
                let rows = if wanted || found.is_empty() { rows.to_vec() } else { found };
                if rest.is_empty() || wanted {
                    return self.loaded(*then, &rows, now);
                }
                let more = self.load_next(id, rest, rows, *then);
                debug_assert!(more.is_ok(), "there are more accounts");
            }
            Loading::Messages { call, limit } => self.answer_messages(call, limit, rows),
            Loading::Show { call, accounts } => match self.find(rows, &accounts) {
                Some(message) => self.reply(call, Ok(to_result(&message))),
                None => self.no_message(call, rows, &accounts),
            },
            Loading::Trace { call, accounts } => match find(rows, &accounts) {
                Some(message) => self.load_steps(call, message),
                None => self.no_message(call, rows, &accounts),
            },
            Loading::Steps { call, message } => self.answer_trace(call, &message, rows),
            Loading::Wait { call, accounts, id, state, until } => {
                match self.find(rows, &accounts) {
                    Some(message) if message.state >= state => {
                        self.reply(call, Ok(to_result(&message)));
                    }
                    Some(_) => self.park_message(call, until, accounts, id, state),
                    None => self.no_message(call, rows, &accounts),
                }
            }
            Loading::Advance { from, by, state } => self.advance_rows(from, by, state, rows, now),
            Loading::Read { call, accounts, rest } => {
                self.mark_read(&accounts, rows, now);
                self.read_next(call, accounts, rest);
            }
            Loading::Repeated { repeated } => self.handle_repeated(*repeated, rows, now),
            Loading::Former { repeated } => self.handle_former(*repeated, rows, now),
            Loading::OldAnswers => self.forget_answers(rows, now),
            Loading::Recount => self.recounted_answers(rows),
            Loading::OldFormer => self.forget_former(rows, now),
            Loading::Events { ask } => self.handle_events(*ask, rows),
        }
    }

    /// Rows cannot be read at the moment: who asked is told, and everything else goes on.
    pub(super) fn load_failed(&mut self, load: LoadId, reason: &str, now: Now) {
        tracing::error!(reason, "rows on the disk cannot be read");
        let Some(loading) = self.loads.remove(&load) else {
            return self.mailbox.load_failed(load, now, &mut self.out);
        };
        let loading = if let Loading::Own { then, .. } = loading { *then } else { loading };
        let call = match loading {
            Loading::Own { .. } => return,
            Loading::Messages { call, .. }
            | Loading::Show { call, .. }
            | Loading::Trace { call, .. }
            | Loading::Steps { call, .. }
            | Loading::Wait { call, .. }
            | Loading::Read { call, .. } => call,
            Loading::Events { ask } => ask.call,
            Loading::Repeated { repeated } | Loading::Former { repeated } => repeated.call,
            Loading::OldAnswers | Loading::Recount => return self.sweep_failed(now),
            Loading::Advance { .. } | Loading::OldFormer => return,
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
        owner.next_message = owner.next_message.saturating_add(1);
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
        // One more than is shown tells whether there are more.
        let mut query = Query::prefix(Table::MessageIndex, prefix, limit + 1);
        if let Some(before) = before {
            query.to = Some([prefix, &before.to_be_bytes()].concat());
        }
        let query = query.backwards().following(Table::Message).within(PAGE_BYTES_MAX);
        self.load(query, Loading::Messages { call, limit });
    }

    /// Reads a message by its id; several accounts here may have it.
    pub(super) fn load_message(&mut self, id: BlockId, loading: Loading) {
        let prefix = [b"b".as_slice(), id.as_bytes()].concat();
        let query = Query::prefix(Table::MessageIndex, &prefix, 64).following(Table::Message);
        self.load(query, loading);
    }

    // SPEC 8.53: where the next page begins follows from the last row of this one, be it readable
    // or not; what cannot be read is left out.
    // SPEC 8.31: a page that its bytes have cut is like any other.
    fn answer_messages(&mut self, call: CallId, limit: usize, rows: &[Row]) {
        let shown = &rows[..rows.len().min(limit)];
        let bytes: usize = rows.iter().map(|(_, value)| value.len()).sum();
        let more = rows.len() > shown.len() || bytes >= PAGE_BYTES_MAX;
        let next = shown.last().filter(|_| more).and_then(|(key, _)| number_of(key));
        let mut messages: Vec<Message> =
            shown.iter().filter_map(|(_, value)| decode(value).ok()).collect();
        messages.reverse();
        self.reply(call, Ok(to_result(&Messages { messages, next })));
    }

    /// Says that there is no message, or that it is here and cannot be read.
    fn no_message(&mut self, call: CallId, rows: &[Row], accounts: &[UserId]) {
        let own = |key: &[u8]| accounts.iter().any(|account| key.starts_with(account.as_bytes()));
        let damaged = rows.iter().any(|(key, value)| value.is_empty() && own(key));
        self.reply(call, Err(if damaged { unreadable() } else { none() }));
    }
}

fn unreadable() -> RpcError {
    ErrorKind::Internal.because("the message is damaged on disk")
}

pub(super) fn none() -> RpcError {
    ErrorKind::NotFound.because("there is no such message here")
}

pub(super) fn message_key(account: UserId, seq: u64) -> Vec<u8> {
    [account.as_bytes(), &seq.to_be_bytes()].concat()
}

/// The number at the end of a message's key, or of an index of it.
fn number_of(key: &[u8]) -> Option<u64> {
    key.last_chunk().map(|number| u64::from_be_bytes(*number))
}

/// The account whose history a message stands in.
pub(super) fn owner_of(message: &Message) -> UserId {
    match message.direction {
        Direction::In => message.to,
        Direction::Out => message.from,
    }
}

/// The first of some rows that belongs to one of these accounts.
pub(super) fn find(rows: &[Row], accounts: &[UserId]) -> Option<Message> {
    let mut messages = rows.iter().filter_map(|(_, value)| decode::<Message>(value).ok());
    messages.find(|message| accounts.contains(&owner_of(message)))
}
