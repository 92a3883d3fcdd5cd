//! Golden forms of all that is signed, sealed or linked: records, envelopes, bindings, blocks.

use bytchat_proto::binding::{AliasBinding, AliasClaim};
use bytchat_proto::block::{BlockKind, direct_round};
use bytchat_proto::envelope::{
    AttachProof, Content, HolderReceipt, OneTimeKey, OpeningStatement, Removal,
};
use bytchat_proto::id::{NetworkId, UserId};
use bytchat_proto::limits::WORK_BITS_PUBLIC;
use bytchat_proto::point::Point;
use bytchat_proto::record::{
    DeviceCertificate, NodeRecord, RecordBody, RecordKind, RecordSlot, Signer, verify_contact,
};
use bytchat_proto::unverified::{Signable, digest_of};
use data_encoding::HEXLOWER;
use serde_bytes::ByteBuf;

use crate::fixtures::{BLOCK, ENVELOPE, NETWORK, account, device_key, node_key, signed};
use crate::sink::{Golden, assert_all_covered, variants};
use crate::values;

variants!(kind_name, KINDS, RecordKind {
    RecordKind::User => "record.user",
    RecordKind::Profile => "record.profile",
    RecordKind::Prekey => "record.prekey",
    RecordKind::Location => "record.location",
});

variants!(signer_name, SIGNERS, Signer {
    Signer::Account { .. } => "signer.account",
    Signer::Device { .. } => "signer.device",
});

variants!(content_name, CONTENTS, Content {
    Content::Block(_) => "letter.block",
    Content::Receipt(_) => "letter.receipt",
    Content::Resend(_) => "letter.resend",
});

variants!(block_name, BLOCKS, BlockKind {
    BlockKind::Message { .. } => "block.message",
});

const ALL_KINDS: [RecordKind; 4] =
    [RecordKind::User, RecordKind::Profile, RecordKind::Prekey, RecordKind::Location];

fn contents() -> Vec<Content> {
    vec![
        Content::Block(ByteBuf::from(values::block().encode().1)),
        Content::Receipt(values::message_receipt()),
        Content::Resend(vec![ENVELOPE]),
    ]
}

#[test]
fn records_keep_their_bytes() {
    let mut golden = Golden::default();
    golden.value("node_record", &values::node_record());
    golden.value("contact", &values::contact());
    golden.value("device_certificate", &values::certificate());
    golden.value("body.user", &values::user_body());
    golden.value("body.profile", &values::profile_body());
    golden.value("body.prekey", &values::prekey_body());
    golden.value("body.location", &values::location_body());
    for kind in ALL_KINDS {
        let body = values::record_body(kind);
        golden.value(signer_name(&body.signer), &body.signer);
        golden.value(kind_name(&kind), &signed(&body));
    }
    let slot = RecordSlot {
        point: Point::of_user(account().user()),
        kind: RecordKind::Prekey,
        device: Some(device_key(2)),
    };
    golden.value("record_slot", &slot);
    golden.check("records.txt");
    assert_all_covered(KINDS, &ALL_KINDS.map(|kind| kind_name(&kind)));
    let signers: std::collections::BTreeSet<_> =
        ALL_KINDS.map(|kind| signer_name(&values::record_body(kind).signer)).into();
    assert_eq!(signers, SIGNERS.iter().copied().collect());
}

#[test]
fn mail_keeps_its_bytes() {
    let mut golden = Golden::default();
    golden.forms(
        "envelope",
        values::envelope().as_bytes(),
        &bytchat_proto::codec::to_json(&values::envelope()),
    );
    golden.value("sealed.first", &values::sealed(Some(values::opening())));
    golden.value("sealed.later", &values::sealed(None));
    golden.value("opening_statement", &values::opening_statement());
    for content in contents() {
        let name = content_name(&content);
        golden.value(name, &values::letter(content));
    }
    golden.value("holder_receipt", &values::holder_receipt());
    golden.value("one_time_key", &values::one_time_key());
    golden.value("attach_proof", &values::attach_proof());
    golden.value("removal", &values::removal());
    golden.value("alias_claim", &values::claim());
    golden.value("alias_binding", &values::binding_signed());
    golden.value(block_name(&values::block().kind), &values::block());
    golden.check("mail.txt");
    let sampled: Vec<_> = contents().iter().map(content_name).collect();
    assert_all_covered(CONTENTS, &sampled);
    assert_all_covered(BLOCKS, &[block_name(&values::block().kind)]);
}

/// Lists what is derived by hashing, so that another implementation can compare.
#[test]
fn derived_names_keep_their_values() {
    let account = account();
    let user = account.user();
    let mut golden = Golden::default();
    let mut line = |name: &str, value: String| golden.line(&format!("{name} {value}"));
    // SPEC 3.1, 3.2: the user is the head of the whole hash that contacts pin.
    assert_eq!(user.0[..], account.fingerprint().0[..20]);
    line("user", user.to_string());
    line("fingerprint", account.fingerprint().to_string());
    line("network.public", NetworkId::of("", WORK_BITS_PUBLIC).to_string());
    line("network.idle", NetworkId::of_name("").to_string());
    line("network.home", NetworkId::of_name("home").to_string());
    line("node", node_key(1).node(NETWORK, b"").to_string());
    line("node.stamped", node_key(1).node(NETWORK, b"stamp").to_string());
    line("point.user", Point::of_user(user).to_string());
    line("point.profile", Point::of_profile(user).to_string());
    line("point.location", Point::of_location(user).to_string());
    line("block", values::block().encode().0.to_string());
    line("envelope", values::envelope().id().to_string());
    let other = UserId([0x88; 20]);
    let round = direct_round(NETWORK, user, other);
    line("direct_round", round.to_string());
    line("digest.removal", digest_hex(&values::removal()));
    for (name, label) in labels() {
        line(&format!("label.{name}"), label.to_owned());
    }
    golden.check("derived.txt");
}

fn digest_hex<T: Signable>(value: &T) -> String {
    HEXLOWER.encode(&digest_of::<T>(&bytchat_proto::codec::encode(value)))
}

fn labels() -> [(&'static str, &'static str); 9] {
    [
        ("record", RecordBody::LABEL),
        ("device_certificate", DeviceCertificate::LABEL),
        ("node_record", NodeRecord::LABEL),
        ("alias_claim", AliasClaim::LABEL),
        ("alias_binding", AliasBinding::LABEL),
        ("opening_statement", OpeningStatement::LABEL),
        ("holder_receipt", HolderReceipt::LABEL),
        ("one_time_key", OneTimeKey::LABEL),
        ("attach_proof", AttachProof::LABEL),
    ]
}

/// SPEC 1.4: a label keeps the signatures of one type apart from those of all others.
#[test]
fn a_signature_of_one_type_is_none_of_another() {
    let mut labels: Vec<_> = labels().iter().map(|(_, label)| *label).collect();
    labels.push(Removal::LABEL);
    labels.sort_unstable();
    labels.windows(2).for_each(|pair| assert_ne!(pair[0], pair[1]));
    let contact = values::contact();
    verify_contact(&contact, NETWORK).expect("the sample is signed by its own key");
    let bytes = contact.signed_bytes();
    assert_ne!(digest_of::<NodeRecord>(bytes), digest_of::<Removal>(bytes));
    assert_ne!(BLOCK.0, ENVELOPE.0);
}
