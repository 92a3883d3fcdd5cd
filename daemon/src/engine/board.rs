//! What the node last said of how it stands, for all who ask before anything changes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use bytchat_core::time::Mono;
use bytchat_proto::limits::STATUS_FRESH_MS;
use serde_json::Value;

/// The last answer to `node.status`, as long as it is true.
#[derive(Debug, Default)]
pub(super) struct Board {
    changes: AtomicU64,
    shown: Mutex<Option<Shown>>,
}

#[derive(Debug)]
struct Shown {
    status: Value,
    at: Mono,
    /// How many changes there had been when it was asked for.
    changes: u64,
}

impl Board {
    /// The engine is about to decide something that may change how the node stands. What comes of
    /// it is seen later than this.
    pub(super) fn change(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    /// How often it may have changed; to be asked before the engine is.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    /// Keeps an answer of the engine.
    pub(super) fn show(&self, status: &Value, at: Mono, changes: u64) {
        let shown = Shown { status: status.clone(), at, changes };
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(shown);
    }

    /// How the node stands, unless the engine has to be asked.
    pub(super) fn status(&self, now: Mono) -> Option<Value> {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = shown.as_ref().filter(|shown| shown.changes == self.changes())?;
        let age = now.since_ms(shown.at);
        if age >= STATUS_FRESH_MS {
            return None;
        }
        let mut status = shown.status.clone();
        let uptime = status["uptime_ms"].as_u64()?;
        status["uptime_ms"] = (uptime + age).into();
        Some(status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_shown_is_true_and_fresh_or_not_shown() {
        let board = Board::default();
        assert_eq!(board.status(Mono(0)), None);
        let asked = board.changes();
        board.show(&json!({ "uptime_ms": 5, "links": 1 }), Mono(10), asked);
        assert_eq!(board.status(Mono(13)), Some(json!({ "uptime_ms": 8, "links": 1 })));
        assert_eq!(board.status(Mono(10 + STATUS_FRESH_MS)), None);
        board.change();
        assert_eq!(board.status(Mono(10)), None);
        // An answer that was asked for before the change is not believed either.
        board.show(&json!({ "uptime_ms": 5, "links": 1 }), Mono(10), asked);
        assert_eq!(board.status(Mono(10)), None);
    }
}
