//! Who may what: the role of a caller, by its Unix user and groups, as the configuration says.

mod known;
mod rules;
mod system;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytchat_proto::limits::{ROLE_LOOKUP_MS, ROLE_LOOKUPS_AT_ONCE};
use bytchat_proto::rpc::{ErrorKind, Role, RpcError};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::{debug, warn};

use known::{Known, State};
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
    /// Those of users who had a role before: no crowd of strangers keeps them waiting.
    members_lookups: Arc<Semaphore>,
    patience: Duration,
    state: Arc<Mutex<State>>,
}

/// A role that is to be looked up again while it still counts.
#[derive(Debug)]
pub(super) struct Renewal {
    access: Arc<Access>,
    peer: Peer,
}

impl Access {
    /// Roles by these rules; root and our own Unix user have all rights besides.
    pub fn new(rules: Rules) -> Self {
        Self::of(rustix::process::geteuid().as_raw(), rules, Arc::new(System))
    }

    fn of(own: u32, rules: Rules, people: Arc<dyn People>) -> Self {
        let mut state = State::default();
        state.set(rules);
        Self {
            own,
            people,
            lookups: Arc::new(Semaphore::new(ROLE_LOOKUPS_AT_ONCE)),
            members_lookups: Arc::new(Semaphore::new(ROLE_LOOKUPS_AT_ONCE)),
            patience: Duration::from_millis(ROLE_LOOKUP_MS),
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Takes other rules for who connects from now on.
    pub fn set(&self, rules: Rules) {
        lock(&self.state).set(rules);
    }

    /// A moment has passed: lets all be looked up anew.
    pub(super) fn pass(&self) {
        lock(&self.state).pass();
    }

    /// Whether a Unix user had a role at the last look.
    pub(super) fn was_member(&self, uid: u32) -> bool {
        lock(&self.state).was_member(uid)
    }

    /// What is to be done for a caller whose role still counts and is old.
    pub(super) fn renewal(self: &Arc<Self>, peer: Peer) -> Option<Renewal> {
        let mut state = lock(&self.state);
        let old = matches!(state.known(peer), Some(Known::Stale(_)));
        let begun = old && state.renewing.insert(peer);
        begun.then(|| Renewal { access: Arc::clone(self), peer })
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
        let role = match state.known(peer)? {
            Known::Fresh(role) => role,
            Known::Stale(role) => Some(role),
        };
        Some(role.ok_or_else(|| state.rules.stranger(peer.uid)))
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

    /// The role of a caller, if it was looked up lately.
    fn fresh(&self, peer: Peer) -> Option<Result<Role, RpcError>> {
        let stale = matches!(lock(&self.state).known(peer), Some(Known::Stale(_)));
        self.known(peer).filter(|_| !stale)
    }

    async fn look(&self, peer: Peer) -> Result<Role, RpcError> {
        let lookups = match self.was_member(peer.uid) {
            true => &self.members_lookups,
            false => &self.lookups,
        };
        let permit = Arc::clone(lookups).acquire_owned().await;
        let permit = permit.expect("nobody closes the lookups");
        if let Some(fresh) = self.fresh(peer) {
            return fresh;
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

impl Renewal {
    /// Looks the role up again, for who comes next.
    pub(super) async fn run(self) {
        if let Err(why) = self.access.role(self.peer).await {
            debug!(uid = self.peer.uid, %why, "a role was looked up again in vain");
        }
    }
}

impl Drop for Renewal {
    fn drop(&mut self) {
        lock(&self.access.state).renewing.remove(&self.peer);
    }
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").field("own", &self.own).finish_non_exhaustive()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
