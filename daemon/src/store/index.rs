//! The index: where each row stands in the log. sled holds it; when sled fails, memory does.
//!
//! All rows are in one sled tree, behind the number of their table, because a batch is atomic in
//! one tree only. Table 0 is the index's own: the sequence up to which it knows the log, and the
//! live bytes of each segment. Both change in the batch of the rows that they speak of. The rows
//! of tables that only grow are packed.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io;
use std::ops::Bound;
use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::thread;
use std::time::Duration;

use bytchat_core::persist::Table;

use super::pack;
use super::record::{self, take, take_u32, take_u64};

/// The row that holds the last sequence that the index knows.
pub(super) const APPLIED: &[u8] = &[0, b'a'];
/// The row that says in which form the index is; one of another form is built anew.
const FORM: &[u8] = &[0, b'f'];
const FORM_NOW: &[u8] = &[2];
/// The beginning of the rows that count the live bytes of segments.
pub(super) const LIVE: &[u8] = &[0, b'l'];

/// Tables that grow with the years. Nobody reads many of their rows at once, but for marks that
/// are short, so longer values stay in the log.
const PACKED: [Table; 7] = [
    Table::Message,
    Table::MessageIndex,
    Table::Event,
    Table::Trace,
    Table::Seen,
    Table::Tombstone,
    Table::Answer,
];
const PACKED_INLINE_BYTES_MAX: usize = 32;

/// Pages that sled keeps in memory, by their size on disk; unpacked they take three times as much.
/// A node at rest is to stay below 40 MB, with a million messages as well.
const CACHE_BYTES: u64 = 4 * 1024 * 1024;
const FLUSH_EVERY_MS: u64 = 1000;
// sled gives its lock back a moment after it was dropped.
const LOCK_TRIES: u32 = 50;
const LOCK_WAIT: Duration = Duration::from_millis(20);

/// What the index answered instead of doing its work.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct IndexError(pub(super) String);

/// Where a row stands, and its value if that is short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The number of the segment.
    pub(super) segment: u64,
    /// The offset of the value in the segment.
    pub(super) offset: u64,
    /// The bytes of the value.
    pub(super) length: u32,
    /// The CRC of the value.
    pub(super) crc: u32,
    /// The value, if it is kept here too.
    pub(super) inline: Option<Vec<u8>>,
}

impl Entry {
    /// Encodes the entry.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = vec![u8::from(self.inline.is_some())];
        out.extend(self.segment.to_le_bytes());
        out.extend(self.offset.to_le_bytes());
        out.extend(self.length.to_le_bytes());
        out.extend(self.crc.to_le_bytes());
        out.extend(self.inline.as_deref().unwrap_or_default());
        out
    }

    /// Decodes an entry.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, IndexError> {
        Self::parse(bytes).ok_or_else(|| IndexError("an entry is malformed".into()))
    }

    fn parse(mut bytes: &[u8]) -> Option<Self> {
        let rest = &mut bytes;
        let kind = *take(rest, 1)?.first()?;
        let segment = take_u64(rest)?;
        let offset = take_u64(rest)?;
        let length = take_u32(rest)?;
        let crc = take_u32(rest)?;
        let inline = match kind {
            0 if rest.is_empty() => None,
            1 if rest.len() == length as usize && crc32fast::hash(rest) == crc => {
                Some(rest.to_vec())
            }
            _ => return None,
        };
        Some(Self { segment, offset, length, crc, inline })
    }

    /// Counts the bytes of the log that live as long as this row.
    pub(super) fn live_bytes(&self, key: &[u8]) -> u64 {
        record::put_bytes(key.len().saturating_sub(1), self.length as usize)
    }
}

/// Changes of the index that happen together.
pub(super) type Batch = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// The index, wherever it is held.
pub(super) enum Index {
    /// In sled.
    Sled(sled::Db),
    /// In memory, until the next start.
    Memory(BTreeMap<Vec<u8>, Vec<u8>>),
    /// Nowhere any more.
    Closed,
}

