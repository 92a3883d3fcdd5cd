//! What one session may: its role, and to what it was narrowed. It never gets more again.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytchat_core::io::Scope;
use bytchat_proto::id::UserId;
use bytchat_proto::limits::{RPC_TOKENS_PER_CLIENT_MAX, SESSION_END_CHECK_MS};
use bytchat_proto::rpc::event::matches;
use bytchat_proto::rpc::session::{Narrowing, Session};
use bytchat_proto::rpc::{Call, ErrorKind, Role, RpcError};
use bytchat_proto::timestamp::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::running::Held;

/// What a session may always: to see what it is, and to give up more.
const ALWAYS: [&str; 2] = ["session.show", "session.restrict"];

/// Asks what the wall's clock says.
#[derive(Clone)]
pub(super) struct Wall(Arc<dyn Fn() -> Timestamp + Send + Sync>);

/// What one session may; clones are of the same session.
#[derive(Clone, Debug)]
pub(super) struct Grant(Arc<Cell>);

#[derive(Debug)]
struct Cell {
    limits: Mutex<Arc<Limits>>,
    over: watch::Sender<bool>,
    ends: Mutex<Ends>,
    wall: Wall,
}

/// What it is limited to by now.
#[derive(Clone, Debug)]
struct Limits {
    role: Role,
    scope: Option<Arc<Scope>>,
    methods: Option<BTreeSet<&'static str>>,
    until: Option<Timestamp>,
}

/// What waits for the end of a session; it ends with the session.
#[derive(Debug, Default)]
struct Ends {
    until: JoinSet<()>,
    tokens: JoinSet<()>,
}

impl Grant {
    /// A session that nothing narrows but its role.
    pub(super) fn new(role: Role, wall: Wall) -> Self {
        Self::of(Limits { role, scope: None, methods: None, until: None }, wall)
    }

    fn of(limits: Limits, wall: Wall) -> Self {
        let (limits, over) = (Mutex::new(Arc::new(limits)), watch::channel(false).0);
        Self(Arc::new(Cell { limits, over, ends: Mutex::default(), wall }))
    }

    /// The same rights for a session of its own, as each HTTP request is one.
    pub(super) fn apart(&self) -> Self {
        Self::of(Limits::clone(&self.limits()), self.0.wall.clone())
    }

    // SPEC 8.40, SPEC 8.42: a role and the methods that are left say what may be called.
    /// Tells whether something may be called that takes a role.
    pub(super) fn permit(&self, what: &str, needed: Role) -> Result<(), RpcError> {
        let limits = self.limits();
        if limits.until.is_some_and(|end| self.0.wall.is(end)) {
            self.0.over.send_replace(true);
        }
        if *self.0.over.borrow() {
            return Err(over());
        }
        if limits.role < needed {
            let error = format!("{what} takes the role {needed}, and you have {}", limits.role);
            return Err(ErrorKind::NotPermitted.because(error));
        }
        let left = limits.methods.as_ref().is_none_or(|methods| methods.contains(what));
        if !left && !ALWAYS.contains(&what) {
            let shown: String = what.chars().take(80).collect();
            let error = format!("{shown} is not among the methods that this session is left with");
            return Err(ErrorKind::NotPermitted.because(error));
        }
        Ok(())
    }

    /// What the engine is to know of it.
    pub(super) fn scope(&self) -> Option<Arc<Scope>> {
        self.limits().scope.clone()
    }

    /// Tells whether there is an account for this session.
    pub(super) fn sees(&self, account: UserId) -> bool {
        self.limits().scope.as_ref().is_none_or(|scope| scope.has(account))
    }

    /// Waits until the session is over, as its token or its time is.
    pub(super) async fn over(&self) -> RpcError {
        // The sender is ours.
        drop(self.0.over.subscribe().wait_for(|over| *over).await);
        over()
    }

