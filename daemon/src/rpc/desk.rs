//! What all front ends share: how many there may be, how patient we are, and what is counted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytchat_proto::limits::{
    CALLS_MAX, EVENT_HEARTBEAT_MS, EVENT_REPLAY_RETRY_MS, EVENT_REPLAYS_AT_ONCE,
    EVENT_REPLAYS_PER_USER_AT_ONCE, RPC_ANSWER_MS, RPC_BYTES_MAX, RPC_BYTES_PER_USER_MAX,
    RPC_CALLS_PER_USER_MAX, RPC_CLIENTS_MAX, RPC_CLIENTS_PER_USER_MAX, RPC_FIRST_BYTE_MS,
    RPC_GONE_CHECK_MS, RPC_HALF_REQUEST_MS, RPC_KNOCKS_MAX, RPC_KNOCKS_PER_USER_MAX,
    RPC_PAGES_AT_ONCE, RPC_PAGES_PER_USER_AT_ONCE, RPC_STOP_GRACE_MS, RPC_SUBSCRIPTIONS_MAX,
    RPC_SUBSCRIPTIONS_PER_USER_MAX, RPC_TURN_AWAY_MS, RPC_TURNED_AWAY_MAX, RPC_WRITE_TIMEOUT_MS,
};
use bytchat_proto::rpc::openrpc;
use jsonrpsee::core::server::Methods;
use tokio::sync::{Semaphore, watch};
use tokio::time::sleep;

use super::Service;
use super::access::Access;
use super::dialect::Dialect;
use super::methods::methods;
use super::quota::Quota;
use super::running::Running;
use super::turns::Turns;

/// How much front ends may have, and how long they may be slow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) clients: usize,
    pub(super) clients_per_user: usize,
    pub(super) subscriptions_per_user: usize,
    pub(super) calls_per_user: usize,
    pub(super) bytes_per_user: usize,
    pub(super) answer: Duration,
    pub(super) write: Duration,
    pub(super) gone_check: Duration,
    pub(super) first_byte: Duration,
    pub(super) half_request: Duration,
    pub(super) turn_away: Duration,
    pub(super) heartbeat: Duration,
    pub(super) replay_retry: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            clients: RPC_CLIENTS_MAX,
            clients_per_user: RPC_CLIENTS_PER_USER_MAX,
            subscriptions_per_user: RPC_SUBSCRIPTIONS_PER_USER_MAX,
            calls_per_user: RPC_CALLS_PER_USER_MAX,
            bytes_per_user: RPC_BYTES_PER_USER_MAX,
            answer: Duration::from_millis(RPC_ANSWER_MS),
            write: Duration::from_millis(RPC_WRITE_TIMEOUT_MS),
            gone_check: Duration::from_millis(RPC_GONE_CHECK_MS),
            first_byte: Duration::from_millis(RPC_FIRST_BYTE_MS),
            half_request: Duration::from_millis(RPC_HALF_REQUEST_MS),
            turn_away: Duration::from_millis(RPC_TURN_AWAY_MS),
            heartbeat: Duration::from_millis(EVENT_HEARTBEAT_MS),
            replay_retry: Duration::from_millis(EVENT_REPLAY_RETRY_MS),
        }
    }
}

/// What all front ends share.
pub(super) struct Desk {
    pub(super) methods: Methods,
    pub(super) service: Arc<dyn Service>,
    pub(super) bounds: Bounds,
    pub(super) access: Arc<Access>,
    pub(super) running: Arc<Running>,
    pub(super) knocks: Arc<Quota>,
    /// Of users who had a role before: strangers take none of these places.
    pub(super) members_knocks: Arc<Quota>,
    /// Of those that are told why they are turned away.
    pub(super) farewells: Arc<Semaphore>,
    pub(super) clients: Arc<Quota>,
    pub(super) subscriptions: Arc<Quota>,
    pub(super) calls: Arc<Quota>,
    /// What is held for front ends: requests, answers and events.
    pub(super) bytes: Arc<Quota>,
    /// Calls whose answers may be large.
    pub(super) pages: Turns,
    pub(super) replays: Turns,
    pub(super) counts: Counts,
    stop: watch::Receiver<bool>,
}

