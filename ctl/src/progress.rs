//! A word on stderr while something takes long, where somebody looks on.

use std::io::{self, Write};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// What is over by then needs no word.
const PATIENCE: Duration = Duration::from_millis(600);
/// Between two words.
const STEP: Duration = Duration::from_millis(500);

/// Shows what is under way until it is dropped, which wipes the line.
#[derive(Debug)]
pub(crate) struct Progress {
    end: Option<Sender<()>>,
    shown: Option<JoinHandle<()>>,
}

impl Progress {
    /// Begins to show it, unless it is over soon.
    pub(crate) fn start(what: &'static str) -> Self {
        let (end, ended) = channel::<()>();
        let begun = Instant::now();
        let shown = thread::spawn(move || {
            let mut pause = PATIENCE;
            while ended.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                say(&format!("\r{what} … {} s\x1b[K", begun.elapsed().as_secs()));
                pause = STEP;
            }
            if pause == STEP {
                say("\r\x1b[K");
            }
        });
        Self { end: Some(end), shown: Some(shown) }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(shown) = self.shown.take() {
            let joined = shown.join();
            debug_assert!(joined.is_ok());
        }
    }
}

/// What a method is doing while it takes long.
pub(crate) fn doing(method: &str) -> &'static str {
    match method {
        "account.create" => "making a key",
        "alias.register" | "alias.resolve" | "contact.add" => "asking the pod",
        "message.wait" => "waiting for the message",
        "message.send" => "asking for the recipient",
        "profile.set" => "publishing the profile",
        "profile.show" => "asking for the profile",
        _ => "waiting for bytchatd",
    }
}

fn say(text: &str) {
    // A closed stderr is no reason to end.
    match write!(io::stderr(), "{text}") {
        Ok(()) | Err(_) => {}
    }
}
