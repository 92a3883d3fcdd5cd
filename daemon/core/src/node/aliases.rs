//! `alias.*`: registering and resolving human names.

use std::sync::Arc;

use bytchat_proto::alias::{Alias, Host};
use bytchat_proto::binding::{AliasClaim, Resolved};
use bytchat_proto::id::UserId;
use bytchat_proto::rpc::{ErrorKind, RpcError, alias as rpc, to_result};
use bytchat_proto::unverified::Unverified;

use super::Node;
use super::accounts::Working;
use super::pods::{Purpose, Then};
use super::repeat::page;
use crate::io::{CallId, Caller, Scope};
use crate::time::Now;

/// Reads an alias that a front end named.
pub(super) fn parse(text: &str) -> Result<Alias, RpcError> {
    text.parse().map_err(|error| {
        let error: bytchat_proto::alias::ParseAliasError = error;
        ErrorKind::BadAddress.because(error.to_string())
    })
}

/// The error for an alias of somebody else.
pub(super) fn taken(alias: &Alias) -> RpcError {
    ErrorKind::AliasTaken.because(format!("{alias} is somebody else's"))
}

impl Node {
    /// Has the account sign its claim; the pod is asked when that is done.
    pub(super) fn alias_register(
        &mut self,
        call: CallId,
        caller: Caller,
        with: &rpc::Register,
        now: Now,
    ) -> Result<(), RpcError> {
        let alias = parse(&with.alias)?;
        let account = self.accounts.pick(caller, with.account.as_deref())?;
        if self.kept.is_dry(call) {
            let user = account.user();
            self.resolve(caller, alias, Then::Register { call, user }, now);
            return Ok(());
        }
        let claim = AliasClaim {
            alias,
            account: account.key.clone(),
            sequence: now.wall.0,
            created: now.wall,
        };
        let (bytes, digest) = Unverified::prepare(&claim);
        let user = account.user();
        self.sign(user, digest, Working::Claim { call, user, bytes });
        Ok(())
    }

    /// The claim is signed: hand it to the pod.
    pub(super) fn claim(
        &mut self,
        call: CallId,
        user: UserId,
        claim: Unverified<AliasClaim>,
        now: Now,
    ) {
        let Ok(host) = claim.peek().map(|claim| claim.alias.host().clone()) else {
            return self.malformed_claim(call);
        };
        let purpose = Purpose::Register { call, user, claim: Box::new(claim) };
        self.find_pod(&host, user, purpose, now);
    }

    /// Asks for a pod on behalf of an account of ours.
    pub(super) fn find_pod(&mut self, host: &Host, user: UserId, purpose: Purpose, now: Now) {
        match self.accounts.get(user) {
            Some(account) => self.find_pod_of(host, account.owner, purpose, now),
            None => self.give_up_pod(purpose, "the account is not here any more"),
        }
    }

    /// Asks for a pod, which may be this node, on behalf of a Unix user: each has its own pins.
    fn find_pod_of(&mut self, host: &Host, owner: Caller, purpose: Purpose, now: Now) {
        match self.own.peek() {
            Ok(own) if own.pod.as_ref() == Some(host) => self.handle_pod(&own, purpose, now),
            Ok(_) | Err(_) => self.hosts.find(host, (owner, purpose), now, &mut self.out),
        }
    }

    /// The pod registered an alias of ours: its mail gets a fast copy there from now on.
    pub(super) fn handle_registered(
        &mut self,
        call: CallId,
        user: UserId,
        alias: &Alias,
        now: Now,
    ) {
        if let Some(account) = self.accounts.get_mut(user) {
            if !account.aliases.contains(alias) {
                account.aliases.push(alias.clone());
            }
            account.save(&self.vault, &mut self.out);
        }
        self.upkeep.publish_soon(user, now);
        self.upkeep.attach_soon(user, now);
        let binding = rpc::Binding { alias: alias.clone(), id: user };
        self.reply(call, Ok(to_result(&binding)));
    }

    /// Asks the pod whose an alias is.
    pub(super) fn alias_resolve(
        &mut self,
        call: CallId,
        caller: Caller,
        with: &rpc::Resolve,
        now: Now,
    ) -> Result<(), RpcError> {
        let alias = parse(&with.alias)?;
        self.resolve(caller, alias, Then::Answer { call }, now);
        Ok(())
    }

    pub(super) fn resolve(&mut self, owner: Caller, alias: Alias, then: Then, now: Now) {
        let host = alias.host().clone();
        self.find_pod_of(&host, owner, Purpose::Alias { owner, alias, then }, now);
    }

