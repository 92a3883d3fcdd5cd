//! What tests share: networks of real nodes, in virtual time or as real daemons.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a harness fails by panicking")]
#![allow(clippy::print_stdout, reason = "a failing test tells where its files are")]
#![allow(clippy::disallowed_methods, reason = "real daemons live in real time")]

pub mod daemon;
pub mod fuzz;
pub mod machine;
pub mod sim;
