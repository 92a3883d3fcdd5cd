//! `cursor.*`: named positions in the log of events, kept for front ends.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::timestamp::Timestamp;

/// Parameters of `cursor.set`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Set {
    /// The name: up to 64 letters, digits and `.`, `_`, `-`, `:`.
    pub name: String,
    /// All events up to this number are done with.
    pub seq: u64,
    /// The log that the number belongs to; another one is an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<String>,
}

/// Parameters of `cursor.get` and `cursor.delete`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ByName {
    /// The name.
    pub name: String,
}

/// One named position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cursor {
    /// The name.
    pub name: String,
    /// All events up to this number are done with.
    pub seq: u64,
    /// When it was set.
    pub at: Timestamp,
    /// How many events are still to be read.
    pub behind: u64,
}

/// Result of `cursor.list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cursors {
    /// The positions, by name.
    pub cursors: Vec<Cursor>,
    /// The log that they belong to.
    pub epoch: String,
    /// The log begins after this number.
    pub first: u64,
    /// The number of the last event.
    pub head: u64,
}
