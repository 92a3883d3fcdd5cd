//! What readers and the writer of a store share: its folders, its options and its index.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread;
use std::time::Duration;

use super::Options;
use super::disk::{self, Disk};
use super::error::StoreError;
use super::index::{Index, IndexError};
use super::ledger::Changes;
use super::record::Record;
use super::segment;
use super::verify::Problem;

const LOCK_TRIES: u32 = 20;
const LOCK_WAIT: Duration = Duration::from_millis(25);
const CLEAN: &str = "clean";
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// One store that is open.
pub(super) struct Shared {
    /// The directory of the store.
    pub(super) dir: PathBuf,
    /// The file operations.
    pub(super) disk: Arc<dyn Disk>,
    /// How the store was opened.
    pub(super) options: Options,
    /// What was found wrong so far.
    pub(super) problems: Mutex<Vec<Problem>>,
    index: RwLock<Index>,
    // Held for its lock.
    _lock: File,
}

impl Shared {
    /// Takes the lock of a directory and makes the folders in it.
    pub(super) fn open(
        dir: &Path,
        options: Options,
        disk: Arc<dyn Disk>,
    ) -> Result<Self, StoreError> {
        let fail = |source| StoreError::io(dir, source);
        let is_new = !dir.exists();
        make_folder(dir).map_err(fail)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(dir.join("lock"))
            .map_err(fail)?;
        take_lock(&lock).map_err(|error| match error {
            TryLockError::WouldBlock => StoreError::Busy { dir: dir.into() },
            TryLockError::Error(error) => fail(error),
        })?;
        let shared = Self {
            dir: dir.to_path_buf(),
            disk,
            options,
            problems: Mutex::new(Vec::new()),
            index: RwLock::new(Index::Closed),
            _lock: lock,
        };
        shared.release_reserve_if_full();
        for folder in [shared.log_folder(), shared.quarantine_folder()] {
            make_folder(&folder).map_err(fail)?;
        }
        shared.disk.sync_folder(dir).map_err(fail)?;
        // A parent that stood before may be closed to us, and need not be touched.
        let parent = dir.parent().filter(|parent| is_new && parent.is_dir());
        if let Some(parent) = parent {
            shared.disk.sync_folder(parent).map_err(|source| StoreError::io(parent, source))?;
        }
        Ok(shared)
    }

