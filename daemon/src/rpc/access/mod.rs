//! Who may what: the role of a caller, by its Unix user and groups, as the configuration says.

mod rules;
mod system;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytchat_proto::limits::{ROLE_LOOKUP_MS, ROLE_LOOKUPS_AT_ONCE, ROLES_KNOWN_MAX};
use bytchat_proto::rpc::{ErrorKind, Role, RpcError};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::{debug, warn};

pub use rules::{Rule, Rules, Who};
use system::{People, System};

/// Who calls, as the kernel says of the peer of the socket when it connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Peer {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// Gives roles to callers. Names and groups are looked up in the system's databases, which may
/// be slow: never on the threads that serve, few at once, and what was found is remembered for a
/// moment.
pub struct Access {
    own: u32,
    people: Arc<dyn People>,
    lookups: Arc<Semaphore>,
    patience: Duration,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    rules: Arc<Rules>,
    /// What was found belongs to these rules and to nothing later.
    generation: u64,
    known: BTreeMap<Peer, Option<Role>>,
}

impl Access {
    /// Roles by these rules; root and our own Unix user have all rights besides.
    pub fn new(rules: Rules) -> Self {
        Self::of(rustix::process::geteuid().as_raw(), rules, Arc::new(System))
    }

    fn of(own: u32, rules: Rules, people: Arc<dyn People>) -> Self {
        let state = State { rules: Arc::new(rules), ..State::default() };
        Self {
            own,
            people,
            lookups: Arc::new(Semaphore::new(ROLE_LOOKUPS_AT_ONCE)),
            patience: Duration::from_millis(ROLE_LOOKUP_MS),
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Takes other rules for who connects from now on.
    pub fn set(&self, rules: Rules) {
        let mut state = lock(&self.state);
        state.rules = Arc::new(rules);
        state.forget();
    }

    /// Lets all be looked up anew.
    pub(super) fn forget(&self) {
        lock(&self.state).forget();
    }

    /// Says in the log which of the names in the rules mean nobody on this machine. May block.
    pub fn check(&self) {
        let rules = Arc::clone(&lock(&self.state).rules);
        for rule in &rules.list {
            if rule.who.is_known(self.people.as_ref()) {
                continue;
            }
            let who = &rule.who;
            match rules.are_default {
                true => debug!(%who, "a rule of the default means nobody on this machine"),
                false => warn!(%who, "a rule under `allow` means nobody on this machine"),
            }
        }
    }

    /// The role of a caller, if it takes no time to say.
    pub(super) fn known(&self, peer: Peer) -> Option<Result<Role, RpcError>> {
        // SPEC 8.40: root and the daemon's own Unix user are admins whatever the rules say.
        if peer.uid == 0 || peer.uid == self.own {
            return Some(Ok(Role::Admin));
        }
        let state = lock(&self.state);
        let known = state.known.get(&peer)?;
        Some(known.ok_or_else(|| state.rules.stranger(peer.uid)))
    }

    /// The role of a caller.
    ///
    /// # Errors
    /// It has none, or nobody could say in time.
    pub(super) async fn role(&self, peer: Peer) -> Result<Role, RpcError> {
        let looked = timeout(self.patience, self.look(peer)).await;
        looked.unwrap_or_else(|_| {
            warn!(uid = peer.uid, "the system does not say in time which groups a caller has");
            let why = "the system took too long to say which groups you are in";
            Err(ErrorKind::Busy.because(why))
        })
    }

    async fn look(&self, peer: Peer) -> Result<Role, RpcError> {
        let permit = Arc::clone(&self.lookups).acquire_owned().await;
        let permit = permit.expect("nobody closes the lookups");
        if let Some(known) = self.known(peer) {
            return known;
        }
        let (people, state) = (Arc::clone(&self.people), Arc::clone(&self.state));
        // A lookup that hangs keeps its permit: there is no second one in its place.
        let looked = spawn_blocking(move || {
            let (rules, generation) = {
                let state = lock(&state);
                (Arc::clone(&state.rules), state.generation)
            };
            let role = rules.role(peer, people.as_ref());
            lock(&state).remember(generation, peer, role);
            drop(permit);
            role.ok_or_else(|| rules.stranger(peer.uid))
        });
        let failed = |error| Err(ErrorKind::Internal.because(format!("no role is known: {error}")));
        looked.await.unwrap_or_else(failed)
    }
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").field("own", &self.own).finish_non_exhaustive()
    }
}

impl State {
    fn forget(&mut self) {
        self.generation += 1;
        self.known.clear();
    }

    fn remember(&mut self, generation: u64, peer: Peer, role: Option<Role>) {
        if generation != self.generation {
            return;
        }
        if self.known.len() >= ROLES_KNOWN_MAX {
            self.known.clear();
        }
        self.known.insert(peer, role);
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
