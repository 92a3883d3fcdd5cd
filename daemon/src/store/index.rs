//! The index: where each row stands in the log. sled holds it; when sled fails, memory does.
//!
//! All rows are in one sled tree, behind the number of their table, because a batch is atomic in
//! one tree only. Table 0 is the index's own: the sequence up to which it knows the log, and the
//! live bytes of each segment. Both change in the batch of the rows that they speak of.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io;
use std::ops::Bound;
use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::record::{self, take, take_u32, take_u64};

/// The row that holds the last sequence that the index knows.
pub(super) const APPLIED: &[u8] = &[0, b'a'];
/// The beginning of the rows that count the live bytes of segments.
pub(super) const LIVE: &[u8] = &[0, b'l'];

/// Pages that sled keeps in memory: a node at rest is to stay below 40 MB.
const CACHE_BYTES: u64 = 16 * 1024 * 1024;
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
                Ok(db) => return Ok(Self::Sled(db)),
                Err(error) if error.to_string().contains("could not acquire lock") => {
                    thread::sleep(LOCK_WAIT);
                }
                Err(error) => return Err(IndexError(error.to_string())),
            }
        }
        Err(IndexError("sled stays locked".into()))
    }

    /// Reads a row.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        match self {
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
            Self::Sled(db) => guarded(|| {
                let mut rows = db.range::<&[u8], _>(bounds);
                while let Some(row) = if reverse { rows.next_back() } else { rows.next() } {
                    let (key, value) = row?;
                    if !visit(&key, &value) {
                        break;
                    }
                }
                Ok(())
            }),
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
                for (key, value) in changes {
                    match value {
                        Some(value) => batch.insert(key, value),
                        None => batch.remove(key),
                    }
                }
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
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(IndexError(error.to_string())),
        Err(_) => Err(IndexError("sled panicked".into())),
    }
}
