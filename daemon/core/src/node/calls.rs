//! Calls of front ends: who may, what is meant, and where each goes.

use std::sync::Arc;

use bytchat_proto::id::UserId;
use bytchat_proto::limits::{IDS_PER_REQUEST_MAX, PAGE_DEFAULT, PAGE_MAX, RPC_WAIT_MS_MAX};
use bytchat_proto::rpc::contact::Standing::{Accepted, Blocked};
use bytchat_proto::rpc::{Call, ErrorKind, RpcError, message, to_result};

use super::Node;
use super::aliases::parse;
use super::events::{no_session, no_stream};
use super::history::Loading;
use super::people::PersonAsk;
use super::pods::Then;
use super::send::Draft;
use crate::io::{CallId, Caller, Scope};
use crate::time::Now;

impl Node {
    /// Answers a call, or leaves its answer to what it started.
    pub(super) fn dispatch(
        &mut self,
        call: CallId,
        (caller, scope): (Caller, Option<Arc<Scope>>),
        request: Call,
        now: Now,
    ) -> Result<(), RpcError> {
        let scope = scope.as_ref();
        let who = (caller, scope);
        let result = match request {
            Call::NodeStatus(_) => to_result(&self.node_status(now)),
            Call::NodePeers(_) => to_result(&self.node_peers()),
            Call::NodeStats(_) => to_result(&self.node_stats(now)),
            Call::DhtLookup(with) => return self.dht_lookup(call, &with, now),
            Call::NodeConfig(_) => return Err(no_config()),
            Call::SessionSet(_) | Call::SessionShow(_) => return Err(no_session()),
            Call::SessionRestrict(with) => to_result(&self.restrict(caller, with, now)?),
            Call::TokenCreate(with) => to_result(&self.token_create(caller, with, now)?),
            Call::TokenList(_) => to_result(&self.token_list(caller, now)),
            Call::TokenDelete(with) => to_result(&self.token_delete(caller, &with)?),
            Call::AccountCreate(with) => return self.account_create(call, caller, with),
            Call::AccountImport(with) => return self.account_import(call, caller, with),
            Call::AccountExport(with) => to_result(&self.account_export(caller, &with)?),
            Call::AccountList(with) => to_result(&self.account_list(who, &with)),
            Call::ProfileSet(with) => return self.profile_set(call, caller, &with, now),
            Call::ProfileShow(with) => {
                let ask = PersonAsk::Profile;
                return self.with_person((call, caller), &with.who, ask, now);
            }
            Call::AliasRegister(with) => return self.alias_register(call, caller, &with, now),
            Call::AliasResolve(with) => return self.alias_resolve(call, caller, &with, now),
            Call::AliasList(with) => to_result(&self.alias_list(caller, scope, &with)?),
            Call::MessageSend(with) => return self.message_send(call, caller, with, now),
            Call::MessageShow(with) => {
                let accounts = self.users_in(who);
                return self.load_own(with.id, accounts.clone(), Loading::Show { call, accounts });
            }
            Call::MessageTrace(with) => {
                let accounts = self.users_in(who);
                return self.load_own(with.id, accounts.clone(), Loading::Trace { call, accounts });
            }
            Call::MessageWaiting(with) => to_result(&self.message_waiting(caller, &with, now)?),
            Call::MessageWait(with) => return self.message_wait(call, who, &with, now),
            Call::MessageInbox(with) => {
                let user = self.accounts.pick(caller, with.account.as_deref())?.user();
                let prefix = [b"i".as_slice(), user.as_bytes()].concat();
                self.list(call, &prefix, with.limit, with.before);
                return Ok(());
            }
            Call::MessageHistory(with) => {
                let account = self.accounts.pick(caller, with.account.as_deref())?.user();
                let limit = with.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
                let ask = PersonAsk::History { account, limit, before: with.before };
                return self.with_person((call, caller), &with.who, ask, now);
            }
            Call::MessageRead(with) => return self.message_read(call, who, with),
            Call::ContactList(with) => {
                let user = self.accounts.pick(caller, with.account.as_deref())?.user();
                to_result(&self.book.list(user, with.limit, with.after))
            }
            Call::ContactAdd(with) => {
                self.forget_change(call, who, &with)?;
                return self.stand(call, who, &with, Accepted, now);
            }
            Call::ContactAccept(with) => return self.stand(call, who, &with, Accepted, now),
            Call::ContactBlock(with) => return self.stand(call, who, &with, Blocked, now),
            Call::EventList(with) => return self.event_list(call, who, with, now),
            Call::EventSubscribe(_) | Call::EventUnsubscribe(_) => return Err(no_stream()),
            Call::CursorSet(with) => to_result(&self.cursor_set(call, caller, &with, now)?),
            Call::CursorGet(with) => to_result(&self.cursor_get(caller, &with)?),
            Call::CursorList(with) => to_result(&self.cursor_list(who, &with)),
            Call::CursorDelete(with) => to_result(&self.cursor_delete(call, caller, &with)?),
        };
        self.reply(call, Ok(result));
        Ok(())
    }

    pub(super) fn users_of(&self, caller: Caller) -> Vec<UserId> {
        self.accounts.of(caller).map(crate::account::Account::user).collect()
    }

    fn message_send(
        &mut self,
        call: CallId,
        caller: Caller,
        with: message::Send,
        now: Now,
    ) -> Result<(), RpcError> {
        let account = self.accounts.pick(caller, with.account.as_deref())?.user();
        let mut draft = Draft { call, account, alias: None, text: with.text };
        if let Ok(user) = with.to.parse::<UserId>() {
            self.send(draft, user, now);
            return Ok(());
        }
        let alias = parse(&with.to)?;
        draft.alias = Some(alias.clone());
        match self.book.user_of(caller, &alias) {
            Some(user) => {
                self.check_alias(caller, &alias, now);
                self.send(draft, user?, now);
            }
            None => self.resolve(caller, alias, Then::Send { draft: Box::new(draft) }, now),
        }
        Ok(())
    }

    fn message_wait(
        &mut self,
        call: CallId,
        who: (Caller, Option<&Arc<Scope>>),
        with: &message::Wait,
        now: Now,
    ) -> Result<(), RpcError> {
        let timeout = with.timeout_ms.unwrap_or(RPC_WAIT_MS_MAX).min(RPC_WAIT_MS_MAX);
        let until = now.mono.plus_ms(timeout);
        let (id, state, accounts) = (with.id, with.state, self.users_in(who));
        let own = accounts.clone();
        self.load_own(id, own, Loading::Wait { call, accounts, id, state, until })
    }

    fn message_read(
        &mut self,
        call: CallId,
        who: (Caller, Option<&Arc<Scope>>),
        with: message::Read,
    ) -> Result<(), RpcError> {
        if with.ids.len() > IDS_PER_REQUEST_MAX {
            return Err(ErrorKind::BadParameters
                .because(format!("at most {IDS_PER_REQUEST_MAX} messages at once")));
        }
        let ids = if self.kept.is_dry(call) { Vec::new() } else { with.ids };
        self.read_next(call, self.users_in(who), ids);
        Ok(())
    }
}

/// A node is told what it needs, not how its daemon came to it.
fn no_config() -> RpcError {
    ErrorKind::NotFound.because("a node has no configuration of its own")
}
