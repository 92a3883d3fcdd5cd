//! Mail that nodes bring straight to a device here: whoever likes can bring garbage, and only
//! trying to open it shows that, so that attempts in vain have a pace.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use bytchat_proto::id::{NodeId, UserId};
use bytchat_proto::limits::{
    GARBAGE_SOURCES_MAX, GARBAGE_TOKENS_MAX, GARBAGE_TOKENS_PER_NODE_MAX,
    GARBAGE_TOKENS_PER_PREFIX_MAX, GARBAGE_TOKENS_PER_SECOND, GARBAGE_TOKENS_PER_SECOND_PER_NODE,
    GARBAGE_TOKENS_PER_SECOND_PER_PREFIX, KNOWN_NODES_MAX, KNOWN_NODES_NAMED_PER_CONTACT_MAX,
    KNOWN_NODES_PER_CONTACT_MAX, KNOWN_TOKENS_MAX, KNOWN_TOKENS_PER_SECOND,
};

use super::Links;
use crate::budget::{Budget, Budgets, Rate};
use crate::fill::Fills;
use crate::io::LinkId;
use crate::prefix::Prefix;
use crate::time::{Mono, Now};

const OF_NODE: Rate =
    Rate { per_second: GARBAGE_TOKENS_PER_SECOND_PER_NODE, max: GARBAGE_TOKENS_PER_NODE_MAX };
const OF_PREFIX: Rate =
    Rate { per_second: GARBAGE_TOKENS_PER_SECOND_PER_PREFIX, max: GARBAGE_TOKENS_PER_PREFIX_MAX };
const OF_ALL: Rate = Rate { per_second: GARBAGE_TOKENS_PER_SECOND, max: GARBAGE_TOKENS_MAX };
const OF_KNOWN: Rate = Rate { per_second: KNOWN_TOKENS_PER_SECOND, max: KNOWN_TOKENS_MAX };

/// What came of mail that a node brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tried {
    /// Nothing was tried: it was opened before, or is sealed to a key that is not here.
    Nothing,
    /// It was tried, and no contact wrote it.
    InVain,
    /// It is a letter of this contact.
    Letter(UserId),
}

/// What was tried in vain, by whom, and who need not wait for that.
#[derive(Debug)]
pub(super) struct Garbage {
    nodes: Budgets<NodeId>,
    prefixes: Budgets<Prefix>,
    all: Budget,
    /// By node and contact: nobody answers for a node in the place of another.
    known: BTreeMap<(NodeId, UserId), Known>,
}

/// A node that has brought a letter of a contact, or is named by one.
#[derive(Debug)]
struct Known {
    at: Mono,
    /// It has brought a letter.
    proven: bool,
    own: Budget,
}

impl Garbage {
    /// How full it is.
    pub(super) fn fills(&self, fills: &mut Fills) {
        fills.note("sources of garbage", self.nodes.count(), GARBAGE_SOURCES_MAX);
        fills.note("prefixes of garbage", self.prefixes.count(), GARBAGE_SOURCES_MAX);
        fills.note("nodes of contacts", self.known.len(), KNOWN_NODES_MAX);
    }

    pub(super) fn new() -> Self {
        Self {
            nodes: Budgets::new(OF_NODE, GARBAGE_SOURCES_MAX),
            prefixes: Budgets::new(OF_PREFIX, GARBAGE_SOURCES_MAX),
            all: Budget::full(OF_ALL, Mono::default()),
            known: BTreeMap::new(),
        }
    }

    /// Whether something may be tried that a node brings.
    fn may_try(&self, (node, prefix): (NodeId, Option<Prefix>), now: Mono) -> bool {
        if self.known.range(all_of(node)).any(|(_, known)| known.own.has(1, now)) {
            return true;
        }
        let near = prefix.is_none_or(|prefix| self.prefixes.has(prefix, 1, now));
        near && self.nodes.has(node, 1, now) && self.all.has(1, now)
    }

    fn in_vain(&mut self, (node, prefix): (NodeId, Option<Prefix>), now: Mono) {
        if self.known.range_mut(all_of(node)).any(|(_, known)| known.own.pay(1, now)) {
            return;
        }
        self.nodes.pay(node, 1, now);
        if let Some(prefix) = prefix {
            self.prefixes.pay(prefix, 1, now);
        }
        self.all.pay(1, now);
    }

