//! `token.*` and `session.restrict`: what narrows a session, checked against the caller's accounts.

use bytchat_proto::id::UserId;
use bytchat_proto::limits::{ACCOUNTS_MAX, NAME_BYTES_MAX, TOKEN_METHODS_MAX};
use bytchat_proto::rpc::event::matches;
use bytchat_proto::rpc::session::{Narrowing, Restrict};
use bytchat_proto::rpc::token::{ById, Create, Created, Token, Tokens};
use bytchat_proto::rpc::{Call, Done, ErrorKind, RpcError};

use super::Node;
use crate::io::Caller;
use crate::time::Now;
use crate::token::{Grant, id_of};

impl Node {
    /// What a session is narrowed to by a token, or by what it says itself.
    pub(super) fn restrict(
        &self,
        caller: Caller,
        with: Restrict,
        now: Now,
    ) -> Result<Narrowing, RpcError> {
        let Restrict { role, accounts, methods, until, token } = with;
        // SPEC 8.44: an earlier clock after a start does not bring back what was over.
        let now = self.clock.late(now);
        let Some(token) = token else {
            let accounts = self.accounts_named(caller, accounts)?;
            check_methods(methods.as_deref())?;
            let left_ms = until.map(|until| until.since_ms(now.wall));
            return Ok(Narrowing { role, accounts, methods, until, left_ms });
        };
        let alone = role.is_none() && accounts.is_none() && methods.is_none() && until.is_none();
        if !alone {
            return Err(ErrorKind::BadParameters
                .because("`token` comes alone: narrow once more for what it leaves open"));
        }
        let grant = self.tokens.grant(caller.uid, &token, now.wall)?.clone();
        Ok(Narrowing {
            role: grant.role,
            accounts: grant.accounts,
            methods: grant.methods,
            until: grant.until,
            left_ms: grant.until.map(|until| until.since_ms(now.wall)),
        })
    }

    pub(super) fn token_create(
        &mut self,
        caller: Caller,
        with: Create,
        now: Now,
    ) -> Result<Created, RpcError> {
        let Create { name, role, accounts, methods, until } = with;
        let now = self.clock.late(now);
        let name = name.unwrap_or_default();
        if name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
            let error = format!("`name` has at most {NAME_BYTES_MAX} bytes and no control codes");
            return Err(ErrorKind::BadParameters.because(error));
        }
        let accounts = self.accounts_named(caller, accounts)?;
        check_methods(methods.as_deref())?;
        if until.is_some_and(|until| until <= now.wall) {
            return Err(ErrorKind::BadParameters.because("`until` is over already"));
        }
        let grant = Grant { name, role, accounts, methods, until, made: now.wall };
        let shown = grant.clone();
        let token = self.tokens.create(caller.uid, grant, &mut self.out)?;
        let about = view(id_of(&token), &shown);
        Ok(Created { token: token.into(), about })
    }

    pub(super) fn token_list(&self, caller: Caller, now: Now) -> Tokens {
        let own = self.tokens.list(caller.uid, self.clock.late(now).wall);
        Tokens { tokens: own.map(|(id, grant)| view(id, grant)).collect() }
    }

    pub(super) fn token_delete(&mut self, caller: Caller, with: &ById) -> Result<Done, RpcError> {
        let removed = self.tokens.remove(caller.uid, &with.id, &mut self.out);
        let shown: String = with.id.chars().take(80).collect();
        let none = || ErrorKind::NotFound.because(format!("you have no token {shown:?}"));
        removed.then_some(Done {}).ok_or_else(none)
    }

    /// The ids of accounts that a caller names, in order and each once.
    fn accounts_named(
        &self,
        caller: Caller,
        named: Option<Vec<String>>,
    ) -> Result<Option<Vec<UserId>>, RpcError> {
        let Some(named) = named else {
            return Ok(None);
        };
        if named.is_empty() || named.len() > ACCOUNTS_MAX {
            let error = format!("`accounts` names 1 to {ACCOUNTS_MAX}, got {}", named.len());
            return Err(ErrorKind::BadParameters.because(error));
        }
        let mut users = Vec::with_capacity(named.len());
        for which in named {
            users.push(self.accounts.pick(caller, Some(&which))?.user());
        }
        users.sort_unstable();
        users.dedup();
        Ok(Some(users))
    }
}

// SPEC 8.4: what is wrong is named.
fn check_methods(methods: Option<&[String]>) -> Result<(), RpcError> {
    let Some(methods) = methods else {
        return Ok(());
    };
    if methods.is_empty() || methods.len() > TOKEN_METHODS_MAX {
        let error = format!("`methods` names 1 to {TOKEN_METHODS_MAX}, got {}", methods.len());
        return Err(ErrorKind::BadParameters.because(error));
    }
    let means = |pattern: &&String| Call::METHODS.iter().any(|name| matches(pattern, name));
    match methods.iter().find(|pattern| !means(pattern)) {
        None => Ok(()),
        Some(unknown) => {
            let shown: String = unknown.chars().take(80).collect();
            let error = format!("`methods`: {shown:?} means no method; `message.*` means some");
            Err(ErrorKind::BadParameters.because(error))
        }
    }
}

fn view(id: String, grant: &Grant) -> Token {
    Token {
        id,
        name: grant.name.clone(),
        role: grant.role,
        accounts: grant.accounts.clone(),
        methods: grant.methods.clone(),
        until: grant.until,
        made_at: grant.made,
    }
}
