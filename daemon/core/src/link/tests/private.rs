//! Links of a network with a key.

use super::*;

fn key(byte: u8) -> NetworkKey {
    NetworkKey::new(zeroize::Zeroizing::new([byte; 32]))
}

/// What the bench answers at first to a peer that opens a link.
fn first_word(bench: &mut Bench) -> Body {
    bench.up(&node(2, home()), None, 0);
    let Some(Output::Transmit { bytes, .. }) = bench.out.poll() else { panic!("nothing is said") };
    assert!(bench.out.poll().is_none());
    Frame::decode(&bytes).unwrap().body
}

fn proof_of(key: &NetworkKey) -> Body {
    let peer = node(2, home()).key;
    let prover =
        crate::crypto::Prover { network: home(), binding: &[0; 32], key: peer, opened: true };
    let proof = ByteBuf::from(key.prove(prover).to_vec());
    Body::NetworkProof(bytchat_proto::wire::NetworkProof { proof })
}

fn private(byte: u8) -> Bench {
    let mut bench = Bench::new();
    bench.links = bench.links.keyed(Some(key(byte)));
    bench
}

#[test]
fn in_a_private_network_nothing_is_said_before_the_other_has_proven_the_key() {
    let mut bench = private(1);
    let word = first_word(&mut bench);
    assert!(matches!(word, Body::NetworkProof(_)), "{word:?}");
    bench.frame(proof_of(&key(1)), 0, 1);
    let Some(Output::Transmit { bytes, .. }) = bench.out.poll() else { panic!("no hello") };
    assert!(matches!(Frame::decode(&bytes).unwrap().body, Body::Hello(_)));
    bench.hello(&node(2, home()), home(), 1);
    assert_eq!(bench.links.count(), 1);
}

#[test]
fn who_has_another_key_or_none_learns_no_more_than_why() {
    let hello = || {
        let peer = node(2, home());
        Body::Hello(Hello {
            version: PROTOCOL_VERSION,
            network: home(),
            contact: peer.contact,
            observed: "192.0.2.1:1".parse().unwrap(),
            frame_bytes_max: 1,
            time: None,
        })
    };
    for (word, why) in [(proof_of(&key(2)), "another network key"), (hello(), "does not prove")] {
        let mut bench = private(1);
        first_word(&mut bench);
        bench.frame(word, 0, 1);
        // Nor does the right proof help any more.
        bench.frame(proof_of(&key(1)), 0, 1);
        assert!(bench.out.poll().is_none());
        let reason = bench.ended().unwrap();
        assert!(reason.contains(why), "{reason}");
        assert_eq!(bench.links.count(), 0);
        assert_eq!(bench.links.counted().0.strangers_total, 1);
    }
}

#[test]
fn a_node_without_a_key_says_why_it_does_not_talk_to_one_with_a_key() {
    let mut bench = Bench::new();
    assert!(matches!(first_word(&mut bench), Body::Hello(_)));
    bench.frame(proof_of(&key(1)), 0, 1);
    assert!(bench.ended().unwrap().contains("this node has none"));
    assert_eq!(bench.links.counted().0.strangers_total, 1);
}

#[test]
fn our_own_proof_sent_back_proves_nothing() {
    let mut bench = private(1);
    let own = first_word(&mut bench);
    bench.frame(own, 0, 1);
    assert!(bench.ended().unwrap().contains("another network key"));
}
