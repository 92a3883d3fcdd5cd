//! Contacts: checked once, remembered by their bytes, tested before they are believed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytchat_proto::id::NodeId;
use bytchat_proto::limits::{CONTACT_FAILURES_MAX, CONTACTS_CHECKED_MAX, UNTESTED_MAX};
use bytchat_proto::point::Point;
use bytchat_proto::record::{Contact, NodeRecord, RecordError, verify_contact};
use bytchat_proto::unverified::Verified;
use sha2::{Digest, Sha256};

use crate::fill::Fills;
use crate::planted::planted;
use crate::prefix::Prefix;
use crate::stamp::{Stamps, Terms, Why};
use crate::time::Mono;

/// A node whose contact carries its own valid signature; cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its id.
    pub node: NodeId,
    /// Its signed word about itself, to be handed on.
    pub contact: Arc<Contact>,
    /// What that says.
    pub record: Arc<NodeRecord>,
}

impl Peer {
    /// Takes a contact that was verified.
    pub fn new(contact: Verified<NodeRecord>) -> Self {
        Self {
            node: contact.node(),
            contact: Arc::new(contact.source().clone()),
            record: Arc::new(contact.into_value()),
        }
    }

    /// Where it stands.
    pub fn point(&self) -> Point {
        Point::of_node(self.node)
    }

    /// The public address prefixes that it claims.
    pub(super) fn prefixes(&self) -> BTreeSet<Prefix> {
        let addresses = self.record.addresses.iter();
        addresses.filter_map(|it| Prefix::of(it.ip())).collect()
    }
}

/// Remembers contacts by the hash of their bytes, so that each signature is checked once.
pub(super) struct Checked {
    pub(super) stamps: Stamps,
    known: BTreeMap<[u8; 32], Peer>,
    order: VecDeque<[u8; 32]>,
}

impl Checked {
    /// How full it is.
    pub(super) fn fills(&self, fills: &mut Fills) {
        fills.note(
            "contacts checked",
            self.known.len().max(self.order.len()),
            CONTACTS_CHECKED_MAX,
        );
    }

    /// Knows nobody yet.
    pub(super) fn new(terms: Terms) -> Self {
        Self { stamps: Stamps::new(terms), known: BTreeMap::new(), order: VecDeque::new() }
    }

    /// Checks a contact, or remembers that it was checked.
    pub(super) fn check(&mut self, contact: &Contact) -> Result<Peer, RecordError> {
        let hash = hash_of(contact);
        if let Some(peer) = self.remembered(&hash, contact) {
            return Ok(peer);
        }
        // SPEC 4.7: a contact counts only with the signature of the node that it names.
        let peer = if planted!(UncheckedSignature) {
            let record = contact.peek()?;
            Peer { node: record.node(), contact: contact.clone().into(), record: record.into() }
        } else {
            Peer::new(verify_contact(contact, self.stamps.network())?)
        };
        self.stamps.check(&peer.record)?;
        self.remember(hash, &peer);
        Ok(peer)
    }

    /// Checks a contact that a node names, like `check`; `None` if that node has named too many
    /// whose stamps are to be checked.
    pub(super) fn hear(
        &mut self,
        contact: &Contact,
        from: NodeId,
        why: Why,
        now: Mono,
    ) -> Option<Result<Peer, RecordError>> {
        let hash = hash_of(contact);
        if let Some(peer) = self.remembered(&hash, contact) {
            return Some(Ok(peer));
        }
        let peer = match verify_contact(contact, self.stamps.network()) {
            Ok(contact) => Peer::new(contact),
            Err(_) if planted!(UncheckedSignature) => return Some(self.check(contact)),
            Err(error) => return Some(Err(error)),
        };
        if !self.stamps.may_check(&peer.record, from, why, now) {
            return None;
        }
        let checked = self.stamps.check(&peer.record);
        if checked.is_ok() {
            self.remember(hash, &peer);
        }
        Some(checked.map(|()| peer))
    }

    fn remembered(&self, hash: &[u8; 32], contact: &Contact) -> Option<Peer> {
        self.known.get(hash).filter(|peer| *peer.contact == *contact).cloned()
    }

    fn remember(&mut self, hash: [u8; 32], peer: &Peer) {
        if self.known.insert(hash, peer.clone()).is_none() {
            self.order.push_back(hash);
        }
        while self.order.len() > CONTACTS_CHECKED_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.known.remove(&oldest);
            }
        }
    }
}

fn hash_of(contact: &Contact) -> [u8; 32] {
    Sha256::digest(contact.signed_bytes()).into()
}

struct Hearsay {
    peer: Peer,
    at: Mono,
    failures: u8,
    flying: bool,
    stored: bool,
}

/// Contacts from hearsay and from the disk: not believed before they answer.
#[derive(Default)]
pub(super) struct Untested {
    waiting: BTreeMap<NodeId, Hearsay>,
    due: BTreeSet<(Mono, NodeId)>,
    flying: usize,
}

impl Untested {
    /// How full it is.
    pub(super) fn fills(&self, fills: &mut Fills) {
        fills.note("contacts untested", self.waiting.len().max(self.due.len()), UNTESTED_MAX);
    }

    /// Adds a contact if there is room; `stored` ones came from the disk.
    pub(super) fn add(&mut self, peer: Peer, stored: bool, at: Mono) {
        if let Some(old) = self.waiting.get_mut(&peer.node) {
            if peer.record.sequence > old.peer.record.sequence {
                old.peer = peer;
            }
            return;
        }
        if self.waiting.len() >= UNTESTED_MAX {
            return;
        }
        self.due.insert((at, peer.node));
        let node = peer.node;
        let hearsay = Hearsay { peer, at, failures: 0, flying: false, stored };
        self.waiting.insert(node, hearsay);
    }

    /// The next contact to test.
    pub(super) fn next(&mut self, now: Mono) -> Option<Peer> {
        let (at, node) = self.due.first().copied()?;
        if at > now {
            return None;
        }
        self.due.remove(&(at, node));
        let hearsay = self.waiting.get_mut(&node)?;
        hearsay.flying = true;
        self.flying += 1;
        Some(hearsay.peer.clone())
    }

    /// How many are being tested.
    pub(super) fn flying(&self) -> usize {
        self.flying
    }

    /// When the next test is due.
    pub(super) fn due(&self) -> Option<Mono> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Forgets a contact, because it answered.
    pub(super) fn remove(&mut self, node: NodeId) {
        if let Some(gone) = self.waiting.remove(&node) {
            self.due.remove(&(gone.at, node));
            self.flying -= usize::from(gone.flying);
        }
    }

    /// A contact did not answer. Returns whether it was given up. Contacts from the disk are
    /// kept while nobody at all answers: then it is us who are cut off.
    pub(super) fn failed(&mut self, node: NodeId, online: bool, again: Mono) -> bool {
        let Some(hearsay) = self.waiting.get_mut(&node) else {
            return false;
        };
        hearsay.failures = hearsay.failures.saturating_add(1);
        let keep = hearsay.stored && !online;
        if hearsay.failures >= CONTACT_FAILURES_MAX && !keep {
            self.remove(node);
            return true;
        }
        self.due.remove(&(hearsay.at, node));
        self.flying -= usize::from(hearsay.flying);
        hearsay.flying = false;
        hearsay.at = again;
        self.due.insert((again, node));
        false
    }

    /// The contacts from the disk: candidates of a lookup when nobody better is known.
    pub(super) fn stored(&self) -> impl Iterator<Item = &Peer> {
        let stored = self.waiting.values().filter(|it| it.stored);
        stored.map(|it| &it.peer)
    }
}
