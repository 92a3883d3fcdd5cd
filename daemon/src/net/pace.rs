//! How fast the frames of one link go up to the engine: each is work there, whatever is in it.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::gate::lock;
use super::limits::{FRAME_COST, FRAME_COST_PER_KIB, FRAMES_SAVED};

/// The pace of one link.
#[derive(Debug)]
pub(crate) struct Pace {
    started: Instant,
    /// Until when the frames that went up have paid.
    paid: Mutex<Duration>,
}

impl Pace {
    #[expect(clippy::disallowed_methods, reason = "frames are paced in the time of the sockets")]
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), paid: Mutex::new(Duration::ZERO) }
    }

    /// Waits until a frame of so many bytes may go up. Nothing more is read meanwhile, so that the
    /// windows of the transport slow the peer down.
    pub(crate) async fn turn(&self, bytes: usize) {
        let wait = self.wait(bytes, self.started.elapsed());
        if !wait.is_zero() {
            sleep(wait).await;
        }
    }

    /// How long a frame has to wait that is there now.
    fn wait(&self, bytes: usize, now: Duration) -> Duration {
        let kibibytes = u32::try_from(bytes / 1024).unwrap_or(u32::MAX);
        let cost = FRAME_COST + FRAME_COST_PER_KIB.saturating_mul(kibibytes);
        let mut paid = lock(&self.paid);
        *paid = (*paid).max(now) + cost;
        paid.saturating_sub(now + FRAMES_SAVED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::limits::FRAME_BYTES_MAX;

    /// How many frames of a size go up at once.
    fn at_once(pace: &Pace, bytes: usize, now: Duration) -> usize {
        (0..1_000_000).take_while(|_| pace.wait(bytes, now).is_zero()).count()
    }

    #[test]
    fn a_link_goes_up_in_a_burst_and_then_at_its_pace() {
        let pace = Pace::new();
        assert_eq!(at_once(&pace, 100, Duration::ZERO), 2_000);
        assert_eq!(pace.wait(100, Duration::ZERO), 2 * FRAME_COST);
        // What waited is paid for; a second later there is a second's worth again, and no more.
        let later = Duration::from_secs(1) + 2 * FRAME_COST;
        assert_eq!(at_once(&pace, 100, later), 2_000);
        assert_eq!(at_once(&pace, 100, Duration::from_secs(1_000)), 2_000);
    }

    #[test]
    fn long_frames_cost_more() {
        let pace = Pace::new();
        let frames = at_once(&pace, FRAME_BYTES_MAX, Duration::ZERO);
        assert!((100..150).contains(&frames), "{frames}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_sends_too_much_is_not_read_for_a_while() {
        let pace = Pace::new();
        for _ in 0..4_000 {
            pace.turn(100).await;
        }
        let took = pace.started.elapsed();
        assert!((Duration::from_millis(900)..Duration::from_secs(3)).contains(&took), "{took:?}");
    }
}
