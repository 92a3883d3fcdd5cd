//! How much one link may ask for: a bucket of tokens that fills with time.

use bytchat_proto::limits::{REQUEST_COST_HEAVY, REQUEST_TOKENS_MAX, REQUEST_TOKENS_PER_SECOND};
use bytchat_proto::wire::Request;

use crate::time::Mono;

/// What is left of a link's tokens, in thousandths.
#[derive(Debug)]
pub(super) struct Budget {
    left: u64,
    at: Mono,
}

impl Budget {
    pub(super) fn new(now: Mono) -> Self {
        Self { left: REQUEST_TOKENS_MAX * 1_000, at: now }
    }

    /// Pays for a request; false if the link has asked for too much.
    pub(super) fn pay(&mut self, cost: u64, now: Mono) -> bool {
        // Tokens in a second are thousandths in a millisecond.
        let gained = now.since_ms(self.at).saturating_mul(REQUEST_TOKENS_PER_SECOND);
        self.at = now;
        self.left = self.left.saturating_add(gained).min(REQUEST_TOKENS_MAX * 1_000);
        let rest = self.left.checked_sub(cost * 1_000);
        self.left = rest.unwrap_or(self.left);
        rest.is_some()
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
        let mut budget = Budget::new(Mono(0));
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
        let mut budget = Budget::new(Mono(0));
        assert!(!budget.pay(REQUEST_TOKENS_MAX + 1, Mono(0)));
        assert!(budget.pay(REQUEST_TOKENS_MAX, Mono(0)));
    }
}