    // SPEC 8.42: narrowing only takes away.
    /// Gives up what a narrowing does not leave.
    ///
    /// # Errors
    /// Too many tokens were presented.
    pub(super) fn narrow(&self, to: Narrowing, held: Option<Held>) -> Result<(), RpcError> {
        let mut ends = lock(&self.0.ends);
        if held.is_some() && ends.tokens.len() >= RPC_TOKENS_PER_CLIENT_MAX {
            let error = format!("a connection presents at most {RPC_TOKENS_PER_CLIENT_MAX} tokens");
            return Err(ErrorKind::Quota.because(error));
        }
        let mut limits = lock(&self.0.limits);
        let sooner = to.until.is_some_and(|end| limits.until.is_none_or(|old| end < old));
        *limits = Arc::new(limits.narrowed(&to));
        drop(limits);
        if let Some(held) = held {
            let over = self.0.over.clone();
            ends.tokens.spawn(async move {
                held.removed().await;
                over.send_replace(true);
            });
        }
        if let Some((end, left_ms)) = to.until.zip(to.left_ms).filter(|_| sooner) {
            let (over, wall) = (self.0.over.clone(), self.0.wall.clone());
            // The later one is given up.
            ends.until = JoinSet::new();
            ends.until.spawn(async move {
                wall.until(end, left_ms).await;
                over.send_replace(true);
            });
        }
        Ok(())
    }

    /// What front ends are told of it.
    pub(super) fn show(&self, uid: u32) -> Session {
        let limits = self.limits();
        let methods = limits.methods.as_ref();
        Session {
            uid,
            role: limits.role,
            narrowed: limits.scope.is_some(),
            accounts: limits.scope.as_ref().and_then(|scope| scope.accounts.clone()),
            methods: methods.map(|all| all.iter().map(|name| (*name).to_owned()).collect()),
            until: limits.until,
        }
    }

    fn limits(&self) -> Arc<Limits> {
        Arc::clone(&lock(&self.0.limits))
    }
}

impl Wall {
    pub(super) fn new(time: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(time))
    }

    fn is(&self, end: Timestamp) -> bool {
        end <= (self.0)()
    }

    // SPEC 8.44: what goes on by a token ends when its time is up.
    /// Waits for a time by either clock: the steady one stands still while the machine sleeps, and
    /// the wall's may be set back.
    async fn until(&self, end: Timestamp, mut left_ms: u64) {
        while left_ms > 0 && !self.is(end) {
            let step_ms = left_ms.min(SESSION_END_CHECK_MS);
            sleep(Duration::from_millis(step_ms)).await;
            left_ms -= step_ms;
        }
    }
}

impl std::fmt::Debug for Wall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wall")
    }
}

impl Limits {
    fn narrowed(&self, to: &Narrowing) -> Self {
        let own = self.scope.as_ref().and_then(|scope| scope.accounts.as_ref());
        let accounts = match (own, &to.accounts) {
            (Some(own), Some(to)) => {
                Some(own.iter().filter(|user| to.contains(user)).copied().collect())
            }
            (own, to) => own.or(to.as_ref()).cloned(),
        };
        let left = |name: &str| self.methods.as_ref().is_none_or(|own| own.contains(name));
        let methods = match &to.methods {
            None => self.methods.clone(),
            Some(to) => Some(
                Call::METHODS
                    .iter()
                    .copied()
                    .filter(|name| left(name) && to.iter().any(|pattern| matches(pattern, name)))
                    .collect(),
            ),
        };
        let until = [self.until, to.until].into_iter().flatten().min();
        let role = to.role.map_or(self.role, |role| role.min(self.role));
        Self { role, scope: Some(Arc::new(Scope { accounts })), methods, until }
    }
}

