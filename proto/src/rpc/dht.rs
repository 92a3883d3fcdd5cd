//! `dht.*`: the network as this node sees it.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::NodeId;
use crate::point::Point;

/// Parameters of `dht.lookup`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lookup {
    /// Around which point: a user id, a node id, or any other point in their form.
    pub target: Point,
}

/// Result of `dht.lookup`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Found {
    /// The point.
    pub target: Point,
    /// The nodes nearest to it that have not failed, nearest first: they hold what lies there.
    pub holders: Vec<Holder>,
    /// What was asked and came back, in the order of the answers; what is missing is there if the
    /// list is as long as it may be.
    pub hops: Vec<Hop>,
    /// How many nodes answered.
    pub answered: usize,
    /// Milliseconds from the first request to the end.
    pub duration_ms: u64,
}

/// One of the nodes nearest to a point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Holder {
    /// The node.
    pub node_id: NodeId,
    /// Where it is, as it says itself.
    pub address: Option<SocketAddr>,
    /// How many bits its id has in common with the point, from the front.
    pub near_bits: u32,
    /// It is this node itself.
    pub own: bool,
}

/// One request of a lookup, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hop {
    /// The node that was asked.
    pub node_id: NodeId,
    /// Where it is, as it says itself.
    pub address: Option<SocketAddr>,
    /// How many nodes led to it, one after the other, itself included: 1 if it was known before.
    pub hop: u32,
    /// How many bits its id has in common with the point, from the front.
    pub near_bits: u32,
    /// Milliseconds from the start of the lookup to the answer, or to when it was given up.
    pub at_ms: u64,
    /// Milliseconds from the request to the answer, if there was one.
    pub round_trip_ms: Option<u64>,
    /// How it ended.
    pub outcome: Outcome,
    /// How many contacts the answer had.
    pub contacts: usize,
}

/// How a request of a lookup ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was answered.
    Answered,
    /// The node refused it.
    Refused,
    /// The answer was none.
    Malformed,
    /// There was no answer in time.
    Silent,
    /// No link to the node came up.
    Unreachable,
}

impl Outcome {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Refused => "refused",
            Self::Malformed => "malformed",
            Self::Silent => "silent",
            Self::Unreachable => "unreachable",
        }
    }
}
