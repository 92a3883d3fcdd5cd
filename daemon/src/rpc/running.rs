//! Tokens by which sessions go on, so that these end when a token is removed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// A Unix user and the id of a token of it.
type Key = (u32, String);

/// The tokens that are in use.
#[derive(Debug, Default)]
pub(super) struct Running {
    ends: Mutex<BTreeMap<Key, Arc<watch::Sender<bool>>>>,
}

/// A token in use by one session.
#[derive(Debug)]
pub(super) struct Held {
    running: Arc<Running>,
    key: Key,
    end: Arc<watch::Sender<bool>>,
}

/// A token that is being removed.
#[derive(Debug)]
pub(super) struct Ending {
    running: Arc<Running>,
    key: Key,
}

impl Running {
    /// A session is about to use a token: what removes it from now on is heard.
    pub(super) fn hold(self: &Arc<Self>, uid: u32, id: String) -> Held {
        let key = (uid, id);
        let end = Arc::clone(self.lock().entry(key.clone()).or_default());
        Held { running: Arc::clone(self), key, end }
    }

    /// A token was removed.
    pub(super) fn end(&self, uid: u32, id: &str) {
        if let Some(end) = self.lock().remove(&(uid, id.to_owned())) {
            end.send_replace(true);
        }
    }

    /// A token is about to be removed: its sessions end when this is dropped.
    pub(super) fn ending(self: &Arc<Self>, uid: u32, id: String) -> Ending {
        Ending { running: Arc::clone(self), key: (uid, id) }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Arc<watch::Sender<bool>>>> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Waits until the token is removed.
    pub(super) async fn removed(&self) {
        // An error would mean that the sender is gone, which we hold.
        drop(self.end.subscribe().wait_for(|end| *end).await);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut ends = self.running.lock();
        let own = ends.get(&self.key).is_some_and(|end| Arc::ptr_eq(end, &self.end));
        // The one in the table, and ours.
        if own && Arc::strong_count(&self.end) <= 2 {
            ends.remove(&self.key);
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let (uid, id) = &self.key;
        self.running.end(*uid, id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_holds_a_token_hears_of_its_end_and_nothing_stays_behind() {
        let running = Arc::new(Running::default());
        let hold = |uid, id: &str| running.hold(uid, id.to_owned());
        let (one, two, other) = (hold(1, "a"), hold(1, "a"), hold(2, "a"));
        running.end(1, "a");
        one.removed().await;
        two.removed().await;
        // A later one of the same name is another one.
        let later = hold(1, "a");
        drop((one, two));
        assert_eq!(running.lock().len(), 2);
        for held in [&later, &other] {
            assert!(!*held.end.borrow());
        }
        drop((later, other));
        assert!(running.lock().is_empty());
    }
}
