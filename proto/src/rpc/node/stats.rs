//! `node.stats`: what the node has counted since its start.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Result of `node.stats`: what was counted since the start. Counters end at the greatest number
/// and never go back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stats {
    /// Milliseconds since the start.
    pub uptime_ms: u64,
    /// Searches for the nodes near a point.
    pub lookups: Lookups,
    /// Requests to other nodes, on behalf of lookups, puts, repair and upkeep.
    pub asks: Asks,
    /// Records that were brought to their holders.
    pub puts: Puts,
    /// What was handed on because holders changed.
    pub repair: Repair,
    /// Links to other nodes.
    pub links: Links,
    /// Requests of others that were refused, by reason; reasons without any are left out.
    pub refusals: Vec<Refusals>,
    /// How the nodes known lie in the keyspace.
    pub keyspace: Keyspace,
}

/// Counts one more; the greatest number stays.
pub fn one_more(total: &mut u64) {
    *total = total.saturating_add(1);
}

/// Values, counted in buckets that are fixed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Histogram {
    /// The greatest value of each bucket, ascending.
    pub bounds: Vec<u64>,
    /// How many values fell into each bucket and into none before it; one more than there are
    /// bounds: the last is for what is greater.
    pub counts: Vec<u64>,
    /// All values together.
    pub sum: u64,
}

impl Histogram {
    /// Nothing was counted yet; `bounds` ascend.
    pub fn new(bounds: &[u64]) -> Self {
        Self { bounds: bounds.to_vec(), counts: vec![0; bounds.len() + 1], sum: 0 }
    }

    /// Counts a value.
    pub fn add(&mut self, value: u64) {
        let bucket = self.bounds.iter().position(|bound| value <= *bound);
        let count = match bucket {
            Some(bucket) => self.counts.get_mut(bucket),
            None => self.counts.last_mut(),
        };
        if let Some(count) = count {
            one_more(count);
        }
        self.sum = self.sum.saturating_add(value);
    }

    /// How many values were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().fold(0, |all, count| all.saturating_add(*count))
    }

    /// The bound below which that many per cent of the values lie; none if nothing was counted or
    /// they lie beyond the last bound.
    pub fn at_most(&self, per_cent: u64) -> Option<u64> {
        let wanted = self.count().saturating_mul(per_cent).div_ceil(100).max(1);
        let mut all = 0_u64;
        let buckets = self.bounds.iter().zip(&self.counts);
        for (bound, count) in buckets {
            all = all.saturating_add(*count);
            if all >= wanted {
                return Some(*bound);
            }
        }
        None
    }
}

/// Searches for the nodes near a point.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lookups {
    /// Those that began.
    pub started_total: u64,
    /// Those that ended with an answer of at least one node.
    pub answered_total: u64,
    /// Those that ended without: nobody was known, or nobody answered.
    pub unanswered_total: u64,
    /// Those that found no place because too many waited.
    pub turned_away_total: u64,
    /// How many nodes, one after the other, led to the nearest.
    pub hops: Histogram,
    /// Milliseconds from the first request to the end.
    pub duration_ms: Histogram,
}

/// Requests to other nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Asks {
    /// Those that were answered.
    pub answered_total: u64,
    /// Those that the other node refused.
    pub refused_total: u64,
    /// Those whose answer was none.
    pub malformed_total: u64,
    /// Those that had no answer: the node cannot be reached, or was silent.
    pub lost_total: u64,
    /// Those that took longer than is usual for the node; they count elsewhere too.
    pub slow_total: u64,
    /// Milliseconds until the answer.
    pub round_trip_ms: Histogram,
}

/// Records that were brought to their holders.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Puts {
    /// Those that enough holders took.
    pub stored_total: u64,
    /// Those that too few took.
    pub short_total: u64,
    /// Those where a holder said that it has a newer record.
    pub stale_total: u64,
    /// How many holders took each.
    pub holders: Histogram,
}

/// What was handed on because holders changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Repair {
    /// Records that a holder took, or had.
    pub records_total: u64,
    /// Records that did not reach a holder.
    pub records_lost_total: u64,
    /// Records that wait for their turn now.
    pub records_waiting: u64,
    /// Envelopes that a holder took, or had.
    pub envelopes_total: u64,
    /// Envelopes that a holder did not take.
    pub envelopes_lost_total: u64,
}

/// Links to other nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Links {
    /// Those that this node opened.
    pub opened_total: u64,
    /// Those that others opened.
    pub accepted_total: u64,
    /// Attempts at an address that failed.
    pub dials_failed_total: u64,
    /// Those that ended because the other end belongs to another network.
    pub strangers_total: u64,
    /// Those that ended because the other end broke a rule.
    pub banned_total: u64,
}

/// Requests of others that were refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refusals {
    /// Why, in the word of the protocol.
    pub reason: String,
    /// How many.
    pub refused_total: u64,
}

/// How the nodes known lie in the keyspace. Nodes that somebody made in order to stand around a
/// point lie closer together than chance would have it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Keyspace {
    /// How many nodes the network has, judged by those nearest to this one; null if too few are
    /// known.
    pub nodes_estimate: Option<u64>,
    /// Accounts of this daemon whose holders were looked up since the start.
    pub mailboxes: u64,
    /// Those of them around which nodes lie far denser than the estimate says.
    pub mailboxes_crowded: u64,
    /// How many times as dense the densest is; 0 if nothing is known.
    pub density_max: u64,
    /// Those of them most of whose holders have addresses of one network (/24 or /48).
    pub mailboxes_one_prefix: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_falls_into_the_first_bucket_that_is_not_too_small() {
        let mut histogram = Histogram::new(&[1, 5]);
        for value in [0, 1, 2, 5, 6, u64::MAX, u64::MAX] {
            histogram.add(value);
        }
        assert_eq!(histogram.counts, [2, 2, 3]);
        assert_eq!(histogram.sum, u64::MAX);
        assert_eq!(histogram.count(), 7);
    }

    #[test]
    fn counts_stop_at_the_greatest_number() {
        let mut histogram = Histogram::new(&[1]);
        histogram.counts[0] = u64::MAX;
        histogram.add(1);
        histogram.add(2);
        assert_eq!(histogram.counts, [u64::MAX, 1]);
        assert_eq!(histogram.count(), u64::MAX);
    }

    #[test]
    fn a_share_of_the_values_is_below_a_bound_or_beyond_all() {
        let mut histogram = Histogram::new(&[10, 20, 50]);
        assert_eq!(histogram.at_most(50), None);
        for value in [1, 2, 15, 100] {
            histogram.add(value);
        }
        assert_eq!(histogram.at_most(50), Some(10));
        assert_eq!(histogram.at_most(75), Some(20));
        assert_eq!(histogram.at_most(100), None);
    }
}