impl Index {
    /// Opens sled in a folder; a panic of sled is an error.
    pub(super) fn open(folder: &Path) -> Result<Self, IndexError> {
        let config = sled::Config::new()
            .path(folder)
            .cache_capacity(CACHE_BYTES)
            .flush_every_ms(Some(FLUSH_EVERY_MS));
        for _ in 0..LOCK_TRIES {
            let config = config.clone();
            let opening = thread::Builder::new().name("index".into()).spawn(move || config.open());
            let joined = opening.map_err(|error| IndexError(error.to_string()))?.join();
            match joined.map_err(|_| IndexError("sled panicked".into()))? {
                Ok(db) => return Self::of_our_form(db),
                Err(error) if error.to_string().contains("could not acquire lock") => {
                    thread::sleep(LOCK_WAIT);
                }
                Err(error) => return Err(IndexError(error.to_string())),
            }
        }
        Err(IndexError("sled stays locked".into()))
    }

    fn of_our_form(db: sled::Db) -> Result<Self, IndexError> {
        let form = guarded(|| if db.is_empty() { Ok(None) } else { db.get(FORM).map(Some) })?;
        match form {
            None => guarded(|| db.insert(FORM, FORM_NOW)).map(drop)?,
            Some(form) if form.as_deref() == Some(FORM_NOW) => {}
            Some(_) => return Err(IndexError("the index has another form".into())),
        }
        Ok(Self::Sled(db))
    }

    /// Reads a row.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        match self {
            Self::Sled(db) if is_packed(key) => caught(|| pack::get(db, key)),
            Self::Sled(db) => Ok(guarded(|| db.get(key))?.map(|value| value.to_vec())),
            Self::Memory(rows) => Ok(rows.get(key).cloned()),
            Self::Closed => Ok(None),
        }
    }

    /// Reads the entry of a row.
    pub(super) fn entry(&self, key: &[u8]) -> Result<Option<Entry>, IndexError> {
        self.get(key)?.map(|bytes| Entry::decode(&bytes)).transpose()
    }

    /// Visits rows in order until the visitor returns false.
    pub(super) fn range(
        &self,
        from: &[u8],
        to: &[u8],
        reverse: bool,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), IndexError> {
        if from >= to {
            return Ok(());
        }
        let bounds = (Bound::Included(from), Bound::Excluded(to));
        match self {
            Self::Sled(db) => caught(|| range_in(db, (from, to), reverse, visit)),
            Self::Memory(rows) => {
                let mut rows = rows.range::<[u8], _>(bounds);
                while let Some((key, value)) = if reverse { rows.next_back() } else { rows.next() }
                {
                    if !visit(key, value) {
                        break;
                    }
                }
                Ok(())
            }
            Self::Closed => Ok(()),
        }
    }

    /// Makes changes, all or none.
    pub(super) fn apply(&mut self, changes: Batch) -> Result<(), IndexError> {
        match self {
            Self::Sled(db) => {
                let mut batch = sled::Batch::default();
                let (packed, plain): (Batch, Batch) =
                    changes.into_iter().partition(|(key, _)| is_packed(key));
                for (key, value) in plain {
                    match value {
                        Some(value) => batch.insert(key, value),
                        None => batch.remove(key),
                    }
                }
                caught(|| pack::change(db, packed, &mut batch))?;
                guarded(|| db.apply_batch(batch))
            }
            Self::Memory(rows) => {
                for (key, value) in changes {
                    match value {
                        Some(value) => rows.insert(key, value),
                        None => rows.remove(&key),
                    };
                }
                Ok(())
            }
            Self::Closed => Err(IndexError("the index is closed".into())),
        }
    }

    /// Reads the sequence up to which the index knows the log.
    pub(super) fn applied(&self) -> Result<u64, IndexError> {
        let Some(bytes) = self.get(APPLIED)? else {
            return Ok(0);
        };
        take_u64(&mut bytes.as_slice()).ok_or_else(|| IndexError("a counter is malformed".into()))
    }

    /// Reads the live bytes of each segment.
    pub(super) fn live(&self) -> Result<BTreeMap<u64, u64>, IndexError> {
        let mut live = BTreeMap::new();
        self.range(LIVE, &[0, b'l' + 1], false, &mut |key, value| {
            let number = key.get(LIVE.len()..).and_then(|mut rest| take_u64(&mut rest));
            if let (Some(number), Some(bytes)) = (number, take_u64(&mut { value })) {
                live.insert(number, bytes);
            }
            true
        })?;
        Ok(live)
    }

    /// Puts all that sled knows on the medium; sled's own flush does not reach it.
    pub(super) fn flush(&self, folder: &Path) -> Result<(), IndexError> {
        match self {
            Self::Sled(db) => {
                guarded(|| db.flush())?;
                sync_files(folder).map_err(|error| IndexError(error.to_string()))
            }
            Self::Memory(_) | Self::Closed => Ok(()),
        }
    }
}

