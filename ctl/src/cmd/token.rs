//! `bytctl token …`

use std::time::{SystemTime, UNIX_EPOCH};

use bytchat_proto::limits::DAY_MS;
use bytchat_proto::rpc::token::{ById, Create, Created, Token};
use bytchat_proto::rpc::{Call, Nothing};
use bytchat_proto::timestamp::Timestamp;
use serde::de::IgnoredAny;

use super::Context;
use crate::args;
use crate::failure::Failure;
use crate::print::time;

pub(super) fn run(context: &mut Context, command: args::Token) -> Result<(), Failure> {
    match command {
        args::Token::Create(new) => create(context, new),
        args::Token::List => list(context),
        args::Token::Delete { id } => {
            context.one::<IgnoredAny>(&Call::TokenDelete(ById { id })).map(drop)
        }
    }
}

fn create(context: &mut Context, new: args::NewToken) -> Result<(), Failure> {
    let args::NewToken { name, role, accounts, methods, days } = new;
    let accounts = accounts.or_else(|| context.account.clone().map(|account| vec![account]));
    let until = days.map(|days| now().plus_ms(days.saturating_mul(DAY_MS)));
    let call = Call::TokenCreate(Create { name, role, accounts, methods, until });
    match context.one::<Created>(&call)? {
        Some(created) => context.printer.line(&created.token),
        None => Ok(()),
    }
}

fn list(context: &mut Context) -> Result<(), Failure> {
    let call = Call::TokenList(Nothing {});
    let Some(tokens) = context.list::<Token>(&call, "tokens")? else {
        return Ok(());
    };
    let all = |list: Option<Vec<String>>| list.map_or_else(|| "all".to_owned(), |l| l.join(" "));
    let row = |token: Token| {
        let ids = token.accounts.map(|ids| ids.iter().map(ToString::to_string).collect());
        let role = token.role.map_or("all", |role| role.as_str()).to_owned();
        let until = token.until.map_or_else(|| "-".to_owned(), time);
        [token.id, token.name, role, all(token.methods), until, all(ids)]
    };
    let rows: Vec<_> = tokens.into_iter().map(row).collect();
    context.printer.table(["ID", "NAME", "ROLE", "METHODS", "UNTIL", "ACCOUNTS"], &rows)
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
