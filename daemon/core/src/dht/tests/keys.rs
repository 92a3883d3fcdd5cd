//! Keys, contacts and records for tests.

use std::net::SocketAddr;
use std::sync::OnceLock;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair, RSA_PSS_SHA512};
use bytchat_proto::codec::encode;
use bytchat_proto::id::{NetworkId, UserId};
use bytchat_proto::key::{AccountKey, DeviceKey, NodeKey};
use bytchat_proto::limits::{LOCATION_TTL_MS, RECORD_TTL_MAX_MS};
use bytchat_proto::record::{
    Contact, DeviceCertificate, LocationBody, NodeRecord, PrekeyBody, ProfileBody, Record,
    RecordBody, RecordKind, Signer, UserBody, verify_contact, verify_record,
};
use bytchat_proto::timestamp::Timestamp;
use bytchat_proto::unverified::{Unverified, Verified};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use rsa::RsaPrivateKey;
use rsa::pkcs8::EncodePrivateKey;
use serde_bytes::ByteBuf;

use crate::dht::Peer;
use crate::time::{Mono, Now};

/// The wall clock at the start of every test.
pub(super) const START: Timestamp = Timestamp(1_800_000_000_000);

pub(super) fn network() -> NetworkId {
    NetworkId::of_name("test")
}

pub(super) fn at(ms: u64) -> Now {
    Now { mono: Mono(ms), wall: START.plus_ms(ms) }
}

fn ed25519(seed: u64) -> Ed25519KeyPair {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    Ed25519KeyPair::from_seed_unchecked(&bytes).unwrap()
}

fn public(key: &Ed25519KeyPair) -> [u8; 32] {
    key.public_key().as_ref().try_into().unwrap()
}

pub(super) fn contact_in(seed: u64, address: &str, network: NetworkId, sequence: u64) -> Contact {
    contact_of(seed, |key| NodeRecord {
        network,
        key,
        stamp: ByteBuf::new(),
        addresses: vec![address.parse::<SocketAddr>().unwrap()],
        pod: None,
        sequence,
    })
}

/// A contact that says of a node what it likes.
pub(super) fn contact_of(seed: u64, record: impl FnOnce(NodeKey) -> NodeRecord) -> Contact {
    let key = ed25519(seed);
    let record = record(NodeKey(public(&key)));
    Contact::sign(&record, |digest| key.sign(digest).as_ref().to_vec())
}

/// A contact on a private network, where no prefix counts.
pub(super) fn contact(seed: u64) -> Contact {
    let [.., a, b, c] = seed.to_be_bytes();
    contact_in(seed, &format!("10.{a}.{b}.{c}:4000"), network(), 1)
}

pub(super) fn verified(contact: &Contact) -> Verified<NodeRecord> {
    verify_contact(contact, contact.peek().unwrap().network).unwrap()
}

pub(super) fn peer(seed: u64) -> Peer {
    Peer::new(verified(&contact(seed)))
}

/// Our generator in the form that the RSA library takes.
struct Seeded(ChaCha20Rng);

impl rsa::rand_core::RngCore for Seeded {
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
        self.fill_bytes(bytes);
        Ok(())
    }
}

impl rsa::rand_core::CryptoRng for Seeded {}

/// An account whose secret key is here.
pub(super) struct Account {
    key: RsaKeyPair,
    pub(super) public: AccountKey,
}

/// A few accounts; making them is slow.
pub(super) fn accounts() -> &'static [Account] {
    static ACCOUNTS: OnceLock<Vec<Account>> = OnceLock::new();
    ACCOUNTS.get_or_init(|| (0..4).map(Account::generate).collect())
}

impl Account {
    /// An account that is the same in every run, so that records lie at the same points.
    fn generate(seed: u64) -> Self {
        let mut random = Seeded(ChaCha20Rng::seed_from_u64(seed));
        let key = RsaPrivateKey::new(&mut random, 3072).unwrap();
        let der = key.to_pkcs8_der().unwrap();
        let key = RsaKeyPair::from_pkcs8(der.as_bytes()).unwrap();
        let spki: PublicKeyX509Der<'_> = key.public_key().as_der().unwrap();
        let public = AccountKey::from_spki(spki.as_ref()).unwrap();
        Self { key, public }
    }

    pub(super) fn user(&self) -> UserId {
        self.public.user()
    }

    fn sign(&self, digest: &[u8; 64]) -> Vec<u8> {
        let mut signature = vec![0; self.key.public_modulus_len()];
        let random = SystemRandom::new();
        self.key.sign(&RSA_PSS_SHA512, &random, digest, &mut signature).unwrap();
        signature
    }

    /// The body of a record of this account, to be changed and signed.
    pub(super) fn body(&self, kind: RecordKind, sequence: u64, now: Timestamp) -> RecordBody {
        let body = match kind {
            RecordKind::User => {
                encode(&UserBody { devices: vec![], revoked: vec![], pods: vec![] })
            }
            RecordKind::Profile => encode(&ProfileBody {
                uid: self.user(),
                name: format!("name {sequence}"),
                avatar: ByteBuf::new(),
                more: Default::default(),
            }),
            RecordKind::Prekey => encode(&PrekeyBody {
                kem_id: 1,
                kem: ByteBuf::from(vec![1; 1216]),
                fallback: ByteBuf::from(vec![2; 32]),
            }),
            RecordKind::Location => unreachable!("no test needs one"),
        };
        RecordBody {
            suite: 1,
            network: network(),
            kind,
            signer: Signer::Account { account: self.public.clone() },
            sequence,
            created: now,
            expires: now.plus_ms(RECORD_TTL_MAX_MS),
            body: ByteBuf::from(body),
        }
    }

    pub(super) fn signed(&self, body: &RecordBody) -> Record {
        Record::sign(body, |digest| self.sign(digest))
    }

    pub(super) fn record(&self, kind: RecordKind, sequence: u64, now: Timestamp) -> Record {
        self.signed(&self.body(kind, sequence, now))
    }

    /// A prekey record of one of the account's devices.
    pub(super) fn prekey(&self, device: u64, sequence: u64, now: Timestamp) -> Record {
        self.by_device(device, self.body(RecordKind::Prekey, sequence, now))
    }

    /// A device's word that it is up on a node.
    pub(super) fn location(&self, contact: Contact, now: Timestamp) -> Record {
        let mut body = self.body(RecordKind::Prekey, 1, now);
        body.kind = RecordKind::Location;
        body.network = contact.peek().unwrap().network;
        body.expires = now.plus_ms(LOCATION_TTL_MS);
        body.body = ByteBuf::from(encode(&LocationBody { contact }));
        self.by_device(1, body)
    }

    fn by_device(&self, device: u64, mut body: RecordBody) -> Record {
        let key = ed25519(1_000_000 + device);
        let certificate = DeviceCertificate {
            user: self.user(),
            device: DeviceKey(public(&key)),
            identity: ByteBuf::from(vec![3; 32]),
            label: "test".to_owned(),
            added: body.created,
        };
        let certificate = Unverified::sign(&certificate, |digest| self.sign(digest));
        body.signer = Signer::Device { account: self.public.clone(), certificate };
        Record::sign(&body, |digest| key.sign(digest).as_ref().to_vec())
    }
}

pub(super) fn believed(record: &Record, now: Timestamp) -> Verified<RecordBody> {
    verify_record(record, network(), now).unwrap()
}
