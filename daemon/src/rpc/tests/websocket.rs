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
