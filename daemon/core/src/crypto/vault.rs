//! Secrets at rest: XChaCha20-Poly1305 with a random nonce, bound to the place of the row; and
//! the encoding of secrets without stray copies.

use std::fmt;
use std::io;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use rand_chacha::ChaCha20Rng;
use rand_core::Rng;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::CryptoError;

const VERSION: u8 = 1;
const NONCE_BYTES: usize = 24;

/// The key that seals all secrets of a node on disk (SPEC 3.6).
pub struct Vault {
    key: Zeroizing<[u8; 32]>,
}

impl Vault {
    /// A vault with a key.
    pub fn new(key: [u8; 32]) -> Self {
        Self { key: Zeroizing::new(key) }
    }

    /// Seals bytes for one place, such as table and key of their row: version, nonce, ciphertext.
    pub fn seal(&self, place: &[u8], plain: &[u8], rng: &mut ChaCha20Rng) -> Vec<u8> {
        let mut nonce = [0; NONCE_BYTES];
        rng.fill_bytes(&mut nonce);
        let payload = Payload { msg: plain, aad: place };
        let ciphertext = self
            .cipher()
            .encrypt(XNonce::from_slice(&nonce), payload)
            .expect("a row is shorter than the cipher's 256 GB");
        [&[VERSION], &nonce[..], &ciphertext].concat()
    }

    /// Opens what was sealed for the same place.
    pub fn open(&self, place: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        const WHAT: CryptoError = CryptoError::Corrupt("sealed row");
        let (version, rest) = sealed.split_first().ok_or(WHAT)?;
        let (nonce, ciphertext) = rest.split_at_checked(NONCE_BYTES).ok_or(WHAT)?;
        if *version != VERSION {
            return Err(WHAT);
        }
        let payload = Payload { msg: ciphertext, aad: place };
        self.cipher()
            .decrypt(XNonce::from_slice(nonce), payload)
            .map(Zeroizing::new)
            .map_err(|_| WHAT)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(self.key.as_slice().into())
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault")
    }
}

/// Encodes a secret after its version, into memory that never moves and is wiped.
pub(super) fn encode_secret<T: Serialize>(version: u8, value: &T) -> Zeroizing<Vec<u8>> {
    const WHY: &str = "our types encode into memory";
    let mut count = Count(1);
    ciborium::into_writer(value, &mut count).expect(WHY);
    // Growing would leave copies behind, so the length is known first.
    let mut bytes = Zeroizing::new(Vec::with_capacity(count.0));
    bytes.push(version);
    ciborium::into_writer(value, &mut *bytes).expect(WHY);
    bytes
}

/// Decodes a secret of one version that fills the bytes.
pub(super) fn decode_secret<T: DeserializeOwned>(
    version: u8,
    bytes: &[u8],
    what: &'static str,
) -> Result<T, CryptoError> {
    let corrupt = || CryptoError::Corrupt(what);
    let (got, mut rest) = bytes.split_first().ok_or_else(corrupt)?;
    if *got != version {
        return Err(corrupt());
    }
    let value = ciborium::from_reader(&mut rest).map_err(|_| corrupt())?;
    if rest.is_empty() { Ok(value) } else { Err(corrupt()) }
}

struct Count(usize);

impl io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_core::SeedableRng;

    const CORRUPT: CryptoError = CryptoError::Corrupt("sealed row");

    #[test]
    fn a_row_opens_only_at_its_place_and_with_its_key() {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let vault = Vault::new([7; 32]);
        let sealed = vault.seal(b"4|alice", b"secret", &mut rng);
        assert_eq!(&**vault.open(b"4|alice", &sealed).unwrap(), b"secret");
        assert_eq!(vault.open(b"5|alice", &sealed), Err(CORRUPT));
        assert_eq!(Vault::new([8; 32]).open(b"4|alice", &sealed), Err(CORRUPT));
    }

    #[test]
    fn the_same_row_sealed_twice_differs() {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let vault = Vault::new([7; 32]);
        assert_ne!(vault.seal(b"p", b"secret", &mut rng), vault.seal(b"p", b"secret", &mut rng));
    }

    #[test]
    fn every_flip_and_every_prefix_is_refused() {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let vault = Vault::new([7; 32]);
        let sealed = vault.seal(b"p", b"secret", &mut rng);
        for at in 0..sealed.len() {
            let mut bad = sealed.clone();
            bad[at] ^= 1;
            assert_eq!(vault.open(b"p", &bad), Err(CORRUPT), "flip at {at}");
            assert_eq!(vault.open(b"p", &sealed[..at]), Err(CORRUPT), "cut at {at}");
        }
    }

    #[test]
    fn a_secret_is_encoded_without_growing() {
        let value = vec![9u32; 1000];
        let bytes = encode_secret(3, &value);
        assert_eq!(bytes.len(), bytes.capacity());
        assert_eq!(decode_secret::<Vec<u32>>(3, &bytes, "x").unwrap(), value);
        assert!(decode_secret::<Vec<u32>>(4, &bytes, "x").is_err());
        assert!(decode_secret::<Vec<u32>>(3, &[], "x").is_err());
        let longer = [&bytes[..], &[0]].concat();
        assert!(decode_secret::<Vec<u32>>(3, &longer, "x").is_err());
    }

    #[test]
    fn debug_shows_no_secret() {
        assert_eq!(format!("{:?}", Vault::new([7; 32])), "Vault");
    }
}
