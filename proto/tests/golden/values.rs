//! One sample of every value that is signed, sealed or linked into a log.

use std::collections::BTreeMap;

use bytchat_proto::binding::{AliasBinding, AliasClaim};
use bytchat_proto::block::{Block, BlockKind};
use bytchat_proto::codec::encode;
use bytchat_proto::envelope::{
    AttachProof, Content, ENCAPSULATION_BYTES, Envelope, HolderReceipt, Letter, MessageReceipt,
    OneTimeKey, Opening, OpeningStatement, Party, Removal, Sealed, TAG_BYTES,
};
use bytchat_proto::limits::{LOCATION_TTL_MS, RECORD_TTL_MAX_MS, SUITE};
use bytchat_proto::record::{
    Contact, DeviceCertificate, LocationBody, NodeRecord, PrekeyBody, ProfileBody, Record,
    RecordBody, RecordKind, Signer, UserBody,
};
use bytchat_proto::unverified::Unverified;
use serde_bytes::ByteBuf;

use crate::fixtures::{
    AT, BLOCK, DEVICE, ENVELOPE, HOLDER, NETWORK, ROUND, USER, account, addresses, alias,
    device_key, host, node_key, signed, truly_signed,
};

pub(crate) fn bytes(byte: u8, count: usize) -> ByteBuf {
    ByteBuf::from(vec![byte; count])
}

pub(crate) fn node_record() -> NodeRecord {
    NodeRecord {
        network: NETWORK,
        key: node_key(1),
        stamp: ByteBuf::new(),
        addresses: addresses(),
        pod: Some(host()),
        sequence: 3,
    }
}

pub(crate) fn contact() -> Contact {
    truly_signed(&node_record(), 1)
}

pub(crate) fn certificate() -> DeviceCertificate {
    DeviceCertificate {
        user: account().user(),
        device: device_key(2),
        identity: bytes(0x21, 32),
        label: "laptop".to_owned(),
        added: AT,
    }
}

pub(crate) fn user_body() -> UserBody {
    UserBody { devices: vec![signed(&certificate())], revoked: vec![DEVICE], pods: vec![host()] }
}

pub(crate) fn profile_body() -> ProfileBody {
    ProfileBody {
        uid: account().user(),
        name: "Alice".to_owned(),
        avatar: bytes(0x23, 4),
        more: BTreeMap::from([("motto".to_owned(), "hi".to_owned())]),
    }
}

pub(crate) fn prekey_body() -> PrekeyBody {
    PrekeyBody { kem_id: 7, kem: bytes(0x24, 1216), fallback: bytes(0x25, 32) }
}

pub(crate) fn location_body() -> LocationBody {
    LocationBody { contact: contact() }
}

pub(crate) fn record_body(kind: RecordKind) -> RecordBody {
    let account = account();
    let by_device =
        Signer::Device { account: account.clone(), certificate: signed(&certificate()) };
    let (signer, lives, body) = match kind {
        RecordKind::User => (Signer::Account { account }, RECORD_TTL_MAX_MS, encode(&user_body())),
        RecordKind::Profile => {
            (Signer::Account { account }, RECORD_TTL_MAX_MS, encode(&profile_body()))
        }
        RecordKind::Prekey => (by_device, RECORD_TTL_MAX_MS, encode(&prekey_body())),
        RecordKind::Location => (by_device, LOCATION_TTL_MS, encode(&location_body())),
    };
    RecordBody {
        suite: SUITE,
        network: NETWORK,
        kind,
        signer,
        sequence: 9,
        created: AT,
        expires: AT.plus_ms(lives),
        body: ByteBuf::from(body),
    }
}

pub(crate) fn record() -> Record {
    signed(&record_body(RecordKind::Profile))
}

pub(crate) fn envelope() -> Envelope {
    Envelope::assemble(USER, DEVICE, 7, &[0x61; ENCAPSULATION_BYTES], &[0x62; 2048 + TAG_BYTES])
        .expect("the sealed part has a size class")
}

pub(crate) fn party() -> Party {
    Party { user: account().user(), fingerprint: account().fingerprint(), device: device_key(2) }
}

pub(crate) fn opening_statement() -> OpeningStatement {
    OpeningStatement { session: "c2Vzc2lvbg".to_owned(), from: party(), to: party() }
}

pub(crate) fn sealed(opening: Option<Opening>) -> Sealed {
    Sealed {
        user: account().user(),
        device: device_key(2),
        first: opening.is_some(),
        opening,
        olm: bytes(0x63, 8),
    }
}

pub(crate) fn opening() -> Opening {
    Opening {
        account: account(),
        certificate: signed(&certificate()),
        statement: truly_signed(&opening_statement(), 2),
    }
}

pub(crate) fn message_receipt() -> MessageReceipt {
    MessageReceipt { blocks: vec![BLOCK], read: true, at: AT }
}

pub(crate) fn letter(content: Content) -> Letter {
    Letter { from: party(), to: party(), from_head: 4, to_head: 5, content }
}

pub(crate) fn one_time_key() -> OneTimeKey {
    OneTimeKey { device: device_key(2), holder: HOLDER, key: bytes(0x64, 32), expires: AT }
}

pub(crate) fn holder_receipt() -> HolderReceipt {
    HolderReceipt { envelope: ENVELOPE, holder: HOLDER, until: AT, taken: false }
}

pub(crate) fn attach_proof() -> AttachProof {
    AttachProof {
        user: account().user(),
        device: device_key(2),
        holder: HOLDER,
        nonce: bytes(0x65, 32),
        binding: bytes(0x66, 32),
    }
}

pub(crate) fn removal() -> Removal {
    Removal { user: USER, device: DEVICE, envelopes: vec![ENVELOPE] }
}

pub(crate) fn claim() -> AliasClaim {
    AliasClaim { alias: alias(), account: account(), sequence: 1, created: AT }
}

pub(crate) fn binding() -> AliasBinding {
    AliasBinding { claim: signed(&claim()), registered: AT }
}

pub(crate) fn block() -> Block {
    Block {
        round: ROUND,
        user: USER,
        author: DEVICE,
        sequence: 2,
        previous: Some(BLOCK),
        parents: vec![BLOCK],
        sent_at: AT,
        kind: BlockKind::Message {
            content_type: "text/plain".to_owned(),
            body: ByteBuf::from(b"hi".to_vec()),
        },
    }
}

/// The binding with the signature of its pod.
pub(crate) fn binding_signed() -> Unverified<AliasBinding> {
    truly_signed(&binding(), 1)
}
