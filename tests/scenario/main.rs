//! Real daemons and the real `bytctl`, as people and their scripts use them.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod message;
