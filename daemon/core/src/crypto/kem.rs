//! The outer seal: HPKE (RFC 9180) in one shot with X-Wing, SHAKE256 and ChaCha20-Poly1305, and
//! the padding inside it.

use bytchat_proto::envelope::size_class;
use bytchat_proto::limits::{ENVELOPE_CLASS_MAX, SUITE};
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::KdfShake256;
use hpke::kem::XWing;
use hpke::{
    Deserializable, Kem, OpModeR, OpModeS, Serializable, single_shot_open,
    single_shot_seal_with_rng,
};
use rand_chacha::ChaCha20Rng;
use rand_core::Rng;
use zeroize::Zeroizing;

use super::CryptoError;

type PrivateKey = <XWing as Kem>::PrivateKey;
type PublicKey = <XWing as Kem>::PublicKey;
type Encapsulation = <XWing as Kem>::EncappedKey;

/// What the seal is for, then the suite.
const INFO: &[u8] = b"bytchat/envelope/1";

/// A fresh secret.
pub(super) fn generate(rng: &mut ChaCha20Rng) -> Zeroizing<[u8; 32]> {
    let mut seed = Zeroizing::new([0; 32]);
    rng.fill_bytes(&mut *seed);
    seed
}

/// The public key of a secret.
pub(super) fn public(seed: &[u8; 32]) -> Vec<u8> {
    XWing::sk_to_pk(&private(seed)).to_bytes().to_vec()
}

/// Seals bytes to a public key; returns the encapsulated key and the ciphertext.
pub(super) fn seal(
    key: &[u8],
    head: &[u8],
    plain: &[u8],
    rng: &mut ChaCha20Rng,
) -> Result<(Vec<u8>, Vec<u8>), CryptoError> {
    let key = PublicKey::from_bytes(key).map_err(|_| CryptoError::BadKey("recipient's KEM"))?;
    let (encapsulation, ciphertext) = single_shot_seal_with_rng::<
        ChaCha20Poly1305,
        KdfShake256,
        XWing,
    >(&OpModeS::Base, &key, &info(), plain, head, rng)
    .map_err(|_| CryptoError::BadKey("recipient's KEM"))?;
    Ok((encapsulation.to_bytes().to_vec(), ciphertext))
}

/// Opens what was sealed to a secret's public key.
pub(super) fn open(
    seed: &[u8; 32],
    head: &[u8],
    encapsulation: &[u8],
    ciphertext: &[u8],
) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    let encapsulation =
        Encapsulation::from_bytes(encapsulation).map_err(|_| CryptoError::BadSeal)?;
    single_shot_open::<ChaCha20Poly1305, KdfShake256, XWing>(
        &OpModeR::Base,
        &private(seed),
        &encapsulation,
        &info(),
        ciphertext,
        head,
    )
    .map(Zeroizing::new)
    .map_err(|_| CryptoError::BadSeal)
}

/// Fills bytes up to their size class: 0x80, then zeros (SPEC 6.3).
pub(super) fn pad(bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    let class = size_class(bytes.len() + 1)
        .ok_or(CryptoError::TooLong { got: bytes.len(), max: ENVELOPE_CLASS_MAX - 1 })?;
    let mut padded = Zeroizing::new(Vec::with_capacity(class));
    padded.extend_from_slice(bytes);
    padded.push(0x80);
    padded.resize(class, 0);
    Ok(padded)
}

/// Takes the padding off.
pub(super) fn unpad(padded: &[u8]) -> Result<&[u8], CryptoError> {
    let zeros = padded.iter().rev().take_while(|byte| **byte == 0).count();
    padded
        .len()
        .checked_sub(zeros)
        .and_then(|end| padded.get(..end))
        .and_then(|marked| marked.strip_suffix(&[0x80]))
        .ok_or_else(|| CryptoError::malformed("padding", "no end mark"))
}

fn private(seed: &[u8; 32]) -> PrivateKey {
    PrivateKey::from_bytes(seed).expect("an X-Wing secret is any 32 bytes")
}

fn info() -> Vec<u8> {
    [INFO, &[SUITE]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand_core::SeedableRng;

    #[test]
    fn the_suite_is_the_registered_one() {
        assert_eq!(XWing::KEM_ID, 0x647a);
        assert_eq!(public(&[1; 32]).len(), 1216);
    }

    #[test]
    fn a_seal_opens_with_its_secret_and_head_only() {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let seed = generate(&mut rng);
        let other = generate(&mut rng);
        let (key, text) = seal(&public(&seed), b"head", b"text", &mut rng).unwrap();
        assert_eq!(&**open(&seed, b"head", &key, &text).unwrap(), b"text");
        for bad in [
            open(&other, b"head", &key, &text),
            open(&seed, b"heat", &key, &text),
            open(&seed, b"head", &key[1..], &text),
            open(&seed, b"head", &key, &text[1..]),
            open(&seed, b"head", &key, &[]),
        ] {
            assert_eq!(bad, Err(CryptoError::BadSeal));
        }
    }

    #[test]
    fn an_unusable_public_key_is_refused() {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        // Coefficients of an ML-KEM key are below 3329, so all ones is none.
        for key in [&[0xff; 1216][..], &[0; 1215], &[]] {
            let error = seal(key, b"", b"", &mut rng).unwrap_err();
            assert_eq!(error, CryptoError::BadKey("recipient's KEM"));
        }
    }

    #[test]
    fn padding_has_an_end_mark() {
        assert_eq!(unpad(&[1, 0x80, 0, 0]).unwrap(), &[1]);
        assert_eq!(unpad(&[0x80]).unwrap(), &[0; 0]);
        for bad in [&[][..], &[0, 0], &[1, 2, 0], &[0x81]] {
            assert!(unpad(bad).is_err());
        }
        assert!(matches!(pad(&vec![0; ENVELOPE_CLASS_MAX]), Err(CryptoError::TooLong { .. })));
    }

    proptest! {
        #[test]
        fn padding_comes_off_and_leaves_a_class(
            bytes in prop::collection::vec(any::<u8>(), 0..9000),
        ) {
            let padded = pad(&bytes).unwrap();
            prop_assert_eq!(size_class(padded.len()), Some(padded.len()));
            prop_assert_eq!(unpad(&padded).unwrap(), &bytes[..]);
        }
    }
}
