//! JSON-RPC over WebSocket.

use futures_util::io::{BufReader, BufWriter};
use soketto::handshake::{Client as Handshake, ServerResponse};
use soketto::{Receiver, Sender};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

use super::*;

type Wire = BufReader<BufWriter<Compat<UnixStream>>>;

/// A front end's end of a WebSocket.
pub(super) struct Socket {
    sender: Sender<Wire>,
    receiver: Receiver<Wire>,
}

impl Socket {
    pub(super) async fn connect(world: &World) -> Self {
        let wire = BufReader::new(BufWriter::new(world.stream().await.compat()));
        let mut handshake = Handshake::new(wire, "localhost", "/");
        let response = handshake.handshake().await.unwrap();
        assert!(matches!(response, ServerResponse::Accepted { .. }), "{response:?}");
        let (sender, receiver) = handshake.into_builder().finish();
        Self { sender, receiver }
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.sender.send_text(text).await.unwrap(),
            Err(_) => self.sender.send_binary(bytes).await.unwrap(),
        }
        self.sender.flush().await.unwrap();
    }

    pub(super) async fn read(&mut self) -> Value {
        let mut message = Vec::new();
        self.receiver.receive_data(&mut message).await.unwrap();
        serde_json::from_slice(&message).unwrap()
    }

    async fn ask(&mut self, text: &str) -> Value {
        self.send(text.as_bytes()).await;
        self.read().await
    }
}

/// A front end's end that speaks in bytes, after the handshake.
pub(super) async fn raw(world: &World) -> Client {
    let mut client = world.connect().await;
    let upgrade = "GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-version: 13\r\n\
                   sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    client.write(upgrade.as_bytes()).await;
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        client.input.read_line(&mut line).await.unwrap();
    }
    client
}

/// The beginning of a masked frame with so many bytes; the mask is all zeros.
pub(super) fn head(first: u8, bytes: u64) -> Vec<u8> {
    [&[first, 0x80 | 127][..], &bytes.to_be_bytes(), &[0; 4]].concat()
}

impl Client {
    /// The first byte and the payload of a short frame.
    async fn frame(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 2];
        self.input.read_exact(&mut head).await.unwrap();
        let mut long = [0; 2];
        if head[1] == 126 {
            self.input.read_exact(&mut long).await.unwrap();
        }
        let length = match head[1] {
            126 => usize::from(u16::from_be_bytes(long)),
            short => usize::from(short),
        };
        let mut payload = vec![0; length];
        self.input.read_exact(&mut payload).await.unwrap();
        (head[0], payload)
    }
}

#[tokio::test]
async fn a_message_in_pieces_with_a_ping_between_is_one() {
    let world = world();
    let mut client = raw(&world).await;
    let text = request(1, "node.status", &json!({}));
    let (one, two) = text.split_at(9);
    let mask = [1, 2, 3, 4];
    let masked: Vec<u8> =
        two.bytes().enumerate().map(|(index, byte)| byte ^ mask[index % 4]).collect();
    let mut last = vec![0x80, 0x80 | u8::try_from(two.len()).unwrap()];
    last.extend([&mask[..], &masked].concat());
    let ping = [&[0x89, 0x84, 0, 0, 0, 0][..], b"here"].concat();
    client.write(&[head(0x01, 9), one.as_bytes().to_vec(), ping, last].concat()).await;
    assert_eq!(client.frame().await, (0x8a, b"here".to_vec()));
    let (first, payload) = client.frame().await;
    let answer: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!((first, &answer["result"]["uid"]), (0x81, &json!(own_uid())));
    client.write(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe9]).await;
    assert_eq!(client.frame().await, (0x88, vec![0x03, 0xe9]));
    let mut rest = Vec::new();
    client.input.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty(), "{rest:?}");
}

