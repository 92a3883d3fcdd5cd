//! What the daemon holds for front ends that do not read, or ask by halves: it is counted, bounded,
//! and given back, in every dialect.

use bytchat_proto::limits::RPC_FREE_BYTES;

use super::http::status_of;
use super::websocket::{Socket, head, raw};
use super::*;

/// Room for three pages and a half.
const ROOM: usize = 7 * PAGE / 2;

fn narrow() -> World {
    world_within(Bounds { bytes_per_user: ROOM, ..bounds() })
}

fn peers(id: u64) -> String {
    request(id, "node.peers", &json!({}))
}

fn posted(body: &str) -> String {
    format!(
        "POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

impl World {
    fn held(&self) -> usize {
        self.desk.bytes.taken()
    }

    async fn until_nothing_is_held(&self) {
        until("all bytes are given back", || self.held() == 0).await;
        until("all calls are given back", || self.desk.calls.taken() == 0).await;
    }

    /// Asserts that a large answer is refused for want of room, and a small one is not.
    async fn assert_full(&self) {
        assert!(self.held() <= ROOM, "{}", self.held());
        let mut other = self.connect().await;
        let answer = other.ask(&peers(9)).await;
        assert_eq!((&answer["id"], &answer["error"]["data"]["kind"]), (&json!(9), &json!("busy")));
        assert!(answer["error"]["message"].to_string().contains("bytes"), "{answer}");
        other.assert_well().await;
        assert!(self.held() <= ROOM, "{}", self.held());
    }
}

#[tokio::test]
async fn lines_that_nobody_reads_count_until_they_are_written() {
    let world = narrow();
    let mut client = world.connect().await;
    for id in 0..9 {
        client.write((peers(id) + "\n").as_bytes()).await;
    }
    until("all are answered", || world.asked.load(Ordering::SeqCst) == 9).await;
    until("answers wait", || world.held() > 3 * PAGE).await;
    world.assert_full().await;
    let mut refused = 0;
    for _ in 0..9 {
        let answer = client.read().await;
        refused += usize::from(answer["error"]["data"]["kind"] == "busy");
    }
    assert_eq!(refused, 6);
    world.until_nothing_is_held().await;
    assert!(client.ask(&peers(10)).await["result"].is_object());
}

#[tokio::test]
async fn messages_of_a_websocket_that_nobody_reads_count_until_they_are_written() {
    let world = narrow();
    let mut socket = Socket::connect(&world).await;
    for id in 0..9 {
        socket.send(peers(id).as_bytes()).await;
    }
    until("all are answered", || world.asked.load(Ordering::SeqCst) == 9).await;
    until("answers wait", || world.held() > 3 * PAGE).await;
    world.assert_full().await;
    let mut refused = 0;
    for _ in 0..9 {
        refused += usize::from(socket.read().await["error"]["data"]["kind"] == "busy");
    }
    assert_eq!(refused, 6);
    world.until_nothing_is_held().await;
}

#[tokio::test]
async fn answers_over_http_that_nobody_reads_count_until_they_are_written() {
    let world = narrow();
    let mut clients = Vec::new();
    for id in 0..3 {
        let mut client = world.connect().await;
        client.write(posted(&peers(id)).as_bytes()).await;
        clients.push(client);
    }
    until("answers wait", || world.held() > 3 * PAGE).await;
    assert_eq!(world.desk.calls.taken(), 3);
    world.assert_full().await;
    let once = posted(&peers(4)).replace("host: x", "host: x\r\nconnection: close");
    let refused = world.raw(once.as_bytes()).await;
    assert!(refused.contains("\"busy\""), "{refused}");
    drop(clients);
    world.until_nothing_is_held().await;
}

#[tokio::test]
async fn a_call_counts_until_its_answer_is_written() {
    let world = world_within(Bounds { calls_per_user: 2, ..bounds() });
    let mut client = world.connect().await;
    for id in 0..4 {
        client.write((peers(id) + "\n").as_bytes()).await;
    }
    until("answers wait", || world.held() > 2 * PAGE).await;
    let mut other = world.connect().await;
    let answer = other.ask(&request(1, "node.status", &json!({}))).await;
    assert!(answer["error"]["message"].to_string().contains("you have 2 calls"), "{answer}");
    for _ in 0..4 {
        client.read().await;
    }
    world.until_nothing_is_held().await;
    other.assert_well().await;
}

#[tokio::test]
async fn half_requests_count_in_every_dialect_and_no_more_than_there_is_room_for() {
    let world = world_within(Bounds { bytes_per_user: 15 * RPC_FREE_BYTES, ..bounds() });
    let part = vec![b' '; 6 * RPC_FREE_BYTES];
    let large = posted(&" ".repeat(2 * part.len()));
    let large = large.as_bytes().get(..large.len() - part.len()).unwrap();
    let message = [head(0x81, 2 * part.len() as u64), part.clone()].concat();

    let mut line = world.connect().await;
    line.write(&part).await;
    until("half a line is held", || world.held() >= part.len()).await;
    let http = world.raw(large).await;
    assert_eq!(status_of(&http), 503, "{http}");
    assert!(http.contains("\"busy\""), "{http}");
    let mut socket = raw(&world).await;
    socket.write(&message).await;
    let mut answer = vec![0; 4];
    socket.input.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer[0], 0x81);
    let mut second = world.connect().await;
    second.write(&part).await;
    assert_eq!(second.read().await["error"]["data"]["kind"], "busy");
    second.write(b"\n").await;
    second.assert_well().await;
    assert!(world.held() <= 15 * RPC_FREE_BYTES);
    drop(line);
    world.until_nothing_is_held().await;

    let mut post = world.connect().await;
    post.write(large).await;
    until("half a body is held", || world.held() >= part.len()).await;
    drop(post);
    world.until_nothing_is_held().await;
    let mut half = raw(&world).await;
    // What is only announced takes nothing.
    half.write(&head(0x81, 2 * part.len() as u64)).await;
    second.assert_well().await;
    assert_eq!(world.held(), 0);
    half.write(&part).await;
    until("half a message is held", || world.held() >= part.len()).await;
    drop(half);
    world.until_nothing_is_held().await;
}

#[tokio::test]
async fn who_reads_an_answer_by_the_byte_is_cut_off_in_every_dialect() {
    let answer = Duration::from_millis(100);
    let world = world_within(Bounds { answer, ..bounds() });
    let line = (peers(1) + "\n").into_bytes();
    let body = posted(&peers(1)).into_bytes();
    let text = peers(1).into_bytes();
    let message = [head(0x81, text.len() as u64), text].concat();
    let mut clients = [world.connect().await, world.connect().await, raw(&world).await];
    for (client, request) in clients.iter_mut().zip([line, body, message]) {
        client.write(&request).await;
        let mut read = 0;
        let reading = async {
            while world.desk.clients.taken() > 0 && world.held() == 0 {
                tokio::task::yield_now().await;
            }
            while world.held() > 0 {
                let mut byte = [0];
                let reading = client.input.get_mut().try_read(&mut byte);
                read += reading.unwrap_or_default();
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), reading).await.expect("it is cut off");
        assert!(read < PAGE / 2, "{read}");
    }
    until("all are gone", || world.desk.clients.taken() == 0).await;
}

#[tokio::test]
async fn subscribers_that_do_not_read_take_little_hold_up_nobody_and_lose_nothing() {
    let world = narrow();
    let text = "x".repeat(PAGE / 10);
    for _ in 0..100 {
        world.log.publish("message.state", &json!({ "text": text }));
    }
    let ask = request(1, "event.subscribe", &json!({ "since": 0 }));
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut client = world.connect().await;
        client.write((ask.clone() + "\n").as_bytes()).await;
        assert!(client.read().await["result"].is_object());
        clients.push(client);
    }
    // The last one reads, and then those that did not.
    while let Some(mut client) = clients.pop() {
        let mut next = 1;
        while next <= 100 {
            let told = client.read().await["params"]["result"].take();
            if told["seq"].is_u64() {
                assert_eq!(told["seq"], next);
                next += 1;
            }
            assert!(world.held() <= ROOM, "{}", world.held());
        }
    }
    world.until_nothing_is_held().await;
}

#[tokio::test]
async fn a_subscriber_too_many_bytes_is_told_so() {
    let world = narrow();
    let text = "x".repeat(PAGE / 10);
    for _ in 0..100 {
        world.log.publish("message.state", &json!({ "text": text }));
    }
    let ask = request(1, "event.subscribe", &json!({ "since": 0 }));
    let mut full = world.desk.bytes.none(own_uid());
    full.resize(ROOM).unwrap();
    let mut client = world.connect().await;
    assert_eq!(client.ask(&ask).await["error"]["data"]["kind"], "busy");
    client.assert_well().await;
    drop(full);
    assert!(client.ask(&ask).await["result"].is_object());
    drop(client);
    world.until_nothing_is_held().await;
}
