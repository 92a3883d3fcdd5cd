//! Tests of the DHT: keys and contacts for all of them.

mod holder;
mod keys;
mod liars;
mod network;
mod peers;
mod quorum;
mod sim;
mod upkeep;
mod watch;
mod work;
