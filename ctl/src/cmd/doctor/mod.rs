//! `bytctl doctor`: what keeps this machine from sending and receiving, each with its remedy.

mod bundle;
mod daemon;
mod door;
mod machine;
mod network;
mod redact;

use std::process::{Command, Stdio};

use serde::Serialize;
use serde_json::{Value, json};

use super::Context;
use crate::args;
use crate::color::{Palette, Tone};
use crate::failure::Failure;
use crate::print::tame;
use crate::progress::Progress;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Ok,
    Warn,
    Fail,
    Skip,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Check {
    name: &'static str,
    verdict: Verdict,
    /// What was found.
    found: String,
    /// What mends it.
    fix: Option<String>,
}

/// All that was found, for the report and for the archive.
#[derive(Debug, Default)]
struct Findings {
    checks: Vec<Check>,
    /// What `node.status` says, if anybody answers.
    status: Value,
    /// What `node.config` says, if the caller may know.
    config: Value,
    /// What systemd says of the unit.
    unit: String,
}

pub(super) fn run(context: &mut Context, options: &args::Doctor) -> Result<(), Failure> {
    let shown = context.client.shows_progress().then(|| Progress::start("looking"));
    let mut findings = Findings::default();
    let door = door::look(context.client.sockets(), &mut findings.checks);
    if door.is_open() {
        daemon::look(&mut context.client, &mut findings);
    }
    machine::look(&door, options.config.as_deref(), &mut findings);
    drop(shown);
    print(context, &findings.checks)?;
    if let Some(file) = &options.bundle {
        bundle::write(file, &findings)?;
        context.printer.remark(&format!("{} can be shown to others", file.display()));
    }
    let failed = findings.checks.iter().filter(|check| check.verdict == Verdict::Fail).count();
    match failed {
        0 => Ok(()),
        1 => Err(Failure::Unmet("a check has failed".to_owned())),
        failed => Err(Failure::Unmet(format!("{failed} checks have failed"))),
    }
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Ok, found: found.into(), fix: None }
    }

    fn skip(name: &'static str, found: impl Into<String>) -> Self {
        Self { verdict: Verdict::Skip, ..Self::ok(name, found) }
    }

    fn warn(name: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warn, fix: Some(fix.into()), ..Self::ok(name, found) }
    }

    fn fail(name: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { verdict: Verdict::Fail, fix: Some(fix.into()), ..Self::ok(name, found) }
    }
}

impl Verdict {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Skip => "skip",
        }
    }

    fn tone(self) -> Tone {
        match self {
            Self::Ok => Tone::Good,
            Self::Warn => Tone::Warn,
            Self::Fail => Tone::Bad,
            Self::Skip => Tone::Faint,
        }
    }
}

fn print(context: &mut Context, checks: &[Check]) -> Result<(), Failure> {
    let printer = &mut context.printer;
    if printer.json() {
        let ok = checks.iter().all(|check| check.verdict != Verdict::Fail);
        return printer.value(&json!({ "ok": ok, "checks": checks }));
    }
    if !printer.terminal() {
        let row = |check: &Check| {
            let fix = check.fix.clone().unwrap_or_default();
            [check.verdict.as_str().to_owned(), check.name.to_owned(), check.found.clone(), fix]
        };
        let rows: Vec<_> = checks.iter().map(row).collect();
        return printer.table(["VERDICT", "CHECK", "FOUND", "FIX"], &rows);
    }
    let palette = printer.palette();
    for line in checks.iter().flat_map(|check| lines(check, palette)) {
        printer.line(&line)?;
    }
    Ok(())
}

/// A check for people: what was found, and below it what mends it.
fn lines(check: &Check, palette: Palette) -> Vec<String> {
    let verdict = format!("{:4}", check.verdict.as_str());
    let verdict = palette.paint(Some(check.verdict.tone()), &verdict);
    let mut lines = vec![format!("{verdict}  {:13}  {}", check.name, tame(&check.found))];
    for fix in check.fix.iter().flat_map(|fix| fix.lines()) {
        lines.push(format!("{:19}  {}", "", palette.paint(Some(Tone::Head), &tame(fix))));
    }
    lines
}

/// What another program says, if it is there and ends well.
fn ask(program: &str, args: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    let output = command.args(args).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
