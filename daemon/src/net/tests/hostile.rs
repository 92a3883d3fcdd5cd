//! Peers that break the rules, and what becomes of them.

use std::collections::BTreeMap;

use quinn::{Connection, ConnectionError, Endpoint, RecvStream, SendStream, TransportErrorCode};
use rustls::AlertDescription;
use rustls::crypto::aws_lc_rs::kx_group;

use super::super::end::CloseCode;
use super::super::gate::NetCounts;
use super::super::key::{NodeKey, encode_spki};
use super::super::limits::{FRAME_BYTES_MAX, FRAME_INLINE_BYTES_MAX, NetLimits};
use super::super::tls::SERVER_NAME;
use super::super::{DialId, NetEvent};
use super::raw::{Identity, Peer, certified};
use super::{LOCAL, Node, PATIENCE, connect, timeout};

/// A self-signed Ed25519 certificate, as `openssl req -x509` makes it.
const CERTIFICATE: &[u8] = include_bytes!("certificate.der");
const CERTIFICATE_KEY: &[u8] = include_bytes!("certificate-key.der");

/// Tries to connect, tells how it was refused, and makes sure that the node never saw a link of
/// it and still serves others.
async fn refusal(peer: &Peer) -> ConnectionError {
    let mut node = Node::start().await;
    let error = match timeout(PATIENCE, peer.connect(node.address())).await.unwrap() {
        Err(error) => error,
        Ok((_endpoint, connection)) => timeout(PATIENCE, connection.closed()).await.unwrap(),
    };
    let good = Node::start().await;
    good.net.dial(DialId(1), node.address(), Some(node.key));
    assert_eq!(node.up().await.key, good.key);
    error
}

fn alert_of(error: &ConnectionError) -> Option<TransportErrorCode> {
    if let ConnectionError::ConnectionClosed(close) = error { Some(close.error_code) } else { None }
}

fn alert(description: AlertDescription) -> Option<TransportErrorCode> {
    Some(TransportErrorCode::crypto(description.into()))
}

#[tokio::test]
async fn a_client_without_the_post_quantum_exchange_is_refused() {
    for group in [kx_group::X25519, kx_group::SECP256R1, kx_group::MLKEM768] {
        let peer = Peer { groups: vec![group], ..Peer::good() };
        let error = refusal(&peer).await;
        assert_eq!(alert_of(&error), alert(AlertDescription::HandshakeFailure), "{error}");
    }
}

#[tokio::test]
async fn a_server_without_the_post_quantum_exchange_is_refused() {
    let server = Peer { groups: vec![kx_group::X25519], ..Peer::good() }.listen();
    let mut node = Node::start().await;
    let accept = async { server.accept().await.unwrap().await.unwrap_err() };
    node.net.dial(DialId(1), server.local_addr().unwrap(), None);
    let (_, reason) = tokio::join!(timeout(PATIENCE, accept), node.dial_failed());
    assert!(reason.contains("closed by peer"), "{reason}");
}

#[tokio::test]
async fn a_client_with_a_certificate_is_refused() {
    let key = NodeKey::from_pkcs8(CERTIFICATE_KEY).unwrap();
    let certificate = certified(CERTIFICATE, &key);
    certificate.keys_match().unwrap();
    let peer = Peer { identity: Identity::X509(certificate), ..Peer::good() };
    let error = refusal(&peer).await;
    assert_eq!(alert_of(&error), alert(AlertDescription::HandshakeFailure), "{error}");
}

#[tokio::test]
async fn a_client_with_a_certificate_where_a_raw_key_belongs_is_refused() {
    let key = NodeKey::from_pkcs8(CERTIFICATE_KEY).unwrap();
    let peer = Peer { identity: Identity::RawKey(certified(CERTIFICATE, &key)), ..Peer::good() };
    let error = refusal(&peer).await;
    assert_eq!(alert_of(&error), alert(AlertDescription::HandshakeFailure), "{error}");
}

