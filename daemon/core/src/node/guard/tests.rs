//! A node against strangers.

use bytchat_proto::codec::encode;
use bytchat_proto::envelope::{
    AttachProof, Content, ENCAPSULATION_BYTES, Envelope, Letter, TAG_BYTES,
};
use bytchat_proto::id::{NetworkId, NodeId};
use bytchat_proto::limits::{
    CATCH_UP_MS, ENVELOPE_CLASS_MIN, GARBAGE_TOKENS_MAX, GARBAGE_TOKENS_PER_NODE_MAX,
    RECORD_TTL_MAX_MS, SUITE,
};
use bytchat_proto::record::{Record, Signer as RecordSigner, verify_record};
use bytchat_proto::rpc::Call;
use bytchat_proto::rpc::account::Create;
use bytchat_proto::rpc::contact::Standing;
use bytchat_proto::unverified::Unverified;
use serde_bytes::ByteBuf;

use super::*;
use crate::crypto::{self, Recipient, account};
use crate::fixture::{Account, Signer, at};
use crate::io::{CallId, Caller, Input, LinkId, Output};
use crate::link::Tried;
use crate::node::NodeConfig;
use crate::node::links::SELF;
use crate::node::receive::Bringer;
use crate::node::search::Lookup;

fn network() -> NetworkId {
    NetworkId::of_name("test")
}

fn node() -> Node {
    let config = NodeConfig {
        network: network(),
        network_key: None,
        work: 0,
        stamp: Vec::new(),
        secret: [1; 32],
        vault: [2; 32],
        listen: Vec::new(),
        bootstrap: Vec::new(),
        pod: None,
        events: crate::event::Keep::default(),
        version: "test".to_owned(),
    };
    Node::new(config, [3; 32], Vec::new(), at(0)).unwrap()
}

/// Makes an account on a node.
fn person(node: &mut Node) -> UserId {
    let request = Call::AccountCreate(Create::default());
    let caller = Caller { uid: 1 };
    node.handle_input(Input::Call { call: CallId(1), caller, scope: None, request }, at(0));
    while let Some(output) = node.poll_output() {
        if let Output::Job { job, task } = output {
            node.handle_input(Input::Done { job, result: account::run(task) }, at(0));
        }
    }
    node.accounts.users()[0]
}

fn bringer(number: u8, link: LinkId) -> Bringer {
    Bringer { link, node: NodeId([number; 20]), repair: false }
}

fn writes(node: &mut Node) -> usize {
    let outputs = std::iter::from_fn(|| node.poll_output());
    outputs.filter(|output| matches!(output, Output::Persist(_))).count()
}

/// A node whose user is attached to one holder at which so much waits, and garbage for its device.
fn attached(waiting: u32) -> (Node, Envelope) {
    let mut node = node();
    let user = person(&mut node);
    let device = &node.accounts.get(user).unwrap().device;
    let (device, kem) = (device.device(), device.prekeys().kem_id);
    let body = vec![7; ENVELOPE_CLASS_MIN + TAG_BYTES];
    let garbage = Envelope::assemble(user, device, kem, &[7; ENCAPSULATION_BYTES], &body).unwrap();
    let holder = node.own.peek().unwrap().clone();
    node.inbox.set_holders(user, std::slice::from_ref(&holder), at(0));
    node.inbox.found_holders(user, at(0));
    assert!(node.inbox.proven(user, holder.node(), LinkId(2)));
    assert!(node.inbox.attached(user, holder.node(), waiting));
    (node, garbage)
}

#[test]
fn garbage_for_a_device_of_ours_leaves_no_trace() {
    let (mut node, garbage) = attached(0);
    let until = at(0).wall.plus_ms(RECORD_TTL_MAX_MS);
    let answer = node.take(bringer(1, LinkId(1)), &garbage, until, at(1));
    assert!(matches!(answer, Some(Response::Refused { .. })), "{answer:?}");
    assert_eq!(writes(&mut node), 0);
    assert!(node.inbox.poll_removals(at(60_000)).is_empty());
    assert!(!node.inbox.has_seen(garbage.id()));
    // Another holder may bring it too, and it is not tried again.
    assert!(node.inbox.has_failed(garbage.id()));
}

#[test]
fn what_waits_with_holders_comes_before_what_is_deposited_here() {
    let (mut node, letter) = attached(1);
    let until = at(0).wall.plus_ms(RECORD_TTL_MAX_MS);
    let mut refused = |link, now| match node.take(bringer(1, link), &letter, until, now) {
        Some(Response::Refused { reason, .. }) => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(LinkId(1), at(1)), Refusal::Busy);
    // What a daemon sends to itself is opened, and so is everything after a while.
    assert_eq!(refused(SELF, at(2)), Refusal::Malformed);
    assert_eq!(refused(LinkId(1), at(CATCH_UP_MS)), Refusal::Malformed);
}

