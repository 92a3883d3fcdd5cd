//! Verification: every byte of the log is read, and the index is compared with it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::PoisonError;
use std::{fmt, fs};

use super::error::StoreError;
use super::index::{Entry, Index, IndexError};
use super::ledger::row_key;
use super::record::{HEAD_BYTES, Op, Record, ops};
use super::recover;
use super::segment::{Piece, Walk};
use super::shared::Shared;

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// Bytes of a segment are no record; what they held is lost.
    Damaged {
        /// The number of the segment.
        segment: u64,
        /// The first damaged byte.
        from: u64,
        /// The byte after the last damaged one.
        to: u64,
    },
    /// Segments are gone.
    Missing {
        /// The number of the first one.
        from: u64,
        /// The number of the last one.
        to: u64,
    },
    /// Commits are gone from the middle of the log, without a trace.
    Gap {
        /// The number of the segment after the gap.
        segment: u64,
        /// The sequence that should be there.
        expected: u64,
        /// The sequence that is there.
        got: u64,
    },
    /// The index knew commits that the log does not hold any more.
    Lost {
        /// The last sequence that the index knew.
        expected: u64,
        /// The last sequence of the log.
        got: u64,
    },
    /// A row stood in damaged bytes and was given up.
    RowLost {
        /// The number of the table.
        table: u8,
        /// The key of the row.
        key: Vec<u8>,
    },
    /// The index and the log do not agree on a row.
    RowDiffers {
        /// The number of the table.
        table: u8,
        /// The key of the row.
        key: Vec<u8>,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged { segment, from, to } => {
                write!(f, "bytes {from} to {to} of segment {segment} are damaged")
            }
            Self::Missing { from, to } => write!(f, "segments {from} to {to} are missing"),
            Self::Gap { segment, expected, got } => {
                write!(f, "segment {segment} goes on with commit {got}, expected {expected}")
            }
            Self::Lost { expected, got } => {
                write!(f, "the log ends with commit {got}, expected {expected}")
            }
            Self::RowLost { table, key } => {
                write!(f, "a row of table {table} with a key of {} bytes is lost", key.len())
            }
            Self::RowDiffers { table, key } => write!(
                f,
                "the index is wrong about a row of table {table} with a key of {} bytes",
                key.len()
            ),
        }
    }
}

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many segments there are.
    pub segments: u64,
    /// How many whole records they hold.
    pub records: u64,
    /// How many rows the index holds.
    pub rows: u64,
    /// The bytes of all segments.
    pub bytes: u64,
    /// The bytes of them to which rows point.
    pub live_bytes: u64,
    /// What is wrong now, and what was found wrong since the store was opened.
    pub problems: Vec<Problem>,
    /// Damaged segments that are kept aside.
    pub quarantined: Vec<PathBuf>,
}

/// Reads all of the log and of the index; commits wait meanwhile.
pub(super) fn verify(shared: &Shared) -> Result<Report, StoreError> {
    let index = shared.read();
    let fail = |error| shared.index_error(error);
    let applied = index.applied().map_err(fail)?;
    let segments = recover::list(shared)?;
    let problems = shared.problems.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut check = Check { index: &index, report: Report::default(), absent: BTreeSet::new() };
    check.report.problems = problems;
    let mut previous: Option<u64> = None;
    for found in &segments {
        if let Some(from) = previous.map(|number| number.saturating_add(1))
            && from < found.number
        {
            check.note(Problem::Missing { from, to: found.number - 1 });
        }
        previous = Some(found.number);
        let bytes = recover::read(shared, found)?;
        check.report.segments += 1;
        check.report.bytes += bytes.len() as u64;
        if !found.sound {
            let to = HEAD_BYTES as u64;
            check.note(Problem::Damaged { segment: found.number, from: 0, to });
        }
        for piece in Walk::new(&bytes, found.head) {
            match piece {
                Piece::Record(record) if record.sequence > applied => {}
                Piece::Record(record) => check.record(found.number, &record).map_err(fail)?,
                // Behind the last commit that was applied there may be one on its way.
                Piece::Damaged { last, .. } if last >= applied => {}
                Piece::Damaged { from, to, .. } => {
                    let (from, to) = (from as u64, to as u64);
                    check.note(Problem::Damaged { segment: found.number, from, to });
                }
            }
        }
    }
    check.rows(&segments).map_err(fail)?;
    let mut report = check.report;
    report.quarantined = quarantined(shared);
    Ok(report)
}

