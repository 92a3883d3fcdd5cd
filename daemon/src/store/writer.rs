//! The one thread that writes: commits that wait together share one append and one sync.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError};
use std::thread;

use super::Sequence;
use super::collect::Cursor;
use super::disk::{Disk, Handle};
use super::error::{StoreError, is_full};
use super::index::{self, Index};
use super::record::{self, HEAD_BYTES, Record};
use super::recover::{Active, Log};
use super::replay;
use super::segment::{self, Head};
use super::shared::Shared;

const GROUP_BYTES: usize = 8 * 1024 * 1024;
const GROUP_COMMITS: usize = 1024;

/// A commit on its way to the disk.
pub(super) struct Pending {
    /// The encoded writes.
    pub(super) payload: Vec<u8>,
    /// Whether nothing is put, so that the reserve may be used.
    pub(super) removes_only: bool,
    /// Where the answer goes.
    pub(super) reply: SyncSender<Result<Sequence, StoreError>>,
}

/// What the writer is asked.
pub(super) enum Command {
    /// Make this durable.
    Commit(Pending),
    /// The index failed a reader: hold it in memory.
    Heal(SyncSender<Result<(), StoreError>>),
    /// Stop.
    Close,
}

/// Why nothing was written.
pub(super) enum Refusal {
    /// There is no room; all is as before.
    Full,
    /// The disk failed; nothing is to be written any more.
    Failed(String),
}

/// The state of the writer.
pub(super) struct Writer {
    /// What it shares with the readers.
    pub(super) shared: Arc<Shared>,
    /// Where the log stands.
    pub(super) log: Log,
    /// Why no more is written.
    pub(super) failed: Option<String>,
    /// Where the collection of a segment stands.
    pub(super) cursor: Option<Cursor>,
    /// Whether collection waits for room.
    pub(super) stalled: bool,
    /// Whether collection met an error that will not go away.
    pub(super) given_up: bool,
    reserve_held: bool,
    queue: Receiver<Command>,
    next: Option<Command>,
}

impl Writer {
    /// Makes the writer of a store that was recovered.
    pub(super) fn new(shared: Arc<Shared>, log: Log, queue: Receiver<Command>) -> Self {
        Self {
            shared,
            log,
            failed: None,
            cursor: None,
            stalled: false,
            given_up: false,
            reserve_held: false,
            queue,
            next: None,
        }
    }

    /// Works until all handles of the store are gone.
    pub(super) fn run(mut self) {
        self.reserve_held = self.shared.take_reserve();
        while let Some(command) = self.next_command() {
            match command {
                Command::Commit(first) => {
                    let group = self.gather(first);
                    self.commit(group);
                    if self.collection_is_due() {
                        self.collect_some();
                    }
                }
                Command::Heal(reply) => answer(&reply, self.heal()),
                Command::Close => break,
            }
        }
        self.finish();
    }

