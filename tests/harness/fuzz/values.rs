//! What stands inside of frames, records, envelopes and letters. Signatures stop what is random,
//! so that some of it is signed here by who should have signed it.

use std::sync::OnceLock;

use bytchat_core::crypto::{NodeSecret, account};
use bytchat_core::io::{JobResult, Task};
use bytchat_proto::binding::{AliasBinding, AliasClaim, verify_binding, verify_claim};
use bytchat_proto::block::Block;
use bytchat_proto::codec::{decode, encode, to_json};
use bytchat_proto::envelope::{
    AttachProof, Envelope, HolderReceipt, Letter, MessageReceipt, OneTimeKey, OpeningStatement,
    Removal, Sealed,
};
use bytchat_proto::id::NetworkId;
use bytchat_proto::key::{AccountKey, DeviceKey};
use bytchat_proto::limits::SUITE;
use bytchat_proto::record::{
    Contact, DeviceCertificate, LocationBody, NodeRecord, PrekeyBody, ProfileBody, Record,
    RecordBody, RecordKind, RecordSlot, Signer, UserBody, verify_contact, verify_record,
};
use bytchat_proto::timestamp::Timestamp;
use bytchat_proto::unverified::{Signable, Unverified, digest_of};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_bytes::ByteBuf;
use zeroize::Zeroizing;

use super::golden;
use crate::sim::keys;

const NOW: Timestamp = Timestamp(1_795_219_200_000);
const KINDS: [RecordKind; 4] =
    [RecordKind::User, RecordKind::Profile, RecordKind::Prekey, RecordKind::Location];

/// The first byte tells who has signed the rest.
pub(super) fn feed(bytes: &[u8]) {
    let (how, rest) = bytes.split_first().unwrap_or((&0, &[]));
    match how % 8 {
        1 => contact(rest),
        2 => binding(rest),
        3 => record(&signed(rest)),
        how @ 4..=7 => inside(rest, KINDS[usize::from(how) - 4]),
        _ => plain(rest),
    }
}

/// Decodes a value; what is one comes back from its own encoding, and has a form for people.
fn value<T: Serialize + DeserializeOwned>(bytes: &[u8]) {
    let Ok(value) = decode::<T>(bytes) else { return };
    let once = encode(&value);
    let again: T = decode(&once).expect("what was encoded here is decoded");
    assert_eq!(encode(&again), once, "a value does not come back");
    assert!(!to_json(&value).is_null());
}

fn plain(bytes: &[u8]) {
    value::<RecordBody>(bytes);
    value::<NodeRecord>(bytes);
    value::<DeviceCertificate>(bytes);
    value::<UserBody>(bytes);
    value::<ProfileBody>(bytes);
    value::<PrekeyBody>(bytes);
    value::<LocationBody>(bytes);
    value::<RecordSlot>(bytes);
    value::<AliasClaim>(bytes);
    value::<AliasBinding>(bytes);
    value::<Sealed>(bytes);
    value::<Letter>(bytes);
    value::<OpeningStatement>(bytes);
    value::<OneTimeKey>(bytes);
    value::<HolderReceipt>(bytes);
    value::<AttachProof>(bytes);
    value::<Removal>(bytes);
    value::<MessageReceipt>(bytes);
    if let Ok(envelope) = Envelope::decode(bytes.to_vec()) {
        let again = Envelope::assemble(
            envelope.user(),
            envelope.device(),
            envelope.kem_id(),
            envelope.encapsulation(),
            envelope.ciphertext(),
        );
        assert_eq!(again.as_ref(), Ok(&envelope));
    }
    if let Ok((id, block)) = Block::decode(bytes) {
        let (again, bytes) = block.encode();
        assert_eq!(Block::decode(&bytes), Ok((again, block)), "{id} does not come back");
    }
    if let Ok(key) = AccountKey::from_spki(bytes) {
        assert_eq!(key.spki(), bytes, "a key has two forms");
    }
    if let Ok(claim) = decode::<Unverified<AliasClaim>>(bytes) {
        verify_claim(&claim).ok();
    }
    if let Ok(record) = decode::<Record>(bytes) {
        self::record(&record);
    }
}

fn network() -> NetworkId {
    NetworkId::of_name("fuzz")
}

fn node() -> &'static NodeSecret {
    static NODE: OnceLock<NodeSecret> = OnceLock::new();
    NODE.get_or_init(|| NodeSecret::from_seed([9; 32]).expect("a seed makes a key"))
}

/// An account and its word for a device whose key is the one of the node.
pub(super) struct Person {
    pub(super) secret: Zeroizing<Vec<u8>>,
    pub(super) key: AccountKey,
    pub(super) certificate: Unverified<DeviceCertificate>,
}

/// The first of them.
pub(super) fn person() -> &'static Person {
    static PERSON: OnceLock<Person> = OnceLock::new();
    PERSON.get_or_init(|| nth_person(0))
}

pub(super) fn nth_person(number: usize) -> Person {
    let pem = Zeroizing::new(keys().nth(number).expect("there are few people").to_owned());
    let JobResult::Account { secret, key } = account::run(Task::ReadAccount { pem }) else {
        unreachable!("the key of a simulated person is good");
    };
    let certificate = DeviceCertificate {
        user: key.user(),
        device: DeviceKey(node().key().0),
        identity: ByteBuf::from(vec![9; 32]),
        label: "fuzz".to_owned(),
        added: Timestamp(0),
    };
    let certificate = Unverified::sign(&certificate, |digest| by_account(&secret, digest));
    Person { secret, key, certificate }
}

