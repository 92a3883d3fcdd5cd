//! Recent events, once in memory for all who follow them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytchat_core::io::Caller;
use bytchat_proto::id::UserId;
use bytchat_proto::limits::{EVENT_RING_BYTES_MAX, EVENT_RING_MAX};
use tokio::sync::watch;

/// The recent events of each Unix user that has followers.
#[derive(Debug, Default)]
pub struct Hub {
    feeds: Mutex<BTreeMap<u32, Arc<Feed>>>,
}

/// The events of one Unix user.
#[derive(Debug)]
struct Feed {
    ring: Mutex<Ring>,
    head: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Ring {
    events: VecDeque<Arc<Told>>,
    bytes: usize,
    followers: usize,
}

/// An event that is on disk.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) seq: u64,
    pub(super) account: UserId,
    pub(super) name: &'static str,
    pub(super) json: Arc<str>,
}

/// Somebody who follows the events of one Unix user, and of no other.
#[derive(Debug)]
pub struct Follower {
    hub: Arc<Hub>,
    uid: u32,
    feed: Arc<Feed>,
    head: watch::Receiver<u64>,
}

/// What there is after a number.
#[derive(Debug)]
pub(super) enum Recent {
    /// The next event.
    Event(Arc<Told>),
    /// Nothing yet.
    Nothing,
    /// More than is kept here: the log knows.
    Behind,
}

impl Hub {
    /// Tells an event that is on disk to all who follow its Unix user. Never waits.
    pub fn publish(
        &self,
        (uid, account): (u32, UserId),
        seq: u64,
        name: &'static str,
        json: Arc<str>,
    ) {
        let Some(feed) = self.feeds().get(&uid).cloned() else {
            return;
        };
        feed.ring().push(Told { seq, account, name, json });
        feed.head.send_replace(seq);
    }

    /// Follows the events of a caller from now on.
    pub fn follow(self: &Arc<Self>, caller: Caller) -> Follower {
        let uid = caller.uid;
        let mut feeds = self.feeds();
        let feed = feeds.entry(uid).or_insert_with(|| {
            Arc::new(Feed { ring: Mutex::default(), head: watch::channel(0).0 })
        });
        feed.ring().followers += 1;
        let (feed, head) = (Arc::clone(feed), feed.head.subscribe());
        Follower { hub: Arc::clone(self), uid, feed, head }
    }

    fn feeds(&self) -> MutexGuard<'_, BTreeMap<u32, Arc<Feed>>> {
        self.feeds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Feed {
    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn push(&mut self, told: Told) {
        self.bytes += told.json.len();
        self.events.push_back(Arc::new(told));
        let over =
            |ring: &Self| ring.events.len() > EVENT_RING_MAX || ring.bytes > EVENT_RING_BYTES_MAX;
        while self.events.len() > 1 && over(self) {
            self.bytes -= self.events.pop_front().map_or(0, |told| told.json.len());
        }
    }
}

impl Follower {
    /// What there is after a number.
    pub(super) fn after(&mut self, seq: u64) -> Recent {
        // What is published after this look wakes `changed`.
        self.head.borrow_and_update();
        let ring = self.feed.ring();
        let Some(oldest) = ring.events.front() else {
            return Recent::Nothing;
        };
        let Some(skip) = seq.saturating_add(1).checked_sub(oldest.seq) else {
            return Recent::Behind;
        };
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        // One at a time: what somebody holds is in memory for longer than the ring has it.
        ring.events.get(skip).map_or(Recent::Nothing, |told| Recent::Event(Arc::clone(told)))
    }

    /// Waits until there may be more.
    pub(super) async fn changed(&mut self) {
        self.head.changed().await.expect("a follower keeps its feed");
    }

    /// The number of the last event that was told while anybody followed.
    pub(super) fn head(&self) -> u64 {
        *self.head.borrow()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let mut feeds = self.hub.feeds();
        let mut ring = self.feed.ring();
        ring.followers -= 1;
        if ring.followers == 0 {
            feeds.remove(&self.uid);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: Caller = Caller { uid: 1_000 };
    const BEN: Caller = Caller { uid: 1_001 };

    fn publish(hub: &Hub, caller: Caller, seq: u64, json: &str) {
        hub.publish((caller.uid, UserId([1; 20])), seq, "message.state", json.into());
    }

    fn seq(recent: Recent) -> Option<u64> {
        match recent {
            Recent::Event(told) => Some(told.seq),
            Recent::Nothing => None,
            Recent::Behind => panic!("behind"),
        }
    }

    #[tokio::test]
    async fn a_follower_sees_its_own_user_s_events_and_no_other() {
        let hub = Arc::new(Hub::default());
        let (mut ann, mut ben) = (hub.follow(ANN), hub.follow(BEN));
        publish(&hub, ANN, 1, "a");
        publish(&hub, ANN, 2, "a");
        ann.changed().await;
        assert_eq!(seq(ann.after(0)), Some(1));
        assert_eq!(seq(ann.after(1)), Some(2));
        assert_eq!(seq(ann.after(2)), None);
        assert_eq!(seq(ben.after(0)), None);
    }

    #[test]
    fn who_is_too_slow_is_told_so_and_memory_is_bounded() {
        let hub = Arc::new(Hub::default());
        let mut slow = hub.follow(ANN);
        for seq in 1..=EVENT_RING_MAX as u64 + 1 {
            publish(&hub, ANN, seq, "small");
        }
        assert!(matches!(slow.after(0), Recent::Behind));
        assert_eq!(seq(slow.after(1)), Some(2));
        let large = "x".repeat(EVENT_RING_BYTES_MAX / 4);
        for seq in 1..=9 {
            publish(&hub, ANN, EVENT_RING_MAX as u64 + 1 + seq, &large);
        }
        let ring = slow.feed.ring();
        assert!(ring.bytes <= EVENT_RING_BYTES_MAX && ring.events.len() == 4, "{}", ring.bytes);
    }

    #[test]
    fn nothing_is_kept_for_nobody() {
        let hub = Arc::new(Hub::default());
        let (one, two) = (hub.follow(ANN), hub.follow(ANN));
        publish(&hub, ANN, 1, "a");
        drop(one);
        assert_eq!(hub.feeds().len(), 1);
        drop(two);
        assert!(hub.feeds().is_empty());
        publish(&hub, ANN, 2, "a");
        assert_eq!(seq(hub.follow(ANN).after(1)), None);
    }
}
