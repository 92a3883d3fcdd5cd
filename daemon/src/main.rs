//! `bytchatd`: reads flags and configuration, starts the log and the runtime, and runs the daemon.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use bytchat_proto::rpc::openrpc;
use bytchatd::boot::{self, BootError, Start, network_key};
use bytchatd::config::{self, Args, Config, Page, Surroundings};
use bytchatd::log::{self, Log};
use bytchatd::systemd::Sockets;
use clap::Parser;

/// EX_CONFIG of sysexits.h: systemd is told not to try again, because it would not help.
const EXIT_CONFIG: u8 = 78;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return usage(&error),
    };
    if let Some(text) = document(&args) {
        return say(&text);
    }
    let around = Surroundings::read();
    let (config, origins) = match Config::load(&args, &around) {
        Ok(loaded) => loaded,
        Err(error) => return fail(&error, EXIT_CONFIG),
    };
    if args.check_config {
        let key = network_key(config.network_key.as_deref(), around.credentials.as_deref());
        if let Err(error) = key {
            return fail(&error, EXIT_CONFIG);
        }
        return say(&format!("ok\n\n{config}\n"));
    }
    // Before there are threads.
    let sockets = match Sockets::take() {
        Ok(sockets) => sockets,
        Err(error) => return fail(&error, EXIT_CONFIG),
    };
    let log = match Log::start(&config.log) {
        Ok(log) => log,
        Err(error) => return fail(&error, EXIT_CONFIG),
    };
    match run(Start { args, around, config, origins, log, sockets }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let lasting = error.downcast_ref().is_some_and(BootError::is_lasting);
            fail(&format_args!("{error:#}"), if lasting { EXIT_CONFIG } else { 1 })
        }
    }
}

fn run(start: Start) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime does not start")?;
    let result = runtime.block_on(boot::run(start));
    // A disk that hangs must not keep the process.
    runtime.shutdown_timeout(Duration::from_millis(100));
    Ok(result?)
}

/// What the daemon can say of itself without a configuration.
fn document(args: &Args) -> Option<String> {
    if args.example_config {
        return Some(config::example());
    }
    if args.openrpc {
        return Some(format!("{:#}\n", openrpc::document()));
    }
    args.manual.map(Page::render)
}

fn say(text: &str) -> ExitCode {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format_args!("nobody reads the answer: {error}"), 1),
    }
}

fn usage(error: &clap::Error) -> ExitCode {
    let printed = error.print();
    match (error.use_stderr(), printed) {
        (false, Ok(())) => ExitCode::SUCCESS,
        (true, _) => ExitCode::from(EXIT_CONFIG),
        (false, Err(_)) => ExitCode::FAILURE,
    }
}

fn fail(error: &dyn std::fmt::Display, code: u8) -> ExitCode {
    // The journal reads the level of a line from its beginning.
    let level = if log::is_journal() { "<3>" } else { "" };
    match writeln!(io::stderr(), "{level}bytchatd: {error}") {
        Ok(()) | Err(_) => ExitCode::from(code),
    }
}