    /// A node is a contact's: it has a budget of its own. A contact has few such nodes, so that
    /// none makes us forget those of others; fewer yet that it only names, and these go first.
    fn know(&mut self, node: NodeId, contact: UserId, proven: bool, now: Mono) {
        if let Some(known) = self.known.get_mut(&(node, contact)) {
            known.at = now;
            known.proven |= proven;
            return;
        }
        let own = || self.known.iter().filter(|((_, of), _)| *of == contact);
        let named = own().filter(|(_, known)| !known.proven).count();
        let named_full = !proven && named >= KNOWN_NODES_NAMED_PER_CONTACT_MAX;
        let of = (named_full || own().count() >= KNOWN_NODES_PER_CONTACT_MAX).then_some(contact);
        if of.is_some() || self.known.len() >= KNOWN_NODES_MAX {
            let named = self.oldest(of, false);
            let Some(gone) = named.or_else(|| self.oldest(of, true).filter(|_| proven)) else {
                return;
            };
            self.known.remove(&gone);
        }
        let own = Budget::full(OF_KNOWN, now);
        self.known.insert((node, contact), Known { at: now, proven, own });
    }

    /// The one that was heard of the longest ago, of one contact or of all.
    fn oldest(&self, of: Option<UserId>, proven: bool) -> Option<(NodeId, UserId)> {
        let these = self.known.iter().filter(|((_, contact), known)| {
            known.proven == proven && of.is_none_or(|of| of == *contact)
        });
        these.min_by_key(|(_, known)| known.at).map(|(key, _)| *key)
    }
}

/// The entries of a node, as the ends of a range.
fn all_of(node: NodeId) -> RangeInclusive<(NodeId, UserId)> {
    let end = |byte| (node, UserId([byte; 20]));
    end(0)..=end(u8::MAX)
}

impl<T> Links<T> {
    /// Whether mail that a node brings straight to a device here may be tried to open now.
    pub fn may_try(&self, link: LinkId, from: NodeId, now: Now) -> bool {
        self.garbage.may_try((from, self.prefix(link)), now.mono)
    }

    /// Notes what came of such mail.
    // SPEC 2.8: what is tried in vain is counted by node, so that a new link gains nothing.
    pub fn tried(&mut self, link: LinkId, from: NodeId, tried: Tried, now: Now) {
        match tried {
            Tried::Nothing => {}
            Tried::InVain => {
                let prefix = self.prefix(link);
                self.garbage.in_vain((from, prefix), now.mono);
            }
            Tried::Letter(contact) => self.garbage.know(from, contact, true, now.mono),
        }
    }

    /// Notes that a device of a contact is up on a node: the contact has signed for that, but can
    /// name the nodes of others too.
    pub fn know(&mut self, node: NodeId, contact: UserId, now: Now) {
        self.garbage.know(node, contact, false, now.mono);
    }

