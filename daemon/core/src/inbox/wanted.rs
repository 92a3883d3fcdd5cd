//! Envelopes of which notices tell: looked for at one holder after another.

use std::collections::BTreeMap;

use bytchat_proto::id::{EnvelopeId, UserId};
use bytchat_proto::limits::{
    LINKS_MAX, NOTICE_AGAIN_MS, NOTICE_GATHER_MS, NOTICE_NEXT_MS, NOTICED_PER_FETCH_MAX,
    NOTICED_PER_LINK_MAX,
};

use crate::fill::Fills;
use crate::io::LinkId;
use crate::time::Mono;

/// A question for envelopes of a user over a link.
pub type Fetch = (UserId, LinkId, Vec<EnvelopeId>);

/// What is looked for, and what was lately.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    of: BTreeMap<(UserId, EnvelopeId), Want>,
    counts: BTreeMap<LinkId, usize>,
    gather_at: Mono,
    next_at: Option<Mono>,
}

#[derive(Debug)]
struct Want {
    /// Who has told of it, and is asked last: it would have brought what it has.
    from: LinkId,
    asked: Vec<LinkId>,
    /// When the next is asked; nobody is left to be asked without it.
    at: Option<Mono>,
    until: Mono,
}

impl Want {
    fn due(&self) -> Mono {
        self.at.unwrap_or(self.until)
    }

    /// Who is asked next.
    fn next(&self, links: &[LinkId]) -> Option<LinkId> {
        let mut left = links.iter().copied().filter(|link| !self.asked.contains(link));
        left.clone().find(|link| *link != self.from).or_else(|| left.next())
    }
}

impl Wanted {
    /// How full it is.
    pub(super) fn fills(&self, fills: &mut Fills) {
        let counts = self.counts.values().copied();
        fills.most("envelopes looked for of a link", counts, NOTICED_PER_LINK_MAX);
        fills.note("envelopes looked for", self.of.len(), NOTICED_PER_LINK_MAX * LINKS_MAX);
    }

    /// Somebody tells of an envelope. What is looked for already, or was lately, is not again.
    pub(super) fn add(&mut self, user: UserId, from: LinkId, id: EnvelopeId, now: Mono) {
        let count = self.counts.get(&from).copied().unwrap_or_default();
        if self.of.contains_key(&(user, id)) || count >= NOTICED_PER_LINK_MAX {
            return;
        }
        if now >= self.gather_at {
            self.gather_at = now.plus_ms(NOTICE_GATHER_MS);
        }
        let (at, until) = (self.gather_at, now.plus_ms(NOTICE_AGAIN_MS));
        self.of.insert((user, id), Want { from, asked: Vec::new(), at: Some(at), until });
        self.counts.insert(from, count + 1);
        self.next_at = Some(self.next_at.map_or(at, |next| next.min(at)));
    }

    /// An envelope is here.
    pub(super) fn found(&mut self, user: UserId, id: EnvelopeId) {
        if let Some(want) = self.of.remove(&(user, id)) {
            self.uncount(want.from);
        }
    }

