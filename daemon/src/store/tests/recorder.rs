//! A disk that writes down what is done to it, and can tell what a power cut would leave of it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::Chance;
use crate::store::disk::{Disk, Handle, RealDisk};

const SECTOR: usize = 512;

/// Something that was done to the disk, or that a test noted between such things.
#[derive(Clone, Debug)]
pub(super) enum Event {
    Create(PathBuf),
    Append(PathBuf, usize, Vec<u8>),
    Sync(PathBuf),
    SyncFolder(PathBuf),
    Rename(PathBuf, PathBuf),
    Link(PathBuf, PathBuf),
    Remove(PathBuf),
    Truncate(PathBuf, usize),
    Begun(u64, u64),
    Acknowledged(u64, u64),
}

/// The real disk with a memory.
#[derive(Default)]
pub(super) struct Recorder {
    events: Mutex<Vec<Event>>,
}

impl Recorder {
    pub(super) fn note(&self, event: Event) {
        self.events.lock().unwrap().push(event);
    }

    pub(super) fn len(&self) -> usize {
        self.events.lock().unwrap().len()
    }

    pub(super) fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap().clone()
    }

    pub(super) fn count_syncs(&self) -> usize {
        let events = self.events.lock().unwrap();
        events.iter().filter(|event| matches!(event, Event::Sync(_))).count()
    }

    // What is noted before it is done may be undone by a cut; the other way round it could not.
    fn noted<T>(&self, event: Event, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let settles = matches!(event, Event::Sync(_) | Event::SyncFolder(_));
        if settles {
            let done = work()?;
            self.note(event);
            return Ok(done);
        }
        self.note(event);
        work()
    }
}

impl Disk for Recorder {
    fn create(&self, path: &Path) -> io::Result<Handle> {
        self.noted(Event::Create(path.into()), || RealDisk.create(path))
    }

    fn append(&self, handle: &Handle, at: u64, bytes: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(at).unwrap();
        let event = Event::Append(handle.path.clone(), offset, bytes.to_vec());
        self.noted(event, || RealDisk.append(handle, at, bytes))
    }

    fn sync(&self, handle: &Handle) -> io::Result<()> {
        self.noted(Event::Sync(handle.path.clone()), || Ok(()))
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.noted(Event::SyncFolder(folder.into()), || Ok(()))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.noted(Event::Rename(from.into(), to.into()), || RealDisk.rename(from, to))
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.noted(Event::Link(from.into(), to.into()), || RealDisk.link(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)?;
        self.note(Event::Remove(path.into()));
        Ok(())
    }

    fn truncate(&self, handle: &Handle, bytes: u64) -> io::Result<()> {
        let length = usize::try_from(bytes).unwrap();
        self.noted(Event::Truncate(handle.path.clone(), length), || {
            RealDisk.truncate(handle, bytes)
        })
    }

    fn free(&self, folder: &Path) -> io::Result<u64> {
        RealDisk.free(folder)
    }
}

/// What survives of the things that were not synced.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mercy {
    /// Nothing.
    None,
    /// All up to some point.
    Prefix,
    /// Any sectors and any names.
    Some,
}

#[derive(Clone)]
enum DataOp {
    Write(usize, Vec<u8>),
    Cut(usize),
}

#[derive(Clone)]
enum NameOp {
    Add(PathBuf, usize),
    Drop(PathBuf),
    Move(PathBuf, PathBuf, usize),
}

#[derive(Default)]
struct Inode {
    durable: Vec<u8>,
    pending: Vec<DataOp>,
}

#[derive(Default)]
struct Medium {
    inodes: Vec<Inode>,
    seen: BTreeMap<PathBuf, usize>,
    names: BTreeMap<PathBuf, usize>,
    pending: Vec<NameOp>,
}