    fn prefix(&self, link: LinkId) -> Option<Prefix> {
        self.peers.get(&link).and_then(|peer| Prefix::of(peer.address.ip()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: u64) -> NodeId {
        let mut id = [0; 20];
        id[..8].copy_from_slice(&number.to_be_bytes());
        NodeId(id)
    }

    /// Brings garbage until it is refused or so often; says how often it was tried.
    fn flood(garbage: &mut Garbage, node: NodeId, subnet: Option<u8>, at: u64) -> u64 {
        let source = (node, subnet.and_then(|c| Prefix::of([203, 0, c, 9].into())));
        let mut tried = 0;
        while tried < 1_000 && garbage.may_try(source, Mono(at)) {
            garbage.in_vain(source, Mono(at));
            tried += 1;
        }
        tried
    }

    #[test]
    fn a_node_a_subnet_and_everybody_have_a_pace_of_their_own() {
        let mut garbage = Garbage::new();
        assert_eq!(flood(&mut garbage, node(1), Some(1), 0), GARBAGE_TOKENS_PER_NODE_MAX);
        let subnet: u64 = (2..50).map(|it| flood(&mut garbage, node(it), Some(1), 0)).sum();
        assert_eq!(subnet, GARBAGE_TOKENS_PER_PREFIX_MAX - GARBAGE_TOKENS_PER_NODE_MAX);
        let rest: u64 = (50..90).map(|it| flood(&mut garbage, node(it), None, 0)).sum();
        assert_eq!(rest, GARBAGE_TOKENS_MAX - GARBAGE_TOKENS_PER_PREFIX_MAX);
        // A second later each has what it gained, and all together no more than theirs.
        let first = flood(&mut garbage, node(1), Some(1), 1_000);
        assert_eq!(first, GARBAGE_TOKENS_PER_SECOND_PER_NODE);
        let all: u64 = (50..900).map(|it| flood(&mut garbage, node(it), None, 1_000)).sum();
        assert_eq!(first + all, GARBAGE_TOKENS_PER_SECOND);
    }

    #[test]
    fn the_node_of_a_contact_is_not_held_up_by_the_garbage_of_others() {
        let mut garbage = Garbage::new();
        garbage.know(node(1), UserId([1; 20]), true, Mono(0));
        for other in 2..900 {
            flood(&mut garbage, node(other), None, 0);
        }
        assert!(!garbage.may_try((node(1_000), None), Mono(0)));
        assert!(garbage.may_try((node(1), None), Mono(0)));
        // It has little room for garbage of its own.
        assert_eq!(flood(&mut garbage, node(1), None, 0), KNOWN_TOKENS_MAX);
        assert!(garbage.may_try((node(1), None), Mono(1_000)));
    }

    #[test]
    fn known_nodes_are_few_and_one_contact_does_not_make_us_forget_those_of_others() {
        let mut garbage = Garbage::new();
        garbage.know(node(1), UserId([1; 20]), true, Mono(0));
        for other in 2..2_000 {
            garbage.know(node(other), UserId([2; 20]), true, Mono(other));
        }
        assert_eq!(garbage.known.len(), 1 + KNOWN_NODES_PER_CONTACT_MAX);
        assert!(garbage.known.contains_key(&(node(1), UserId([1; 20]))));
        for other in 2_000_u64..4_000 {
            let mut contact = UserId([3; 20]);
            contact.0[..8].copy_from_slice(&other.to_be_bytes());
            garbage.know(node(1), UserId([1; 20]), true, Mono(other));
            garbage.know(node(other), contact, true, Mono(other));
        }
        assert_eq!(garbage.known.len(), KNOWN_NODES_MAX);
        assert!(garbage.known.contains_key(&(node(1), UserId([1; 20]))));
    }
    #[test]
    fn who_names_the_node_of_another_first_cannot_make_us_forget_it() {
        let (honest, bad) = (UserId([1; 20]), UserId([2; 20]));
        let mut garbage = Garbage::new();
        garbage.know(node(1), bad, false, Mono(0));
        garbage.know(node(1), honest, true, Mono(1));
        for other in 2..100 {
            garbage.know(node(other), bad, other % 2 == 0, Mono(other));
        }
        for other in 1_000..2_000 {
            flood(&mut garbage, node(other), None, 100);
        }
        assert!(!garbage.may_try((node(5_000), None), Mono(100)));
        assert!(garbage.may_try((node(1), None), Mono(100)));
    }

    #[test]
    fn what_is_only_named_has_a_smaller_share_and_gives_way() {
        let (contact, first) = (UserId([1; 20]), UserId([3; 20]));
        let mut garbage = Garbage::new();
        let known = |garbage: &Garbage, proven| {
            garbage.known.values().filter(|known| known.proven == proven).count()
        };
        for other in 1..100 {
            garbage.know(node(other), contact, false, Mono(other));
        }
        assert_eq!(known(&garbage, false), KNOWN_NODES_NAMED_PER_CONTACT_MAX);
        for other in 100..200 {
            garbage.know(node(other), contact, true, Mono(other));
        }
        assert_eq!(known(&garbage, true), KNOWN_NODES_PER_CONTACT_MAX);
        assert_eq!(known(&garbage, false), 0);
        // Once its nodes have brought letters, those that it names have no place.
        garbage.know(node(1), contact, false, Mono(200));
        assert_eq!(known(&garbage, false), 0);
        // Nor do those that a thousand contacts name take the place of one that brought a letter.
        garbage.know(node(1), first, true, Mono(201));
        for other in 1_000_u64..2_000 {
            let mut contact = UserId([3; 20]);
            contact.0[..8].copy_from_slice(&other.to_be_bytes());
            garbage.know(node(other), contact, false, Mono(other));
        }
        assert_eq!(garbage.known.len(), KNOWN_NODES_MAX);
        assert!(garbage.known.contains_key(&(node(1), first)));
    }
}
