//! The store: what is committed here survives a power cut.
//!
//! The truth is a log of checksummed segments, synced before a commit is answered. sled is an
//! index of it that may be behind, lost or broken: it is brought up or built anew at open.
//! Nobody else sees either of them.

mod collect;
mod disk;
mod error;
mod index;
mod ledger;
mod pack;
mod record;
mod recover;
mod replay;
mod segment;
mod shared;
mod verify;
mod writer;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use bytchat_core::persist::{Query, Row, Table, Write};

pub use self::error::StoreError;
pub use self::verify::{Problem, Report};

use self::disk::{Disk, RealDisk};
use self::index::{Entry, Index, IndexError};
use self::ledger::row_key;
use self::record::{HEAD_BYTES, KEY_BYTES_MAX, PAYLOAD_BYTES_MAX};
use self::shared::Shared;
use self::writer::{Command, Pending, Writer};

// So many commits may wait before a caller waits to hand in the next.
const QUEUE_COMMITS: usize = 1024;

/// The number of a commit; later commits have larger numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

/// How a store works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// A segment that would grow beyond this is closed; one large commit may exceed it.
    pub segment_bytes_max: u64,
    /// Values up to this length are held in the index too.
    pub inline_bytes_max: usize,
    /// Room that is held back so that a full disk can still be opened and cleared.
    pub reserve_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes_max: 64 * 1024 * 1024,
            inline_bytes_max: 512,
            reserve_bytes: 4 * 1024 * 1024,
        }
    }
}

/// A handle to an open store; clones share it, and it closes with the last one.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    queue: SyncSender<Command>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// The key of a row, and its value or why it cannot be read.
pub type Found = (Vec<u8>, Result<Vec<u8>, StoreError>);

enum Held {
    Value(Vec<u8>),
    Outside(Entry),
}

impl Store {
    /// Opens the store in a directory, which is made if it is not there.
    ///
    /// # Errors
    /// `Busy` if another process has it open, `Newer` if a newer version wrote it, `Full` or `Io`
    /// if the disk does not allow it. Damage is no error here: see [`Store::problems`].
    pub fn open(dir: &Path, options: Options) -> Result<Self, StoreError> {
        Self::open_on(dir, options, Arc::new(RealDisk))
    }

    fn open_on(dir: &Path, options: Options, disk: Arc<dyn Disk>) -> Result<Self, StoreError> {
        let shared = Arc::new(Shared::open(dir, options, disk)?);
        let log = recover::recover(&shared)?;
        let (queue, commands) = mpsc::sync_channel(QUEUE_COMMITS);
        let writer = Writer::new(Arc::clone(&shared), log, commands);
        let thread = std::thread::Builder::new()
            .name("store".into())
            .spawn(move || writer.run())
            .map_err(|source| StoreError::io(dir, source))?;
        let writer = Mutex::new(Some(thread));
        Ok(Self { inner: Arc::new(Inner { shared, queue, writer }) })
    }

    /// Commits writes together or not at all; when it returns they are on the medium.
    ///
    /// # Errors
    /// `Full`: nothing was written, and it may be tried again. `Failed`: the disk failed, and no
    /// more is written. `TooLarge`: the commit is beyond the limits of the format.
    pub fn commit(&self, writes: Vec<Write>) -> Result<Sequence, StoreError> {
        check_sizes(&writes)?;
        let payload = record::encode(&writes);
        let removes_only = writes.iter().all(|write| matches!(write, Write::Remove { .. }));
        let (reply, answer) = mpsc::sync_channel(1);
        let command = Command::Commit(Pending { payload, removes_only, reply });
        self.inner.queue.send(command).map_err(|_| self.closed())?;
        answer.recv().map_err(|_| self.closed())?
    }

