//! `bytctl alias …`

use bytchat_proto::rpc::Call;
use bytchat_proto::rpc::alias::{Binding, List, Register, Resolve};

use super::Context;
use crate::args;
use crate::failure::Failure;

pub(super) fn run(context: &mut Context, command: args::Alias) -> Result<(), Failure> {
    let account = context.account.clone();
    match command {
        args::Alias::Register { alias, change } => {
            let call = Register { account, alias, ..Register::default() };
            match context.change(Call::AliasRegister(call), change)? {
                Some(binding) => print(context, &[binding]),
                None => Ok(()),
            }
        }
        args::Alias::Resolve { alias } => show(context, &Call::AliasResolve(Resolve { alias })),
        args::Alias::List => {
            let call = Call::AliasList(List { account, ..List::default() });
            match context.list(&call, "aliases")? {
                Some(aliases) => print(context, &aliases),
                None => Ok(()),
            }
        }
    }
}

fn show(context: &mut Context, call: &Call) -> Result<(), Failure> {
    match context.one(call)? {
        Some(binding) => print(context, &[binding]),
        None => Ok(()),
    }
}

fn print(context: &mut Context, aliases: &[Binding]) -> Result<(), Failure> {
    let row = |binding: &Binding| [binding.alias.to_string(), binding.id.to_string()];
    let rows: Vec<_> = aliases.iter().map(row).collect();
    context.printer.table(["ALIAS", "ID"], &rows)
}
