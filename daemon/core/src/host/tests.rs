//! Hosts against hand-made answers.

use bytchat_proto::id::NetworkId;
use bytchat_proto::key::NodeKey;
use bytchat_proto::timestamp::Timestamp;
use serde_bytes::ByteBuf;

use super::*;

fn now(ms: u64) -> Now {
    Now { mono: Mono(ms), wall: Timestamp(ms) }
}

const ME: Caller = Caller { uid: 1 };
const OTHER: Caller = Caller { uid: 2 };

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
    hosts.find(&host(), (ME, 7), now(ms), out);
    reach(hosts, out, at, who, ms);
}

/// Answers the name of the pod and its dial.
fn reach(hosts: &mut Hosts<u8>, out: &mut Outputs, at: PodAddress, who: &NodeRecord, ms: u64) {
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
    hosts.find(&host(), (ME, 8), now(2), &mut out);
    assert!(matches!(hosts.poll_event(), Some(Event::Found { purpose: 8, .. })));
}

#[test]
fn after_new_settings_a_known_pod_is_looked_for_anew_and_its_pin_stays() {
    let (mut hosts, mut out) = (Hosts::default(), Outputs::new([0; 32]));
    ask(&mut hosts, &mut out, address(None), &node(1, "pod.test"), 1);
    assert!(matches!(hosts.poll_event(), Some(Event::Found { purpose: 7, .. })));
    hosts.forget();
    ask(&mut hosts, &mut out, address(None), &node(2, "pod.test"), 2);
    let Some(Event::Failed { error: HostError::Changed { .. }, .. }) = hosts.poll_event() else {
        panic!("the old place or another node was believed");
    };
}

#[test]
fn another_node_behind_a_pinned_name_is_not_believed() {
    let (mut hosts, mut out) = (Hosts::default(), Outputs::new([0; 32]));
    hosts.restore(ME, host(), Some(node(1, "pod.test").node()));
    ask(&mut hosts, &mut out, address(None), &node(2, "pod.test"), 1);
    let Some(Event::Failed { error: HostError::Changed { .. }, .. }) = hosts.poll_event() else {
        panic!("the change was followed");
    };
}

#[test]
fn a_person_s_decision_lets_another_node_be_pinned() {
    let (mut hosts, mut out) = (Hosts::default(), Outputs::new([0; 32]));
    hosts.restore(ME, host(), Some(node(1, "pod.test").node()));
    assert!(!hosts.has_changed(ME, &host()));
    ask(&mut hosts, &mut out, address(None), &node(2, "pod.test"), 1);
    assert!(matches!(hosts.poll_event(), Some(Event::Failed { .. })));
    assert!(hosts.has_changed(ME, &host()));
    hosts.unpin(ME, &host(), &mut out);
    assert!(!hosts.has_changed(ME, &host()));
    hosts.find(&host(), (ME, 8), now(2), &mut out);
    assert!(matches!(hosts.poll_event(), Some(Event::Found { purpose: 8, .. })));
}

#[test]
fn the_operators_own_entry_moves_a_pin() {
    let (mut hosts, mut out) = (Hosts::default(), Outputs::new([0; 32]));
    hosts.restore(ME, host(), Some(node(1, "pod.test").node()));
    let configured = PodAddress { trusted: true, ..address(Some(node(2, "pod.test").node())) };
    ask(&mut hosts, &mut out, configured, &node(2, "pod.test"), 1);
    assert!(matches!(hosts.poll_event(), Some(Event::Found { .. })));
}

#[test]
fn a_node_that_only_dns_names_moves_no_pin() {
    let (mut hosts, mut out) = (Hosts::default(), Outputs::new([0; 32]));
    hosts.restore(ME, host(), Some(node(1, "pod.test").node()));
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
    hosts.find(&host(), (ME, 1), now(0), &mut out);
    hosts.resolved(&host(), Err("no such name".to_owned()), now(0));
    hosts.find(&host(), (ME, 2), now(1), &mut out);
    for expected in [1, 2] {
        let Some(Event::Failed { purpose, .. }) = hosts.poll_event() else { panic!("no news") };
        assert_eq!(purpose, expected);
    }
    while out.poll().is_some() {}
    hosts.find(&host(), (ME, 3), now(HOST_RETRY_MS), &mut out);
    assert!(matches!(out.poll(), Some(Output::Resolve { .. })));
}

