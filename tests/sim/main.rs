//! Whole networks on virtual time.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod clock;
mod crashes;
mod damage;
mod flood;
mod lasting;
mod liars;
mod links;
mod mail;
mod planted;
mod plants;
mod pods;
mod private;
mod probes;
mod replay;
mod swarm;
mod trial;
mod ttl;
