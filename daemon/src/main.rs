//! `bytchatd`: reads flags and configuration, starts the log and the runtime, and runs the daemon.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use bytchatd::boot;
use bytchatd::config::{Args, Config, Surroundings};
use clap::Parser;
use tracing_subscriber::EnvFilter;

/// EX_CONFIG of sysexits.h: systemd is told not to try again, because it would not help.
const EXIT_CONFIG: u8 = 78;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return usage(&error),
    };
    let around = Surroundings::read();
    let config = match Config::load(&args, &around) {
        Ok(config) => config,
        Err(error) => return fail(&error, EXIT_CONFIG),
    };
    let result = match args.check_config {
        true => show(&config),
        false => run(config, around),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format_args!("{error:#}"), 1),
    }
}

fn run(config: Config, around: Surroundings) -> anyhow::Result<()> {
    start_log().context("BYTCHAT_LOG is a filter such as `info` or `bytchatd::net=debug`")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime does not start")?;
    let result = runtime.block_on(boot::run(config, around));
    // A disk that hangs must not keep the process.
    runtime.shutdown_timeout(Duration::from_millis(100));
    Ok(result?)
}

fn start_log() -> anyhow::Result<()> {
    let filter = match std::env::var("BYTCHAT_LOG") {
        Ok(filter) => EnvFilter::try_new(filter)?,
        Err(_) => EnvFilter::new("info"),
    };
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    // The journal has its own clock.
    match std::env::var_os("JOURNAL_STREAM") {
        Some(_) => log.without_time().init(),
        None => log.init(),
    }
    Ok(())
}

fn show(config: &Config) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "ok\n\n{config}").context("nobody reads the configuration")
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
    match writeln!(io::stderr(), "bytchatd: {error}") {
        Ok(()) | Err(_) => ExitCode::from(code),
    }
}
