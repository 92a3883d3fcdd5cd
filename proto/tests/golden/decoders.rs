//! Decoders against whatever comes: nothing panics, and what is good comes back unchanged.

use std::sync::OnceLock;

use bytchat_proto::alias::{Alias, Host};
use bytchat_proto::binding::{AliasBinding, AliasClaim, verify_binding, verify_claim};
use bytchat_proto::block::{Block, BlockKind};
use bytchat_proto::codec::{decode, encode};
use bytchat_proto::envelope::{
    AttachProof, Content, ENCAPSULATION_BYTES, Envelope, HolderReceipt, Letter, MessageReceipt,
    OneTimeKey, OpeningStatement, Removal, Sealed, TAG_BYTES,
};
use bytchat_proto::id::{BlockId, EnvelopeId, Fingerprint, NodeId, RoundId, UserId};
use bytchat_proto::key::{AccountKey, DeviceKey};
use bytchat_proto::record::{
    Contact, DeviceCertificate, LocationBody, NodeRecord, PrekeyBody, ProfileBody, Record,
    RecordBody, RecordKind, UserBody, verify_contact, verify_record,
};
use bytchat_proto::rpc::{Call, ErrorKind};
use bytchat_proto::timestamp::Timestamp;
use bytchat_proto::unverified::Unverified;
use bytchat_proto::wire::Frame;
use ciborium::Value;
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_bytes::ByteBuf;

use crate::believed::{binding, records};
use crate::fixtures::{AT, NETWORK, account, alias, node_key};
use crate::{rpc, values, wire};

/// SPEC 1.2: a later version may add fields anywhere.
#[test]
fn unknown_fields_are_ignored() {
    for (name, frame) in wire::frames() {
        let value: Value = decode(&frame.encode()).expect("CBOR of our own");
        let bytes = encode(&with_unknown_fields(value));
        assert_eq!(Frame::decode(&bytes).as_ref(), Ok(&frame), "{name}");
    }
    let (_, bytes) = values::block().encode();
    let value: Value = decode(&bytes).expect("CBOR of our own");
    let (_, block) = Block::decode(&encode(&with_unknown_fields(value))).expect("a good block");
    assert_eq!(block, values::block());
}

/// Adds a field to every map but those that are the one variant of an enumeration.
fn with_unknown_fields(value: Value) -> Value {
    if let Value::Array(items) = value {
        return Value::Array(items.into_iter().map(with_unknown_fields).collect());
    }
    let Value::Map(fields) = value else {
        return value;
    };
    let variants = ["V4", "V6", "message"];
    let variant = |key: &Value| matches!(key, Value::Text(key) if variants.contains(&key.as_str()));
    let is_enum = fields.iter().all(|(key, _)| variant(key));
    let known = fields.into_iter().map(|(key, value)| (key, with_unknown_fields(value)));
    let later = (Value::Text("later".to_owned()), Value::Integer(1.into()));
    Value::Map(known.chain((!is_enum).then_some(later)).collect())
}

/// SPEC 2.5: the link survives a verb of a later version.
#[test]
fn an_unknown_verb_names_the_id_of_its_frame() {
    for body in [
        r#"{"msg_type":"request","msg_data":{"verb":"levitate","with":{}}}"#,
        r#"{"msg_type":"levitation","msg_data":null}"#,
    ] {
        let body: serde_json::Value = serde_json::from_str(body).expect("JSON of our own");
        let bytes = encode(&serde_json::json!({"id": 12, "body": body}));
        let error = Frame::decode(&bytes).expect_err("an unknown verb");
        assert_eq!(error.id, Some(12));
    }
}

/// Feeds bytes to every decoder; only what comes back in order is believed.
fn feed(bytes: &[u8]) {
    let survived = [
        Frame::decode(bytes).is_ok(),
        Envelope::decode(bytes.to_vec()).is_ok(),
        Block::decode(bytes).is_ok(),
        decode::<Record>(bytes).is_ok_and(|record| verify_record(&record, NETWORK, AT).is_ok()),
        decode::<Contact>(bytes).is_ok_and(|contact| verify_contact(&contact, NETWORK).is_ok()),
        decode::<Unverified<AliasClaim>>(bytes).is_ok_and(|claim| verify_claim(&claim).is_ok()),
        decode::<Unverified<AliasBinding>>(bytes)
            .is_ok_and(|binding| verify_binding(&binding, node_key(1), &alias()).is_ok()),
        AccountKey::from_spki(bytes).is_ok(),
    ];
    let shapes = survived.iter().filter(|good| **good).count();
    assert!(shapes <= 1, "bytes are two things at once: {survived:?}");
}

