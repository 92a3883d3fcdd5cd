//! Turns at what takes much memory for a moment: so many at once, and so many of one Unix user.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Turns at something; who finds none waits, behind those of the same user first.
#[derive(Debug)]
pub(super) struct Turns {
    all: Arc<Semaphore>,
    per_user: usize,
    /// Users who have a turn or wait for one.
    of: Mutex<BTreeMap<u32, Weak<Semaphore>>>,
}

/// A turn, until this is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    _all: OwnedSemaphorePermit,
    _own: OwnedSemaphorePermit,
}

impl Turns {
    pub(super) fn new(max: usize, per_user: usize) -> Self {
        let all = Arc::new(Semaphore::new(max));
        Self { all, per_user, of: Mutex::default() }
    }

    // SPEC 8.7: no Unix user takes all places.
    /// Waits for a turn.
    pub(super) async fn take(&self, uid: u32) -> Turn {
        let own = acquired(self.share(uid)).await;
        let all = acquired(Arc::clone(&self.all)).await;
        Turn { _all: all, _own: own }
    }

    fn share(&self, uid: u32) -> Arc<Semaphore> {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = of.get(&uid).and_then(Weak::upgrade) {
            return share;
        }
        of.retain(|_, share| share.strong_count() > 0);
        let share = Arc::new(Semaphore::new(self.per_user));
        of.insert(uid, Arc::downgrade(&share));
        share
    }
}

async fn acquired(turns: Arc<Semaphore>) -> OwnedSemaphorePermit {
    turns.acquire_owned().await.expect("turns are never closed")
}

#[cfg(test)]
mod tests {
    use std::future::{Future, poll_fn};
    use std::pin::pin;
    use std::task::Poll;

    use super::*;

    async fn is_ready(turn: &mut (impl Future<Output = Turn> + Unpin)) -> Option<Turn> {
        poll_fn(|cx| {
            Poll::Ready(match std::pin::Pin::new(&mut *turn).poll(cx) {
                Poll::Ready(turn) => Some(turn),
                Poll::Pending => None,
            })
        })
        .await
    }

    #[tokio::test]
    async fn no_user_takes_all_turns_and_who_is_gone_is_forgotten() {
        let turns = Turns::new(3, 2);
        let held = [turns.take(1).await, turns.take(1).await];
        let mut third = pin!(turns.take(1));
        assert!(is_ready(&mut third).await.is_none());
        let other = turns.take(2).await;
        let mut more = pin!(turns.take(2));
        assert!(is_ready(&mut more).await.is_none());
        drop(held);
        let (third, more) = (is_ready(&mut third).await, is_ready(&mut more).await);
        assert!(third.is_some() && more.is_some());
        drop((third, more, other));
        drop(turns.take(3).await);
        assert_eq!(turns.of.lock().unwrap().len(), 1);
    }
}
