//! Real nodes on the loopback interface.

mod hostile;
mod raw;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::time::timeout;

use super::gate::NetCounts;
use super::key::KeyText;
use super::limits::{DIALS_MAX, FRAME_INLINE_BYTES_MAX, SEND_QUEUE_BYTES_MAX};
use super::*;

/// No test needs a part of it, unless the machine is very busy.
const PATIENCE: Duration = Duration::from_secs(60);

const LOCAL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

struct Node {
    net: Net,
    events: Events,
    key: [u8; 32],
}

struct Up {
    link: LinkId,
    key: [u8; 32],
    address: SocketAddr,
    binding: [u8; 32],
    dial: Option<DialId>,
}

impl Node {
    async fn start() -> Self {
        Self::start_with(&[LOCAL], NetLimits::default()).await
    }

    async fn start_with(listen: &[SocketAddr], limits: NetLimits) -> Self {
        let key = NodeKey::generate().unwrap();
        let public = key.public();
        let config = NetConfig { listen: listen.to_vec(), key, limits };
        let (net, events) = Net::start(config).await.unwrap();
        Self { net, events, key: public }
    }

    fn address(&self) -> SocketAddr {
        self.net.listen_addresses()[0]
    }

    async fn next(&mut self) -> NetEvent {
        timeout(PATIENCE, self.events.recv()).await.unwrap().unwrap()
    }

    async fn up(&mut self) -> Up {
        let event = self.next().await;
        let NetEvent::Up { link, key, address, binding, dial } = event else {
            panic!("expected up, got {event:?}");
        };
        Up { link, key, address, binding, dial }
    }

    async fn frame(&mut self) -> Vec<u8> {
        let event = self.next().await;
        let NetEvent::Frame { bytes, .. } = event else {
            panic!("expected a frame, got {event:?}");
        };
        bytes
    }

    async fn down(&mut self) -> String {
        let event = self.next().await;
        let NetEvent::Down { reason, .. } = event else {
            panic!("expected down, got {event:?}");
        };
        reason
    }

    async fn dial_failed(&mut self) -> String {
        let event = self.next().await;
        let NetEvent::DialFailed { reason, .. } = event else {
            panic!("expected a failed dial, got {event:?}");
        };
        reason
    }
}

async fn connect(from: &mut Node, to: &mut Node) -> (Up, Up) {
    from.net.dial(DialId(7), to.address(), Some(to.key));
    (from.up().await, to.up().await)
}

#[tokio::test]
async fn two_nodes_see_each_others_key_and_the_same_binding() {
    let (mut a, mut b) = (Node::start().await, Node::start().await);
    let (at_a, at_b) = connect(&mut a, &mut b).await;
    assert_eq!((at_a.key, at_b.key), (b.key, a.key));
    assert_eq!((at_a.address, at_b.address), (b.address(), a.address()));
    assert_eq!((at_a.dial, at_b.dial), (Some(DialId(7)), None));
    assert_eq!(at_a.binding, at_b.binding);
    let (again, _) = connect(&mut a, &mut b).await;
    assert_ne!(at_a.binding, again.binding);
    assert_ne!(at_a.link, again.link);
    assert_eq!(b.net.counts(), NetCounts { seats: 2, half_open: 0 });
}

#[tokio::test]
async fn a_dial_without_an_expected_key_takes_whoever_answers() {
    let (mut a, b) = (Node::start().await, Node::start().await);
    a.net.dial(DialId(1), b.address(), None);
    assert_eq!(a.up().await.key, b.key);
}

#[tokio::test]
async fn a_dial_that_finds_another_key_fails() {
    let (mut a, mut b) = (Node::start().await, Node::start().await);
    a.net.dial(DialId(1), b.address(), Some(a.key));
    let reason = a.dial_failed().await;
    let (got, expected) = (KeyText(&b.key), KeyText(&a.key));
    assert!(reason.contains(&format!("key {got}, expected {expected}")), "{reason}");
    connect(&mut a, &mut b).await;
}

#[tokio::test]
async fn a_node_does_not_link_to_itself() {
    let mut a = Node::start().await;
    a.net.dial(DialId(1), a.address(), None);
    let reason = a.dial_failed().await;
    assert!(reason.contains("ourselves"), "{reason}");
}

#[tokio::test]
async fn frames_of_all_sizes_arrive_intact_in_both_directions() {
    let (mut a, mut b) = (Node::start().await, Node::start().await);
    let (at_a, at_b) = connect(&mut a, &mut b).await;
    let sizes = [0, 1, FRAME_INLINE_BYTES_MAX, FRAME_INLINE_BYTES_MAX + 1, FRAME_BYTES_MAX];
    let fill = |size: usize, salt: u8| -> Vec<u8> {
        (0u8..=250).cycle().take(size).map(|byte| byte ^ salt).collect()
    };
    for size in sizes {
        a.net.send(at_a.link, fill(size, 1)).unwrap();
        b.net.send(at_b.link, fill(size, 2)).unwrap();
    }
    for (node, salt) in [(&mut a, 2), (&mut b, 1)] {
        let mut got = Vec::new();
        for _ in sizes {
            got.push(node.frame().await);
        }
        got.sort_by_key(Vec::len);
        let expected: Vec<_> = sizes.iter().map(|size| fill(*size, salt)).collect();
        assert!(got == expected);
    }
}