pub(super) fn by_account(secret: &Zeroizing<Vec<u8>>, digest: &[u8; 64]) -> Vec<u8> {
    match account::run(Task::Sign { secret: secret.clone(), digest: *digest }) {
        JobResult::Signature(signature) => signature,
        JobResult::Account { .. } | JobResult::Failed(_) => unreachable!("an account signs"),
    }
}

fn signed<T: Signable>(bytes: &[u8]) -> Unverified<T> {
    Unverified::assemble(bytes.to_vec(), node().sign(&digest_of::<T>(bytes)))
}

fn contact(bytes: &[u8]) {
    let contact: Contact = signed(bytes);
    if let Ok(record) = verify_contact(&contact, network()) {
        assert_eq!(record.network, network());
        value::<NodeRecord>(bytes);
    }
}

fn binding(bytes: &[u8]) {
    let binding: Unverified<AliasBinding> = signed(bytes);
    let alias = "a@fuzz.test".parse().expect("an alias");
    verify_binding(&binding, node().key(), &alias).ok();
}

fn record(record: &Record) {
    if let Ok(body) = verify_record(record, network(), NOW) {
        let slot = body.slot().expect("what is believed has its place");
        assert_eq!(slot.kind, body.kind);
        let (min, max, bytes_max) = body.kind.bounds();
        let life = body.expires.since_ms(body.created);
        assert!((min..=max).contains(&life) && body.body.len() <= bytes_max);
    }
}

/// A record of a kind that is good but for its body.
fn body(kind: RecordKind, body: &[u8]) -> RecordBody {
    let Person { key, certificate, .. } = person();
    let account = key.clone();
    let signer = match kind {
        RecordKind::User | RecordKind::Profile => Signer::Account { account },
        RecordKind::Prekey | RecordKind::Location => {
            Signer::Device { account, certificate: certificate.clone() }
        }
    };
    let (_, life, _) = kind.bounds();
    RecordBody {
        suite: SUITE,
        network: network(),
        kind,
        signer,
        sequence: 1,
        created: NOW,
        expires: NOW.plus_ms(life),
        body: ByteBuf::from(body.to_vec()),
    }
}

fn inside(bytes: &[u8], kind: RecordKind) {
    let body = body(kind, bytes);
    record(&match body.signer {
        Signer::Account { .. } => {
            Unverified::sign(&body, |digest| by_account(&person().secret, digest))
        }
        Signer::Device { .. } => Unverified::sign(&body, |digest| node().sign(digest)),
    });
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let contact = NodeRecord {
        network: network(),
        key: node().key(),
        stamp: ByteBuf::new(),
        addresses: vec![std::net::SocketAddr::from(([192, 0, 2, 7], 4848))],
        pod: Some("fuzz.test".parse().expect("a host")),
        sequence: 1,
    };
    let user = UserBody {
        devices: vec![person().certificate.clone()],
        revoked: vec![DeviceKey([3; 32])],
        pods: vec!["fuzz.test".parse().expect("a host")],
    };
    let profile = ProfileBody {
        uid: person().key.user(),
        name: "a name".to_owned(),
        avatar: ByteBuf::from(vec![1, 2, 3]),
        more: [("pronouns".to_owned(), "any".to_owned())].into(),
    };
    let prekey = PrekeyBody {
        kem_id: 7,
        kem: ByteBuf::from(vec![5; 1216]),
        fallback: ByteBuf::from(vec![6; 32]),
    };
    let location = LocationBody { contact: signed(&encode(&contact)) };
    let mut seeds = vec![
        [[1].as_slice(), &encode(&contact)].concat(),
        [[3].as_slice(), &encode(&body(RecordKind::Location, &encode(&location)))].concat(),
        [[4].as_slice(), &encode(&user)].concat(),
        [[5].as_slice(), &encode(&profile)].concat(),
        [[6].as_slice(), &encode(&prekey)].concat(),
        [[7].as_slice(), &encode(&location)].concat(),
        [[0].as_slice(), person().key.spki()].concat(),
    ];
    seeds.extend(golden::encodings().iter().map(|bytes| [[0].as_slice(), bytes].concat()));
    seeds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_here_is_believed() {
        for seed in seeds().iter().take(6) {
            let (how, bytes) = seed.split_first().unwrap();
            let good = match how {
                1 => verify_contact(&signed(bytes), network()).is_ok(),
                3 => verify_record(&signed(bytes), network(), NOW).is_ok(),
                how => {
                    let kind = KINDS[usize::from(*how) - 4];
                    let body = body(kind, bytes);
                    let sign = |digest: &[u8; 64]| match kind {
                        RecordKind::User | RecordKind::Profile => {
                            by_account(&person().secret, digest)
                        }
                        RecordKind::Prekey | RecordKind::Location => node().sign(digest),
                    };
                    verify_record(&Unverified::sign(&body, sign), network(), NOW).is_ok()
                }
            };
            assert!(good, "{how}");
        }
    }
}