#[tokio::test]
async fn a_client_without_a_key_is_refused() {
    let peer = Peer { identity: Identity::None, ..Peer::good() };
    let error = refusal(&peer).await;
    assert_eq!(alert_of(&error), alert(AlertDescription::CertificateRequired), "{error}");
}

#[tokio::test]
async fn a_client_that_cannot_prove_its_key_is_refused() {
    let (own, other) = (NodeKey::generate().unwrap(), NodeKey::generate().unwrap());
    let stolen = certified(&encode_spki(&other.public()), &own);
    let error = refusal(&Peer { identity: Identity::RawKey(stolen), ..Peer::good() }).await;
    assert_eq!(alert_of(&error), alert(AlertDescription::DecryptError), "{error}");
}

#[tokio::test]
async fn a_server_that_cannot_prove_its_key_is_refused() {
    let (own, other) = (NodeKey::generate().unwrap(), NodeKey::generate().unwrap());
    let stolen = certified(&encode_spki(&other.public()), &own);
    let server = Peer { identity: Identity::RawKey(stolen), ..Peer::good() }.listen();
    let mut node = Node::start().await;
    let accept = async { server.accept().await.unwrap().await.unwrap_err() };
    node.net.dial(DialId(1), server.local_addr().unwrap(), Some(other.public()));
    let (refused, reason) = tokio::join!(timeout(PATIENCE, accept), node.dial_failed());
    assert_eq!(alert_of(&refused.unwrap()), alert(AlertDescription::DecryptError));
    assert!(reason.contains("BadSignature"), "{reason}");
}

#[tokio::test]
async fn another_protocol_is_refused() {
    for alpn in [b"bytchat/2".as_slice(), b"h3", b"bytchat"] {
        let peer = Peer { alpn: alpn.to_vec(), ..Peer::good() };
        let error = refusal(&peer).await;
        assert_eq!(alert_of(&error), alert(AlertDescription::NoApplicationProtocol), "{error}");
    }
}

/// A node and a client made by hand that has a link to it.
struct Link {
    node: Node,
    _endpoint: Endpoint,
    connection: Connection,
    send: SendStream,
    recv: RecvStream,
}

impl Link {
    async fn open() -> Self {
        let mut node = Node::start().await;
        let (endpoint, connection) = Peer::good().connect(node.address()).await.unwrap();
        let (mut send, recv) = connection.open_bi().await.unwrap();
        send.write_all(&[0; 4]).await.unwrap();
        node.up().await;
        Self { node, _endpoint: endpoint, connection, send, recv }
    }

    async fn own_stream(&mut self, bytes: &[u8]) {
        let mut send = self.connection.open_uni().await.unwrap();
        send.write_all(bytes).await.unwrap();
        send.finish().unwrap();
    }

    /// Expects that the node ends the link for a breach, and says so.
    async fn ends(mut self, why: &str) {
        let reason = self.node.down().await;
        assert!(reason.contains(why), "{reason}");
        let error = timeout(PATIENCE, self.connection.closed()).await.unwrap();
        let ConnectionError::ApplicationClosed(close) = error else {
            panic!("expected a close, got {error}");
        };
        assert_eq!(close.error_code, CloseCode::Misbehaved.into());
        assert_eq!(self.node.net.counts(), NetCounts::default());
    }
}

fn prefixed(length: usize, bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(length).unwrap().to_be_bytes(), bytes].concat()
}

#[tokio::test]
async fn a_frame_too_long_for_the_shared_stream_closes_the_link() {
    let mut link = Link::open().await;
    link.send.write_all(&prefixed(3, b"abc")).await.unwrap();
    link.send.write_all(&prefixed(FRAME_INLINE_BYTES_MAX + 1, b"")).await.unwrap();
    assert_eq!(link.node.frame().await, b"abc");
    link.ends("expected at most 16384").await;
}

#[tokio::test]
async fn a_frame_too_long_for_its_own_stream_closes_the_link() {
    let mut link = Link::open().await;
    link.own_stream(&prefixed(FRAME_BYTES_MAX + 1, b"")).await;
    link.ends("expected at most 262144").await;
}

