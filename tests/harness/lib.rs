//! What tests share: networks of real nodes, in virtual time or as real daemons.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a harness fails by panicking")]

pub mod sim;
