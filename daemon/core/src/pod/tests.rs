//! Tests of the pod.

use bytchat_proto::binding::verify_binding;
use bytchat_proto::key::NodeKey;
use bytchat_proto::limits::{DAY_MS, HOUR_MS};

use super::*;
use crate::fixture::{Account, Signer, at};
use crate::io::Output;
use crate::persist::Write;

const HOST: &str = "pod.test";

fn pod() -> Pod {
    Pod::new(Some(HOST.parse().unwrap()))
}

fn claim(who: usize, alias: &str, sequence: u64, now: Now) -> Unverified<AliasClaim> {
    let account = Account::of(who);
    let claim = AliasClaim {
        alias: alias.parse().unwrap(),
        account: account.key.clone(),
        sequence,
        created: now.wall,
    };
    Unverified::sign(&claim, |digest| account.sign(digest))
}

fn ask(pod: &mut Pod, request: &Request, now: Now, out: &mut Outputs) -> Response {
    let node = Signer::new(200);
    let sign = |digest: &[u8; 64]| node.sign(digest);
    pod.handle_request(request, &sign, now, out).unwrap()
}

fn register(pod: &mut Pod, claim: Unverified<AliasClaim>, now: Now) -> Response {
    let request = Request::RegisterAlias { claim };
    ask(pod, &request, now, &mut Outputs::new([0; 32]))
}

fn resolve(pod: &mut Pod, alias: &str) -> Response {
    let alias = alias.parse().unwrap();
    let request = Request::ResolveAlias { alias };
    ask(pod, &request, at(0), &mut Outputs::new([0; 32]))
}

fn reason(response: &Response) -> Option<Refusal> {
    if let Response::Refused { reason, .. } = response {
        return Some(*reason);
    }
    None
}

fn binding(response: Response) -> Unverified<AliasBinding> {
    let Response::Binding { binding } = response else {
        panic!("expected a binding, got {response:?}");
    };
    binding
}

#[test]
fn an_alias_resolves_to_a_binding_with_both_signatures() {
    let mut pod = pod();
    let alice = Account::of(0);
    assert!(!pod.serves(alice.key.user()));
    let first = binding(register(&mut pod, claim(0, "alice@pod.test", 1, at(0)), at(0)));
    let found = binding(resolve(&mut pod, "Alice@pod.test"));
    assert_eq!(first, found);
    let node = NodeKey(Signer::new(200).public());
    let alias = "alice@pod.test".parse().unwrap();
    let resolved = verify_binding(&found, node, &alias).unwrap();
    assert_eq!(resolved.user, alice.key.user());
    assert_eq!(reason(&resolve(&mut pod, "bob@pod.test")), Some(Refusal::NotFound));
    assert!(pod.serves(alice.key.user()));
    assert_eq!(pod.alias_count(), 1);
}

#[test]
fn first_come_is_first_served_and_the_same_account_gets_the_same_word() {
    let mut pod = pod();
    let first = register(&mut pod, claim(0, "alice@pod.test", 5, at(0)), at(0));
    let again = register(&mut pod, claim(0, "alice@pod.test", 5, at(7)), at(7));
    let higher = register(&mut pod, claim(0, "alice@pod.test", 6, at(8)), at(8));
    assert_eq!(first, again);
    assert_eq!(first, higher);
    let lower = register(&mut pod, claim(0, "alice@pod.test", 4, at(9)), at(9));
    assert_eq!(reason(&lower), Some(Refusal::Stale));
    let other = register(&mut pod, claim(1, "alice@pod.test", 9, at(9)), at(9));
    assert_eq!(reason(&other), Some(Refusal::Taken));
    assert_eq!(pod.alias_count(), 1);
}

#[test]
fn a_claim_that_the_account_did_not_sign_is_refused() {
    let mut pod = pod();
    let bytes = claim(0, "alice@pod.test", 1, at(0)).signed_bytes().to_vec();
    let forged = Unverified::sign(&AliasClaim::clone(&decode(&bytes).unwrap()), |digest| {
        Account::of(1).sign(digest)
    });
    assert_eq!(reason(&register(&mut pod, forged, at(0))), Some(Refusal::BadSignature));
    let junk = Unverified::assemble(vec![0xff; 40], vec![0; 384]);
    assert_eq!(reason(&register(&mut pod, junk, at(0))), Some(Refusal::Malformed));
    assert_eq!(pod.alias_count(), 0);
}