    /// Reads the value of a row.
    ///
    /// # Errors
    /// `Corrupt` if the value is not what was written, `Io` if its file cannot be opened.
    pub fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let row = row_key(table as u8, key);
        let mut files = BTreeMap::new();
        let held = self.look(|index| match index.entry(&row)? {
            Some(entry) => Ok(Some(self.hold(entry, &mut files))),
            None => Ok(None),
        })?;
        held.map(|held| self.fetch(held, &files)).transpose()
    }

    /// Reads the rows that a query asks for, in the order of their keys; if the query follows them
    /// to another table, the rows that they name there. A row that is damaged or gone is no reason
    /// to give none of the others: it is reported and comes without a value, under the key that
    /// names it if it is not known itself.
    ///
    /// # Errors
    /// `Io` if the files cannot be read at the moment; asked again, they may be.
    pub fn scan(&self, query: &Query) -> Result<Vec<Row>, StoreError> {
        let Some(table) = query.follow else {
            let rows = self.rows(query)?.into_iter();
            return rows.map(|(key, value)| Ok((key, value_or_none(value)?))).collect();
        };
        // Rows that name others are small: the bytes are those of the others.
        let names = self.rows(&query.clone().within(usize::MAX))?;
        let (mut rows, mut goes_on) = (Vec::new(), query.meter());
        for (index, name) in names {
            let name = value_or_none(name)?;
            let found = if name.is_empty() { None } else { self.named(table, &name)? };
            let value = found.unwrap_or_default();
            let enough = !goes_on(value.len());
            rows.push((if name.is_empty() { index } else { name }, value));
            if enough {
                break;
            }
        }
        Ok(rows)
    }

    fn named(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.get(table, key) {
            Ok(None) => {
                tracing::error!(?table, "a row that another one names is gone");
                Ok(None)
            }
            Ok(Some(value)) => Ok(Some(value)),
            Err(error) => value_or_none(Err(error)).map(Some),
        }
    }

    /// Reads the rows of one table, in the order of their keys; a value that is not what was
    /// written is the error `Corrupt` in the place of that row, so that the others can be read.
    ///
    /// # Errors
    /// Those of the index; damage of single rows is none.
    pub fn scan_each(&self, table: Table) -> Result<Vec<Found>, StoreError> {
        self.rows(&Query::prefix(table, b"", usize::MAX))
    }

    fn rows(&self, query: &Query) -> Result<Vec<Found>, StoreError> {
        let table = query.table as u8;
        let from = row_key(table, &query.from);
        let to = query.to.as_ref().map_or(vec![table.saturating_add(1)], |to| row_key(table, to));
        let mut files = BTreeMap::new();
        let found = self.look(|index| {
            let mut rows = Vec::new();
            let mut broken = None;
            if query.limit == 0 {
                return Ok(rows);
            }
            index.range(&from, &to, query.reverse, &mut |key, value| {
                match Entry::decode(value) {
                    Ok(entry) => {
                        let key = key.get(1..).unwrap_or_default().to_vec();
                        rows.push((key, self.hold(entry, &mut files)));
                    }
                    Err(error) => broken = Some(error),
                }
                broken.is_none() && rows.len() < query.limit
            })?;
            broken.map_or(Ok(rows), Err)
        })?;
        let (mut rows, mut goes_on) = (Vec::new(), query.meter());
        for (key, held) in found {
            let value = self.fetch(held, &files);
            let enough = value.as_ref().is_ok_and(|value| !goes_on(value.len()));
            rows.push((key, value));
            if enough {
                break;
            }
        }
        Ok(rows)
    }

    /// Reads everything and checks it; commits wait meanwhile.
    ///
    /// # Errors
    /// Only if reading itself fails; damage is in the report.
    pub fn verify(&self) -> Result<Report, StoreError> {
        // What the index is asked here is asked again if it must first be held in memory.
        self.look(|index| index.applied())?;
        verify::verify(&self.inner.shared)
    }

    /// Lists what was found wrong since the store was opened.
    pub fn problems(&self) -> Vec<Problem> {
        self.inner.shared.problems.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Counts the bytes that the store takes on the disk.
    pub fn bytes(&self) -> u64 {
        disk_bytes(&self.inner.shared.dir)
    }

    /// Writes the index out and closes the store, for the other handles too.
    pub fn close(self) {
        self.inner.stop();
    }

    fn closed(&self) -> StoreError {
        StoreError::Closed { dir: self.inner.shared.dir.clone() }
    }

    // A reader whom sled fails waits until the index is held in memory, and asks again.
    fn look<T>(
        &self,
        mut ask: impl FnMut(&Index) -> Result<T, IndexError>,
    ) -> Result<T, StoreError> {
        let shared = &self.inner.shared;
        let mut try_once = || {
            let index = shared.read();
            match &*index {
                Index::Closed => Err(self.closed()),
                Index::Sled(_) | Index::Memory(_) => Ok(ask(&index)),
            }
        };
        let error = match try_once()? {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        tracing::error!(%error, "the index failed a reader");
        let (reply, answer) = mpsc::sync_channel(1);
        self.inner.queue.send(Command::Heal(reply)).map_err(|_| self.closed())?;
        answer.recv().map_err(|_| self.closed())??;
        try_once()?.map_err(|error| shared.index_error(error))
    }

    // Files are opened while the index is locked: later their segment may be deleted.
    fn hold(&self, entry: Entry, files: &mut BTreeMap<u64, io::Result<File>>) -> Held {
        if let Some(value) = entry.inline {
            return Held::Value(value);
        }
        if let Slot::Vacant(slot) = files.entry(entry.segment) {
            let folder = self.inner.shared.log_folder();
            slot.insert(File::open(segment::path(&folder, entry.segment)));
        }
        Held::Outside(entry)
    }

    fn fetch(
        &self,
        held: Held,
        files: &BTreeMap<u64, io::Result<File>>,
    ) -> Result<Vec<u8>, StoreError> {
        let entry = match held {
            Held::Value(value) => return Ok(value),
            Held::Outside(entry) => entry,
        };
        let mut value = vec![0; entry.length as usize];
        let read = match files.get(&entry.segment) {
            // A place that the disk does not give is as bad as one that it gives wrong.
            Some(Ok(file)) => file.read_exact_at(&mut value, entry.offset).is_ok(),
            // With too many files open, say, nothing is lost: the next attempt may find it.
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => {
                let path = segment::path(&self.inner.shared.log_folder(), entry.segment);
                return Err(StoreError::Io { path, source: error.kind().into() });
            }
            Some(Err(_)) | None => false,
        };
        if read && crc32fast::hash(&value) == entry.crc {
            return Ok(value);
        }
        Err(StoreError::Corrupt {
            dir: self.inner.shared.dir.clone(),
            segment: entry.segment,
            from: entry.offset,
            to: entry.offset.saturating_add(u64::from(entry.length)),
        })
    }
}

impl Inner {
    fn stop(&self) {
        let thread = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return };
        if self.queue.send(Command::Close).is_err() || thread.join().is_err() {
            tracing::error!("the writer of the store was gone before it was told to stop");
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A damaged value is reported, and left out.
fn value_or_none(value: Result<Vec<u8>, StoreError>) -> Result<Vec<u8>, StoreError> {
    match value {
        Err(error @ StoreError::Corrupt { .. }) => {
            tracing::error!(%error, "a row is damaged on disk");
            Ok(Vec::new())
        }
        Ok(value) => Ok(value),
        Err(error) => Err(error),
    }
}

fn check_sizes(writes: &[Write]) -> Result<(), StoreError> {
    let mut total = 0_usize;
    for write in writes {
        let (key, value) = match write {
            Write::Put { key, value, .. } => (key.len(), value.len()),
            Write::Remove { key, .. } => (key.len(), 0),
        };
        if key > KEY_BYTES_MAX {
            let (got, expected) = (key as u64, KEY_BYTES_MAX as u64);
            return Err(StoreError::TooLarge { what: "key", got, expected });
        }
        total = total.saturating_add(key).saturating_add(value).saturating_add(HEAD_BYTES);
    }
    if total > PAYLOAD_BYTES_MAX {
        let (got, expected) = (total as u64, PAYLOAD_BYTES_MAX as u64);
        return Err(StoreError::TooLarge { what: "commit", got, expected });
    }
    Ok(())
}

fn disk_bytes(folder: &Path) -> u64 {
    let Ok(items) = fs::read_dir(folder) else {
        return 0;
    };
    let sizes = items.flatten().map(|item| match item.metadata() {
        Ok(data) if data.is_dir() => disk_bytes(&item.path()),
        Ok(data) => data.blocks().saturating_mul(512),
        Err(_) => 0,
    });
    sizes.sum()
}
