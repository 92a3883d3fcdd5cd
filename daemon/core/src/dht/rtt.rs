//! How long a peer usually takes, and how long to wait for it (RFC 6298 with other bounds).

use bytchat_proto::limits::{
    REQUEST_SOFT_TIMEOUT_MIN_MS, REQUEST_SOFT_TIMEOUT_MS, REQUEST_TIMEOUT_MS,
};

/// Smoothed round trip of one peer, in microseconds so that small changes count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rtt {
    smoothed_us: Option<u64>,
    variation_us: u64,
}

impl Rtt {
    /// Takes one measurement in.
    pub(super) fn measured(&mut self, rtt_ms: u64) {
        let sample = rtt_ms.min(REQUEST_TIMEOUT_MS) * 1_000;
        let Some(smoothed) = self.smoothed_us else {
            self.smoothed_us = Some(sample);
            self.variation_us = sample / 2;
            return;
        };
        self.variation_us = (self.variation_us * 3 + smoothed.abs_diff(sample)) / 4;
        self.smoothed_us = Some((smoothed * 7 + sample) / 8);
    }

    /// How long an answer usually takes; of who was never asked, as long as over a new link.
    pub(super) fn expected_us(self) -> u64 {
        self.smoothed_us.unwrap_or(REQUEST_SOFT_TIMEOUT_MS * 1_000 / 2)
    }

    /// After so long the peer counts as slow.
    pub(super) fn soft_timeout_ms(self) -> u64 {
        let Some(smoothed) = self.smoothed_us else {
            return REQUEST_SOFT_TIMEOUT_MS;
        };
        let wait_ms = (smoothed + 4 * self.variation_us) / 1_000;
        wait_ms.clamp(REQUEST_SOFT_TIMEOUT_MIN_MS, REQUEST_TIMEOUT_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_peer_gets_the_first_wait() {
        assert_eq!(Rtt::default().soft_timeout_ms(), REQUEST_SOFT_TIMEOUT_MS);
    }

    #[test]
    fn a_steady_peer_is_waited_for_less_and_a_slow_one_more() {
        let mut steady = Rtt::default();
        let mut slow = Rtt::default();
        for _ in 0..40 {
            steady.measured(20);
            slow.measured(400);
        }
        assert_eq!(steady.soft_timeout_ms(), REQUEST_SOFT_TIMEOUT_MIN_MS);
        assert!((400..450).contains(&slow.soft_timeout_ms()));
    }

    #[test]
    fn an_absurd_measurement_stays_within_the_last_wait() {
        let mut rtt = Rtt::default();
        rtt.measured(u64::MAX);
        assert_eq!(rtt.soft_timeout_ms(), REQUEST_TIMEOUT_MS);
    }
}
