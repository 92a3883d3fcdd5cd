//! `account.*`: users whose secret key is here.

use serde::{Deserialize, Serialize};

use crate::alias::Alias;
use crate::id::UserId;

/// Parameters of `account.create`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Create {
    /// A local name for the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Parameters of `account.import`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Import {
    /// The private key in PEM: PKCS#8 or PKCS#1.
    pub pem: String,
    /// A local name for the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl std::fmt::Debug for Import {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Import").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Parameters of `account.export`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// Which account: name, alias or user id; the only one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Only the public key.
    #[serde(default)]
    pub public: bool,
}

/// Result of `account.export`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exported {
    /// The key in PEM: PKCS#8, or SubjectPublicKeyInfo for the public key.
    pub pem: String,
}

impl std::fmt::Debug for Exported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exported").finish_non_exhaustive()
    }
}

/// One account; result of `account.create` and `account.import`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The user id.
    pub id: UserId,
    /// The local name.
    pub name: String,
    /// The aliases that it registered from here.
    pub aliases: Vec<Alias>,
    /// Its rows on disk cannot be read: it is kept as it is and not served. Absent if not so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub damaged: bool,
}

/// Result of `account.list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accounts {
    /// The caller's accounts.
    pub accounts: Vec<Account>,
}
