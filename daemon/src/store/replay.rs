//! Replay: records of the log that the index does not know are applied to it.

use std::collections::BTreeMap;

use super::error::StoreError;
use super::index::{Index, IndexError};
use super::record::Record;
use super::recover::{Found, list, read};
use super::segment::{HEAD_BYTES, Piece, Walk};
use super::shared::Shared;
use super::verify::Problem;

// One batch of the index holds about so many bytes of the log when it is replayed.
const CHUNK_BYTES: usize = 1024 * 1024;
const CHUNK_RECORDS: usize = 4096;

/// What is known after the log was applied to the index.
pub(super) struct Replayed {
    /// The bytes of each segment that the index points to.
    pub(super) live: BTreeMap<u64, u64>,
    /// The last damaged segment that was read.
    pub(super) damaged: Option<u64>,
}

/// Applies what the index does not know yet; if sled fails at it, memory takes its place. The last
/// segment need not be read again if it was checked up to its last commit.
pub(super) fn replay_or_rebuild(
    shared: &Shared,
    segments: &[Found],
    checked: Option<u64>,
) -> Result<Replayed, StoreError> {
    let error = match replay(shared, segments, (checked, u64::MAX)) {
        Ok(replayed) => return Ok(replayed),
        Err(Fault::Store(error)) => return Err(error),
        Err(Fault::Index(error)) => error,
    };
    tracing::error!(%error, "the index is held in memory until the next start");
    shared.distrust_index();
    shared.replace_index(Index::Memory(BTreeMap::new()));
    match replay(shared, segments, (None, u64::MAX)) {
        Ok(replayed) => Ok(replayed),
        Err(Fault::Store(error)) => Err(error),
        Err(Fault::Index(error)) => Err(shared.index_error(error)),
    }
}

/// Holds the index in memory from now on, built from the log up to a sequence.
pub(super) fn rebuild_in_memory(
    shared: &Shared,
    through: u64,
) -> Result<BTreeMap<u64, u64>, StoreError> {
    shared.distrust_index();
    let segments = list(shared)?;
    shared.replace_index(Index::Memory(BTreeMap::new()));
    match replay(shared, &segments, (None, through)) {
        Ok(replayed) => Ok(replayed.live),
        Err(Fault::Store(error)) => Err(error),
        Err(Fault::Index(error)) => Err(shared.index_error(error)),
    }
}

enum Fault {
    Index(IndexError),
    Store(StoreError),
}

impl From<IndexError> for Fault {
    fn from(error: IndexError) -> Self {
        Self::Index(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

fn replay(
    shared: &Shared,
    segments: &[Found],
    (checked, through): (Option<u64>, u64),
) -> Result<Replayed, Fault> {
    let applied = shared.read().applied()?;
    let mut replayed = Replayed { live: shared.read().live()?, damaged: None };
    let mut last = None;
    let mut previous = None;
    for (position, found) in segments.iter().enumerate() {
        let from = previous.map_or(found.number, |number: u64| number.saturating_add(1));
        if from < found.number {
            shared.report(Problem::Missing { from, to: found.number - 1 });
        }
        previous = Some(found.number);
        let next = segments.get(position + 1).and_then(|next| next.head);
        let known = match next {
            Some(next) => next.first <= applied.saturating_add(1),
            None => position + 1 == segments.len() && checked.is_some_and(|last| last <= applied),
        };
        if known {
            continue;
        }
        let range = (applied, through);
        replay_segment(shared, found, range, &mut last, &mut replayed)?;
    }
    Ok(replayed)
}

fn replay_segment(
    shared: &Shared,
    found: &Found,
    (applied, through): (u64, u64),
    last: &mut Option<u64>,
    replayed: &mut Replayed,
) -> Result<(), Fault> {
    let bytes = read(shared, found)?;
    let mut chunk: Vec<Record<'_>> = Vec::new();
    let mut chunk_bytes = 0;
    if !found.sound {
        damage(shared, found.number, (0, HEAD_BYTES), replayed);
    }
    for piece in Walk::new(&bytes, found.head) {
        let record = match piece {
            Piece::Record(record) => record,
            Piece::Damaged { from, to, .. } => {
                damage(shared, found.number, (from, to), replayed);
                *last = None;
                continue;
            }
        };
        let expected = last.map_or(record.sequence, |last: u64| last.saturating_add(1));
        if record.sequence != expected {
            let (segment, got) = (found.number, record.sequence);
            shared.report(Problem::Gap { segment, expected, got });
        }
        *last = Some(record.sequence);
        if record.sequence <= applied || record.sequence > through {
            continue;
        }
        chunk_bytes += record.payload.len();
        chunk.push(record);
        if chunk_bytes >= CHUNK_BYTES || chunk.len() >= CHUNK_RECORDS {
            shared.apply(&mut replayed.live, found.number, &chunk)?;
            chunk.clear();
            chunk_bytes = 0;
        }
    }
    if !chunk.is_empty() {
        shared.apply(&mut replayed.live, found.number, &chunk)?;
    }
    Ok(())
}

fn damage(shared: &Shared, segment: u64, (from, to): (usize, usize), replayed: &mut Replayed) {
    shared.report(Problem::Damaged { segment, from: from as u64, to: to as u64 });
    shared.quarantine(segment);
    replayed.damaged = Some(segment);
}
