//! A node's own key: what its links authenticate.

use std::fmt;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use bytchat_proto::key::NodeKey;
use zeroize::Zeroizing;

use super::CryptoError;

/// PKCS#8 version 1 of an Ed25519 seed (RFC 8410) before the seed.
const PKCS8_HEAD: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// A node's Ed25519 key pair (SPEC 3.4).
pub struct NodeSecret {
    pair: Ed25519KeyPair,
    seed: Zeroizing<[u8; 32]>,
    key: NodeKey,
}

impl NodeSecret {
    /// Makes the key pair that follows from a seed.
    pub fn from_seed(seed: [u8; 32]) -> Result<Self, CryptoError> {
        let seed = Zeroizing::new(seed);
        let unusable = || CryptoError::BadKey("node");
        let pair = Ed25519KeyPair::from_seed_unchecked(&*seed).map_err(|_| unusable())?;
        let key = NodeKey::from_slice(pair.public_key().as_ref()).ok_or_else(unusable)?;
        Ok(Self { pair, seed, key })
    }

    /// The public key.
    pub fn key(&self) -> NodeKey {
        self.key
    }

    /// Signs a digest.
    pub fn sign(&self, digest: &[u8; 64]) -> Vec<u8> {
        self.pair.sign(digest).as_ref().to_vec()
    }

    /// The seed, for the disk.
    pub fn seed(&self) -> &[u8; 32] {
        &self.seed
    }

    /// The key in PKCS#8 DER, for TLS.
    pub fn to_pkcs8(&self) -> Zeroizing<Vec<u8>> {
        let mut der = Zeroizing::new(Vec::with_capacity(PKCS8_HEAD.len() + self.seed.len()));
        der.extend_from_slice(&PKCS8_HEAD);
        der.extend_from_slice(&*self.seed);
        der
    }
}

impl fmt::Debug for NodeSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeSecret(of {:?})", self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytchat_proto::key::Verifier;

    #[test]
    fn a_signature_belongs_to_its_key_and_digest() {
        let secret = NodeSecret::from_seed([7; 32]).unwrap();
        let signature = secret.sign(&[1; 64]);
        assert!(secret.key().check(&[1; 64], &signature).is_ok());
        assert!(secret.key().check(&[2; 64], &signature).is_err());
        let other = NodeSecret::from_seed([8; 32]).unwrap();
        assert!(other.key().check(&[1; 64], &signature).is_err());
        assert_eq!(secret.seed(), &[7; 32]);
    }

    #[test]
    fn tls_can_use_the_pkcs8_form() {
        let secret = NodeSecret::from_seed([7; 32]).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&secret.to_pkcs8()).unwrap();
        assert_eq!(pair.public_key().as_ref(), secret.key().as_bytes());
    }

    #[test]
    fn debug_shows_no_secret() {
        let secret = NodeSecret::from_seed([7; 32]).unwrap();
        let text = format!("{secret:?}");
        assert_eq!(text, format!("NodeSecret(of {:?})", secret.key()));
    }
}
