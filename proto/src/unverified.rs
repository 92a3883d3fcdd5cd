//! Signed values: believed only after `verify`, and carried as the very bytes that were signed.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use sha2::{Digest, Sha512};

use crate::codec::{DecodeError, decode, encode};
use crate::key::{KeyError, Verifier};

/// A value that somebody signs, with the label that keeps its signatures apart from all others.
pub trait Signable: Serialize + DeserializeOwned {
    /// The label, `bytchat/<type>/<version>` (SPEC 1.4).
    const LABEL: &'static str;
}

/// Why a signed value is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The signature is wrong.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The signed bytes are no such value.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

/// A signed value whose signature nobody has checked yet.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Unverified<T> {
    bytes: ByteBuf,
    signature: ByteBuf,
    #[serde(skip)]
    value: PhantomData<fn() -> T>,
}

/// A value with the signature that was checked, ready to be handed on.
pub struct Verified<T> {
    value: T,
    source: Unverified<T>,
}

/// What is signed for a value: SHA-512 over its label, a zero byte and its bytes (SPEC 1.4).
pub fn digest_of<T: Signable>(bytes: &[u8]) -> [u8; 64] {
    let mut hash = Sha512::new();
    hash.update(T::LABEL.as_bytes());
    hash.update([0]);
    hash.update(bytes);
    hash.finalize().into()
}

impl<T: Signable> Unverified<T> {
    /// Encodes a value; returns the bytes and the digest that is to be signed.
    pub fn prepare(value: &T) -> (Vec<u8>, [u8; 64]) {
        let bytes = encode(value);
        let digest = digest_of::<T>(&bytes);
        (bytes, digest)
    }

    /// Puts the signed bytes and their signature together.
    pub fn assemble(bytes: Vec<u8>, signature: Vec<u8>) -> Self {
        Self {
            bytes: ByteBuf::from(bytes),
            signature: ByteBuf::from(signature),
            value: PhantomData,
        }
    }

    /// Encodes and signs a value.
    pub fn sign(value: &T, sign: impl FnOnce(&[u8; 64]) -> Vec<u8>) -> Self {
        let (bytes, digest) = Self::prepare(value);
        let signature = sign(&digest);
        Self::assemble(bytes, signature)
    }

    /// Reads the value without believing it, to learn which key should have signed.
    pub fn peek(&self) -> Result<T, DecodeError> {
        decode(&self.bytes)
    }

    /// Checks the signature, then reads the value.
    pub fn verify(&self, key: &impl Verifier) -> Result<Verified<T>, VerifyError> {
        key.check(&digest_of::<T>(&self.bytes), &self.signature)?;
        Ok(Verified { value: decode(&self.bytes)?, source: self.clone() })
    }

    /// How many bytes are carried, without the wrapping.
    pub fn bytes_len(&self) -> usize {
        self.bytes.len() + self.signature.len()
    }

    /// The bytes that were signed.
    pub fn signed_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl<T> Verified<T> {
    /// The value.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// The value alone.
    pub fn into_value(self) -> T {
        self.value
    }

    /// The signed form, for the wire and the disk.
    pub fn source(&self) -> &Unverified<T> {
        &self.source
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Clone for Unverified<T> {
    fn clone(&self) -> Self {
        Self { bytes: self.bytes.clone(), signature: self.signature.clone(), value: PhantomData }
    }
}

impl<T: Clone> Clone for Verified<T> {
    fn clone(&self) -> Self {
        Self { value: self.value.clone(), source: self.source.clone() }
    }
}

impl<T> PartialEq for Unverified<T> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes && self.signature == other.signature
    }
}

impl<T> Eq for Unverified<T> {}

impl<T> fmt::Debug for Unverified<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Unverified({} bytes)", self.bytes.len())
    }
}

impl<T: fmt::Debug> fmt::Debug for Verified<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}
