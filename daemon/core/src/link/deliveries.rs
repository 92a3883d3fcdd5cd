//! Mail that holders push: opening it is work, so that each holder has a pace of its own.

use std::collections::{BTreeMap, VecDeque};

use bytchat_proto::id::NodeId;
use bytchat_proto::limits::{
    DELIVERIES_WAITING_BYTES_MAX, DELIVERIES_WAITING_PER_NODE_MAX, DELIVERY_COST,
    DELIVERY_TOKENS_MAX, DELIVERY_TOKENS_PER_SECOND, LINKS_MAX, PUSHES_IN_FLIGHT_MAX,
};
use bytchat_proto::wire::{Body, Delivery};

use super::budget::{Budgets, Rate};
use super::{Event, Links};
use crate::io::{LinkId, Outputs};
use crate::time::{Deadline, Mono, Now};

/// Two full mailboxes at once, then the pace of opening.
const RATE: Rate = Rate { per_second: DELIVERY_TOKENS_PER_SECOND, max: DELIVERY_TOKENS_MAX };

/// What becomes of a push.
pub(super) enum Pace {
    /// It may be opened now.
    Now(Body),
    /// It waits for its turn, or is lost because others wait.
    Later,
    /// So much waits already as no honest holder brings.
    TooMuch,
}

/// The paces of all holders, and what waits for its turn.
#[derive(Debug)]
pub(super) struct Deliveries {
    /// By node and not by link: who opens a new link has the old pace.
    budgets: Budgets<NodeId>,
    waiting: BTreeMap<NodeId, Waiting>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    queue: VecDeque<(LinkId, Delivery)>,
    bytes: usize,
}

impl Waiting {
    fn push(&mut self, link: LinkId, delivery: Delivery) {
        self.bytes += bytes_of(&delivery);
        self.queue.push_back((link, delivery));
    }

    /// Recounts after something was taken out.
    fn left(&mut self, taken: Option<(LinkId, Delivery)>) -> Option<(LinkId, Delivery)> {
        self.bytes -= taken.as_ref().map_or(0, |(_, delivery)| bytes_of(delivery));
        taken
    }

    fn first(&mut self) -> Option<(LinkId, Delivery)> {
        let taken = self.queue.pop_front();
        self.left(taken)
    }

    fn last(&mut self) -> Option<(LinkId, Delivery)> {
        let taken = self.queue.pop_back();
        self.left(taken)
    }
}

impl Deliveries {
    pub(super) fn new() -> Self {
        let budgets = Budgets::new(RATE, LINKS_MAX);
        Self { budgets, waiting: BTreeMap::new(), bytes: 0 }
    }

    /// Takes a push of a holder to which so many accounts are attached; what waits keeps its
    /// order. Notices are hints, and those beyond the pace are lost.
    pub(super) fn take(
        &mut self,
        (link, from): (LinkId, NodeId),
        accounts: usize,
        body: Body,
        now: Mono,
    ) -> Pace {
        let waits = self.waiting.get(&from).map_or(0, |waiting| waiting.queue.len());
        let turn = waits == 0 || matches!(body, Body::Notice(_));
        if turn && self.budgets.pay(from, DELIVERY_COST, now) {
            return Pace::Now(body);
        }
        let Body::Delivery(delivery) = body else {
            tracing::debug!(?link, "a notice beyond the pace of its holder is lost");
            return Pace::Later;
        };
        // SPEC 6.9: an honest holder has no more than that under way.
        let window = accounts.saturating_mul(PUSHES_IN_FLIGHT_MAX);
        if waits >= window.max(DELIVERIES_WAITING_PER_NODE_MAX) {
            return Pace::TooMuch;
        }
        self.bytes += bytes_of(&delivery);
        self.waiting.entry(from).or_default().push(link, delivery);
        self.keep_to_the_bound();
        Pace::Later
    }

    /// Who has most waiting gives way, so that nobody suffers from what others bring.
    fn keep_to_the_bound(&mut self) {
        while self.bytes > DELIVERIES_WAITING_BYTES_MAX {
            let most = self.waiting.iter_mut().max_by_key(|(_, waiting)| waiting.bytes);
            let Some((link, delivery)) = most.and_then(|(_, waiting)| waiting.last()) else {
                return;
            };
            tracing::debug!(?link, "a delivery is lost: too much of its holder waits");
            self.bytes -= bytes_of(&delivery);
        }
    }

    /// What may be opened by now.
    pub(super) fn due(&mut self, now: Mono) -> Vec<(LinkId, NodeId, Body)> {
        let mut due = Vec::new();
        for (node, waiting) in &mut self.waiting {
            while !waiting.queue.is_empty() && self.budgets.pay(*node, DELIVERY_COST, now) {
                due.extend(waiting.first().map(|(link, it)| (link, *node, Body::Delivery(it))));
            }
        }
        self.tidy();
        due
    }

    /// Forgets what waits from a link: its holder pushes it again over the next one.
    pub(super) fn link_down(&mut self, link: LinkId, node: NodeId) {
        if let Some(waiting) = self.waiting.get_mut(&node) {
            waiting.queue.retain(|(other, _)| *other != link);
            waiting.bytes = waiting.queue.iter().map(|(_, delivery)| bytes_of(delivery)).sum();
            self.tidy();
        }
    }

    fn tidy(&mut self) {
        self.waiting.retain(|_, waiting| !waiting.queue.is_empty());
        self.bytes = self.waiting.values().map(|waiting| waiting.bytes).sum();
    }

    pub(super) fn deadline(&self) -> Option<Deadline> {
        let at = self.waiting.keys().map(|node| self.budgets.ready(*node, DELIVERY_COST)).min()?;
        Some(Deadline { at, why: "open mail" })
    }
}

