//! Mail that holders push: opening it is work, so that each holder has a pace of its own.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytchat_proto::id::{EnvelopeId, NodeId};
use bytchat_proto::limits::{
    DELIVERIES_WAITING_BYTES_MAX, DELIVERIES_WAITING_PER_NODE_MAX, DELIVERY_COST,
    DELIVERY_TOKENS_MAX, DELIVERY_TOKENS_PER_SECOND, ENVELOPES_DONE_MAX, LINKS_MAX,
    NOTICE_TOKENS_MAX, NOTICE_TOKENS_PER_SECOND, PUSHES_IN_FLIGHT_MAX,
};
use bytchat_proto::wire::{Body, Delivery};

use super::{Event, Links};
use crate::budget::{Budgets, Rate};
use crate::fill::Fills;
use crate::io::{LinkId, Outputs};
use crate::recent::Recent;
use crate::time::{Deadline, Mono, Now};

/// Two full mailboxes at once, then the pace of opening.
const RATE: Rate = Rate { per_second: DELIVERY_TOKENS_PER_SECOND, max: DELIVERY_TOKENS_MAX };
/// Each notice may make us ask all holders for something that is not there.
const OF_NOTICES: Rate = Rate { per_second: NOTICE_TOKENS_PER_SECOND, max: NOTICE_TOKENS_MAX };

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
    notices: Budgets<NodeId>,
    waiting: BTreeMap<NodeId, Waiting>,
    bytes: usize,
    done: Recent<EnvelopeId, ENVELOPES_DONE_MAX>,
}

/// A delivery that waits for its turn.
#[derive(Debug)]
struct Item {
    link: LinkId,
    id: EnvelopeId,
    delivery: Delivery,
}

#[derive(Debug, Default)]
struct Waiting {
    queue: VecDeque<Item>,
    ids: BTreeSet<(EnvelopeId, LinkId)>,
    bytes: usize,
}

impl Waiting {
    fn push(&mut self, item: Item) {
        self.bytes += bytes_of(&item.delivery);
        self.ids.insert((item.id, item.link));
        self.queue.push_back(item);
    }

    /// Recounts after something was taken out.
    fn left(&mut self, taken: Option<Item>) -> Option<Item> {
        if let Some(item) = &taken {
            self.bytes -= bytes_of(&item.delivery);
            self.ids.remove(&(item.id, item.link));
        }
        taken
    }

    fn first(&mut self) -> Option<Item> {
        let taken = self.queue.pop_front();
        self.left(taken)
    }

    fn last(&mut self) -> Option<Item> {
        let taken = self.queue.pop_back();
        self.left(taken)
    }

    /// Takes out all copies of an envelope.
    fn copies(&mut self, id: EnvelopeId) -> Vec<Item> {
        let mut copies = Vec::new();
        while let Some((_, link)) = self.ids.range((id, LinkId(0))..=(id, LinkId(u64::MAX))).next()
        {
            let link = *link;
            let at = self.queue.iter().position(|item| (item.id, item.link) == (id, link));
            let taken = at.and_then(|at| self.queue.remove(at));
            self.ids.remove(&(id, link));
            copies.extend(self.left(taken));
        }
        copies
    }
}

impl Deliveries {
    /// How full it is.
    pub(super) fn fills(&self, fills: &mut Fills) {
        fills.note("holders with a pace", self.budgets.count(), LINKS_MAX);
        fills.note("holders with a pace of notices", self.notices.count(), LINKS_MAX);
        fills.note("bytes of deliveries waiting", self.bytes, DELIVERIES_WAITING_BYTES_MAX);
        fills.note("envelopes done with", self.done.count(), ENVELOPES_DONE_MAX);
    }

