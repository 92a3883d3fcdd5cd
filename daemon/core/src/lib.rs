//! The decisions of BytChat: everything a node does, without clock, socket, disk or threads.

#[cfg(test)]
mod fixture;
pub mod io;
pub mod mailbox;
pub mod persist;
pub mod pod;
pub mod time;