#[test]
fn garbage_has_a_pace_by_node_whatever_the_link_and_our_own_mail_has_none() {
    let mut node = node();
    let user = person(&mut node);
    let device = &node.accounts.get(user).unwrap().device;
    let (device, kem) = (device.device(), device.prekeys().kem_id);
    let until = at(0).wall.plus_ms(RECORD_TTL_MAX_MS);
    let mut bring = |from: u8, link: LinkId, kem: u32, number: u64| {
        let mut body = vec![7; ENVELOPE_CLASS_MIN + TAG_BYTES];
        body[..8].copy_from_slice(&number.to_be_bytes());
        let garbage = Envelope::assemble(user, device, kem, &[7; ENCAPSULATION_BYTES], &body);
        let answer = node.take(bringer(from, link), &garbage.unwrap(), until, at(1));
        let Some(Response::Refused { reason, .. }) = answer else { panic!("{answer:?}") };
        reason
    };
    // What is sealed to a key that is not here costs nothing.
    for number in 0..2 * GARBAGE_TOKENS_PER_NODE_MAX {
        assert_eq!(bring(1, LinkId(1), kem.wrapping_add(1), number), Refusal::Malformed);
    }
    for number in 0..GARBAGE_TOKENS_PER_NODE_MAX {
        assert_eq!(bring(1, LinkId(number), kem, number), Refusal::Malformed);
    }
    assert_eq!(bring(1, LinkId(1_000), kem, 1_000), Refusal::Busy);
    assert_eq!(bring(2, LinkId(1_001), kem, 1_000), Refusal::Malformed);
    for number in 0..2 * GARBAGE_TOKENS_PER_NODE_MAX {
        assert_eq!(bring(1, SELF, kem, number), Refusal::Malformed);
    }
}

#[test]
fn sessions_of_strangers_give_way_to_new_ones() {
    let mut node = node();
    let user = UserId([1; 20]);
    for number in 0..=SESSIONS_MAX {
        let mut device = [0; 32];
        device[..8].copy_from_slice(&number.to_be_bytes());
        node.keep_sessions(user, DeviceKey(device), Sessions::new());
    }
    assert_eq!(node.sessions.len(), SESSIONS_MAX);
    assert_eq!(writes(&mut node), 1);
}

fn user_record(account: &Account, revoked: Vec<DeviceKey>) -> Record {
    let body = UserBody {
        devices: vec![account.certify(Signer::new(8).device())],
        revoked,
        pods: Vec::new(),
    };
    let now = at(0).wall;
    let record = RecordBody {
        suite: SUITE,
        network: network(),
        kind: RecordKind::User,
        signer: RecordSigner::Account { account: account.key.clone() },
        sequence: 1,
        created: now,
        expires: now.plus_ms(RECORD_TTL_MAX_MS),
        body: ByteBuf::from(encode(&body)),
    };
    Unverified::sign(&record, |digest| account.sign(digest))
}

/// Asks a node for a challenge and answers it as a device.
fn attach(node: &mut Node, account: &Account, device: &Signer) -> Response {
    let (link, from, user) = (LinkId(1), NodeId([1; 20]), account.key.user());
    let challenge = node.serve(link, from, &Request::Attach { user }, at(0));
    let Response::Challenge { nonce } = challenge else { panic!("{challenge:?}") };
    let binding = ByteBuf::from(vec![0; 32]);
    let proof = AttachProof { user, device: device.device(), holder: node.id, nonce, binding };
    let request = Request::Prove {
        account: account.key.clone(),
        certificate: account.certify(device.device()),
        proof: Unverified::sign(&proof, |digest| device.sign(digest)),
    };
    node.serve(link, from, &request, at(0))
}

#[test]
fn a_revoked_device_is_detached_and_attaches_no_more() {
    let mut node = node();
    let (account, device) = (Account::of(0), Signer::new(7));
    let answer = attach(&mut node, account, &device);
    assert!(matches!(answer, Response::Attached { .. }), "{answer:?}");
    assert_eq!(node.mailbox.attached_count(), 1);

    let record = user_record(account, vec![device.device()]);
    let put = Request::PutRecord { record };
    let answer = node.serve(LinkId(2), NodeId([2; 20]), &put, at(0));
    assert_eq!(answer, Response::Done);
    assert_eq!(node.mailbox.attached_count(), 0);

    let answer = attach(&mut node, account, &device);
    let Response::Refused { reason, .. } = answer else { panic!("{answer:?}") };
    assert_eq!(reason, Refusal::BadSignature);
    let answer = attach(&mut node, account, &Signer::new(8));
    assert!(matches!(answer, Response::Attached { .. }), "{answer:?}");
}

/// What a pod far from a user finds when it looks for the user's record.
fn find(node: &mut Node, user: UserId, records: &[Record]) {
    let verify = |record| verify_record(record, network(), at(0).wall).unwrap();
    let records: Vec<_> = records.iter().map(verify).collect();
    node.handle_checked(user, &records);
}