    fn next_command(&mut self) -> Option<Command> {
        if let Some(command) = self.next.take() {
            return Some(command);
        }
        while self.collection_is_due() {
            match self.queue.try_recv() {
                Ok(command) => return Some(command),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) => self.collect_some(),
            }
        }
        self.queue.recv().ok()
    }

    fn gather(&mut self, first: Pending) -> Vec<Pending> {
        let limit = self.shared.options.segment_bytes_max.min(GROUP_BYTES as u64);
        let mut bytes = first.payload.len() as u64;
        let mut group = vec![first];
        while bytes < limit && group.len() < GROUP_COMMITS {
            match self.queue.try_recv() {
                Ok(Command::Commit(pending)) => {
                    bytes += pending.payload.len() as u64;
                    group.push(pending);
                }
                Ok(other) => {
                    self.next = Some(other);
                    break;
                }
                Err(_) => break,
            }
        }
        group
    }

    fn commit(&mut self, group: Vec<Pending>) {
        let bytes: u64 = group.iter().map(|pending| framed_bytes(&pending.payload)).sum();
        let wanted = bytes.saturating_add(self.shared.options.reserve_bytes);
        let tight = self.shared.free() < wanted;
        let (group, refused): (Vec<_>, Vec<_>) =
            group.into_iter().partition(|pending| !tight || pending.removes_only);
        self.refuse(&refused, &Refusal::Full);
        let Err(refusal) = self.commit_all(&group) else {
            return;
        };
        if matches!(refusal, Refusal::Failed(_)) {
            return self.refuse(&group, &refusal);
        }
        // The index and those who make room may use the reserve.
        self.shared.release_reserve();
        self.reserve_held = false;
        let (group, refused): (Vec<_>, Vec<_>) =
            group.into_iter().partition(|pending| pending.removes_only);
        self.refuse(&refused, &Refusal::Full);
        if let Err(refusal) = self.commit_all(&group) {
            self.refuse(&group, &refusal);
        }
    }

    fn commit_all(&mut self, group: &[Pending]) -> Result<(), Refusal> {
        if group.is_empty() {
            return Ok(());
        }
        let payloads: Vec<&[u8]> = group.iter().map(|pending| &*pending.payload).collect();
        let first = self.write(&payloads)?;
        for (sequence, pending) in (first..).zip(group) {
            answer(&pending.reply, Ok(Sequence(sequence)));
        }
        self.stalled = false;
        if !self.reserve_held {
            self.reserve_held = self.shared.take_reserve();
        }
        Ok(())
    }

    /// Appends records, syncs them and applies them to the index; answers the first sequence.
    pub(super) fn write(&mut self, payloads: &[&[u8]]) -> Result<u64, Refusal> {
        if let Some(reason) = &self.failed {
            return Err(Refusal::Failed(reason.clone()));
        }
        let bytes = payloads.iter().map(|payload| framed_bytes(payload)).sum();
        self.make_active(bytes)?;
        let first = self.log.next;
        let durable = first.saturating_sub(1);
        let Some(active) = &mut self.log.active else {
            return Err(Refusal::Failed("there is no segment to write to".into()));
        };
        let mut buffer = Vec::new();
        let mut records = Vec::with_capacity(payloads.len());
        for (sequence, payload) in (first..).zip(payloads) {
            let at = usize::try_from(active.bytes).unwrap_or(usize::MAX) + buffer.len();
            record::frame(&mut buffer, active.marker, [sequence, durable], payload);
            records.push(Record { at, sequence, durable, payload });
        }
        let disk = &*self.shared.disk;
        if let Err(refusal) = append(disk, &active.handle, active.bytes, &buffer) {
            return Err(self.note(refusal));
        }
        active.bytes += buffer.len() as u64;
        let number = active.number;
        self.log.next = first.saturating_add(payloads.len() as u64);
        if let Err(error) = self.shared.apply(&mut self.log.live, number, &records) {
            tracing::error!(%error, "the index is held in memory until the next start");
            // The commit is durable; an answer that says otherwise would be wrong.
            if let Err(error) = self.heal() {
                tracing::error!(%error, "the index could not be built anew");
            }
        }
        Ok(first)
    }

    /// Holds the index in memory, built from the log, if it was in sled.
    pub(super) fn heal(&mut self) -> Result<(), StoreError> {
        if matches!(*self.shared.read(), Index::Memory(_)) {
            return Ok(());
        }
        let through = self.log.next.saturating_sub(1);
        self.log.live = replay::rebuild_in_memory(&self.shared, through)?;
        self.cursor = None;
        Ok(())
    }

    /// Puts the index on the medium; if it cannot be, it is held in memory from now on.
    pub(super) fn flush_index(&mut self) {
        let flushed = self.shared.read().flush(&self.shared.index_folder());
        if let Err(error) = flushed {
            tracing::error!(%error, "the index is held in memory until the next start");
            if let Err(error) = self.heal() {
                tracing::error!(%error, "the index could not be built anew");
            }
        }
    }

    fn make_active(&mut self, bytes: u64) -> Result<(), Refusal> {
        let max = self.shared.options.segment_bytes_max;
        let head_bytes = segment::HEAD_BYTES as u64;
        let fits = |active: &Active| {
            active.bytes <= head_bytes || active.bytes.saturating_add(bytes) <= max
        };
        if self.log.active.as_ref().is_some_and(fits) {
            return Ok(());
        }
        let last = self.log.active.as_ref().map(|active| active.number);
        let last = last.or_else(|| self.log.sealed.last_key_value().map(|(number, _)| *number));
        let number = last.unwrap_or(0).saturating_add(1);
        let made = create(&self.shared, number, self.log.next);
        let active = made.map_err(|refusal| self.note(refusal))?;
        if let Some(old) = self.log.active.replace(active) {
            self.log.sealed.insert(old.number, old.bytes);
        }
        Ok(())
    }

    fn note(&mut self, refusal: Refusal) -> Refusal {
        if let Refusal::Failed(reason) = &refusal {
            tracing::error!(%reason, "the store writes no more");
            self.failed = Some(reason.clone());
        }
        refusal
    }

    fn refuse(&self, group: &[Pending], refusal: &Refusal) {
        for pending in group {
            let dir = self.shared.dir.clone();
            let error = match refusal {
                Refusal::Full => StoreError::Full { dir },
                Refusal::Failed(reason) => StoreError::Failed { dir, reason: reason.clone() },
            };
            answer(&pending.reply, Err(error));
        }
    }

    fn finish(self) {
        let folder = self.shared.index_folder();
        let index = std::mem::replace(&mut *self.shared.write(), Index::Closed);
        if !matches!(index, Index::Sled(_)) {
            return;
        }
        let flushed = index.flush(&folder);
        if let Err(error) = flushed {
            tracing::warn!(%error, "the index is built anew at the next start");
            self.shared.distrust_index();
            // A broken sled may wait for itself for ever when it is dropped.
            drop(thread::spawn(move || drop(index)));
            return;
        }
        let dropped = thread::spawn(move || drop(index)).join().is_ok();
        if dropped && index::sync_files(&folder).is_ok() {
            self.shared.mark_index(true);
        }
    }
}

