//! `session.*`: what holds for one connection.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
