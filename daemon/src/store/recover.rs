//! Opening: the end of the log is made whole, and the index is brought up to it.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::path::Path;

use super::disk::Handle;
use super::error::StoreError;
use super::index::{self, Index};
use super::replay::replay_or_rebuild;
use super::segment::{self, HEAD_BYTES, Head, HeadState, Walk};
use super::shared::Shared;
use super::verify::Problem;

/// Memory for a segment that is read; the system lends only what is written to.
const READ_BYTES_MIN: usize = 40 * 1024 * 1024;

/// The segment that is written to.
pub(super) struct Active {
    /// The number of the segment.
    pub(super) number: u64,
    /// What begins its records.
    pub(super) marker: u64,
    /// Its file.
    pub(super) handle: Handle,
    /// How long it is; all of that is durable.
    pub(super) bytes: u64,
}

/// Where the log stands.
pub(super) struct Log {
    /// The segment that is written to, once there is one.
    pub(super) active: Option<Active>,
    /// The lengths of the segments that are full.
    pub(super) sealed: BTreeMap<u64, u64>,
    /// The bytes of each segment that the index points to.
    pub(super) live: BTreeMap<u64, u64>,
    /// The sequence of the next commit.
    pub(super) next: u64,
    /// Segments up to this one are to be rewritten, for one of them is damaged.
    pub(super) damaged: Option<u64>,
}

/// A segment as it was found.
pub(super) struct Found {
    /// The number of the segment.
    pub(super) number: u64,
    /// How long it is.
    pub(super) bytes: u64,
    /// Its head, if that could be read or guessed.
    pub(super) head: Option<Head>,
    /// Whether the head was as it was written.
    pub(super) sound: bool,
}

/// Brings the log and the index of a store together.
pub(super) fn recover(shared: &Shared) -> Result<Log, StoreError> {
    remove_leftovers(&shared.log_folder())?;
    let mut segments = list(shared)?;
    open_index(shared);
    let applied = shared.read().applied().unwrap_or(0);
    let tail = mend_tail(shared, &mut segments, applied)?;
    if tail.whole && applied > tail.last {
        shared.report(Problem::Lost { expected: applied, got: tail.last });
        move_index_aside(shared);
        open_index(shared);
    }
    forget_index_before(shared, &segments);
    let replayed = replay_or_rebuild(shared, &segments, tail.checked)?;
    let last = segments.last().map(|segment| segment.number);
    let mut sealed: BTreeMap<u64, u64> =
        segments.iter().map(|segment| (segment.number, segment.bytes)).collect();
    if tail.active.is_some() {
        sealed.retain(|number, _| Some(*number) != last);
    }
    let known = shared.read().applied().map_err(|error| shared.index_error(error))?;
    Ok(Log {
        active: tail.active,
        sealed,
        live: replayed.live,
        next: known.max(tail.last).saturating_add(1),
        damaged: replayed.damaged,
    })
}

/// Lists the segments in the order of the log.
pub(super) fn list(shared: &Shared) -> Result<Vec<Found>, StoreError> {
    let folder = shared.log_folder();
    let fail = |source| StoreError::io(&folder, source);
    let mut segments = Vec::new();
    for item in fs::read_dir(&folder).map_err(fail)? {
        let path = item.map_err(fail)?.path();
        if let Some(number) = segment::number(&path) {
            segments.push(look_at(&path, number)?);
        }
    }
    segments.sort_by_key(|segment| segment.number);
    Ok(segments)
}

/// Reads a whole segment.
pub(super) fn read(shared: &Shared, segment: &Found) -> Result<Vec<u8>, StoreError> {
    let path = segment::path(&shared.log_folder(), segment.number);
    read_all(&path).map_err(|source| StoreError::io(&path, source))
}

// What is smaller than glibc's largest threshold for maps may be taken from its heap, and would
// then stay with the process for good (mallopt(3), M_MMAP_THRESHOLD).
fn read_all(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let bytes = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    let mut all = Vec::new();
    all.try_reserve_exact(bytes.max(READ_BYTES_MIN))?;
    file.read_to_end(&mut all)?;
    Ok(all)
}

fn look_at(path: &Path, number: u64) -> Result<Found, StoreError> {
    let fail = |source| StoreError::io(path, source);
    let file = File::open(path).map_err(fail)?;
    let bytes = file.metadata().map_err(fail)?.len();
    let mut start = Vec::new();
    (&file).take(HEAD_BYTES as u64).read_to_end(&mut start).map_err(fail)?;
    let mut state = segment::read_head(&start, number);
    if matches!(state, HeadState::Damaged(_)) {
        state = segment::read_head(&read_all(path).map_err(fail)?, number);
    }
    let (head, sound) = match state {
        HeadState::Whole(head) => (Some(head), true),
        HeadState::Damaged(head) => (head, false),
        HeadState::Newer(got) => {
            let expected = segment::VERSION;
            return Err(StoreError::Newer { path: path.to_path_buf(), got, expected });
        }
    };
    Ok(Found { number, bytes, head, sound })
}

