//! JSON-RPC over HTTP/1.1, and what else HTTP is asked.

use bytchat_proto::limits::RPC_BATCH_MAX;

use super::*;

/// The number in the first line of an answer.
pub(super) fn status_of(answer: &str) -> u16 {
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.unwrap_or_else(|| panic!("no answer of HTTP: {answer:?}"))
}

fn body_of(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

/// Posts a body; gives status and answer.
pub(super) async fn post(world: &World, body: &[u8]) -> (u16, Value) {
    let head = format!(
        "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    let answer = world.raw(&[head.as_bytes(), body].concat()).await;
    let body = body_of(&answer);
    let json = if body.is_empty() { Value::Null } else { serde_json::from_str(body).unwrap() };
    (status_of(&answer), json)
}

async fn get(world: &World, path: &str, more: &str) -> String {
    let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{more}\r\n");
    world.raw(head.as_bytes()).await
}

#[tokio::test]
async fn a_call_is_answered_and_knows_its_caller() {
    let world = world();
    let (status, answer) = post(&world, request(7, "node.status", &json!({})).as_bytes()).await;
    assert_eq!((status, &answer["id"]), (200, &json!(7)));
    assert_eq!(answer["result"]["uid"], own_uid());
}

#[tokio::test]
async fn batches_and_notifications_work_as_in_lines() {
    let world = world();
    let silent = r#"{"jsonrpc":"2.0","method":"node.status"}"#;
    let batch = format!("[{},{silent},{}]", send(1, "a"), send(2, "refuse"));
    let (status, answer) = post(&world, batch.as_bytes()).await;
    assert_eq!((status, answer.as_array().unwrap().len()), (200, 2), "{answer}");
    assert_eq!(answer[1]["error"]["code"], 1106);
    assert_eq!(post(&world, silent.as_bytes()).await, (204, Value::Null));
    let many = vec![send(1, "a"); RPC_BATCH_MAX + 1].join(",");
    let (_, answer) = post(&world, format!("[{many}]").as_bytes()).await;
    assert_eq!(answer["error"]["code"], -32010);
}

#[tokio::test]
async fn health_and_metrics_are_calls_like_others() {
    let mut world = world_within(Bounds { calls_per_user: 1, ..bounds() });
    let mut client = world.connect().await;
    client.write((request(0, "event.list", &json!({})) + "\n").as_bytes()).await;
    assert_eq!(world.words.recv().await, Some(Word::Waiting));
    for path in ["/healthz", "/metrics"] {
        let answer = get(&world, path, "").await;
        assert_eq!(status_of(&answer), 503, "{answer}");
        assert!(body_of(&answer).contains("you have 1 calls"), "{answer}");
    }
    drop(client);
    assert_eq!(world.words.recv().await, Some(Word::Dropped));
    until("the call is given back", || world.desk.calls.taken() == 0).await;
    for path in ["/healthz", "/metrics"] {
        assert_eq!(status_of(&get(&world, path, "").await), 200);
        until("the call is given back", || world.desk.calls.taken() == 0).await;
    }
}

#[tokio::test]
async fn metrics_have_what_the_node_has_counted() {
    let world = world();
    let answer = get(&world, "/metrics", "").await;
    let body = body_of(&answer);
    for line in [
        "# TYPE bytchat_lookups_answered_total counter",
        "bytchat_lookups_answered_total 0",
        "bytchat_links_banned_total 0",
        "# TYPE bytchat_lookup_hops histogram",
        "bytchat_put_holders_count 0",
        "bytchat_mailboxes_crowded 0",
    ] {
        assert!(body.lines().any(|told| told == line), "{line} of {body}");
    }
}

#[tokio::test]
async fn a_connection_answers_many_requests() {
    let world = world();
    let mut stream = world.connect().await;
    for id in 0..3 {
        let body = request(id, "node.status", &json!({}));
        let head = "POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/json; charset=utf-8";
        let length = body.len();
        let text = format!("{head}\r\ncontent-length: {length}\r\n\r\n{body}");
        stream.write(text.as_bytes()).await;
        let mut length = 0;
        loop {
            let mut line = String::new();
            stream.input.read_line(&mut line).await.unwrap();
            if let Some(text) = line.strip_prefix("content-length: ") {
                length = text.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        stream.input.read_exact(&mut body).await.unwrap();
        let answer: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(answer["id"], id);
    }
}

#[tokio::test]
async fn a_subscription_is_refused_and_the_ways_that_work_are_named() {
    let world = world();
    let (_, answer) = post(&world, request(1, "event.subscribe", &json!({})).as_bytes()).await;
    assert_eq!(answer["error"]["data"]["kind"], "event.no_stream");
    let hint = answer["error"]["data"]["hint"].as_str().unwrap();
    for way in ["WebSocket", "lines", "`event.list`", "`wait_ms`"] {
        assert!(hint.contains(way), "{hint}");
    }
}

#[tokio::test]
async fn pages_from_the_web_are_refused() {
    let world = world();
    for field in ["origin: https://evil.example", "referer: https://evil.example/x"] {
        let upgrade = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                       sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        for (path, more) in
            [("/healthz", ""), ("/metrics", ""), ("/openrpc.json", ""), ("/", upgrade)]
        {
            let answer = get(&world, path, &format!("{field}\r\n{more}")).await;
            assert_eq!(status_of(&answer), 403, "{answer}");
            assert!(body_of(&answer).contains("\"not_permitted\""), "{answer}");
        }
    }
}

#[tokio::test]
async fn other_paths_verbs_and_types_are_refused_with_what_there_is() {
    let world = world();
    let answer = get(&world, "/nothing", "").await;
    assert_eq!(status_of(&answer), 404);
    assert!(answer.contains("/healthz"), "{answer}");
    let answer = get(&world, "/", "").await;
    assert_eq!(status_of(&answer), 405);
    assert!(answer.contains("allow: POST"), "{answer}");
    let text = "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: text/plain\r\n\
                content-length: 2\r\n\r\n{}";
    assert_eq!(status_of(&world.raw(text.as_bytes()).await), 415);
    let (_, answer) = post(&world, b" ").await;
    assert_eq!(answer["error"]["code"], -32600);
}

#[tokio::test]
async fn the_document_is_got_without_a_call() {
    let world = world();
    let answer = get(&world, "/openrpc.json", "").await;
    assert_eq!(status_of(&answer), 200, "{answer}");
    let document: Value = serde_json::from_str(body_of(&answer)).unwrap();
    let (_, called) = post(&world, request(1, "rpc.discover", &json!({})).as_bytes()).await;
    assert_eq!(document, called["result"]);
    assert_eq!(document["openrpc"], "1.3.2");
    let (_, answer) = post(&world, request(2, "rpc.discover", &json!([])).as_bytes()).await;
    assert_eq!(answer["error"]["code"], -32602);
}

#[tokio::test]
async fn health_is_what_the_engine_answers() {
    let world = world();
    let answer = get(&world, "/healthz", "").await;
    assert_eq!((status_of(&answer), body_of(&answer)), (200, r#"{"status":"ok"}"#));
    assert!(answer.contains("bytchat-version: "), "{answer}");
}

#[tokio::test]
async fn metrics_are_well_formed_and_count_what_happened() {
    let world = world();
    let mut lines = world.connect().await;
    lines.assert_well().await;
    lines.ask(&send(1, "refuse")).await;
    lines.ask(&request(2, "no.such\"method", &json!({}))).await;
    lines.ask(&request(3, "event.subscribe", &json!({}))).await;
    world.log.publish("message.state", &json!({}));
    let answer = get(&world, "/metrics", "").await;
    assert_eq!(status_of(&answer), 200, "{answer}");
    let metrics = body_of(&answer);
    for line in [
        "# HELP bytchat_uptime_seconds Time since the start.",
        "# TYPE bytchat_uptime_seconds gauge",
        "bytchat_uptime_seconds 61",
        "bytchat_links 2",
        "bytchat_store_bytes 4096",
        "bytchat_events_head 1",
        "bytchat_events_first 0",
        "bytchat_rpc_clients{dialect=\"lines\"} 1",
        "bytchat_rpc_clients{dialect=\"http\"} 1",
        "bytchat_rpc_subscriptions 1",
        "bytchat_rpc_calls_total{method=\"node.status\",result=\"ok\"} 1",
        "bytchat_rpc_calls_total{method=\"message.send\",result=\"error\"} 1",
        "bytchat_rpc_calls_total{method=\"unknown\",result=\"error\"} 1",
    ] {
        assert!(metrics.lines().any(|got| got == line), "{line} is not in\n{metrics}");
    }
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        value.parse::<u64>().unwrap();
        let name = name.split('{').next().unwrap();
        let parts = ["_bucket", "_sum", "_count"].iter();
        let whole = parts.filter_map(|part| name.strip_suffix(part)).chain([name]);
        let typed = |name: &str| metrics.contains(&format!("# TYPE {name} "));
        assert!(whole.into_iter().any(typed), "{name} has no type");
    }
}

#[tokio::test]
async fn stopping_answers_the_request_that_waits() {
    let mut world = world();
    let body = request(5, "event.list", &json!({}));
    let mut stream = world.connect().await;
    let head = "POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
    stream.write(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes()).await;
    assert_eq!(world.words.recv().await, Some(Word::Waiting));
    world.stop.send(true).unwrap();
    let mut answer = String::new();
    stream.input.read_to_string(&mut answer).await.unwrap();
    assert!(body_of(&answer).contains("shutting_down"), "{answer}");
    (&mut world.serving).await.unwrap();
}
