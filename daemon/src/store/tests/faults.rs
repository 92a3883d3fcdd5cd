//! Disks that refuse: no room at each append, and an error at each write and sync.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Script, assert_whole, forget_index, put, remove, small};
use crate::store::disk::{Disk, Handle, RealDisk};
use crate::store::{Options, Store, StoreError};

const COMMITS: u64 = 60;

/// Fails operations of one kind from one of them on, for some time.
struct Faulty {
    kind: Kind,
    first: usize,
    count: usize,
    seen: AtomicUsize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    NoRoom,
    BadWrite,
    BadSync,
    BadFolderSync,
}

impl Faulty {
    fn new(kind: Kind, first: usize, count: usize) -> Arc<Self> {
        Arc::new(Self { kind, first, count, seen: AtomicUsize::new(0) })
    }

    fn strikes(&self, kind: Kind) -> bool {
        if kind != self.kind {
            return false;
        }
        let seen = self.seen.fetch_add(1, Ordering::SeqCst);
        (self.first..self.first.saturating_add(self.count)).contains(&seen)
    }

    fn was_reached(&self) -> bool {
        self.seen.load(Ordering::SeqCst) > self.first
    }
}

fn bad() -> io::Error {
    io::Error::from_raw_os_error(5)
}

impl Disk for Faulty {
    fn create(&self, path: &Path) -> io::Result<Handle> {
        RealDisk.create(path)
    }

    fn append(&self, handle: &Handle, at: u64, bytes: &[u8]) -> io::Result<()> {
        let part = bytes.len() / 2;
        if self.strikes(Kind::NoRoom) {
            RealDisk.append(handle, at, &bytes[..part])?;
            return Err(io::Error::from_raw_os_error(28));
        }
        if self.strikes(Kind::BadWrite) {
            RealDisk.append(handle, at, &bytes[..part])?;
            return Err(bad());
        }
        RealDisk.append(handle, at, bytes)
    }

    fn sync(&self, _: &Handle) -> io::Result<()> {
        if self.strikes(Kind::BadSync) { Err(bad()) } else { Ok(()) }
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        if self.strikes(Kind::BadFolderSync) { Err(bad()) } else { Ok(()) }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }

    fn truncate(&self, handle: &Handle, bytes: u64) -> io::Result<()> {
        RealDisk.truncate(handle, bytes)
    }

    fn free(&self, _: &Path) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}

/// Runs the script on a faulty disk until a fault was met; then it must go on as before.
fn meet_no_room(first: usize, count: usize, options: Options) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let disk = Faulty::new(Kind::NoRoom, first, count);
    let store = Store::open_on(dir.path(), options.clone(), disk.clone()).unwrap();
    let script = Script { writer: 1 };
    let context = format!("no room at appends {first} to {}", first + count);
    let mut done = 0;
    while done < COMMITS {
        match store.commit(script.commit(done + 1)) {
            Ok(_) => done += 1,
            Err(StoreError::Full { dir: full }) => assert_eq!(full, dir.path()),
            Err(error) => panic!("{context}: {error}"),
        }
        script.check(&store, done, done, &context);
    }
    assert_whole(&store);
    drop(store);
    for _ in 0..2 {
        let store = Store::open(dir.path(), options.clone()).unwrap();
        script.check(&store, done, done, &context);
        assert_whole(&store);
        drop(store);
        forget_index(dir.path());
    }
    disk.was_reached()
}

#[test]
fn a_disk_that_is_full_at_any_append_loses_nothing() {
    let mut first = 0;
    while meet_no_room(first, 1, small()) {
        first += 1;
    }
    assert!(first > 60, "only {first} appends were tried");
}

#[test]
fn a_disk_that_is_full_for_a_while_is_written_again_when_there_is_room() {
    for first in [0, 3, 17, 40] {
        assert!(meet_no_room(first, 25, small()));
        assert!(meet_no_room(first, 25, Options { reserve_bytes: 5000, ..small() }));
    }
}

#[test]
fn a_full_disk_lets_removals_use_the_reserve() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { reserve_bytes: 5000, ..small() };
    // The mark of the index, the reserve, the head of the segment and one commit come before.
    let disk = Faulty::new(Kind::NoRoom, 4, 2);
    let store = Store::open_on(dir.path(), options, disk).unwrap();
    store.commit(vec![put("a", "1")]).unwrap();
    assert!(dir.path().join("reserve").exists());
    assert!(matches!(store.commit(vec![put("b", "1")]), Err(StoreError::Full { .. })));
    assert!(!dir.path().join("reserve").exists());
    store.commit(vec![remove("a")]).unwrap();
    store.commit(vec![put("b", "1")]).unwrap();
    assert!(dir.path().join("reserve").exists(), "the reserve is taken again");
}

/// Runs the script until the disk fails for good; returns whether it did.
fn meet_failure(kind: Kind, first: usize) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let disk = Faulty::new(kind, first, 1);
    let context = format!("{kind:?} {first}");
    let script = Script { writer: 1 };
    let mut done = 0;
    if let Ok(store) = Store::open_on(dir.path(), small(), disk.clone()) {
        while done < COMMITS {
            match store.commit(script.commit(done + 1)) {
                Ok(_) => done += 1,
                Err(StoreError::Failed { .. }) => break,
                Err(error) => panic!("{context}: {error}"),
            }
        }
        if done < COMMITS {
            // The fault was there once only, but the store must not believe in the disk again.
            let again = store.commit(vec![put("x", "x")]);
            assert!(matches!(again, Err(StoreError::Failed { .. })), "{context}");
        }
        script.check(&store, done, done, &context);
    }
    let store = Store::open(dir.path(), small()).unwrap();
    script.check(&store, done, done + 1, &context);
    assert_whole(&store);
    store.commit(vec![put("x", "x")]).unwrap();
    disk.was_reached()
}

#[test]
fn after_a_failed_write_or_sync_nothing_more_is_written() {
    for kind in [Kind::BadWrite, Kind::BadSync, Kind::BadFolderSync] {
        let mut first = 0;
        while meet_failure(kind, first) {
            first += 1;
        }
        assert!(first > 5, "only {first} faults of {kind:?} were met");
    }
}