/// Whether bytes are a value; what is one comes back from its own encoding.
fn is<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> bool {
    let Ok(value) = decode::<T>(bytes) else { return false };
    let once = encode(&value);
    let again: T = decode(&once).expect("an encoding of our own");
    assert_eq!(encode(&again), once);
    true
}

/// Feeds bytes to the decoders of what stands inside of records, envelopes and frames; gives how
/// many took them.
fn feed_inner(bytes: &[u8]) -> usize {
    let taken = [
        is::<RecordBody>(bytes),
        is::<NodeRecord>(bytes),
        is::<DeviceCertificate>(bytes),
        is::<UserBody>(bytes),
        is::<ProfileBody>(bytes),
        is::<PrekeyBody>(bytes),
        is::<LocationBody>(bytes),
        is::<AliasClaim>(bytes),
        is::<AliasBinding>(bytes),
        is::<Sealed>(bytes),
        is::<Letter>(bytes),
        is::<OpeningStatement>(bytes),
        is::<OneTimeKey>(bytes),
        is::<HolderReceipt>(bytes),
        is::<AttachProof>(bytes),
        is::<Removal>(bytes),
        is::<MessageReceipt>(bytes),
    ];
    taken.into_iter().filter(|taken| *taken).count()
}

/// A good encoding of each kind that stands inside of another.
fn good_inner() -> Vec<Vec<u8>> {
    let contents = [
        Content::Block(ByteBuf::from(values::block().encode().1)),
        Content::Receipt(values::message_receipt()),
    ];
    let mut good: Vec<_> = contents.map(values::letter).iter().map(encode).collect();
    good.extend([
        encode(&values::record_body(RecordKind::User)),
        encode(&values::record_body(RecordKind::Prekey)),
        encode(&values::node_record()),
        encode(&values::certificate()),
        encode(&values::user_body()),
        encode(&values::profile_body()),
        encode(&values::prekey_body()),
        encode(&values::location_body()),
        encode(&values::claim()),
        encode(&values::binding()),
        encode(&values::sealed(Some(values::opening()))),
        encode(&values::opening_statement()),
        encode(&values::one_time_key()),
        encode(&values::holder_receipt()),
        encode(&values::attach_proof()),
        encode(&values::removal()),
        encode(&values::message_receipt()),
    ]);
    good
}

#[test]
fn what_stands_inside_is_decoded() {
    for bytes in good_inner() {
        assert!(feed_inner(&bytes) >= 1);
    }
}

/// A good encoding of each kind that a decoder takes.
fn good() -> &'static [Vec<u8>] {
    static GOOD: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    GOOD.get_or_init(|| {
        let frames = wire::frames().into_iter().map(|(_, frame)| frame.encode());
        let mut good: Vec<_> = frames.collect();
        good.extend(good_inner());
        good.extend(records().iter().map(encode));
        good.push(values::envelope().into_bytes());
        good.push(values::block().encode().1);
        good.push(encode(&values::contact()));
        good.push(encode(binding()));
        good.push(account().spki().to_vec());
        good
    })
}

fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), any::<u8>());
    let changes = prop::collection::vec(change, 1..8);
    (0..good().len(), changes, any::<prop::sample::Index>()).prop_map(|(which, changes, cut)| {
        let mut bytes = good()[which].clone();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if cut.index(4) == 0 {
            bytes.truncate(cut.index(bytes.len()));
        }
        bytes
    })
}