/// Writes the directory as a power cut after some events would leave it.
pub(super) fn after_power_cut(
    events: &[Event],
    chance: &mut Chance,
    mercy: Mercy,
    from: &Path,
    to: &Path,
) {
    let mut medium = Medium::default();
    events.iter().for_each(|event| medium.handle(event));
    let (mut names, pending) = (medium.names, medium.pending);
    for op in spared(pending, chance, mercy) {
        apply_name(&mut names, op);
    }
    for (path, inode) in names {
        let inode = &medium.inodes[inode];
        let mut bytes = inode.durable.clone();
        for op in spared(sectors(&inode.pending), chance, mercy) {
            apply_data(&mut bytes, &op);
        }
        let path = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

impl Medium {
    fn handle(&mut self, event: &Event) {
        match event {
            Event::Create(path) => {
                let inode = self.inodes.len();
                self.inodes.push(Inode::default());
                self.seen.insert(path.clone(), inode);
                self.pending.push(NameOp::Add(path.clone(), inode));
            }
            Event::Append(path, at, bytes) => self.change(path, DataOp::Write(*at, bytes.clone())),
            Event::Truncate(path, length) => self.change(path, DataOp::Cut(*length)),
            Event::Sync(path) => {
                if let Some(inode) = self.seen.get(path) {
                    let inode = &mut self.inodes[*inode];
                    for op in std::mem::take(&mut inode.pending) {
                        apply_data(&mut inode.durable, &op);
                    }
                }
            }
            Event::SyncFolder(folder) => {
                let (settled, pending) = std::mem::take(&mut self.pending)
                    .into_iter()
                    .partition(|op| place(op).parent() == Some(folder));
                self.pending = pending;
                let settled: Vec<NameOp> = settled;
                settled.into_iter().for_each(|op| apply_name(&mut self.names, op));
            }
            Event::Rename(from, to) => {
                let inode = self.seen.remove(from).unwrap();
                self.seen.insert(to.clone(), inode);
                self.pending.push(NameOp::Move(from.clone(), to.clone(), inode));
            }
            Event::Link(from, to) => {
                let inode = self.seen[from];
                self.seen.insert(to.clone(), inode);
                self.pending.push(NameOp::Add(to.clone(), inode));
            }
            Event::Remove(path) => {
                self.seen.remove(path);
                self.pending.push(NameOp::Drop(path.clone()));
            }
            Event::Begun(..) | Event::Acknowledged(..) => {}
        }
    }

    fn change(&mut self, path: &Path, op: DataOp) {
        let inode = self.seen[path];
        self.inodes[inode].pending.push(op);
    }
}

fn place(op: &NameOp) -> &Path {
    match op {
        NameOp::Add(path, _) | NameOp::Drop(path) | NameOp::Move(_, path, _) => path,
    }
}

fn apply_name(names: &mut BTreeMap<PathBuf, usize>, op: NameOp) {
    match op {
        NameOp::Add(path, inode) => drop(names.insert(path, inode)),
        NameOp::Drop(path) => drop(names.remove(&path)),
        NameOp::Move(from, to, inode) => {
            names.remove(&from);
            names.insert(to, inode);
        }
    }
}

fn apply_data(bytes: &mut Vec<u8>, op: &DataOp) {
    match op {
        DataOp::Cut(length) => bytes.resize(*length, 0),
        DataOp::Write(at, new) => {
            let end = at + new.len();
            bytes.resize(bytes.len().max(end), 0);
            bytes[*at..end].copy_from_slice(new);
        }
    }
}

// A write is torn at the sectors of the medium.
fn sectors(ops: &[DataOp]) -> Vec<DataOp> {
    let mut torn = Vec::new();
    for op in ops {
        match op {
            DataOp::Cut(length) => torn.push(DataOp::Cut(*length)),
            DataOp::Write(at, bytes) => {
                let mut at = *at;
                let mut rest = bytes.as_slice();
                while !rest.is_empty() {
                    let count = rest.len().min(SECTOR - at % SECTOR);
                    torn.push(DataOp::Write(at, rest[..count].to_vec()));
                    (at, rest) = (at + count, &rest[count..]);
                }
            }
        }
    }
    torn
}

fn spared<T>(pending: Vec<T>, chance: &mut Chance, mercy: Mercy) -> Vec<T> {
    match mercy {
        Mercy::None => Vec::new(),
        Mercy::Prefix => {
            let count = chance.below(pending.len() + 1);
            pending.into_iter().take(count).collect()
        }
        Mercy::Some => pending.into_iter().filter(|_| chance.below(2) == 0).collect(),
    }
}
