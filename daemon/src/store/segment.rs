//! A segment: one file of the log, its head, and the walk over its records.

use std::path::{Path, PathBuf};

use super::record::{self, Record, take, take_u32, take_u64};

/// The version of the format that is written here.
pub(super) const VERSION: u32 = 1;
/// The bytes before the first record.
pub(super) const HEAD_BYTES: usize = 40;

const MAGIC: &[u8] = b"BYTCHLOG";

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// The number of the segment, as in its name.
    pub(super) number: u64,
    /// The sequence that its first record has.
    pub(super) first: u64,
    /// What begins each of its records.
    pub(super) marker: u64,
}

/// What the first bytes of a segment turn out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeadState {
    /// As it was written.
    Whole(Head),
    /// Damaged; what could be told from the first record is there.
    Damaged(Option<Head>),
    /// Of a version that is not understood here.
    Newer(u32),
}

impl Head {
    /// Encodes the head.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEAD_BYTES);
        out.extend(MAGIC);
        out.extend(VERSION.to_le_bytes());
        out.extend(self.number.to_le_bytes());
        out.extend(self.first.to_le_bytes());
        out.extend(self.marker.to_le_bytes());
        out.extend(crc32fast::hash(&out).to_le_bytes());
        out
    }
}

/// Reads the head of a segment with a number from its bytes.
pub(super) fn read_head(bytes: &[u8], number: u64) -> HeadState {
    match decode_head(bytes) {
        Some((version, _)) if version > VERSION => HeadState::Newer(version),
        Some((_, head)) if head.number == number => HeadState::Whole(head),
        Some(_) | None => HeadState::Damaged(guess_head(bytes, number)),
    }
}

fn decode_head(bytes: &[u8]) -> Option<(u32, Head)> {
    let covered = bytes.get(..HEAD_BYTES - 4)?;
    let mut rest = bytes;
    if take(&mut rest, 8)? != MAGIC {
        return None;
    }
    let version = take_u32(&mut rest)?;
    let number = take_u64(&mut rest)?;
    let first = take_u64(&mut rest)?;
    let marker = take_u64(&mut rest)?;
    let head = Head { number, first, marker };
    (take_u32(&mut rest)? == crc32fast::hash(covered)).then_some((version, head))
}

// The first record begins with the marker at a known place; its CRC vouches for it.
fn guess_head(bytes: &[u8], number: u64) -> Option<Head> {
    let marker = take_u64(&mut bytes.get(HEAD_BYTES..)?)?;
    let record = record::parse(bytes, HEAD_BYTES, marker)?;
    Some(Head { number, first: record.sequence, marker })
}

/// A stretch of a segment.
#[derive(Clone, Copy)]
pub(super) enum Piece<'a> {
    /// A whole record.
    Record(Record<'a>),
    /// Bytes that are no record; after `last`, the sequence of the record before.
    Damaged { from: usize, to: usize, last: u64 },
}

/// Walks over a segment from an offset; never stops before its end.
pub(super) struct Walk<'a> {
    bytes: &'a [u8],
    head: Option<Head>,
    at: usize,
    last: u64,
}

impl<'a> Walk<'a> {
    /// Begins a walk at the first record.
    pub(super) fn new(bytes: &'a [u8], head: Option<Head>) -> Self {
        let last = head.map_or(0, |head| head.first.saturating_sub(1));
        let at = if head.is_some() { HEAD_BYTES } else { 0 };
        Self { bytes, head, at, last }
    }

    /// Begins a walk at an offset where a record or the end is known to stand.
    pub(super) fn resume(bytes: &'a [u8], head: Option<Head>, at: usize) -> Self {
        let mut walk = Self::new(bytes, head);
        walk.at = walk.at.max(at);
        walk
    }

    fn parse(&self, at: usize, marker: u64) -> Option<Record<'a>> {
        record::parse(self.bytes, at, marker).filter(|record| record.sequence > self.last)
    }

    fn find_next(&self, marker: u64) -> Option<Record<'a>> {
        let wanted = marker.to_le_bytes();
        let from = self.at.checked_add(1)?;
        let rest = self.bytes.get(from..)?;
        let mut hits = rest.windows(8).enumerate().filter(|(_, window)| *window == wanted);
        hits.find_map(|(offset, _)| self.parse(from.checked_add(offset)?, marker))
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        if self.at >= self.bytes.len() {
            return None;
        }
        let marker = self.head.map(|head| head.marker);
        if let Some(record) = marker.and_then(|marker| self.parse(self.at, marker)) {
            self.at = record.end();
            self.last = record.sequence;
            return Some(Piece::Record(record));
        }
        let next = marker.and_then(|marker| self.find_next(marker));
        let to = next.map_or(self.bytes.len(), |record| record.at);
        let piece = Piece::Damaged { from: self.at, to, last: self.last };
        self.at = to;
        Some(piece)
    }
}

/// What one walk over the last segment tells.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// Where its unfinished end begins.
    pub(super) torn: Option<usize>,
    /// The sequence of the last record before that.
    pub(super) last: Option<u64>,
    /// Whether nothing before that is damaged.
    pub(super) whole: bool,
    /// Whether no commit is missing between the records.
    pub(super) unbroken: bool,
}

/// Looks where the last segment ends.
///
/// Bytes that are no record are a torn tail unless a later record says that what should stand
/// there was durable before it, or the index has applied it.
pub(super) fn survey(walk: Walk<'_>, applied: u64) -> Survey {
    let mut survey = Survey { unbroken: true, ..Survey::default() };
    let mut damages: Vec<usize> = Vec::new();
    let mut suspects: Vec<(usize, u64, Option<u64>)> = Vec::new();
    for piece in walk {
        match piece {
            Piece::Damaged { from, last, .. } => {
                damages.push(from);
                suspects.push((from, last.saturating_add(1), survey.last));
            }
            Piece::Record(record) => {
                suspects.retain(|(_, sequence, _)| *sequence > record.durable);
                let follows = |last: u64| last.saturating_add(1) == record.sequence;
                survey.unbroken &= survey.last.is_none_or(follows);
                survey.last = Some(record.sequence);
            }
        }
    }
    suspects.retain(|(_, sequence, _)| *sequence > applied);
    if let Some((from, _, last)) = suspects.first() {
        (survey.torn, survey.last) = (Some(*from), *last);
    }
    survey.whole = damages.first().is_none_or(|first| Some(*first) == survey.torn);
    survey
}

/// Names the file of a segment.
pub(super) fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:016x}.seg"))
}

/// Reads the number of a segment from the name of its file.
pub(super) fn number(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?.strip_suffix(".seg")?;
    (name.len() == 16).then(|| u64::from_str_radix(name, 16).ok()).flatten()
}
