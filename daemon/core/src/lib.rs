//! The decisions of BytChat: everything a node does, without clock, socket, disk or threads.

pub mod crypto;
pub mod io;
pub mod persist;
pub mod time;
