//! Public keys and what they prove. No private key passes through this package.

use std::fmt;

use aws_lc_rs::signature::{ED25519, RSA_PSS_2048_8192_SHA512, UnparsedPublicKey};
use rsa::RsaPublicKey;
use rsa::pkcs1::EncodeRsaPublicKey;
use rsa::pkcs8::{DecodePublicKey, EncodePublicKey};
use rsa::traits::PublicKeyParts;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha512};

use crate::id::{Fingerprint, NetworkId, NodeId, UserId, identifier, sha512_160};

identifier!(
    /// A device's Ed25519 public key: the name of the device (SPEC 3.3).
    DeviceKey,
    32,
    "a device key"
);
identifier!(
    /// A node's Ed25519 public key: what its links authenticate (SPEC 3.4).
    NodeKey,
    32,
    "a node key"
);

/// Why a key or a signature is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The bytes are no RSA public key.
    #[error("account key is no RSA public key in SubjectPublicKeyInfo form")]
    Malformed,
    /// The key has another encoding than the canonical one, so it would have two ids.
    #[error("account key is not in canonical DER")]
    NotCanonical,
    /// The modulus has the wrong size.
    #[error("account key has {0} bits, expected 3072 to 4096")]
    Bits(usize),
    /// The exponent is not the usual one.
    #[error("account key has a public exponent other than 65537")]
    Exponent,
    /// The signature does not belong to the key and the bytes.
    #[error("signature does not match {signer}")]
    Signature {
        /// Whose signature was expected.
        signer: String,
    },
}

/// An account's RSA public key with the encodings that are needed (SPEC 3.1).
#[derive(Clone, PartialEq, Eq)]
pub struct AccountKey {
    spki: Vec<u8>,
    pkcs1: Vec<u8>,
}

impl AccountKey {
    /// Reads and checks a key: canonical SPKI DER, 3072 to 4096 bits, exponent 65537.
    pub fn from_spki(spki: &[u8]) -> Result<Self, KeyError> {
        if spki.len() > 1024 {
            return Err(KeyError::Malformed);
        }
        let key = RsaPublicKey::from_public_key_der(spki).map_err(|_| KeyError::Malformed)?;
        let bits = key.n().bits();
        if !(3072..=4096).contains(&bits) {
            return Err(KeyError::Bits(bits));
        }
        if key.e() != &rsa::BigUint::from(65_537u32) {
            return Err(KeyError::Exponent);
        }
        let again = key.to_public_key_der().map_err(|_| KeyError::Malformed)?;
        if again.as_bytes() != spki {
            return Err(KeyError::NotCanonical);
        }
        let pkcs1 = key.to_pkcs1_der().map_err(|_| KeyError::Malformed)?.as_bytes().to_vec();
        Ok(Self { spki: spki.to_vec(), pkcs1 })
    }

    /// The SubjectPublicKeyInfo in DER.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// The user that this key is.
    pub fn user(&self) -> UserId {
        UserId(sha512_160(&[&self.spki]))
    }

    /// The whole hash, which contacts pin.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint(Sha512::digest(&self.spki).into())
    }
}

impl fmt::Debug for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountKey({})", self.user())
    }
}

impl Serialize for AccountKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde_bytes::Bytes::new(&self.spki).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for AccountKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spki = serde_bytes::ByteBuf::deserialize(deserializer)?;
        Self::from_spki(&spki).map_err(D::Error::custom)
    }
}

impl NodeKey {
    /// The id of the node with this key in a network (SPEC 3.4).
    pub fn node(self, network: NetworkId, stamp: &[u8]) -> NodeId {
        NodeId(sha512_160(&[b"bytchat/node/1\0", &network.0, &self.0, stamp]))
    }
}

/// A key that can say whether a signature over a 64-byte digest is its own.
pub trait Verifier {
    /// Checks the signature.
    fn check(&self, digest: &[u8; 64], signature: &[u8]) -> Result<(), KeyError>;
}

impl Verifier for AccountKey {
    fn check(&self, digest: &[u8; 64], signature: &[u8]) -> Result<(), KeyError> {
        UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA512, &self.pkcs1)
            .verify(digest, signature)
            .map_err(|_| KeyError::Signature { signer: format!("user {}", self.user()) })
    }
}

impl Verifier for DeviceKey {
    fn check(&self, digest: &[u8; 64], signature: &[u8]) -> Result<(), KeyError> {
        check_ed25519(&self.0, digest, signature, || format!("device {self}"))
    }
}

impl Verifier for NodeKey {
    fn check(&self, digest: &[u8; 64], signature: &[u8]) -> Result<(), KeyError> {
        check_ed25519(&self.0, digest, signature, || format!("node key {self}"))
    }
}

fn check_ed25519(
    key: &[u8; 32],
    digest: &[u8; 64],
    signature: &[u8],
    signer: impl Fn() -> String,
) -> Result<(), KeyError> {
    UnparsedPublicKey::new(&ED25519, key)
        .verify(digest, signature)
        .map_err(|_| KeyError::Signature { signer: signer() })
}
