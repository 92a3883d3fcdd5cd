//! What is whole is believed, and what breaks one rule is refused for that rule.

use std::sync::OnceLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::RSA_PSS_SHA512;
use bytchat_proto::alias::Alias;
use bytchat_proto::binding::{AliasBinding, AliasClaim, verify_binding};
use bytchat_proto::codec::encode;
use bytchat_proto::id::NetworkId;
use bytchat_proto::key::AccountKey;
use bytchat_proto::limits::{CLOCK_SKEW_MS, RECORD_TTL_MIN_MS};
use bytchat_proto::record::{
    Contact, DeviceCertificate, Record, RecordBody, RecordError, RecordKind, Signer, UserBody,
    verify_contact, verify_record,
};
use bytchat_proto::unverified::{Signable, Unverified, VerifyError};
use serde_bytes::ByteBuf;

use crate::fixtures::{AT, NETWORK, alias, node_key, truly_signed};
use crate::values;

struct Account {
    pair: KeyPair,
    key: AccountKey,
}

/// An account that exists for one run.
fn account() -> &'static Account {
    static ACCOUNT: OnceLock<Account> = OnceLock::new();
    ACCOUNT.get_or_init(|| {
        use aws_lc_rs::encoding::AsDer;
        use aws_lc_rs::signature::KeyPair as _;
        let pair = KeyPair::generate(KeySize::Rsa3072).expect("a key is made");
        let spki = pair.public_key().as_der().expect("a key has an encoding");
        let key = AccountKey::from_spki(spki.as_ref()).expect("the key is good");
        Account { pair, key }
    })
}

fn by_account<T: Signable>(value: &T) -> Unverified<T> {
    let pair = &account().pair;
    Unverified::sign(value, |digest| {
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(&RSA_PSS_SHA512, &SystemRandom::new(), digest, &mut signature)
            .expect("an account signs");
        signature
    })
}

fn certificate() -> Unverified<DeviceCertificate> {
    by_account(&DeviceCertificate { user: account().key.user(), ..values::certificate() })
}

fn body(kind: RecordKind) -> RecordBody {
    let key = account().key.clone();
    let mut body = values::record_body(kind);
    body.signer = match body.signer {
        Signer::Account { .. } => Signer::Account { account: key },
        Signer::Device { .. } => Signer::Device { account: key, certificate: certificate() },
    };
    let uid = account().key.user();
    body.body = match kind {
        RecordKind::User => {
            ByteBuf::from(encode(&UserBody { devices: vec![certificate()], ..values::user_body() }))
        }
        RecordKind::Profile => {
            let mut profile = values::profile_body();
            profile.uid = uid;
            ByteBuf::from(encode(&profile))
        }
        RecordKind::Prekey | RecordKind::Location => body.body,
    };
    body
}

fn sign(body: &RecordBody) -> Record {
    match body.signer {
        Signer::Account { .. } => by_account(body),
        Signer::Device { .. } => truly_signed(body, 2),
    }
}

const KINDS: [RecordKind; 4] =
    [RecordKind::User, RecordKind::Profile, RecordKind::Prekey, RecordKind::Location];

/// One good record of each kind.
pub(crate) fn records() -> &'static [Record] {
    static RECORDS: OnceLock<Vec<Record>> = OnceLock::new();
    RECORDS.get_or_init(|| KINDS.map(|kind| sign(&body(kind))).into())
}

/// A good binding.
pub(crate) fn binding() -> &'static Unverified<AliasBinding> {
    static BINDING: OnceLock<Unverified<AliasBinding>> = OnceLock::new();
    BINDING.get_or_init(|| {
        let claim = AliasClaim { account: account().key.clone(), ..values::claim() };
        let binding = AliasBinding { claim: by_account(&claim), registered: AT };
        truly_signed(&binding, 1)
    })
}

/// SPEC 4.6: what is whole is believed by holder and reader alike.
#[test]
fn good_records_bindings_and_contacts_are_believed() {
    for record in records() {
        let body = verify_record(record, NETWORK, AT).expect("a good record");
        assert_eq!(body.user(), account().key.user());
    }
    verify_contact(&values::contact(), NETWORK).expect("a good contact");
    let resolved = verify_binding(binding(), node_key(1), &alias()).expect("a good binding");
    assert_eq!(resolved.user, account().key.user());
}

/// SPEC 4.6: each rule refuses for its own reason.
#[test]
fn a_record_that_breaks_a_rule_is_refused() {
    let refused = |change: &dyn Fn(&mut RecordBody)| {
        let mut body = body(RecordKind::Profile);
        change(&mut body);
        verify_record(&sign(&body), NETWORK, AT).expect_err("a bad record")
    };
    assert_eq!(refused(&|body| body.suite = 9), RecordError::Suite(9));
    let other = NetworkId([0; 32]);
    assert!(matches!(refused(&|body| body.network = other), RecordError::Network { .. }));
    assert!(matches!(
        refused(&|body| body.expires = body.created.plus_ms(RECORD_TTL_MIN_MS - 1)),
        RecordError::Lifetime { .. }
    ));
    let late = AT.plus_ms(CLOCK_SKEW_MS + 1);
    assert!(matches!(
        refused(&|body| {
            body.created = late;
            body.expires = late.plus_ms(RECORD_TTL_MIN_MS);
        }),
        RecordError::Future(_)
    ));
    assert!(matches!(
        refused(&|body| body.kind = RecordKind::Prekey),
        RecordError::WrongSigner(RecordKind::Prekey)
    ));
    let over = body(RecordKind::Profile).expires;
    assert!(matches!(verify_record(&records()[1], NETWORK, over), Err(RecordError::Expired(_))));
}

/// SPEC 5.4: a pod that did not sign, or another alias, is not believed.
#[test]
fn a_binding_of_another_pod_or_alias_is_refused() {
    assert!(verify_binding(binding(), node_key(2), &alias()).is_err());
    let other: Alias = "bob@pod.example".parse().expect("an alias");
    assert!(verify_binding(binding(), node_key(1), &other).is_err());
}

/// SPEC 1.5: an error says what was wrong, and a signature is not decoded before it is checked.
#[test]
fn a_signature_is_checked_before_the_value_is_read() {
    let garbage: Contact = Unverified::assemble(vec![0xff; 10], vec![0; 64]);
    assert!(matches!(garbage.verify(&node_key(1)), Err(VerifyError::Key(_))));
}
