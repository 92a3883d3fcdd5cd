//! `bytctl watch --exec`: a command that is run for each event, until it goes well.

use std::io::Write;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::failure::Failure;
use crate::print::Printer;

/// After the first failure; each further one doubles it.
const PAUSE_MIN: Duration = Duration::from_millis(500);
/// No longer than this.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Runs the command with an event on its stdin until it exits with 0, or has failed too often.
pub(super) fn run_until_done(
    printer: &Printer,
    command: &str,
    tries: Option<u32>,
    event: &Value,
) -> Result<(), Failure> {
    let mut tried = 0;
    loop {
        let ended = run(command, event)?;
        if ended.success() {
            return Ok(());
        }
        tried += 1;
        let what = format!("the command for event {} ended with {ended}", event["event_seq"]);
        if tries.is_some_and(|tries| tried >= tries) {
            return Err(Failure::Unmet(format!("{what}, {tried} times")));
        }
        let pause = pause(tried);
        printer.warn(&format!("{what}; again in {} s", pause.as_secs_f64()));
        std::thread::sleep(pause);
    }
}

fn pause(tried: u32) -> Duration {
    let doubled = 2_u32.saturating_pow(tried.saturating_sub(1));
    PAUSE_MIN.saturating_mul(doubled).min(PAUSE_MAX)
}

fn run(command: &str, event: &Value) -> Result<ExitStatus, Failure> {
    const SHELL: &str = "/bin/sh";
    let fail = |source| Failure::File { what: "run", path: SHELL.into(), source };
    let kind = event["event"].as_str().unwrap_or_default();
    let mut child = Command::new(SHELL)
        .arg("-c")
        .arg(command)
        .env("BYTCHAT_EVENT", kind.replace('\0', ""))
        .env("BYTCHAT_EVENT_SEQ", event["event_seq"].to_string())
        .stdin(Stdio::piped())
        .spawn()
        .map_err(fail)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A command that does not read its input closes it, which is its right.
        drop(writeln!(stdin, "{event}"));
    }
    child.wait().map_err(fail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_end_at_a_minute() {
        let ms: Vec<_> = [1, 2, 3, 7, 8, 100].map(pause).iter().map(Duration::as_millis).collect();
        assert_eq!(ms, [500, 1_000, 2_000, 32_000, 60_000, 60_000]);
    }
}