#[tokio::test]
async fn small_frames_arrive_in_order() {
    let (mut a, mut b) = (Node::start().await, Node::start().await);
    let (at_a, _) = connect(&mut a, &mut b).await;
    for n in 0..200u32 {
        a.net.send(at_a.link, n.to_be_bytes().repeat(200)).unwrap();
    }
    for n in 0..200u32 {
        assert_eq!(b.frame().await, n.to_be_bytes().repeat(200));
    }
}

#[tokio::test]
async fn what_was_sent_before_a_close_by_the_reader_of_it_still_arrives() {
    let (mut a, mut b) = (Node::start().await, Node::start().await);
    let (at_a, at_b) = connect(&mut a, &mut b).await;
    a.net.send(at_a.link, b"last words".to_vec()).unwrap();
    assert_eq!(b.frame().await, b"last words");
    b.net.close(at_b.link, "heard enough");
    assert_eq!(b.down().await, "heard enough");
    assert_eq!(a.down().await, "closed by peer: heard enough");
    assert_eq!(a.net.send(at_a.link, vec![1]), Err(SendError::Down { link: at_a.link }));
    assert_eq!(a.net.counts(), NetCounts::default());
}

#[tokio::test]
async fn an_oversized_frame_is_refused_and_the_link_stays() {
    let (mut a, mut b) = (Node::start().await, Node::start().await);
    let (at_a, _) = connect(&mut a, &mut b).await;
    let got = FRAME_BYTES_MAX + 1;
    assert_eq!(a.net.send(at_a.link, vec![0; got]), Err(SendError::TooLong { got }));
    a.net.send(at_a.link, b"still here".to_vec()).unwrap();
    assert_eq!(b.frame().await, b"still here");
}

#[tokio::test]
async fn a_link_whose_queue_is_full_is_closed() {
    let (mut a, mut b) = (Node::start().await, Node::start().await);
    let (at_a, _) = connect(&mut a, &mut b).await;
    // Nothing else runs between these calls, so that nothing leaves the queue.
    for _ in 0..SEND_QUEUE_BYTES_MAX / FRAME_BYTES_MAX {
        a.net.send(at_a.link, vec![0; FRAME_BYTES_MAX]).unwrap();
    }
    assert_eq!(a.net.send(at_a.link, vec![0]), Err(SendError::TooSlow { link: at_a.link }));
    assert_eq!(a.net.send(at_a.link, vec![0]), Err(SendError::Down { link: at_a.link }));
    assert!(a.down().await.contains("does not keep up"));
    assert!(b.down().await.contains("does not keep up"));
}

#[tokio::test]
async fn peers_learn_of_a_shutdown_at_once() {
    let (mut a, mut b) = (Node::start().await, Node::start().await);
    connect(&mut a, &mut b).await;
    let address = b.address();
    b.net.shutdown().await;
    assert_eq!(a.down().await, "closed by peer: node shuts down");
    assert_eq!(
        b.events.recv().await.map(|event| matches!(event, NetEvent::Down { .. })),
        Some(true)
    );
    assert_eq!(b.events.recv().await, None);
    let c = Node::start_with(&[address], NetLimits::default()).await;
    assert_eq!(c.address(), address);
}

#[tokio::test]
async fn a_dropped_network_closes_its_links() {
    let (mut a, mut b) = (Node::start().await, Node::start().await);
    connect(&mut a, &mut b).await;
    drop(b.net);
    assert_eq!(a.down().await, "closed by peer: node stops");
}

#[tokio::test]
async fn a_node_that_was_killed_and_is_back_resets_its_former_links() {
    let mut a = Node::start().await;
    let key = NodeKey::generate().unwrap();
    let config =
        |listen| NetConfig { listen: vec![listen], key: key.clone(), limits: NetLimits::default() };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (first, mut events) = runtime.spawn(Net::start(config(LOCAL))).await.unwrap().unwrap();
    let address = first.listen_addresses()[0];
    a.net.dial(DialId(1), address, Some(key.public()));
    let link = a.up().await.link;
    let Some(NetEvent::Up { link: back, .. }) = events.recv().await else { panic!("no link") };
    // Once something came back, both ends know that the handshake is over.
    first.send(back, b"hello".to_vec()).unwrap();
    assert_eq!(a.frame().await, b"hello");
    // Without its runtime it can say nothing any more.
    tokio::task::spawn_blocking(move || runtime.shutdown_timeout(PATIENCE)).await.unwrap();
    drop(first);
    let (_second, _events) = Net::start(config(address)).await.unwrap();
    a.net.send(link, b"are you there".repeat(10)).unwrap();
    assert_eq!(a.down().await, "peer has restarted");
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let a = Node::start().await;
    let key = NodeKey::generate().unwrap();
    let config = NetConfig { listen: vec![a.address()], key, limits: NetLimits::default() };
    let error = Net::start(config.clone()).await.unwrap_err();
    assert!(matches!(error, NetError::InUse { address } if address == a.address()));
    assert!(error.to_string().contains(&a.address().to_string()));
    let foreign = NetConfig { listen: vec!["192.0.2.1:0".parse().unwrap()], ..config.clone() };
    assert!(matches!(Net::start(foreign).await.unwrap_err(), NetError::Listen { .. }));
    let none = NetConfig { listen: Vec::new(), ..config };
    assert!(matches!(Net::start(none).await.unwrap_err(), NetError::NoAddress));
}