    /// Asks again whose a pinned alias is, if it was not asked for a while.
    pub(super) fn check_alias(&mut self, owner: Caller, alias: &Alias, now: Now) {
        if self.book.is_due(owner, alias, now.wall) {
            self.resolve(owner, alias.clone(), Then::Check, now);
        }
    }

    pub(super) fn alias_list(
        &self,
        caller: Caller,
        scope: Option<&Arc<Scope>>,
        with: &rpc::List,
    ) -> Result<rpc::Bindings, RpcError> {
        let only = match &with.account {
            Some(which) => Some(self.accounts.pick(caller, Some(which))?.user()),
            None => None,
        };
        let mine = self.accounts.of(caller);
        let wanted = mine.filter(|account| {
            let user = account.user();
            only.is_none_or(|only| only == user) && scope.is_none_or(|scope| scope.has(user))
        });
        let bindings = wanted.flat_map(|account| {
            let id = account.user();
            account.aliases.iter().map(move |alias| rpc::Binding { alias: alias.clone(), id })
        });
        let after = with.after.as_ref();
        let mut rest: Vec<rpc::Binding> =
            bindings.filter(|binding| after.is_none_or(|after| binding.alias > *after)).collect();
        rest.sort_by(|a, b| (&a.alias, a.id).cmp(&(&b.alias, b.id)));
        let all = rest.len();
        let (mut aliases, _) = page(rest.iter().cloned(), with.limit);
        // Two accounts may hold one alias; `next` would pass the second over.
        let cut = aliases.last().map(|last| last.alias.clone());
        let same = rest.into_iter().skip(aliases.len());
        aliases.extend(same.take_while(|binding| Some(&binding.alias) == cut.as_ref()));
        let last = aliases.last().filter(|_| aliases.len() < all);
        let next = last.map(|binding: &rpc::Binding| binding.alias.clone());
        Ok(rpc::Bindings { aliases, next })
    }

    pub(super) fn alias_failed(&mut self, alias: &Alias, then: Then, error: RpcError) {
        match then {
            Then::Register { call, user } if error.kind == ErrorKind::UnknownAddress => {
                self.would_be_registered(call, alias, user);
            }
            Then::Register { call, .. } => self.reply(call, Err(error)),
            Then::Answer { call } | Then::Person { call, .. } => self.reply(call, Err(error)),
            Then::Send { draft } => self.reply(draft.call, Err(error)),
            Then::Check => {}
        }
    }

    /// It is known whose an alias is. SPEC 5.5: a binding is pinned at first use; a changed one
    /// is shown and never followed.
    pub(super) fn handle_resolved(
        &mut self,
        owner: Caller,
        resolved: &Resolved,
        then: Then,
        now: Now,
    ) {
        let alias = &resolved.alias;
        if let Then::Register { call, user } = then {
            return match resolved.user == user {
                true => self.would_be_registered(call, alias, user),
                false => self.reply(call, Err(taken(alias))),
            };
        }
        if self.book.is_alias_damaged(owner, alias) {
            return self.alias_failed(alias, then, super::contacts::damaged(alias));
        }
        let pinned = self.book.pin_alias(owner, resolved, now.wall, &mut self.out);
        let user = match pinned {
            Ok(user) => user,
            Err(user) => {
                self.tell_change(owner, user, now);
                return self.alias_failed(alias, then, super::contacts::changed(alias));
            }
        };
        match then {
            // It was answered above.
            Then::Check | Then::Register { .. } => {}
            Then::Answer { call } => {
                let binding = rpc::Binding { alias: resolved.alias.clone(), id: user };
                self.reply(call, Ok(to_result(&binding)));
            }
            Then::Send { draft } => self.send(*draft, user, now),
            Then::Person { call, ask } => {
                self.person(call, ask, user, Some(resolved.alias.clone()), now);
            }
        }
    }

    /// Nothing speaks against it: an alias that was only asked for would be registered.
    fn would_be_registered(&mut self, call: CallId, alias: &Alias, user: UserId) {
        let binding = rpc::Binding { alias: alias.clone(), id: user };
        self.reply(call, Ok(to_result(&binding)));
    }

    /// Tells the accounts of a Unix user that know somebody that the key behind the alias has
    /// changed.
    pub(super) fn tell_change(&mut self, owner: Caller, user: UserId, now: Now) {
        for account in self.users_of(owner) {
            if self.book.standing(account, user).is_some() {
                let what = bytchat_proto::rpc::event::What::KeyChanged { id: user };
                self.event(account, what, now);
            }
        }
    }
}
