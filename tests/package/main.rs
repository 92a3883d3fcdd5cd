//! The packages: what is in them, that they can be built again, and what becomes of a machine that
//! installs, upgrades, removes and purges them.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "what cannot run here is said")]

mod built;
mod completion;
mod content;
mod life;
mod pages;
