//! `bytctl`: what people and scripts type. A thin client of the daemon's socket.

#![expect(clippy::disallowed_methods, reason = "a program for people lives in their time")]

mod args;
mod client;
mod cmd;
mod color;
mod complete;
mod failure;
mod manual;
mod names;
mod print;
mod progress;
mod table;
mod token;
mod tui;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use crate::args::Args;
use crate::color::When;
use crate::failure::Failure;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return usage(&error),
    };
    let (json, colors) = (args.json, args.color);
    match cmd::run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => complain(&failure, json, colors),
    }
}

/// Help and version are answers; anything else that clap says is an error.
fn usage(error: &clap::Error) -> ExitCode {
    let json = std::env::args_os().any(|arg| arg == "--json");
    if json && error.use_stderr() {
        let text = error.to_string();
        let first = text.lines().next().unwrap_or_default();
        let message = first.strip_prefix("error: ").unwrap_or(first);
        return complain(&Failure::Usage(message.to_owned()), json, When::Never);
    }
    match error.print() {
        Ok(()) | Err(_) if !error.use_stderr() => ExitCode::SUCCESS,
        Ok(()) | Err(_) => ExitCode::from(failure::EXIT_USAGE),
    }
}

fn complain(failure: &Failure, json: bool, colors: When) -> ExitCode {
    if failure.is_broken_pipe() {
        return ExitCode::SUCCESS;
    }
    let text = match json {
        true => failure.to_json().to_string(),
        false => failure.to_text(print::aside(colors)),
    };
    // When stderr is closed nobody is left to tell.
    match writeln!(std::io::stderr(), "{text}") {
        Ok(()) | Err(_) => ExitCode::from(failure.exit_code()),
    }
}
