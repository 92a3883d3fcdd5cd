//! `token.*`: secrets by which a user narrows what a front end may do in its name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Role;
use crate::id::UserId;
use crate::secret::SecretText;
use crate::timestamp::Timestamp;

/// Parameters of `token.create`: what is absent is not narrowed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Create {
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
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
}

/// Parameters of `token.delete`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ById {
    /// The token's id, as `token.list` shows it.
    pub id: String,
}

/// A token without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Token {
    /// Its id, which is no secret.
    pub id: String,
    /// What people call it; may be empty.
    pub name: String,
    /// The highest role of who presents it.
    pub role: Option<Role>,
    /// The only accounts.
    pub accounts: Option<Vec<UserId>>,
    /// The only methods.
    pub methods: Option<Vec<String>>,
    /// When it ends.
    pub until: Option<Timestamp>,
    /// When it was made.
    pub made_at: Timestamp,
}

/// Result of `token.create`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Created {
    /// The secret, which is told this once.
    pub token: SecretText,
    /// What else there is to it.
    #[serde(flatten)]
    pub about: Token,
}

/// Result of `token.list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tokens {
    /// The tokens.
    pub tokens: Vec<Token>,
}