#[test]
fn only_the_pod_of_the_host_registers_and_resolves() {
    let mut none = Pod::new(None);
    let mut pod = pod();
    for pod in [&mut none, &mut pod] {
        let foreign = register(pod, claim(0, "alice@other.test", 1, at(0)), at(0));
        assert_eq!(reason(&foreign), Some(Refusal::NotPod));
        let asked = resolve(pod, "alice@other.test");
        assert_eq!(reason(&asked), Some(Refusal::NotPod));
    }
    assert_eq!(reason(&resolve(&mut none, "alice@pod.test")), Some(Refusal::NotPod));
}

#[test]
fn old_claims_and_claims_from_the_future_are_refused() {
    let mut pod = pod();
    let old = claim(0, "old@pod.test", 1, at(0));
    let late = at(DAY_MS + 1);
    assert_eq!(reason(&register(&mut pod, old.clone(), late)), Some(Refusal::Expired));
    let future = claim(0, "new@pod.test", 1, at(HOUR_MS));
    assert_eq!(reason(&register(&mut pod, future, at(0))), Some(Refusal::Malformed));
    let first = binding(register(&mut pod, old.clone(), at(DAY_MS)));
    assert_eq!(binding(register(&mut pod, old, late)), first);
}

#[test]
fn an_account_registers_a_few_aliases_and_a_pod_so_many() {
    let mut pod = pod();
    for number in 0..ALIASES_PER_USER_MAX {
        let claim = claim(0, &format!("a{number}@pod.test"), 1, at(0));
        binding(register(&mut pod, claim, at(0)));
    }
    let more = register(&mut pod, claim(0, "more@pod.test", 1, at(0)), at(0));
    assert_eq!(reason(&more), Some(Refusal::Full));
    pod.aliases_max = ALIASES_PER_USER_MAX + 1;
    binding(register(&mut pod, claim(1, "bob@pod.test", 1, at(0)), at(0)));
    let full = register(&mut pod, claim(1, "bob2@pod.test", 1, at(0)), at(0));
    assert_eq!(reason(&full), Some(Refusal::Full));
    assert_eq!(pod.alias_count(), ALIASES_PER_USER_MAX + 1);
}

#[test]
fn aliases_come_back_from_the_disk_and_malformed_rows_do_not() {
    let mut before = pod();
    let mut out = Outputs::new([0; 32]);
    let claim = claim(0, "alice@pod.test", 3, at(0));
    let request = Request::RegisterAlias { claim };
    let first = ask(&mut before, &request, at(0), &mut out);
    let Some(Output::Persist(writes)) = out.poll() else {
        panic!("the binding is not persisted");
    };
    let mut after = pod();
    for write in writes {
        let Write::Put { table, key, value } = write else {
            panic!("expected a row, got {write:?}");
        };
        assert_eq!(table, Table::Alias);
        after.restore(&key, &value[..value.len() - 1]);
        after.restore(b"no alias", &value);
        after.restore(b"alice@other.test", &value);
        assert_eq!(after.alias_count(), 0);
        after.restore(&key, &value);
        after.restore(&key, &value);
    }
    assert_eq!(resolve(&mut after, "alice@pod.test"), first);
    assert_eq!(after.alias_count(), 1);
    assert_eq!(after.users.get(&Account::of(0).key.user()), Some(&1));
}

#[test]
fn other_verbs_are_not_the_pods() {
    let node = Signer::new(200);
    let sign = |digest: &[u8; 64]| node.sign(digest);
    let mut out = Outputs::new([0; 32]);
    let answer = pod().handle_request(&Request::Ping, &sign, at(0), &mut out);
    assert_eq!(answer, None);
}

#[test]
fn an_alias_whose_row_is_damaged_is_given_to_nobody_else() {
    let mut pod = pod();
    pod.restore(b"alice@pod.test", b"damaged");
    let refused = register(&mut pod, claim(1, "alice@pod.test", 1, at(0)), at(0));
    assert_eq!(reason(&refused), Some(Refusal::Taken));
    assert_eq!(reason(&resolve(&mut pod, "alice@pod.test")), Some(Refusal::Busy));
    assert_eq!(pod.alias_count(), 0);
}
