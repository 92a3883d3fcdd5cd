//! Time as the decisions see it: handed in with every input, never read.

use bytchat_proto::limits::{
    CLOCK_AWAY_MS, CLOCK_JUMP_HOLD_MS, CLOCK_JUMP_MS, CLOCK_SKEW_MS, HOUR_MS,
};
use bytchat_proto::timestamp::Timestamp;

use crate::planted::planted;

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

/// How the wall's clock stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Drift {
    /// Nothing is known against it.
    #[default]
    Ok,
    /// It is behind by so many milliseconds.
    Behind(u64),
    /// It is ahead by so many milliseconds.
    Ahead(u64),
}

/// How far the time may truly be from what the wall's clock says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Doubt {
    /// It may be so much earlier.
    pub earlier_ms: u64,
    /// It may be so much later.
    pub later_ms: u64,
}

impl Doubt {
    /// The earliest and the latest time that it may be.
    pub fn around(self, wall: Timestamp) -> (Timestamp, Timestamp) {
        (wall.minus_ms(self.earlier_ms), wall.plus_ms(self.later_ms))
    }
}

/// Holds the wall's clock back for a while after it has jumped forward, or when it starts later
/// than it was seen: a clock that is wrong for a moment must not end what cannot be brought back.
#[derive(Debug)]
pub struct Calm {
    last: Now,
    held_ms: u64,
    until: Mono,
    /// The latest time that was believed, and when.
    seen: Now,
    /// The clock was far ahead at the start, and is held back for that.
    suspect: bool,
    /// Others have said once that the clock is ahead.
    doubted: bool,
}

impl Calm {
    /// Starts from the latest time that was seen before the last stop, if there was one.
    pub fn new(now: Now, seen: Option<Timestamp>) -> Self {
        let seen = Now { wall: seen.unwrap_or(now.wall), ..now };
        let (until, away_ms) = (now.mono, now.wall.since_ms(seen.wall));
        let mut calm = Self { last: now, held_ms: 0, until, seen, suspect: false, doubted: false };
        if away_ms >= CLOCK_JUMP_MS {
            calm.suspect = away_ms >= CLOCK_AWAY_MS;
            calm.hold(away_ms, now);
        }
        calm
    }

    /// Compares both clocks; tells by how much the wall's has run ahead of the steady one.
    pub fn see(&mut self, now: Now) -> u64 {
        let expected = self.last.wall.plus_ms(now.mono.since_ms(self.last.mono));
        self.last = now;
        let jump_ms = now.wall.since_ms(expected);
        if now.mono >= self.until {
            self.held_ms = 0;
            self.suspect = false;
        }
        if jump_ms >= CLOCK_JUMP_MS {
            self.hold(jump_ms, now);
        }
        self.held_ms = self.held_ms.saturating_sub(expected.since_ms(now.wall));
        let calm = self.of(now);
        if calm.wall > self.least(now) {
            self.seen = calm;
        }
        jump_ms
    }

    /// The time by which things may be given up for good.
    pub fn of(&self, now: Now) -> Now {
        Now { wall: now.wall.minus_ms(self.held_ms), ..now }
    }

    /// What the time is at least, by the latest that was believed.
    pub fn least(&self, now: Now) -> Timestamp {
        self.seen.wall.plus_ms(now.mono.since_ms(self.seen.mono))
    }

    /// The wall's time, or the least that it can be if the wall's clock is behind that.
    pub fn late(&self, now: Now) -> Now {
        match self.drift(now) {
            Drift::Behind(_) => Now { wall: self.least(now), ..now },
            Drift::Ok | Drift::Ahead(_) => now,
        }
    }

    /// Another time that it may truly be, while the wall's clock is in doubt.
    pub fn other(&self, now: Now) -> Option<Now> {
        let other = if self.held_ms > 0 { self.of(now) } else { self.late(now) };
        (other != now).then_some(other)
    }

    /// How far the time may be from the wall's clock. What was seen last is up to an hour old,
    /// because it is written hourly.
    pub fn doubt_of(&self, now: Now) -> Doubt {
        let later_ms = match self.drift(now) {
            Drift::Behind(ms) => ms.saturating_add(HOUR_MS),
            Drift::Ok | Drift::Ahead(_) => 0,
        };
        Doubt { earlier_ms: self.held_ms, later_ms }
    }