#[tokio::test]
async fn what_is_no_websocket_is_cut_off_and_others_go_on() {
    let world = world();
    for wrong in [
        &[0x81, 0x01, b'x'][..],
        &[0x83, 0x80, 0, 0, 0, 0],
        &[0x80, 0x80, 0, 0, 0, 0],
        &[0x09, 0x80, 0, 0, 0, 0],
        &[0xc1, 0x80, 0, 0, 0, 0],
        &head(0x81, u64::MAX),
        &[0x01, 0x80, 0, 0, 0, 0, 0x81, 0x80, 0, 0, 0, 0],
    ] {
        let mut client = raw(&world).await;
        client.write(wrong).await;
        let mut rest = Vec::new();
        client.input.read_to_end(&mut rest).await.unwrap();
        assert!(!rest.starts_with(&[0x81]), "{wrong:?}: {rest:?}");
    }
    world.connect().await.assert_well().await;
}

#[tokio::test]
async fn half_a_message_is_given_up() {
    let half_request = Duration::from_millis(20);
    let world = world_within(Bounds { half_request, ..bounds() });
    let whole = request(1, "node.status", &json!({}));
    let first = [head(0x01, whole.len() as u64), whole.into_bytes()].concat();
    for half in [&[0x81][..], &head(0x81, 9), &[head(0x81, 9), b"1234".to_vec()].concat(), &first] {
        let mut client = raw(&world).await;
        client.write(half).await;
        let (_, payload) = client.frame().await;
        let answer: Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(answer["error"]["code"], -32700, "{half:?}: {answer}");
        assert_eq!(client.frame().await.0, 0x88);
    }
}

#[tokio::test]
async fn calls_batches_and_notifications_work_as_in_lines() {
    let mut world = world();
    let mut socket = Socket::connect(&world).await;
    let answer = socket.ask(&request(7, "node.status", &json!({}))).await;
    assert_eq!(answer["result"]["uid"], own_uid());
    let batch = format!("[{},{}]", send(1, "a"), send(2, "refuse"));
    let answer = socket.ask(&batch).await;
    assert_eq!(answer[1]["error"]["code"], 1106);
    socket.send(b"{\"jsonrpc\":\"2.0\",\"method\":\"event.list\"}").await;
    assert_eq!(world.words.recv().await, Some(Word::Waiting));
    // What waits holds nothing up.
    assert_eq!(socket.ask(&send(3, "b")).await["id"], 3);
    drop(socket);
    assert_eq!(world.words.recv().await, Some(Word::Dropped));
}

#[tokio::test]
async fn a_subscription_tells_events() {
    let world = world();
    world.log.publish("message.state", &json!({ "n": 1 }));
    let mut socket = Socket::connect(&world).await;
    let answer = socket.ask(&request(1, "event.subscribe", &json!({ "since": 0 }))).await;
    assert_eq!(answer["result"]["subscription"], "s1");
    let told = socket.read().await;
    assert_eq!(told["params"]["result"]["seq"], 1);
    assert_eq!(socket.read().await["params"]["result"]["type"], "stream.caught_up");
    world.log.publish("message.state", &json!({ "n": 2 }));
    let told = socket.read().await;
    assert_eq!((&told["method"], &told["params"]["subscription"]), (&json!("event"), &json!("s1")));
    assert_eq!(told["params"]["result"]["data"]["n"], 2);
}

#[tokio::test]
async fn stopping_answers_the_calls_that_wait_and_closes() {
    let mut world = world();
    let mut socket = Socket::connect(&world).await;
    socket.send(request(5, "event.list", &json!({})).as_bytes()).await;
    assert_eq!(world.words.recv().await, Some(Word::Waiting));
    world.stop.send(true).unwrap();
    let answer = socket.read().await;
    assert_eq!(answer["error"]["data"]["kind"], "shutting_down");
    let mut rest = Vec::new();
    assert!(socket.receiver.receive_data(&mut rest).await.is_err());
    (&mut world.serving).await.unwrap();
}
