//! Real daemons and the real command line, each a process of its own on this machine.

mod backbone;
mod command;
mod process;
mod programs;
mod socket;
mod wait;

pub use backbone::{Backbone, Pod, free_address};
pub use command::Ran;
pub use process::{Daemon, Setup};
pub use programs::{Programs, programs};
pub use socket::Socket;
pub use wait::{PATIENCE, pause, until};
