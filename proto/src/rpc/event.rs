//! `event.*`: the durable, numbered log that front ends follow.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::ErrorKind;
use super::message::Message;
use crate::id::UserId;
use crate::timestamp::Timestamp;

/// Parameters of `event.list`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// Only events with a higher number; absent starts at the end of the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// Start at this named position; `since` counts only while there is none of that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// The log that `since` belongs to; in another one reading starts at the beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<String>,
    /// Only these types, such as `message.received` or `message.*`; absent gives all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub types: Option<Vec<String>>,
    /// At most so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Wait so long if there is none yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
}

/// Parameters of `event.subscribe`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Subscribe {
    /// First all events with a higher number; absent starts with the next event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// Start at this named position; `since` counts only while there is none of that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// The log that `since` belongs to; in another one reading starts at the beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<String>,
    /// Only these types, such as `message.received` or `message.*`; absent gives all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub types: Option<Vec<String>>,
}

/// Result of `event.subscribe`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Subscribed {
    /// The subscription, named so on this connection only.
    pub subscription: String,
    /// The log: another store has another epoch, and its numbers begin anew.
    pub epoch: String,
    /// The log begins after this number.
    pub first: u64,
    /// The number of the last event.
    pub head: u64,
}

/// Parameters of `event.unsubscribe`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unsubscribe {
    /// The subscription.
    pub subscription: String,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Its number among the events of its Unix user: one more than the one before.
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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

/// What a subscription says of itself between events; it has no number and is never replayed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", content = "data")]
pub enum Note {
    /// Everything up to `next` was sent; what follows is told as it happens.
    #[serde(rename = "stream.caught_up")]
    CaughtUp(Place),
    /// Events that were asked for are not to be had.
    #[serde(rename = "stream.gap")]
    Gap(Gap),
    /// The reader was too slow and is served from the log again: nothing is lost.
    #[serde(rename = "stream.lagged")]
    Lagged(Place),
    /// Nothing has happened for a while.
    #[serde(rename = "stream.heartbeat")]
    Heartbeat(Place),
    /// The subscription has ended: the log cannot be read, the session is over or may no longer
    /// subscribe, or there was no room for the next event for long.
    #[serde(rename = "stream.failed")]
    Failed {
        /// Why, for programs.
        kind: ErrorKind,
        /// Why, for people.
        message: String,
    },
}

/// How far a subscription is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Place {
    /// The number to ask on from: all up to it was sent or was not asked for.
    pub next: u64,
    /// The number of the last event.
    pub head: u64,
}

/// Events that are not to be had: reading was to go on after `from` and goes on after `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gap {
    /// The position that was asked for.
    pub from: u64,
    /// The position from which the log is read instead.
    pub to: u64,
    /// Why.
    pub reason: GapReason,
}

/// Why events are not to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    /// They were older or more than the log keeps.
    Retention,
    /// The position belongs to another log: this one is read from its beginning.
    Epoch,
}

/// Result of `event.list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Events {
    /// The events, oldest first.
    pub events: Vec<Event>,
    /// The number to ask on from.
    pub next: u64,
    /// The log begins after this number: a lower `since` has a gap.
    pub first: u64,
    /// The number of the last event.
    pub head: u64,
    /// The log: another store has another epoch, and its numbers begin anew.
    pub epoch: String,
    /// What of the question is not to be had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<Gap>,
}

impl What {
    /// The name of every type.
    pub const NAMES: &'static [&'static str] =
        &["message.received", "message.state", "contact.key_changed"];

    /// The name of the type.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Received(_) => "message.received",
            Self::State(_) => "message.state",
            Self::KeyChanged { .. } => "contact.key_changed",
        }
    }
}

/// Tells whether a type is among those that are wanted; no wish wants all.
pub fn wanted(types: Option<&[String]>, name: &str) -> bool {
    types.is_none_or(|types| types.iter().any(|pattern| matches(pattern, name)))
}

/// Tells whether a pattern means a type: its name, or its noun with `.*`.
pub fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(noun) => noun.is_empty() || (noun.ends_with('.') && name.starts_with(noun)),
        None => pattern == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_a_type_or_a_noun() {
        for (pattern, name, means) in [
            ("message.state", "message.state", true),
            ("message.*", "message.state", true),
            ("*", "message.state", true),
            ("message*", "message.state", false),
            ("mess*", "message.state", false),
            ("contact.*", "message.state", false),
            ("message", "message.state", false),
        ] {
            assert_eq!(matches(pattern, name), means, "{pattern}");
        }
        assert!(wanted(None, "message.state"));
        assert!(!wanted(Some(&[]), "message.state"));
    }
}
