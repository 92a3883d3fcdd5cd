//! `bytctl contact …`

use bytchat_proto::rpc::Call;
use bytchat_proto::rpc::contact::{Change, Contact, List, Standing};
use serde::de::IgnoredAny;

use super::Context;
use crate::args;
use crate::failure::Failure;

pub(super) fn run(context: &mut Context, command: args::Contact) -> Result<(), Failure> {
    let account = context.account.clone();
    let (decide, who, edit) = match command {
        args::Contact::List => return list(context),
        args::Contact::Add { who, edit } => (Call::ContactAdd as Decide, who, edit),
        args::Contact::Accept { who, edit } => (Call::ContactAccept as Decide, who, edit),
        args::Contact::Block { who, edit } => (Call::ContactBlock as Decide, who, edit),
    };
    let expect_rev = edit.expect_rev;
    let call = decide(Change { account, who, expect_rev, ..Change::default() });
    context.change::<IgnoredAny>(call, edit.change).map(drop)
}

/// What is decided about somebody.
type Decide = fn(Change) -> Call;

fn list(context: &mut Context) -> Result<(), Failure> {
    let account = context.account.clone();
    let call = Call::ContactList(List { account, ..List::default() });
    let Some(contacts) = context.list::<Contact>(&call, "contacts")? else {
        return Ok(());
    };
    let mut rows = Vec::with_capacity(contacts.len());
    for contact in contacts {
        let alias = contact.alias.map(|alias| alias.to_string());
        let standing = match contact.standing {
            Standing::Request => "request",
            Standing::Accepted => "accepted",
            Standing::Blocked => "blocked",
        };
        let alias = alias.unwrap_or_else(|| "-".to_owned());
        let rev = contact.rev.to_string();
        rows.push([alias, contact.id.to_string(), standing.to_owned(), rev]);
    }
    context.printer.table(["ALIAS", "ID", "STANDING", "REV"], &rows)
}
