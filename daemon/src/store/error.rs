//! What can go wrong with the store, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has the store open.
    #[error(
        "another process uses the store in {}: stop it or choose another directory", 
        dir.display()
    )]
    Busy {
        /// The directory of the store.
        dir: PathBuf,
    },
    /// There is no room; nothing was written, reads go on.
    #[error(
        "the disk of {} is full: free some space there, then try again; nothing was written", 
        dir.display()
    )]
    Full {
        /// The directory of the store.
        dir: PathBuf,
    },
    /// The disk failed a write; the fate of that commit is known after the next start only.
    #[error(
        "writing to {} stopped ({reason}): check the disk and the system's log, then start again", 
        dir.display()
    )]
    Failed {
        /// The directory of the store.
        dir: PathBuf,
        /// What the operating system answered.
        reason: String,
    },
    /// Bytes on the disk are not those that were written.
    #[error(
        "bytes {from} to {to} of segment {segment} in {} are damaged: run a verification, \
         then fetch what is lost from other devices or a backup", 
        dir.display()
    )]
    Corrupt {
        /// The directory of the store.
        dir: PathBuf,
        /// The number of the segment.
        segment: u64,
        /// The first damaged byte.
        from: u64,
        /// The byte after the last damaged one.
        to: u64,
    },
    /// A newer version wrote this store.
    #[error(
        "{} has format {got}, expected at most {expected}: start the newer version that wrote it", 
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version that the file names.
        got: u32,
        /// The newest version that is understood here.
        expected: u32,
    },
    /// A commit is beyond the limits of the format.
    #[error("a {what} has {got} bytes, expected at most {expected}: split it up")]
    TooLarge {
        /// What is too large: `key`, `value` or `commit`.
        what: &'static str,
        /// How large it is, in bytes.
        got: u64,
        /// How large it may be, in bytes.
        expected: u64,
    },
    /// The index did not answer and could not be built anew.
    #[error("the index in {} does not answer ({reason}): start again to rebuild it", dir.display())]
    Index {
        /// The directory of the store.
        dir: PathBuf,
        /// What the index answered.
        reason: String,
    },
    /// The store was closed before this call.
    #[error("the store in {} was closed: open it again", dir.display())]
    Closed {
        /// The directory of the store.
        dir: PathBuf,
    },
    /// The operating system refused an operation.
    #[error("{}: {source}: check that the path exists and may be written", path.display())]
    Io {
        /// The path of the file or directory.
        path: PathBuf,
        /// What the operating system answered.
        source: io::Error,
    },
}

impl StoreError {
    /// Names the path of a failed operation; a full disk has its own answer.
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        if is_full(&source) {
            return Self::Full { dir: path.to_path_buf() };
        }
        Self::Io { path: path.to_path_buf(), source }
    }
}

/// Tells whether an operation failed for want of room.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