/// Counts the bytes that a payload takes in the log.
pub(super) fn framed_bytes(payload: &[u8]) -> u64 {
    (HEAD_BYTES + payload.len()) as u64
}

fn append(disk: &dyn Disk, handle: &Handle, at: u64, bytes: &[u8]) -> Result<(), Refusal> {
    let failed = |error: io::Error| Refusal::Failed(format!("{}: {error}", handle.path.display()));
    let Err(error) = disk.append(handle, at, bytes) else {
        let Err(error) = disk.sync(handle) else {
            return Ok(());
        };
        // Nobody was told of these bytes; without them the next start finds what was durable.
        if let Err(error) = disk.truncate(handle, at) {
            tracing::warn!(%error, "what was not durable could not be cut off");
        }
        return Err(failed(error));
    };
    // The caller hears that nothing was written, so no power cut may bring it back.
    disk.truncate(handle, at).and_then(|()| disk.sync(handle)).map_err(failed)?;
    if is_full(&error) { Err(Refusal::Full) } else { Err(failed(error)) }
}

fn create(shared: &Shared, number: u64, first: u64) -> Result<Active, Refusal> {
    let disk = &*shared.disk;
    let folder = shared.log_folder();
    let path = segment::path(&folder, number);
    let temporary = path.with_extension("tmp");
    let mut random = [0; 8];
    aws_lc_rs::rand::fill(&mut random)
        .map_err(|_| Refusal::Failed("there is no randomness".into()))?;
    let marker = u64::from_le_bytes(random);
    let head = Head { number, first, marker }.encode();
    let made = disk.create(&temporary).and_then(|handle| {
        disk.append(&handle, 0, &head)?;
        disk.sync(&handle)?;
        disk.rename(&temporary, &path)?;
        Ok(Handle { path: path.clone(), ..handle })
    });
    let handle = made.map_err(|error| {
        if let Err(error) = disk.remove(&temporary) {
            tracing::debug!(%error, "an unfinished segment was not removed");
        }
        if is_full(&error) { Refusal::Full } else { Refusal::Failed(error.to_string()) }
    })?;
    disk.sync_folder(&folder).map_err(|error| Refusal::Failed(error.to_string()))?;
    Ok(Active { number, marker, handle, bytes: head.len() as u64 })
}

fn answer<T>(reply: &SyncSender<T>, value: T) {
    if reply.send(value).is_err() {
        tracing::debug!("nobody waits for an answer of the store");
    }
}
