//! The few file operations on which durability depends, in one place so that tests can fail them.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// An open file together with its path.
pub(super) struct Handle {
    /// Where the file was when it was opened.
    pub(super) path: PathBuf,
    /// The file.
    pub(super) file: File,
}

/// Every operation that changes a file of the store.
pub(super) trait Disk: Send + Sync + 'static {
    /// Creates an empty file that only its owner may read; one that exists is emptied.
    fn create(&self, path: &Path) -> io::Result<Handle>;
    /// Writes bytes at an offset.
    fn append(&self, handle: &Handle, at: u64, bytes: &[u8]) -> io::Result<()>;
    /// Returns when the contents of the file are on the medium.
    fn sync(&self, handle: &Handle) -> io::Result<()>;
    /// Returns when the names in the folder are on the medium.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
    /// Gives a file another name, replacing what has that name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file a second name.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Cuts a file to a length.
    fn truncate(&self, handle: &Handle, bytes: u64) -> io::Result<()>;
    /// Counts the bytes that may still be written under a folder.
    fn free(&self, folder: &Path) -> io::Result<u64>;
}

/// The disk of the machine.
pub(super) struct RealDisk;

impl Disk for RealDisk {
    fn create(&self, path: &Path) -> io::Result<Handle> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)?;
        Ok(Handle { path: path.to_path_buf(), file })
    }

    fn append(&self, handle: &Handle, at: u64, bytes: &[u8]) -> io::Result<()> {
        handle.file.write_all_at(bytes, at)
    }

    fn sync(&self, handle: &Handle) -> io::Result<()> {
        handle.file.sync_data()
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn truncate(&self, handle: &Handle, bytes: u64) -> io::Result<()> {
        handle.file.set_len(bytes)
    }

    fn free(&self, folder: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(folder)?;
        // Some file systems do not know their size; a write will tell.
        if stat.f_blocks == 0 {
            return Ok(u64::MAX);
        }
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

/// Replaces a small file as a whole: after a power cut the old or the new text is there.
pub(super) fn replace(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let handle = disk.create(&temporary)?;
    let written = disk.append(&handle, 0, bytes).and_then(|()| disk.sync(&handle));
    if let Err(error) = written {
        // It is made anew the next time; what counts is that there was no room.
        disk.remove(&temporary).unwrap_or_default();
        return Err(error);
    }
    disk.rename(&temporary, path)?;
    disk.sync_folder(path.parent().unwrap_or(Path::new(".")))
}
