//! The two secrets that a start needs: the key of the vault, and in it the seed of the node's key.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use bytchat_core::crypto::Vault;
use bytchat_core::persist::{Table, Write};
use data_encoding::{BASE64, BASE64_NOPAD, HEXLOWER_PERMISSIVE};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use zeroize::Zeroizing;

use crate::entropy::{self, NoEntropy};
use crate::store::{Store, StoreError};

const FILE: &str = "vault.key";
const CREDENTIAL: &str = "bytchatd.key";
const ROW: &[u8] = b"secret";
const PLACE: &[u8] = b"node/secret";

/// 32 secret bytes.
pub(super) type Key = Zeroizing<[u8; 32]>;

/// Why the secrets cannot be had. Nothing was overwritten.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// The operating system says no.
    #[error("vault key {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file holds something else.
    #[error(
        "vault key {} has {got} bytes of another form, expected 32 bytes, or 64 hex or 44 base64 \
         characters: put the right file back",
        path.display()
    )]
    Malformed {
        /// The file.
        path: PathBuf,
        /// How long it is.
        got: usize,
    },
    /// Others may read the file.
    #[error(
        "vault key {0} is open to others (mode {mode:03o}, expected 600): run `chmod 600 {0}`",
        path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// There are sealed secrets and no key.
    #[error(
        "vault key {} is gone and secrets are sealed with it: put it back from a backup, or give \
         it as the credential {CREDENTIAL}",
        path.display()
    )]
    Gone {
        /// Where it should be.
        path: PathBuf,
    },
    /// The key is another one.
    #[error(
        "the secrets in the store do not open with the vault key {}: put the right key back; \
         nothing was changed",
        path.display()
    )]
    WrongKey {
        /// Where the key came from.
        path: PathBuf,
    },
    /// There is no randomness.
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SecretsError {
    /// Tells whether another try would end alike until somebody puts the right key there.
    pub(super) fn is_lasting(&self) -> bool {
        match self {
            Self::Malformed { .. }
            | Self::Open { .. }
            | Self::Gone { .. }
            | Self::WrongKey { .. } => true,
            Self::Io { .. } | Self::Entropy(_) | Self::Store(_) => false,
        }
    }
}

/// The secrets of a start.
pub(super) struct Secrets {
    /// Seals what is secret on disk.
    pub(super) vault: Key,
    /// The seed of the node's Ed25519 key.
    pub(super) seed: Key,
}

/// Reads the secrets; at the first start it makes them, on disk before they are used.
pub(super) fn load(
    store: &Store,
    dir: &Path,
    credentials: Option<&Path>,
) -> Result<Secrets, SecretsError> {
    let sealed = store.get(Table::Node, ROW)?;
    let (path, vault) = vault_key(dir, credentials, sealed.is_none())?;
    let seed = match sealed {
        Some(sealed) => open(&vault, &sealed).ok_or(SecretsError::WrongKey { path })?,
        None => first_seed(store, &vault)?,
    };
    Ok(Secrets { vault, seed })
}

fn open(vault: &Key, sealed: &[u8]) -> Option<Key> {
    let plain = Vault::new(**vault).open(PLACE, sealed).ok()?;
    let seed: [u8; 32] = plain.as_slice().try_into().ok()?;
    Some(Zeroizing::new(seed))
}

fn first_seed(store: &Store, vault: &Key) -> Result<Key, SecretsError> {
    let seed = entropy::seed()?;
    let mut chance = ChaCha20Rng::from_seed(*entropy::seed()?);
    let value = Vault::new(**vault).seal(PLACE, seed.as_slice(), &mut chance);
    store.commit(vec![Write::Put { table: Table::Node, key: ROW.to_vec(), value }])?;
    Ok(seed)
}

