//! Receiving: attaching to the holders of our mail, and opening what they push.

use std::collections::BTreeMap;

use bytchat_proto::envelope::{Envelope, HolderReceipt, Party, Removal, Sealed};
use bytchat_proto::id::{EnvelopeId, NodeId, UserId};
use bytchat_proto::limits::DEPOSIT_TIMEOUT_MS;
use bytchat_proto::rpc::contact::Standing;
use bytchat_proto::timestamp::Timestamp;
use bytchat_proto::unverified::Unverified;
use bytchat_proto::wire::{Refusal, Request, Response};

use super::Node;
use super::links::{SELF, Token};
use crate::crypto::{self, CryptoError};
use crate::io::LinkId;
use crate::link::{NewAsk, Tried};
use crate::time::Now;

/// Who brings an envelope for a device of ours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bringer {
    pub(super) link: LinkId,
    pub(super) node: NodeId,
    /// It is a holder that hands on what others brought.
    pub(super) repair: bool,
}

/// What became of an envelope that was brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// It is done with: it was opened now or before, or its sender is asked again.
    Done,
    /// Its sender may not write here, and need not know it.
    Ignored,
    /// Nobody can read it; anybody can have made it.
    Unreadable,
}

impl Node {
    /// A holder pushed an envelope over an attached link.
    pub(super) fn handle_delivery(&mut self, link: LinkId, envelope: Envelope, now: Now) {
        let user = envelope.user();
        if self.inbox.may_bring(user, link)
            && self.accounts.with_device(user, envelope.device()).is_some()
            && self.open(Some(link), &envelope, now).0 != Verdict::Done
        {
            // It is not remembered, but it must not use up the quota where it lies. Other holders
            // are asked if they bring it: nobody makes us trouble all with what lies at one.
            self.inbox.remove_at(user, link, envelope.id(), now);
        }
    }

    /// Takes an envelope that is deposited right here, if its device is ours.
    pub(super) fn take(
        &mut self,
        Bringer { link, node: from, repair }: Bringer,
        envelope: &Envelope,
        until: Timestamp,
        now: Now,
    ) -> Option<Response> {
        self.accounts.with_device(envelope.user(), envelope.device())?;
        if until <= now.wall {
            return Some(Response::refused(Refusal::Expired, "the envelope is over"));
        }
        let paced = link != SELF && !self.inbox.has_seen(envelope.id());
        // SPEC 6.9: what waits with holders was written before.
        if paced && !self.inbox.is_caught_up(envelope.user(), now) {
            return Some(Response::refused(Refusal::Busy, "older mail is still being fetched"));
        }
        // SPEC 2.8: who brings much that no contact wrote is told to come back later.
        if paced && !self.links.may_try(link, from, now) {
            return Some(Response::refused(Refusal::Busy, "too much that is not known is brought"));
        }
        let (verdict, tried) = self.open(None, envelope, now);
        // What a holder hands on says nothing of whose node it is.
        let tried =
            if repair && matches!(tried, Tried::Letter(_)) { Tried::Nothing } else { tried };
        if paced {
            self.links.tried(link, from, tried, now);
        }
        // Whoever likes can bring garbage here: it must leave no trace, on disk or at holders.
        if verdict == Verdict::Unreadable {
            return Some(Response::refused(Refusal::Malformed, "the envelope does not open"));
        }
        let receipt =
            HolderReceipt { envelope: envelope.id(), holder: self.id, until, taken: true };
        let receipt = Unverified::sign(&receipt, |digest| self.secret.sign(digest));
        Some(Response::Receipt { receipt })
    }

