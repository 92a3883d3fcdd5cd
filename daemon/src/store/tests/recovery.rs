//! Opening what was left behind: torn, stale, broken, foreign.

use std::fs;
use std::path::Path;

use bytchat_core::persist::{Table, Write};

use super::{
    Chance, Script, all, assert_whole, copy_folder, dump, forget_index, get, put, remove, segments,
    small,
};
use crate::store::{Options, Problem, Store, StoreError};

fn filled(dir: &Path, commits: u64) -> Script {
    let script = Script { writer: 1 };
    let options = Options { segment_bytes_max: 1 << 20, ..small() };
    let store = Store::open(dir, options).unwrap();
    for n in 1..=commits {
        store.commit(script.commit(n)).unwrap();
    }
    script
}

/// Five rows, each in a segment of its own: `k0` in the first.
fn five_segments(dir: &Path) {
    let store = Store::open(dir, small()).unwrap();
    for n in 0..5 {
        store.commit(vec![put(&format!("k{n}"), vec![n; 4000])]).unwrap();
    }
    drop(store);
    assert_eq!(segments(dir).len(), 5);
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_torn_tail_is_cut_wherever_it_tears() {
    let dir = tempfile::tempdir().unwrap();
    let script = filled(dir.path(), 3);
    let log = segments(dir.path()).remove(0);
    let whole = fs::read(&log).unwrap();
    for cut in (40..whole.len()).step_by(7) {
        for tail in [0, 30] {
            forget_index(dir.path());
            fs::write(&log, [&whole[..cut], &vec![0; tail]].concat()).unwrap();
            let store = Store::open(dir.path(), small()).unwrap();
            let done = script.done(&store);
            script.check(&store, 0, 2, &format!("cut at {cut}"));
            assert_whole(&store);
            assert_eq!(store.problems(), []);
            store.commit(script.commit(done + 1)).unwrap();
            drop(store);
            forget_index(dir.path());
            let store = Store::open(dir.path(), small()).unwrap();
            script.check(&store, done + 1, done + 1, &format!("after the cut at {cut}"));
        }
    }
}

#[test]
fn damage_in_an_old_segment_is_kept_aside_and_reported_and_the_rest_is_there() {
    let dir = tempfile::tempdir().unwrap();
    five_segments(dir.path());
    flip(&segments(dir.path())[1], 2000);
    forget_index(dir.path());
    let store = Store::open(dir.path(), small()).unwrap();
    let damaged = |problem: &Problem| matches!(problem, Problem::Damaged { segment: 2, .. });
    assert!(store.problems().iter().any(damaged), "{:?}", store.problems());
    assert_eq!(get(&store, "k1"), None);
    for n in [0, 2, 3, 4] {
        assert_eq!(get(&store, &format!("k{n}")), Some(vec![n; 4000]));
    }
    let report = store.verify().unwrap();
    assert!(report.problems.iter().any(damaged));
    assert_eq!(report.quarantined, [dir.path().join("quarantine/0000000000000002.seg")]);
}

#[test]
fn damage_in_the_last_segment_is_not_taken_for_a_torn_tail() {
    let dir = tempfile::tempdir().unwrap();
    let script = filled(dir.path(), 20);
    let log = segments(dir.path()).remove(0);
    let middle = fs::metadata(&log).unwrap().len() / 2;
    flip(&log, usize::try_from(middle).unwrap());
    forget_index(dir.path());
    let store = Store::open(dir.path(), small()).unwrap();
    assert_eq!(script.done(&store), 20, "what stands behind the damage is kept");
    assert!(matches!(store.problems()[..], [Problem::Damaged { segment: 1, .. }]));
    assert!(dir.path().join("quarantine/0000000000000001.seg").exists());
    store.commit(script.commit(21)).unwrap();
    assert_eq!(script.done(&store), 21);
}

#[test]
fn damage_to_the_last_commit_is_told_from_a_torn_tail_by_the_index() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 20);
    let log = segments(dir.path()).remove(0);
    let end = usize::try_from(fs::metadata(&log).unwrap().len()).unwrap();
    flip(&log, end - 2);
    let store = Store::open(dir.path(), small()).unwrap();
    assert_eq!(get(&store, "1/count"), Some(20_u64.to_be_bytes().to_vec()));
    store.commit(vec![put("x", "x")]).unwrap();
    drop(store);
    // The short row was copied from the index into the log before that segment went.
    forget_index(dir.path());
    let store = Store::open(dir.path(), small()).unwrap();
    assert_eq!(get(&store, "1/count"), Some(20_u64.to_be_bytes().to_vec()));
    assert!(dir.path().join("quarantine/0000000000000001.seg").exists());
}