fn vault_key(
    dir: &Path,
    credentials: Option<&Path>,
    first: bool,
) -> Result<(PathBuf, Key), SecretsError> {
    let credential = credentials.map(|folder| folder.join(CREDENTIAL));
    if let Some(path) = credential.filter(|path| path.exists()) {
        let key = read(&path)?;
        return Ok((path, key));
    }
    let path = dir.join(FILE);
    match fs::metadata(&path) {
        Ok(metadata) => {
            let mode = metadata.permissions().mode() & 0o777;
            if mode & 0o077 != 0 {
                return Err(SecretsError::Open { path, mode });
            }
            let key = read(&path)?;
            Ok((path, key))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound && first => {
            let key = entropy::seed()?;
            write(dir, &path, &key)
                .map_err(|source| SecretsError::Io { path: path.clone(), source })?;
            Ok((path, key))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(SecretsError::Gone { path }),
        Err(source) => Err(SecretsError::Io { path, source }),
    }
}

fn read(path: &Path) -> Result<Key, SecretsError> {
    let bytes =
        fs::read(path).map_err(|source| SecretsError::Io { path: path.to_path_buf(), source })?;
    let bytes = Zeroizing::new(bytes);
    parse(&bytes)
        .ok_or_else(|| SecretsError::Malformed { path: path.to_path_buf(), got: bytes.len() })
}

/// Reads 32 bytes: as they are, in hex or in base64.
pub(super) fn parse(bytes: &[u8]) -> Option<Key> {
    if let Ok(key) = <[u8; 32]>::try_from(bytes) {
        return Some(Zeroizing::new(key));
    }
    let text = bytes.trim_ascii();
    let decoded = match text.len() {
        64 => HEXLOWER_PERMISSIVE.decode(text),
        44 => BASE64.decode(text),
        _ => BASE64_NOPAD.decode(text),
    };
    let decoded = Zeroizing::new(decoded.ok()?);
    let key = <[u8; 32]>::try_from(decoded.as_slice()).ok()?;
    Some(Zeroizing::new(key))
}

// A power cut leaves either no key, and then nothing is sealed with it, or the whole key.
fn write(dir: &Path, path: &Path, key: &Key) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file =
        OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(key.as_slice())?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::store::Options;

    fn place() -> (TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store"), Options::default()).unwrap();
        (dir, store)
    }

    fn loaded(dir: &TempDir, store: &Store) -> Result<Secrets, SecretsError> {
        load(store, dir.path(), None)
    }

    #[test]
    fn the_first_start_makes_secrets_and_the_next_finds_them() {
        let (dir, store) = place();
        let first = loaded(&dir, &store).unwrap();
        let mode = fs::metadata(dir.path().join(FILE)).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
        store.close();
        let store = Store::open(&dir.path().join("store"), Options::default()).unwrap();
        let second = loaded(&dir, &store).unwrap();
        assert_eq!((first.vault, first.seed), (second.vault, second.seed));
    }

    #[test]
    fn the_seed_does_not_lie_in_the_open() {
        let (dir, store) = place();
        let secrets = loaded(&dir, &store).unwrap();
        let row = store.get(Table::Node, ROW).unwrap().unwrap();
        assert!(!row.windows(32).any(|part| part == secrets.seed.as_slice()));
    }

    #[test]
    fn a_wrong_vault_key_is_refused_and_changes_nothing() {
        let (dir, store) = place();
        let before = loaded(&dir, &store).unwrap();
        let row = store.get(Table::Node, ROW).unwrap();
        let path = dir.path().join(FILE);
        fs::write(&path, [9; 32]).unwrap();
        let error = loaded(&dir, &store).err().unwrap();
        assert_eq!(
            error.to_string(),
            format!(
                "the secrets in the store do not open with the vault key {}: put the right key \
                 back; nothing was changed",
                path.display()
            )
        );
        assert_eq!(fs::read(&path).unwrap(), [9; 32]);
        assert_eq!(store.get(Table::Node, ROW).unwrap(), row);
        fs::write(&path, before.vault.as_slice()).unwrap();
        assert_eq!(loaded(&dir, &store).unwrap().seed, before.seed);
    }

    #[test]
    fn a_lost_vault_key_is_not_replaced_by_a_new_one() {
        let (dir, store) = place();
        loaded(&dir, &store).unwrap();
        fs::remove_file(dir.path().join(FILE)).unwrap();
        let error = loaded(&dir, &store).err().unwrap();
        assert!(matches!(error, SecretsError::Gone { .. }), "{error}");
        assert!(!dir.path().join(FILE).exists());
    }

    #[test]
    fn a_vault_key_that_others_can_read_is_refused() {
        let (dir, store) = place();
        loaded(&dir, &store).unwrap();
        let open = fs::Permissions::from_mode(0o640);
        fs::set_permissions(dir.path().join(FILE), open).unwrap();
        let error = loaded(&dir, &store).err().unwrap();
        assert!(matches!(error, SecretsError::Open { mode: 0o640, .. }), "{error}");
    }

    #[test]
    fn a_credential_is_taken_in_every_form_and_leaves_no_file() {
        let key = [0xab; 32];
        let forms = [
            key.to_vec(),
            format!("{}\n", HEXLOWER_PERMISSIVE.encode(&key)).into_bytes(),
            HEXLOWER_PERMISSIVE.encode(&key).to_uppercase().into_bytes(),
            BASE64.encode(&key).into_bytes(),
            BASE64_NOPAD.encode(&key).into_bytes(),
        ];
        let (dir, store) = place();
        let credentials = tempfile::tempdir().unwrap();
        for form in forms {
            fs::write(credentials.path().join(CREDENTIAL), form).unwrap();
            let secrets = load(&store, dir.path(), Some(credentials.path())).unwrap();
            assert_eq!(*secrets.vault, key);
        }
        assert!(!dir.path().join(FILE).exists());
    }

    #[test]
    fn a_malformed_key_is_named_with_its_length() {
        let (dir, store) = place();
        let path = dir.path().join(FILE);
        fs::write(&path, "short").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let error = loaded(&dir, &store).err().unwrap();
        assert!(matches!(error, SecretsError::Malformed { got: 5, .. }), "{error}");
    }
}
