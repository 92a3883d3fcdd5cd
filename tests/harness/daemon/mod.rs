//! Real daemons and the real command line, each a process of its own on this machine.

mod backbone;
mod command;
mod dns;
mod process;
mod programs;
mod socket;
mod terminal;
mod wait;

use std::io::Write as _;

pub use backbone::{Backbone, Pod, free_address};
pub use command::Ran;
pub use dns::Dns;
pub use process::{Daemon, Setup};
pub use programs::{Programs, programs};
pub use socket::Socket;
pub use terminal::Terminal;
pub use wait::{PATIENCE, pause, until};

/// Says that a part of a test could not run; with BYTCHAT_ALL=1 that is a failure.
///
/// # Panics
/// If everything is to run.
pub fn cannot_run(what: &str, lacks: &str) {
    // Written past `println!`, whose words of a test that passes nobody would see.
    drop(writeln!(std::io::stderr(), "NOT RUN: {what}: {lacks}"));
    assert!(std::env::var_os("BYTCHAT_ALL").is_none_or(|all| all != "1"), "{what}: {lacks}");
}
