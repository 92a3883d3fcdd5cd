//! The ratchet states between one device of ours and one device of a peer.

use std::fmt;

use bytchat_proto::envelope::Party;
use bytchat_proto::id::UserId;
use bytchat_proto::limits::{SESSIONS_PAST_MAX, SESSIONS_PER_PAIR_MAX};
use serde::{Deserialize, Serialize};
use vodozemac::Curve25519PublicKey;
use vodozemac::olm::{DecryptionError, Message, Session, SessionPickle};
use zeroize::Zeroizing;

use super::CryptoError;
use super::vault::{decode_secret, encode_secret};

const PICKLE_VERSION: u8 = 1;
/// Receiving chains that vodozemac keeps for one session.
const CHAINS_MAX: usize = 5;
/// How far back a chain remembers which messages it has opened.
const WINDOW: u64 = 128;

/// All sessions of one pair of devices; the first is the one last received on.
#[derive(Default)]
pub struct Sessions {
    live: Vec<Entry>,
    past: Vec<String>,
}

/// One session with what was proven when it was opened.
pub(super) struct Entry {
    session: Session,
    pub(super) id: String,
    pub(super) peer: Party,
    opened_by_peer: bool,
    retired: bool,
    chains: Vec<Chain>,
}

/// Which messages of a receiving chain were opened: tells a replay from a lost key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Chain {
    ratchet_key: [u8; 32],
    next: u64,
    opened: u128,
}

#[derive(Serialize, Deserialize)]
struct Pickle {
    live: Vec<EntryPickle>,
    past: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct EntryPickle {
    session: SessionPickle,
    peer: Party,
    opened_by_peer: bool,
    retired: bool,
    chains: Vec<Chain>,
}

impl Sessions {
    /// No session yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there is no session.
    pub fn is_empty(&self) -> bool {
        self.live.is_empty()
    }

    /// The user at the other end, as it was proven.
    pub fn peer(&self) -> Option<UserId> {
        self.live.first().map(|entry| entry.peer.user)
    }

    /// Whether a letter can go to a party without a one-time or fallback key.
    pub fn can_send(&self, to: &Party) -> bool {
        self.sending(to).is_some()
    }

    /// Makes the next letter open a new session, because the peer cannot read the old ones; they
    /// are still read here.
    pub fn renew(&mut self) {
        for entry in &mut self.live {
            entry.retired = true;
        }
    }

    /// The states for the disk, to be sealed there.
    pub fn pickle(&self) -> Zeroizing<Vec<u8>> {
        let pickle = Pickle {
            live: self.live.iter().map(Entry::to_pickle).collect(),
            past: self.past.clone(),
        };
        encode_secret(PICKLE_VERSION, &pickle)
    }

    /// Reads the states back.
    pub fn from_pickle(bytes: &[u8]) -> Result<Self, CryptoError> {
        let pickle: Pickle = decode_secret(PICKLE_VERSION, bytes, "sessions")?;
        Ok(Self {
            live: pickle.live.into_iter().map(Entry::from_pickle).collect(),
            past: pickle.past,
        })
    }

    /// The session to send on.
    pub(super) fn sending(&self, to: &Party) -> Option<&Entry> {
        self.live.iter().find(|entry| !entry.retired && entry.peer == *to)
    }

    pub(super) fn find(&self, id: &str) -> Option<&Entry> {
        self.live.iter().find(|entry| entry.id == id)
    }

    pub(super) fn is_past(&self, id: &str) -> bool {
        self.past.iter().any(|past| past == id)
    }

    /// The sessions that could open a message: the one that knows its chain, or else all.
    pub(super) fn candidates(&self, message: &Message) -> impl Iterator<Item = &Entry> {
        let key = message.ratchet_key();
        let known = self.live.iter().any(|entry| entry.chain(&key).is_some());
        self.live.iter().filter(move |entry| !known || entry.chain(&key).is_some())
    }

    /// Takes a state back after it was used for sending: at its place, or as the first.
    pub(super) fn keep_sent(&mut self, entry: Entry) {
        match self.live.iter_mut().find(|old| old.id == entry.id) {
            Some(old) => *old = entry,
            None => self.keep_first(entry),
        }
    }

    /// Takes a state after a message was received on it: as the first.
    pub(super) fn keep_first(&mut self, entry: Entry) {
        self.live.retain(|old| old.id != entry.id);
        self.live.insert(0, entry);
        for gone in self.live.drain(SESSIONS_PER_PAIR_MAX.min(self.live.len())..) {
            if gone.opened_by_peer {
                self.past.push(gone.id);
            }
        }
        let surplus = self.past.len().saturating_sub(SESSIONS_PAST_MAX);
        self.past.drain(..surplus);
    }
}

impl Entry {
    /// A session that we open.
    pub(super) fn opened_by_us(session: Session, peer: Party) -> Self {
        Self {
            id: session.session_id(),
            session,
            peer,
            opened_by_peer: false,
            retired: false,
            chains: Vec::new(),
        }
    }