#[test]
fn a_node_that_does_not_hold_the_record_looks_it_up_and_detaches_what_it_revokes() {
    for (record, stays) in [
        (None, true),
        // Signer 7 is revoked, or not named; 8 is named.
        (Some(user_record(Account::of(0), vec![Signer::new(7).device()])), false),
        (Some(user_record(Account::of(0), Vec::new())), false),
    ] {
        let mut node = node();
        let account = Account::of(0);
        let user = account.key.user();
        for number in [7, 8] {
            let answer = attach(&mut node, account, &Signer::new(number));
            assert!(matches!(answer, Response::Attached { .. }), "{answer:?}");
        }
        let looks = |why: &&Lookup| matches!(why, Lookup::Attached { user: of } if *of == user);
        assert_eq!(node.lookups.values().filter(looks).count(), 1, "once for both");
        find(&mut node, user, record.as_slice());
        assert_eq!(node.mailbox.attached_count(), if stays { 2 } else { 1 });
        let again = attach(&mut node, account, &Signer::new(7));
        assert_eq!(matches!(again, Response::Attached { .. }), stays, "{again:?}");
        let named = attach(&mut node, account, &Signer::new(8));
        assert!(matches!(named, Response::Attached { .. }), "{named:?}");
        // A record that speaks for the device again lets it in at the next look.
        find(&mut node, user, &[]);
        assert_eq!(node.mailbox.attached_count(), if stays { 2 } else { 1 });
    }
}

#[test]
fn the_record_of_somebody_else_says_nothing() {
    let mut node = node();
    let (account, other) = (Account::of(0), Account::of(1));
    attach(&mut node, account, &Signer::new(7));
    let record = user_record(other, vec![Signer::new(7).device()]);
    find(&mut node, account.key.user(), &[record]);
    assert_eq!(node.mailbox.attached_count(), 1);
}

#[test]
fn a_holder_refuses_a_flood_of_one_node_and_names_the_share() {
    let mut node = node();
    let (user, until) = (UserId([5; 20]), at(0).wall.plus_ms(RECORD_TTL_MAX_MS));
    let mut deposit = |from: u8, number: u32| {
        let mut sealed = vec![0; ENVELOPE_CLASS_MIN + TAG_BYTES];
        sealed[..4].copy_from_slice(&number.to_be_bytes());
        let device = DeviceKey([6; 32]);
        let envelope = Envelope::assemble(user, device, 1, &[7; ENCAPSULATION_BYTES], &sealed);
        let envelope = envelope.unwrap();
        // That a node says that it repairs makes it no neighbour.
        let request = Request::Deposit { envelope, until, repair: true };
        node.serve(LinkId(u64::from(from)), NodeId([from; 20]), &request, at(0))
    };
    let mut answers = (0..500).map(|number| deposit(1, number));
    let refused = answers.find(|answer| !matches!(answer, Response::Receipt { .. }));
    let Some(Response::Refused { reason, detail }) = refused else { panic!("{refused:?}") };
    assert_eq!(reason, Refusal::Full);
    assert_eq!(detail, "your node has its share of this user's room");
    assert!(matches!(deposit(2, 1_000), Response::Receipt { .. }));
}

/// A letter of one account of a node to another.
fn letter(node: &mut Node, from: UserId, to: UserId) -> Envelope {
    let account = node.accounts.get(to).unwrap();
    let (party, identity) = (account.party(), account.device.identity());
    let prekeys = account.device.prekeys();
    let recipient = Recipient {
        party,
        identity,
        kem_id: prekeys.kem_id,
        kem: prekeys.kem.to_vec(),
        opening_key: prekeys.fallback.as_slice().try_into().unwrap(),
    };
    let own = node.accounts.get_mut(from).unwrap();
    let content = Content::Resend(Vec::new());
    let letter = Letter { from: own.party(), to: party, from_head: 1, to_head: 1, content };
    let random = node.out.random();
    crypto::seal(&own.own(), &mut Sessions::new(), &recipient, &letter, random).unwrap()
}

#[test]
fn a_letter_that_a_holder_hands_on_makes_its_node_no_node_of_a_contact() {
    for repair in [false, true] {
        let mut node = node();
        person(&mut node);
        person(&mut node);
        let (alice, bob) = (node.accounts.users()[0], node.accounts.users()[1]);
        node.book.wrote_to(bob, alice, &mut node.out);
        assert_eq!(node.book.standing(bob, alice), Some(Standing::Accepted));
        let envelope = letter(&mut node, alice, bob);
        let until = at(0).wall.plus_ms(RECORD_TTL_MAX_MS);
        let by = Bringer { repair, ..bringer(8, LinkId(8)) };
        let answer = node.take(by, &envelope, until, at(1));
        assert!(matches!(answer, Some(Response::Receipt { .. })), "{answer:?}");
        for other in 0..GARBAGE_TOKENS_MAX {
            let from = bringer(u8::try_from(20 + other % 200).unwrap(), LinkId(other));
            node.links.tried(from.link, from.node, Tried::InVain, at(1));
        }
        assert_eq!(node.links.may_try(LinkId(8), by.node, at(1)), !repair);
    }
}
