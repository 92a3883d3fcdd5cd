//! What a caller may do: one of four roles, each of which includes those before it.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a caller may do; each role includes those before it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// See how the node stands.
    Observe,
    /// Read what its own accounts have.
    Read,
    /// Write and decide in the name of its own accounts.
    Send,
    /// See and change what concerns the daemon as a whole.
    Admin,
}

impl Role {
    /// Every role, lowest first.
    pub const ALL: [Self; 4] = [Self::Observe, Self::Read, Self::Send, Self::Admin];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Read => "read",
            Self::Send => "send",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| format!("a role is observe, read, send or admin, got {text:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Call, Method};
    use super::*;

    #[test]
    fn a_role_includes_those_before_it_and_has_one_word_everywhere() {
        for pair in Role::ALL.windows(2) {
            assert!(pair[0] < pair[1]);
        }
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
            assert_eq!(serde_json::to_value(role).unwrap(), role.as_str());
        }
        assert!("root".parse::<Role>().is_err());
    }

    #[test]
    fn every_method_is_found_with_its_role() {
        for method in Call::TABLE {
            assert_eq!(Method::named(method.name), Some(method));
        }
        assert_eq!(Method::named("node.config").map(|method| method.role), Some(Role::Admin));
        assert_eq!(Method::named("node.confi"), None);
    }
}
