//! Stamps: the proof of work that a node id costs, made once and checked once (SPEC 3.4).

use argon2::{Algorithm, Argon2, Block, Params, Version};
use bytchat_proto::id::{NetworkId, NodeId, labelled_sha256};
use bytchat_proto::key::NodeKey;
use bytchat_proto::limits::{
    STAMP_BYTES, STAMP_MEMORY_KIB, STAMP_TOKENS_MAX, STAMP_TOKENS_MAX_PER_NODE,
    STAMP_TOKENS_PER_SECOND, STAMP_TOKENS_PER_SECOND_PER_NODE, STAMPS_CHECKED_MAX,
    STAMPS_SOURCES_MAX, WORK_BITS_MAX,
};
use bytchat_proto::record::{NodeRecord, RecordError};

use crate::budget::{Budget, Budgets, Rate};
use crate::recent::Recent;
use crate::time::Mono;

const RATE: Rate = Rate { per_second: STAMP_TOKENS_PER_SECOND, max: STAMP_TOKENS_MAX };
const RATE_PER_NODE: Rate =
    Rate { per_second: STAMP_TOKENS_PER_SECOND_PER_NODE, max: STAMP_TOKENS_MAX_PER_NODE };

/// A network, and how many bits of work it asks for a node id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The network.
    pub network: NetworkId,
    /// Leading zero bits; 0 for no work.
    pub work: u8,
}

impl From<NetworkId> for Terms {
    /// A network without work.
    fn from(network: NetworkId) -> Self {
        Self { network, work: 0 }
    }
}

/// Why a stamp is to be checked; each has its own budget, so that nobody who pushes what we did not
/// ask for, or knocks, keeps us from believing answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// We asked the node that names it.
    Asked,
    /// It came without a question.
    Pushed,
}

/// Checks stamps, each once, and no more from one node than it may cost us.
pub struct Stamps {
    terms: Terms,
    good: Recent<NodeId, STAMPS_CHECKED_MAX>,
    asked: Budget,
    pushed: Budget,
    by_node: Budgets<NodeId>,
}

impl Stamps {
    /// Has checked none yet.
    pub fn new(terms: Terms) -> Self {
        Self {
            terms,
            good: Recent::default(),
            asked: Budget::full(RATE, Mono::default()),
            pushed: Budget::full(RATE, Mono::default()),
            by_node: Budgets::new(RATE_PER_NODE, STAMPS_SOURCES_MAX),
        }
    }

    /// The network.
    pub fn network(&self) -> NetworkId {
        self.terms.network
    }

    /// Checks a stamp, or remembers that it was good.
    pub fn check(&mut self, record: &NodeRecord) -> Result<(), RecordError> {
        if self.is_free(record) {
            return Ok(());
        }
        let work = self.terms.work;
        // SPEC 4.7: a contact counts only with the work that its network asks for.
        if !meets(record.network, record.key, &record.stamp, work) {
            return Err(RecordError::Work { bits: work });
        }
        self.good.add(record.node());
        Ok(())
    }

    /// Whether there is nothing to check, or nothing any more.
    fn is_free(&self, record: &NodeRecord) -> bool {
        // An id names key, network and stamp, so that it stands for all three.
        self.terms.work == 0 || self.good.has(&record.node())
    }

    /// Whether a check is free, or may be paid for by the node that names the record.
    pub fn may_check(&mut self, record: &NodeRecord, from: NodeId, why: Why, now: Mono) -> bool {
        if self.is_free(record) {
            return true;
        }
        let of_all = match why {
            Why::Asked => &mut self.asked,
            Why::Pushed => &mut self.pushed,
        };
        self.by_node.pay(from, 1, now) && of_all.pay(1, now)
    }

    /// Whether the stamp of a node that knocks may be checked: all who knock share one budget.
    pub fn may_meet(&mut self, record: &NodeRecord, now: Mono) -> bool {
        self.is_free(record) || self.pushed.pay(1, now)
    }
}

/// Whether a stamp holds so many bits of work for a key.
fn meets(network: NetworkId, key: NodeKey, stamp: &[u8], work: u8) -> bool {
    stamp.len() == STAMP_BYTES && Puzzle::new(network, key).zeros(stamp) >= u32::from(work)
}

/// Makes a stamp, from a number on that others should not know; `None` if `goes_on` ends it.
/// No work at all is an empty stamp.
pub fn make(
    terms: Terms,
    key: NodeKey,
    first: u64,
    mut goes_on: impl FnMut() -> bool,
) -> Option<Vec<u8>> {
    if terms.work == 0 {
        return Some(Vec::new());
    }
    let work = u32::from(terms.work.min(WORK_BITS_MAX));
    let mut puzzle = Puzzle::new(terms.network, key);
    let mut number = first;
    while goes_on() {
        let stamp = number.to_be_bytes();
        if puzzle.zeros(&stamp) >= work {
            return Some(stamp.to_vec());
        }
        number = number.wrapping_add(1);
    }
    None
}

