//! Hosts against hand-made answers.

use bytchat_proto::id::NetworkId;
use bytchat_proto::key::NodeKey;
use bytchat_proto::timestamp::Timestamp;
use serde_bytes::ByteBuf;

use super::*;

fn now(ms: u64) -> Now {
    Now { mono: Mono(ms), wall: Timestamp(ms) }
}

fn host() -> Host {
    "pod.test".parse().unwrap()
}

fn node(number: u8, pod: &str) -> NodeRecord {
    NodeRecord {
        network: NetworkId([0; 32]),
        key: NodeKey([number; 32]),
        stamp: ByteBuf::new(),
        addresses: vec![],
        pod: Some(pod.parse().unwrap()),
        sequence: 1,
    }
}

fn address(node: Option<NodeId>) -> PodAddress {
    PodAddress { address: "127.0.0.1:1".parse().unwrap(), node, trusted: false }
}

/// Asks for the pod and answers its name and its dial.
fn ask(hosts: &mut Hosts<u8>, out: &mut Outputs, at: PodAddress, who: &NodeRecord, ms: u64) {
    hosts.find(&host(), 7, now(ms), out);
    hosts.resolved(&host(), Ok(vec![at]), now(ms));
    assert!(matches!(hosts.poll_event(), Some(Event::Dial { .. })));
    hosts.dialling(&host(), Some(DialId(ms)), now(ms));
    hosts.arrived(Some(DialId(ms)), who, now(ms), out);
}

#[test]
fn a_pod_is_found_once_and_then_known() {
    let (mut hosts, mut out) = (Hosts::default(), Outputs::new([0; 32]));
    ask(&mut hosts, &mut out, address(None), &node(1, "pod.test"), 1);
    assert!(matches!(hosts.poll_event(), Some(Event::Found { purpose: 7, .. })));
    hosts.find(&host(), 8, now(2), &mut out);
    assert!(matches!(hosts.poll_event(), Some(Event::Found { purpose: 8, .. })));
}

#[test]
fn another_node_behind_a_pinned_name_is_not_believed() {
    let (mut hosts, mut out) = (Hosts::default(), Outputs::new([0; 32]));
    hosts.restore(host(), node(1, "pod.test").node());
    ask(&mut hosts, &mut out, address(None), &node(2, "pod.test"), 1);
    let Some(Event::Failed { error: HostError::Changed { .. }, .. }) = hosts.poll_event() else {
        panic!("the change was followed");
    };
}

#[test]
fn the_operators_own_entry_moves_a_pin() {
    let (mut hosts, mut out) = (Hosts::default(), Outputs::new([0; 32]));
    hosts.restore(host(), node(1, "pod.test").node());
    let configured = PodAddress { trusted: true, ..address(Some(node(2, "pod.test").node())) };
    ask(&mut hosts, &mut out, configured, &node(2, "pod.test"), 1);
    assert!(matches!(hosts.poll_event(), Some(Event::Found { .. })));
}

#[test]
fn a_node_that_only_dns_names_moves_no_pin() {
    let (mut hosts, mut out) = (Hosts::default(), Outputs::new([0; 32]));
    hosts.restore(host(), node(1, "pod.test").node());
    let named = address(Some(node(2, "pod.test").node()));
    ask(&mut hosts, &mut out, named, &node(2, "pod.test"), 1);
    let Some(Event::Failed { error: HostError::Changed { .. }, .. }) = hosts.poll_event() else {
        panic!("DNS moved the pin");
    };
    while let Some(output) = out.poll() {
        assert!(!matches!(output, Output::Persist(_)));
    }
}

#[test]
fn a_node_that_is_no_such_pod_is_passed_over() {
    let (mut hosts, mut out) = (Hosts::default(), Outputs::new([0; 32]));
    ask(&mut hosts, &mut out, address(None), &node(1, "other.test"), 1);
    let Some(Event::Failed { error: HostError::Unreachable { .. }, .. }) = hosts.poll_event()
    else {
        panic!("another pod was believed");
    };
}

#[test]
fn a_name_that_fails_is_not_looked_up_again_at_once() {
    let (mut hosts, mut out) = (Hosts::default(), Outputs::new([0; 32]));
    hosts.find(&host(), 1, now(0), &mut out);
    hosts.resolved(&host(), Err("no such name".to_owned()), now(0));
    hosts.find(&host(), 2, now(1), &mut out);
    for expected in [1, 2] {
        let Some(Event::Failed { purpose, .. }) = hosts.poll_event() else { panic!("no news") };
        assert_eq!(purpose, expected);
    }
    while out.poll().is_some() {}
    hosts.find(&host(), 3, now(HOST_RETRY_MS), &mut out);
    assert!(matches!(out.poll(), Some(Output::Resolve { .. })));
}
