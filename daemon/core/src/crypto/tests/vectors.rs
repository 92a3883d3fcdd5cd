//! Published vectors: the KEM alone, and the whole suite of the outer seal.

use std::collections::BTreeMap;
use std::convert::Infallible;

use data_encoding::HEXLOWER;
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::KdfShake256;
use hpke::kem::XWing;
use hpke::{
    Deserializable, Kem, OpModeR, OpModeS, Serializable, single_shot_open,
    single_shot_seal_with_rng,
};
use rand_core::{TryCryptoRng, TryRng};
use x_wing::{Ciphertext, Decapsulate, DecapsulationKey};

use super::super::kem;

type PublicKey = <XWing as Kem>::PublicKey;
type Vector = BTreeMap<&'static str, Vec<u8>>;

/// The vectors of a text: blocks of fields in hexadecimal, each after a line with its name.
fn vectors(text: &'static str) -> Vec<Vector> {
    text.split("\n\n").map(vector).collect()
}

fn vector(block: &'static str) -> Vector {
    let mut fields: BTreeMap<_, String> = BTreeMap::new();
    let mut name = "";
    for line in block.lines().filter(|line| !line.starts_with('#')) {
        match line.strip_suffix(':') {
            Some(next) => name = next,
            None => fields.entry(name).or_default().push_str(line),
        }
    }
    let decode = |hex: String| HEXLOWER.decode(hex.as_bytes()).unwrap();
    fields.into_iter().map(|(name, hex)| (name, decode(hex))).collect()
}

fn secret(vector: &Vector) -> [u8; 32] {
    vector["sk"].as_slice().try_into().unwrap()
}

/// Chance that was written down: it gives out these bytes and no more.
struct Written(Vec<u8>);

impl TryRng for Written {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        let rest = self.0.split_off(bytes.len());
        bytes.copy_from_slice(&self.0);
        self.0 = rest;
        Ok(())
    }
}

impl TryCryptoRng for Written {}

#[test]
fn the_kem_gives_the_published_keys_and_secrets() {
    let vectors = vectors(include_str!("xwing.txt"));
    assert_eq!(vectors.len(), 3);
    for vector in vectors {
        let seed = secret(&vector);
        assert_eq!(kem::public(&seed), vector["pk"]);
        let ciphertext = Ciphertext::try_from(vector["ct"].as_slice()).unwrap();
        let shared = DecapsulationKey::from(seed).decapsulate(&ciphertext);
        assert_eq!(shared.as_slice(), vector["ss"]);
        // The sender's half, as the seal draws its chance.
        let key = PublicKey::from_bytes(&vector["pk"]).unwrap();
        let mut written = Written(vector["eseed"].clone());
        let (encapsulation, _) = single_shot_seal_with_rng::<ChaCha20Poly1305, KdfShake256, XWing>(
            &OpModeS::Base,
            &key,
            b"",
            b"",
            b"",
            &mut written,
        )
        .unwrap();
        assert_eq!(encapsulation.to_bytes().as_slice(), vector["ct"]);
        assert!(written.0.is_empty());
    }
}

#[test]
fn the_suite_opens_the_published_ciphertext() {
    let [vector] = &vectors(include_str!("hpke.txt"))[..] else { panic!("one vector") };
    let secret = <XWing as Kem>::PrivateKey::from_bytes(&secret(vector)).unwrap();
    let encapsulation = <XWing as Kem>::EncappedKey::from_bytes(&vector["enc"]).unwrap();
    let open = |sealed: &[u8]| {
        single_shot_open::<ChaCha20Poly1305, KdfShake256, XWing>(
            &OpModeR::Base,
            &secret,
            &encapsulation,
            &vector["info"],
            sealed,
            &vector["aad"],
        )
    };
    assert_eq!(open(&vector["ct"]).unwrap(), vector["pt"]);
    let mut changed = vector["ct"].clone();
    changed[0] ^= 1;
    assert!(open(&changed).is_err());
}
