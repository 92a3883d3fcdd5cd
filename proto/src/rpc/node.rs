//! `node.*`: the daemon itself.

mod stats;

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::alias::Host;
use crate::id::{NetworkId, NodeId};

pub use stats::{
    Asks, Histogram, Keyspace, Links, Lookups, Puts, Refusals, Repair, Stats, one_more,
};

/// How the clock of the daemon's machine stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// Nothing is known against it.
    #[default]
    Ok,
    /// It is behind what was seen before, or what most peers say.
    Behind,
    /// It is ahead of what most peers say, or far ahead of what was seen before.
    Ahead,
}

/// Result of `node.status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// This node.
    pub node_id: NodeId,
    /// Where it listens.
    pub listen: Vec<SocketAddr>,
    /// Addresses at which others see it.
    pub observed: Vec<SocketAddr>,
    /// Nodes in the routing table.
    pub peers: usize,
    /// Links that are up.
    pub links: usize,
    /// Records held.
    pub records: usize,
    /// Envelopes held.
    pub envelopes: usize,
    /// Messages on their way out.
    pub outbox: usize,
    /// Accounts whose rows on disk cannot be read; they are kept as they are.
    #[serde(default)]
    pub damaged_accounts: usize,
    /// How its clock stands.
    #[serde(default)]
    pub clock: Clock,
    /// By how many milliseconds it is behind or ahead, as far as it is known.
    #[serde(default)]
    pub clock_offset_ms: u64,
    /// The network.
    pub network: NetworkId,
    /// The host name under which it is a pod.
    pub pod: Option<Host>,
    /// Bytes on disk.
    pub store_bytes: u64,
    /// Milliseconds since the start.
    pub uptime_ms: u64,
    /// The daemon's version.
    pub version: String,
}

/// One neighbour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Peer {
    /// The node.
    pub node_id: NodeId,
    /// Where it is.
    pub address: SocketAddr,
    /// The pod that it is.
    pub pod: Option<Host>,
    /// Whether a link is up.
    pub linked: bool,
    /// Round trip in milliseconds, as measured.
    pub rtt_ms: Option<u64>,
}

/// Result of `node.peers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Peers {
    /// The neighbours.
    pub peers: Vec<Peer>,
}

/// Result of `node.config`: the configuration in effect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Config {
    /// The file that was read, if there is one.
    pub file: Option<String>,
    /// Every key, in the order of the manual.
    pub values: Vec<Setting>,
}

/// A key of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Setting {
    /// Its name.
    pub key: String,
    /// The value in effect, in the form that it has in the file; null if it is not set.
    pub value: Value,
    /// What set it.
    pub origin: Origin,
    /// Where: `file:line`, the flag, or the variable.
    pub place: Option<String>,
    /// Whether another value is written down and waits for the next start.
    pub waits: bool,
}

/// What sets a key of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The configuration file.
    File,
    /// A flag of the command line.
    Flag,
    /// A variable of the environment, or a socket that systemd hands over.
    Environment,
    /// Nothing: it is what holds without.
    Default,
}
