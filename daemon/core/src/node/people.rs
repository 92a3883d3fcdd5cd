//! Calls about somebody: who that is, and how the person stands to an account.

use std::sync::Arc;

use bytchat_proto::id::UserId;
use bytchat_proto::rpc::contact::Standing;
use bytchat_proto::rpc::{ErrorKind, RpcError, contact, to_result};

use super::Node;
use super::aliases::parse;
use super::contacts::PersonAsk;
use super::pods::Then;
use crate::io::{CallId, Caller, Scope};
use crate::time::Now;

impl Node {
    /// The person has decided: a changed key behind an alias or its pod is looked up afresh.
    pub(super) fn forget_change(
        &mut self,
        owner: Caller,
        scope: Option<&Arc<Scope>>,
        who: &str,
    ) -> Result<(), RpcError> {
        let Ok(alias) = parse(who) else {
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
        with: &contact::Change,
        standing: Standing,
        now: Now,
    ) -> Result<(), RpcError> {
        let account = self.accounts.pick(caller, with.account.as_deref())?.user();
        // SPEC 8.43: what is pinned holds for all accounts of the user.
        let ask = PersonAsk::Stand { account, standing, decides: scope.is_none() };
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
        alias: Option<bytchat_proto::alias::Alias>,
        now: Now,
    ) {
        match ask {
            PersonAsk::Profile => self.profile_show(call, user, now),
            PersonAsk::History { account, limit, before } => {
                let account = account.as_bytes();
                let prefix = [b"p".as_slice(), account, user.as_bytes()].concat();
                self.list(call, &prefix, Some(limit), before);
            }
            PersonAsk::Stand { account, standing, decides } => {
                let owner = self.accounts.get(account).map(|account| account.owner);
                if let Some(owner) = owner.filter(|_| decides && standing == Standing::Accepted) {
                    self.book.unpin_user(owner, user, &mut self.out);
                }
                self.book.set(account, user, standing, alias, &mut self.out);
                let contact = self.book.contact(account, user);
                let full = || ErrorKind::Quota.because("the address book is full");
                self.reply(call, contact.map(|contact| to_result(&contact)).ok_or_else(full));
            }
        }
    }
}
