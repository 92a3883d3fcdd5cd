//! What of each link will have taken too long first, in order, so that nobody walks all links.

use std::collections::{BTreeMap, BTreeSet};

use crate::io::LinkId;
use crate::time::{Deadline, Mono};

/// One deadline of each link that has one: never later than its soonest.
#[derive(Default)]
pub(super) struct Due {
    order: BTreeSet<(Deadline, LinkId)>,
    planned: BTreeMap<LinkId, Deadline>,
}

impl Due {
    /// Sets what of a link is due first.
    pub(super) fn plan(&mut self, link: LinkId, deadline: Option<Deadline>) {
        if let Some(old) = self.planned.remove(&link) {
            self.order.remove(&(old, link));
        }
        if let Some(deadline) = deadline {
            self.planned.insert(link, deadline);
            self.order.insert((deadline, link));
        }
    }

    /// Notes something more of a link.
    pub(super) fn sooner(&mut self, link: LinkId, deadline: Deadline) {
        if self.planned.get(&link).is_none_or(|old| deadline < *old) {
            self.plan(link, Some(deadline));
        }
    }

    /// The next link whose time has come; it is to be planned again.
    pub(super) fn pop(&mut self, now: Mono) -> Option<LinkId> {
        let (deadline, link) = self.order.first().copied().filter(|(it, _)| it.at <= now)?;
        self.order.remove(&(deadline, link));
        self.planned.remove(&link);
        Some(link)
    }

    /// When the first is due.
    pub(super) fn first(&self) -> Option<Deadline> {
        self.order.first().map(|(deadline, _)| *deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soonest_of_each_link_comes_in_order_and_once() {
        let at = |ms| Deadline { at: Mono(ms), why: "test" };
        let mut due = Due::default();
        due.sooner(LinkId(1), at(30));
        due.sooner(LinkId(1), at(40));
        due.sooner(LinkId(2), at(20));
        due.sooner(LinkId(3), at(25));
        due.sooner(LinkId(3), at(10));
        due.plan(LinkId(2), None);
        assert_eq!(due.first(), Some(at(10)));
        assert_eq!(due.pop(Mono(9)), None);
        let all: Vec<_> = std::iter::from_fn(|| due.pop(Mono(50))).collect();
        assert_eq!((all, due.first()), (vec![LinkId(3), LinkId(1)], None));
    }
}
