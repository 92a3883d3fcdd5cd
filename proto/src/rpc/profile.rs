//! `profile.*`: names and pictures.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::UserId;

/// Parameters of `profile.set`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Set {
    /// Which account; the only one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The name that others see.
    pub name: String,
    /// The picture's bytes in base64; absent for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar: Option<String>,
    /// Only if the profile still has this `sequence`; 0 stands for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect_rev: Option<u64>,
    /// Repeating the call with the same id gives the first answer again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Only says what would happen.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// Parameters of `profile.show`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Show {
    /// Whose: alias or user id.
    pub who: String,
}

/// A profile; result of both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Profile {
    /// Whose it is.
    pub id: UserId,
    /// The name.
    pub name: String,
    /// The picture's bytes in base64; empty for none.
    pub avatar: String,
    /// A newer profile has a higher number; it is the profile's `rev`.
    pub sequence: u64,
    /// Further fields of front ends.
    pub more: std::collections::BTreeMap<String, String>,
    /// How many holders took it (`profile.set`) or gave it (`profile.show`).
    pub holders: usize,
}
