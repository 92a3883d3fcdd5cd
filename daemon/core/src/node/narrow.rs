//! Narrowed sessions: which of the caller's accounts there are for them, and what they may not.

use std::sync::Arc;

use bytchat_proto::codec::decode;
use bytchat_proto::id::{BlockId, UserId};
use bytchat_proto::rpc::message::{Direction, Message};
use bytchat_proto::rpc::{Call, ErrorKind, RpcError, account, cursor, event};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::Node;
use super::history::{Loading, none};
use super::repeat::page;
use crate::event::is_name;
use crate::io::{Caller, Scope};
use crate::persist::{Query, Row, Table};

/// What stands before the names of positions of a session that sees these accounts only: nothing
/// if it sees all.
pub(super) fn place_of(scope: &Scope) -> String {
    let Some(accounts) = &scope.accounts else {
        return String::new();
    };
    let ids: Vec<u8> = accounts.iter().flat_map(|user| user.as_bytes()).copied().collect();
    let hash = Sha256::digest(&ids);
    format!("{}/", HEXLOWER.encode(&hash[..8]))
}

impl Node {
    /// The accounts of a caller that there are for a session.
    pub(super) fn users_in(&self, (caller, scope): (Caller, Option<&Arc<Scope>>)) -> Vec<UserId> {
        let mut users = self.users_of(caller);
        users.retain(|user| scope.is_none_or(|scope| scope.has(*user)));
        users
    }

    /// The accounts of a caller, as front ends see them.
    pub(super) fn account_list(
        &self,
        (caller, scope): (Caller, Option<&Arc<Scope>>),
        with: &account::List,
    ) -> account::Accounts {
        let mut views = self.accounts.views(caller);
        views.retain(|account| scope.is_none_or(|scope| scope.has(account.id)));
        views.retain(|account| with.after.is_none_or(|after| account.id > after));
        let (accounts, more) = page(views.into_iter(), with.limit);
        let next = accounts.last().filter(|_| more).map(|account: &account::Account| account.id);
        account::Accounts { accounts, next }
    }

    // SPEC 8.41: what belongs to others costs the same as what is not there.
    /// Reads a message by its id as one of these accounts has it; rows of others are not looked
    /// at, however many there are.
    ///
    /// # Errors
    /// There are no accounts.
    pub(super) fn load_own(
        &mut self,
        id: BlockId,
        accounts: Vec<UserId>,
        then: Loading,
    ) -> Result<(), RpcError> {
        self.load_next(id, accounts, Vec::new(), then)
    }

    /// The same for the accounts that are left, with what another one has of it.
    pub(super) fn load_next(
        &mut self,
        id: BlockId,
        mut accounts: Vec<UserId>,
        found: Vec<Row>,
        then: Loading,
    ) -> Result<(), RpcError> {
        let account = accounts.pop().ok_or_else(none)?;
        let key = [b"b".as_slice(), id.as_bytes(), account.as_bytes()].concat();
        let query = Query::row(Table::MessageIndex, &key).following(Table::Message);
        self.load(query, Loading::Own { id, rest: accounts, found, then: Box::new(then) });
        Ok(())
    }

