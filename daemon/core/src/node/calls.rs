//! Calls of front ends: who may, what is meant, and where each goes.

use bytchat_proto::id::UserId;
use bytchat_proto::limits::{IDS_PER_REQUEST_MAX, PAGE_DEFAULT, PAGE_MAX, RPC_WAIT_MS_MAX};
use bytchat_proto::rpc::contact::Standing;
use bytchat_proto::rpc::{Call, Done, ErrorKind, RpcError, contact, message, to_result};
use serde_json::Value;

use super::Node;
use super::aliases::parse;
use super::contacts::PersonAsk;
use super::events::{no_session, no_stream};
use super::history::Loading;
use super::pods::Then;
use super::send::Draft;
use crate::io::{CallId, Caller, Output};
use crate::time::Now;

impl Node {
    /// Answers a front end.
    pub(super) fn reply(&mut self, call: CallId, result: Result<Value, RpcError>) {
        self.out.push(Output::Reply { call, result });
    }

    pub(super) fn handle_call(&mut self, call: CallId, caller: Caller, request: Call, now: Now) {
        if let Err(error) = self.dispatch(call, caller, request, now) {
            self.reply(call, Err(error));
        }
    }

    /// Answers a call, or leaves its answer to what it started.
    fn dispatch(
        &mut self,
        call: CallId,
        caller: Caller,
        request: Call,
        now: Now,
    ) -> Result<(), RpcError> {
        let result = match request {
            Call::NodeStatus(_) => to_result(&self.node_status(now)),
            Call::NodePeers(_) => to_result(&self.node_peers()),
            Call::NodeConfig(_) => return Err(no_config()),
            Call::SessionShow(_) => return Err(no_session()),
            Call::AccountCreate(with) => return self.account_create(call, caller, with),
            Call::AccountImport(with) => return self.account_import(call, caller, with),
            Call::AccountExport(with) => to_result(&self.account_export(caller, &with)?),
            Call::AccountList(_) => to_result(&self.account_list(caller)),
            Call::ProfileSet(with) => return self.profile_set(call, caller, &with, now),
            Call::ProfileShow(with) => {
                let ask = PersonAsk::Profile;
                return self.with_person((call, caller), &with.who, ask, now);
            }
            Call::AliasRegister(with) => return self.alias_register(call, caller, &with, now),
            Call::AliasResolve(with) => return self.alias_resolve(call, caller, &with, now),
            Call::AliasList(with) => to_result(&self.alias_list(caller, &with)?),
            Call::MessageSend(with) => return self.message_send(call, caller, with, now),
            Call::MessageShow(with) => {
                let accounts = self.users_of(caller);
                self.load_message(with.id, Loading::Show { call, accounts });
                return Ok(());
            }
            Call::MessageTrace(with) => {
                let accounts = self.users_of(caller);
                self.load_message(with.id, Loading::Trace { call, accounts });
                return Ok(());
            }
            Call::MessageWait(with) => {
                self.message_wait(call, caller, &with, now);
                return Ok(());
            }
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
            Call::MessageRead(with) => to_result(&self.message_read(caller, &with)?),
            Call::ContactList(with) => {
                let user = self.accounts.pick(caller, with.account.as_deref())?.user();
                to_result(&self.book.list(user))
            }
            Call::ContactAdd(with) => {
                // Who has no account here decides nothing.
                self.accounts.pick(caller, with.account.as_deref())?;
                self.forget_change(caller, &with.who);
                return self.stand(call, caller, &with, Standing::Accepted, now);
            }
            Call::ContactAccept(with) => {
                return self.stand(call, caller, &with, Standing::Accepted, now);
            }
            Call::ContactBlock(with) => {
                return self.stand(call, caller, &with, Standing::Blocked, now);
            }
            Call::EventList(with) => return self.event_list(call, caller, with, now),
            Call::EventSubscribe(_) | Call::EventUnsubscribe(_) => return Err(no_stream()),
            Call::CursorSet(with) => to_result(&self.cursor_set(caller, &with, now)?),
            Call::CursorGet(with) => to_result(&self.cursor_get(caller, &with)?),
            Call::CursorList(_) => to_result(&self.cursor_list(caller)),
            Call::CursorDelete(with) => to_result(&self.cursor_delete(caller, &with)?),
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
        let mut draft =
            Draft { call, account, alias: None, text: with.text, client_id: with.client_id };
        if let Ok(user) = with.to.parse::<UserId>() {
            self.send_checked(draft, user, now);
            return Ok(());
        }
        let alias = parse(&with.to)?;
        draft.alias = Some(alias.clone());
        match self.book.user_of(caller, &alias) {
            Some(user) => {
                self.check_alias(caller, &alias, now);
                self.send_checked(draft, user?, now);
            }
            None => self.resolve(caller, alias, Then::Send { draft: Box::new(draft) }, now),
        }
        Ok(())
    }

    /// Sends a message unless its client id was used before.
    pub(super) fn send_checked(&mut self, draft: Draft, to: UserId, now: Now) {
        match draft.client_id.clone() {
            Some(client_id) => self.load_client(draft, &client_id, to),
            None => self.send(draft, to, now),
        }
    }

    fn message_wait(&mut self, call: CallId, caller: Caller, with: &message::Wait, now: Now) {
        let timeout = with.timeout_ms.unwrap_or(RPC_WAIT_MS_MAX).min(RPC_WAIT_MS_MAX);
        let until = now.mono.plus_ms(timeout);
        let accounts = self.users_of(caller);
        let (id, state) = (with.id, with.state);
        self.load_message(id, Loading::Wait { call, accounts, id, state, until });
    }

    fn message_read(&mut self, caller: Caller, with: &message::Read) -> Result<Done, RpcError> {
        if with.ids.len() > IDS_PER_REQUEST_MAX {
            return Err(ErrorKind::BadParameters
                .because(format!("at most {IDS_PER_REQUEST_MAX} messages at once")));
        }
        let accounts = self.users_of(caller);
        for id in &with.ids {
            self.load_message(*id, Loading::Read { accounts: accounts.clone() });
        }
        Ok(Done {})
    }

    /// The person has decided: a changed key behind an alias or its pod is looked up afresh.
    fn forget_change(&mut self, owner: Caller, who: &str) {
        let Ok(alias) = parse(who) else {
            return;
        };
        let pod_changed = self.hosts.has_changed(owner, alias.host());
        if pod_changed {
            self.hosts.unpin(owner, alias.host(), &mut self.out);
        }
        if pod_changed || self.book.has_changed(owner, &alias) {
            self.book.unpin_alias(owner, &alias, &mut self.out);
        }
    }

    fn stand(
        &mut self,
        call: CallId,
        caller: Caller,
        with: &contact::Change,
        standing: Standing,
        now: Now,
    ) -> Result<(), RpcError> {
        let account = self.accounts.pick(caller, with.account.as_deref())?.user();
        self.with_person((call, caller), &with.who, PersonAsk::Stand { account, standing }, now)
    }

    /// Goes on with a call once the user id of the person that it names is known.
    fn with_person(
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
            PersonAsk::Stand { account, standing } => {
                let owner = self.accounts.get(account).map(|account| account.owner);
                if let Some(owner) = owner.filter(|_| standing == Standing::Accepted) {
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

/// A node is told what it needs, not how its daemon came to it.
fn no_config() -> RpcError {
    ErrorKind::NotFound.because("a node has no configuration of its own")
}
