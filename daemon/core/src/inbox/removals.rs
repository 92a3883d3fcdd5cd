//! Removals on their way to the holders: each is owed until its holder has taken it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytchat_proto::id::{EnvelopeId, UserId};
use bytchat_proto::limits::{
    GATHER_MS, IDS_PER_REQUEST_MAX, REMOVAL_AGAIN_MS, REMOVAL_RETRY_MAX_MS, REMOVAL_RETRY_MIN_MS,
    REMOVALS_IN_FLIGHT_MAX, REMOVALS_OWED_MAX, REMOVALS_TAKEN_MAX,
};

use crate::fill::Fills;
use crate::io::LinkId;
use crate::time::Mono;

/// A request to remove: for whom, over which link, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemovalId {
    /// Whose mail it is.
    pub user: UserId,
    /// The link to the holder.
    pub link: LinkId,
    number: u64,
}

/// What is owed over all links.
#[derive(Debug, Default)]
pub(super) struct Removals {
    of: BTreeMap<(UserId, LinkId), Owed>,
}

/// What one holder is still to be asked to remove. It ends with the attachment: on the next one
/// the holder brings everything again.
#[derive(Debug, Default)]
struct Owed {
    waiting: BTreeSet<EnvelopeId>,
    asked: BTreeMap<u64, Vec<EnvelopeId>>,
    in_flight: BTreeSet<EnvelopeId>,
    next: u64,
    /// Nothing is sent before.
    at: Mono,
    tries: u32,
    /// What was taken lately, in order.
    taken: VecDeque<(Mono, EnvelopeId)>,
    taken_ids: BTreeSet<EnvelopeId>,
}

impl Removals {
    /// How full it is.
    pub(super) fn fills(&self, fills: &mut Fills) {
        let of = || self.of.values();
        let owed = of().map(|owed| owed.waiting.len() + owed.in_flight.len());
        fills.most("removals owed to a holder", owed, REMOVALS_OWED_MAX);
        let taken = of().map(|owed| owed.taken.len().max(owed.taken_ids.len()));
        fills.most("removals taken by a holder", taken, REMOVALS_TAKEN_MAX);
        let asked = of().map(|owed| owed.asked.len());
        fills.most("removals in flight to a holder", asked, REMOVALS_IN_FLIGHT_MAX);
    }

    /// Owes a removal to the holder at the other end of a link; false if it is owed already.
    pub(super) fn add(&mut self, user: UserId, link: LinkId, id: EnvelopeId, now: Mono) -> bool {
        self.of.entry((user, link)).or_default().add(id, now)
    }

    /// The requests that are due.
    pub(super) fn poll(&mut self, now: Mono) -> Vec<(RemovalId, Vec<EnvelopeId>)> {
        let mut due = Vec::new();
        for ((user, link), owed) in &mut self.of {
            while let Some((number, ids)) = owed.poll(now) {
                due.push((RemovalId { user: *user, link: *link, number }, ids));
            }
        }
        due
    }

    /// A holder has taken a request, or not: then it is asked again, ever later.
    pub(super) fn answered(&mut self, removal: RemovalId, taken: bool, now: Mono) {
        if let Some(owed) = self.of.get_mut(&(removal.user, removal.link)) {
            owed.answered(removal.number, taken, now);
        }
    }

    /// Forgets what is owed where nobody is attached any more.
    pub(super) fn retain(&mut self, is_attached: impl Fn(UserId, LinkId) -> bool) {
        self.of.retain(|(user, link), _| is_attached(*user, *link));
    }

    /// When something is to be sent.
    pub(super) fn due(&self) -> Option<Mono> {
        self.of.values().filter(|owed| owed.may_ask()).map(|owed| owed.at).min()
    }
}

impl Owed {
    fn add(&mut self, id: EnvelopeId, now: Mono) -> bool {
        let owed = self.waiting.len() + self.in_flight.len();
        if owed >= REMOVALS_OWED_MAX || self.in_flight.contains(&id) || self.is_taken(id, now) {
            return false;
        }
        if self.waiting.is_empty() {
            self.at = self.at.max(now.plus_ms(GATHER_MS));
        }
        self.waiting.insert(id)
    }

    /// Whether the holder has taken it lately: what it brings now it had sent before.
    fn is_taken(&mut self, id: EnvelopeId, now: Mono) -> bool {
        let over = |at: &Mono| now.since_ms(*at) >= REMOVAL_AGAIN_MS;
        while self.taken.len() > REMOVALS_TAKEN_MAX
            || self.taken.front().is_some_and(|(at, _)| over(at))
        {
            if let Some((_, first)) = self.taken.pop_front() {
                self.taken_ids.remove(&first);
            }
        }
        self.taken_ids.contains(&id)
    }

    fn may_ask(&self) -> bool {
        !self.waiting.is_empty() && self.asked.len() < REMOVALS_IN_FLIGHT_MAX
    }

