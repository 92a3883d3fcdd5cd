//! `alias.*`: human names at pods.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::alias::Alias;
use crate::id::UserId;

/// Parameters of `alias.register`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// Which account; the only one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The alias, `name@pod.example`.
    pub alias: String,
}

/// Parameters of `alias.resolve`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resolve {
    /// The alias.
    pub alias: String,
}

/// Parameters of `alias.list`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// Which account; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
}

/// An alias and whose it is; result of `alias.register` and `alias.resolve`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Binding {
    /// The alias.
    pub alias: Alias,
    /// The user.
    pub id: UserId,
}

/// Result of `alias.list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Bindings {
    /// The aliases.
    pub aliases: Vec<Binding>,
}
