//! `event.*`: the durable, numbered log that front ends follow.

use serde::{Deserialize, Serialize};

use super::message::Message;
use crate::id::UserId;
use crate::timestamp::Timestamp;

/// Parameters of `event.list`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// Only events with a higher number; absent starts at the end of the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// At most so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Wait so long if there is none yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its number; numbers only grow.
    pub seq: u64,
    /// When it was written.
    pub at: Timestamp,
    /// The account that it concerns.
    pub account: UserId,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub enum What {
    /// A message came in.
    #[serde(rename = "message.received")]
    Received(Message),
    /// A message of ours reached another state.
    #[serde(rename = "message.state")]
    State(Message),
    /// The key behind a name has changed; sending has stopped.
    #[serde(rename = "contact.key_changed")]
    KeyChanged {
        /// Who it is about.
        id: UserId,
    },
}

/// Result of `event.list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Events {
    /// The events, oldest first.
    pub events: Vec<Event>,
    /// The number to ask on from.
    pub next: u64,
    /// The log begins after this number: a lower `since` has a gap.
    pub first: u64,
}