    pub(super) fn new() -> Self {
        let budgets = Budgets::new(RATE, LINKS_MAX);
        let notices = Budgets::new(OF_NOTICES, LINKS_MAX);
        Self { budgets, notices, waiting: BTreeMap::new(), bytes: 0, done: Recent::default() }
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
        let Body::Delivery(delivery) = body else {
            if self.notices.pay(from, DELIVERY_COST, now) {
                return Pace::Now(body);
            }
            tracing::debug!(?link, "a notice beyond the pace of its holder is lost");
            return Pace::Later;
        };
        // Nothing of it is opened: it costs nothing and waits for nobody.
        let id = delivery.envelope.id();
        if self.done.has(&id) {
            return Pace::Now(Body::Delivery(delivery));
        }
        let waiting = self.waiting.get(&from);
        if waiting.is_some_and(|waiting| waiting.ids.contains(&(id, link))) {
            tracing::debug!(?link, "a delivery comes again while it waits");
            return Pace::Later;
        }
        let waits = waiting.map_or(0, |waiting| waiting.queue.len());
        if waits == 0 && self.budgets.pay(from, DELIVERY_COST, now) {
            return Pace::Now(Body::Delivery(delivery));
        }
        // SPEC 6.9: an honest holder has no more than that under way. What waits here was never
        // removed, so that it is in the holder's window.
        let window = accounts.saturating_mul(PUSHES_IN_FLIGHT_MAX);
        if waits >= window.max(DELIVERIES_WAITING_PER_NODE_MAX) {
            return Pace::TooMuch;
        }
        self.bytes += bytes_of(&delivery);
        self.waiting.entry(from).or_default().push(Item { link, id, delivery });
        self.keep_to_the_bound();
        Pace::Later
    }

    /// An envelope is done with: gives back the copies of it that wait.
    fn done_with(&mut self, id: EnvelopeId) -> Vec<(LinkId, NodeId, Body)> {
        self.done.add(id);
        let mut copies = Vec::new();
        for (node, waiting) in &mut self.waiting {
            let taken = waiting.copies(id).into_iter();
            copies.extend(taken.map(|item| (item.link, *node, Body::Delivery(item.delivery))));
        }
        if !copies.is_empty() {
            self.tidy();
        }
        copies
    }

    /// Who has most waiting gives way, so that nobody suffers from what others bring.
    fn keep_to_the_bound(&mut self) {
        while self.bytes > DELIVERIES_WAITING_BYTES_MAX {
            let most = self.waiting.iter_mut().max_by_key(|(_, waiting)| waiting.bytes);
            let Some(Item { link, delivery, .. }) = most.and_then(|(_, it)| it.last()) else {
                return;
            };
            tracing::debug!(?link, "a delivery is lost until it is brought again: too much waits");
            self.bytes -= bytes_of(&delivery);
        }
    }

    /// What may be opened by now.
    pub(super) fn due(&mut self, now: Mono) -> Vec<(LinkId, NodeId, Body)> {
        let mut due = Vec::new();
        for (node, waiting) in &mut self.waiting {
            while !waiting.queue.is_empty() && self.budgets.pay(*node, DELIVERY_COST, now) {
                let first = waiting.first();
                due.extend(first.map(|it| (it.link, *node, Body::Delivery(it.delivery))));
            }
        }
        self.tidy();
        due
    }

