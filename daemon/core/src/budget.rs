//! How much somebody may make us do: a bucket of tokens that fills with time.

use std::collections::BTreeMap;

use crate::time::Mono;

/// How fast a bucket fills, and how much it holds.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Tokens that it gains in a second.
    pub per_second: u64,
    /// Tokens that it holds.
    pub max: u64,
}

/// What is left of somebody's tokens, in thousandths.
#[derive(Debug)]
pub struct Budget {
    left: u64,
    at: Mono,
    rate: Rate,
}

impl Budget {
    /// Everything that can be saved is there.
    pub fn full(rate: Rate, now: Mono) -> Self {
        Self { left: rate.max * 1_000, at: now, rate }
    }

    /// Pays for something; false if too much was asked for.
    pub fn pay(&mut self, cost: u64, now: Mono) -> bool {
        self.left = self.by(now);
        self.at = now;
        let rest = self.left.checked_sub(cost * 1_000);
        self.left = rest.unwrap_or(self.left);
        rest.is_some()
    }

    /// Takes for what was done already, up to all that is left.
    pub fn owe(&mut self, cost: u64) {
        self.left = self.left.saturating_sub(cost * 1_000);
    }

    /// Whether so much could be paid now.
    pub fn has(&self, cost: u64, now: Mono) -> bool {
        self.by(now) >= cost * 1_000
    }

    /// What is left by then.
    fn by(&self, now: Mono) -> u64 {
        // Tokens in a second are thousandths in a millisecond.
        let gained = now.since_ms(self.at).saturating_mul(self.rate.per_second);
        self.left.saturating_add(gained).min(self.rate.max * 1_000)
    }

    /// From when on so much can be paid.
    pub fn ready(&self, cost: u64) -> Mono {
        let missing = (cost * 1_000).saturating_sub(self.left);
        self.at.plus_ms(missing.div_ceil(self.rate.per_second))
    }
}

/// The buckets of many: who goes and comes again finds the old one.
#[derive(Debug)]
pub struct Budgets<K> {
    rate: Rate,
    room: usize,
    of: BTreeMap<K, Budget>,
}

impl<K: Copy + Ord> Budgets<K> {
    /// How many are remembered.
    pub(super) fn count(&self) -> usize {
        self.of.len()
    }

    /// Full buckets for everybody; so many others are remembered.
    pub fn new(rate: Rate, room: usize) -> Self {
        Self { rate, room, of: BTreeMap::new() }
    }

    /// Pays for something; false if too much was asked for.
    pub fn pay(&mut self, who: K, cost: u64, now: Mono) -> bool {
        if self.of.len() >= self.room && !self.of.contains_key(&who) {
            self.make_room(now);
        }
        let rate = self.rate;
        self.of.entry(who).or_insert_with(|| Budget::full(rate, now)).pay(cost, now)
    }

    /// Takes for what was done for somebody already, up to all that is left.
    pub fn owe(&mut self, who: K, cost: u64) {
        if let Some(budget) = self.of.get_mut(&who) {
            budget.owe(cost);
        }
    }

    /// Whether somebody could pay so much now.
    pub fn has(&self, who: K, cost: u64, now: Mono) -> bool {
        self.of.get(&who).is_none_or(|budget| budget.has(cost, now))
    }

    /// From when on somebody can pay so much.
    pub fn ready(&self, who: K, cost: u64) -> Mono {
        self.of.get(&who).map_or(Mono::default(), |budget| budget.ready(cost))
    }

    /// Forgets those who lack nothing, else the one who gains least by it.
    fn make_room(&mut self, now: Mono) {
        let max = self.rate.max;
        self.of.retain(|_, budget| !budget.has(max, now));
        if self.of.len() >= self.room
            && let Some((who, _)) = self.of.iter().max_by_key(|(_, budget)| budget.by(now))
        {
            let who = *who;
            self.of.remove(&who);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_second: 5, max: 20 };

    #[test]
    fn a_budget_is_used_up_and_fills_again() {
        let mut budget = Budget::full(RATE, Mono(0));
        for _ in 0..20 {
            assert!(budget.has(1, Mono(0)) && budget.pay(1, Mono(0)));
        }
        assert!(!budget.has(1, Mono(0)) && !budget.pay(1, Mono(0)));
        assert_eq!((0..20).filter(|_| budget.pay(1, Mono(1_000))).count(), 5);
        assert!(budget.pay(20, Mono(u64::MAX)));
        assert!(!budget.pay(1, Mono(u64::MAX)));
    }

    #[test]
    fn what_cannot_be_paid_takes_nothing() {
        let mut budget = Budget::full(RATE, Mono(0));
        assert!(!budget.pay(21, Mono(0)));
        assert!(budget.pay(20, Mono(0)));
    }

    #[test]
    fn many_budgets_are_bounded_and_the_emptiest_is_remembered() {
        let mut budgets = Budgets::new(RATE, 3);
        assert!(budgets.pay(1, 20, Mono(0)));
        assert!(budgets.pay(2, 1, Mono(0)));
        for who in 3..1_000 {
            assert!(budgets.pay(who, 2, Mono(0)));
            assert!(budgets.of.len() <= 3);
            assert!(!budgets.has(1, 1, Mono(0)) && !budgets.pay(1, 1, Mono(0)));
        }
        // Those who lack nothing go first.
        assert!(budgets.pay(2, 1, Mono(400)));
        assert_eq!(budgets.of.len(), 2);
        assert_eq!(budgets.ready(1, 5), Mono(1_000));
        assert_eq!(budgets.ready(7, 5), Mono(0));
    }
}
