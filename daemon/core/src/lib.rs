//! The decisions of BytChat: everything a node does, without clock, socket, disk or threads.

pub mod account;
pub mod answer;
pub mod budget;
pub mod crypto;
pub mod dht;
pub mod event;
pub mod fill;
#[cfg(test)]
pub(crate) mod fixture;
pub mod host;
pub mod inbox;
pub mod io;
pub mod link;
pub mod mailbox;
pub mod node;
pub mod outbox;
pub mod persist;
pub mod planted;
pub mod pod;
pub mod prefix;
pub mod recent;
pub mod round;
pub mod route;
pub mod stamp;
pub mod time;
pub mod token;
