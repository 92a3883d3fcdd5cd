//! Letters: what they carry, and what follows from it.

use bytchat_proto::block::BlockKind;
use bytchat_proto::envelope::{Content, MessageReceipt, Party, Sealed};
use bytchat_proto::id::{BlockId, EnvelopeId, UserId};
use bytchat_proto::limits::{IDS_PER_REQUEST_MAX, RECEIPT_BLOCKS_MAX};
use bytchat_proto::rpc::contact::Standing;
use bytchat_proto::rpc::event::What;
use bytchat_proto::rpc::message::{Direction, Message, State};

use super::Node;
use super::trace::Mark;
use crate::crypto::Opened;
use crate::inbox::Brought;
use crate::outbox;
use crate::persist::Table;
use crate::round::{Accepted, Rejected};
use crate::time::Now;

/// The prefix of the row of a receipt that is owed.
pub(super) const OWED: &[u8] = b"owed/";

impl Node {
    /// A letter was opened: its parties are proven. Gives back the message that it brought.
    pub(super) fn handle_letter(
        &mut self,
        user: UserId,
        opened: Opened,
        now: Now,
    ) -> Option<Brought> {
        let from = opened.letter.from;
        if !self.book.may_write(user, from.user) {
            return None;
        }
        // A stranger can only write: it has no message of ours to answer for.
        let known = self.book.standing(user, from.user) == Some(Standing::Accepted);
        if !known && !matches!(opened.letter.content, Content::Block(_)) {
            tracing::debug!(user = %from.user, "a stranger sends something else than text");
            return None;
        }
        let owner = self.accounts.get(user)?.owner;
        if !self.book.pin_user(owner, from.user, from.fingerprint, &mut self.out) {
            tracing::warn!(user = %from.user, "a letter comes with another key");
            return None;
        }
        if self.routes.get(from.user, now).is_some_and(|route| route.head < opened.letter.from_head)
        {
            self.routes.stale(from.user);
        }
        match opened.letter.content {
            Content::Block(bytes) => {
                let block = self.handle_block(user, &from, &bytes, now)?;
                return Some(Brought { from: from.user, block });
            }
            Content::Receipt(receipt) => self.handle_receipt(user, from.user, &receipt, now),
            Content::Resend(envelopes) => self.handle_resend(user, &from, &envelopes, now),
        }
        None
    }

    fn handle_block(
        &mut self,
        user: UserId,
        from: &Party,
        bytes: &[u8],
        now: Now,
    ) -> Option<BlockId> {
        match self.round(user, from.user).accept(bytes, from) {
            Ok(accepted) => {
                let block = accepted.id;
                self.save_round(user, from.user);
                self.receive(user, from.user, accepted, now);
                Some(block)
            }
            Err(Rejected::Duplicate(block)) => {
                self.owe_receipt(user, from.user, block, now);
                Some(block)
            }
            Err(error) => {
                tracing::debug!(%error, user = %from.user, "a block is refused");
                if self.book.standing(user, from.user).is_none() {
                    self.rounds.remove(&(user, from.user));
                }
                None
            }
        }
    }

    fn receive(&mut self, user: UserId, from: UserId, accepted: Accepted, now: Now) {
        let Accepted { id, block, gap } = accepted;
        let BlockKind::Message { content_type, body } = block.kind;
        let standing = self.book.heard_from(user, from, &mut self.out);
        let message = Message {
            id,
            seq: 0,
            from,
            to: user,
            direction: Direction::In,
            content_type,
            text: String::from_utf8_lossy(&body).into_owned(),
            state: State::Delivered,
            sent_at: block.sent_at,
            received_at: now.wall,
            request: standing == Standing::Request,
            gap,
        };
        let message = self.keep_message(user, from, message);
        self.event(user, What::Received(message), now);
        self.owe_receipt(user, from, id, now);
    }

    /// Receipts are gathered for a moment; what is owed is on disk with the message, because a
    /// node that loses its power in that moment sees the envelope no more.
    pub(super) fn owe_receipt(&mut self, user: UserId, to: UserId, block: BlockId, now: Now) {
        self.out.put(Table::Node, owed_key(user, to, block), []);
        self.waits.receipt(user, to, block, now);
    }