#[test]
fn a_damaged_value_is_an_error_and_never_another_value() {
    let dir = tempfile::tempdir().unwrap();
    five_segments(dir.path());
    flip(&segments(dir.path())[1], 2000);
    let store = Store::open(dir.path(), small()).unwrap();
    let error = store.get(bytchat_core::persist::Table::Message, b"k1").unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { segment: 2, .. }), "{error}");
    let problems = store.verify().unwrap().problems;
    assert!(matches!(problems[0], Problem::Damaged { segment: 2, .. }), "{problems:?}");
    assert_eq!(get(&store, "k2"), Some(vec![2; 4000]));
}

#[test]
fn a_damaged_row_leaves_the_others_of_a_scan_and_a_file_that_does_not_open_loses_none() {
    let dir = tempfile::tempdir().unwrap();
    five_segments(dir.path());
    let store = Store::open(dir.path(), small()).unwrap();
    let whole = dump(&store);
    let log = segments(dir.path()).remove(1);
    let aside = dir.path().join("aside");
    fs::rename(&log, &aside).unwrap();
    std::os::unix::fs::symlink(&log, &log).unwrap();
    let error = store.scan(&all(Table::Message)).unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }), "{error}");
    fs::rename(&aside, &log).unwrap();
    assert_eq!(dump(&store), whole);
    flip(&log, 2000);
    let mut left = whole;
    let damaged = left.iter_mut().find(|(key, _)| key == b"k1").unwrap();
    damaged.1.clear();
    assert_eq!(dump(&store), left);
    let index = Write::Put { table: Table::MessageIndex, key: b"i".into(), value: b"k1".into() };
    store.commit(vec![index]).unwrap();
    let followed = store.scan(&all(Table::MessageIndex).following(Table::Message)).unwrap();
    assert_eq!(followed, [(b"k1".to_vec(), Vec::new())]);
}

#[test]
fn a_segment_with_a_damaged_head_is_still_read() {
    for at in [0, 9, 15, 22, 30, 38] {
        let dir = tempfile::tempdir().unwrap();
        five_segments(dir.path());
        flip(&segments(dir.path())[1], at);
        flip(&segments(dir.path())[4], at);
        forget_index(dir.path());
        let store = Store::open(dir.path(), small()).unwrap();
        for n in 0..5 {
            assert_eq!(get(&store, &format!("k{n}")), Some(vec![n; 4000]), "{at}");
        }
        assert_eq!(store.problems().len(), 2);
    }
}

#[test]
fn a_segment_that_is_gone_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    five_segments(dir.path());
    fs::remove_file(&segments(dir.path())[2]).unwrap();
    forget_index(dir.path());
    let store = Store::open(dir.path(), small()).unwrap();
    assert!(store.problems().contains(&Problem::Missing { from: 3, to: 3 }));
    assert_eq!(dump(&store).len(), 4);
}

#[test]
fn an_index_that_is_ahead_of_the_log_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    five_segments(dir.path());
    fs::remove_file(&segments(dir.path())[4]).unwrap();
    let store = Store::open(dir.path(), small()).unwrap();
    assert_eq!(store.problems(), [Problem::Lost { expected: 5, got: 4 }]);
    assert_eq!(dump(&store).len(), 4);
    store.commit(vec![put("k5", "x")]).unwrap();
    drop(store);
    let store = Store::open(dir.path(), small()).unwrap();
    assert_eq!(dump(&store).len(), 5);
    assert_whole(&store);
}

#[test]
fn a_stale_index_is_brought_up_to_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let script = filled(dir.path(), 10);
    let old = tempfile::tempdir().unwrap();
    copy_folder(&dir.path().join("index"), &old.path().join("index"));
    let options = Options { segment_bytes_max: 1 << 20, ..small() };
    let store = Store::open(dir.path(), options).unwrap();
    for n in 11..=30 {
        store.commit(script.commit(n)).unwrap();
    }
    store.commit(vec![remove("nothing")]).unwrap();
    drop(store);
    forget_index(dir.path());
    copy_folder(&old.path().join("index"), &dir.path().join("index"));
    let store = Store::open(dir.path(), small()).unwrap();
    script.check(&store, 30, 30, "a stale index");
    assert_whole(&store);
}