fn block() -> impl Strategy<Value = Block> {
    let ids = prop::collection::vec(any::<[u8; 32]>().prop_map(BlockId), 0..16);
    let body = prop::collection::vec(any::<u8>(), 0..300);
    let names = (any::<[u8; 32]>(), any::<[u8; 20]>(), any::<[u8; 32]>());
    let text = ("[a-z]{1,12}/[a-z]{1,12}", body);
    (names, 1..u64::MAX, any::<[u8; 32]>(), ids, any::<u64>(), text).prop_map(
        |((round, user, author), sequence, previous, parents, at, (content_type, body))| Block {
            round: RoundId(round),
            user: UserId(user),
            author: DeviceKey(author),
            sequence,
            previous: (sequence > 1).then_some(BlockId(previous)),
            parents,
            sent_at: Timestamp(at),
            kind: BlockKind::Message { content_type, body: ByteBuf::from(body) },
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_stop_a_decoder(bytes in prop::collection::vec(any::<u8>(), 0..4096)) {
        feed(&bytes);
        feed_inner(&bytes);
    }

    #[test]
    fn no_mutation_stops_a_decoder(bytes in mutated()) {
        feed(&bytes);
        feed_inner(&bytes);
    }

    /// SPEC 4.6: a flipped bit anywhere in what was signed ends belief. Around it a bit may tell
    /// the same value in another form: then it is the very record that was signed.
    #[test]
    fn a_flipped_bit_ends_belief(which in 0..4usize, at: prop::sample::Index, bit in 0..8u32) {
        let mut bytes = encode(&records()[which]);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(record) = decode::<Record>(&bytes) {
            let same = record == records()[which];
            prop_assert!(same || verify_record(&record, NETWORK, AT).is_err());
        }
    }

    /// The name of a field as bytes instead of text: the form differs, the record does not.
    #[test]
    fn another_form_around_a_record_changes_nothing_in_it(which in 0..4usize) {
        let mut bytes = encode(&records()[which]);
        prop_assert_eq!(bytes[1], 0x65);
        bytes[1] = 0x45;
        prop_assert_eq!(decode::<Record>(&bytes), Ok(records()[which].clone()));
    }

    #[test]
    fn blocks_come_back_unchanged(block in block()) {
        let (id, bytes) = block.encode();
        prop_assert_eq!(Block::decode(&bytes), Ok((id, block)));
    }

    #[test]
    fn envelopes_come_back_unchanged(
        user: [u8; 20], device: [u8; 32], kem_id: u32, fill: u8, class in 0..17usize,
    ) {
        let sealed = if class == 0 { 2048 } else { class * 4096 };
        let envelope = Envelope::assemble(
            UserId(user), DeviceKey(device), kem_id,
            &[fill; ENCAPSULATION_BYTES], &vec![fill; sealed + TAG_BYTES],
        );
        let envelope = envelope.expect("a size class");
        prop_assert_eq!(envelope.user(), UserId(user));
        prop_assert_eq!(envelope.device(), DeviceKey(device));
        prop_assert_eq!(envelope.kem_id(), kem_id);
        prop_assert_eq!(decode::<Envelope>(&encode(&envelope)), Ok(envelope));
    }

    /// SPEC 6.3: nothing between the classes exists.
    #[test]
    fn an_envelope_between_the_classes_is_refused(sealed in 0..70_000usize) {
        let bytes = [1u8; 58].into_iter().chain(vec![0; ENCAPSULATION_BYTES + TAG_BYTES + sealed]);
        let good = sealed == 2048 || sealed > 0 && sealed % 4096 == 0 && sealed <= 65_536;
        prop_assert_eq!(Envelope::decode(bytes.collect()).is_ok(), good);
    }

    #[test]
    fn texts_are_parsed_or_refused(text in "\\PC{0,90}") {
        for parsed in [
            text.parse::<Alias>().map(|alias| alias.to_string()).ok(),
            text.parse::<Host>().map(|host| host.to_string()).ok(),
            text.parse::<UserId>().map(|id| id.to_string()).ok(),
            text.parse::<NodeId>().map(|id| id.to_string()).ok(),
            text.parse::<EnvelopeId>().map(|id| id.to_string()).ok(),
            text.parse::<Fingerprint>().map(|id| id.to_string()).ok(),
        ].into_iter().flatten() {
            prop_assert!(parsed.len() <= text.len());
        }
    }

    /// SPEC 5.1: an alias has one form, whatever case it was typed in.
    #[test]
    fn aliases_have_one_form(
        text in "[A-Za-z0-9._-]{1,64}@[A-Za-z0-9]{1,20}(\\.[a-z0-9]{1,9}){0,3}",
    ) {
        let alias: Alias = text.parse().expect("an alias");
        prop_assert_eq!(alias.to_string(), text.to_ascii_lowercase());
        prop_assert_eq!(alias.to_string().parse::<Alias>(), Ok(alias));
    }

    #[test]
    fn ids_come_back_from_their_text(user: [u8; 20], block: [u8; 32]) {
        prop_assert_eq!(UserId(user).to_string().parse(), Ok(UserId(user)));
        prop_assert_eq!(BlockId(block).to_string().parse(), Ok(BlockId(block)));
    }

    #[test]
    fn no_parameters_stop_the_parser(
        which in 0..Call::METHODS.len(), name in "[a-z_]{1,10}", text in "\\PC{0,20}", drop: bool,
    ) {
        let call = &rpc::calls()[which];
        let mut params = call.params();
        let fields = params.as_object_mut().expect("an object");
        if drop {
            fields.clear();
        }
        let known = fields.contains_key(&name);
        fields.insert(name, text.into());
        match Call::parse(call.method(), params) {
            Ok(_) => prop_assert!(known || drop),
            Err(error) => prop_assert_eq!(error.kind, ErrorKind::BadParameters),
        }
    }
}
