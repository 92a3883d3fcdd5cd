//! The units on a real Debian with a real systemd, in containers that only root can start.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "what cannot run here is said")]
#![allow(clippy::disallowed_methods, reason = "real machines live in real time")]

mod credential;
mod machine;
mod reload;
mod service;
mod setup;
mod sockets;
mod user_unit;
