//! Work beside the engine: so much at once, so much in waiting, results one by one.

use std::collections::VecDeque;
use std::future::{Future, pending};
use std::pin::Pin;

use bytchat_core::io::Input;
use tokio::task::JoinSet;

type Work = Pin<Box<dyn Future<Output = Input> + Send>>;

/// A lane of work whose results are inputs.
pub struct Lane {
    running: JoinSet<Input>,
    waiting: VecDeque<Work>,
    at_once: usize,
}

impl Lane {
    /// A lane that does so many pieces of work at once.
    pub fn new(at_once: usize) -> Self {
        Self {
            running: JoinSet::new(),
            waiting: VecDeque::new(),
            at_once,
        }
    }

    /// How many pieces of work wait for their turn.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Adds a piece of work.
    pub fn push(&mut self, work: impl Future<Output = Input> + Send + 'static) {
        self.waiting.push_back(Box::pin(work));
        self.start();
    }

    /// Waits for the next result; while there is no work, for ever. May be dropped at any time.
    pub async fn next(&mut self) -> Input {
        while let Some(done) = self.running.join_next().await {
            self.start();
            match done {
                Ok(input) => return input,
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
                Input::StoreSize {
                    bytes: before as u64,
                }
            });
        }
        assert_eq!(lane.waiting(), 4);
        let mut most = 0;
        for _ in 0..6 {
            let Input::StoreSize { bytes } = lane.next().await else {
                panic!("another input came out");
            };
            most = most.max(bytes);
        }
        assert_eq!((most, lane.waiting()), (1, 0));
    }
}
