//! The key pair that a node is known by on its links.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use thiserror::Error;
use zeroize::Zeroizing;

/// The DER of an Ed25519 SubjectPublicKeyInfo up to the 32 bytes of the key (RFC 8410).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0];

/// Length of an Ed25519 SubjectPublicKeyInfo.
pub(crate) const SPKI_BYTES: usize = SPKI_PREFIX.len() + 32;

/// Encodings of the points of small order, with the sign bit cleared: anybody can sign for them.
const SMALL_ORDER: [[u8; 32]; 7] = {
    let mut one = [0; 32];
    one[0] = 1;
    // The last two are other spellings of the first two, which some libraries read.
    [[0; 32], one, ORDER_8_A, ORDER_8_B, near_prime(0xec), near_prime(0xed), near_prime(0xee)]
};

const ORDER_8_A: [u8; 32] = [
    0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
    0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
];

const ORDER_8_B: [u8; 32] = [
    0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
    0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
];

/// The numbers around 2^255 - 19, which differ in their lowest byte only.
const fn near_prime(lowest: u8) -> [u8; 32] {
    let mut bytes = [0xff; 32];
    bytes[0] = lowest;
    bytes[31] = 0x7f;
    bytes
}

/// The Ed25519 key pair of a node; copies share one secret in memory.
#[derive(Clone)]
pub struct NodeKey {
    secret: Arc<Secret>,
}

struct Secret {
    pair: Ed25519KeyPair,
    pkcs8: Zeroizing<Vec<u8>>,
    public: [u8; 32],
}

impl NodeKey {
    /// Generates a new key pair from the operating system's randomness.
    ///
    /// # Errors
    /// When the randomness or the library fails.
    pub fn generate() -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::generate().map_err(|_| KeyError::Library)?;
        let document = pair.to_pkcs8v1().map_err(|_| KeyError::Library)?;
        Self::from_pkcs8(document.as_ref())
    }

    /// Reads a key pair from unencrypted PKCS#8, version 1 or 2.
    ///
    /// # Errors
    /// When the bytes are not an Ed25519 key in PKCS#8, or its halves do not match.
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8).map_err(|_| KeyError::NotPkcs8)?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| KeyError::NotPkcs8)?;
        let pkcs8 = Zeroizing::new(pkcs8.to_vec());
        Ok(Self { secret: Arc::new(Secret { pair, pkcs8, public }) })
    }

    /// Returns the secret as it was read, unencrypted PKCS#8, to be stored.
    pub fn to_pkcs8(&self) -> Zeroizing<Vec<u8>> {
        self.secret.pkcs8.clone()
    }

    /// Returns the public key, which peers authenticate.
    pub fn public(&self) -> [u8; 32] {
        self.secret.public
    }

    /// Signs a message by Ed25519 (RFC 8032).
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let signature = self.secret.pair.sign(message);
        signature.as_ref().try_into().expect("an Ed25519 signature has 64 bytes")
    }

    /// Derives bytes that are stable over restarts and tell nothing of the secret.
    pub(crate) fn derive(&self, label: &[u8]) -> [u8; 32] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.secret.pkcs8);
        let tag = hmac::sign(&key, label);
        tag.as_ref().try_into().expect("an HMAC-SHA256 has 32 bytes")
    }
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeKey({})", KeyText(&self.secret.public))
    }
}

/// Shows a public key in hexadecimal.
pub(crate) struct KeyText<'a>(pub(crate) &'a [u8; 32]);

impl fmt::Display for KeyText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Encodes a public key as its SubjectPublicKeyInfo (RFC 8410).
pub(crate) fn encode_spki(key: &[u8; 32]) -> [u8; SPKI_BYTES] {
    let mut spki = [0; SPKI_BYTES];
    spki[..SPKI_PREFIX.len()].copy_from_slice(&SPKI_PREFIX);
    spki[SPKI_PREFIX.len()..].copy_from_slice(key);
    spki
}

/// Decodes the one accepted form of a SubjectPublicKeyInfo.
pub(crate) fn decode_spki(spki: &[u8]) -> Result<[u8; 32], KeyError> {
    let key = spki.strip_prefix(&SPKI_PREFIX).and_then(|key| <[u8; 32]>::try_from(key).ok());
    let key = key.ok_or(KeyError::NotSpki { bytes: spki.len() })?;
    if is_small_order(&key) { Err(KeyError::Weak) } else { Ok(key) }
}

fn is_small_order(key: &[u8; 32]) -> bool {
    let mut unsigned = *key;
    unsigned[31] &= 0x7f;
    SMALL_ORDER.contains(&unsigned)
}

