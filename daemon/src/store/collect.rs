//! Collection: live rows of the oldest segment are committed anew, then the segment is deleted.
//!
//! Only the oldest segment is ever deleted, and each deletion is durable before the next: so a
//! removal is never gone while an older segment still holds the put that it removed.

use super::disk::Disk;
use super::index::{Entry, IndexError};
use super::ledger::row_key;
use super::record::{self, HEAD_BYTES, Op, Record, ops};
use super::recover::{self, Found};
use super::segment::{self, Head, Piece, Walk};
use super::shared::Shared;
use super::verify::Problem;
use super::writer::{Refusal, Writer};

// How much of a segment is looked at, and how much is rewritten, before commits get their turn.
const LOOK_BYTES: usize = 4 * 1024 * 1024;
const COPY_BYTES: usize = 256 * 1024;

/// How far the collection of a segment has come.
pub(super) struct Cursor {
    segment: u64,
    head: Option<Head>,
    bytes: Vec<u8>,
    at: usize,
    // Operations of the record at `at` that were looked at already.
    skip: usize,
}

impl Writer {
    /// Tells whether more is dead than alive, or a damaged segment waits to be replaced.
    pub(super) fn collection_is_due(&self) -> bool {
        if self.stalled || self.given_up || self.failed.is_some() || self.log.sealed.is_empty() {
            return false;
        }
        if self.cursor.is_some() {
            return true;
        }
        let oldest = self.log.sealed.first_key_value().map(|(number, _)| *number);
        if self.log.damaged.is_some_and(|damaged| oldest.is_some_and(|old| old <= damaged)) {
            return true;
        }
        let total: u64 = self.log.sealed.values().sum();
        let live_of = |number| self.log.live.get(number).copied().unwrap_or(0);
        let live: u64 = self.log.sealed.keys().map(live_of).sum();
        let dead = total.saturating_sub(live);
        dead > live && dead >= self.shared.options.segment_bytes_max
    }

    /// Does a bounded part of the collection.
    pub(super) fn collect_some(&mut self) {
        let Err(refusal) = self.collect_step() else {
            return;
        };
        self.cursor = None;
        match refusal {
            Refusal::Full => {
                tracing::debug!("collection waits for room");
                self.stalled = true;
            }
            Refusal::Failed(reason) => {
                tracing::error!(%reason, "nothing is collected until the next start");
                self.given_up = true;
            }
        }
    }

    fn collect_step(&mut self) -> Result<(), Refusal> {
        let cursor = match self.cursor.take() {
            Some(cursor) => Some(cursor),
            None => self.open_oldest()?,
        };
        let Some(mut cursor) = cursor else {
            return Ok(());
        };
        let copies = match self.gather_live(&mut cursor) {
            Ok(copies) => copies,
            Err(error) => {
                tracing::error!(%error, "the index is held in memory until the next start");
                return self.heal().map_err(failed);
            }
        };
        if !copies.is_empty() {
            self.write(&[copies.as_slice()])?;
        }
        if cursor.at < cursor.bytes.len() {
            self.cursor = Some(cursor);
            return Ok(());
        }
        self.rescue(cursor.segment)?;
        self.delete(cursor.segment)
    }

    fn open_oldest(&self) -> Result<Option<Cursor>, Refusal> {
        let Some(segment) = self.log.sealed.keys().next().copied() else {
            return Ok(None);
        };
        let found = recover::list(&self.shared).map_err(failed)?;
        let found = found.into_iter().find(|found| found.number == segment);
        let found = found.ok_or_else(|| Refusal::Failed("a segment is gone".into()))?;
        // Without a live row there is nothing to read for.
        let dead = self.log.live.get(&segment).copied().unwrap_or(0) == 0;
        let bytes = if dead { Vec::new() } else { read(&self.shared, &found)? };
        Ok(Some(Cursor { segment, head: found.head, bytes, at: 0, skip: 0 }))
    }