#[test]
fn an_index_that_does_not_open_is_moved_aside_and_built_anew() {
    let dir = tempfile::tempdir().unwrap();
    let script = filled(dir.path(), 20);
    for seed in 0..8 {
        let index = dir.path().join("index");
        for file in ["conf", "db"] {
            fs::write(index.join(file), Chance(seed).bytes(3000)).unwrap();
        }
        let store = Store::open(dir.path(), small()).unwrap();
        script.check(&store, 20, 20, "a broken index");
        assert_whole(&store);
        assert!(dir.path().join("index.aside").exists());
    }
}

#[test]
fn an_index_that_was_open_when_the_machine_went_down_is_built_anew() {
    let dir = tempfile::tempdir().unwrap();
    let script = filled(dir.path(), 20);
    let mark = dir.path().join("index.trust");
    assert_eq!(fs::read_to_string(&mark).unwrap(), "clean");
    let foreign = dir.path().join("index/foreign");
    fs::write(&foreign, "x").unwrap();
    let store = Store::open(dir.path(), small()).unwrap();
    assert!(foreign.exists(), "a trusted index stays");
    assert_ne!(fs::read_to_string(&mark).unwrap(), "clean");
    drop(store);
    for text in [Some("4b5dc3a7-0000-0000-0000-000000000000"), None] {
        fs::write(&foreign, "x").unwrap();
        match text {
            Some(text) => fs::write(&mark, text).unwrap(),
            None => fs::remove_file(&mark).unwrap(),
        }
        let store = Store::open(dir.path(), small()).unwrap();
        assert!(!foreign.exists(), "the index was used");
        script.check(&store, 20, 20, "an index of another boot");
    }
}

#[test]
fn a_store_of_a_newer_version_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    five_segments(dir.path());
    let path = segments(dir.path()).remove(3);
    let mut bytes = fs::read(&path).unwrap();
    bytes[8] = 2;
    let crc = crc32fast::hash(&bytes[..36]).to_le_bytes();
    bytes[36..40].copy_from_slice(&crc);
    fs::write(&path, &bytes).unwrap();
    let error = Store::open(dir.path(), small()).err().unwrap();
    assert!(matches!(error, StoreError::Newer { got: 2, expected: 1, .. }), "{error}");
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn a_record_inside_a_value_is_never_taken_for_one() {
    let dir = tempfile::tempdir().unwrap();
    five_segments(dir.path());
    // A record of another store, whose marker the sender knows.
    let planted = fs::read(&segments(dir.path())[0]).unwrap().split_off(40);
    let victim = tempfile::tempdir().unwrap();
    let store = Store::open(victim.path(), Options::default()).unwrap();
    store.commit(vec![put("a", planted)]).unwrap();
    store.commit(vec![put("b", "b")]).unwrap();
    drop(store);
    flip(&segments(victim.path())[0], 50);
    forget_index(victim.path());
    let store = Store::open(victim.path(), Options::default()).unwrap();
    let keys: Vec<_> = dump(&store).into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, [b"b"]);
}

#[test]
fn any_bytes_in_the_files_are_survived() {
    let origin = tempfile::tempdir().unwrap();
    five_segments(origin.path());
    for seed in 0..60 {
        let chance = &mut Chance(seed);
        let dir = tempfile::tempdir().unwrap();
        copy_folder(origin.path(), dir.path());
        let paths = segments(dir.path());
        for _ in 0..=chance.below(4) {
            let path = &paths[chance.below(paths.len())];
            let mut bytes = fs::read(path).unwrap();
            let at = chance.below(bytes.len());
            match chance.below(4) {
                0 => bytes.truncate(at),
                1 => bytes = chance.bytes(at),
                2 => bytes.extend(chance.bytes(100)),
                _ => bytes[at] = !bytes[at],
            }
            fs::write(path, bytes).unwrap();
        }
        fs::write(dir.path().join("log/ffffffffffffffff.tmp"), "x").unwrap();
        if chance.below(2) == 0 {
            forget_index(dir.path());
        }
        let store = Store::open(dir.path(), small()).unwrap();
        for n in 0..5 {
            let key = format!("k{n}");
            match store.get(bytchat_core::persist::Table::Message, key.as_bytes()) {
                Ok(Some(value)) => assert_eq!(value, vec![n; 4000], "seed {seed}"),
                Ok(None) | Err(StoreError::Corrupt { .. }) => {}
                Err(error) => panic!("seed {seed}: {error}"),
            }
        }
        store.verify().unwrap();
        store.commit(vec![put("new", "x")]).unwrap();
        drop(store);
        let store = Store::open(dir.path(), small()).unwrap();
        assert_eq!(get(&store, "new"), Some(b"x".to_vec()), "seed {seed}");
    }
}
