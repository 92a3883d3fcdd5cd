//! Telling attached devices of notices: in pages, so that a holder with many of them does not
//! bring more than a device takes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytchat_proto::limits::{NOTICE_PAGE_MS, NOTICES_PER_PAGE_MAX};
use bytchat_proto::timestamp::Timestamp;
use bytchat_proto::wire::{Body, Notice};

use super::shelf::Owner;
use super::{Effect, Mailbox};
use crate::io::LinkId;
use crate::time::{Deadline, Mono, Now};

/// The pages of all links with attached devices.
#[derive(Default)]
pub(super) struct Pages {
    of: BTreeMap<LinkId, Page>,
    /// The links where somebody may have more to be told.
    ready: BTreeSet<LinkId>,
}

/// What may be told over a link until its page ends, and to whom.
struct Page {
    left: usize,
    ends: Mono,
    /// Devices that may have more to be told, in turn.
    ready: VecDeque<Owner>,
}

impl Pages {
    /// A device may have something to be told.
    pub(super) fn wake(&mut self, link: LinkId, owner: Owner) {
        let page = || Page { left: 0, ends: Mono::default(), ready: VecDeque::new() };
        let page = self.of.entry(link).or_insert_with(page);
        if !page.ready.contains(&owner) {
            page.ready.push_back(owner);
        }
        self.ready.insert(link);
    }

    /// Whose turn it is to be told one notice, over which link.
    fn next(&mut self, now: Mono) -> Option<(LinkId, Owner)> {
        for link in &self.ready {
            let Some(page) = self.of.get_mut(link) else {
                continue;
            };
            if now >= page.ends {
                (page.left, page.ends) = (NOTICES_PER_PAGE_MAX, now.plus_ms(NOTICE_PAGE_MS));
            }
            if let Some(owner) = page.ready.front().filter(|_| page.left > 0) {
                return Some((*link, *owner));
            }
        }
        None
    }

    /// The one whose turn it was was told a notice and goes to the end, or has no more.
    fn told(&mut self, link: LinkId, one: bool) {
        let Some(page) = self.of.get_mut(&link) else {
            return;
        };
        if let Some(owner) = page.ready.pop_front().filter(|_| one) {
            page.ready.push_back(owner);
            page.left = page.left.saturating_sub(1);
        }
        if page.ready.is_empty() {
            self.ready.remove(&link);
        }
    }

    /// Forgets a link that is gone.
    pub(super) fn link_down(&mut self, link: LinkId) {
        self.of.remove(&link);
        self.ready.remove(&link);
    }

    pub(super) fn deadline(&self) -> Option<Deadline> {
        let waiting = self.ready.iter().filter_map(|link| self.of.get(link));
        let at = waiting.map(|page| page.ends).min()?;
        Some(Deadline { at, why: "tell of notices" })
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.of.len()
    }
}

impl Mailbox {
    /// Tells attached devices what they were not told yet.
    // SPEC 5.6: notices come in pages.
    pub(super) fn tell(&mut self, now: Now) {
        while let Some((link, owner)) = self.pages.next(now.mono) {
            let notice = self.next_notice(link, owner, now.wall);
            self.pages.told(link, notice.is_some());
            if let Some(notice) = notice {
                self.notices.told(owner, notice.envelope, now.wall);
                let body = Box::new(Body::Notice(notice));
                self.effects.push_back(Effect::Push { link, body });
            }
        }
    }

    /// The next notice for a device that is attached over a link.
    fn next_notice(&mut self, link: LinkId, owner: Owner, now: Timestamp) -> Option<Notice> {
        let attached = self.attachments.get_mut(owner).filter(|it| it.link == link)?;
        let (number, notice) = self.notices.after(owner, attached.told, now)?;
        attached.told = number.saturating_add(1);
        Some(notice)
    }
}
