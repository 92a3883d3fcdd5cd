//! The daemon: the shell around the sans-IO core.

pub mod rpc;