    fn gather_live(&self, cursor: &mut Cursor) -> Result<Vec<u8>, IndexError> {
        let Cursor { segment, head, bytes, at, skip } = cursor;
        let index = self.shared.read();
        let start = *at;
        let mut copies = Vec::new();
        for piece in Walk::resume(bytes, *head, start) {
            let record = match piece {
                Piece::Damaged { to, .. } => {
                    (*at, *skip) = (to, 0);
                    continue;
                }
                Piece::Record(record) => record,
            };
            for op in ops(record.payload).skip(*skip) {
                if copies.len() >= COPY_BYTES {
                    *at = record.at;
                    return Ok(copies);
                }
                *skip += 1;
                let Op::Put { table, key, value, value_at } = op else {
                    continue;
                };
                let entry = index.entry(&row_key(table, key))?;
                if entry.is_some_and(|entry| is_at(&entry, *segment, &record, value_at)) {
                    record::encode_put(&mut copies, table, key, value);
                }
            }
            (*at, *skip) = (record.end(), 0);
            if record.end().saturating_sub(start) >= LOOK_BYTES {
                return Ok(copies);
            }
        }
        *at = bytes.len();
        Ok(copies)
    }

    // Rows in damaged bytes: the index may hold a copy; what it does not hold is lost.
    fn rescue(&mut self, segment: u64) -> Result<(), Refusal> {
        if self.log.live.get(&segment).copied().unwrap_or(0) == 0 {
            return Ok(());
        }
        let mut stranded = Vec::new();
        let found = self.shared.read().range(&[1], &[u8::MAX], false, &mut |key, value| {
            match Entry::decode(value) {
                Ok(entry) if entry.segment == segment => stranded.push((key.to_vec(), entry)),
                Ok(_) | Err(_) => {}
            }
            true
        });
        found.map_err(failed)?;
        let mut payload = Vec::new();
        for (key, entry) in stranded {
            let Some((table, key)) = key.split_first() else {
                continue;
            };
            match entry.inline {
                Some(value) => record::encode_put(&mut payload, *table, key, &value),
                None => {
                    let (table, key) = (*table, key.to_vec());
                    record::encode_remove(&mut payload, table, &key);
                    self.shared.report(Problem::RowLost { table, key });
                }
            }
            if payload.len() >= COPY_BYTES {
                self.write(&[std::mem::take(&mut payload).as_slice()])?;
            }
        }
        if !payload.is_empty() {
            self.write(&[payload.as_slice()])?;
        }
        Ok(())
    }

    fn delete(&mut self, segment: u64) -> Result<(), Refusal> {
        // An index that is older than the copies would still point into the segment.
        self.flush_index();
        let path = segment::path(&self.shared.log_folder(), segment);
        {
            let mut index = self.shared.write();
            remove(&*self.shared.disk, &self.shared, &path)?;
            let row = [(super::index::live_key(segment), None)];
            if let Err(error) = index.apply(row.into()) {
                tracing::debug!(%error, "the count of a deleted segment stays");
            }
        }
        self.log.sealed.remove(&segment);
        self.log.live.remove(&segment);
        Ok(())
    }
}

fn is_at(entry: &Entry, segment: u64, record: &Record<'_>, value_at: usize) -> bool {
    let offset = (record.at + HEAD_BYTES + value_at) as u64;
    entry.segment == segment && entry.offset == offset
}

fn read(shared: &Shared, found: &Found) -> Result<Vec<u8>, Refusal> {
    recover::read(shared, found).map_err(failed)
}

fn remove(disk: &dyn Disk, shared: &Shared, path: &std::path::Path) -> Result<(), Refusal> {
    disk.remove(path).map_err(failed)?;
    disk.sync_folder(&shared.log_folder()).map_err(failed)
}

fn failed(error: impl std::fmt::Display) -> Refusal {
    Refusal::Failed(error.to_string())
}
