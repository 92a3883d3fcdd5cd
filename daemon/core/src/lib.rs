//! The decisions of BytChat: everything a node does, without clock, socket, disk or threads.

pub mod host;
pub mod inbox;
pub mod crypto;
pub mod io;
pub mod link;
pub mod outbox;
pub mod persist;
pub mod round;
pub mod route;
pub mod time;