fn bytes_of(delivery: &Delivery) -> usize {
    delivery.envelope.as_bytes().len()
}

impl<T> Links<T> {
    /// A holder pushes mail. SPEC 2.8: it is opened at the pace that one holder may have; the
    /// holder notices by removals that come later, and then has less under way.
    pub(super) fn handle_delivery(
        &mut self,
        (link, from): (LinkId, NodeId),
        body: Body,
        now: Now,
        out: &mut Outputs,
    ) {
        // Links are kept to the nodes that we are attached to or have sent a proof, and nobody
        // else has mail for us.
        let Some(accounts) = self.kept.get(&from) else {
            tracing::debug!(?link, "mail from a node that we are not attached to");
            return;
        };
        let accounts = usize::try_from(*accounts).unwrap_or(usize::MAX);
        match self.deliveries.take((link, from), accounts, body, now.mono) {
            Pace::Now(body) => self.events.push_back(Event::Push { link, from, body }),
            Pace::Later => {}
            Pace::TooMuch => self.misbehaved(link, "mail comes faster than it goes", now, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytchat_proto::envelope::{ENCAPSULATION_BYTES, Envelope, TAG_BYTES};
    use bytchat_proto::id::{EnvelopeId, UserId};
    use bytchat_proto::key::DeviceKey;
    use bytchat_proto::limits::{ENVELOPE_CLASS_MAX, ENVELOPE_CLASS_MIN};
    use bytchat_proto::timestamp::Timestamp;
    use bytchat_proto::wire::Notice;

    use super::*;

    fn delivery(class: usize) -> Body {
        let sealed = vec![7; class + TAG_BYTES];
        let (user, device) = (UserId([1; 20]), DeviceKey([1; 32]));
        let envelope = Envelope::assemble(user, device, 1, &[7; ENCAPSULATION_BYTES], &sealed);
        Body::Delivery(Delivery { envelope: envelope.unwrap() })
    }

    fn notice() -> Body {
        let (user, device) = (UserId([1; 20]), DeviceKey([1; 32]));
        Body::Notice(Notice { user, device, envelope: EnvelopeId([1; 32]), until: Timestamp(1) })
    }

    fn node(number: u64) -> (LinkId, NodeId) {
        let mut id = [0; 20];
        id[..8].copy_from_slice(&number.to_be_bytes());
        (LinkId(number), NodeId(id))
    }

    /// Brings so many and counts what may be opened now, what not, and what is too much.
    fn bring(deliveries: &mut Deliveries, from: u64, body: &Body, count: u64) -> [u64; 3] {
        let mut counts = [0; 3];
        for _ in 0..count {
            let pace = deliveries.take(node(from), 10, body.clone(), Mono(0));
            counts[match pace {
                Pace::Now(_) => 0,
                Pace::Later => 1,
                Pace::TooMuch => 2,
            }] += 1;
        }
        counts
    }

    #[test]
    fn notices_beyond_the_pace_are_lost_and_cut_nobody_off() {
        let mut deliveries = Deliveries::new();
        let all = DELIVERY_TOKENS_MAX + 1_000;
        let counts = bring(&mut deliveries, 1, &notice(), all);
        assert_eq!(counts, [DELIVERY_TOKENS_MAX, 1_000, 0]);
        assert!(deliveries.deadline().is_none());
    }

    #[test]
    fn a_holder_of_many_accounts_may_bring_as_much_for_each() {
        let mut deliveries = Deliveries::new();
        let mail = delivery(ENVELOPE_CLASS_MIN);
        let counts = bring(&mut deliveries, 1, &mail, DELIVERY_TOKENS_MAX + 322);
        assert_eq!(counts, [DELIVERY_TOKENS_MAX, 320, 2]);
    }

    #[test]
    fn who_brings_most_gives_way_when_too_much_waits_and_nobody_is_cut_off() {
        let mut deliveries = Deliveries::new();
        let (large, small) = (delivery(ENVELOPE_CLASS_MAX), delivery(ENVELOPE_CLASS_MIN));
        for from in 1..=3 {
            let [_, later, cut] = bring(&mut deliveries, from, &large, DELIVERY_TOKENS_MAX + 250);
            assert_eq!((later, cut), (250, 0));
        }
        assert!(deliveries.bytes <= DELIVERIES_WAITING_BYTES_MAX);
        assert!(deliveries.bytes > DELIVERIES_WAITING_BYTES_MAX - 70_000);
        let [_, later, cut] = bring(&mut deliveries, 9, &small, DELIVERY_TOKENS_MAX + 250);
        assert_eq!((later, cut), (250, 0));
        assert!(deliveries.bytes <= DELIVERIES_WAITING_BYTES_MAX);
        assert_eq!(deliveries.waiting[&node(9).1].queue.len(), 250);
        // All of it can be opened in its time, and then nothing is counted any more.
        let due = deliveries.due(Mono(10_000));
        assert!(due.iter().filter(|(link, ..)| *link == LinkId(9)).count() == 250);
        assert_eq!((deliveries.bytes, deliveries.waiting.len()), (0, 0));
    }

    #[test]
    fn what_waits_of_a_lost_link_is_forgotten() {
        let mut deliveries = Deliveries::new();
        bring(&mut deliveries, 1, &delivery(ENVELOPE_CLASS_MIN), DELIVERY_TOKENS_MAX + 5);
        deliveries.link_down(LinkId(2), node(1).1);
        assert_eq!(deliveries.waiting[&node(1).1].queue.len(), 5);
        deliveries.link_down(LinkId(1), node(1).1);
        assert_eq!((deliveries.bytes, deliveries.waiting.len()), (0, 0));
    }
}
