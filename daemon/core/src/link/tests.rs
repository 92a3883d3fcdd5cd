//! Links against hand-made peers.

mod early;
mod private;

use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use bytchat_proto::envelope::{ENCAPSULATION_BYTES, Envelope, TAG_BYTES};
use bytchat_proto::id::{NetworkId, UserId};
use bytchat_proto::key::DeviceKey;
use bytchat_proto::limits::ENVELOPE_CLASS_MIN;
use bytchat_proto::limits::{
    DELIVERIES_WAITING_PER_NODE_MAX, DELIVERY_TOKENS_MAX, DELIVERY_TOKENS_PER_SECOND,
    DIAL_TIMEOUT_MS, DIALS_BURST_PER_ADDRESS, FRAMES_WAITING_PER_NODE_MAX, PROTOCOL_VERSION,
    REQUEST_ANSWER_BYTES_PER_TOKEN, REQUEST_BUDGETS_MAX, REQUEST_TIMEOUT_MS, REQUEST_TOKENS_MAX,
    REQUESTS_PER_LINK_MAX, STRANGER_LINGER_MS,
};
use bytchat_proto::timestamp::Timestamp;
use bytchat_proto::unverified::Unverified;
use serde_bytes::ByteBuf;

use bytchat_proto::record::NodeRecord;
use bytchat_proto::rpc::node::Refusals;
use bytchat_proto::wire::{Delivery, Hello, Request};

use super::*;

const LINK: LinkId = LinkId(1);

fn now(ms: u64) -> Now {
    Now { mono: Mono(ms), wall: Timestamp(ms) }
}

struct Node {
    key: NodeKey,
    contact: Contact,
    record: NodeRecord,
}

