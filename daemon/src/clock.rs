//! The only file that reads a clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytchat_core::time::{Mono, Now};
use bytchat_proto::timestamp::Timestamp;
use tokio::time::Instant;

/// The clocks of this process.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that starts at zero now.
    #[expect(clippy::disallowed_methods, reason = "this is the clock that all others ask")]
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Both clocks at this instant.
    #[expect(clippy::disallowed_methods, reason = "this is the clock that all others ask")]
    pub fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { mono: Mono(millis(self.start.elapsed())), wall: Timestamp(millis(wall)) }
    }

    /// The timer's name for an instant.
    pub fn instant(&self, at: Mono) -> Instant {
        let far = self.start + Duration::from_secs(365 * 86_400);
        self.start.checked_add(Duration::from_millis(at.0)).unwrap_or(far)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_steady_clock_starts_at_zero_and_agrees_with_the_timer() {
        let clock = Clock::start();
        assert_eq!(clock.now().mono, Mono(0));
        tokio::time::sleep_until(clock.instant(Mono(1_500))).await;
        assert!((1_500..1_510).contains(&clock.now().mono.0));
    }

    #[tokio::test]
    async fn an_instant_beyond_all_time_is_far_away() {
        let clock = Clock::start();
        assert!(clock.instant(Mono(u64::MAX)) > clock.instant(Mono(1_000_000)));
    }
}