#[tokio::test]
async fn the_longest_length_closes_the_link() {
    let mut link = Link::open().await;
    link.own_stream(&[0xff; 4]).await;
    link.ends("frame of 4294967295 bytes").await;
}

#[tokio::test]
async fn a_truncated_frame_closes_the_link() {
    for cut in [prefixed(5, b"abc"), vec![0, 0]] {
        let mut link = Link::open().await;
        link.send.write_all(&cut).await.unwrap();
        link.send.finish().unwrap();
        link.ends("stream ends after").await;
        let mut link = Link::open().await;
        link.own_stream(&cut).await;
        link.ends("stream ends after").await;
    }
}

#[tokio::test]
async fn a_stream_that_is_reset_closes_the_link() {
    let mut link = Link::open().await;
    link.send.write_all(&prefixed(5, b"abc")).await.unwrap();
    link.send.reset(9u32.into()).unwrap();
    link.ends("stream is lost").await;
}

#[tokio::test]
async fn the_end_of_the_shared_stream_closes_the_link() {
    let mut link = Link::open().await;
    link.send.finish().unwrap();
    link.ends("ended the shared stream").await;
}

#[tokio::test]
async fn a_peer_that_stops_our_frames_loses_the_link() {
    let mut link = Link::open().await;
    let NetCounts { seats, .. } = link.node.net.counts();
    assert_eq!(seats, 1);
    link.node.net.send(super::LinkId(0), b"hello".to_vec()).unwrap();
    let mut hello = [0; 9];
    link.recv.read_exact(&mut hello).await.unwrap();
    assert_eq!(hello, prefixed(5, b"hello").as_slice());
    link.recv.stop(9u32.into()).unwrap();
    // The stop arrives before what is sent after it.
    link.send.write_all(&prefixed(4, b"done")).await.unwrap();
    assert_eq!(link.node.frame().await, b"done");
    link.node.net.send(super::LinkId(0), b"more".to_vec()).unwrap();
    link.ends("does not take our frames").await;
}

#[tokio::test]
async fn a_stream_of_its_own_holds_exactly_one_frame() {
    let mut link = Link::open().await;
    link.own_stream(&[prefixed(1, b"a"), vec![0]].concat()).await;
    link.ends("bytes behind a frame").await;
    let mut link = Link::open().await;
    link.own_stream(&[]).await;
    link.ends("sent none").await;
}

#[tokio::test]
async fn a_client_cannot_open_a_second_shared_stream() {
    let link = Link::open().await;
    let mut second = Box::pin(link.connection.open_bi());
    assert!(
        std::future::poll_fn(|cx| std::task::Poll::Ready(second.as_mut().poll(cx).is_pending()))
            .await
    );
}

#[tokio::test]
async fn a_server_that_opens_a_shared_stream_loses_the_link() {
    let server = Peer::good().listen();
    let mut node = Node::start().await;
    node.net.dial(DialId(1), server.local_addr().unwrap(), None);
    let connection = server.accept().await.unwrap().await.unwrap();
    node.up().await;
    let (mut send, _recv) = connection.open_bi().await.unwrap();
    send.write_all(&[0; 4]).await.unwrap();
    let reason = node.down().await;
    assert!(reason.contains("second shared stream"), "{reason}");
}

#[tokio::test]
async fn a_link_that_does_not_begin_with_an_empty_frame_never_comes_up() {
    let mut node = Node::start().await;
    let (_endpoint, connection) = Peer::good().connect(node.address()).await.unwrap();
    let (mut send, _recv) = connection.open_bi().await.unwrap();
    send.write_all(&prefixed(1, b"x")).await.unwrap();
    timeout(PATIENCE, connection.closed()).await.unwrap();
    let mut good = Node::start().await;
    let (_, at_node) = connect(&mut good, &mut node).await;
    assert_eq!(at_node.key, good.key);
}

