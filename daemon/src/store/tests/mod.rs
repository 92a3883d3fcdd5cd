//! Tests of the store: what it promises, and what it does when the disk does not keep its word.

mod basics;
mod collection;
mod faults;
mod full;
mod kill;
mod power;
mod recorder;
mod recovery;
mod sequence;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bytchat_core::persist::{Query, Row, Table, Write};

use super::{Options, Store};

/// Small segments, so that a short test sees many of them.
fn small() -> Options {
    Options { segment_bytes_max: 4096, inline_bytes_max: 64, reserve_bytes: 0 }
}

fn put(key: &str, value: impl Into<Vec<u8>>) -> Write {
    Write::Put { table: Table::Message, key: key.into(), value: value.into() }
}

fn remove(key: &str) -> Write {
    Write::Remove { table: Table::Message, key: key.into() }
}

fn get(store: &Store, key: &str) -> Option<Vec<u8>> {
    store.get(Table::Message, key.as_bytes()).unwrap()
}

fn all(table: Table) -> Query {
    Query { from: Vec::new(), to: None, ..Query::prefix(table, b"", usize::MAX) }
}

fn dump(store: &Store) -> Vec<Row> {
    store.scan(&all(Table::Message)).unwrap()
}

fn assert_whole(store: &Store) {
    let report = store.verify().unwrap();
    assert_eq!(report.problems, Vec::new());
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let items = fs::read_dir(dir.join("log")).unwrap();
    let mut paths: Vec<PathBuf> = items.map(|item| item.unwrap().path()).collect();
    paths.sort();
    paths
}

fn forget_index(dir: &Path) {
    fs::remove_dir_all(dir.join("index")).unwrap();
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for item in fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        let target = to.join(item.file_name());
        if item.file_type().unwrap().is_dir() {
            copy_folder(&item.path(), &target);
        } else {
            fs::copy(item.path(), target).unwrap();
        }
    }
}

/// Chance from a seed (splitmix64).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap()
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next().to_le_bytes()[0]).collect()
    }
}

/// What one writer does: commit `n` changes the same slot in two rows, or removes both.
struct Script {
    writer: u64,
}

type State = BTreeMap<Vec<u8>, Vec<u8>>;

impl Script {
    const SLOTS: u64 = 23;

    fn commit(&self, n: u64) -> Vec<Write> {
        let slot = n.wrapping_mul(7) % Self::SLOTS;
        let (a, b) = (self.key(slot, "a"), self.key(slot, "b"));
        let number = put(&self.counter(), n.to_be_bytes());
        if n % 5 == 3 {
            return vec![remove(&a), number, remove(&b)];
        }
        let length = Chance(n ^ self.writer << 32).below(400);
        let mut value = n.to_be_bytes().to_vec();
        value.resize(8 + length, n.to_le_bytes()[0]);
        vec![put(&a, value.clone()), number, put(&b, value)]
    }

    fn state_after(&self, n: u64) -> State {
        let mut state = State::new();
        for write in (1..=n).flat_map(|n| self.commit(n)) {
            match write {
                Write::Put { key, value, .. } => state.insert(key, value),
                Write::Remove { key, .. } => state.remove(&key),
            };
        }
        state
    }

    fn state_in(&self, store: &Store) -> State {
        let from = format!("{}/", self.writer).into_bytes();
        let to = Some(format!("{}0", self.writer).into_bytes());
        let query = Query { from, to, ..all(Table::Message) };
        store.scan(&query).unwrap().into_iter().collect()
    }

    fn done(&self, store: &Store) -> u64 {
        let bytes = get(store, &self.counter());
        bytes.map_or(0, |bytes| u64::from_be_bytes(bytes.try_into().unwrap()))
    }

    /// Checks that the store stands after a commit that is not older than the acknowledged one.
    fn check(&self, store: &Store, acknowledged: u64, begun: u64, context: &str) {
        let done = self.done(store);
        let writer = self.writer;
        assert!(
            (acknowledged..=begun).contains(&done),
            "{context}: writer {writer} is at {done}, acknowledged {acknowledged}, begun {begun}"
        );
        assert!(
            self.state_in(store) == self.state_after(done),
            "{context}: the rows of writer {writer} are not those after commit {done}"
        );
    }

    fn key(&self, slot: u64, part: &str) -> String {
        format!("{}/{slot:03}/{part}", self.writer)
    }

    fn counter(&self) -> String {
        format!("{}/count", self.writer)
    }
}
