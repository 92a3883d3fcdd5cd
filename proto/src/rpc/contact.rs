//! `contact.*`: the address book.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::alias::Alias;
use crate::id::UserId;

/// Parameters of `contact.list`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// Which account; the only one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
}

/// Parameters of `contact.add`, `contact.accept` and `contact.block`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Which account; the only one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Whom: alias or user id.
    pub who: String,
}

/// How somebody stands to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Wrote first and was not accepted yet.
    Request,
    /// In the address book.
    Accepted,
    /// Not heard.
    Blocked,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Contact {
    /// The user.
    pub id: UserId,
    /// The alias under which the user is known here.
    pub alias: Option<Alias>,
    /// How the user stands.
    pub standing: Standing,
}

/// Result of `contact.list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Contacts {
    /// The entries.
    pub contacts: Vec<Contact>,
}