    // SPEC 8.43: what a narrowed session asks for is named in full, or refused.
    /// The call of a narrowed session, as an open one would have to ask for the same.
    pub(super) fn narrow(
        &self,
        caller: Caller,
        scope: &Scope,
        mut request: Call,
    ) -> Result<Call, RpcError> {
        let which = match &mut request {
            Call::SessionRestrict(with) => {
                let named = with.accounts.iter_mut().flatten();
                for account in named {
                    let which = self.which(caller, scope, Some(std::mem::take(account)))?;
                    *account = which.unwrap_or_default();
                }
                return Ok(request);
            }
            Call::AccountExport(with) if !with.public => {
                return Err(refused("gives no private key out"));
            }
            Call::AccountCreate(_) | Call::AccountImport(_) if scope.accounts.is_some() => {
                return Err(refused("takes no other account"));
            }
            Call::TokenCreate(_) | Call::TokenList(_) | Call::TokenDelete(_) => {
                return Err(refused("has no say about tokens"));
            }
            Call::AccountExport(with) => &mut with.account,
            Call::ProfileSet(with) => &mut with.account,
            Call::AliasRegister(with) => &mut with.account,
            Call::AliasList(with) if with.account.is_some() => &mut with.account,
            Call::MessageSend(with) => &mut with.account,
            Call::MessageInbox(with) => &mut with.account,
            Call::MessageWaiting(with) => &mut with.account,
            Call::MessageHistory(with) => &mut with.account,
            Call::ContactList(with) => &mut with.account,
            Call::ContactAdd(with) | Call::ContactAccept(with) | Call::ContactBlock(with) => {
                &mut with.account
            }
            Call::EventList(event::List { cursor: Some(name), .. })
            | Call::EventSubscribe(event::Subscribe { cursor: Some(name), .. })
            | Call::CursorSet(cursor::Set { name, .. })
            | Call::CursorGet(cursor::ByName { name })
            | Call::CursorDelete(cursor::Delete { name, .. }) => {
                in_place(scope, name)?;
                return Ok(request);
            }
            Call::CursorList(cursor::List { name, after, .. }) => {
                for name in [name, after].into_iter().flatten() {
                    in_place(scope, name)?;
                }
                return Ok(request);
            }
            Call::NodeStatus(_)
            | Call::NodePeers(_)
            | Call::NodeStats(_)
            | Call::DhtLookup(_)
            | Call::NodeConfig(_)
            | Call::SessionShow(_)
            | Call::SessionSet(_)
            | Call::AccountCreate(_)
            | Call::AccountImport(_)
            | Call::AccountList(_)
            | Call::ProfileShow(_)
            | Call::AliasResolve(_)
            | Call::AliasList(_)
            | Call::MessageShow(_)
            | Call::MessageTrace(_)
            | Call::MessageWait(_)
            | Call::MessageRead(_)
            | Call::EventList(_)
            | Call::EventSubscribe(_)
            | Call::EventUnsubscribe(_) => return Ok(request),
        };
        *which = self.which(caller, scope, which.take())?;
        Ok(request)
    }

    /// The account that a narrowed session means, by its id.
    fn which(
        &self,
        caller: Caller,
        scope: &Scope,
        named: Option<String>,
    ) -> Result<Option<String>, RpcError> {
        let Some(accounts) = &scope.accounts else {
            return Ok(named);
        };
        let user = match (&named, accounts.as_slice()) {
            (None, [only]) => *only,
            (None, []) => {
                return Err(ErrorKind::NoAccount.because("this session was left no account"));
            }
            (None, _) => {
                return Err(ErrorKind::WhichAccount.because("there are several accounts"));
            }
            (Some(named), _) => {
                let found = self.accounts.pick(caller, Some(named)).map(|account| account.user());
                let own = found.ok().filter(|user| scope.has(*user));
                own.ok_or_else(|| {
                    ErrorKind::NotFound.because(format!("there is no account {named:?}"))
                })?
            }
        };
        Ok(Some(user.to_string()))
    }
}

/// Puts the name of a position where those of the scope are; what is not a name is left to be
/// refused.
fn in_place(scope: &Scope, name: &mut String) -> Result<(), RpcError> {
    let place = place_of(scope);
    // A name that comes in full, as answers have it, is one as well.
    let own = name.strip_prefix(&place).unwrap_or(name);
    if !place.is_empty() && !is_name(own) {
        return Err(ErrorKind::BadParameters.because("this is no name of a position"));
    }
    *name = format!("{place}{own}");
    Ok(())
}

fn refused(what: &str) -> RpcError {
    ErrorKind::NotPermitted.because(format!("a narrowed session {what}"))
}

/// Whether a copy of a message is the one that somebody asks for: the writer's has the way that it
/// took, the reader's the mark that it was read.
pub(super) fn is_wanted(then: &Loading, rows: &[Row]) -> bool {
    let wanted = if matches!(then, Loading::Read { .. }) { Direction::In } else { Direction::Out };
    let mut copies = rows.iter().filter_map(|(_, value)| decode::<Message>(value).ok());
    copies.any(|message| message.direction == wanted)
}

#[cfg(test)]
mod tests;
