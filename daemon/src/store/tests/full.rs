//! A real full disk: a small file system of its own, which only root may mount.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{assert_whole, dump, get, put, remove};
use crate::store::{Options, Store, StoreError};

struct Mount(PathBuf);

impl Mount {
    fn new(path: &Path, bytes: usize) -> Option<Self> {
        let size = format!("size={bytes},mode=700");
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(path)
            .output()
            .is_ok_and(|output| output.status.success());
        done.then(|| Self(path.to_path_buf()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()));
    }
}

/// Writes zeros until nothing more fits.
fn fill(path: &Path) {
    use std::io::Write as _;
    let mut file = fs::File::create(path).unwrap();
    let mut bytes = 1 << 20;
    while bytes > 0 {
        if file.write_all(&vec![0; bytes]).is_err() {
            bytes /= 2;
        }
    }
}

fn fill_store(store: &Store, value: usize) -> usize {
    for n in 0.. {
        match store.commit(vec![put(&format!("{n:06}"), vec![1; value])]) {
            Ok(_) => {}
            Err(StoreError::Full { .. }) => return n,
            Err(error) => panic!("{error}"),
        }
    }
    0
}

#[test]
fn a_full_disk_is_read_opened_cleared_and_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mount) = Mount::new(dir.path(), 48 << 20) else {
        println!("NOT RUN: the test of a full disk needs root, for it mounts a small tmpfs");
        return;
    };
    let path = mount.0.join("store");
    let junk = mount.0.join("junk");
    let options = Options { segment_bytes_max: 1 << 20, ..Options::default() };
    let store = Store::open(&path, options.clone()).unwrap();
    let count = fill_store(&store, 60_000);
    assert!(count > 100, "only {count} rows fit");
    assert_eq!(dump(&store).len(), count);
    assert_whole(&store);

    // Something else takes the last byte while the store is open.
    fill(&junk);
    assert!(matches!(store.commit(vec![put("x", "x")]), Err(StoreError::Full { .. })));
    store.commit(vec![remove("000000")]).unwrap();
    assert_eq!(get(&store, "000000"), None);
    assert_eq!(dump(&store).len(), count - 1);
    drop(store);

    // And while it is closed.
    fill(&mount.0.join("more"));
    let stat = rustix::fs::statvfs(&mount.0).unwrap();
    assert!(stat.f_bavail * stat.f_frsize < 8192, "the disk is full");
    let store = Store::open(&path, options.clone()).unwrap();
    assert_eq!(dump(&store).len(), count - 1);
    let large = store.commit(vec![put("x", vec![0; 16 << 20])]);
    assert!(matches!(large, Err(StoreError::Full { .. })));
    for n in 1..count / 2 {
        store.commit(vec![remove(&format!("{n:06}"))]).unwrap();
    }
    let left = dump(&store).len();
    assert_eq!(left, count - count / 2);

    fs::remove_file(junk).unwrap();
    fs::remove_file(mount.0.join("more")).unwrap();
    store.commit(vec![put("x", "x")]).unwrap();
    assert_whole(&store);
    drop(store);
    let store = Store::open(&path, options).unwrap();
    assert_eq!(dump(&store).len(), left + 1);
    assert_whole(&store);
}

#[test]
fn an_index_that_has_no_room_does_not_stop_the_readers() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mount) = Mount::new(dir.path(), 24 << 20) else {
        println!("NOT RUN: the test of a full disk needs root, for it mounts a small tmpfs");
        return;
    };
    let path = mount.0.join("store");
    // Without a reserve sled meets the full disk itself.
    let options = Options { reserve_bytes: 0, segment_bytes_max: 1 << 20, ..Options::default() };
    let store = Store::open(&path, options.clone()).unwrap();
    let count = fill_store(&store, 400);
    fill(&mount.0.join("junk"));
    assert_eq!(dump(&store).len(), count);
    assert!(matches!(store.commit(vec![put("x", vec![0; 9000])]), Err(StoreError::Full { .. })));
    assert_eq!(dump(&store).len(), count);
    drop(store);
    let store = Store::open(&path, options.clone()).unwrap();
    assert_eq!(dump(&store).len(), count);
    drop(store);
    fs::remove_file(mount.0.join("junk")).unwrap();
    let store = Store::open(&path, options).unwrap();
    store.commit(vec![put("x", "x")]).unwrap();
    assert_eq!(dump(&store).len(), count + 1);
    assert_whole(&store);
}
