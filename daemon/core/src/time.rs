//! Time as the decisions see it: handed in with every input, never read.

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
