//! The person's clock: what the time of the world is on it.

use std::sync::Arc;

use bytchat_proto::timestamp::Timestamp;
use tz::TimeZone;

/// A time zone; UTC if the machine does not name one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Zone(Option<Arc<TimeZone>>);

impl Zone {
    /// From the rules of a zone.
    pub(crate) fn new(rules: Option<TimeZone>) -> Self {
        Self(rules.map(Arc::new))
    }

    /// What the person's clock shows at a time, as if it were one of UTC.
    pub(crate) fn clock(&self, at: Timestamp) -> Timestamp {
        let second = i64::try_from(at.0 / 1000).ok();
        let rules = self.0.as_ref().zip(second);
        // Beyond what the rules know, the world's time is the best that we have.
        let kind = rules.and_then(|(rules, second)| rules.find_local_time_type(second).ok());
        let shift_ms = kind.map_or(0, |kind| i64::from(kind.ut_offset()) * 1000);
        Timestamp(at.0.saturating_add_signed(shift_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: u64 = 3_600_000;

    #[test]
    fn summer_and_winter_differ() {
        let zone = Zone::new(TimeZone::from_posix_tz("CET-1CEST,M3.5.0,M10.5.0/3").ok());
        let (january, july) = (Timestamp(1_768_478_400_000), Timestamp(1_784_116_800_000));
        assert_eq!(zone.clock(january), january.plus_ms(HOUR_MS));
        assert_eq!(zone.clock(july), july.plus_ms(2 * HOUR_MS));
        assert_eq!(Zone::default().clock(july), july);
    }

    #[test]
    fn no_time_is_too_far() {
        let zone = Zone::new(TimeZone::from_posix_tz("EST5EDT,M3.2.0,M11.1.0").ok());
        assert_eq!(zone.clock(Timestamp(0)), Timestamp(0));
        assert!(zone.clock(Timestamp(u64::MAX)) >= Timestamp(u64::MAX).minus_ms(5 * HOUR_MS));
    }
}
