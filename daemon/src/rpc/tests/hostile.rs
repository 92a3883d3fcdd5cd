//! What is wrong with a request, or too much, in every dialect: it is told, and others go on.

use bytchat_proto::limits::{
    RPC_HEAD_BYTES_MAX, RPC_KNOCKS_PER_USER_MAX, RPC_LINE_BYTES_MAX, RPC_TURNED_AWAY_MAX,
};

use super::super::access::Peer;
use super::super::listener::look_up;

use super::http::{post, status_of};
use super::websocket::Socket;
use super::*;

#[tokio::test]
async fn a_client_too_many_is_told_so_in_its_dialect() {
    let world = world_within(Bounds { clients: 3, ..bounds() });
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = world.connect().await;
        client.assert_well().await;
        clients.push(client);
    }
    // One that waits to be spoken to, one that speaks in lines, one that speaks HTTP.
    let mut silent = world.connect().await;
    assert_eq!(silent.read().await["error"]["data"]["kind"], "busy");
    let lines = world.raw(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"node.status\"}\n").await;
    assert!(lines.contains("\"busy\"") && lines.contains("3 front ends"), "{lines}");
    let http = world.raw(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(status_of(&http), 503);
    assert!(http.contains("\"busy\""), "{http}");
    let mut client = clients.pop().unwrap();
    client.assert_well().await;
    client.output.shutdown().await.unwrap();
    let mut rest = String::new();
    client.input.read_to_string(&mut rest).await.unwrap();
    loop {
        let mut next = world.connect().await;
        next.write(request(1, "node.status", &json!({})).as_bytes()).await;
        next.write(b"\n").await;
        if next.read().await["result"].is_object() {
            break;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn one_user_does_not_take_all_places() {
    let world = world_within(Bounds { clients: 10, clients_per_user: 2, ..bounds() });
    let (mut one, mut two) = (world.connect().await, world.connect().await);
    one.assert_well().await;
    two.assert_well().await;
    let mut three = world.connect().await;
    let message = three.read().await["error"]["message"].to_string();
    assert!(message.contains("you have 2 front ends"), "{message}");
}

#[tokio::test]
async fn one_user_s_calls_are_limited_over_all_its_connections() {
    let mut world = world_within(Bounds { calls_per_user: 3, ..bounds() });
    let mut client = world.connect().await;
    for id in 0..3 {
        client.write((request(id, "event.list", &json!({})) + "\n").as_bytes()).await;
        assert_eq!(world.words.recv().await, Some(Word::Waiting));
    }
    let mut other = world.connect().await;
    let answer = other.ask(&request(7, "node.status", &json!({}))).await;
    assert_eq!(answer["error"]["data"]["kind"], "busy");
    drop(client);
    for _ in 0..3 {
        assert_eq!(world.words.recv().await, Some(Word::Dropped));
    }
    while other.ask(&request(8, "node.status", &json!({}))).await["result"].is_null() {}
}

#[tokio::test]
async fn a_flood_of_connections_is_told_and_the_others_go_on() {
    let world = world_within(Bounds { clients: 2, ..bounds() });
    let mut first = world.connect().await;
    first.assert_well().await;
    let mut flood = Vec::new();
    for _ in 0..RPC_TURNED_AWAY_MAX + 64 {
        flood.push(world.connect().await);
    }
    first.assert_well().await;
    let mut told = 0;
    for mut client in flood.into_iter().skip(1) {
        let mut line = String::new();
        drop(client.input.read_line(&mut line).await);
        told += usize::from(line.contains("\"busy\""));
    }
    assert_eq!(told, RPC_TURNED_AWAY_MAX + 63);
    first.assert_well().await;
}

#[tokio::test]
async fn who_says_nothing_or_half_a_thing_is_told_so_and_cut_off() {
    let short = Duration::from_millis(50);
    let world = world_within(Bounds { first_byte: short, half_request: short, ..bounds() });
    let silent = world.raw(b"").await;
    assert!(silent.contains("nothing was asked"), "{silent}");
    let verb = world.raw(b"PO").await;
    assert!(verb.contains("nothing was asked"), "{verb}");
    let half = world.raw(b"{\"jsonrpc\":").await;
    assert!(half.contains("half a request"), "{half}");
    // Half a head is cut off; half a body is told.
    assert_eq!(world.raw(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-").await, "");
    let head = "POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
    let body = world.raw(format!("{head}content-length: 10\r\n\r\n[").as_bytes()).await;
    assert_eq!(status_of(&body), 408, "{body}");
    world.connect().await.assert_well().await;
}

#[tokio::test]
async fn rubbish_is_answered_in_every_dialect() {
    let world = world();
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let wrong = request(1, "message.send", &json!({ "to": 7, "text": "x" }));
    let missing = request(1, "message.send", &json!({ "to": "x" }));
    let cases: [(&[u8], i64, &str); 7] = [
        (b"\xff\xfe\xfd", -32700, "UTF-8"),
        (b"hello", -32700, "JSON"),
        (b"{\"jsonrpc\":\"2.0\"", -32700, "JSON"),
        (b"[]", -32600, "at least one"),
        (deep.as_bytes(), -32600, "object"),
        (wrong.as_bytes(), -32602, "string"),
        (missing.as_bytes(), -32602, "`text`"),
    ];
    let mut lines = world.connect().await;
    let mut socket = Socket::connect(&world).await;
    for (bytes, code, said) in cases {
        lines.write(&[bytes, b"\n"].concat()).await;
        socket.send(bytes).await;
        let http = post(&world, bytes).await.1;
        for answer in [lines.read().await, socket.read().await, http] {
            let answer = answer.get(0).unwrap_or(&answer);
            assert_eq!(answer["error"]["code"], code, "{answer}");
            assert!(answer["error"]["message"].to_string().contains(said), "{answer}");
        }
    }
    lines.assert_well().await;
}

#[tokio::test]
async fn what_is_too_large_is_told_in_every_dialect() {
    let world = world();
    let long = vec![b'x'; 3 * RPC_LINE_BYTES_MAX];
    let mut lines = world.connect().await;
    lines.write(&long).await;
    lines.write(b"\n").await;
    assert_eq!(lines.read().await["error"]["code"], -32007);
    lines.assert_well().await;
    let mut socket = Socket::connect(&world).await;
    socket.send(&long).await;
    assert_eq!(socket.read().await["error"]["code"], -32007);
    socket.send(request(1, "node.status", &json!({})).as_bytes()).await;
    assert!(socket.read().await["result"].is_object());
    let head = "POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
    for length in ["content-length: 104857600", "transfer-encoding: chunked"] {
        let chunk = format!("{:x}\r\n", long.len());
        let request = [format!("{head}{length}\r\n\r\n{chunk}").as_bytes(), &long].concat();
        let answer = world.raw(&request).await;
        assert_eq!(status_of(&answer), 413, "{answer}");
        assert!(answer.contains("-32007"), "{answer}");
    }
    let field = format!("x: {}\r\n", "y".repeat(2 * RPC_HEAD_BYTES_MAX));
    let answer = world.raw(format!("GET / HTTP/1.1\r\n{field}\r\n").as_bytes()).await;
    assert_eq!(status_of(&answer), 431, "{answer}");
}

#[tokio::test]
async fn strangers_who_read_no_answer_keep_nobody_from_knocking() {
    let world = world_within(Bounds { turn_away: NEVER, ..bounds() });
    let stranger = Peer { uid: own_uid() + 1, gid: 1 };
    let mut held = Vec::new();
    for _ in 0..2 * RPC_KNOCKS_PER_USER_MAX {
        let (theirs, ours) = UnixStream::pair().unwrap();
        let knocking = world.desk.knocks.take(stranger.uid).expect("knocks are given back");
        let telling = look_up(ours, stranger, Arc::clone(&world.desk), knocking);
        held.push((theirs, tokio::spawn(telling)));
        until("a knock is given back", || world.desk.knocks.taken() == 0).await;
    }
    assert!(held.iter().all(|(_, telling)| !telling.is_finished()));
    let left = RPC_TURNED_AWAY_MAX - 2 * RPC_KNOCKS_PER_USER_MAX;
    assert_eq!(world.desk.farewells.available_permits(), left);
    world.connect().await.assert_well().await;
    for (_, telling) in held {
        telling.abort();
    }
}
