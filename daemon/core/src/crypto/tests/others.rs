//! The same work by two libraries that share no code: what one makes, the other must accept.

use aws_lc_rs::signature::{RSA_PSS_2048_8192_SHA512, UnparsedPublicKey};
use bytchat_proto::key::{AccountKey, Verifier as _};
use bytchat_proto::limits::SUITE;
use hpke_rs::hpke_types::{AeadAlgorithm, KdfAlgorithm, KemAlgorithm};
use hpke_rs::libcrux::HpkeLibcrux;
use hpke_rs::{Hpke, HpkePrivateKey, HpkePublicKey, Mode};
use proptest::prelude::*;
use proptest::sample::Index;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use rsa::pkcs1::EncodeRsaPublicKey;
use rsa::pkcs8::DecodePrivateKey;
use rsa::signature::{RandomizedSigner, SignatureEncoding, Signer, Verifier};
use rsa::{RsaPrivateKey, pkcs1v15, pss};
use sha2::Sha512;

use super::super::{account, kem};
use crate::io::{JobResult, Task};

/// The suite of the outer seal by libcrux, whose ML-KEM has nothing in common with ours.
fn other() -> Hpke<HpkeLibcrux> {
    Hpke::try_new(
        Mode::Base,
        KemAlgorithm::XWingDraft06,
        KdfAlgorithm::Shake256,
        AeadAlgorithm::ChaCha20Poly1305,
    )
    .unwrap()
}

// SPEC 6.2 as it stands there, not as the code has it.
fn info() -> Vec<u8> {
    [b"bytchat/envelope/1", &[SUITE][..]].concat()
}

/// The generation of chance that `rsa` wants.
struct Older(ChaCha20Rng);

impl rsa::rand_core::RngCore for Older {
    fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rsa::rand_core::Error> {
        self.0.fill_bytes(bytes);
        Ok(())
    }
}

impl rsa::rand_core::CryptoRng for Older {}

/// An account for both libraries.
fn accounts() -> (&'static AccountKey, RsaPrivateKey) {
    let (secret, key) = account::shared(1);
    (key, RsaPrivateKey::from_pkcs8_der(secret).unwrap())
}

fn ours(digest: [u8; 64]) -> Vec<u8> {
    let (secret, _) = account::shared(1);
    match account::run(Task::Sign { secret: secret.clone(), digest }) {
        JobResult::Signature(signature) => signature,
        other @ (JobResult::Account { .. } | JobResult::Failed(_)) => panic!("{other:?}"),
    }
}

fn digest() -> impl Strategy<Value = [u8; 64]> {
    (any::<[u8; 32]>(), any::<[u8; 32]>()).prop_map(|(a, b)| [a, b].concat().try_into().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn what_one_seals_the_other_opens_and_what_one_refuses_both_refuse(
        (seed, chance) in any::<([u8; 32], [u8; 32])>(),
        head in prop::collection::vec(any::<u8>(), 0..200),
        text in prop::collection::vec(any::<u8>(), 0..5000),
        (at, bit) in (any::<Index>(), 0..8u32),
    ) {
        let public = kem::public(&seed);
        let secret = HpkePrivateKey::new(seed.to_vec());
        let theirs = |key: &[u8], sealed: &[u8]| {
            other().open(key, &secret, &info(), &head, sealed, None, None, None)
        };
        let mut rng = ChaCha20Rng::from_seed(chance);
        let (key, sealed) = kem::seal(&public, &head, &text, &mut rng).unwrap();
        prop_assert_eq!(&theirs(&key, &sealed).unwrap(), &text);
        let (key, mut sealed) = other()
            .seal(&HpkePublicKey::new(public), &info(), &head, &text, None, None, None)
            .unwrap();
        prop_assert_eq!(&**kem::open(&seed, &head, &key, &sealed).unwrap(), &text[..]);

        let mut changed = key.clone();
        changed[at.index(key.len())] ^= 1 << bit;
        prop_assert!(kem::open(&seed, &head, &changed, &sealed).is_err());
        prop_assert!(theirs(&changed, &sealed).is_err());
        let at = at.index(sealed.len());
        sealed[at] ^= 1 << bit;
        prop_assert!(kem::open(&seed, &head, &key, &sealed).is_err());
        prop_assert!(theirs(&key, &sealed).is_err());
    }

    #[test]
    fn what_one_signs_the_other_verifies(
        digest in digest(), other in digest(), chance: [u8; 32],
    ) {
        let (key, private) = accounts();
        let verifier = pss::VerifyingKey::<Sha512>::new(private.to_public_key());
        let signature = ours(digest);
        let parsed = pss::Signature::try_from(&signature[..]).unwrap();
        prop_assert!(verifier.verify(&digest, &parsed).is_ok());
        prop_assert!(verifier.verify(&other, &parsed).is_err());

        let signer = pss::SigningKey::<Sha512>::new(private);
        let mut older = Older(ChaCha20Rng::from_seed(chance));
        let signature = signer.sign_with_rng(&mut older, &digest).to_bytes();
        prop_assert!(key.check(&digest, &signature).is_ok());
        prop_assert!(key.check(&other, &signature).is_err());
    }
}

#[test]
fn signatures_of_another_kind_are_refused_by_both() {
    let (key, private) = accounts();
    let public = private.to_public_key();
    let verifier = pss::VerifyingKey::<Sha512>::new(public.clone());
    let refused = |what: &str, signature: &[u8]| {
        assert!(key.check(&[7; 64], signature).is_err(), "{what}");
        let parsed = pss::Signature::try_from(signature).unwrap();
        assert!(verifier.verify(&[7; 64], &parsed).is_err(), "{what}");
    };
    let older = pkcs1v15::SigningKey::<Sha512>::new(private.clone()).sign(&[7; 64]);
    refused("PKCS#1 v1.5", &older.to_bytes());
    let mut rng = Older(ChaCha20Rng::from_seed([3; 32]));
    for salt in [0, 32] {
        let signer = pss::SigningKey::<Sha512>::new_with_salt_len(private.clone(), salt);
        refused("a short salt", &signer.sign_with_rng(&mut rng, &[7; 64]).to_bytes());
    }
    // The check itself is one that accepts.
    let good = ours([7; 64]);
    let pkcs1 = public.to_pkcs1_der().unwrap();
    let plain = UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA512, pkcs1.as_bytes());
    assert!(plain.verify(&[7; 64], &good).is_ok() && key.check(&[7; 64], &good).is_ok());
}
