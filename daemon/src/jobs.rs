//! Work beside the engine: so much at once, so much in waiting, results one by one.

use std::collections::VecDeque;
use std::future::{Future, pending};
use std::pin::Pin;

use tokio::task::JoinSet;

type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A lane of work.
pub struct Lane<T> {
    running: JoinSet<T>,
    waiting: VecDeque<Work<T>>,
    at_once: usize,
}

impl<T: Send + 'static> Lane<T> {
    /// A lane that does so many pieces of work at once.
    pub fn new(at_once: usize) -> Self {
        Self { running: JoinSet::new(), waiting: VecDeque::new(), at_once }
    }

    /// How many pieces of work wait for their turn.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Adds a piece of work.
    pub fn push(&mut self, work: impl Future<Output = T> + Send + 'static) {
        self.waiting.push_back(Box::pin(work));
        self.start();
    }

    /// Waits for the next result; while there is no work, for ever. May be dropped at any time.
    pub async fn next(&mut self) -> T {
        while let Some(done) = self.running.join_next().await {
            self.start();
            match done {
                Ok(result) => return result,
                Err(error) => tracing::error!(%error, "a piece of work did not end"),
            }
        }
        pending().await
    }

    fn start(&mut self) {
        while self.running.len() < self.at_once {
            let Some(work) = self.waiting.pop_front() else {
                return;
            };
            self.running.spawn(work);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn no_more_runs_at_once_than_the_lane_allows() {
        let mut lane = Lane::new(2);
        let running = Arc::new(AtomicUsize::new(0));
        for _ in 0..6 {
            let running = Arc::clone(&running);
            lane.push(async move {
                let before = running.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                running.fetch_sub(1, Ordering::SeqCst);
                before
            });
        }
        assert_eq!(lane.waiting(), 4);
        let mut most = 0;
        for _ in 0..6 {
            most = most.max(lane.next().await);
        }
        assert_eq!((most, lane.waiting()), (1, 0));
    }
}
