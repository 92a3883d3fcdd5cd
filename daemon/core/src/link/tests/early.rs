//! What is asked before the other end has said hello.

use super::*;

/// Dials the peer for a ping and one request that changes something.
fn dialling(bench: &mut Bench) -> DialId {
    bench.ping(0);
    let to = Target { node: node(2, home()).record.node(), record: node(2, home()).record };
    let request = Request::TakeKeys { user: UserId([1; 20]) };
    let ask = NewAsk { request, token: "keys", timeout_ms: REQUEST_TIMEOUT_MS };
    bench.links.request(&to, ask, now(0), &mut bench.out);
    let Some(Output::Dial { dial, .. }) = bench.out.poll() else { panic!("no dial") };
    dial
}

fn said(bench: &mut Bench) -> Vec<Body> {
    let all = std::iter::from_fn(|| bench.out.poll());
    let sent = all.filter_map(|output| {
        let Output::Transmit { bytes, .. } = output else { return None };
        Some(Frame::decode(&bytes).unwrap().body)
    });
    sent.collect()
}

#[test]
fn what_changes_nothing_goes_with_our_hello_and_the_rest_after_theirs() {
    let mut bench = Bench::new();
    let dial = dialling(&mut bench);
    let peer = node(2, home());
    bench.up(&peer, Some(dial), 5);
    let first = said(&mut bench);
    assert!(matches!(&first[..], [Body::Hello(_), Body::Request(Request::Ping)]), "{first:?}");
    // An answer may overtake the hello of who gives it.
    bench.frame(Body::Response(Response::Done), 1, 25);
    let answer = bench.links.poll_event();
    assert!(
        matches!(answer, Some(Event::Answer { token: "ping", result: Ok(_), rtt_ms: 20, .. })),
        "{answer:?}"
    );
    bench.hello(&peer, home(), 26);
    assert!(matches!(bench.links.poll_event(), Some(Event::Up { .. })));
    let second = said(&mut bench);
    assert!(matches!(&second[..], [Body::Request(Request::TakeKeys { .. })]), "{second:?}");
}

#[test]
fn what_was_asked_early_waits_for_the_next_address_and_is_asked_once_over_each_link() {
    let mut bench = Bench::new();
    let dial = dialling(&mut bench);
    let peer = node(2, home());
    bench.up(&peer, Some(dial), 5);
    said(&mut bench);
    bench.links.link_down(LINK, now(6), &mut bench.out);
    let Some(Output::Dial { dial, .. }) = bench.out.poll() else { panic!("no second dial") };
    assert!(bench.links.poll_event().is_none());
    bench.up(&peer, Some(dial), 7);
    let again = said(&mut bench);
    assert!(matches!(&again[..], [Body::Hello(_), Body::Request(Request::Ping)]), "{again:?}");
    bench.links.link_down(LINK, now(8), &mut bench.out);
    let failed: Vec<_> = std::iter::from_fn(|| bench.links.poll_event()).collect();
    let unreachable = |event: &&Event<&str>| {
        matches!(event, Event::Answer { result: Err(Failure::Unreachable), .. })
    };
    assert_eq!(failed.iter().filter(unreachable).count(), 2, "{failed:?}");
}

#[test]
fn nothing_is_asked_early_of_another_key_or_in_a_network_with_a_key() {
    let mut bench = Bench::new();
    let dial = dialling(&mut bench);
    bench.up(&node(3, home()), Some(dial), 5);
    let other = said(&mut bench);
    assert!(matches!(&other[..], [Body::Hello(_)]), "{other:?}");

    let mut bench = Bench::new();
    let key = NetworkKey::new(zeroize::Zeroizing::new([1; 32]));
    bench.links = bench.links.keyed(Some(key));
    let dial = dialling(&mut bench);
    bench.up(&node(2, home()), Some(dial), 5);
    let word = said(&mut bench);
    assert!(matches!(&word[..], [Body::NetworkProof(_)]), "{word:?}");
    // A response that nobody waits for before hello ends the link, as ever.
    bench.frame(Body::Response(Response::Done), 1, 1);
    assert!(bench.ended().is_some());
}

#[test]
fn a_dialled_key_that_stands_for_another_node_has_not_answered() {
    let mut bench = Bench::new();
    let dial = dialling(&mut bench);
    bench.up(&node(2, home()), Some(dial), 5);
    said(&mut bench);
    // The same key with another stamp is another node.
    let pair = Ed25519KeyPair::from_seed_unchecked(&[2; 32]).unwrap();
    let mut other = node(2, home());
    other.record.stamp = ByteBuf::from(vec![9]);
    other.contact = Unverified::sign(&other.record, |digest| pair.sign(digest).as_ref().to_vec());
    assert_ne!(other.record.node(), node(2, home()).record.node());
    bench.hello(&other, home(), 6);
    let sent = std::iter::from_fn(|| bench.out.poll());
    assert_eq!(sent.filter(|it| matches!(it, Output::Dial { .. })).count(), 1);
    bench.frame(Body::Response(Response::Done), 1, 7);
    let events: Vec<_> = std::iter::from_fn(|| bench.links.poll_event()).collect();
    assert!(matches!(&events[..], [Event::Up { .. }]), "{events:?}");
}
