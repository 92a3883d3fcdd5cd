//! Time as the decisions see it: handed in with every input, never read.

use bytchat_proto::limits::{CLOCK_JUMP_HOLD_MS, CLOCK_JUMP_MS};
use bytchat_proto::timestamp::Timestamp;

/// Milliseconds on a clock that only moves forward and starts anywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(pub u64);

/// Both clocks at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// For waiting and measuring.
    pub mono: Mono,
    /// For writing down and for expiry; it may jump.
    pub wall: Timestamp,
}

/// When the node wants to be woken, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline {
    /// When.
    pub at: Mono,
    /// Why, for the log.
    pub why: &'static str,
}

/// Holds the wall's clock back for a while after it has jumped forward: a clock that is wrong
/// for a moment must not end what cannot be brought back.
#[derive(Debug)]
pub struct Calm {
    last: Now,
    held_ms: u64,
    until: Mono,
}

impl Calm {
    /// Has seen no jump.
    pub fn new(now: Now) -> Self {
        Self { last: now, held_ms: 0, until: now.mono }
    }

    /// Compares both clocks.
    pub fn see(&mut self, now: Now) {
        let expected = self.last.wall.plus_ms(now.mono.since_ms(self.last.mono));
        self.last = now;
        let jump_ms = now.wall.since_ms(expected);
        if now.mono >= self.until {
            self.held_ms = 0;
        }
        if jump_ms >= CLOCK_JUMP_MS {
            self.held_ms = self.held_ms.saturating_add(jump_ms);
            self.until = now.mono.plus_ms(CLOCK_JUMP_HOLD_MS);
        }
        self.held_ms = self.held_ms.saturating_sub(expected.since_ms(now.wall));
    }

    /// The time by which things may be given up for good.
    pub fn of(&self, now: Now) -> Now {
        Now { wall: now.wall.minus_ms(self.held_ms), ..now }
    }
}

impl Mono {
    /// The instant so many milliseconds later.
    pub fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this instant.
    pub fn since_ms(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Deadline {
    /// The earlier of two.
    pub fn earliest(a: Option<Self>, b: Option<Self>) -> Option<Self> {
        match (a, b) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YEAR_MS: u64 = 365 * 86_400_000;

    fn now(mono: u64, wall: u64) -> Now {
        Now { mono: Mono(mono), wall: Timestamp(wall) }
    }

    #[test]
    fn a_jump_is_held_back_for_a_while_and_then_believed() {
        let mut calm = Calm::new(now(0, 1_000));
        calm.see(now(10, 1_010));
        assert_eq!(calm.of(now(10, 1_010)), now(10, 1_010));
        let jumped = now(20, 1_020 + YEAR_MS);
        calm.see(jumped);
        assert_eq!(calm.of(jumped), now(20, 1_020));
        let later = now(20 + CLOCK_JUMP_HOLD_MS, 1_020 + CLOCK_JUMP_HOLD_MS + YEAR_MS);
        calm.see(later);
        assert_eq!(calm.of(later), later);
    }

    #[test]
    fn a_clock_that_is_set_right_again_ends_nothing() {
        let mut calm = Calm::new(now(0, 1_000));
        calm.see(now(10, 1_010 + YEAR_MS));
        let right = now(20, 1_020);
        calm.see(right);
        assert_eq!(calm.of(right), right);
    }
}
