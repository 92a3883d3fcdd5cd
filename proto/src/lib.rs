//! What BytChat nodes and front ends say to each other: ids, records, blocks, envelopes, frames
//! and RPC types. No private keys, no randomness, no I/O. `SPEC.md` beside this package numbers
//! the paragraphs that the code cites.

pub mod alias;
pub mod binding;
pub mod block;
pub mod codec;
pub mod envelope;
pub mod id;
pub mod key;
pub mod limits;
pub mod point;
pub mod record;
pub mod rpc;
pub mod secret;
pub mod timestamp;
pub mod unverified;
pub mod wire;
