//! Calls that name somebody: whose user id is found first, and how the person stands.

use std::sync::Arc;

use bytchat_proto::alias::Alias;
use bytchat_proto::id::UserId;
use bytchat_proto::rpc::contact::{Change, Contact, Standing};
use bytchat_proto::rpc::{ErrorKind, RpcError, to_result};

use super::Node;
use super::aliases::parse;
use super::contacts::full;
use super::pods::Then;
use crate::io::{CallId, Caller, Scope};
use crate::time::Now;

/// What a call wants with somebody whose user id had to be found first.
#[derive(Clone, Debug)]
pub(super) enum PersonAsk {
    Profile,
    History { account: UserId, limit: usize, before: Option<u64> },
    Stand(Stand),
}

/// How somebody is to stand to an account.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stand {
    account: UserId,
    standing: Standing,
    expect_rev: Option<u64>,
    /// Whether what is pinned for the person may be given up.
    decides: bool,
}

impl Node {
    /// The person has decided: a changed key behind an alias or its pod is looked up afresh.
    pub(super) fn forget_change(
        &mut self,
        call: CallId,
        (owner, scope): (Caller, Option<&Arc<Scope>>),
        with: &Change,
    ) -> Result<(), RpcError> {
        // Who has no account here decides nothing.
        self.accounts.pick(owner, with.account.as_deref())?;
        let Ok(alias) = parse(&with.who) else {
            return Ok(());
        };
        let pod_changed = self.hosts.has_changed(owner, alias.host());
        if !pod_changed && !self.book.has_changed(owner, &alias) {
            return Ok(());
        }
        if scope.is_some() {
            return Err(ErrorKind::NotPermitted.because(format!(
                "the key behind {alias} has changed, and a narrowed session does not decide that"
            )));
        }
        // Whom the new key belongs to is known only when the old one is forgotten.
        if self.kept.is_dry(call) || with.expect_rev.is_some() {
            return Err(ErrorKind::KeyChanged.because(format!(
                "the key behind {alias} has changed: to take the new one, decide without \
                 `dry_run` and `expect_rev`"
            )));
        }
        if pod_changed {
            self.hosts.unpin(owner, alias.host(), &mut self.out);
        }
        self.book.unpin_alias(owner, &alias, &mut self.out);
        Ok(())
    }

    pub(super) fn stand(
        &mut self,
        call: CallId,
        (caller, scope): (Caller, Option<&Arc<Scope>>),
        with: &Change,
        standing: Standing,
        now: Now,
    ) -> Result<(), RpcError> {
        let account = self.accounts.pick(caller, with.account.as_deref())?.user();
        // SPEC 8.43: what is pinned holds for all accounts of the user.
        let decides = scope.is_none();
        let stand = Stand { account, standing, expect_rev: with.expect_rev, decides };
        let ask = PersonAsk::Stand(stand);
        self.with_person((call, caller), &with.who, ask, now)
    }

    /// Goes on with a call once the user id of the person that it names is known.
    pub(super) fn with_person(
        &mut self,
        (call, caller): (CallId, Caller),
        who: &str,
        ask: PersonAsk,
        now: Now,
    ) -> Result<(), RpcError> {
        if let Ok(user) = who.parse::<UserId>() {
            self.person(call, ask, user, None, now);
            return Ok(());
        }
        let alias = parse(who)?;
        match self.book.user_of(caller, &alias) {
            Some(user) => self.person(call, ask, user?, Some(alias), now),
            None => self.resolve(caller, alias, Then::Person { call, ask }, now),
        }
        Ok(())
    }

    pub(super) fn person(
        &mut self,
        call: CallId,
        ask: PersonAsk,
        user: UserId,
        alias: Option<Alias>,
        now: Now,
    ) {
        match ask {
            PersonAsk::Profile => self.profile_show(call, user, now),
            PersonAsk::History { account, limit, before } => {
                let account = account.as_bytes();
                let prefix = [b"p".as_slice(), account, user.as_bytes()].concat();
                self.list(call, &prefix, Some(limit), before);
            }
            PersonAsk::Stand(stand) => {
                let changed = self.set_standing(call, (user, alias), stand);
                self.reply(call, changed.map(|contact| to_result(&contact)));
            }
        }
    }

    fn set_standing(
        &mut self,
        call: CallId,
        (user, alias): (UserId, Option<Alias>),
        stand: Stand,
    ) -> Result<Contact, RpcError> {
        let Stand { account, standing, expect_rev, decides } = stand;
        check_rev("the entry", expect_rev, self.book.rev(account, user))?;
        if self.kept.is_dry(call) {
            return self.book.would_be(account, user, standing, alias);
        }
        let owner = self.accounts.get(account).map(|account| account.owner);
        if let Some(owner) = owner.filter(|_| decides && standing == Standing::Accepted) {
            self.book.unpin_user(owner, user, &mut self.out);
        }
        self.book.set(account, user, standing, alias, &mut self.out);
        let contact = self.book.contact(account, user);
        contact.ok_or_else(full)
    }
}

// SPEC 8.52: what is no longer as the caller saw it is left alone.
/// Compares the `rev` that a caller expects with what there is.
pub(super) fn check_rev(what: &str, expected: Option<u64>, rev: u64) -> Result<(), RpcError> {
    match expected {
        Some(expected) if expected != rev => Err(ErrorKind::RevConflict
            .because(format!("{what} has rev {rev}, `expect_rev` is {expected}"))),
        Some(_) | None => Ok(()),
    }
}