    fn uncount(&mut self, link: LinkId) {
        if let Some(count) = self.counts.get_mut(&link) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&link);
            }
        }
    }

    /// The questions that are due, given the links to the holders of a user.
    pub(super) fn poll(
        &mut self,
        links_of: impl Fn(UserId) -> Vec<LinkId>,
        now: Mono,
    ) -> Vec<Fetch> {
        if self.next_at.is_none_or(|at| now < at) {
            return Vec::new();
        }
        let mut links: BTreeMap<UserId, Vec<LinkId>> = BTreeMap::new();
        let mut asks: BTreeMap<(UserId, LinkId), Vec<EnvelopeId>> = BTreeMap::new();
        let due = |want: &Want| now >= want.due();
        for ((user, id), want) in self.of.iter_mut().filter(|(_, want)| due(want)) {
            let links = links.entry(*user).or_insert_with(|| links_of(*user));
            let next = want.at.and_then(|_| want.next(links));
            want.at = next.map(|_| now.plus_ms(NOTICE_NEXT_MS));
            if let Some(link) = next {
                want.asked.push(link);
                asks.entry((*user, link)).or_default().push(*id);
            }
        }
        let over = |want: &Want| want.at.is_none() && now >= want.until;
        let gone = self.of.extract_if(.., |_, want| over(want)).map(|(_, want)| want.from);
        for from in gone.collect::<Vec<_>>() {
            self.uncount(from);
        }
        self.next_at = self.of.values().map(Want::due).min();
        let lists = |((user, link), ids): ((UserId, LinkId), Vec<EnvelopeId>)| {
            let chunks: Vec<_> = ids.chunks(NOTICED_PER_FETCH_MAX).map(<[_]>::to_vec).collect();
            chunks.into_iter().map(move |ids| (user, link, ids))
        };
        asks.into_iter().flat_map(lists).collect()
    }

    /// When something is to be done.
    pub(super) fn due(&self) -> Option<Mono> {
        self.next_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: UserId = UserId([1; 20]);

    fn id(number: usize) -> EnvelopeId {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&number.to_be_bytes());
        EnvelopeId(id)
    }

    fn poll(wanted: &mut Wanted, at: Mono) -> Vec<Fetch> {
        wanted.poll(|_| (1..=3).map(LinkId).collect(), at)
    }

    #[test]
    fn one_holder_after_another_is_asked_for_many_at_once_and_who_told_of_it_last() {
        let mut wanted = Wanted::default();
        for number in 0..40 {
            wanted.add(USER, LinkId(1), id(number), Mono(0));
            wanted.add(USER, LinkId(2), id(number), Mono(1));
        }
        assert!(poll(&mut wanted, Mono(1)).is_empty());
        let mut at = wanted.due().unwrap();
        assert_eq!(at, Mono(NOTICE_GATHER_MS));
        for link in [2, 3, 1] {
            let asked = poll(&mut wanted, at);
            let [(USER, on, ids)] = asked.as_slice() else { panic!("{asked:?}") };
            assert_eq!((*on, ids.len()), (LinkId(link), if link == 2 { 40 } else { 39 }));
            assert!(poll(&mut wanted, at).is_empty());
            wanted.found(USER, id(0));
            at = at.plus_ms(NOTICE_NEXT_MS);
        }
        assert!(poll(&mut wanted, at).is_empty(), "all were asked");
        // It is not looked for again at once.
        wanted.add(USER, LinkId(1), id(1), at);
        assert!(poll(&mut wanted, Mono(NOTICE_AGAIN_MS - 1)).is_empty());
        assert!(poll(&mut wanted, Mono(NOTICE_AGAIN_MS)).is_empty());
        assert_eq!((wanted.of.len(), wanted.counts.len(), wanted.due()), (0, 0, None));
        wanted.add(USER, LinkId(1), id(1), Mono(NOTICE_AGAIN_MS));
        assert!(wanted.due().is_some());
    }

    #[test]
    fn who_tells_of_very_much_takes_no_room_of_others_and_asks_few_at_once() {
        let mut wanted = Wanted::default();
        for number in 0..10_000 {
            wanted.add(USER, LinkId(1), id(number), Mono(0));
        }
        assert_eq!(wanted.of.len(), NOTICED_PER_LINK_MAX);
        wanted.add(USER, LinkId(2), id(10_000), Mono(0));
        assert_eq!(wanted.of.len(), NOTICED_PER_LINK_MAX + 1);
        let asked = poll(&mut wanted, Mono(NOTICE_GATHER_MS));
        assert!(asked.iter().all(|(.., ids)| ids.len() <= NOTICED_PER_FETCH_MAX));
        // Nobody is there to be asked: all of it is forgotten in its time.
        wanted.poll(|_| Vec::new(), Mono(NOTICE_AGAIN_MS));
        assert_eq!((wanted.of.len(), wanted.counts.len(), wanted.due()), (0, 0, None));
    }
}
