//! Real daemons and the real `bytctl`, as people and their scripts use them.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "what cannot run here is said")]
#![allow(clippy::disallowed_methods, reason = "real daemons live in real time")]

mod account;
mod alias;
mod bad_input;
mod clients;
mod dead;
mod demo;
mod dialects;
mod dns;
mod doctor;
mod events;
mod hooks;
mod message;
mod offline;
mod openrpc;
mod private;
mod repeat;
mod steps;
mod stop;
mod tui;
mod unix_users;
