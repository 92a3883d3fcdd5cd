//! `bytctl`: what people and scripts type. A thin client of the daemon's socket.

#![expect(clippy::disallowed_methods, reason = "a program for people lives in their time")]

mod args;
mod client;
mod cmd;
mod failure;
mod manual;
mod print;
mod tui;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use crate::args::Args;
use crate::failure::Failure;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return usage(&error),
    };
    let json = args.json;
    match cmd::run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => complain(&failure, json),
    }
}

/// Help and version are answers; anything else that clap says is an error.
fn usage(error: &clap::Error) -> ExitCode {
    let json = std::env::args_os().any(|arg| arg == "--json");
    if json && error.use_stderr() {
        let text = error.to_string();
        let first = text.lines().next().unwrap_or_default();
        let message = first.strip_prefix("error: ").unwrap_or(first);
        return complain(&Failure::Usage(message.to_owned()), json);
    }
    match error.print() {
        Ok(()) | Err(_) if !error.use_stderr() => ExitCode::SUCCESS,
        Ok(()) | Err(_) => ExitCode::from(failure::EXIT_USAGE),
    }
}

fn complain(failure: &Failure, json: bool) -> ExitCode {
    if failure.is_broken_pipe() {
        return ExitCode::SUCCESS;
    }
    let text = if json { failure.to_json().to_string() } else { failure.to_text() };
    // When stderr is closed nobody is left to tell.
    match writeln!(std::io::stderr(), "{text}") {
        Ok(()) | Err(_) => ExitCode::from(failure.exit_code()),
    }
}