#[test]
fn who_trusts_another_node_does_so_for_itself_alone() {
    let (mut hosts, mut out) = (Hosts::default(), Outputs::new([0; 32]));
    let (old, new) = (node(1, "pod.test"), node(2, "pod.test"));
    hosts.restore(ME, host(), Some(old.node()));
    hosts.restore(OTHER, host(), Some(old.node()));
    ask(&mut hosts, &mut out, address(None), &new, 1);
    assert!(matches!(hosts.poll_event(), Some(Event::Failed { .. })));
    hosts.unpin(ME, &host(), &mut out);
    hosts.find(&host(), (ME, 8), now(2), &mut out);
    assert!(matches!(hosts.poll_event(), Some(Event::Found { purpose: 8, .. })));
    // The other one still waits for the node that it knows, and finds it when that is back.
    hosts.find(&host(), (OTHER, 9), now(3), &mut out);
    let Some(Event::Failed { purpose: 9, error: HostError::Changed { .. } }) = hosts.poll_event()
    else {
        panic!("somebody else's decision was followed");
    };
    assert!(hosts.has_changed(OTHER, &host()) && !hosts.has_changed(ME, &host()));
    let later = 1 + HOST_RETRY_MS;
    hosts.find(&host(), (OTHER, 10), now(later), &mut out);
    reach(&mut hosts, &mut out, address(None), &old, later);
    assert!(matches!(hosts.poll_event(), Some(Event::Found { purpose: 10, .. })));
}

#[test]
fn a_pod_that_has_moved_is_looked_up_again() {
    let (mut hosts, mut out) = (Hosts::default(), Outputs::new([0; 32]));
    ask(&mut hosts, &mut out, address(None), &node(1, "pod.test"), 1);
    assert!(matches!(hosts.poll_event(), Some(Event::Found { .. })));
    hosts.lost_node(node(2, "pod.test").node());
    hosts.find(&host(), (ME, 8), now(2), &mut out);
    assert!(matches!(hosts.poll_event(), Some(Event::Found { purpose: 8, .. })));
    while out.poll().is_some() {}
    hosts.lost_node(node(1, "pod.test").node());
    hosts.find(&host(), (ME, 9), now(3), &mut out);
    assert!(hosts.poll_event().is_none());
    assert!(matches!(out.poll(), Some(Output::Resolve { .. })));
}

#[test]
fn nobody_fills_the_table_of_pins_alone() {
    let (mut hosts, mut out) = (Hosts::<u8>::default(), Outputs::new([0; 32]));
    for number in 0..HOST_PINS_PER_OWNER_MAX {
        hosts.restore(ME, format!("p{number}.test").parse().unwrap(), Some(NodeId([1; 20])));
    }
    let full = hosts.pins.len();
    hosts.pin(ME, &host(), NodeId([1; 20]), &mut out);
    assert_eq!(hosts.pins.len(), full);
    hosts.pin(OTHER, &host(), NodeId([1; 20]), &mut out);
    assert_eq!(hosts.pins.len(), full + 1);
}

#[test]
fn pods_that_nobody_waits_for_give_way() {
    let (mut hosts, mut out) = (Hosts::default(), Outputs::new([0; 32]));
    let name = |number: usize| format!("p{number}.test").parse::<Host>().unwrap();
    for number in 0..HOSTS_MAX {
        hosts.find(&name(number), (ME, 1), now(0), &mut out);
    }
    hosts.find(&host(), (ME, 2), now(0), &mut out);
    let busy = hosts.poll_event();
    assert!(matches!(busy, Some(Event::Failed { error: HostError::Busy { .. }, .. })));
    assert_eq!(hosts.known.len(), HOSTS_MAX);
    hosts.resolved(&name(0), Err("no such name".to_owned()), now(0));
    hosts.find(&host(), (ME, 3), now(0), &mut out);
    assert_eq!(hosts.known.len(), HOSTS_MAX);
}

#[test]
fn a_pin_that_cannot_be_read_is_not_replaced_by_whoever_answers() {
    let (mut hosts, mut out) = (Hosts::default(), Outputs::new([0; 32]));
    hosts.restore(ME, host(), None);
    assert!(hosts.has_changed(ME, &host()));
    ask(&mut hosts, &mut out, address(None), &node(2, "pod.test"), 1);
    let Some(Event::Failed { error: HostError::Damaged { .. }, .. }) = hosts.poll_event() else {
        panic!("another node was pinned");
    };
    hosts.unpin(ME, &host(), &mut out);
    hosts.find(&host(), (ME, 8), now(2), &mut out);
    assert!(matches!(hosts.poll_event(), Some(Event::Found { purpose: 8, .. })));
}

#[test]
fn not_more_wait_for_one_pod_than_may() {
    let (mut hosts, mut out) = (Hosts::default(), Outputs::new([0; 32]));
    for _ in 0..HOST_WAITING_MAX {
        hosts.find(&host(), (ME, 1), now(1), &mut out);
        assert!(hosts.poll_event().is_none());
    }
    hosts.find(&host(), (ME, 2), now(1), &mut out);
    let refused = hosts.poll_event();
    assert!(matches!(refused, Some(Event::Failed { error: HostError::Busy { .. }, .. })));
    let other: Host = "other.test".parse().unwrap();
    hosts.find(&other, (OTHER, 3), now(1), &mut out);
    assert!(hosts.poll_event().is_none());
}