    /// The folder of the segments.
    pub(super) fn log_folder(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// The folder of sled.
    pub(super) fn index_folder(&self) -> PathBuf {
        self.dir.join("index")
    }

    /// Where a sled that did not open is kept for a look.
    pub(super) fn aside_folder(&self) -> PathBuf {
        self.dir.join("index.aside")
    }

    /// The folder of damaged segments.
    pub(super) fn quarantine_folder(&self) -> PathBuf {
        self.dir.join("quarantine")
    }

    /// Locks the index for reading.
    pub(super) fn read(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks the index for changes.
    pub(super) fn write(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts another index in the place of this one.
    pub(super) fn replace_index(&self, index: Index) {
        let old = std::mem::replace(&mut *self.write(), index);
        // A broken sled may wait for itself for ever when it is dropped.
        let dropped = thread::Builder::new().name("index".into()).spawn(move || drop(old));
        if let Err(error) = dropped {
            tracing::debug!(%error, "the old index was dropped in place");
        }
    }

    /// Applies records of one segment to the index, all or none.
    pub(super) fn apply(
        &self,
        live: &mut BTreeMap<u64, u64>,
        segment: u64,
        records: &[Record<'_>],
    ) -> Result<(), IndexError> {
        let ready = {
            let index = self.read();
            let mut changes = Changes::new(&index, live, self.options.inline_bytes_max);
            for record in records {
                changes.add(segment, record)?;
            }
            changes.finish()
        };
        self.write().apply(ready.batch)?;
        live.extend(ready.live);
        Ok(())
    }

    /// Tells whether sled's files are as sled left them: it was closed, or the machine never went
    /// down since. After a power cut sled may open and yet be wrong, so it is not asked.
    pub(super) fn index_is_trusted(&self) -> bool {
        let Ok(text) = fs::read_to_string(self.trust_path()) else {
            return false;
        };
        text == CLEAN || boot_id().is_some_and(|id| id == text)
    }

    /// Notes that sled's files are about to change, or that they are at rest.
    pub(super) fn mark_index(&self, clean: bool) {
        let text = if clean { Some(CLEAN.to_owned()) } else { boot_id() };
        let path = self.trust_path();
        let marked = match text {
            Some(text) => disk::replace(&*self.disk, &path, text.as_bytes()),
            None => Err(io::ErrorKind::Unsupported.into()),
        };
        if let Err(error) = marked {
            tracing::debug!(%error, "the mark of the index was not written");
            self.distrust_index();
        }
    }

    /// Notes that sled is not to be used at the next start.
    pub(super) fn distrust_index(&self) {
        let removed = self.disk.remove(&self.trust_path());
        let removed = removed.and_then(|()| self.disk.sync_folder(&self.dir));
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, "the mark of the index was not removed");
            }
            Ok(()) | Err(_) => {}
        }
    }

    /// Keeps a damaged segment from being deleted, under a second name.
    pub(super) fn quarantine(&self, number: u64) {
        let kept = segment::path(&self.quarantine_folder(), number);
        if kept.exists() {
            return;
        }
        let linked = self.disk.link(&segment::path(&self.log_folder(), number), &kept);
        let linked = linked.and_then(|()| self.disk.sync_folder(&self.quarantine_folder()));
        if let Err(error) = linked {
            tracing::error!(segment = number, %error, "a damaged segment could not be kept");
        }
    }

    /// Notes what was found wrong.
    pub(super) fn report(&self, problem: Problem) {
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        if !problems.contains(&problem) {
            tracing::error!(%problem, "the store is damaged");
            problems.push(problem);
        }
    }

    /// Counts the bytes that may still be written.
    pub(super) fn free(&self) -> u64 {
        self.disk.free(&self.dir).unwrap_or(u64::MAX)
    }

    /// Gives the reserve back to the disk.
    pub(super) fn release_reserve(&self) {
        match self.disk.remove(&self.reserve_path()) {
            Ok(()) => tracing::warn!("the disk is full: the store gave its reserve back"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(%error, "the reserve of the store was not released"),
        }
    }

    /// Takes the reserve if there is ample room, and tells whether it is held.
    pub(super) fn take_reserve(&self) -> bool {
        let bytes = self.options.reserve_bytes;
        let held = fs::metadata(self.reserve_path()).is_ok_and(|file| file.len() == bytes);
        if bytes == 0 || held {
            return true;
        }
        if self.free() < bytes.saturating_mul(3) {
            return false;
        }
        let written = self.write_reserve(bytes);
        if let Err(error) = &written {
            tracing::debug!(%error, "the reserve of the store was not taken");
            self.release_reserve();
        }
        written.is_ok()
    }

    fn write_reserve(&self, bytes: u64) -> io::Result<()> {
        let handle = self.disk.create(&self.reserve_path())?;
        let block = vec![0; usize::try_from(bytes).unwrap_or(usize::MAX).min(1024 * 1024)];
        let mut at = 0;
        while at < bytes {
            let left = usize::try_from(bytes - at).unwrap_or(usize::MAX);
            let part = block.get(..left).unwrap_or(&block);
            self.disk.append(&handle, at, part)?;
            at += part.len() as u64;
        }
        self.disk.sync(&handle)
    }

    fn release_reserve_if_full(&self) {
        if self.free() < self.options.reserve_bytes {
            self.release_reserve();
        }
    }

    fn reserve_path(&self) -> PathBuf {
        self.dir.join("reserve")
    }

    fn trust_path(&self) -> PathBuf {
        self.dir.join("index.trust")
    }

    /// Makes the error that an index which does not answer ends in.
    pub(super) fn index_error(&self, error: IndexError) -> StoreError {
        StoreError::Index { dir: self.dir.clone(), reason: error.0 }
    }
}

// Who is about to stop, or forks at this moment, lets go of the lock soon.
fn take_lock(lock: &File) -> Result<(), TryLockError> {
    for _ in 0..LOCK_TRIES {
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => thread::sleep(LOCK_WAIT),
            other => return other,
        }
    }
    lock.try_lock()
}

fn boot_id() -> Option<String> {
    let text = fs::read_to_string(BOOT_ID).ok()?;
    Some(text.trim().to_owned()).filter(|id| !id.is_empty())
}

fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}
