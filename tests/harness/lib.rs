//! What tests share: networks of real nodes, in virtual time or as real daemons.

pub mod sim;