// A segment that was never renamed was never used.
fn remove_leftovers(folder: &Path) -> Result<(), StoreError> {
    let fail = |source| StoreError::io(folder, source);
    for item in fs::read_dir(folder).map_err(fail)? {
        let path = item.map_err(fail)?.path();
        if path.extension().is_some_and(|extension| extension == "tmp") {
            fs::remove_file(&path).map_err(fail)?;
        }
    }
    Ok(())
}

struct Tail {
    active: Option<Active>,
    last: u64,
    whole: bool,
    /// The last commit, if nothing is wrong with the segment.
    checked: Option<u64>,
}

// Only the last segment can be torn: each other one was durable before the next was made.
fn mend_tail(shared: &Shared, segments: &mut [Found], applied: u64) -> Result<Tail, StoreError> {
    let Some(found) = segments.last_mut() else {
        return Ok(Tail { active: None, last: 0, whole: true, checked: None });
    };
    let survey = segment::survey(Walk::new(&read(shared, found)?, found.head), applied);
    let before = found.head.map_or(0, |head| head.first.saturating_sub(1));
    let last = survey.last.unwrap_or(before);
    let Some(head) = found.head.filter(|_| found.sound) else {
        return Ok(Tail { active: None, last, whole: false, checked: None });
    };
    let path = segment::path(&shared.log_folder(), found.number);
    let fail = |source| StoreError::io(&path, source);
    let file = OpenOptions::new().read(true).write(true).open(&path).map_err(fail)?;
    let handle = Handle { path: path.clone(), file };
    if let Some(cut) = survey.torn {
        tracing::info!(segment = found.number, from = cut, "the unfinished end of the log is cut");
        shared.disk.truncate(&handle, cut as u64).map_err(fail)?;
        found.bytes = cut as u64;
    }
    // What a killed process left in the page cache becomes visible now, so it must be durable.
    shared.disk.sync(&handle).map_err(fail)?;
    let (number, marker, bytes) = (found.number, head.marker, found.bytes);
    let whole = survey.whole;
    let active = whole.then_some(Active { number, marker, handle, bytes });
    let checked = (whole && survey.unbroken).then_some(last);
    Ok(Tail { active, last, whole, checked })
}

fn open_index(shared: &Shared) {
    let folder = shared.index_folder();
    if folder.exists() && !shared.index_is_trusted() {
        tracing::info!("the index is built anew, for the machine went down while it was open");
        remove_folder(&folder);
    }
    shared.mark_index(false);
    let opened = Index::open(&folder).and_then(|index| index.applied().map(|_| index));
    let opened = match opened {
        Ok(index) => {
            remove_folder(&shared.aside_folder());
            Ok(index)
        }
        Err(error) => {
            tracing::warn!(%error, "the index did not open and is built anew");
            move_index_aside(shared);
            Index::open(&folder)
        }
    };
    let index = opened.unwrap_or_else(|error| {
        tracing::error!(%error, "the index is held in memory until the next start");
        shared.distrust_index();
        Index::Memory(BTreeMap::new())
    });
    if let Err(error) = index::restrict(&folder) {
        tracing::warn!(%error, "the files of the index could not be restricted");
    }
    shared.replace_index(index);
}

fn move_index_aside(shared: &Shared) {
    shared.replace_index(Index::Closed);
    let (folder, aside) = (shared.index_folder(), shared.aside_folder());
    remove_folder(&aside);
    if let Err(error) = fs::rename(&folder, &aside) {
        tracing::warn!(%error, "the index could not be moved aside");
        remove_folder(&folder);
    }
}

fn remove_folder(path: &Path) {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), %error, "a folder was not removed");
        }
        Ok(()) | Err(_) => {}
    }
}

// Removals that the index has not seen may have been collected with their segments.
fn forget_index_before(shared: &Shared, segments: &[Found]) {
    let first = segments.first().and_then(|segment| segment.head).map_or(0, |head| head.first);
    let applied = shared.read().applied().unwrap_or(0);
    if applied > 0 && first > applied.saturating_add(1) {
        tracing::info!(applied, first, "the index is older than the log and is built anew");
        move_index_aside(shared);
        open_index(shared);
    }
}
