//! The data directory: made if it is not there, and for nobody else's eyes.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Why a directory cannot hold the data.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// The operating system says no.
    #[error("data directory {}: {source}: choose another with --data-dir", dir.display())]
    Io {
        /// The directory.
        dir: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// It is something else.
    #[error("data directory {} is no directory: choose another with --data-dir", dir.display())]
    NoDirectory {
        /// The path.
        dir: PathBuf,
    },
    /// Others may look into it.
    #[error(
        "data directory {0} is open to others (mode {mode:03o}, expected 700): run `chmod 700 {0}`",
        dir.display()
    )]
    Open {
        /// The directory.
        dir: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It is somebody else's.
    #[error(
        "data directory {0} belongs to uid {got}, expected {expected}: \
         run the daemon as its owner, or `chown -R {expected} {0}`",
        dir.display()
    )]
    Foreign {
        /// The directory.
        dir: PathBuf,
        /// Its owner.
        got: u32,
        /// The user of this process.
        expected: u32,
    },
}

/// Makes the data directory, or checks that it is ours alone.
pub(super) fn prepare(dir: &Path) -> Result<(), HomeError> {
    let io = |source| HomeError::Io { dir: dir.to_path_buf(), source };
    if !dir.exists() {
        let parent = dir.parent().unwrap_or(dir);
        DirBuilder::new().recursive(true).mode(0o755).create(parent).map_err(io)?;
        DirBuilder::new().mode(0o700).create(dir).map_err(io)?;
    }
    let metadata = fs::metadata(dir).map_err(io)?;
    let dir = dir.to_path_buf();
    if !metadata.is_dir() {
        return Err(HomeError::NoDirectory { dir });
    }
    let (got, expected) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if got != expected {
        return Err(HomeError::Foreign { dir, got, expected });
    }
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(HomeError::Open { dir, mode });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_directory_is_for_the_owner_alone() {
        let top = tempfile::tempdir().unwrap();
        let dir = top.path().join("a/b");
        prepare(&dir).unwrap();
        let mode = fs::metadata(&dir).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        prepare(&dir).unwrap();
    }

    #[test]
    fn a_directory_that_others_can_read_is_refused_with_the_remedy() {
        let top = tempfile::tempdir().unwrap();
        let dir = top.path().join("open");
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o750)).unwrap();
        let sentence = prepare(&dir).unwrap_err().to_string();
        let dir = dir.display();
        assert_eq!(
            sentence,
            format!(
                "data directory {dir} is open to others (mode 750, expected 700): \
                 run `chmod 700 {dir}`"
            )
        );
    }

    #[test]
    fn a_file_is_no_data_directory() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = prepare(file.path()).unwrap_err();
        assert!(matches!(error, HomeError::NoDirectory { .. }), "{error}");
    }
}