    /// Opens an envelope once, whoever brought it. Letter, session and the mark that it was
    /// opened are committed together, before its removal becomes visible.
    fn open(&mut self, holder: Option<LinkId>, envelope: &Envelope, now: Now) -> (Verdict, Tried) {
        let (user, id) = (envelope.user(), envelope.id());
        if self.inbox.has_seen(id) {
            self.seen_again(holder, user, id, now);
            return (Verdict::Done, Tried::Nothing);
        }
        if self.inbox.has_failed(id) {
            return (Verdict::Unreadable, Tried::Nothing);
        }
        let Some(account) = self.accounts.get(user) else {
            return (Verdict::Unreadable, Tried::Nothing);
        };
        let (own_party, owner) = (account.party(), account.owner);
        let sealed = match crypto::open_outer(&account.device, envelope) {
            Ok(sealed) => sealed,
            Err(error) => {
                tracing::debug!(%error, %user, "an envelope does not open");
                if matches!(error, CryptoError::UnknownKem(_)) {
                    return (Verdict::Unreadable, Tried::Nothing);
                }
                self.inbox.fail(id);
                self.links.done_with(id);
                return (Verdict::Unreadable, Tried::InVain);
            }
        };
        // Who it claims to be from is not proven yet, but a false claim is not believed below.
        if !self.book.may_write(user, sealed.user) {
            tracing::debug!(%user, from = %sealed.user, "a letter of a blocked or pushy user");
            return (Verdict::Ignored, Tried::InVain);
        }
        // Not remembered as opened: its sender brings it again when the person has decided.
        if self.book.is_user_damaged(owner, sealed.user) {
            tracing::debug!(%user, from = %sealed.user, "a letter of somebody with a damaged pin");
            return (Verdict::Ignored, Tried::InVain);
        }
        let opened = self.open_inner(user, &own_party, &sealed);
        tracing::debug!(%user, %id, ok = opened.is_ok(), "an envelope is opened");
        let (mut brought, mut tried) = (None, Tried::InVain);
        match opened {
            Ok(opened) => {
                let from = opened.letter.from.user;
                brought = self.handle_letter(user, opened, now);
                // Strangers are many, and what they write costs as much as garbage.
                if self.book.standing(user, from) == Some(Standing::Accepted) {
                    tried = Tried::Letter(from);
                }
            }
            Err(CryptoError::Replayed) => {}
            Err(error) if self.is_worth_asking(user, &sealed, &error) => {
                tracing::info!(%error, %user, "a letter cannot be read; its sender is asked again");
                self.ask_again(user, &sealed, id, now);
            }
            Err(error) => {
                tracing::debug!(%error, %user, "a letter is not believed");
                return (Verdict::Unreadable, tried);
            }
        }
        self.inbox.see(id, brought, self.clock.late(now), &mut self.out);
        self.inbox.remove(user, id, now);
        self.links.done_with(id);
        (Verdict::Done, tried)
    }

    /// An envelope came that was opened before: it may go at the holder that has brought it, and if
    /// its sender seems to have no receipt, it gets another one (SPEC 6.12).
    pub(super) fn seen_again(
        &mut self,
        holder: Option<LinkId>,
        user: UserId,
        id: EnvelopeId,
        now: Now,
    ) {
        if let Some(link) = holder {
            self.inbox.remove_at(user, link, id, now);
        }
        if let Some(brought) = self.inbox.receipt_again(id, now)
            && !self.book.is_blocked(user, brought.from)
        {
            tracing::debug!(%user, "a receipt is sent again");
            self.owe_receipt(user, brought.from, brought.block, now);
        }
    }

    /// Whether a letter that cannot be read may be somebody's in earnest: anybody can name
    /// anybody in one, unless it opens a session, which proves its sender first.
    fn is_worth_asking(&self, user: UserId, sealed: &Sealed, error: &CryptoError) -> bool {
        if matches!(error, CryptoError::NoSession | CryptoError::Undecryptable) {
            return self.book.standing(user, sealed.user).is_some();
        }
        *error == CryptoError::MissingOneTimeKey
    }

    fn open_inner(
        &mut self,
        user: UserId,
        own_party: &Party,
        sealed: &Sealed,
    ) -> Result<crypto::Opened, CryptoError> {
        let device = sealed.device;
        let mut sessions = self.sessions.remove(&(user, device)).unwrap_or_default();
        let Some(account) = self.accounts.get_mut(user) else {
            return Err(CryptoError::NoSession);
        };
        let result = crypto::open_inner(&mut account.own(), own_party, &mut sessions, sealed);
        // Only a session that its peer opens uses up a secret of the device.
        if result.as_ref().is_ok_and(|opened| opened.opening.is_some()) {
            account.save_device(&self.vault, &mut self.out);
        }
        if result.is_ok() || !sessions.is_empty() {
            self.keep_sessions(user, device, sessions);
        }
        if result.is_ok() {
            self.save_session(user, device);
        }
        result
    }

    /// Sends the removals that are due, signed, each to its holder.
    /// SPEC 6.10: a device removes its own mail.
    pub(super) fn send_removals(&mut self, now: Now) {
        // Most often all holders get the same.
        let mut signed: BTreeMap<(UserId, Vec<EnvelopeId>), Unverified<Removal>> = BTreeMap::new();
        for (id, envelopes) in self.inbox.poll_removals(now) {
            let Some(account) = self.accounts.get(id.user) else {
                continue;
            };
            let entry = signed.entry((id.user, envelopes)).or_insert_with_key(|(user, ids)| {
                let device = account.device.device();
                let removal = Removal { user: *user, device, envelopes: ids.clone() };
                Unverified::sign(&removal, |digest| account.device.sign(digest))
            });
            let (request, token) = (Request::Remove { removal: entry.clone() }, Token::Remove(id));
            let ask = NewAsk { request, token, timeout_ms: DEPOSIT_TIMEOUT_MS };
            self.links.request_on(id.link, ask, now, &mut self.out);
        }
    }
}
