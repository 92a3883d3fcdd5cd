//! Sending: `message.send`, and the way of an entry from the outbox into envelopes.

use bytchat_proto::alias::Alias;
use bytchat_proto::block::{BlockKind, direct_round};
use bytchat_proto::id::UserId;
use bytchat_proto::limits::TEXT_BYTES_MAX;
use bytchat_proto::rpc::message::{Direction, Message, Sent, State};
use bytchat_proto::rpc::{ErrorKind, RpcError, to_result};
use serde_bytes::ByteBuf;
use serde_json::json;

use super::Node;
use super::contacts::damaged;
use super::trace::Mark;
use crate::io::CallId;
use crate::outbox::{self, Entry, EntryId};
use crate::persist::Table;
use crate::round::Round;
use crate::time::Now;

/// After so many tries in vain, what is known of the recipient is looked up again.
const TRIES_BEFORE_SEARCH: u32 = 3;

/// A message that a front end wants sent, once its recipient is known.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) call: CallId,
    pub(super) account: UserId,
    pub(super) alias: Option<Alias>,
    pub(super) text: String,
}

impl Node {
    /// Writes a message into its round and the outbox; answers when that is on disk.
    pub(super) fn send(&mut self, draft: Draft, to: UserId, now: Now) {
        let call = draft.call;
        if self.kept.is_dry(call) {
            let would = self.check_draft(&draft, to);
            // What the message will be called is known when it is written.
            let sent = || json!({ "state": State::Queued, "to": to });
            return self.reply(call, would.map(|()| sent()));
        }
        let sent = self.queue(draft, to, now);
        self.reply(call, sent.map(|sent| to_result(&sent)));
    }

    fn queue(&mut self, draft: Draft, to: UserId, now: Now) -> Result<Sent, RpcError> {
        self.check_draft(&draft, to)?;
        let device = self
            .accounts
            .get(draft.account)
            .map(|account| account.device.device())
            .ok_or_else(|| ErrorKind::NotFound.because("the account is gone"))?;
        let kind = BlockKind::Message {
            content_type: "text/plain".to_owned(),
            body: ByteBuf::from(draft.text.as_bytes().to_vec()),
        };
        let (id, bytes) =
            self.round(draft.account, to).append(draft.account, device, now.wall, kind);
        self.save_round(draft.account, to);
        let message = Message {
            id,
            seq: 0,
            from: draft.account,
            to,
            direction: Direction::Out,
            content_type: "text/plain".to_owned(),
            text: draft.text,
            state: State::Queued,
            sent_at: now.wall,
            received_at: now.wall,
            request: false,
            gap: false,
        };
        self.keep_message(draft.account, to, message);
        let mut entry = outbox::entry(draft.account, to, outbox::block_content(bytes), now);
        (entry.alias, entry.block) = (draft.alias, Some(id));
        let entry = self.outbox.queue(entry, &mut self.out);
        self.step_entry(entry, "queued: it is on this machine's disk", now);
        let sent = Sent { id, state: State::Queued, to };
        self.book.wrote_to(draft.account, to, &mut self.out);
        self.work(entry, now);
        Ok(sent)
    }

    fn check_draft(&self, draft: &Draft, to: UserId) -> Result<(), RpcError> {
        if draft.text.len() > TEXT_BYTES_MAX {
            return Err(ErrorKind::TooLarge.because(format!(
                "the text has {} bytes, a message holds {TEXT_BYTES_MAX}",
                draft.text.len()
            )));
        }
        if to == draft.account {
            return Err(ErrorKind::BadAddress.because("this is your own account"));
        }
        if draft.text.trim().is_empty() {
            let error = "the text is empty: write something";
            return Err(ErrorKind::BadParameters.because(error));
        }
        self.book.check_blocked(draft.account, to)?;
        let owner = self.accounts.get(draft.account).map(|account| account.owner);
        if owner.is_some_and(|owner| self.book.is_user_damaged(owner, to)) {
            return Err(damaged(&to));
        }
        let own = owner.map(|owner| self.users_of(owner)).unwrap_or_default();
        self.outbox.room(&own).map_err(|full| ErrorKind::Quota.because(full.to_string()))
    }

    /// The round of two users, as the account knows it.
    pub(super) fn round(&mut self, account: UserId, peer: UserId) -> &mut Round {
        let id = direct_round(self.config.network, account, peer);
        self.rounds.entry((account, peer)).or_insert_with(|| Round::new(id))
    }

    /// Writes a round's state down.
    pub(super) fn save_round(&mut self, account: UserId, peer: UserId) {
        if let Some(round) = self.rounds.get(&(account, peer)) {
            let key = [account.as_bytes(), peer.as_bytes()].concat();
            self.out.put(Table::Round, key, bytchat_proto::codec::encode(round));
        }
    }

    /// Goes on with everything that waits for a route to a user.
    pub(super) fn work_to(&mut self, user: UserId, now: Now) {
        for entry in self.outbox.to_user(user) {
            self.work(entry, now);
        }
    }

    /// Seals an entry for every device that it was not sealed for, and deposits it.
    pub(super) fn work(&mut self, id: EntryId, now: Now) {
        let Some(entry) = self.outbox.get(id) else {
            return;
        };
        if entry.is_done() {
            return self.outbox.put_off(id, true, now);
        }
        if entry.is_over(self.clock.calm(now)) {
            return self.expire(id, now);
        }
        if entry.is_kept() {
            if entry.was_kept(self.clock.calm(now)) {
                return self.outbox.remove(id, &mut self.out);
            }
            return self.outbox.put_off(id, true, now);
        }
        let to = entry.to;
        let owner = self.accounts.get(entry.account).map(|account| account.owner);
        if owner.is_some_and(|owner| self.book.is_user_damaged(owner, to)) {
            self.step_once(id, "not sent: what was pinned for the user cannot be read", now);
            return self.outbox.put_off(id, true, now);
        }
        let alias = owner.zip(entry.alias.as_ref());
        if alias.is_some_and(|(owner, alias)| self.book.has_changed(owner, alias)) {
            self.step_once(id, "not sent: the key behind the alias has changed", now);
            return self.outbox.put_off(id, true, now);
        }
        let in_vain = entry.tries >= TRIES_BEFORE_SEARCH && entry.is_urgent();
        if in_vain && self.outbox.get_mut(id).is_some_and(|entry| entry.search_again(now)) {
            self.routes.stale(to);
        }
        if self.routes.get(to, now).is_none() {
            self.outbox.put_off(id, false, now);
            return self.search_route(to, now);
        }
        let under_way = self.outbox.get(id).is_some_and(Entry::is_under_way);
        if under_way || !self.outbox.is_crowded(to) {
            self.seal_all(id, now);
            self.deposit_all(id, now);
        }
        self.outbox.put_off(id, true, now);
    }

    /// There is room for more to a recipient: go on with what waits.
    pub(super) fn work_on(&mut self, to: UserId, now: Now) {
        for entry in self.outbox.unsealed(to) {
            if self.outbox.is_crowded(to) {
                return;
            }
            self.work(entry, now);
        }
    }

    fn expire(&mut self, id: EntryId, now: Now) {
        self.note(id, Mark::End, "expired: nobody took it in time", now);
        self.advance(id, State::Expired, now);
        if self.outbox.get(id).is_some_and(|entry| entry.block.is_none()) {
            self.outbox.remove(id, &mut self.out);
        }
    }
}