fn node(seed: u8, network: NetworkId) -> Node {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
    let key = NodeKey::from_slice(pair.public_key().as_ref()).unwrap();
    let record = NodeRecord {
        network,
        key,
        stamp: ByteBuf::new(),
        addresses: vec!["127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap()],
        pod: None,
        sequence: 1,
    };
    let contact = Unverified::sign(&record, |digest| pair.sign(digest).as_ref().to_vec());
    Node { key, contact, record }
}

fn home() -> NetworkId {
    NetworkId::of_name("home")
}

struct Bench {
    links: Links<&'static str>,
    out: Outputs,
}

impl Bench {
    fn new() -> Self {
        let own = node(1, home());
        Self { links: Links::new(home(), own.key, own.contact), out: Outputs::new([0; 32]) }
    }

    fn up(&mut self, peer: &Node, dial: Option<DialId>, ms: u64) {
        let address = peer.record.addresses[0];
        let up = Up { key: peer.key, address, binding: [0; 32], dial };
        self.links.link_up(LINK, up, now(ms), &mut self.out);
    }

    fn frame(&mut self, body: Body, id: u64, ms: u64) {
        let bytes = body.with_id(id).encode();
        self.links.handle_frame(LINK, &bytes, now(ms), &mut self.out);
    }

    fn hello(&mut self, peer: &Node, network: NetworkId, ms: u64) {
        let hello = Hello {
            version: PROTOCOL_VERSION,
            network,
            contact: peer.contact.clone(),
            observed: "127.0.0.1:9".parse().unwrap(),
            frame_bytes_max: 1,
            time: None,
        };
        self.frame(Body::Hello(hello), 0, ms);
    }

    fn joined() -> Self {
        let mut bench = Self::new();
        let peer = node(2, home());
        bench.up(&peer, None, 0);
        bench.hello(&peer, home(), 0);
        assert!(matches!(bench.links.poll_event(), Some(Event::Up { .. })));
        while bench.out.poll().is_some() {}
        bench
    }

    fn ping(&mut self, ms: u64) {
        let to = Target { node: node(2, home()).record.node(), record: node(2, home()).record };
        let ask = NewAsk { request: Request::Ping, token: "ping", timeout_ms: REQUEST_TIMEOUT_MS };
        self.links.request(&to, ask, now(ms), &mut self.out);
    }

    /// Why the link to a stranger ends, a moment later.
    fn ended(&mut self) -> Option<String> {
        self.links.handle_timeout(now(1 + STRANGER_LINGER_MS), &mut self.out);
        self.closed()
    }

    fn closed(&mut self) -> Option<String> {
        std::iter::from_fn(|| self.out.poll()).find_map(|output| {
            let Output::Close { reason, .. } = output else {
                return None;
            };
            Some(reason)
        })
    }
}

#[test]
fn a_peer_of_another_network_is_turned_away() {
    let mut bench = Bench::new();
    let other = NetworkId::of_name("other");
    let peer = node(2, other);
    bench.up(&peer, None, 0);
    bench.hello(&peer, other, 0);
    assert!(bench.ended().unwrap().contains("peer belongs to network"));
    assert_eq!(bench.links.count(), 0);
    let (counted, _) = bench.links.counted();
    assert_eq!((counted.strangers_total, counted.banned_total), (1, 0));
}

#[test]
fn a_hello_with_another_key_than_the_links_is_refused() {
    let mut bench = Bench::new();
    bench.up(&node(2, home()), None, 0);
    bench.hello(&node(3, home()), home(), 0);
    assert!(bench.closed().unwrap().contains("the link proved"));
    assert_eq!(bench.links.counted().0.banned_total, 1);
}

#[test]
fn a_link_to_myself_is_closed() {
    let mut bench = Bench::new();
    bench.up(&node(1, home()), None, 0);
    assert_eq!(bench.closed().unwrap(), "this is myself");
}

#[test]
fn nothing_may_come_before_hello_and_hello_comes_once() {
    let mut bench = Bench::new();
    bench.up(&node(2, home()), None, 0);
    bench.frame(Body::Request(Request::Ping), 1, 0);
    assert_eq!(bench.closed().unwrap(), "the first frame is not hello");
    let mut bench = Bench::joined();
    bench.hello(&node(2, home()), home(), 0);
    assert_eq!(bench.closed().unwrap(), "hello was said twice");
}

#[test]
fn a_silent_peer_is_given_up() {
    let mut bench = Bench::new();
    bench.up(&node(2, home()), None, 0);
    let at = bench.links.poll_timeout().unwrap().at;
    bench.links.handle_timeout(now(at.0), &mut bench.out);
    assert_eq!(bench.closed().unwrap(), "hello did not come");
}

#[test]
fn an_answer_finds_its_request_once() {
    let mut bench = Bench::joined();
    bench.ping(10);
    bench.frame(Body::Response(Response::Done), 1, 35);
    bench.frame(Body::Response(Response::Done), 1, 36);
    let Some(Event::Answer { token: "ping", result: Ok(Response::Done), rtt_ms: 25, .. }) =
        bench.links.poll_event()
    else {
        panic!("no answer");
    };
    assert!(bench.links.poll_event().is_none());
}

#[test]
fn a_request_without_answer_times_out_and_a_lost_link_answers_at_once() {
    let mut bench = Bench::joined();
    bench.ping(0);
    bench.links.handle_timeout(now(REQUEST_TIMEOUT_MS), &mut bench.out);
    let timed_out = bench.links.poll_event();
    assert!(matches!(timed_out, Some(Event::Answer { result: Err(Failure::TimedOut), .. })));
    bench.ping(0);
    bench.links.link_down(LINK, now(1), &mut bench.out);
    let lost = bench.links.poll_event();
    assert!(matches!(lost, Some(Event::Answer { result: Err(Failure::Broken), .. })));
    assert!(matches!(bench.links.poll_event(), Some(Event::Down { .. })));
}

#[test]
fn too_many_requests_on_one_link_are_refused() {
    let mut bench = Bench::joined();
    for _ in 0..=REQUESTS_PER_LINK_MAX {
        bench.ping(0);
    }
    let busy = bench.links.poll_event();
    assert!(matches!(busy, Some(Event::Answer { result: Err(Failure::Busy), .. })));
    assert!(bench.links.poll_event().is_none());
}

#[test]
fn a_node_that_is_asked_is_dialled_at_each_address_in_turn() {
    let mut bench = Bench::new();
    bench.ping(0);
    bench.ping(0);
    let mut dialled = Vec::new();
    while let Some(Output::Dial { dial, address, .. }) = bench.out.poll() {
        dialled.push(address.port());
        bench.links.dial_failed(dial, now(1), &mut bench.out);
    }
    assert_eq!(dialled, [1, 2]);
    for _ in 0..2 {
        let answer = bench.links.poll_event();
        assert!(matches!(answer, Some(Event::Answer { result: Err(Failure::Unreachable), .. })));
    }
    assert!(matches!(bench.links.poll_event(), Some(Event::Unreachable { .. })));
}

#[test]
fn what_waited_for_a_link_goes_when_the_peer_says_hello() {
    let mut bench = Bench::new();
    bench.ping(0);
    let Some(Output::Dial { dial, .. }) = bench.out.poll() else { panic!("no dial") };
    let peer = node(2, home());
    bench.up(&peer, Some(dial), 5);
    bench.hello(&peer, home(), 6);
    bench.frame(Body::Response(Response::Done), 1, 7);
    assert!(matches!(bench.links.poll_event(), Some(Event::Up { .. })));
    assert!(matches!(bench.links.poll_event(), Some(Event::Answer { result: Ok(_), .. })));
    bench.links.handle_timeout(now(6 + DIAL_TIMEOUT_MS), &mut bench.out);
    assert!(bench.links.poll_event().is_none());
}

#[test]
fn an_unknown_verb_is_refused_and_the_link_kept_but_not_for_ever() {
    let mut bench = Bench::joined();
    let strange =
        bytchat_proto::codec::encode(&serde_json::json!({"id": 7, "body": {"msg_type": "dance"}}));
    for _ in 0..16 {
        bench.links.handle_frame(LINK, &strange, now(0), &mut bench.out);
        let Some(Output::Transmit { bytes, .. }) = bench.out.poll() else { panic!("no answer") };
        let answer = Frame::decode(&bytes).unwrap();
        assert_eq!(answer.id, 7);
        assert!(matches!(
            answer.body,
            Body::Response(Response::Refused { reason: Refusal::Unknown, .. })
        ));
    }
    bench.links.handle_frame(LINK, &strange, now(0), &mut bench.out);
    assert!(bench.closed().is_some());
}

#[test]
fn bytes_without_a_head_close_the_link() {
    let mut bench = Bench::joined();
    bench.links.handle_frame(LINK, b"rubbish", now(0), &mut bench.out);
    assert!(bench.closed().is_some());
    assert_eq!(bench.links.count(), 0);
}

#[test]
fn a_link_that_asks_for_too_much_is_told_to_come_back_later() {
    let mut bench = Bench::joined();
    for id in 1..=REQUEST_TOKENS_MAX {
        bench.frame(Body::Request(Request::Ping), id, 1);
        assert!(matches!(bench.links.poll_event(), Some(Event::Request { .. })));
    }
    let answers = |bench: &mut Bench| std::iter::from_fn(|| bench.out.poll()).count();
    assert_eq!(answers(&mut bench), 0);
    bench.frame(Body::Request(Request::Ping), REQUEST_TOKENS_MAX + 1, 1);
    assert!(bench.links.poll_event().is_none());
    let Some(Output::Transmit { bytes, .. }) = bench.out.poll() else { panic!("no answer") };
    let Body::Response(Response::Refused { reason, .. }) = Frame::decode(&bytes).unwrap().body
    else {
        panic!("it was not refused");
    };
    assert_eq!(reason, Refusal::Busy);
    let (_, refusals) = bench.links.counted();
    assert_eq!(refusals, [Refusals { reason: "busy".to_owned(), refused_total: 1 }]);
    // A new link does not bring new tokens; time does.
    bench.links.link_down(LINK, now(1), &mut bench.out);
    bench.up(&node(2, home()), None, 2);
    bench.hello(&node(2, home()), home(), 2);
    while bench.links.poll_event().is_some() {}
    for id in 1..=10 {
        bench.frame(Body::Request(Request::Ping), id, 2);
    }
    assert!(bench.links.poll_event().is_none());
    bench.frame(Body::Request(Request::Ping), 20, 1_001);
    assert!(matches!(bench.links.poll_event(), Some(Event::Request { .. })));
}

#[test]
fn tokens_of_nodes_that_are_gone_are_remembered_for_a_bounded_number() {
    let mut bench = Bench::joined();
    for id in 1..=REQUEST_TOKENS_MAX {
        bench.frame(Body::Request(Request::Ping), id, 1);
    }
    let late = NodeId([9; 20]);
    for number in 0..2 * REQUEST_BUDGETS_MAX {
        let mut other = NodeId([8; 20]);
        other.0[..8].copy_from_slice(&number.to_be_bytes());
        assert!(bench.links.budgets.pay(other, 1, Mono(1)));
    }
    assert!(bench.links.budgets.pay(late, REQUEST_TOKENS_MAX, Mono(1)));
    assert!(!bench.links.budgets.has(node(2, home()).record.node(), 1, Mono(1)));
}

#[test]
fn a_large_answer_costs_more_than_its_request() {
    let mut bench = Bench::joined();
    let peer = node(2, home()).record.node();
    bench.frame(Body::Request(Request::Ping), 1, 1);
    let answer = |bytes: usize| Response::refused(Refusal::Other, "x".repeat(bytes));
    bench.links.respond(LINK, 1, answer(100), &mut bench.out);
    assert!(bench.links.budgets.has(peer, REQUEST_TOKENS_MAX - 1, Mono(1)));
    bench.links.respond(LINK, 1, answer(10 * REQUEST_ANSWER_BYTES_PER_TOKEN), &mut bench.out);
    assert!(!bench.links.budgets.has(peer, REQUEST_TOKENS_MAX - 10, Mono(1)));
    assert!(bench.links.budgets.has(peer, REQUEST_TOKENS_MAX - 11, Mono(1)));
    // It takes no more than there is.
    for _ in 0..REQUEST_TOKENS_MAX / 10 {
        bench.links.respond(LINK, 1, answer(10 * REQUEST_ANSWER_BYTES_PER_TOKEN), &mut bench.out);
    }
    assert!(!bench.links.budgets.has(peer, 1, Mono(1)));
    assert!(bench.links.budgets.has(peer, 1, Mono(3)));
}

/// Another link of the node that the bench knows comes up.
fn again(bench: &mut Bench, ms: u64) {
    again_from(bench, "127.0.0.1:7".parse().unwrap(), ms);
}

fn again_from(bench: &mut Bench, address: std::net::SocketAddr, ms: u64) {
    again_over(bench, LinkId(2), address, ms);
}

fn again_over(bench: &mut Bench, link: LinkId, address: std::net::SocketAddr, ms: u64) {
    let peer = node(2, home());
    let up = Up { key: peer.key, address, binding: [1; 32], dial: None };
    bench.links.link_up(link, up, now(ms), &mut bench.out);
    let hello = Hello {
        version: PROTOCOL_VERSION,
        network: home(),
        contact: peer.contact.clone(),
        observed: "127.0.0.1:9".parse().unwrap(),
        frame_bytes_max: 1,
        time: None,
    };
    let bytes = Body::Hello(hello).with_id(0).encode();
    bench.links.handle_frame(link, &bytes, now(ms), &mut bench.out);
}

#[test]
fn a_node_has_two_links_at_most_however_it_dials() {
    let mut bench = Bench::joined();
    let home_of = node(2, home()).record.addresses[0];
    for number in 2..40 {
        again_over(&mut bench, LinkId(number), home_of, number);
        assert!(bench.links.peers.len() <= 2);
    }
    assert_eq!(bench.links.to(node(2, home()).record.node()), Some(LinkId(39)));
}

#[test]
fn a_node_that_comes_again_is_spoken_to_over_its_new_link() {
    let peer = node(2, home()).record.node();
    let mut bench = Bench::joined();
    bench.ping(1);
    again(&mut bench, 2);
    assert_eq!(bench.closed().as_deref(), Some("the peer has opened a newer link"));
    assert_eq!(bench.links.to(peer), Some(LinkId(2)));
    let events: Vec<_> = std::iter::from_fn(|| bench.links.poll_event()).collect();
    let failed = Err(Failure::Broken);
    assert!(
        matches!(&events[..], [
            Event::Answer { token: "ping", result, .. },
            Event::Down { link: LINK, .. },
            Event::Up { link: LinkId(2), .. },
        ] if *result == failed),
        "{events:?}"
    );
}

#[test]
fn two_links_that_a_node_opens_at_once_from_one_address_both_stay() {
    let peer = node(2, home());
    let home_of = peer.record.addresses[0];
    for (ms, stays) in [(DIAL_TIMEOUT_MS - 1, true), (DIAL_TIMEOUT_MS, false)] {
        let mut bench = Bench::joined();
        bench.ping(1);
        again_from(&mut bench, home_of, ms);
        assert_eq!(bench.closed().is_none(), stays);
        assert_eq!(bench.links.to(peer.record.node()), Some(LinkId(2)));
    }
}

#[test]
fn links_that_two_nodes_open_at_once_both_stay_and_an_old_one_does_not() {
    let peer = node(2, home());
    for (ms, stays) in [(DIAL_TIMEOUT_MS - 1, true), (DIAL_TIMEOUT_MS, false)] {
        let mut bench = Bench::new();
        bench.up(&peer, Some(DialId(1)), 0);
        bench.hello(&peer, home(), 0);
        again(&mut bench, ms);
        assert_eq!(bench.closed().is_none(), stays);
        assert_eq!(bench.links.to(peer.record.node()), Some(LinkId(2)));
        bench.links.link_down(LinkId(2), now(ms), &mut bench.out);
        assert_eq!(bench.links.to(peer.record.node()).is_some(), stays);
    }
}

/// Each is another one.
fn garbage() -> Body {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut sealed = [7; ENVELOPE_CLASS_MIN + TAG_BYTES];
    sealed[..8].copy_from_slice(&COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    let (user, device) = (UserId([1; 20]), DeviceKey([1; 32]));
    let envelope = Envelope::assemble(user, device, 1, &[7; ENCAPSULATION_BYTES], &sealed);
    Body::Delivery(Delivery { envelope: envelope.unwrap() })
}

/// What reaches the node of what its holder has pushed.
fn opened(bench: &mut Bench) -> u64 {
    let events = std::iter::from_fn(|| bench.links.poll_event());
    events.filter(|event| matches!(event, Event::Push { .. })).fold(0, |count, _| count + 1)
}

#[test]
fn a_holder_that_pushes_without_end_is_slowed_and_then_cut_off() {
    let mut bench = Bench::joined();
    bench.links.keep(node(2, home()).record.node());
    // Two full mailboxes pass at once, the rest waits for its turn.
    for _ in 0..DELIVERY_TOKENS_MAX + 32 {
        bench.frame(garbage(), 0, 1);
    }
    assert_eq!(opened(&mut bench), DELIVERY_TOKENS_MAX);
    let at = bench.links.poll_timeout().unwrap().at;
    assert_eq!(at, Mono(1 + 1_000 / DELIVERY_TOKENS_PER_SECOND));
    bench.links.handle_timeout(now(at.0), &mut bench.out);
    assert_eq!(opened(&mut bench), 1);
    bench.links.handle_timeout(now(1_001), &mut bench.out);
    assert_eq!(opened(&mut bench), 31);
    assert!(bench.closed().is_none());
    let mut seen = 0;
    let mut closed = None;
    for _ in 0..2 * DELIVERY_TOKENS_MAX {
        bench.frame(garbage(), 0, 1_001);
        seen += opened(&mut bench);
        closed = closed.or_else(|| bench.closed());
    }
    assert!(seen <= DELIVERY_TOKENS_PER_SECOND, "{seen}");
    assert_eq!(closed.unwrap(), "mail comes faster than it goes");
    // A new link does not bring a new budget, and nothing waits from the old one.
    bench.up(&node(2, home()), None, 1_002);
    bench.hello(&node(2, home()), home(), 1_002);
    for _ in 0..DELIVERIES_WAITING_PER_NODE_MAX {
        bench.frame(garbage(), 0, 1_002);
    }
    assert!(opened(&mut bench) <= 1);
    assert!(bench.closed().is_none());
}

#[test]
fn mail_of_a_node_that_we_are_not_attached_to_is_dropped() {
    let mut bench = Bench::joined();
    bench.frame(garbage(), 0, 1);
    assert_eq!(opened(&mut bench), 0);
}

#[test]
fn an_address_that_others_name_is_not_dialled_without_end() {
    let mut bench = Bench::new();
    let mut dialled = 0;
    for _ in 0..200 {
        bench.ping(0);
        while let Some(Output::Dial { dial, .. }) = bench.out.poll() {
            dialled += 1;
            bench.links.dial_failed(dial, now(1), &mut bench.out);
        }
        let answer = bench.links.poll_event();
        assert!(matches!(answer, Some(Event::Answer { result: Err(Failure::Unreachable), .. })));
        while bench.links.poll_event().is_some() {}
    }
    assert_eq!(dialled, 2 * DIALS_BURST_PER_ADDRESS);
    // What the operator names is dialled all the same.
    let address = "127.0.0.1:1".parse().unwrap();
    let mut dial = |named| bench.links.dial_address(address, named, now(1), &mut bench.out);
    assert_eq!(dial(Named::ByOthers), None);
    assert!(dial(Named::ByOperator).is_some());
}

#[test]
fn where_the_dialled_node_has_proven_itself_it_is_dialled_freely() {
    for (seed, free) in [(2, true), (3, false)] {
        let mut bench = Bench::new();
        bench.ping(0);
        let Some(Output::Dial { dial, .. }) = bench.out.poll() else { panic!("no dial") };
        let peer = Node { record: node(2, home()).record, ..node(seed, home()) };
        bench.up(&peer, Some(dial), 5);
        bench.hello(&node(seed, home()), home(), 6);
        bench.links.link_down(LINK, now(7), &mut bench.out);
        let address = peer.record.addresses[0];
        let mut dial =
            || bench.links.dial_address(address, Named::ByOthers, now(8), &mut bench.out);
        let dialled = (0..100).filter(|_| dial().is_some()).count();
        assert_eq!(dialled == 100, free, "{dialled}");
    }
}

#[test]
fn not_more_waits_for_a_link_to_come_up_than_may() {
    let mut bench = Bench::new();
    for _ in 0..FRAMES_WAITING_PER_NODE_MAX {
        bench.ping(0);
        assert!(bench.links.poll_event().is_none());
    }
    bench.ping(0);
    let answer = bench.links.poll_event();
    assert!(matches!(answer, Some(Event::Answer { result: Err(Failure::Busy), .. })));
    let mut fills = Fills::default();
    bench.links.fills(&mut fills);
    assert_eq!(fills.above().count(), 0);
}

#[test]
fn a_peer_without_the_work_of_the_network_is_turned_away() {
    let terms = Terms { network: NetworkId::of("home", 4), work: 4 };
    let stamped = |seed: u8, stamp: Option<Vec<u8>>| {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let mut node = node(seed, terms.network);
        let made = || crate::stamp::make(terms, node.key, 0, || true).unwrap();
        node.record.stamp = ByteBuf::from(stamp.unwrap_or_else(made));
        node.contact = Unverified::sign(&node.record, |digest| pair.sign(digest).as_ref().to_vec());
        node
    };
    let meet = |peer: Node| {
        let own = stamped(1, None);
        let links = Links::new(terms, own.key, own.contact);
        let mut bench = Bench { links, out: Outputs::new([0; 32]) };
        bench.up(&peer, None, 0);
        bench.hello(&peer, terms.network, 0);
        (bench.links.count(), bench.closed())
    };
    let (count, reason) = meet(stamped(2, Some(Vec::new())));
    assert!(count == 0 && reason.unwrap().contains("4 bits of work"));
    assert_eq!(meet(stamped(2, None)), (1, None));
}
