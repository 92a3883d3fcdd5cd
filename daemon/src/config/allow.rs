//! Who may use the socket, as the file says it.

use bytchat_proto::limits::ROLE_RULES_MAX;
use bytchat_proto::rpc::Role;
use toml::{Table, Value};

use super::ConfigError;
use super::file::{Item, Reader};
use super::keys::{self, Key};

/// Who may use the socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Api {
    /// The rules; the highest role that matches counts.
    pub allow: Vec<Allow>,
    /// Nobody wrote them down.
    pub is_default: bool,
}

/// A user or a group, and what it may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allow {
    /// A user; otherwise a group.
    pub is_user: bool,
    /// Its name or number.
    pub name: String,
    /// What it may.
    pub role: Role,
}

const DEFAULT: [(bool, &str, Role); 4] = [
    (true, "root", Role::Admin),
    (false, "bytchat-admin", Role::Admin),
    (false, "bytchat", Role::Send),
    (false, "bytchat-read", Role::Read),
];

impl Api {
    /// What holds when the file says this.
    pub(super) fn new(said: Option<Vec<Allow>>) -> Self {
        let default =
            DEFAULT.map(|(is_user, name, role)| Allow { is_user, name: name.to_owned(), role });
        let is_default = said.is_none();
        Self { allow: said.unwrap_or_else(|| default.to_vec()), is_default }
    }

    /// The table that would give it again.
    pub(super) fn to_table(&self) -> Value {
        let rules = self.allow.iter().map(|Allow { is_user, name, role }| {
            let who = if *is_user { "user" } else { "group" };
            let fields = [(who, name.as_str()), ("role", role.as_str())];
            let fields = fields.into_iter().map(|(key, value)| (key.to_owned(), value.into()));
            Value::Table(fields.collect())
        });
        let allow = Value::Array(rules.collect());
        Value::Table(Table::from_iter([("allow".to_owned(), allow)]))
    }
}

impl Reader<'_> {
    /// Reads the rules of `[api]`; the table may be empty.
    pub(super) fn api(&self, item: &Item<'_, '_>) -> Result<Option<Vec<Allow>>, ConfigError> {
        let api = self.table(item, &keys::API)?;
        api.map(&keys::ALLOW, |item| {
            let rules = self.entries(item)?.map(|item| self.allow(&item));
            let rules = rules.collect::<Result<Vec<_>, _>>()?;
            if rules.len() > ROLE_RULES_MAX { Err(self.wrong(item)) } else { Ok(rules) }
        })
    }

    fn allow(&self, item: &Item<'_, '_>) -> Result<Allow, ConfigError> {
        let rule = self.table(item, &keys::ALLOW_ENTRY)?;
        let [user, group, role] = [keys::USER, keys::GROUP, keys::ROLE];
        let name = |key: &Key| rule.map(key, |item| self.name(item));
        let (is_user, name) = match (name(&user)?, name(&group)?) {
            (Some(user), None) => (true, user),
            (None, Some(group)) => (false, group),
            (Some(_), Some(_)) | (None, None) => return Err(self.wrong(item)),
        };
        Ok(Allow { is_user, name, role: self.needed(&rule, &role, |item| self.parsed(item))? })
    }
}