/// Tells how long a value of a row may be to be held in the index.
pub(super) fn inline_bytes_max(row: &[u8], usual: usize) -> usize {
    if is_packed(row) { usual.min(PACKED_INLINE_BYTES_MAX) } else { usual }
}

fn is_packed(row: &[u8]) -> bool {
    row.first().is_some_and(|first| PACKED.iter().any(|table| *table as u8 == *first))
}

// Visits rows that may be plain or packed, in the order of their keys.
fn range_in(
    db: &sled::Db,
    (from, to): (&[u8], &[u8]),
    reverse: bool,
    visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
) -> Result<(), IndexError> {
    let first = if is_packed(from) { pack::first_block(db, from)? } else { from.to_vec() };
    let bounds = (Bound::Included(first.as_slice()), Bound::Excluded(to));
    let mut rows = db.range::<&[u8], _>(bounds);
    while let Some(row) = if reverse { rows.next_back() } else { rows.next() } {
        let (key, value) = row.map_err(|error| IndexError(error.to_string()))?;
        if !is_packed(&key) {
            if !visit(&key, &value) {
                return Ok(());
            }
            continue;
        }
        let mut packed = pack::rows(&value)?;
        packed.retain(|(key, _)| key.as_slice() >= from && key.as_slice() < to);
        if reverse {
            packed.reverse();
        }
        if !packed.iter().all(|(key, value)| visit(key, value)) {
            return Ok(());
        }
    }
    Ok(())
}

/// Names the row that counts the live bytes of a segment.
pub(super) fn live_key(segment: u64) -> Vec<u8> {
    [LIVE, &segment.to_le_bytes()].concat()
}

/// Syncs every file of sled and the folders that hold them.
pub(super) fn sync_files(folder: &Path) -> io::Result<()> {
    for item in fs::read_dir(folder)? {
        let item = item?;
        if item.file_type()?.is_dir() {
            sync_files(&item.path())?;
            continue;
        }
        match File::open(item.path()) {
            Ok(file) => file.sync_all()?,
            // sled replaces its snapshot files when it likes.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    File::open(folder)?.sync_all()
}

/// Lets only the owner read the files of sled.
pub(super) fn restrict(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, Permissions::from_mode(0o700))?;
    for item in fs::read_dir(folder)? {
        let item = item?;
        if item.file_type()?.is_dir() {
            restrict(&item.path())?;
        } else {
            fs::set_permissions(item.path(), Permissions::from_mode(0o600))?;
        }
    }
    Ok(())
}

fn guarded<T>(work: impl FnOnce() -> sled::Result<T>) -> Result<T, IndexError> {
    caught(|| work().map_err(|error| IndexError(error.to_string())))
}

fn caught<T>(work: impl FnOnce() -> Result<T, IndexError>) -> Result<T, IndexError> {
    let done = catch_unwind(AssertUnwindSafe(work));
    done.unwrap_or_else(|_| Err(IndexError("sled panicked".into())))
}