#[tokio::test]
async fn sockets_that_were_handed_over_are_used_as_they_are() {
    let socket = std::net::UdpSocket::bind(LOCAL).unwrap();
    let address = socket.local_addr().unwrap();
    let key = NodeKey::generate().unwrap();
    let config = NetConfig { listen: Vec::new(), key: key.clone(), limits: NetLimits::default() };
    let none = Net::adopt(Vec::new(), config.clone()).await.unwrap_err();
    assert!(matches!(none, NetError::NoAddress));
    let (net, _events) = Net::adopt(vec![socket], config).await.unwrap();
    assert_eq!(net.listen_addresses(), [address]);
    let mut a = Node::start().await;
    a.net.dial(DialId(1), address, Some(key.public()));
    assert_eq!(a.up().await.key, key.public());
}

#[tokio::test]
async fn both_families_share_a_port_and_dials_choose_theirs() {
    let any = Node::start_with(&["0.0.0.0:0".parse().unwrap()], NetLimits::default()).await;
    let port = any.address().port();
    any.net.shutdown().await;
    let listen = [format!("0.0.0.0:{port}"), format!("[::]:{port}")].map(|a| a.parse().unwrap());
    let mut a = Node::start_with(&listen, NetLimits::default()).await;
    let mut four = Node::start().await;
    let mut six = Node::start_with(&["[::1]:0".parse().unwrap()], NetLimits::default()).await;
    for other in [&mut four, &mut six] {
        connect(&mut a, other).await;
    }
    six.net.dial(DialId(1), four.address(), None);
    let reason = six.dial_failed().await;
    assert!(reason.contains("family"), "{reason}");
    six.net.dial(
        DialId(2),
        SocketAddr::new(std::net::Ipv6Addr::LOCALHOST.into(), port),
        Some(a.key),
    );
    assert_eq!(six.up().await.key, a.key);
}

#[tokio::test]
async fn an_address_that_cannot_be_dialled_fails_at_once() {
    let mut a = Node::start().await;
    a.net.dial(DialId(3), LOCAL, None);
    assert!(a.dial_failed().await.contains("cannot be dialled"));
    assert_eq!(a.net.counts(), NetCounts::default());
}

#[tokio::test]
async fn dials_under_way_are_bounded() {
    let mute = tokio::net::UdpSocket::bind(LOCAL).await.unwrap();
    let mut a = Node::start().await;
    let last = u64::try_from(DIALS_MAX).unwrap();
    for dial in 0..=last {
        a.net.dial(DialId(dial), mute.local_addr().unwrap(), None);
    }
    let event = a.next().await;
    assert!(
        matches!(event, NetEvent::DialFailed { dial, .. } if dial == DialId(last)),
        "{event:?}"
    );
    assert_eq!(a.net.counts().seats, DIALS_MAX);
}

#[tokio::test]
async fn a_full_node_neither_accepts_nor_dials() {
    let limits = NetLimits { links: 1, ..NetLimits::default() };
    let (mut a, mut b) = (Node::start().await, Node::start_with(&[LOCAL], limits).await);
    let (at_a, _) = connect(&mut a, &mut b).await;
    a.net.dial(DialId(1), b.address(), None);
    assert!(a.dial_failed().await.contains("closed by peer"));
    b.net.dial(DialId(2), a.address(), None);
    assert!(b.dial_failed().await.contains("no room"));
    a.net.close(at_a.link, "room for others");
    a.down().await;
    b.down().await;
    connect(&mut a, &mut b).await;
}

#[tokio::test]
async fn a_host_with_too_many_links_gets_no_more() {
    let limits = NetLimits { links_per_host: 1, loopback_exempt: false, ..NetLimits::default() };
    let (mut a, mut b) = (Node::start().await, Node::start_with(&[LOCAL], limits).await);
    connect(&mut a, &mut b).await;
    a.net.dial(DialId(1), b.address(), None);
    // The dialling side is up before it can hear of the refusal.
    let second = a.up().await.link;
    let NetEvent::Down { link, reason } = a.next().await else { panic!("expected down") };
    assert_eq!(link, second);
    assert!(reason.contains("too many links from there"), "{reason}");
    assert_eq!(b.net.counts().half_open, 0);
}
