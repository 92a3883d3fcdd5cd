//! How far two machines are from each other: the same in the whole run, and by the seed alone.

use std::time::Duration;

/// How much round trips differ: the standard deviation of their logarithm.
const SPREAD: f64 = 0.5;

/// Bits that follow from others: one step of SplitMix64.
pub(super) fn mix(bits: u64) -> u64 {
    let mut bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// A number between 0 and 1, neither of them.
pub(super) fn unit(bits: u64) -> f64 {
    let high = u32::try_from(bits >> 32).unwrap_or(u32::MAX);
    (f64::from(high) + 0.5) / (f64::from(u32::MAX) + 1.0)
}

/// The round trip between two machines in ms, the same both ways: lognormal around a median.
pub(super) fn round_trip_ms(seed: u64, a: usize, b: usize, median_ms: u64) -> u64 {
    let (low, high) = (a.min(b) as u64, a.max(b) as u64);
    let bits = mix(mix(seed) ^ mix((high << 32) | low));
    // Box and Muller: two even numbers make a normal one.
    let normal = (-2.0 * unit(bits).ln()).sqrt() * (std::f64::consts::TAU * unit(mix(bits))).cos();
    scaled_ms(median_ms, (SPREAD * normal).exp()).max(2)
}

/// How long a machine stays: Weibull of shape 1/2 around a median, so that most sessions are
/// short and some hardly end.
pub(super) fn session_ms(bits: u64, median_ms: u64) -> u64 {
    let half = std::f64::consts::LN_2;
    let times = (-unit(bits).ln() / half).powi(2);
    scaled_ms(median_ms, times).max(1_000)
}

fn scaled_ms(ms: u64, times: f64) -> u64 {
    let scaled = Duration::from_millis(ms).mul_f64(times.min(10_000.0));
    u64::try_from(scaled.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(draw: impl Fn(u64) -> u64) -> Vec<u64> {
        let mut all: Vec<u64> = (0..20_000).map(draw).collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn round_trips_are_lognormal_and_the_same_both_ways() {
        let of_seed = |seed, it| round_trip_ms(seed, usize::try_from(it).unwrap(), 30_000, 80);
        let pair = |it| of_seed(7, it);
        let all = sorted(pair);
        assert!((78..=82).contains(&all[10_000]), "median {}", all[10_000]);
        // exp(1.645 × 0.5) × 80 ms = 182 ms.
        assert!((175..=190).contains(&all[19_000]), "p95 {}", all[19_000]);
        assert_eq!(round_trip_ms(7, 3, 9, 80), round_trip_ms(7, 9, 3, 80));
        assert_ne!(sorted(pair), sorted(|it| of_seed(8, it)));
    }

    #[test]
    fn sessions_are_heavy_tailed() {
        let all = sorted(|it| session_ms(mix(it), 3_600_000));
        assert!((3_500_000..=3_700_000).contains(&all[10_000]), "median {}", all[10_000]);
        // (ln 10 / ln 2)² = 11.0 medians, and (ln 100 / ln 2)² = 44.1 of them.
        assert!((37_000_000..=43_000_000).contains(&all[18_000]), "p90 {}", all[18_000]);
        assert!((140_000_000..=180_000_000).contains(&all[19_800]), "p99 {}", all[19_800]);
    }
}
