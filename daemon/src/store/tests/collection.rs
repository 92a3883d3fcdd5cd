//! Collection keeps the disk small and brings nothing back.

use std::fs;
use std::sync::Arc;

use bytchat_core::persist::Table;

use super::recorder::{Event, Recorder};
use super::{Chance, assert_whole, dump, forget_index, get, put, remove, segments, small};
use crate::store::{Options, Store};

fn log_bytes(dir: &std::path::Path) -> u64 {
    segments(dir).iter().map(|path| fs::metadata(path).unwrap().len()).sum()
}

#[test]
fn the_log_stays_bounded_while_rows_change_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), small()).unwrap();
    let chance = &mut Chance(5);
    store.commit(vec![put("old", vec![9; 1000]), put("short", "s")]).unwrap();
    for n in 0..2000_u32 {
        let key = format!("{}", chance.below(10));
        store.commit(vec![put(&key, [vec![0; 200], n.to_be_bytes().to_vec()].concat())]).unwrap();
    }
    // About 3 400 bytes live; 500 000 were written.
    let bytes = log_bytes(dir.path());
    assert!(bytes < 30_000, "{bytes} bytes of log");
    assert_eq!(get(&store, "old"), Some(vec![9; 1000]));
    assert_eq!(get(&store, "short"), Some(b"s".to_vec()));
    assert_whole(&store);
    let rows = dump(&store);
    drop(store);
    forget_index(dir.path());
    let store = Store::open(dir.path(), small()).unwrap();
    assert_eq!(dump(&store), rows);
    assert_whole(&store);
}

#[test]
fn a_row_that_was_removed_stays_removed_when_its_removal_is_collected() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), small()).unwrap();
    // The first segments stay alive for long, the removals come and go in later ones.
    for n in 0..30 {
        store.commit(vec![put(&format!("stay/{n}"), vec![1; 500])]).unwrap();
        store.commit(vec![put(&format!("gone/{n}"), vec![2; 500])]).unwrap();
    }
    for n in 0..30 {
        store.commit(vec![remove(&format!("gone/{n}"))]).unwrap();
    }
    for n in 0..400 {
        store.commit(vec![put("churn", vec![3; 300])]).unwrap();
        if n % 50 == 0 {
            store.commit(vec![remove(&format!("stay/{}", n / 50))]).unwrap();
        }
    }
    let rows = dump(&store);
    assert_eq!(rows.len(), 1 + 30 - 8);
    drop(store);
    forget_index(dir.path());
    let store = Store::open(dir.path(), small()).unwrap();
    assert_eq!(dump(&store), rows);
    assert_whole(&store);
}

#[test]
fn an_index_from_before_a_collection_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), small()).unwrap();
    store.commit(vec![put("gone", vec![1; 500])]).unwrap();
    drop(store);
    let old = tempfile::tempdir().unwrap();
    super::copy_folder(&dir.path().join("index"), &old.path().join("index"));
    let store = Store::open(dir.path(), small()).unwrap();
    store.commit(vec![remove("gone")]).unwrap();
    for _ in 0..300 {
        store.commit(vec![put("churn", vec![3; 300])]).unwrap();
    }
    let first = segments(dir.path());
    assert!(!first[0].ends_with("0000000000000001.seg"), "nothing was collected: {first:?}");
    drop(store);
    forget_index(dir.path());
    super::copy_folder(&old.path().join("index"), &dir.path().join("index"));
    let store = Store::open(dir.path(), small()).unwrap();
    assert_eq!(get(&store, "gone"), None);
    assert_eq!(dump(&store).len(), 1);
    assert_whole(&store);
}

#[test]
fn segments_are_deleted_oldest_first_and_each_for_good_before_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Arc::new(Recorder::default());
    let disk = Arc::clone(&recorder);
    let store = Store::open_on(dir.path(), small(), disk).unwrap();
    for n in 0..400 {
        store.commit(vec![put(&format!("{}", n % 7), vec![3; 300])]).unwrap();
    }
    drop(store);
    let mut unsynced = None;
    let mut last = None;
    for event in recorder.events() {
        if let Event::SyncFolder(folder) = &event
            && folder.ends_with("log")
        {
            unsynced = None;
        }
        let Event::Remove(path) = event else { continue };
        if path.extension().is_some_and(|extension| extension == "seg") {
            assert_eq!(unsynced, None, "deleted before the last deletion was durable");
            assert!(last.as_ref() < Some(&path), "{last:?} before {path:?}");
            last = Some(path.clone());
            unsynced = Some(path);
        }
    }
    assert!(last.is_some(), "nothing was deleted");
}

#[test]
fn readers_see_their_rows_while_segments_move() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), Options { inline_bytes_max: 0, ..small() }).unwrap();
    let keys: Vec<String> = (0..10).map(|n| format!("keep/{n}")).collect();
    store.commit(keys.iter().map(|key| put(key, key.repeat(20))).collect()).unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for n in 0..600 {
                store.commit(vec![put(&format!("churn/{}", n % 5), vec![3; 300])]).unwrap();
            }
        });
        while !writer.is_finished() {
            for key in &keys {
                let value = store.get(Table::Message, key.as_bytes()).unwrap();
                assert_eq!(value, Some(key.repeat(20).into_bytes()));
            }
        }
    });
}

#[test]
fn large_commits_are_collected_in_parts_and_keep_their_newest_values() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { segment_bytes_max: 1 << 20, ..small() };
    let store = Store::open(dir.path(), options.clone()).unwrap();
    let chance = &mut Chance(8);
    let mut model = std::collections::BTreeMap::new();
    for n in 0..60_u8 {
        // The first rows are written again and again, the last ones stay.
        let end = if n < 6 { 60 } else { 25 };
        let mut writes = Vec::new();
        for _ in 0..30 {
            let key = format!("{:02}", chance.below(end));
            let value = vec![n ^ chance.bytes(1)[0]; 15_000];
            model.insert(key.clone().into_bytes(), value.clone());
            writes.push(put(&key, value));
        }
        store.commit(writes).unwrap();
    }
    // Once closed, nothing is being collected any more.
    drop(store);
    let bytes = log_bytes(dir.path());
    assert!(bytes < 8_000_000, "{bytes} bytes of log for 27 000 000 written");
    for _ in 0..2 {
        let store = Store::open(dir.path(), options.clone()).unwrap();
        assert!(dump(&store).into_iter().eq(model.clone()), "a row is not the newest");
        assert_whole(&store);
        drop(store);
        forget_index(dir.path());
    }
}
