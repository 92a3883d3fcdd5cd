//! The shell of a BytChat node: everything that touches clock, socket, disk and threads.

pub mod boot;
pub mod clock;
pub mod config;
pub mod engine;
pub mod entropy;
pub mod jobs;
pub mod log;
pub mod net;
pub mod resolve;
pub mod rpc;
pub mod store;
pub mod systemd;