    /// A session that the peer has opened with a message.
    pub(super) fn opened_by_peer(session: Session, peer: Party, message: &Message) -> Self {
        let mut entry = Self { opened_by_peer: true, ..Self::opened_by_us(session, peer) };
        entry.mark(message);
        entry
    }

    /// A copy to work on, so that a failure changes nothing.
    pub(super) fn copy(&self) -> Self {
        Self::from_pickle(self.to_pickle())
    }

    /// Encrypts; says whether the message opens the session.
    pub(super) fn encrypt(&mut self, plain: &[u8]) -> Result<(bool, Vec<u8>), CryptoError> {
        let message =
            self.session.encrypt(plain).map_err(|_| CryptoError::BadKey("peer's ratchet"))?;
        let (kind, bytes) = message.to_parts();
        Ok((kind == 0, bytes))
    }

    /// Decrypts on a copy and returns it with the plaintext.
    pub(super) fn decrypt(
        &self,
        message: &Message,
    ) -> Result<(Self, Zeroizing<Vec<u8>>), CryptoError> {
        let mut copy = self.copy();
        let result = copy.session.decrypt(&message.clone().into());
        let plain = result.map_err(|error| match error {
            DecryptionError::MissingMessageKey(_) if self.has_opened(message) => {
                CryptoError::Replayed
            }
            DecryptionError::MissingMessageKey(_)
            | DecryptionError::InvalidMAC(_)
            | DecryptionError::InvalidMACLength(..)
            | DecryptionError::InvalidPadding(_)
            | DecryptionError::NonContributoryKey
            | DecryptionError::TooBigMessageGap(..) => CryptoError::Undecryptable,
        })?;
        copy.mark(message);
        Ok((copy, Zeroizing::new(plain)))
    }

    fn chain(&self, key: &Curve25519PublicKey) -> Option<&Chain> {
        self.chains.iter().find(|chain| chain.ratchet_key == *key.as_bytes())
    }

    fn has_opened(&self, message: &Message) -> bool {
        self.chain(&message.ratchet_key())
            .is_some_and(|chain| chain.has_opened(message.chain_index()))
    }

    fn mark(&mut self, message: &Message) {
        let key = message.ratchet_key().to_bytes();
        if !self.chains.iter().any(|chain| chain.ratchet_key == key) {
            if self.chains.len() == CHAINS_MAX {
                self.chains.remove(0);
            }
            self.chains.push(Chain { ratchet_key: key, next: 0, opened: 0 });
        }
        for chain in &mut self.chains {
            if chain.ratchet_key == key {
                chain.mark(message.chain_index());
            }
        }
    }

    fn to_pickle(&self) -> EntryPickle {
        EntryPickle {
            session: self.session.pickle(),
            peer: self.peer,
            opened_by_peer: self.opened_by_peer,
            retired: self.retired,
            chains: self.chains.clone(),
        }
    }

    fn from_pickle(pickle: EntryPickle) -> Self {
        let session = Session::from_pickle(pickle.session);
        Self {
            id: session.session_id(),
            session,
            peer: pickle.peer,
            opened_by_peer: pickle.opened_by_peer,
            retired: pickle.retired,
            chains: pickle.chains,
        }
    }
}

impl Chain {
    fn mark(&mut self, index: u64) {
        if index >= self.next {
            let forward = (index - self.next).saturating_add(1);
            let shift = u32::try_from(forward).unwrap_or(u32::MAX);
            self.opened = self.opened.checked_shl(shift).unwrap_or(0);
            self.next = index.saturating_add(1);
        }
        let back = self.next - 1 - index.min(self.next - 1);
        if back < WINDOW {
            self.opened |= 1 << back;
        }
    }

    /// What lies before the window counts as not opened: asking again is harmless, losing is not.
    fn has_opened(&self, index: u64) -> bool {
        let back = self.next.checked_sub(1).and_then(|last| last.checked_sub(index));
        back.is_some_and(|back| back < WINDOW && self.opened >> back & 1 == 1)
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sessions({} live, {} past)", self.live.len(), self.past.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn chain() -> Chain {
        Chain { ratchet_key: [0; 32], next: 0, opened: 0 }
    }

    #[test]
    fn a_chain_knows_what_it_opened() {
        let mut chain = chain();
        assert!(!chain.has_opened(0));
        chain.mark(5);
        assert!(chain.has_opened(5));
        assert!(!chain.has_opened(4) && !chain.has_opened(6));
        chain.mark(0);
        assert!(chain.has_opened(0) && !chain.has_opened(1));
        chain.mark(u64::MAX);
        assert!(!chain.has_opened(5));
    }

    proptest! {
        #[test]
        fn a_chain_agrees_with_a_set(indices in prop::collection::vec(0u64..300, 0..200)) {
            let mut chain = chain();
            let mut set = BTreeSet::new();
            for index in indices {
                chain.mark(index);
                set.insert(index);
            }
            for index in 0..301 {
                let near = index + WINDOW >= chain.next;
                prop_assert_eq!(chain.has_opened(index), near && set.contains(&index));
            }
        }
    }
}
