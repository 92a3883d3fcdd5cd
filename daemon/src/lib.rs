//! The shell of a node: what touches sockets, disks and the operating system.

pub mod net;
pub mod store;
