//! Applying records of the log to the index, and counting what lives in each segment.

use std::collections::BTreeMap;

use super::index::{self, APPLIED, Batch, Entry, Index, IndexError};
use super::record::{HEAD_BYTES, Op, Record, ops};

/// The changes of the index that some records of the log ask for.
pub(super) struct Changes<'a> {
    index: &'a Index,
    before: &'a BTreeMap<u64, u64>,
    inline_bytes_max: usize,
    rows: BTreeMap<Vec<u8>, Option<Entry>>,
    live: BTreeMap<u64, u64>,
    applied: u64,
}

/// Changes that are ready to be made.
pub(super) struct Ready {
    /// The rows to be written.
    pub(super) batch: Batch,
    /// The live bytes of the segments that were touched.
    pub(super) live: BTreeMap<u64, u64>,
}

impl<'a> Changes<'a> {
    /// Begins with no changes to an index and to the live bytes that go with it.
    pub(super) fn new(
        index: &'a Index,
        live: &'a BTreeMap<u64, u64>,
        inline_bytes_max: usize,
    ) -> Self {
        let (rows, touched) = (BTreeMap::new(), BTreeMap::new());
        Self { index, before: live, inline_bytes_max, rows, live: touched, applied: 0 }
    }

    /// Adds a record that stands in a segment.
    pub(super) fn add(&mut self, segment: u64, record: &Record<'_>) -> Result<(), IndexError> {
        let payload_at = record.at as u64 + HEAD_BYTES as u64;
        for op in ops(record.payload) {
            match op {
                Op::Put { table, key, value, value_at } => {
                    let row = row_key(table, key);
                    let inline_bytes_max = index::inline_bytes_max(&row, self.inline_bytes_max);
                    let entry = Entry {
                        segment,
                        offset: payload_at + value_at as u64,
                        length: u32::try_from(value.len()).unwrap_or(u32::MAX),
                        crc: crc32fast::hash(value),
                        inline: (value.len() <= inline_bytes_max).then(|| value.to_vec()),
                    };
                    self.set(row, Some(entry))?;
                }
                Op::Remove { table, key } => self.set(row_key(table, key), None)?,
            }
        }
        self.applied = record.sequence;
        Ok(())
    }

    /// Ends with the batch for the index.
    pub(super) fn finish(self) -> Ready {
        let mut batch = Batch::new();
        for (key, entry) in self.rows {
            batch.insert(key, entry.map(|entry| entry.encode()));
        }
        for (segment, bytes) in &self.live {
            batch.insert(index::live_key(*segment), Some(bytes.to_le_bytes().to_vec()));
        }
        batch.insert(APPLIED.to_vec(), Some(self.applied.to_le_bytes().to_vec()));
        Ready { batch, live: self.live }
    }

    fn set(&mut self, key: Vec<u8>, entry: Option<Entry>) -> Result<(), IndexError> {
        let old = match self.rows.get(&key) {
            Some(staged) => staged.clone(),
            None => self.index.entry(&key)?,
        };
        if let Some(old) = old {
            let bytes = old.live_bytes(&key);
            let live = self.live_of(old.segment);
            *live = live.saturating_sub(bytes);
        }
        if let Some(new) = &entry {
            let bytes = new.live_bytes(&key);
            let live = self.live_of(new.segment);
            *live = live.saturating_add(bytes);
        }
        self.rows.insert(key, entry);
        Ok(())
    }

    fn live_of(&mut self, segment: u64) -> &mut u64 {
        let before = self.before.get(&segment).copied().unwrap_or(0);
        self.live.entry(segment).or_insert(before)
    }
}

/// Names a row of a table in the index.
pub(super) fn row_key(table: u8, key: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(key.len() + 1);
    out.push(table);
    out.extend(key);
    out
}