    /// How the clock stands by what was seen before.
    pub fn drift(&self, now: Now) -> Drift {
        let behind_ms = self.least(now).since_ms(now.wall);
        if self.suspect && self.held_ms > 0 {
            Drift::Ahead(self.held_ms)
        } else if behind_ms > CLOCK_SKEW_MS {
            Drift::Behind(behind_ms)
        } else {
            Drift::Ok
        }
    }

    /// Others say that the clock is right: what was seen before was wrong if it says otherwise.
    pub fn agree(&mut self, now: Now) {
        if let Drift::Behind(_) = self.drift(now) {
            self.seen = now;
        }
    }

    /// Others say that the clock is ahead: nothing ends by it for a while. They may lie, so that
    /// they have this once.
    pub fn doubt(&mut self, ahead_ms: u64, now: Now) {
        if !std::mem::replace(&mut self.doubted, true) && self.held_ms == 0 {
            self.hold(ahead_ms, now);
        }
    }

    fn hold(&mut self, ms: u64, now: Now) {
        if planted!(TrustedClock) {
            return;
        }
        self.held_ms = self.held_ms.saturating_add(ms);
        self.until = now.mono.plus_ms(CLOCK_JUMP_HOLD_MS);
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
        let mut calm = Calm::new(now(0, 1_000), None);
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
        let mut calm = Calm::new(now(0, 1_000), None);
        calm.see(now(10, 1_010 + YEAR_MS));
        let right = now(20, 1_020);
        calm.see(right);
        assert_eq!(calm.of(right), right);
    }

    #[test]
    fn a_clock_that_starts_far_ahead_is_held_back_for_a_while() {
        let start = now(0, 1_000 + YEAR_MS);
        let mut calm = Calm::new(start, Some(Timestamp(1_000)));
        calm.see(start);
        assert_eq!(calm.drift(start), Drift::Ahead(YEAR_MS));
        assert_eq!(calm.of(start).wall, Timestamp(1_000));
        assert_eq!(calm.other(start), Some(now(0, 1_000)));
        assert_eq!(calm.least(start), Timestamp(1_000));
        let times = calm.doubt_of(start).around(start.wall);
        assert_eq!(times, (Timestamp(1_000), start.wall));
        let later = now(CLOCK_JUMP_HOLD_MS, 1_000 + YEAR_MS + CLOCK_JUMP_HOLD_MS);
        calm.see(later);
        assert_eq!((calm.drift(later), calm.of(later)), (Drift::Ok, later));
    }

    #[test]
    fn a_daemon_that_was_away_for_a_week_ends_nothing_at_once_and_warns_nobody() {
        let start = now(0, 7 * 86_400_000);
        let calm = Calm::new(start, Some(Timestamp(0)));
        assert_eq!((calm.drift(start), calm.of(start).wall), (Drift::Ok, Timestamp(0)));
        assert_eq!(calm.late(start), start);
    }

    #[test]
    fn a_clock_that_starts_behind_is_known_by_what_was_seen() {
        let start = now(0, 1_000);
        let mut calm = Calm::new(start, Some(Timestamp(1_000 + YEAR_MS)));
        calm.see(start);
        assert_eq!(calm.drift(start), Drift::Behind(YEAR_MS));
        assert_eq!(calm.of(start), start);
        assert_eq!(calm.late(now(7, 1_007)).wall, Timestamp(1_007 + YEAR_MS));
        assert_eq!(calm.least(start), Timestamp(1_000 + YEAR_MS));
        let times = calm.doubt_of(start).around(start.wall);
        assert_eq!(times, (start.wall, Timestamp(1_000 + YEAR_MS + HOUR_MS)));
        calm.agree(start);
        assert_eq!((calm.drift(start), calm.other(start)), (Drift::Ok, None));
    }

    #[test]
    fn others_hold_the_clock_back_once_and_not_for_ever() {
        let start = now(0, YEAR_MS);
        let mut calm = Calm::new(start, None);
        calm.doubt(1_000, start);
        assert_eq!(calm.of(start).wall, Timestamp(YEAR_MS - 1_000));
        let later = now(CLOCK_JUMP_HOLD_MS, YEAR_MS + CLOCK_JUMP_HOLD_MS);
        calm.see(later);
        calm.doubt(1_000, later);
        assert_eq!(calm.of(later), later);
    }

    #[test]
    fn a_machine_that_has_slept_is_not_called_ahead() {
        let mut calm = Calm::new(now(0, 0), None);
        let awake = now(10, 10 + 8 * CLOCK_JUMP_MS);
        assert_eq!(calm.see(awake), 8 * CLOCK_JUMP_MS);
        assert_eq!(calm.drift(awake), Drift::Ok);
    }
}
