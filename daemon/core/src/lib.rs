//! The decisions of BytChat: everything a node does, without clock, socket, disk or threads.

pub mod persist;