/// Why a key is not taken.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum KeyError {
    /// The bytes hold no Ed25519 secret.
    #[error("bytes are not an Ed25519 key in PKCS#8")]
    NotPkcs8,
    /// What a peer presents is no raw Ed25519 key.
    #[error("identity of {bytes} bytes is not an Ed25519 public key of {SPKI_BYTES} bytes")]
    NotSpki {
        /// The length of what was presented.
        bytes: usize,
    },
    /// The key is one that everybody can sign for.
    #[error("public key is of small order")]
    Weak,
    /// A peer has another key than the one that was dialled.
    #[error("node has key {got}, expected {expected}")]
    Unexpected {
        /// The key that was presented, in hexadecimal.
        got: String,
        /// The key that was dialled, in hexadecimal.
        expected: String,
    },
    /// A peer presents our own key.
    #[error("node is ourselves")]
    Ourselves,
    /// A peer presents more than one key.
    #[error("{got} identities presented, expected 1")]
    Chain {
        /// How many were presented.
        got: usize,
    },
    /// The cryptographic library or its randomness fails.
    #[error("key generation is not possible: no randomness")]
    Library,
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

    use super::*;

    #[test]
    fn a_key_survives_pkcs8_and_signs_for_its_public_half() {
        let key = NodeKey::generate().unwrap();
        let again = NodeKey::from_pkcs8(&key.to_pkcs8()).unwrap();
        assert_eq!(key.public(), again.public());
        let verifier = UnparsedPublicKey::new(&ED25519, key.public());
        verifier.verify(b"hello", &again.sign(b"hello")).unwrap();
        assert!(verifier.verify(b"hullo", &again.sign(b"hello")).is_err());
        assert_ne!(key.public(), NodeKey::generate().unwrap().public());
    }

    #[test]
    fn debug_shows_no_secret() {
        let key = NodeKey::generate().unwrap();
        let seed: String = key.to_pkcs8()[16..].iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(format!("{key:?}"), format!("NodeKey({})", KeyText(&key.public())));
        assert!(!format!("{key:?}").contains(&seed));
    }

    #[test]
    fn what_is_not_pkcs8_is_refused() {
        let pkcs8 = NodeKey::generate().unwrap().to_pkcs8();
        for end in 0..pkcs8.len() {
            assert_eq!(NodeKey::from_pkcs8(&pkcs8[..end]).unwrap_err(), KeyError::NotPkcs8);
        }
    }

    #[test]
    fn an_spki_has_one_form() {
        let key = NodeKey::generate().unwrap().public();
        let spki = encode_spki(&key);
        assert_eq!(spki.len(), 44);
        assert_eq!(decode_spki(&spki), Ok(key));
        for end in 0..spki.len() {
            assert_eq!(decode_spki(&spki[..end]), Err(KeyError::NotSpki { bytes: end }));
        }
        assert!(decode_spki(&[spki.as_slice(), &[0]].concat()).is_err());
        for at in 0..SPKI_PREFIX.len() {
            let mut bent = spki;
            bent[at] ^= 1;
            assert!(decode_spki(&bent).is_err(), "byte {at}");
        }
    }

    /// With R the neutral point and S zero a signature holds whenever the hash is a multiple of
    /// the order of the key, which is at most 8.
    #[test]
    fn a_key_that_everybody_can_sign_for_is_refused() {
        let mut forged = [0; 64];
        forged[0] = 1;
        let (proper, _aliases) = SMALL_ORDER.split_at(5);
        for key in proper {
            let verifier = UnparsedPublicKey::new(&ED25519, key);
            let holds = |n: u32| verifier.verify(&n.to_be_bytes(), &forged).is_ok();
            assert!((0..500).any(holds), "{}", KeyText(key));
        }
        for key in SMALL_ORDER {
            assert_eq!(decode_spki(&encode_spki(&key)), Err(KeyError::Weak));
            let mut negative = key;
            negative[31] |= 0x80;
            assert_eq!(decode_spki(&encode_spki(&negative)), Err(KeyError::Weak));
        }
        let good = UnparsedPublicKey::new(&ED25519, NodeKey::generate().unwrap().public());
        assert!((0..500u32).all(|n| good.verify(&n.to_be_bytes(), &forged).is_err()));
    }

    #[test]
    fn derived_bytes_depend_on_key_and_label_only() {
        let key = NodeKey::generate().unwrap();
        let again = NodeKey::from_pkcs8(&key.to_pkcs8()).unwrap();
        assert_eq!(key.derive(b"a"), again.derive(b"a"));
        assert_ne!(key.derive(b"a"), key.derive(b"b"));
        assert_ne!(key.derive(b"a"), NodeKey::generate().unwrap().derive(b"a"));
    }
}