    fn poll(&mut self, now: Mono) -> Option<(u64, Vec<EnvelopeId>)> {
        if now < self.at || !self.may_ask() {
            return None;
        }
        let ids: Vec<EnvelopeId> = self.waiting.iter().take(IDS_PER_REQUEST_MAX).copied().collect();
        for id in &ids {
            self.waiting.remove(id);
            self.in_flight.insert(*id);
        }
        self.next += 1;
        self.asked.insert(self.next, ids.clone());
        Some((self.next, ids))
    }

    fn answered(&mut self, number: u64, taken: bool, now: Mono) {
        let Some(ids) = self.asked.remove(&number) else {
            return;
        };
        for id in &ids {
            self.in_flight.remove(id);
        }
        if taken {
            self.tries = 0;
            for id in ids.into_iter().filter(|id| self.taken_ids.insert(*id)) {
                self.taken.push_back((now, id));
            }
            return;
        }
        self.waiting.extend(ids);
        // Several that fail together are one failure.
        if now >= self.at {
            let wait = REMOVAL_RETRY_MIN_MS << self.tries.min(10);
            self.tries += 1;
            self.at = now.plus_ms(wait.min(REMOVAL_RETRY_MAX_MS));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: UserId = UserId([1; 20]);
    const LINK: LinkId = LinkId(1);

    fn id(number: usize) -> EnvelopeId {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&number.to_be_bytes());
        EnvelopeId(id)
    }

    #[test]
    fn removals_are_gathered_and_split() {
        let mut removals = Removals::default();
        for number in 0..=IDS_PER_REQUEST_MAX {
            removals.add(USER, LINK, id(number), Mono(0));
            removals.add(USER, LINK, id(number), Mono(1));
        }
        assert!(removals.poll(Mono(0)).is_empty());
        assert_eq!(removals.due(), Some(Mono(GATHER_MS)));
        let lists = removals.poll(Mono(GATHER_MS));
        assert_eq!(lists.iter().map(|(_, ids)| ids.len()).collect::<Vec<_>>(), [256, 1]);
        assert!(removals.poll(Mono(2 * GATHER_MS)).is_empty());
        assert_eq!(removals.due(), None);
    }

    #[test]
    fn a_removal_that_was_not_taken_is_sent_again_ever_later_until_it_is() {
        let mut removals = Removals::default();
        removals.add(USER, LINK, id(1), Mono(0));
        let mut at = Mono(GATHER_MS);
        let mut waits = Vec::new();
        for _ in 0..9 {
            let lists = removals.poll(at);
            let [(removal, ids)] = lists.as_slice() else { panic!("{lists:?}") };
            assert_eq!(*ids, [id(1)]);
            // It is brought again meanwhile, and is owed once.
            removals.add(USER, LINK, id(1), at);
            removals.answered(*removal, false, at);
            removals.answered(*removal, false, at);
            let due = removals.due().unwrap();
            waits.push(due.since_ms(at));
            assert!(removals.poll(Mono(due.0 - 1)).is_empty());
            at = due;
        }
        assert_eq!(waits[..3], [1_000, 2_000, 4_000]);
        assert_eq!(waits[8], REMOVAL_RETRY_MAX_MS);
        let (removal, _) = removals.poll(at)[0];
        removals.answered(removal, true, at);
        assert_eq!(removals.due(), None);
        // Copies that were under way are not removed again, later ones are.
        removals.add(USER, LINK, id(1), at.plus_ms(REMOVAL_AGAIN_MS - 1));
        assert_eq!(removals.due(), None);
        removals.add(USER, LINK, id(1), at.plus_ms(REMOVAL_AGAIN_MS));
        assert!(removals.due().is_some());
    }

    #[test]
    fn what_is_owed_to_one_holder_is_bounded_and_goes_with_its_attachment() {
        let mut removals = Removals::default();
        let mut at = Mono(0);
        for number in 0..20_000 {
            removals.add(USER, LINK, id(number), at);
            at = at.plus_ms(1);
            removals.poll(at);
        }
        let owed = &removals.of[&(USER, LINK)];
        assert_eq!(owed.waiting.len() + owed.in_flight.len(), REMOVALS_OWED_MAX);
        assert_eq!(owed.asked.len(), REMOVALS_IN_FLIGHT_MAX);
        for number in 1..20_000 {
            removals.answered(RemovalId { user: USER, link: LINK, number }, true, at);
            removals.poll(at);
            removals.add(USER, LINK, id(20_000), at);
        }
        let owed = &removals.of[&(USER, LINK)];
        assert!(owed.taken.len() <= REMOVALS_TAKEN_MAX + IDS_PER_REQUEST_MAX);
        assert_eq!(owed.taken.len(), owed.taken_ids.len());
        removals.retain(|_, link| link != LINK);
        assert!(removals.of.is_empty());
    }
}