    /// Forgets what waits from a link: its holder pushes it again over the next one.
    pub(super) fn link_down(&mut self, link: LinkId, node: NodeId) {
        if let Some(waiting) = self.waiting.get_mut(&node) {
            waiting.queue.retain(|item| item.link != link);
            waiting.ids.retain(|(_, other)| *other != link);
            waiting.bytes = waiting.queue.iter().map(|item| bytes_of(&item.delivery)).sum();
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
    /// An envelope was opened, or does not open: copies of it, from whatever holder, are told of at
    /// once, those that wait and those that come.
    // SPEC 2.8: nobody is cut off for what was removed because another holder brought it.
    pub fn done_with(&mut self, id: EnvelopeId) {
        for (link, from, body) in self.deliveries.done_with(id) {
            self.events.push_back(Event::Push { link, from, body });
        }
    }

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

    /// Mail of a size, each with its number.
    fn delivery(class: usize) -> impl Fn(u64) -> Body {
        move |number| numbered(class, number)
    }

    fn numbered(class: usize, number: u64) -> Body {
        let mut sealed = vec![7; class + TAG_BYTES];
        sealed[..8].copy_from_slice(&number.to_be_bytes());
        let (user, device) = (UserId([1; 20]), DeviceKey([1; 32]));
        let envelope = Envelope::assemble(user, device, 1, &[7; ENCAPSULATION_BYTES], &sealed);
        Body::Delivery(Delivery { envelope: envelope.unwrap() })
    }

    fn notice(_: u64) -> Body {
        let (user, device) = (UserId([1; 20]), DeviceKey([1; 32]));
        Body::Notice(Notice { user, device, envelope: EnvelopeId([1; 32]), until: Timestamp(1) })
    }

    fn node(number: u64) -> (LinkId, NodeId) {
        let mut id = [0; 20];
        id[..8].copy_from_slice(&number.to_be_bytes());
        (LinkId(number), NodeId(id))
    }

    /// Brings so many and counts what may be opened now, what not, and what is too much.
    fn bring(
        deliveries: &mut Deliveries,
        from: u64,
        body: impl Fn(u64) -> Body,
        count: u64,
    ) -> [u64; 3] {
        let mut counts = [0; 3];
        for number in 0..count {
            let pace = deliveries.take(node(from), 10, body(number), Mono(0));
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
        let all = NOTICE_TOKENS_MAX + 1_000;
        let counts = bring(&mut deliveries, 1, notice, all);
        assert_eq!(counts, [NOTICE_TOKENS_MAX, 1_000, 0]);
        // They use up nothing of what mail may have.
        let counts = bring(&mut deliveries, 1, delivery(ENVELOPE_CLASS_MIN), DELIVERY_TOKENS_MAX);
        assert_eq!(counts, [DELIVERY_TOKENS_MAX, 0, 0]);
        assert!(deliveries.deadline().is_none());
    }

    #[test]
    fn a_holder_of_many_accounts_may_bring_as_much_for_each() {
        let mut deliveries = Deliveries::new();
        let mail = delivery(ENVELOPE_CLASS_MIN);
        let counts = bring(&mut deliveries, 1, mail, DELIVERY_TOKENS_MAX + 322);
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
    fn what_another_holder_brought_neither_waits_nor_counts() {
        let mut deliveries = Deliveries::new();
        let mail = delivery(ENVELOPE_CLASS_MIN);
        let id = |number: u64| {
            let Body::Delivery(it) = mail(number) else { panic!("no mail") };
            it.envelope.id()
        };
        bring(&mut deliveries, 1, notice, 1);
        bring(&mut deliveries, 1, |number| mail(1_000_000 + number), DELIVERY_TOKENS_MAX);
        // Its window comes again and again, because others bring the same and we remove it.
        for round in 0..40 {
            let window = round * 32..(round + 1) * 32;
            let counts = bring(&mut deliveries, 1, |number| mail(window.start + number), 32);
            assert_eq!(counts, [0, 32, 0]);
            // While it waits, another copy takes no room.
            assert_eq!(bring(&mut deliveries, 1, |_| mail(window.start), 9), [0, 9, 0]);
            for number in window {
                let copies = deliveries.done_with(id(number));
                assert_eq!(copies.iter().map(|(link, ..)| *link).collect::<Vec<_>>(), [LinkId(1)]);
                // A copy that comes later waits for nobody.
                assert_eq!(bring(&mut deliveries, 1, |_| mail(number), 1), [1, 0, 0]);
            }
        }
        assert_eq!((deliveries.bytes, deliveries.waiting.len()), (0, 0));
        for number in 0..2 * u64::try_from(ENVELOPES_DONE_MAX).unwrap() {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&number.to_be_bytes());
            assert!(deliveries.done_with(EnvelopeId(id)).is_empty());
        }
        assert_eq!(deliveries.done.count(), ENVELOPES_DONE_MAX);
    }

    #[test]
    fn what_waits_of_a_lost_link_is_forgotten() {
        let mut deliveries = Deliveries::new();
        bring(&mut deliveries, 1, delivery(ENVELOPE_CLASS_MIN), DELIVERY_TOKENS_MAX + 5);
        deliveries.link_down(LinkId(2), node(1).1);
        assert_eq!(deliveries.waiting[&node(1).1].queue.len(), 5);
        deliveries.link_down(LinkId(1), node(1).1);
        assert_eq!((deliveries.bytes, deliveries.waiting.len()), (0, 0));
    }
}
