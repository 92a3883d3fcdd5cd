//! What a healthy store promises.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use bytchat_core::persist::{Query, Table, Write};

use super::{all, assert_whole, dump, get, put, remove, small};
use crate::store::{Options, Sequence, Store, StoreError};

#[test]
fn a_commit_is_read_back_and_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), Options::default()).unwrap();
    let large = vec![7; 100_000];
    assert_eq!(store.commit(vec![put("a", "1"), put("b", large.clone())]).unwrap(), Sequence(1));
    assert_eq!(store.commit(vec![put("c", "3"), remove("a")]).unwrap(), Sequence(2));
    store.close();
    let store = Store::open(dir.path(), Options::default()).unwrap();
    assert_eq!(get(&store, "a"), None);
    assert_eq!(get(&store, "b"), Some(large));
    assert_eq!(get(&store, "c"), Some(b"3".to_vec()));
    assert_eq!(store.commit(vec![put("d", "")]).unwrap(), Sequence(3));
    assert_eq!(get(&store, "d"), Some(Vec::new()));
    assert_whole(&store);
}

#[test]
fn the_last_write_of_a_commit_wins() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), small()).unwrap();
    store.commit(vec![put("a", "1"), remove("a"), put("a", "2")]).unwrap();
    store.commit(vec![put("b", "1"), remove("b")]).unwrap();
    assert_eq!(get(&store, "a"), Some(b"2".to_vec()));
    assert_eq!(get(&store, "b"), None);
    assert_whole(&store);
}

#[test]
fn a_scan_keeps_to_its_table_bounds_limit_and_direction() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), small()).unwrap();
    for table in Table::ALL {
        let row = |key: u8| Write::Put { table, key: vec![key], value: vec![table as u8, key] };
        store.commit((0..=255).map(row).collect()).unwrap();
    }
    let keys = |query: &Query| -> Vec<u8> {
        let rows = store.scan(query).unwrap();
        assert!(rows.iter().all(|(key, value)| value == &[query.table as u8, key[0]]));
        rows.into_iter().map(|(key, _)| key[0]).collect()
    };
    for table in Table::ALL {
        assert_eq!(keys(&all(table)), (0..=255).collect::<Vec<u8>>());
        assert_eq!(keys(&Query { reverse: true, limit: 3, ..all(table) }), [255, 254, 253]);
        let some = Query { from: vec![10], to: Some(vec![14]), ..all(table) };
        assert_eq!(keys(&some), [10, 11, 12, 13]);
        assert_eq!(keys(&Query { reverse: true, limit: 2, ..some.clone() }), [13, 12]);
        assert_eq!(keys(&Query { limit: 0, ..some.clone() }), [0_u8; 0]);
        assert_eq!(keys(&Query { from: vec![20], ..some }), [0_u8; 0]);
    }
}

#[test]
fn a_second_process_is_told_that_the_store_is_busy() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), small()).unwrap();
    let error = Store::open(dir.path(), small()).err().unwrap();
    assert!(matches!(&error, StoreError::Busy { dir: busy } if busy == dir.path()), "{error}");
    assert!(error.to_string().contains(dir.path().to_str().unwrap()));
    drop(store);
    Store::open(dir.path(), small()).unwrap();
}

#[test]
fn a_closed_store_answers_its_other_handles_so() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), small()).unwrap();
    let other = store.clone();
    store.close();
    assert!(matches!(other.commit(vec![put("a", "1")]), Err(StoreError::Closed { .. })));
    assert!(matches!(other.get(Table::Message, b"a"), Err(StoreError::Closed { .. })));
    assert!(matches!(other.scan(&all(Table::Message)), Err(StoreError::Closed { .. })));
    assert!(matches!(other.verify(), Err(StoreError::Closed { .. })));
}

#[test]
fn only_the_owner_may_read_the_files() {
    fn check(path: &Path) {
        let data = fs::metadata(path).unwrap();
        let expected = if data.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(data.permissions().mode() & 0o777, expected, "{}", path.display());
        if data.is_dir() {
            fs::read_dir(path).unwrap().for_each(|item| check(&item.unwrap().path()));
        }
    }
    let outside = tempfile::tempdir().unwrap();
    let dir = outside.path().join("store");
    let options = Options { reserve_bytes: 1000, ..small() };
    let store = Store::open(&dir, options).unwrap();
    store.commit(vec![put("a", "1")]).unwrap();
    assert!(dir.join("reserve").exists());
    check(&dir);
}

#[test]
fn a_key_beyond_the_limit_is_refused_and_nothing_else_happens() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), small()).unwrap();
    let long = "k".repeat(5000);
    let error = store.commit(vec![put("a", "1"), put(&long, "2")]).unwrap_err();
    assert!(matches!(error, StoreError::TooLarge { got: 5000, expected: 4096, .. }), "{error}");
    assert_eq!(dump(&store), []);
}

#[test]
fn commits_of_many_threads_share_syncs_and_are_all_there() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Arc::new(super::recorder::Recorder::default());
    let disk = Arc::clone(&recorder);
    let store = Store::open_on(dir.path(), Options::default(), disk).unwrap();
    thread::scope(|scope| {
        for writer in 0..16 {
            let store = store.clone();
            scope.spawn(move || {
                for n in 0..20 {
                    store.commit(vec![put(&format!("{writer}/{n}"), "x")]).unwrap();
                }
            });
        }
    });
    assert_eq!(dump(&store).len(), 320);
    let syncs = recorder.count_syncs();
    assert!(syncs < 320, "{syncs} syncs for 320 commits");
}

#[test]
fn a_scan_never_sees_half_a_commit() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), small()).unwrap();
    let write = |n: u8| (0..20).map(|k| put(&format!("{k:02}"), [n])).collect::<Vec<_>>();
    store.commit(write(0)).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| (1..100).for_each(|n| assert!(store.commit(write(n)).is_ok())));
        for _ in 0..200 {
            let rows = dump(&store);
            assert!(rows.iter().all(|(_, value)| value == &rows[0].1), "{rows:?}");
        }
    });
}

#[test]
fn the_bytes_on_the_disk_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let store =
        Store::open(dir.path(), Options { reserve_bytes: 0, ..Options::default() }).unwrap();
    let before = store.bytes();
    store.commit(vec![put("a", vec![1; 1_000_000])]).unwrap();
    assert!(store.bytes() >= before + 1_000_000);
}

#[test]
fn a_query_follows_an_index_to_the_rows_that_it_names() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), small()).unwrap();
    let index = |key: &str, names: &str| Write::Put {
        table: Table::MessageIndex,
        key: key.into(),
        value: names.into(),
    };
    let rows = vec![
        put("first", "1"),
        put("second", "2"),
        index("a", "first"),
        index("b", "second"),
        index("c", "gone"),
        index("d", "first"),
    ];
    store.commit(rows).unwrap();
    let query = all(Table::MessageIndex).backwards().following(Table::Message);
    let row = |key: &str, value: &str| (key.as_bytes().to_vec(), value.as_bytes().to_vec());
    let found = store.scan(&query).unwrap();
    // What is gone is not passed over, so that who reads on by number sees that there is more.
    let gone = row("gone", "");
    assert_eq!(found, [row("first", "1"), gone, row("second", "2"), row("first", "1")]);
}
