//! Waiting for what no call announces: looking again and again, but not for ever.

use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Whatever is waited for happens by then, also on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(90);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(25);

/// Looks until there is something to see.
///
/// # Panics
/// If it does not happen in time.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < end, "{what}: not in {PATIENCE:?}");
        pause(PAUSE);
    }
}

/// Lets time pass where nothing tells when to go on, as before a kill at a random instant.
pub fn pause(time: Duration) {
    let (never, told) = mpsc::channel::<()>();
    assert!(told.recv_timeout(time).is_err());
    drop(never);
}