fn over() -> RpcError {
    ErrorKind::BadToken.because("this session is over: its token was removed, or its time is up")
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::super::running::Running;
    use super::*;

    const A: UserId = UserId([1; 20]);
    const B: UserId = UserId([2; 20]);

    fn grant() -> Grant {
        Grant::new(Role::Send, Wall::new(|| Timestamp(0)))
    }

    fn methods(list: &[&str]) -> Option<Vec<String>> {
        Some(list.iter().map(|name| (*name).to_owned()).collect())
    }

    fn narrow(grant: &Grant, to: Narrowing) {
        grant.narrow(to, None).unwrap();
    }

    fn may(grant: &Grant, method: &str, role: Role) -> bool {
        grant.permit(method, role).is_ok()
    }

    #[test]
    fn narrowing_only_takes_away() {
        let grant = grant();
        assert!(
            may(&grant, "message.send", Role::Send) && !may(&grant, "node.config", Role::Admin)
        );
        narrow(&grant, Narrowing { role: Some(Role::Admin), ..Narrowing::default() });
        assert_eq!(grant.show(1).role, Role::Send);
        assert!(grant.show(1).narrowed);
        narrow(&grant, Narrowing { role: Some(Role::Read), ..Narrowing::default() });
        narrow(&grant, Narrowing { role: Some(Role::Send), ..Narrowing::default() });
        assert!(!may(&grant, "message.send", Role::Send));

        let to = |accounts: &[UserId]| Some(accounts.to_vec());
        narrow(&grant, Narrowing { accounts: to(&[A, B]), ..Narrowing::default() });
        narrow(&grant, Narrowing { accounts: to(&[A]), ..Narrowing::default() });
        assert!(grant.sees(A) && !grant.sees(B));
        narrow(&grant, Narrowing { accounts: to(&[B]), ..Narrowing::default() });
        assert!(!grant.sees(A) && !grant.sees(B));

        let only = methods(&["message.*", "event.list"]);
        narrow(&grant, Narrowing { methods: only, ..Narrowing::default() });
        narrow(
            &grant,
            Narrowing { methods: methods(&["event.*", "message.show"]), ..Narrowing::default() },
        );
        assert!(may(&grant, "message.show", Role::Read) && may(&grant, "event.list", Role::Read));
        narrow(&grant, Narrowing { methods: methods(&["*"]), ..Narrowing::default() });
        assert!(!may(&grant, "message.inbox", Role::Read));
        assert!(!may(&grant, "event.subscribe", Role::Read));
        for method in ALWAYS {
            assert!(may(&grant, method, Role::Observe));
        }
    }

    #[test]
    fn an_http_request_narrows_itself_alone() {
        let grant = grant();
        let request = grant.apart();
        narrow(&request, Narrowing { role: Some(Role::Observe), ..Narrowing::default() });
        assert!(may(&grant, "message.send", Role::Send));
        assert!(!may(&request, "message.send", Role::Send));
        assert!(!may(&request.apart(), "message.send", Role::Send));
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_is_over_at_the_earliest_of_its_ends() {
        let grant = grant();
        let until = |ms| Narrowing {
            until: Some(Timestamp(ms)),
            left_ms: Some(ms),
            ..Narrowing::default()
        };
        narrow(&grant, until(60_000));
        narrow(&grant, until(1_000));
        narrow(&grant, until(90_000));
        let begun = tokio::time::timeout(Duration::from_millis(999), grant.over()).await;
        assert!(begun.is_err() && may(&grant, "node.status", Role::Observe));
        let error = grant.over().await;
        assert_eq!(grant.permit("session.show", Role::Observe), Err(error));
        assert_eq!(grant.show(1).until, Some(Timestamp(1_000)));
    }

    #[tokio::test]
    async fn a_token_that_is_removed_ends_the_sessions_by_it_alone() {
        let running = Arc::new(Running::default());
        let (one, other) = (grant(), grant());
        let hold = |id: &str| Some(running.hold(1, id.to_owned()));
        one.narrow(Narrowing::default(), hold("a")).unwrap();
        other.narrow(Narrowing::default(), hold("b")).unwrap();
        running.end(1, "a");
        assert_eq!(one.over().await.kind, ErrorKind::BadToken);
        assert!(may(&other, "node.status", Role::Observe));
        for _ in 1..RPC_TOKENS_PER_CLIENT_MAX {
            other.narrow(Narrowing::default(), hold("b")).unwrap();
        }
        let error = other.narrow(Narrowing::default(), hold("b")).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Quota);
    }
}
