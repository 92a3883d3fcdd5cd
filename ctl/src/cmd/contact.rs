//! `bytctl contact …`

use bytchat_proto::rpc::Call;
use bytchat_proto::rpc::contact::{Change, Contact, List, Standing};
use serde::de::IgnoredAny;

use super::Context;
use crate::args;
use crate::failure::Failure;

pub(super) fn run(context: &mut Context, command: args::Contact) -> Result<(), Failure> {
    let account = context.account.clone();
    let call = match command {
        args::Contact::List => return list(context),
        args::Contact::Add { who } => Call::ContactAdd(Change { account, who }),
        args::Contact::Accept { who } => Call::ContactAccept(Change { account, who }),
        args::Contact::Block { who } => Call::ContactBlock(Change { account, who }),
    };
    context.one::<IgnoredAny>(&call).map(drop)
}

fn list(context: &mut Context) -> Result<(), Failure> {
    let account = context.account.clone();
    let call = Call::ContactList(List { account });
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
        rows.push([alias, contact.id.to_string(), standing.to_owned()]);
    }
    context.printer.table(["ALIAS", "ID", "STANDING"], &rows)
}
