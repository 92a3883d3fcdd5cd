//! Whole networks on virtual time.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod clock;
mod crashes;
mod damage;
mod flood;
mod liars;
mod mail;
mod planted;
mod pods;
mod replay;
mod swarm;
mod ttl;
