//! The contract in bytes: golden forms of all that nodes and front ends exchange, and decoders
//! that survive whatever they are given. `BYTCHAT_BLESS=1` writes the golden files anew; a
//! difference in one of them is a change of the protocol.

mod believed;
mod decoders;
mod fixtures;
mod openrpc;
mod rpc;
mod signed;
mod sink;
mod values;
mod wire;
