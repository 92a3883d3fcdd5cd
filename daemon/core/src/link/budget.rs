//! How much one peer may make us do: a bucket of tokens that fills with time.

use bytchat_proto::limits::{
    DELIVERY_TOKENS_MAX, DELIVERY_TOKENS_PER_SECOND, REQUEST_COST_HEAVY, REQUEST_TOKENS_MAX,
    REQUEST_TOKENS_PER_SECOND,
};
use bytchat_proto::wire::Request;

use crate::time::Mono;

/// What is left of a peer's tokens, in thousandths.
#[derive(Debug)]
pub(super) struct Budget {
    left: u64,
    at: Mono,
    per_second: u64,
    max: u64,
}

impl Budget {
    /// For the requests of a link.
    pub(super) fn of_requests(now: Mono) -> Self {
        Self::full(REQUEST_TOKENS_PER_SECOND, REQUEST_TOKENS_MAX, now)
    }

    /// For the deliveries of a holder.
    pub(super) fn of_deliveries(now: Mono) -> Self {
        Self::full(DELIVERY_TOKENS_PER_SECOND, DELIVERY_TOKENS_MAX, now)
    }

    fn full(per_second: u64, max: u64, now: Mono) -> Self {
        Self { left: max * 1_000, at: now, per_second, max: max * 1_000 }
    }

    /// Pays for something; false if the peer has asked for too much.
    pub(super) fn pay(&mut self, cost: u64, now: Mono) -> bool {
        self.left = self.by(now);
        self.at = now;
        let rest = self.left.checked_sub(cost * 1_000);
        self.left = rest.unwrap_or(self.left);
        rest.is_some()
    }

    /// What is left by then.
    fn by(&self, now: Mono) -> u64 {
        // Tokens in a second are thousandths in a millisecond.
        let gained = now.since_ms(self.at).saturating_mul(self.per_second);
        self.left.saturating_add(gained).min(self.max)
    }

    /// Whether nothing is missing by now.
    pub(super) fn is_full(&self, now: Mono) -> bool {
        self.by(now) == self.max
    }

    /// From when on so much can be paid.
    pub(super) fn ready(&self, cost: u64) -> Mono {
        let missing = (cost * 1_000).saturating_sub(self.left);
        self.at.plus_ms(missing.div_ceil(self.per_second))
    }
}

/// What a request costs: more if an RSA signature must be checked for it.
pub(super) fn cost(request: &Request) -> u64 {
    match request {
        Request::PutRecord { .. } | Request::Prove { .. } | Request::RegisterAlias { .. } => {
            REQUEST_COST_HEAVY
        }
        Request::Ping
        | Request::FindNode { .. }
        | Request::FindRecord { .. }
        | Request::TakeKeys { .. }
        | Request::PutKeys { .. }
        | Request::Deposit { .. }
        | Request::Attach { .. }
        | Request::Remove { .. }
        | Request::Fetch { .. }
        | Request::Notify { .. }
        | Request::ResolveAlias { .. } => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_used_up_and_fills_again() {
        let mut budget = Budget::of_requests(Mono(0));
        for _ in 0..REQUEST_TOKENS_MAX {
            assert!(budget.pay(1, Mono(0)));
        }
        assert!(!budget.pay(1, Mono(0)));
        let second = (0..REQUEST_TOKENS_MAX).filter(|_| budget.pay(1, Mono(1_000))).count();
        assert_eq!(u64::try_from(second), Ok(REQUEST_TOKENS_PER_SECOND));
        assert!(budget.pay(REQUEST_TOKENS_MAX, Mono(u64::MAX)));
        assert!(!budget.pay(1, Mono(u64::MAX)));
    }

    #[test]
    fn what_cannot_be_paid_takes_nothing() {
        let mut budget = Budget::of_requests(Mono(0));
        assert!(!budget.pay(REQUEST_TOKENS_MAX + 1, Mono(0)));
        assert!(budget.pay(REQUEST_TOKENS_MAX, Mono(0)));
    }
}