/// Collects the first packet of many handshakes, each for another connection.
async fn initials(count: usize) -> Vec<Vec<u8>> {
    let sink = tokio::net::UdpSocket::bind(LOCAL).await.unwrap();
    let client = Endpoint::client(LOCAL).unwrap();
    let mut seen = BTreeMap::new();
    while seen.len() < count {
        let to = sink.local_addr().unwrap();
        let _dial = client.connect_with(Peer::good().client(), to, SERVER_NAME).unwrap();
        let before = seen.len();
        // What follows of the dials before has their connection ids.
        while seen.len() == before {
            let mut packet = vec![0; 2048];
            let length = timeout(PATIENCE, sink.recv(&mut packet)).await.unwrap().unwrap();
            packet.truncate(length);
            let id = packet[6..6 + usize::from(packet[5])].to_vec();
            seen.entry(id).or_insert(packet);
        }
    }
    seen.into_values().collect()
}

#[tokio::test]
async fn a_flood_of_hellos_takes_few_seats_and_others_still_come_in() {
    const FLOOD: usize = 40;
    const HALF_OPEN: usize = 8;
    let packets = initials(FLOOD).await;
    let limits = NetLimits { half_open: HALF_OPEN, ..NetLimits::default() };
    let mut node = Node::start_with(&[LOCAL], limits).await;
    let to = node.address();
    let flooder = tokio::net::UdpSocket::bind(LOCAL).await.unwrap();
    for packet in &packets {
        flooder.send_to(packet, to).await.unwrap();
    }
    let mut retries = 0;
    while retries < FLOOD - HALF_OPEN {
        let mut answer = [0; 2048];
        timeout(PATIENCE, flooder.recv(&mut answer)).await.unwrap().unwrap();
        retries += usize::from(answer[0] & 0xf0 == 0xf0);
    }
    let flooded = NetCounts { seats: HALF_OPEN, half_open: HALF_OPEN };
    assert_eq!(node.net.counts(), flooded);
    let mut good = Node::start().await;
    let (_, at_node) = connect(&mut good, &mut node).await;
    assert_eq!(at_node.key, good.key);
    assert_eq!(node.net.counts().half_open, HALF_OPEN);
    assert!(!matches!(node.events.try_recv(), Ok(NetEvent::Up { .. })));
}

/// Between two looks whether a node has given up.
const A_WHILE: std::time::Duration = std::time::Duration::from_millis(20);

/// RFC 9000 8.1: whoever names somebody else's address as its own must gain little by it. quinn
/// begins a last datagram while it is below three times what came.
#[tokio::test]
async fn an_address_that_has_not_answered_gets_three_times_what_came_from_it_and_a_datagram() {
    const DATAGRAM: usize = 1_200;
    let sink = tokio::net::UdpSocket::bind(LOCAL).await.unwrap();
    let client = Endpoint::client(LOCAL).unwrap();
    let to = sink.local_addr().unwrap();
    let _dial = client.connect_with(Peer::good().client(), to, SERVER_NAME).unwrap();
    let mut node = Node::start().await;
    let victim = tokio::net::UdpSocket::bind(LOCAL).await.unwrap();
    let (mut sent, mut answered) = (0, 0);
    // A whole hello takes two packets, with the keys for the post-quantum exchange.
    for _ in 0..2 {
        let mut packet = vec![0; 2048];
        let length = timeout(PATIENCE, sink.recv(&mut packet)).await.unwrap().unwrap();
        sent += victim.send_to(&packet[..length], node.address()).await.unwrap();
    }
    // Until it gives up, it says all that it has to say, and repeats it.
    let mut packet = vec![0; 2048];
    while answered == 0 || node.net.counts().half_open > 0 {
        if let Ok(length) = timeout(A_WHILE, victim.recv(&mut packet)).await {
            answered += length.unwrap();
        }
    }
    while let Ok(length) = victim.try_recv(&mut packet) {
        answered += length;
    }
    assert!(answered >= sent, "a hello of {sent} bytes was answered with {answered}");
    assert!(answered < 3 * sent + DATAGRAM, "a hello of {sent} bytes was answered with {answered}");
    assert!(!matches!(node.events.try_recv(), Ok(NetEvent::Up { .. })));
}
