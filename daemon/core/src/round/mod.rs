//! A round's log as this node knows it: heads, authors, and what may be appended.

use std::collections::BTreeMap;

use bytchat_proto::block::{Block, BlockError, BlockKind};
use bytchat_proto::envelope::Party;
use bytchat_proto::id::{BlockId, RoundId, UserId};
use bytchat_proto::key::DeviceKey;
use bytchat_proto::limits::{BLOCK_GAPS_MAX, DEVICES_PER_USER_MAX, PARENTS_MAX};
use bytchat_proto::timestamp::Timestamp;
use serde::{Deserialize, Serialize};

use crate::planted::planted;

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
    /// Blocks 1 to `whole` are here, but for those that were given up.
    whole: u64,
    last: Option<BlockId>,
    /// Up to this block some are missing and will be shown no more.
    given_up: u64,
    /// Blocks that came before their predecessors, in runs without a gap, the first run first.
    ahead: Vec<Run>,
}

/// Blocks that follow each other, behind a gap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Run {
    first: u64,
    /// The block before the first one, which is missing.
    before: Option<BlockId>,
    last: u64,
    id: BlockId,
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
        let gap = chain.whole < block.sequence && !planted!(HiddenGap);
        self.authors.insert(block.author, chain);
        self.give_up();
        self.heads.retain(|head| !block.parents.contains(head));
        self.heads.push(id);
        if self.heads.len() > PARENTS_MAX {
            self.heads.remove(0);
        }
        Ok(Accepted { id, block, gap })
    }

    /// Bounds the gaps: the oldest one of the author with the most is filled no more, so that
    /// nobody uses up the room of another author.
    fn give_up(&mut self) {
        let gaps: usize = self.authors.values().map(|author| author.ahead.len()).sum();
        if gaps > BLOCK_GAPS_MAX
            && let Some(worst) = self.authors.values_mut().max_by_key(|it| it.ahead.len())
        {
            worst.give_up();
        }
    }
}

impl Author {
    fn accept(&mut self, id: BlockId, block: &Block) -> Result<(), Rejected> {
        let number = block.sequence;
        let equivocation = Rejected::Equivocation { author: block.author, sequence: number };
        if number <= self.whole {
            let last = number == self.whole;
            return Err(match self.last {
                Some(known) if last && known == id => Rejected::Duplicate(id),
                Some(_) | None if last => equivocation,
                // Which of these were shown is not known: no receipt may say that one was.
                Some(_) | None if number <= self.given_up => Rejected::Limit("blocks given up"),
                Some(_) | None => Rejected::Duplicate(id),
            });
        }
        let place = self.ahead.partition_point(|run| run.last < number);
        if let Some(run) = self.ahead.get(place).filter(|run| run.first <= number) {
            let other = run.last == number && run.id != id;
            return Err(if other { equivocation } else { Rejected::Duplicate(id) });
        }
        if !self.fits(place, id, block) {
            return Err(equivocation);
        }
        self.insert(place, id, block);
        Ok(())
    }

    /// Whether a block and its neighbours name each other, where they are here.
    fn fits(&self, place: usize, id: BlockId, block: &Block) -> bool {
        let (end, last) = self.end_before(place);
        let follows = end.checked_add(1) == Some(block.sequence);
        let next = self.ahead.get(place);
        let next = next.filter(|run| block.sequence.checked_add(1) == Some(run.first));
        (!follows || block.previous == last) && next.is_none_or(|run| run.before == Some(id))
    }

    /// The last block before a run.
    fn end_before(&self, place: usize) -> (u64, Option<BlockId>) {
        let run = place.checked_sub(1).and_then(|before| self.ahead.get(before));
        run.map_or((self.whole, self.last), |run| (run.last, Some(run.id)))
    }

    fn insert(&mut self, place: usize, id: BlockId, block: &Block) {
        let number = block.sequence;
        self.ahead.insert(place, Run { first: number, before: block.previous, last: number, id });
        self.join(place + 1);
        self.join(place);
    }

    /// Joins a run with what is before it, if nothing is missing between them.
    fn join(&mut self, place: usize) {
        let (end, _) = self.end_before(place);
        let Some(run) = self.ahead.get(place).filter(|run| end.checked_add(1) == Some(run.first))
        else {
            return;
        };
        let (last, id) = (run.last, run.id);
        self.ahead.remove(place);
        match place.checked_sub(1).and_then(|before| self.ahead.get_mut(before)) {
            Some(before) => (before.last, before.id) = (last, id),
            None => (self.whole, self.last) = (last, Some(id)),
        }
    }

