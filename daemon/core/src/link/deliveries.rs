//! Mail that holders push: opening it is work, so that each holder has a pace of its own.

use std::collections::{BTreeMap, VecDeque};

use bytchat_proto::id::NodeId;
use bytchat_proto::limits::{
    DELIVERIES_WAITING_MAX, DELIVERIES_WAITING_PER_NODE_MAX, DELIVERY_COST, LINKS_MAX,
};
use bytchat_proto::wire::Body;

use super::budget::Budget;
use crate::io::LinkId;
use crate::time::{Deadline, Mono};

/// What becomes of a push.
pub(super) enum Pace {
    /// It may be opened now.
    Now(Body),
    /// It waits for its turn.
    Later,
    /// So much waits already as no honest holder brings.
    TooMuch,
}

/// The paces of all holders, and what waits for its turn.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    /// By node and not by link: who opens a new link has the old pace.
    budgets: BTreeMap<NodeId, Budget>,
    waiting: BTreeMap<NodeId, VecDeque<(LinkId, Body)>>,
    count: usize,
}

impl Deliveries {
    /// Takes a push of a holder; what waits keeps its order.
    pub(super) fn take(&mut self, link: LinkId, from: NodeId, body: Body, now: Mono) -> Pace {
        let waits = self.waiting.get(&from).map_or(0, VecDeque::len);
        if waits == 0 && self.budget(from, now).pay(DELIVERY_COST, now) {
            return Pace::Now(body);
        }
        if waits >= DELIVERIES_WAITING_PER_NODE_MAX || self.count >= DELIVERIES_WAITING_MAX {
            return Pace::TooMuch;
        }
        self.count += 1;
        self.waiting.entry(from).or_default().push_back((link, body));
        Pace::Later
    }

    fn budget(&mut self, from: NodeId, now: Mono) -> &mut Budget {
        if self.budgets.len() >= LINKS_MAX && !self.budgets.contains_key(&from) {
            self.budgets.retain(|_, budget| !budget.is_full(now));
            if self.budgets.len() >= LINKS_MAX {
                self.budgets.pop_first();
            }
        }
        self.budgets.entry(from).or_insert_with(|| Budget::of_deliveries(now))
    }

    /// What may be opened by now.
    pub(super) fn due(&mut self, now: Mono) -> Vec<(LinkId, NodeId, Body)> {
        let mut due = Vec::new();
        for (node, waiting) in &mut self.waiting {
            let budget = self.budgets.entry(*node).or_insert_with(|| Budget::of_deliveries(now));
            while !waiting.is_empty() && budget.pay(DELIVERY_COST, now) {
                due.extend(waiting.pop_front().map(|(link, body)| (link, *node, body)));
            }
        }
        self.count -= due.len();
        self.waiting.retain(|_, waiting| !waiting.is_empty());
        due
    }

    /// Forgets what waits from a link: its holder pushes it again over the next one.
    pub(super) fn link_down(&mut self, link: LinkId, node: NodeId) {
        if let Some(waiting) = self.waiting.get_mut(&node) {
            let before = waiting.len();
            waiting.retain(|(other, _)| *other != link);
            self.count -= before - waiting.len();
            if waiting.is_empty() {
                self.waiting.remove(&node);
            }
        }
    }

    pub(super) fn deadline(&self) -> Option<Deadline> {
        let ready = |node: &NodeId| self.budgets.get(node).map(|it| it.ready(DELIVERY_COST));
        let at = self.waiting.keys().filter_map(ready).min()?;
        Some(Deadline { at, why: "open mail" })
    }
}
