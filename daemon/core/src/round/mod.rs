//! A round's log as this node knows it: heads, authors, and what may be appended.

use std::collections::BTreeMap;

use bytchat_proto::block::{Block, BlockError, BlockKind};
use bytchat_proto::envelope::Party;
use bytchat_proto::id::{BlockId, RoundId, UserId};
use bytchat_proto::key::DeviceKey;
use bytchat_proto::limits::{BLOCKS_AHEAD_MAX, DEVICES_PER_USER_MAX, PARENTS_MAX};
use bytchat_proto::timestamp::Timestamp;
use serde::{Deserialize, Serialize};

/// The state of one round's log: enough to append and to check, without the blocks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Round {
    id: RoundId,
    heads: Vec<BlockId>,
    authors: BTreeMap<DeviceKey, Author>,
}

/// What is known of one author device's own chain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Author {
    /// Blocks 1 to `whole` are here.
    whole: u64,
    last: Option<BlockId>,
    /// Blocks that came before their predecessors.
    ahead: BTreeMap<u64, BlockId>,
}

/// A block that was appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Its id.
    pub id: BlockId,
    /// What it is.
    pub block: Block,
    /// An earlier block of its author is missing.
    pub gap: bool,
}

/// Why a block is not appended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// It is no block.
    #[error(transparent)]
    Malformed(#[from] BlockError),
    /// It is here already.
    #[error("block {0} is here already")]
    Duplicate(BlockId),
    /// It belongs to another round.
    #[error("block belongs to round {got}, this is {expected}")]
    WrongRound {
        /// The block's round.
        got: RoundId,
        /// This round.
        expected: RoundId,
    },
    /// It names another author than the session proves.
    #[error("block names device {got}, the session proves {expected}")]
    WrongAuthor {
        /// The block's author.
        got: DeviceKey,
        /// The session's device.
        expected: DeviceKey,
    },
    /// Its author wrote another block with the same number.
    #[error("device {author} wrote two blocks with number {sequence}")]
    Equivocation {
        /// The author.
        author: DeviceKey,
        /// The number.
        sequence: u64,
    },
    /// Too many authors or too far ahead.
    #[error("block breaks a limit: {0}")]
    Limit(&'static str),
}

impl Round {
    /// An empty log.
    pub fn new(id: RoundId) -> Self {
        Self { id, heads: Vec::new(), authors: BTreeMap::new() }
    }

    /// The round.
    pub fn id(&self) -> RoundId {
        self.id
    }

    /// Writes the next block of our own device.
    pub fn append(
        &mut self,
        user: UserId,
        author: DeviceKey,
        sent_at: Timestamp,
        kind: BlockKind,
    ) -> (BlockId, Vec<u8>) {
        let chain = self.authors.entry(author).or_default();
        let block = Block {
            round: self.id,
            user,
            author,
            sequence: chain.whole + 1,
            previous: chain.last,
            parents: self.heads.clone(),
            sent_at,
            kind,
        };
        let (id, bytes) = block.encode();
        chain.whole += 1;
        chain.last = Some(id);
        self.heads = vec![id];
        (id, bytes)
    }

    /// Checks a block that a session brought, and appends it. SPEC 7.3: a block is appended
    /// once, by the device that the session proves, in the round of the two users.
    pub fn accept(&mut self, bytes: &[u8], proven: &Party) -> Result<Accepted, Rejected> {
        let (id, block) = Block::decode(bytes)?;
        if block.round != self.id {
            return Err(Rejected::WrongRound { got: block.round, expected: self.id });
        }
        if block.author != proven.device || block.user != proven.user {
            return Err(Rejected::WrongAuthor { got: block.author, expected: proven.device });
        }
        let known = self.authors.contains_key(&block.author);
        if !known && self.authors.len() >= 4 * DEVICES_PER_USER_MAX {
            return Err(Rejected::Limit("authors"));
        }
        let mut chain = self.authors.get(&block.author).cloned().unwrap_or_default();
        chain.accept(id, &block)?;
        let gap = chain.whole < block.sequence;
        self.authors.insert(block.author, chain);
        self.heads.retain(|head| !block.parents.contains(head));
        self.heads.push(id);
        if self.heads.len() > PARENTS_MAX {
            self.heads.remove(0);
        }
        Ok(Accepted { id, block, gap })
    }
}

impl Author {
    fn accept(&mut self, id: BlockId, block: &Block) -> Result<(), Rejected> {
        let equivocation =
            Rejected::Equivocation { author: block.author, sequence: block.sequence };
        if block.sequence <= self.whole {
            let other = block.sequence == self.whole && self.last != Some(id);
            return Err(if other { equivocation } else { Rejected::Duplicate(id) });
        }
        match self.ahead.get(&block.sequence) {
            Some(known) if *known == id => return Err(Rejected::Duplicate(id)),
            Some(_) => return Err(equivocation),
            None => {}
        }
        let next = block.sequence == self.whole + 1;
        if next && block.previous != self.last {
            return Err(equivocation);
        }
        if !next && self.ahead.len() >= BLOCKS_AHEAD_MAX {
            return Err(Rejected::Limit("blocks ahead of a gap"));
        }
        self.ahead.insert(block.sequence, id);
        while let Some(id) = self.ahead.remove(&(self.whole + 1)) {
            self.whole += 1;
            self.last = Some(id);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytchat_proto::id::Fingerprint;
    use proptest::prelude::*;
    use serde_bytes::ByteBuf;

    const ALICE: DeviceKey = DeviceKey([1; 32]);
    const USER: UserId = UserId([1; 20]);

    fn party() -> Party {
        Party { user: USER, fingerprint: Fingerprint([1; 64]), device: ALICE }
    }

    fn text(body: &str) -> BlockKind {
        BlockKind::Message {
            content_type: "text/plain".to_owned(),
            body: ByteBuf::from(body.as_bytes().to_vec()),
        }
    }

    fn written(count: u64) -> Vec<(BlockId, Vec<u8>)> {
        let mut round = Round::new(RoundId([7; 32]));
        (0..count)
            .map(|i| round.append(USER, ALICE, Timestamp(i), text(&format!("message {i}"))))
            .collect()
    }

    #[test]
    fn a_block_is_appended_once() {
        let blocks = written(1);
        let mut round = Round::new(RoundId([7; 32]));
        assert!(!round.accept(&blocks[0].1, &party()).unwrap().gap);
        assert_eq!(round.accept(&blocks[0].1, &party()), Err(Rejected::Duplicate(blocks[0].0)));
    }

    #[test]
    fn a_missing_predecessor_shows_as_a_gap_and_may_come_later() {
        let blocks = written(3);
        let mut round = Round::new(RoundId([7; 32]));
        assert!(round.accept(&blocks[2].1, &party()).unwrap().gap);
        assert!(!round.accept(&blocks[0].1, &party()).unwrap().gap);
        assert!(!round.accept(&blocks[1].1, &party()).unwrap().gap);
        for (id, bytes) in &blocks {
            assert_eq!(round.accept(bytes, &party()), Err(Rejected::Duplicate(*id)));
        }
    }

    #[test]
    fn another_device_cannot_speak_as_the_author() {
        let mut round = Round::new(RoundId([7; 32]));
        let thief = Party { device: DeviceKey([2; 32]), ..party() };
        let error = round.accept(&written(1)[0].1, &thief).unwrap_err();
        assert!(matches!(error, Rejected::WrongAuthor { .. }));
    }

    #[test]
    fn a_block_of_another_round_is_refused() {
        let mut round = Round::new(RoundId([8; 32]));
        let error = round.accept(&written(1)[0].1, &party()).unwrap_err();
        assert!(matches!(error, Rejected::WrongRound { .. }));
    }

    #[test]
    fn two_blocks_with_one_number_are_equivocation() {
        let mut other = Round::new(RoundId([7; 32]));
        let (_, forged) = other.append(USER, ALICE, Timestamp(9), text("another"));
        let mut round = Round::new(RoundId([7; 32]));
        round.accept(&written(1)[0].1, &party()).unwrap();
        let error = round.accept(&forged, &party()).unwrap_err();
        assert!(matches!(error, Rejected::Equivocation { sequence: 1, .. }));
    }

    #[test]
    fn a_rejected_block_changes_nothing() {
        let mut round = Round::new(RoundId([7; 32]));
        let before = round.clone();
        round.accept(&written(1)[0].1, &Party { user: UserId([9; 20]), ..party() }).unwrap_err();
        assert_eq!(round, before);
    }

    proptest! {
        #[test]
        fn every_order_of_arrival_appends_each_block_once(
            order in Just((0..24usize).collect::<Vec<_>>()).prop_shuffle(),
        ) {
            let blocks = written(24);
            let mut round = Round::new(RoundId([7; 32]));
            for i in order {
                prop_assert_eq!(round.accept(&blocks[i].1, &party()).unwrap().id, blocks[i].0);
                prop_assert!(round.accept(&blocks[i].1, &party()).is_err());
            }
            prop_assert_eq!(round.authors[&ALICE].whole, 24);
            prop_assert!(round.authors[&ALICE].ahead.is_empty());
        }
    }
}
