//! `session.*`: what the caller is to the daemon, and how it gives up a part of that.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Role;
use crate::id::UserId;
use crate::secret::SecretText;
use crate::timestamp::Timestamp;

/// Parameters of `session.restrict`: what is absent stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Restrict {
    /// At most this role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Only these accounts: name, alias or user id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accounts: Option<Vec<String>>,
    /// Only these methods, such as `message.send` or `message.*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub methods: Option<Vec<String>>,
    /// Only until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// As this token says; it comes alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<SecretText>,
}

/// Result of `session.show` and `session.restrict`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Session {
    /// The Unix user who calls, as the kernel says.
    pub uid: u32,
    /// What it may.
    pub role: Role,
    /// Whether it gave up anything.
    #[serde(default)]
    pub narrowed: bool,
    /// The only accounts that there are for it; absent for all of the user's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accounts: Option<Vec<UserId>>,
    /// The only methods that it may call; absent for all that the role allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub methods: Option<Vec<String>>,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// What a node finds a restriction to mean; front ends get a [`Session`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Narrowing {
    /// The highest role.
    pub role: Option<Role>,
    /// The only accounts, in order.
    pub accounts: Option<Vec<UserId>>,
    /// The only methods, as patterns.
    pub methods: Option<Vec<String>>,
    /// The end.
    pub until: Option<Timestamp>,
    /// Milliseconds until then.
    pub left_ms: Option<u64>,
}

/// Parameters of `session.set`. What is absent stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Set {
    /// Whether methods that are on their way out are served; at first they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<bool>,
}

/// Result of `session.set`: what holds from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// Whether methods that are on their way out are served.
    pub deprecated: bool,
}