    /// Waits no longer for what is missing before the first run.
    fn give_up(&mut self) {
        if !self.ahead.is_empty() {
            let run = self.ahead.remove(0);
            self.given_up = run.first.saturating_sub(1);
            (self.whole, self.last) = (run.last, Some(run.id));
        }
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

    /// Every second block arrives, from the first on.
    fn half(blocks: &[(BlockId, Vec<u8>)]) -> impl Iterator<Item = &(BlockId, Vec<u8>)> {
        blocks.iter().step_by(2)
    }

    #[test]
    fn a_row_stays_small_whatever_gaps_a_contact_makes() {
        let blocks = written(4 * u64::try_from(BLOCK_GAPS_MAX).unwrap());
        let mut round = Round::new(RoundId([7; 32]));
        for (_, bytes) in half(&blocks).skip(1) {
            assert!(round.accept(bytes, &party()).unwrap().gap);
            assert!(bytchat_proto::codec::encode(&round).len() < 6 * 1024);
        }
        assert_eq!(round.authors[&ALICE].ahead.len(), BLOCK_GAPS_MAX);
        let far = round.accept(&blocks[blocks.len() - 2].1, &party());
        assert!(matches!(far, Err(Rejected::Duplicate(_))), "{far:?}");
    }

    #[test]
    fn what_was_given_up_is_not_shown_twice_and_gets_no_receipt() {
        let blocks = written(4 * u64::try_from(BLOCK_GAPS_MAX).unwrap());
        let mut round = Round::new(RoundId([7; 32]));
        for (_, bytes) in half(&blocks).skip(1) {
            round.accept(bytes, &party()).unwrap();
        }
        let given_up = round.authors[&ALICE].given_up;
        assert!(given_up > 2);
        for (_, bytes) in &blocks[..usize::try_from(given_up).unwrap()] {
            let late = round.accept(bytes, &party());
            assert_eq!(late, Err(Rejected::Limit("blocks given up")));
        }
        // What is missing behind that still comes, once and without a gap where it ends one.
        let mut filled = 0;
        for (_, bytes) in &blocks[usize::try_from(given_up).unwrap() + 1..] {
            filled += usize::from(round.accept(bytes, &party()).is_ok());
        }
        assert_eq!(filled, BLOCK_GAPS_MAX + 1);
        assert_eq!(round.authors[&ALICE].ahead, []);
        assert_eq!(round.authors[&ALICE].whole, u64::try_from(blocks.len()).unwrap());
    }

    #[test]
    fn gaps_of_one_author_leave_those_of_another_alone() {
        let bob = Party { device: DeviceKey([2; 32]), ..party() };
        let mut theirs = Round::new(RoundId([7; 32]));
        let mut write = |i: u64| theirs.append(USER, bob.device, Timestamp(i), text("other"));
        let other: Vec<_> = (0..3).map(&mut write).collect();
        let mut round = Round::new(RoundId([7; 32]));
        round.accept(&other[2].1, &bob).unwrap();
        for (_, bytes) in half(&written(400)).skip(1) {
            round.accept(bytes, &party()).unwrap();
        }
        assert!(!round.accept(&other[0].1, &bob).unwrap().gap);
        assert!(!round.accept(&other[1].1, &bob).unwrap().gap);
    }

    #[test]
    fn a_chain_that_does_not_hold_together_is_equivocation_on_both_sides_of_a_gap() {
        let blocks = written(4);
        let mut other = Round::new(RoundId([7; 32]));
        let mut write = |i: u64| other.append(USER, ALICE, Timestamp(90 + i), text("another"));
        let forged: Vec<_> = (0..4).map(&mut write).collect();
        let mut round = Round::new(RoundId([7; 32]));
        round.accept(&blocks[1].1, &party()).unwrap();
        for (number, index) in [(1, 0), (2, 1), (3, 2)] {
            let error = round.accept(&forged[index].1, &party()).unwrap_err();
            let Rejected::Equivocation { sequence, .. } = error else { panic!("{error}") };
            assert_eq!(sequence, number);
        }
        round.accept(&blocks[2].1, &party()).unwrap();
        round.accept(&blocks[0].1, &party()).unwrap();
        assert_eq!(round.authors[&ALICE].whole, 3);
    }

    #[test]
    fn the_last_number_of_all_ends_a_chain_and_breaks_nothing() {
        let block = Block {
            round: RoundId([7; 32]),
            user: USER,
            author: ALICE,
            sequence: u64::MAX,
            previous: Some(BlockId([1; 32])),
            parents: Vec::new(),
            sent_at: Timestamp(0),
            kind: text("the end"),
        };
        let mut round = Round::new(RoundId([7; 32]));
        assert!(round.accept(&block.encode().1, &party()).unwrap().gap);
        let again = round.accept(&block.encode().1, &party());
        assert!(matches!(again, Err(Rejected::Duplicate(_))));
        round.accept(&written(1)[0].1, &party()).unwrap();
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