impl Desk {
    pub(super) fn new(
        service: Arc<dyn Service>,
        access: Arc<Access>,
        bounds: Bounds,
        stop: watch::Receiver<bool>,
    ) -> Self {
        Self {
            methods: methods(),
            service,
            access,
            running: Arc::default(),
            knocks: knocks(),
            members_knocks: knocks(),
            farewells: Arc::new(Semaphore::new(RPC_TURNED_AWAY_MAX)),
            clients: Quota::new("front ends", bounds.clients, bounds.clients_per_user),
            subscriptions: Quota::new(
                "subscriptions",
                RPC_SUBSCRIPTIONS_MAX,
                bounds.subscriptions_per_user,
            ),
            calls: Quota::new("calls", CALLS_MAX, bounds.calls_per_user),
            bytes: Quota::new(
                "bytes of requests and answers",
                RPC_BYTES_MAX,
                bounds.bytes_per_user,
            ),
            pages: Turns::new(RPC_PAGES_AT_ONCE, RPC_PAGES_PER_USER_AT_ONCE),
            replays: Turns::new(EVENT_REPLAYS_AT_ONCE, EVENT_REPLAYS_PER_USER_AT_ONCE),
            counts: Counts::new(),
            bounds,
            stop,
        }
    }

    /// Waits until the daemon is to stop.
    pub(super) async fn stopped(&self) {
        // An error means that the sender is gone, which is a stop as well.
        drop(self.stop.clone().wait_for(|stop| *stop).await);
    }

    /// Waits until the daemon is to stop, and a moment longer.
    pub(super) async fn closing(&self) {
        self.stopped().await;
        sleep(Duration::from_millis(RPC_STOP_GRACE_MS)).await;
    }
}

fn knocks() -> Arc<Quota> {
    Quota::new("front ends waiting", RPC_KNOCKS_MAX, RPC_KNOCKS_PER_USER_MAX)
}

/// What is counted for `GET /metrics`; its labels are known beforehand.
#[derive(Debug)]
pub(super) struct Counts {
    calls: BTreeMap<&'static str, [AtomicU64; 2]>,
    dialects: [AtomicU64; Dialect::ALL.len()],
    pub(super) turned_away: AtomicU64,
    pub(super) events: AtomicU64,
}

/// The label of what is no method.
const UNKNOWN: &str = "unknown";

/// A front end that is counted under its dialect, until this is dropped.
#[derive(Debug)]
pub(super) struct Speaking {
    desk: Arc<Desk>,
    dialect: Dialect,
}

impl Counts {
    fn new() -> Self {
        let names = openrpc::methods().map(|method| method.name).chain([UNKNOWN]);
        Self {
            calls: names.map(|name| (name, <[AtomicU64; 2]>::default())).collect(),
            dialects: Default::default(),
            turned_away: AtomicU64::default(),
            events: AtomicU64::default(),
        }
    }

    pub(super) fn called(&self, method: &str, good: bool) {
        let counts = self.calls.get(method).or_else(|| self.calls.get(UNKNOWN));
        if let Some(count) = counts.and_then(|counts| counts.get(usize::from(good))) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Every method with its failed and its good calls.
    pub(super) fn calls(&self) -> impl Iterator<Item = (&'static str, u64, u64)> {
        self.calls.iter().map(|(name, [failed, good])| {
            (*name, failed.load(Ordering::Relaxed), good.load(Ordering::Relaxed))
        })
    }

    pub(super) fn speaking(&self, dialect: Dialect) -> u64 {
        self.dialects[dialect as usize].load(Ordering::Relaxed)
    }
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").field("bounds", &self.bounds).finish_non_exhaustive()
    }
}

impl Speaking {
    pub(super) fn new(desk: &Arc<Desk>, dialect: Dialect) -> Self {
        desk.counts.dialects[dialect as usize].fetch_add(1, Ordering::Relaxed);
        Self { desk: Arc::clone(desk), dialect }
    }
}

impl Drop for Speaking {
    fn drop(&mut self) {
        self.desk.counts.dialects[self.dialect as usize].fetch_sub(1, Ordering::Relaxed);
    }
}
