//! `bytctl alias …`

use bytchat_proto::rpc::alias::{Binding, Bindings, List, Register, Resolve};
use bytchat_proto::rpc::{Call, to_result};

use super::Context;
use crate::args;
use crate::failure::Failure;

pub(super) fn run(context: &mut Context, command: args::Alias) -> Result<(), Failure> {
    let account = context.account.clone();
    match command {
        args::Alias::Register { alias } => {
            show(context, &Call::AliasRegister(Register { account, alias }))
        }
        args::Alias::Resolve { alias } => show(context, &Call::AliasResolve(Resolve { alias })),
        args::Alias::List => {
            let call = Call::AliasList(List { account });
            let Bindings { aliases } = context.client.call(&call)?;
            if context.printer.json() {
                return context.printer.value(&to_result(&aliases));
            }
            print(context, &aliases)
        }
    }
}

fn show(context: &mut Context, call: &Call) -> Result<(), Failure> {
    let binding: Binding = context.client.call(call)?;
    if context.printer.json() {
        return context.printer.value(&to_result(&binding));
    }
    print(context, &[binding])
}

fn print(context: &mut Context, aliases: &[Binding]) -> Result<(), Failure> {
    let row = |binding: &Binding| [binding.alias.to_string(), binding.id.to_string()];
    let rows: Vec<_> = aliases.iter().map(row).collect();
    context.printer.table(["ALIAS", "ID"], &rows)
}
