//! `bytctl account …`

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use bytchat_proto::rpc::Call;
use bytchat_proto::rpc::account::{Account, Create, Export, Exported, Import, List};
use bytchat_proto::secret::SecretText;
use zeroize::Zeroizing;

use super::{Context, profile};
use crate::args;
use crate::failure::Failure;

/// No key of 4096 bits is nearly as long.
const PEM_BYTES_MAX: u64 = 64 * 1024;
/// Room for that and a little more: a text that grows leaves copies behind.
const PEM_BYTES_ROOM: usize = 64 * 1024 + 1024;

pub(super) fn run(context: &mut Context, command: args::Account) -> Result<(), Failure> {
    match command {
        args::Account::Create { name, change } => {
            let call = Call::AccountCreate(Create { name, ..Create::default() });
            show_new(context, call, change)
        }
        args::Account::Import { file, name, change } => {
            let pem = read_pem(&file)?;
            let call = Import { pem, name, client_id: None, dry_run: false };
            show_new(context, Call::AccountImport(call), change)
        }
        args::Account::Export { public } => export(context, public),
        args::Account::List => list(context),
        args::Account::Profile(command) => profile::run(context, command),
    }
}

fn show_new(context: &mut Context, call: Call, change: args::Change) -> Result<(), Failure> {
    match context.change(call, change)? {
        Some(account) => print(context, &[account]),
        None => Ok(()),
    }
}

fn export(context: &mut Context, public: bool) -> Result<(), Failure> {
    let account = context.account.clone();
    let call = Call::AccountExport(Export { account, public });
    match context.one::<Exported>(&call)? {
        Some(exported) => context.printer.line(exported.pem.trim_end()),
        None => Ok(()),
    }
}

fn list(context: &mut Context) -> Result<(), Failure> {
    let call = Call::AccountList(List::default());
    let Some(accounts) = context.list::<Account>(&call, "accounts")? else {
        return Ok(());
    };
    if accounts.is_empty() {
        context.printer.remark("no account yet; `bytctl account create` makes one");
    }
    print(context, &accounts)
}

fn print(context: &mut Context, accounts: &[Account]) -> Result<(), Failure> {
    let row = |account: &Account| {
        let aliases: Vec<_> = account.aliases.iter().map(ToString::to_string).collect();
        let mark = if account.damaged { " (damaged)" } else { "" };
        [format!("{}{mark}", account.name), account.id.to_string(), aliases.join(" ")]
    };
    let rows: Vec<_> = accounts.iter().map(row).collect();
    context.printer.table(["NAME", "ID", "ALIASES"], &rows)
}

fn read_pem(file: &Path) -> Result<SecretText, Failure> {
    let mut pem = Zeroizing::new(String::with_capacity(PEM_BYTES_ROOM));
    let read = if file == Path::new("-") {
        io::stdin().take(PEM_BYTES_MAX).read_to_string(&mut pem)
    } else {
        File::open(file).and_then(|file| file.take(PEM_BYTES_MAX).read_to_string(&mut pem))
    };
    match read {
        Ok(_) => Ok(pem.into()),
        Err(source) => Err(Failure::File { what: "read", path: file.to_owned(), source }),
    }
}