fn quarantined(shared: &Shared) -> Vec<PathBuf> {
    let Ok(items) = fs::read_dir(shared.quarantine_folder()) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = items.flatten().map(|item| item.path()).collect();
    paths.sort();
    paths
}

struct Check<'a> {
    index: &'a Index,
    report: Report,
    // Keys that were put but are not in the index: their removal must follow.
    absent: BTreeSet<Vec<u8>>,
}

impl Check<'_> {
    fn note(&mut self, problem: Problem) {
        if !self.report.problems.contains(&problem) {
            self.report.problems.push(problem);
        }
    }

    fn differs(&mut self, row: &[u8]) {
        if let Some((table, key)) = row.split_first() {
            self.note(Problem::RowDiffers { table: *table, key: key.to_vec() });
        }
    }

    fn record(&mut self, segment: u64, record: &Record<'_>) -> Result<(), IndexError> {
        self.report.records += 1;
        for op in ops(record.payload) {
            match op {
                Op::Put { table, key, value, value_at } => {
                    let row = row_key(table, key);
                    let offset = (record.at + HEAD_BYTES + value_at) as u64;
                    match self.index.entry(&row)? {
                        None => {
                            self.absent.insert(row);
                        }
                        Some(entry) if (entry.segment, entry.offset) < (segment, offset) => {
                            self.differs(&row);
                        }
                        Some(entry) if (entry.segment, entry.offset) == (segment, offset) => {
                            self.report.live_bytes += entry.live_bytes(&row);
                            if entry.crc != crc32fast::hash(value) {
                                self.differs(&row);
                            }
                        }
                        Some(_) => {}
                    }
                }
                Op::Remove { table, key } => {
                    let row = row_key(table, key);
                    self.absent.remove(&row);
                    let end = (segment, record.at as u64);
                    if self.index.entry(&row)?.is_some_and(|entry| is_before(&entry, end)) {
                        self.differs(&row);
                    }
                }
            }
        }
        Ok(())
    }

    fn rows(&mut self, segments: &[recover::Found]) -> Result<(), IndexError> {
        for row in std::mem::take(&mut self.absent) {
            self.differs(&row);
        }
        let lengths: std::collections::BTreeMap<u64, u64> =
            segments.iter().map(|found| (found.number, found.bytes)).collect();
        let mut rows = 0;
        let mut live = 0;
        let mut wrong = Vec::new();
        self.index.range(&[1], &[u8::MAX], false, &mut |key, value| {
            rows += 1;
            let held = Entry::decode(value).ok().filter(|entry| {
                let end = entry.offset.saturating_add(u64::from(entry.length));
                lengths.get(&entry.segment).is_some_and(|bytes| end <= *bytes)
            });
            match held {
                Some(entry) => live += entry.live_bytes(key),
                None => wrong.push(key.to_vec()),
            }
            true
        })?;
        self.report.rows = rows;
        for row in wrong {
            self.differs(&row);
        }
        // Each row points to a put of the log, unless that stands in damaged bytes.
        let lost = self.report.problems.iter().any(|p| matches!(p, Problem::Damaged { .. }));
        if live != self.report.live_bytes && !lost {
            let problem = Problem::RowDiffers { table: 0, key: Vec::new() };
            self.note(problem);
        }
        Ok(())
    }
}

fn is_before(entry: &Entry, (segment, offset): (u64, u64)) -> bool {
    (entry.segment, entry.offset) < (segment, offset)
}
