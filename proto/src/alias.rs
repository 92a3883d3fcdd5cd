//! Human names of users: `local@host`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::limits::{ALIAS_LOCAL_MAX, HOST_MAX};

/// An alias as a pod registers it (SPEC 5.1).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Alias {
    local: String,
    host: Host,
}

/// A pod's DNS name in lowercase ASCII (IDNA A-labels).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Host(String);

/// Why a text is no alias or host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseAliasError {
    /// There is not exactly one `@`.
    #[error("an alias is written name@pod.example, got {0:?}")]
    Shape(String),
    /// The part before the `@` is malformed.
    #[error("the name of an alias is 1 to 64 characters of a-z, 0-9, '.', '_' and '-', got {0:?}")]
    Local(String),
    /// The host is malformed.
    #[error("a pod's host is a DNS name of letters, digits, '-' and '.', got {0:?}")]
    Host(String),
}

impl Alias {
    /// The part before the `@`.
    pub fn local(&self) -> &str {
        &self.local
    }

    /// The pod that registers it.
    pub fn host(&self) -> &Host {
        &self.host
    }
}

impl Host {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Alias {
    type Err = ParseAliasError;

    fn from_str(text: &str) -> Result<Self, ParseAliasError> {
        let (local, host) =
            text.split_once('@').ok_or_else(|| ParseAliasError::Shape(shorten(text)))?;
        let local = local.to_ascii_lowercase();
        let good = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"._-".contains(&c);
        if local.is_empty() || local.len() > ALIAS_LOCAL_MAX || !local.bytes().all(good) {
            return Err(ParseAliasError::Local(shorten(&local)));
        }
        Ok(Self { local, host: host.parse()? })
    }
}

impl FromStr for Host {
    type Err = ParseAliasError;

    fn from_str(text: &str) -> Result<Self, ParseAliasError> {
        let host = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let good = |label: &str| {
            let inner = label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
            let ends = !label.starts_with('-') && !label.ends_with('-');
            (1..=63).contains(&label.len()) && inner && ends
        };
        if host.len() > HOST_MAX || !host.split('.').all(good) {
            return Err(ParseAliasError::Host(shorten(text)));
        }
        Ok(Self(host))
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(80).collect()
}

impl fmt::Display for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local, self.host)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Alias {
    type Error = ParseAliasError;

    fn try_from(text: String) -> Result<Self, ParseAliasError> {
        text.parse()
    }
}

impl TryFrom<String> for Host {
    type Error = ParseAliasError;

    fn try_from(text: String) -> Result<Self, ParseAliasError> {
        text.parse()
    }
}

impl From<Alias> for String {
    fn from(alias: Alias) -> Self {
        alias.to_string()
    }
}

impl From<Host> for String {
    fn from(host: Host) -> Self {
        host.0
    }
}

/// One label of a DNS name.
const LABEL: &str = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?";

impl JsonSchema for Alias {
    fn schema_name() -> Cow<'static, str> {
        "Alias".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let local = format!("[a-z0-9._-]{{1,{ALIAS_LOCAL_MAX}}}");
        json_schema!({
            "type": "string",
            "description": "A human name of a user at its pod: name@pod.example.",
            "pattern": format!("^{local}@{LABEL}(\\.{LABEL})*$"),
            "maxLength": ALIAS_LOCAL_MAX + 1 + HOST_MAX,
        })
    }
}

impl JsonSchema for Host {
    fn schema_name() -> Cow<'static, str> {
        "Host".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A pod's DNS name in lowercase ASCII.",
            "pattern": format!("^{LABEL}(\\.{LABEL})*$"),
            "maxLength": HOST_MAX,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_is_read_in_lower_case() {
        let alias: Alias = "Alice.B@Pod.Test.".parse().unwrap();
        assert_eq!(alias.to_string(), "alice.b@pod.test");
    }

    #[test]
    fn names_are_as_long_as_they_may_be_and_no_longer() {
        let long = |local: usize| format!("{}@a.b", "x".repeat(local)).parse::<Alias>();
        assert!(long(ALIAS_LOCAL_MAX).is_ok() && long(ALIAS_LOCAL_MAX + 1).is_err());
        let label = "x".repeat(63);
        let whole = [label.as_str(); 4].join(".");
        let host = |length: usize| whole[..length].parse::<Host>();
        assert!(host(HOST_MAX).is_ok() && host(HOST_MAX + 1).is_err());
    }

    #[test]
    fn malformed_aliases_are_refused() {
        for bad in ["alice", "@pod", "a b@pod", "alice@", "alice@-x", "alice@a..b", "a@b@c", "é@x"]
        {
            assert!(bad.parse::<Alias>().is_err(), "{bad}");
        }
        assert!(format!("{}@pod", "a".repeat(65)).parse::<Alias>().is_err());
    }
}
