//! What was found of callers: who has a role and who has none, each for a moment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytchat_proto::limits::ROLES_KNOWN_MAX;
use bytchat_proto::rpc::Role;

use super::{Peer, Rules};

/// A role that was found.
#[derive(Clone, Copy, Debug)]
struct Found {
    role: Role,
    generation: u64,
}

/// What is known of a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// It was found lately.
    Fresh(Option<Role>),
    /// It was found a while ago, counts once more, and is to be looked up again.
    Stale(Role),
}

/// The rules, and what was found by them.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) rules: Arc<Rules>,
    /// What was found belongs to these rules and this moment, and to nothing later.
    pub(super) generation: u64,
    granted: BTreeMap<Peer, Found>,
    // However many strangers come, they push nobody out who has a role.
    refused: BTreeSet<Peer>,
    /// Unix users that had a role when they were looked up last.
    members: BTreeSet<u32>,
    /// Whose role is being looked up again.
    pub(super) renewing: BTreeSet<Peer>,
}

impl State {
    /// What is known of a caller, if anything is.
    pub(super) fn known(&self, peer: Peer) -> Option<Known> {
        if self.refused.contains(&peer) {
            return Some(Known::Fresh(None));
        }
        let found = self.granted.get(&peer)?;
        Some(match found.generation == self.generation {
            true => Known::Fresh(Some(found.role)),
            false => Known::Stale(found.role),
        })
    }

    /// Whether a Unix user had a role at the last look.
    pub(super) fn was_member(&self, uid: u32) -> bool {
        self.members.contains(&uid)
    }

    /// A moment has passed: who had no role is looked up anew, who had one keeps it for a moment
    /// more at most.
    pub(super) fn pass(&mut self) {
        let before = self.generation;
        self.generation += 1;
        self.granted.retain(|_, found| found.generation == before);
        self.refused.clear();
    }

    /// Takes other rules: nothing that was found counts any more.
    pub(super) fn set(&mut self, rules: Rules) {
        self.rules = Arc::new(rules);
        self.generation += 1;
        self.granted.clear();
        self.refused.clear();
    }

    pub(super) fn remember(&mut self, generation: u64, peer: Peer, role: Option<Role>) {
        if generation != self.generation {
            return;
        }
        let Some(role) = role else {
            self.granted.remove(&peer);
            if !self.granted.keys().any(|other| other.uid == peer.uid) {
                self.members.remove(&peer.uid);
            }
            if self.refused.len() >= ROLES_KNOWN_MAX {
                self.refused.clear();
            }
            self.refused.insert(peer);
            return;
        };
        if self.granted.len() >= ROLES_KNOWN_MAX {
            // One user may come by many groups of a namespace of its own.
            self.granted.retain(|other, _| other.uid != peer.uid);
        }
        if self.granted.len() >= ROLES_KNOWN_MAX {
            self.granted.clear();
        }
        if self.members.len() >= ROLES_KNOWN_MAX && !self.members.contains(&peer.uid) {
            self.members.clear();
        }
        self.refused.remove(&peer);
        self.members.insert(peer.uid);
        self.granted.insert(peer, Found { role, generation });
    }

    #[cfg(test)]
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.granted.len(), self.refused.len())
    }
}
