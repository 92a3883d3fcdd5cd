//! A hundred power cuts: what was acknowledged is there, and nothing is there by half.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use super::recorder::{Event, Mercy, Recorder, after_power_cut};
use super::{Chance, Script, copy_folder, dump, put, small};
use crate::store::Store;

const WRITERS: u64 = 3;
const COMMITS: u64 = 60;
const RUNS: u64 = 10;
const CUTS: usize = 10;

struct Run {
    dir: tempfile::TempDir,
    events: Vec<Event>,
    // Copies of sled's folder, each with the number of events before it.
    indexes: Vec<(usize, PathBuf)>,
    copies: tempfile::TempDir,
}

fn record() -> Run {
    let dir = tempfile::tempdir().unwrap();
    let copies = tempfile::tempdir().unwrap();
    let recorder = Arc::new(Recorder::default());
    let disk = Arc::clone(&recorder);
    let store = Store::open_on(dir.path(), small(), disk).unwrap();
    let mut indexes = Vec::new();
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (store, recorder) = (store.clone(), Arc::clone(&recorder));
            scope.spawn(move || {
                let script = Script { writer };
                for n in 1..=COMMITS {
                    recorder.note(Event::Begun(writer, n));
                    store.commit(script.commit(n)).unwrap();
                    recorder.note(Event::Acknowledged(writer, n));
                }
            });
        }
        for n in 0..4 {
            let shared = &store.inner.shared;
            let index = shared.read();
            index.flush(&shared.index_folder()).unwrap();
            let copy = copies.path().join(n.to_string());
            copy_folder(&shared.index_folder(), &copy);
            indexes.push((recorder.len(), copy));
            drop(index);
            store.commit(vec![put(&format!("copy/{n}"), "x")]).unwrap();
        }
    });
    let events = recorder.events();
    Run { dir, events, indexes, copies }
}

/// Puts an index beside the log: none, an older one, a broken one, or one from before the cut.
fn plant_index(run: &Run, cut: usize, chance: &mut Chance, to: &Path) -> &'static str {
    let folder = to.join("index");
    let older: Vec<_> = run.indexes.iter().filter(|(at, _)| *at <= cut).collect();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let trust = |text: &str| fs::write(to.join("index.trust"), text.trim()).unwrap();
    match (chance.below(4), older.last()) {
        (1, Some(_)) => {
            copy_folder(&older[chance.below(older.len())].1, &folder);
            trust(&boot);
            "an older index"
        }
        (2, Some((_, copy))) => {
            copy_folder(copy, &folder);
            let db = folder.join("db");
            let mut bytes = fs::read(&db).unwrap();
            for _ in 0..20 {
                let at = chance.below(bytes.len());
                bytes[at] = !bytes[at];
            }
            fs::write(&db, bytes).unwrap();
            trust("another boot of this machine");
            "an index of another boot"
        }
        (3, Some((_, copy))) => {
            copy_folder(copy, &folder);
            fs::write(folder.join("conf"), chance.bytes(50)).unwrap();
            fs::write(folder.join("db"), chance.bytes(10_000)).unwrap();
            trust(&boot);
            "a broken index"
        }
        _ => "no index",
    }
}

fn check(store: &Store, events: &[Event], context: &str) {
    for writer in 0..WRITERS {
        let (mut begun, mut acknowledged) = (0, 0);
        for event in events {
            if let Event::Begun(who, n) = event
                && *who == writer
            {
                begun = *n;
            }
            if let Event::Acknowledged(who, n) = event
                && *who == writer
            {
                acknowledged = *n;
            }
        }
        Script { writer }.check(store, acknowledged, begun, context);
    }
    let problems = store.verify().unwrap().problems;
    assert!(problems.is_empty(), "{context}: {problems:?}");
}

fn cut_power(run: &Run, cut: usize, seed: u64) -> &'static str {
    let chance = &mut Chance(seed);
    let mercy = [Mercy::None, Mercy::Prefix, Mercy::Some][chance.below(3)];
    let events = &run.events[..cut];
    let left = tempfile::tempdir().unwrap();
    after_power_cut(events, chance, mercy, run.dir.path(), left.path());
    let index = plant_index(run, cut, chance, left.path());
    let context = format!("seed {seed}, cut {cut}, {mercy:?}, {index}");
    let store = Store::open(left.path(), small()).unwrap_or_else(|e| panic!("{context}: {e}"));
    check(&store, events, &context);
    store.commit(vec![put("after", "x")]).unwrap();
    let rows = dump(&store);
    drop(store);
    fs::remove_dir_all(left.path().join("index")).unwrap();
    let store = Store::open(left.path(), small()).unwrap();
    assert!(dump(&store) == rows, "{context}: a rebuilt index differs");
    index
}

#[test]
fn no_power_cut_loses_or_halves_a_commit() {
    let first = std::env::var("SEED").map_or(1, |seed| seed.parse().unwrap());
    let mut kinds = std::collections::BTreeSet::new();
    let mut collected = false;
    for seed in first..first + RUNS {
        let run = record();
        assert!(run.copies.path().exists());
        let is_segment = |path: &Path| path.extension().is_some_and(|kind| kind == "seg");
        let removed = |event: &Event| matches!(event, Event::Remove(path) if is_segment(path));
        collected |= run.events.iter().any(removed);
        for cut in 0..CUTS {
            let at = Chance(seed << 8 | cut as u64).below(run.events.len() + 1);
            kinds.insert(cut_power(&run, at, seed << 8 | cut as u64));
        }
    }
    assert!(collected, "no segment was collected: the cuts missed that");
    assert_eq!(kinds.len(), 4, "some index was never tried: {kinds:?}");
}
