//! How messages move: queued, stored, delivered, read; and the calls that wait for it.

use bytchat_proto::codec::encode;
use bytchat_proto::id::{BlockId, UserId};
use bytchat_proto::rpc::event::What;
use bytchat_proto::rpc::message::{Direction, Message, State};
use bytchat_proto::rpc::{Done, ErrorKind, to_result};

use super::Node;
use super::history::{Loading, find, message_key, owner_of};
use super::waits::Waiting;
use crate::io::CallId;
use crate::outbox::Entry;
use crate::persist::{Row, Table};
use crate::time::{Mono, Now};

impl Node {
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

    pub(super) fn advance_rows(
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
        // In one commit with the row, or a crash between the two would hide how far it came.
        if let Some(entry) = self.outbox.of_block(account, message.id)
            && state >= State::Delivered
            && self.outbox.get(entry).is_some_and(Entry::is_done)
        {
            self.outbox.remove(entry, &mut self.out);
        }
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

    pub(super) fn mark_read(&mut self, accounts: &[UserId], rows: &[Row], now: Now) {
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

    /// Marks the next message as read; the call is answered when all are on disk.
    pub(super) fn read_next(
        &mut self,
        call: CallId,
        accounts: Vec<UserId>,
        mut rest: Vec<BlockId>,
    ) {
        match rest.pop() {
            Some(id) => {
                let own = accounts.clone();
                if let Err(error) = self.load_own(id, own, Loading::Read { call, accounts, rest }) {
                    self.reply(call, Err(error));
                }
            }
            None => self.reply(call, Ok(to_result(&Done {}))),
        }
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
}
