//! A terminal without a person: a program in a pseudo-terminal, its screen, and keys for it.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use rustix::fs::{Mode, OFlags, open};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};
use vt100::{MouseProtocolMode, Parser};

use super::wait::{PATIENCE, until};

/// A program and the terminal that it runs in; it does not outlive this.
#[derive(Debug)]
pub struct Terminal {
    child: Child,
    ours: File,
    theirs: File,
    before: Termios,
    screen: Arc<Shared>,
}

/// The screen, and word that it has changed.
struct Shared(Mutex<Parser>, Condvar);

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared")
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Parser> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Terminal {
    /// Runs a command in a terminal of its own, of so many columns and rows.
    ///
    /// # Panics
    /// If there is no terminal to be had, or the command does not run.
    pub fn run(command: &Command, columns: u16, rows: u16) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let theirs = File::from(open(name, flags, Mode::empty()).unwrap());
        resize(&theirs, columns, rows);
        let before = tcgetattr(&theirs).unwrap();
        let ours = File::from(ours);
        let screen = Arc::new(Shared(Mutex::new(Parser::new(rows, columns, 0)), Condvar::new()));
        let (input, shown) = (ours.try_clone().unwrap(), Arc::clone(&screen));
        thread::spawn(move || follow(input, &shown));
        // Only with a session of its own is the terminal the one that a change of size is told.
        let mut session = Command::new("setsid");
        session.arg("--ctty").arg(command.get_program()).args(command.get_args()).env_clear();
        session.env("TERM", "xterm-256color").env("PATH", "/usr/bin:/bin");
        let end = || Stdio::from(theirs.try_clone().unwrap());
        let child = session.stdin(end()).stdout(end()).stderr(end()).spawn();
        let child = child.expect("util-linux has setsid");
        Self { child, ours, theirs, before, screen }
    }

    /// Presses keys, as the bytes that a terminal sends for them.
    ///
    /// # Panics
    /// If the terminal is gone.
    pub fn press(&self, keys: &str) {
        (&self.ours).write_all(keys.as_bytes()).unwrap();
    }

    /// Gives it another size.
    ///
    /// # Panics
    /// If the terminal is gone.
    pub fn resize(&self, columns: u16, rows: u16) {
        self.screen.lock().screen_mut().set_size(rows, columns);
        resize(&self.theirs, columns, rows);
    }

    /// What is on the screen.
    pub fn text(&self) -> String {
        self.screen.lock().screen().contents()
    }

    /// Waits until the screen is as wanted.
    ///
    /// # Panics
    /// If that does not happen in time; the screen is told.
    pub fn until(&self, what: &str, wanted: impl Fn(&str) -> bool) {
        let end = Instant::now() + PATIENCE;
        let mut parser = self.screen.lock();
        loop {
            let text = parser.screen().contents();
            if wanted(&text) {
                return;
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{what}: not in {PATIENCE:?}; the screen is\n{text}");
            let waited = self.screen.1.wait_timeout(parser, left);
            parser = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until a row holds all of these texts.
    pub fn row(&self, texts: &[&str]) {
        self.until(&format!("a row with {texts:?}"), |screen| {
            screen.lines().any(|row| texts.iter().all(|text| row.contains(text)))
        });
    }

    /// Waits until a text is nowhere on the screen.
    pub fn gone(&self, text: &str) {
        self.until(&format!("no {text:?}"), |screen| !screen.contains(text));
    }

    /// Sends the program a signal.
    ///
    /// # Panics
    /// If it runs no more.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the end of the program, and looks whether it left the terminal as it found it.
    ///
    /// # Panics
    /// If it does not end, or left something behind.
    pub fn ended(&mut self) -> ExitStatus {
        let status = until("the end of a program", || self.child.try_wait().unwrap());
        // What it wrote last is read by a thread of ours.
        until("a terminal that was given back", || {
            let parser = self.screen.lock();
            let screen = parser.screen();
            let plain = !screen.alternate_screen() && !screen.hide_cursor();
            let quiet = screen.mouse_protocol_mode() == MouseProtocolMode::None;
            (plain && quiet && !screen.bracketed_paste()).then_some(())
        });
        let after = tcgetattr(&self.theirs).unwrap();
        assert_eq!(format!("{after:?}"), format!("{:?}", self.before));
        status
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn resize(terminal: &File, columns: u16, rows: u16) {
    let size = Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(terminal, size).unwrap();
}

/// Draws what the program writes, until the terminal is gone.
fn follow(mut input: File, screen: &Shared) {
    let mut bytes = [0; 4096];
    while let Ok(read @ 1..) = input.read(&mut bytes) {
        screen.lock().process(&bytes[..read]);
        screen.1.notify_all();
    }
}
