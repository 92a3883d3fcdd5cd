//! The commands: a file for each noun.

mod account;
mod alias;
mod completion;
mod config;
mod contact;
mod demo;
mod dht;
mod doctor;
mod hook;
mod lines;
mod message;
mod node;
mod profile;
mod rpc;
mod send;
mod token;
mod tui;
mod watch;

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::time::Duration;

use bytchat_proto::rpc::Call;
use bytchat_proto::secret::wipe;
use data_encoding::HEXLOWER;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::args::{self, Args, Command};
use crate::client::{Client, sockets, understand};
use crate::complete::{self, Place};
use crate::failure::Failure;
use crate::manual;
use crate::print::Printer;
use crate::token::read;

use send::deadline;

/// For so long a change is tried again while the daemon is away: an upgrade takes less.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(60);

/// What every command works with.
pub(crate) struct Context {
    client: Client,
    printer: Printer,
    account: Option<String>,
}

impl Context {
    /// Calls for a list: prints it for programs as it came, or gives it to be shown to people.
    fn list<T: DeserializeOwned>(
        &mut self,
        call: &Call,
        field: &str,
    ) -> Result<Option<Vec<T>>, Failure> {
        let items = self.client.call_json(call)?[field].take();
        if self.printer.json() {
            self.printer.value(&items)?;
            return Ok(None);
        }
        understand(items).map(Some)
    }

    /// Calls for one thing, likewise.
    fn one<T: DeserializeOwned>(&mut self, call: &Call) -> Result<Option<T>, Failure> {
        let mut item = self.client.call_json(call)?;
        if self.printer.json() {
            let printed = self.printer.value(&item);
            wipe(&mut item);
            return printed.map(|()| None);
        }
        understand(item).map(Some)
    }

    // SPEC 8.50: the call has a client id, so that it is the same one over a restart of the daemon.
    /// Calls for a change, likewise, or says what it would be.
    fn change<T: DeserializeOwned>(
        &mut self,
        mut call: Call,
        with: args::Change,
    ) -> Result<Option<T>, Failure> {
        if let Some(repeat) = call.repeat() {
            *repeat.client_id = Some(random_hex(16)?);
            *repeat.dry_run = with.dry_run;
        }
        let item = self.client.call_again(&call, deadline(CHANGE_TIMEOUT))?;
        if self.printer.json() {
            return self.printer.value(&item).map(|()| None);
        }
        if with.dry_run {
            return self.would(&item).map(|()| None);
        }
        understand(item).map(Some)
    }

    /// Shows what would come of a change.
    fn would(&mut self, item: &Value) -> Result<(), Failure> {
        self.printer.remark("dry run: nothing was changed; it would be:");
        let text =
            |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        let fields = item.as_object().into_iter().flatten();
        let shown = fields.filter(|(name, value)| *name != "dry_run" && !value.is_null());
        let pairs: Vec<_> = shown.map(|(name, value)| (name.as_str(), text(value))).collect();
        self.printer.pairs(&pairs)
    }
}

/// Runs a command.
pub(crate) fn run(args: Args) -> Result<(), Failure> {
    let progress = !args.json && io::stderr().is_terminal();
    let sockets = sockets(args.socket, |name| std::env::var_os(name));
    let mut context = Context {
        client: Client::new(sockets).narrowed_by(read(args.token)?).showing_progress(progress),
        printer: Printer::stdout(args.json, args.color),
        account: args.account,
    };
    let context = &mut context;
    match args.command {
        Command::Account(command) => account::run(context, command),
        Command::Profile(command) => profile::run(context, command),
        Command::Alias(command) => alias::run(context, command),
        Command::Send(command) => send::run(context, command),
        Command::Inbox(page) => message::inbox(context, &page),
        Command::History { who, page } => message::history(context, who, &page),
        Command::Watch(watch) => watch::run(context, watch),
        Command::Message(command) => message::run(context, command),
        Command::Contact(command) => contact::run(context, command),
        Command::Token(command) => token::run(context, command),
        Command::Node(command) => node::run(context, command),
        Command::Dht(command) => dht::run(context, command),
        Command::Rpc(command) => rpc::run(context, command),
        Command::Tui(command) => tui::run(context, &command),
        Command::Demo { keep } => demo::run(&mut context.printer, keep),
        Command::Doctor(options) => doctor::run(context, &options),
        Command::Config(args::Config::Show) => config::show(context),
        Command::ExitCodes if context.printer.json() => {
            context.printer.value(&manual::exit_codes_json())
        }
        Command::ExitCodes => context.printer.line(&manual::exit_codes()),
        Command::Complete { kind, words } => {
            let sockets = context.client.sockets().to_vec();
            let place = Place { sockets, account: context.account.take() };
            complete::run(&mut context.printer, place, &kind, &words)
        }
        Command::Completion { shell } => completion::run(&mut context.printer, shell),
        Command::Manual { folder } => manual::write(&folder),
    }
}

/// A name that nobody else will come upon.
fn random_hex(bytes: usize) -> Result<String, Failure> {
    const RANDOM: &str = "/dev/urandom";
    let mut random = vec![0; bytes];
    File::open(RANDOM)
        .and_then(|mut file| file.read_exact(&mut random))
        .map_err(|source| Failure::File { what: "read", path: RANDOM.into(), source })?;
    Ok(HEXLOWER.encode(&random))
}
