//! One node as a process that is spoken to by lines.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// What takes longer has not succeeded.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// Lines that wait to be read.
const LINES_MAX: usize = 4096;

/// A node that reads commands and answers by lines; it ends with this.
pub(crate) struct Lines {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
}

impl Lines {
    pub(crate) fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the program is there");
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let (sender, lines) = sync_channel(LINES_MAX);
        let stdout = BufReader::new(stdout.expect("it was piped"));
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, stdin: stdin.expect("it was piped"), lines }
    }

    /// Says a line and waits for the first that answers it.
    pub(crate) fn ask<T>(&mut self, line: &str, answer: impl Fn(&str) -> Option<T>) -> Option<T> {
        // What was said of an earlier command after its time is no answer to this one.
        while self.lines.try_recv().is_ok() {}
        writeln!(self.stdin, "{line}").expect("the node reads");
        self.hear(answer)
    }

    /// Waits for the first line that is an answer.
    pub(crate) fn hear<T>(&mut self, answer: impl Fn(&str) -> Option<T>) -> Option<T> {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    if let Some(answer) = answer(&line) {
                        return Some(answer);
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
