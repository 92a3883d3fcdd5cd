//! The key of a private network: read at the start from a file or a credential, never written.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bytchat_core::crypto::NetworkKey;
use zeroize::Zeroizing;

use super::secrets::parse;

/// The name of the credential that has the key.
const CREDENTIAL: &str = "bytchatd.network";

/// Why the key of the network cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum NetworkKeyError {
    /// The operating system says no.
    #[error("network key {}: {source}: check `network_key` and its permissions", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file holds something else.
    #[error(
        "network key {} has {got} bytes of another form, expected 32 random bytes, or 64 hex or 44 \
         base64 characters: `openssl rand -hex 32` makes one",
        path.display()
    )]
    Malformed {
        /// The file.
        path: PathBuf,
        /// How long it is.
        got: usize,
    },
    /// The bytes are not random.
    #[error(
        "network key {} is one byte again and again, which anybody guesses: `openssl rand -hex 32` \
         makes one",
        path.display()
    )]
    Weak {
        /// The file.
        path: PathBuf,
    },
    /// Others may read the file.
    #[error(
        "network key {0} is open to others (mode {mode:03o}, expected 600): run `chmod 600 {0}`",
        path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
}

impl NetworkKeyError {
    /// Tells whether another try would end alike until somebody changes something.
    pub(super) fn is_lasting(&self) -> bool {
        match self {
            Self::Malformed { .. } | Self::Weak { .. } | Self::Open { .. } => true,
            Self::Io { source, .. } => source.kind() != io::ErrorKind::Interrupted,
        }
    }
}

/// Reads the key of the private network, if there is to be one: from the file that the
/// configuration names, or else from systemd's credential.
///
/// # Errors
/// The file cannot be read, is open to others, or has no key.
pub fn network_key(
    file: Option<&Path>,
    credentials: Option<&Path>,
) -> Result<Option<NetworkKey>, NetworkKeyError> {
    let credential = credentials.map(|folder| folder.join(CREDENTIAL));
    match (file, credential.filter(|path| path.exists())) {
        (Some(path), _) => {
            let metadata = fs::metadata(path);
            let metadata =
                metadata.map_err(|source| NetworkKeyError::Io { path: path.into(), source })?;
            let mode = metadata.permissions().mode() & 0o777;
            // A credential that the configuration names itself has systemd's own permissions.
            let own = credentials.is_some_and(|folder| path.starts_with(folder));
            if mode & 0o077 != 0 && !own {
                return Err(NetworkKeyError::Open { path: path.into(), mode });
            }
            read(path).map(Some)
        }
        (None, Some(path)) => read(&path).map(Some),
        (None, None) => Ok(None),
    }
}

fn read(path: &Path) -> Result<NetworkKey, NetworkKeyError> {
    let bytes =
        fs::read(path).map_err(|source| NetworkKeyError::Io { path: path.into(), source })?;
    let bytes = Zeroizing::new(bytes);
    let key = parse(&bytes)
        .ok_or_else(|| NetworkKeyError::Malformed { path: path.into(), got: bytes.len() })?;
    if key.iter().all(|byte| *byte == key[0]) {
        return Err(NetworkKeyError::Weak { path: path.into() });
    }
    Ok(NetworkKey::new(key))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::*;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    fn written(text: &[u8], mode: u32) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(CREDENTIAL);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        (dir, path)
    }

    #[test]
    fn a_key_comes_from_the_file_or_else_from_the_credential_or_there_is_none() {
        let (dir, path) = written(format!("{HEX}\n").as_bytes(), 0o600);
        let of_file = network_key(Some(&path), None).unwrap().unwrap();
        let (other, _) = written(&[1, 2].repeat(16), 0o440);
        let of_credential = network_key(None, Some(other.path())).unwrap().unwrap();
        let both = network_key(Some(&path), Some(other.path())).unwrap().unwrap();
        assert_eq!(both.network("", 0), of_file.network("", 0));
        assert_ne!(both.network("", 0), of_credential.network("", 0));
        assert!(network_key(None, None).unwrap().is_none());
        let empty = tempfile::tempdir().unwrap();
        assert!(network_key(None, Some(empty.path())).unwrap().is_none());
        drop(dir);
    }

    #[test]
    fn a_file_that_is_no_key_is_refused_with_what_makes_one_and_without_its_content() {
        for (text, mode, told) in [
            (b"our house".as_slice(), 0o600, "has 9 bytes of another form"),
            (&[7; 32], 0o600, "one byte again and again"),
            (HEX.as_bytes(), 0o644, "chmod 600"),
        ] {
            let (_dir, path) = written(text, mode);
            let error = network_key(Some(&path), None).unwrap_err();
            assert!(error.is_lasting());
            let error = error.to_string();
            assert!(error.contains(told) && !error.contains(HEX), "{error}");
        }
        let error = network_key(Some(Path::new("/nowhere/key")), None).unwrap_err();
        assert!(error.to_string().contains("`network_key`"), "{error}");
    }
}
