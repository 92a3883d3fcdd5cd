//! Keys and clocks for the tests of several cores.

use std::sync::OnceLock;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair, RSA_PSS_SHA512};
use bytchat_proto::key::{AccountKey, DeviceKey};
use bytchat_proto::record::DeviceCertificate;
use bytchat_proto::timestamp::Timestamp;
use bytchat_proto::unverified::Unverified;
use serde_bytes::ByteBuf;

use crate::time::{Mono, Now};

/// An account with its secret.
pub(crate) struct Account {
    pair: RsaKeyPair,
    pub(crate) key: AccountKey,
}

impl Account {
    fn generate() -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa3072).unwrap();
        let spki = pair.public_key().as_der().unwrap();
        let key = AccountKey::from_spki(spki.as_ref()).unwrap();
        Self { pair, key }
    }

    /// One of two accounts, made once for all tests.
    pub(crate) fn of(number: usize) -> &'static Self {
        static ACCOUNTS: [OnceLock<Account>; 2] = [OnceLock::new(), OnceLock::new()];
        ACCOUNTS[number].get_or_init(Self::generate)
    }

    pub(crate) fn sign(&self, digest: &[u8; 64]) -> Vec<u8> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        let random = SystemRandom::new();
        self.pair.sign(&RSA_PSS_SHA512, &random, digest, &mut signature).unwrap();
        signature
    }

    pub(crate) fn certify(&self, device: DeviceKey) -> Unverified<DeviceCertificate> {
        let certificate = DeviceCertificate {
            user: self.key.user(),
            device,
            identity: ByteBuf::from(vec![9; 32]),
            label: "a test".to_owned(),
            added: Timestamp(0),
        };
        Unverified::sign(&certificate, |digest| self.sign(digest))
    }
}

/// A device or node key whose secret follows from a number.
pub(crate) struct Signer {
    pair: Ed25519KeyPair,
}

impl Signer {
    pub(crate) fn new(number: u8) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[number; 32]).unwrap();
        Self { pair }
    }

    pub(crate) fn public(&self) -> [u8; 32] {
        self.pair.public_key().as_ref().try_into().unwrap()
    }

    pub(crate) fn device(&self) -> DeviceKey {
        DeviceKey(self.public())
    }

    pub(crate) fn sign(&self, digest: &[u8; 64]) -> Vec<u8> {
        self.pair.sign(digest).as_ref().to_vec()
    }
}

/// A clock that reads so many milliseconds after the start of the test.
pub(crate) fn at(ms: u64) -> Now {
    Now { mono: Mono(1_000 + ms), wall: Timestamp(1_800_000_000_000 + ms) }
}
