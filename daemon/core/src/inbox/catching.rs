//! Catching up: what waits with holders comes before what is brought directly.

use std::ops::RangeInclusive;

use bytchat_proto::id::{EnvelopeId, NodeId, UserId};
use bytchat_proto::limits::CATCH_UP_MS;

use super::{Attachment, Inbox, Phase};
use crate::io::LinkId;
use crate::time::{Mono, Now};

/// How far a user's device is with what was written while it was away.
#[derive(Clone, Copy, Debug)]
pub(super) struct Catching {
    since: Mono,
    /// The holders are known.
    pub(super) known: bool,
    done: bool,
}

impl Catching {
    /// It was away until now.
    pub(super) fn since(now: Now) -> Self {
        Self { since: now.mono, known: false, done: false }
    }
}

impl Inbox {
    /// Whether a user's device has got what waited with most of its holders, or waited for that
    /// long enough. Holders that lie make it wait no longer than holders that are gone.
    // SPEC 6.9: a ratchet reads only a few letters that newer ones have overtaken.
    pub fn is_caught_up(&mut self, user: UserId, now: Now) -> bool {
        let of_user = self.of_user(user);
        let (all, empty) = of_user.fold((0, 0), |(all, empty), attachment| {
            (all + 1, empty + usize::from(attachment.is_empty()))
        });
        let catching = self.catching.entry(user).or_insert(Catching::since(now));
        let most = catching.known && (all == 0 || 2 * empty > all);
        catching.done |= most || now.mono.since_ms(catching.since) >= CATCH_UP_MS;
        catching.done
    }

    /// All holders of a user were found by a lookup, not only some that were known before.
    pub fn found_holders(&mut self, user: UserId, now: Now) {
        self.catching.entry(user).or_insert(Catching::since(now)).known = true;
    }

    /// How many holders the devices here are attached to, or are to be.
    pub fn attachments(&self) -> usize {
        self.holders.len()
    }

    /// Whether it is known where a user's device should be attached.
    pub fn knows_holders(&self, user: UserId) -> bool {
        self.of_user(user).next().is_some()
    }

    /// A link is gone; if it was the last one to a user's holders, its device is away.
    pub(super) fn cut_off(&mut self, user: UserId, now: Now) {
        if self.links(user).is_empty() {
            self.catching.insert(user, Catching { known: true, ..Catching::since(now) });
        }
    }

    /// Owes a removal to a holder, which has one thing less then.
    pub(super) fn owe(&mut self, user: UserId, link: LinkId, id: EnvelopeId, now: Now) {
        if self.removals.add(user, link, id, now.mono) {
            for (_, attachment) in self.holders.range_mut(all_of(user)) {
                if attachment.phase.link() == Some(link) {
                    attachment.gone = attachment.gone.saturating_add(1);
                }
            }
        }
    }

    pub(super) fn of_user(&self, user: UserId) -> impl Iterator<Item = &Attachment> {
        self.holders.range(all_of(user)).map(|(_, attachment)| attachment)
    }
}

/// All places in which a holder of a user may stand.
pub(super) fn all_of(user: UserId) -> RangeInclusive<(UserId, NodeId)> {
    (user, NodeId([0; 20]))..=(user, NodeId([0xff; 20]))
}

impl Attachment {
    /// Whether all that waited there has come.
    fn is_empty(&self) -> bool {
        let attached = matches!(self.phase, Phase::Attached(_));
        attached && self.waiting.is_some_and(|waiting| self.gone >= waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbox::tests::{USER, attach_with, holder, now};

    const HOLDERS: u8 = 5;

    fn id(number: u8) -> EnvelopeId {
        EnvelopeId([number; 32])
    }

    /// A device that is attached to holders at each of which so much waits.
    fn back(waiting: &[u32]) -> Inbox {
        let mut inbox = Inbox::default();
        let holders: Vec<_> = (1..=HOLDERS).map(holder).collect();
        inbox.set_holders(USER, &holders, now(0));
        inbox.found_holders(USER, now(0));
        for (number, waiting) in (1..).zip(waiting) {
            assert!(attach_with(&mut inbox, number, LinkId(number.into()), *waiting));
        }
        inbox
    }

    #[test]
    fn a_device_has_caught_up_when_most_holders_have_given_what_waited() {
        let mut inbox = back(&[2, 2, 1, 9]);
        assert!(!inbox.is_caught_up(USER, now(1)));
        // What one of them brings goes at all, and what another brings as well counts once.
        inbox.remove(USER, id(1), now(1));
        inbox.remove_at(USER, LinkId(2), id(1), now(1));
        assert!(!inbox.is_caught_up(USER, now(1)));
        inbox.remove(USER, id(2), now(1));
        assert!(inbox.is_caught_up(USER, now(1)));
        // That stays so, whatever comes.
        inbox.set_holders(USER, &[holder(6), holder(7), holder(8)], now(2));
        assert!(inbox.is_caught_up(USER, now(2)));
    }

    #[test]
    fn half_of_the_holders_are_too_few_and_after_a_while_nobody_is_waited_for() {
        let mut inbox = back(&[0, 0]);
        assert!(!inbox.is_caught_up(USER, now(CATCH_UP_MS - 1)));
        assert!(inbox.is_caught_up(USER, now(CATCH_UP_MS)));
        let mut lied_to = back(&[u32::MAX; 5]);
        assert!(!lied_to.is_caught_up(USER, now(CATCH_UP_MS - 1)));
        assert!(lied_to.is_caught_up(USER, now(CATCH_UP_MS)));
    }

    #[test]
    fn nobody_is_waited_for_where_there_are_no_holders() {
        let mut inbox = Inbox::default();
        assert!(!inbox.is_caught_up(USER, now(0)), "nothing is known yet");
        inbox.set_holders(USER, &[], now(1));
        assert!(!inbox.is_caught_up(USER, now(1)), "nobody was looked for yet");
        inbox.found_holders(USER, now(1));
        assert!(inbox.is_caught_up(USER, now(1)));
    }

    #[test]
    fn a_device_that_lost_all_its_holders_catches_up_again() {
        let mut inbox = back(&[0; 5]);
        assert!(inbox.is_caught_up(USER, now(0)));
        for link in 1..5 {
            inbox.link_down(LinkId(link), now(50));
            assert!(inbox.is_caught_up(USER, now(50)));
        }
        inbox.link_down(LinkId(5), now(60));
        assert!(!inbox.is_caught_up(USER, now(60)));
        assert!(inbox.is_caught_up(USER, now(60 + CATCH_UP_MS)));
    }

    #[test]
    fn mail_that_overtakes_the_answer_of_its_holder_counts() {
        let mut inbox = Inbox::default();
        inbox.set_holders(USER, &[holder(1)], now(0));
        inbox.found_holders(USER, now(0));
        let node = holder(1).node();
        assert!(inbox.proven(USER, node, LinkId(1)));
        inbox.remove_at(USER, LinkId(1), id(1), now(1));
        assert!(!inbox.is_caught_up(USER, now(1)));
        assert!(inbox.attached(USER, node, 1));
        assert!(inbox.is_caught_up(USER, now(1)));
    }
}