/// Argon2id over stamps of one key, and the memory for it.
struct Puzzle {
    salt: [u8; 32],
    argon: Argon2<'static>,
    memory: Vec<Block>,
}

impl Puzzle {
    fn new(network: NetworkId, key: NodeKey) -> Self {
        let params = Params::new(STAMP_MEMORY_KIB, 1, 1, Some(32));
        let params = params.expect("the memory is within what Argon2 allows");
        let memory = vec![Block::default(); params.block_count()];
        let salt = labelled_sha256("bytchat/stamp/1", &[&network.0, &key.0]);
        Self { salt, argon: Argon2::new(Algorithm::Argon2id, Version::V0x13, params), memory }
    }

    /// How many zero bits the hash of a stamp begins with.
    fn zeros(&mut self, stamp: &[u8]) -> u32 {
        let mut hash = [0; 32];
        let argon = &self.argon;
        let hashed =
            argon.hash_password_into_with_memory(stamp, &self.salt, &mut hash, &mut self.memory);
        if hashed.is_err() {
            return 0;
        }
        let whole = hash.iter().take_while(|byte| **byte == 0).count();
        let next = hash.get(whole).map_or(0, |byte| byte.leading_zeros());
        u32::try_from(8 * whole).unwrap_or(u32::MAX).saturating_add(next)
    }
}

#[cfg(test)]
mod tests {
    use serde_bytes::ByteBuf;

    use super::*;

    const WORK: u8 = 3;

    fn terms() -> Terms {
        Terms { network: NetworkId::of("test", WORK), work: WORK }
    }

    fn record(key: u8, stamp: Vec<u8>) -> NodeRecord {
        NodeRecord {
            network: terms().network,
            key: NodeKey([key; 32]),
            stamp: ByteBuf::from(stamp),
            addresses: Vec::new(),
            pod: None,
            sequence: 1,
        }
    }

    fn stamped(key: u8) -> NodeRecord {
        record(key, make(terms(), NodeKey([key; 32]), 0, || true).unwrap())
    }

    #[test]
    fn a_stamp_is_good_for_its_key_and_network_only() {
        let good = stamped(1);
        let mut stamps = Stamps::new(terms());
        assert_eq!(stamps.check(&good), Ok(()));
        let refused = Err(RecordError::Work { bits: WORK });
        // One in eight stamps of others would do: none of these does.
        let other = |key| NodeRecord { key: NodeKey([key; 32]), ..good.clone() };
        let bad = (2..40).filter(|key| stamps.check(&other(*key)) == refused).count();
        assert!(bad > 20, "{bad} of 38 keys are refused");
        for stamp in [Vec::new(), vec![0; STAMP_BYTES - 1], vec![0; STAMP_BYTES + 1]] {
            assert_eq!(stamps.check(&record(1, stamp)), refused);
        }
    }

    #[test]
    fn a_stamp_changes_the_id() {
        let (a, b) = (stamped(1), record(1, Vec::new()));
        assert_ne!(a.node(), b.node());
    }

    #[test]
    fn without_work_every_stamp_is_good_and_none_is_made() {
        let network = NetworkId::of_name("test");
        let terms = Terms::from(network);
        assert_eq!(make(terms, NodeKey([1; 32]), 0, || false), Some(Vec::new()));
        let mut stamps = Stamps::new(terms);
        assert_eq!(stamps.check(&record(1, vec![1, 2])), Ok(()));
        assert!(stamps.may_check(&record(1, Vec::new()), NodeId([1; 20]), Why::Pushed, Mono(0)));
    }

    #[test]
    fn the_making_ends_when_it_is_told_to() {
        let terms = Terms { work: WORK_BITS_MAX, ..terms() };
        let mut tries = 0;
        let made = make(terms, NodeKey([1; 32]), 0, || {
            tries += 1;
            tries < 4
        });
        assert_eq!((made, tries), (None, 4));
    }

    #[test]
    fn one_node_cannot_make_us_check_without_end_and_a_good_stamp_is_checked_once() {
        let mut stamps = Stamps::new(terms());
        let unknown = record(9, vec![0; STAMP_BYTES]);
        let (liar, other) = (NodeId([1; 20]), NodeId([2; 20]));
        let checks =
            (0..1000).filter(|_| stamps.may_check(&unknown, liar, Why::Pushed, Mono(0))).count();
        assert_eq!(u64::try_from(checks), Ok(STAMP_TOKENS_MAX_PER_NODE));
        assert!(stamps.may_check(&unknown, other, Why::Pushed, Mono(0)));
        let good = stamped(1);
        stamps.check(&good).unwrap();
        assert!((0..1000).all(|_| stamps.may_check(&good, liar, Why::Pushed, Mono(0))));
        let many = (3..200).map(|node| NodeId([node; 20]));
        let all: usize = many
            .map(|node| {
                (0..100).filter(|_| stamps.may_check(&unknown, node, Why::Pushed, Mono(0))).count()
            })
            .sum();
        assert!(u64::try_from(all).unwrap() < STAMP_TOKENS_MAX);
    }
}
