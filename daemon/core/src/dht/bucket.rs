//! One k-bucket: long-lived contacts first, and some that wait behind them.

use std::collections::{BTreeSet, VecDeque};

use bytchat_proto::id::NodeId;
use bytchat_proto::limits::{
    BUCKET_CONTACTS_MAX, BUCKET_REPLACEMENTS_MAX, CONTACT_FAILURES_MAX, PREFIX_PER_BUCKET_MAX,
    REQUEST_TIMEOUT_MS,
};

use super::contacts::Peer;
use super::rtt::Rtt;
use crate::prefix::Prefix;
use crate::time::Mono;

/// A contact that answered over an authenticated link.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) peer: Peer,
    pub(super) rtt: Rtt,
    pub(super) seen: Mono,
    pub(super) prefixes: BTreeSet<Prefix>,
    failures: u8,
    failed_at: Mono,
    failing_since: Mono,
}

impl Entry {
    /// A contact that is live now.
    pub(super) fn new(peer: Peer, rtt_ms: Option<u64>, now: Mono) -> Self {
        let mut entry = Self {
            prefixes: peer.prefixes(),
            peer,
            rtt: Rtt::default(),
            seen: now,
            failures: 0,
            failed_at: Mono(0),
            failing_since: Mono(0),
        };
        entry.answered(rtt_ms, now);
        entry
    }

    /// It was heard from.
    pub(super) fn answered(&mut self, rtt_ms: Option<u64>, now: Mono) {
        self.seen = now;
        self.failures = 0;
        if let Some(rtt_ms) = rtt_ms {
            self.rtt.measured(rtt_ms);
        }
    }

    /// It did not answer. Requests that fail together count once.
    fn failed(&mut self, now: Mono) {
        if self.failures == 0 {
            self.failing_since = now;
        } else if now.since_ms(self.failed_at) < REQUEST_TIMEOUT_MS {
            return;
        }
        self.failures = self.failures.saturating_add(1);
        self.failed_at = now;
    }

    /// Whether it has failed since it last answered.
    pub(super) fn is_suspect(&self) -> bool {
        self.failures > 0
    }

    /// Whether it must go. As long as nobody else has answered since it began to fail, it may
    /// well be us who are cut off, and a table must outlive that.
    fn is_gone(&self, heard_anyone: Option<Mono>) -> bool {
        let online = heard_anyone.is_some_and(|heard| heard > self.failing_since);
        self.failures >= CONTACT_FAILURES_MAX && online
    }
}

/// What became of a contact that was heard from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// It was there before.
    Known,
    /// It was there before and says something new about itself.
    Renewed,
    /// It is new in the bucket.
    Joined,
    /// The bucket is full; it waits.
    Waiting,
}

/// One bucket.
#[derive(Clone, Debug, Default)]
pub(super) struct Bucket {
    live: Vec<Entry>,
    waiting: VecDeque<Entry>,
    /// When it is to be refreshed, once the table is in use.
    pub(super) refresh_at: Option<Mono>,
}

impl Bucket {
    /// How full it is: those that are live, and those behind them.
    pub(super) fn fill(&self) -> (usize, usize) {
        (self.live.len(), self.waiting.len())
    }

    /// The contacts, those first that have been here longest.
    pub(super) fn live(&self) -> &[Entry] {
        &self.live
    }

    /// Finds a live contact.
    pub(super) fn get(&self, node: NodeId) -> Option<&Entry> {
        self.live.iter().find(|entry| entry.peer.node == node)
    }

    /// Whether a stranger would find a place, or one to wait.
    pub(super) fn has_room(&self) -> bool {
        self.live.len() < BUCKET_CONTACTS_MAX || self.waiting.len() < BUCKET_REPLACEMENTS_MAX
    }

    /// Finds a contact, live or waiting.
    pub(super) fn get_mut(&mut self, node: NodeId) -> Option<&mut Entry> {
        let mut all = self.live.iter_mut().chain(&mut self.waiting);
        all.find(|entry| entry.peer.node == node)
    }

    /// Adds a live contact that is not in the bucket. Old live contacts keep their places.
    pub(super) fn add(&mut self, entry: Entry, fits_table: bool) -> Heard {
        if fits_table && self.live.len() < BUCKET_CONTACTS_MAX && self.fits(&entry) {
            self.live.push(entry);
            return Heard::Joined;
        }
        self.waiting.push_back(entry);
        if self.waiting.len() > BUCKET_REPLACEMENTS_MAX {
            self.waiting.pop_front();
        }
        Heard::Waiting
    }

    /// Takes a contact out, live (`true`) or waiting.
    pub(super) fn remove(&mut self, node: NodeId) -> Option<(Entry, bool)> {
        let is_it = |entry: &Entry| entry.peer.node == node;
        if let Some(index) = self.live.iter().position(is_it) {
            return Some((self.live.remove(index), true));
        }
        let index = self.waiting.iter().position(is_it)?;
        self.waiting.remove(index).map(|entry| (entry, false))
    }

    /// Counts a failure. Returns whether the contact must go.
    pub(super) fn failed(&mut self, node: NodeId, heard: Option<Mono>, now: Mono) -> bool {
        let Some(entry) = self.get_mut(node) else {
            return false;
        };
        entry.failed(now);
        entry.is_gone(heard)
    }

    /// The waiting contact that was heard from last and fits, for a free place.
    pub(super) fn take_waiting(&mut self, fits_table: impl Fn(&Entry) -> bool) -> Option<Entry> {
        if self.live.len() >= BUCKET_CONTACTS_MAX {
            return None;
        }
        let fits = |entry: &Entry| !entry.is_suspect() && self.fits(entry) && fits_table(entry);
        let indexed = self.waiting.iter().enumerate();
        let (index, _) =
            indexed.filter(|(_, entry)| fits(entry)).max_by_key(|(_, entry)| entry.seen)?;
        self.waiting.remove(index)
    }

    fn fits(&self, entry: &Entry) -> bool {
        entry.prefixes.iter().all(|prefix| {
            let same = self.live.iter().filter(|it| it.prefixes.contains(prefix));
            same.count() < PREFIX_PER_BUCKET_MAX
        })
    }
}
