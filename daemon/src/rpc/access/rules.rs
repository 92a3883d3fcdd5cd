//! The rules that give roles: a user or a group, and what it may.

use std::fmt;

use bytchat_proto::rpc::{ErrorKind, Role, RpcError};

use super::Peer;
use super::system::People;

/// The uid that the kernel gives for all who are in no user namespace that we see: one number for
/// many people.
const OUTSIDERS: u32 = 65_534;

/// Whom a rule means, by name or number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// One Unix user.
    User(String),
    /// The members of a group.
    Group(String),
}

/// What somebody may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Whom it means.
    pub who: Who,
    /// What they may.
    pub role: Role,
}

/// All rules; the highest role that matches counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// The rules, in no order that matters.
    pub list: Vec<Rule>,
    /// Nobody wrote them down: what they name need not exist.
    pub are_default: bool,
}

impl Rules {
    // SPEC 8.40: the highest role that matches counts.
    /// The role of a caller, if it has any. May block.
    pub(super) fn role(&self, peer: Peer, people: &dyn People) -> Option<Role> {
        let mut groups = None;
        let mut found = None;
        for rule in &self.list {
            if found.is_some_and(|found| found >= rule.role) {
                continue;
            }
            let meant = match &rule.who {
                Who::User(name) => uid(name, people) == Some(peer.uid),
                Who::Group(_) if peer.uid == OUTSIDERS => false,
                Who::Group(name) => gid(name, people).is_some_and(|gid| {
                    let groups = groups.get_or_insert_with(|| people.groups_of(peer.uid));
                    gid == peer.gid || groups.contains(&gid)
                }),
            };
            if meant {
                found = Some(rule.role);
            }
        }
        found
    }

    /// What somebody without a role is told.
    pub(super) fn stranger(&self, uid: u32) -> RpcError {
        let usual = [Role::Send, Role::Read, Role::Observe, Role::Admin];
        let group = usual.iter().find_map(|role| {
            let of_role = self.list.iter().filter(|rule| rule.role == *role);
            of_role.filter_map(|rule| rule.who.group()).next()
        });
        let what = format!("the Unix user {uid} may not use this daemon");
        ErrorKind::NotPermitted.because(match group {
            Some(group) => format!(
                "{what}: who is in the group {group} may, `sudo usermod -aG {group} $USER` joins it"
            ),
            None => format!("{what}: its configuration names under `allow` who may"),
        })
    }
}

impl Who {
    fn group(&self) -> Option<&str> {
        match self {
            Self::Group(name) => Some(name),
            Self::User(_) => None,
        }
    }

    /// Whether the system knows somebody of that name; numbers mean themselves.
    pub(super) fn is_known(&self, people: &dyn People) -> bool {
        match self {
            Self::User(name) => uid(name, people).is_some(),
            Self::Group(name) => gid(name, people).is_some(),
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => write!(f, "user {name}"),
            Self::Group(name) => write!(f, "group {name}"),
        }
    }
}

fn uid(name: &str, people: &dyn People) -> Option<u32> {
    name.parse().ok().or_else(|| people.uid(name))
}

fn gid(name: &str, people: &dyn People) -> Option<u32> {
    name.parse().ok().or_else(|| people.gid(name))
}
