//! Blocks: the entries of a round's log, linked by hash.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use sha2::{Digest, Sha256};

use crate::codec::{DecodeError, decode_within, encode};
use crate::id::{BlockId, NetworkId, RoundId, UserId, labelled_sha256};
use crate::key::DeviceKey;
use crate::limits::{CONTENT_TYPE_BYTES_MAX, ENVELOPE_CLASS_MAX, PARENTS_MAX, TEXT_BYTES_MAX};
use crate::timestamp::Timestamp;

/// One entry of a round's log (SPEC 7.2). Blocks of a direct chat are authenticated by the
/// session that carries them and bear no signature, so that the chat stays deniable (SPEC 7.4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// The round.
    pub round: RoundId,
    /// Who wrote it.
    pub user: UserId,
    /// On which device.
    pub author: DeviceKey,
    /// The author device's own count in this round, from 1.
    pub sequence: u64,
    /// The author device's block before this one; none at 1.
    pub previous: Option<BlockId>,
    /// The heads that the author knew.
    pub parents: Vec<BlockId>,
    /// When, by the author's clock: shown, never used for order.
    pub sent_at: Timestamp,
    /// What it says.
    pub kind: BlockKind,
}

/// What a block says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockKind {
    /// A message to all members.
    Message {
        /// MIME type of the body.
        content_type: String,
        /// The body.
        body: ByteBuf,
    },
}

/// Why bytes are no block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// The bytes are malformed or too long.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A field breaks a limit.
    #[error("block breaks a limit: {0}")]
    Limit(&'static str),
    /// Sequence and previous block contradict each other.
    #[error("block {0} of its author has a wrong link to the one before")]
    Link(u64),
}

/// The direct round of two users: the same for both, whoever writes first, and known before
/// anything else is known of the other (SPEC 7.1).
pub fn direct_round(network: NetworkId, a: UserId, b: UserId) -> RoundId {
    let (low, high) = if a <= b { (a, b) } else { (b, a) };
    RoundId(labelled_sha256("bytchat/direct-round/1", &[&network.0, &low.0, &high.0]))
}

impl Block {
    /// Encodes the block; its id is the hash of these bytes.
    pub fn encode(&self) -> (BlockId, Vec<u8>) {
        let bytes = encode(self);
        (Self::id_of(&bytes), bytes)
    }

    /// Reads a block and checks everything that needs no other block.
    pub fn decode(bytes: &[u8]) -> Result<(BlockId, Self), BlockError> {
        let block: Self = decode_within(bytes, ENVELOPE_CLASS_MAX)?;
        if block.parents.len() > PARENTS_MAX {
            return Err(BlockError::Limit("parents"));
        }
        let BlockKind::Message { content_type, body } = &block.kind;
        if body.len() > TEXT_BYTES_MAX || content_type.len() > CONTENT_TYPE_BYTES_MAX {
            return Err(BlockError::Limit("body"));
        }
        if block.sequence == 0 || (block.sequence == 1) != block.previous.is_none() {
            return Err(BlockError::Link(block.sequence));
        }
        Ok((Self::id_of(bytes), block))
    }

    fn id_of(bytes: &[u8]) -> BlockId {
        BlockId(Sha256::digest(bytes).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(sequence: u64, previous: Option<BlockId>) -> Block {
        Block {
            round: RoundId([1; 32]),
            user: UserId([2; 20]),
            author: DeviceKey([3; 32]),
            sequence,
            previous,
            parents: vec![],
            sent_at: Timestamp(5),
            kind: BlockKind::Message {
                content_type: "text/plain".to_owned(),
                body: ByteBuf::from(b"hi".to_vec()),
            },
        }
    }

    #[test]
    fn a_block_keeps_its_id() {
        let (id, bytes) = block(1, None).encode();
        let (again, decoded) = Block::decode(&bytes).unwrap();
        assert_eq!((id, block(1, None)), (again, decoded));
    }

    #[test]
    fn the_first_block_has_no_previous_and_others_have_one() {
        for bad in [block(0, None), block(2, None), block(1, Some(BlockId([9; 32])))] {
            assert!(matches!(Block::decode(&bad.encode().1), Err(BlockError::Link(_))));
        }
    }

    #[test]
    fn a_block_is_as_large_as_it_may_be_and_no_larger() {
        let whole = |parents: usize, name: usize, text: usize| {
            let body = ByteBuf::from(vec![b'x'; text]);
            let kind = BlockKind::Message { content_type: "x".repeat(name), body };
            let parents = vec![BlockId([9; 32]); parents];
            Block::decode(&Block { parents, kind, ..block(1, None) }.encode().1)
        };
        assert!(whole(PARENTS_MAX, CONTENT_TYPE_BYTES_MAX, TEXT_BYTES_MAX).is_ok());
        assert_eq!(whole(PARENTS_MAX + 1, 1, 1), Err(BlockError::Limit("parents")));
        assert_eq!(whole(0, CONTENT_TYPE_BYTES_MAX + 1, 1), Err(BlockError::Limit("body")));
        assert_eq!(whole(0, 1, TEXT_BYTES_MAX + 1), Err(BlockError::Limit("body")));
    }

    #[test]
    fn both_users_find_the_same_direct_round() {
        let (a, b) = (UserId([1; 20]), UserId([2; 20]));
        let network = NetworkId::of_name("");
        assert_eq!(direct_round(network, a, b), direct_round(network, b, a));
        assert_ne!(direct_round(network, a, b), direct_round(NetworkId::of_name("x"), a, b));
    }
}
