//! Whole networks on virtual time.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod mail;