    /// Takes up a receipt that was owed when the node went down.
    pub(super) fn restore_owed(&mut self, key: &[u8], now: Now) {
        let user = key.get(..20).and_then(UserId::from_slice);
        let to = key.get(20..40).and_then(UserId::from_slice);
        let block = key.get(40..).and_then(BlockId::from_slice);
        if let (Some(user), Some(to), Some(block)) = (user, to, block) {
            self.waits.receipt(user, to, block, now);
        }
    }

    /// Sends the receipts that were gathered.
    pub(super) fn send_receipts(&mut self, now: Now) {
        for ((user, to), blocks) in self.waits.poll_receipts(now) {
            for block in &blocks {
                self.out.remove(Table::Node, owed_key(user, to, *block));
            }
            for blocks in blocks.chunks(RECEIPT_BLOCKS_MAX) {
                self.send_receipt(user, to, blocks.to_vec(), false, now);
            }
        }
    }

    /// Sends a sealed receipt for messages of somebody.
    pub(super) fn send_receipt(
        &mut self,
        user: UserId,
        to: UserId,
        blocks: Vec<BlockId>,
        read: bool,
        now: Now,
    ) {
        let receipt = MessageReceipt { blocks, read, at: now.wall };
        self.answer(user, to, Content::Receipt(receipt), now);
    }

    /// Sends what only answers somebody, if there is room: a receipt that is lost is asked for
    /// when the sender deposits its letter again.
    fn answer(&mut self, user: UserId, to: UserId, content: Content, now: Now) {
        let known = self.book.standing(user, to) == Some(Standing::Accepted);
        if !self.outbox.may_answer(to, known) {
            return tracing::debug!(user = %to, "too many answers wait to be sent");
        }
        let entry = outbox::entry(user, to, content, now);
        let entry = self.outbox.queue(entry, &mut self.out);
        self.work(entry, now);
    }

    fn handle_receipt(&mut self, user: UserId, from: UserId, receipt: &MessageReceipt, now: Now) {
        let state = if receipt.read { State::Read } else { State::Delivered };
        for block in receipt.blocks.iter().take(RECEIPT_BLOCKS_MAX) {
            match self.outbox.of_block(user, *block) {
                Some(entry) => {
                    // SPEC 6.11: only the recipient of a message can say that it arrived.
                    if self.outbox.get(entry).is_none_or(|entry| entry.to != from) {
                        continue;
                    }
                    let word = if receipt.read { "read" } else { "delivered" };
                    let sentence = format!("{word}: the recipient's device signed for it");
                    self.note(entry, Mark::End, &sentence, now);
                    self.advance(entry, state, now);
                }
                None => self.advance_stored(user, from, *block, state),
            }
        }
    }

    /// A recipient cannot read what it got: seal it anew in a new session.
    fn handle_resend(&mut self, user: UserId, from: &Party, envelopes: &[EnvelopeId], now: Now) {
        if !self.upkeep.may_resend(user, from.device, now) {
            return tracing::debug!(user = %from.user, "a device asks again too often");
        }
        let envelopes = envelopes.get(..IDS_PER_REQUEST_MAX).unwrap_or(envelopes);
        let entries = self.outbox.resend((user, from), envelopes, now.mono);
        if entries.is_empty() {
            return;
        }
        self.sessions_mut(user, from.device).renew();
        for entry in entries {
            self.outbox.save(entry, &mut self.out);
            self.step_entry(entry, "the recipient could not read it: sealed anew", now);
            self.work(entry, now);
        }
    }

    /// Notes a letter that cannot be read; its sender is asked for it.
    pub(super) fn ask_again(&mut self, user: UserId, sealed: &Sealed, id: EnvelopeId, now: Now) {
        if !self.book.is_blocked(user, sealed.user) {
            self.upkeep.unread(user, (sealed.user, sealed.device), id);
            self.ask_for_unread(now);
        }
    }

    /// Asks the senders of letters that could not be read to send them again, in new sessions,
    /// each device once in a while. Whoever has to wait is asked later.
    pub(super) fn ask_for_unread(&mut self, now: Now) {
        for (user, (sender, device), envelopes) in self.upkeep.poll_unread(now) {
            self.sessions_mut(user, device).renew();
            self.answer(user, sender, Content::Resend(envelopes), now);
        }
    }
}

fn owed_key(user: UserId, to: UserId, block: BlockId) -> Vec<u8> {
    [OWED, user.as_bytes(), to.as_bytes(), block.as_bytes()].concat()
}
