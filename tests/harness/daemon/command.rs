//! One run of `bytctl`, read as a program of a third party would read it.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::programs;

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Ran {
    /// The exit code.
    pub code: i32,
    /// What it printed.
    pub out: String,
    /// What it printed to stderr.
    pub err: String,
}

impl Ran {
    /// Runs a command to its end.
    ///
    /// # Panics
    /// If it cannot be run.
    pub fn of(command: &mut Command, stdin: &[u8]) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        // A command that does not read its input closes it, which is its right.
        drop(input.write_all(stdin));
        drop(input);
        let output = child.wait_with_output().unwrap();
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// What it printed; it must have gone well.
    ///
    /// # Panics
    /// If the command failed.
    pub fn ok(&self) -> &str {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        &self.out
    }

    /// The result, which must be one.
    ///
    /// # Panics
    /// If the command failed or printed something else.
    pub fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{}", self.err);
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }

    /// The error's kind, which must be one of this exit code.
    ///
    /// # Panics
    /// If the command went well, or failed in another way.
    pub fn kind(&self, code: i32) -> String {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        let error: Value = serde_json::from_str(&self.err).unwrap();
        let error = &error["error"];
        assert!(error["code"].is_i64(), "{error}");
        for field in ["message", "hint"] {
            assert!(!error[field].as_str().unwrap().is_empty(), "{field} of {error}");
        }
        error["kind"].as_str().unwrap().to_owned()
    }
}

/// The command line for the daemon behind a socket, with JSON as its language.
pub(super) fn bytctl(socket: &Path) -> Command {
    let mut command = Command::new(&programs().bytctl);
    command.env_clear().arg("--json").arg("--socket").arg(socket);
    command
}
