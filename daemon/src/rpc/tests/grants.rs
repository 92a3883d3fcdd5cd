//! Sessions that give up rights, by themselves or by a token.

use bytchat_proto::limits::SESSION_END_CHECK_MS;

use super::*;

fn kind(answer: &Value) -> &str {
    answer["error"]["data"]["kind"].as_str().unwrap_or("none")
}

async fn restrict(client: &mut Client, params: &Value) -> Value {
    client.ask(&request(50, "session.restrict", params)).await
}

/// A POST with a token, or without.
fn post(token: Option<&str>, body: &str) -> Vec<u8> {
    let token = token.map_or_else(String::new, |token| format!("authorization: {token}\r\n"));
    format!(
        "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{token}\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

#[tokio::test]
async fn a_connection_gives_up_rights_for_good_and_for_itself_alone() {
    let world = world();
    let (mut client, mut other) = (world.connect().await, world.connect().await);
    let shown = client.ask(&request(1, "session.show", &json!({}))).await;
    assert_eq!(shown["result"], json!({ "uid": own_uid(), "role": "admin", "narrowed": false }));
    let left = restrict(&mut client, &json!({ "role": "read" })).await;
    let read = json!({ "uid": own_uid(), "role": "read", "narrowed": true });
    assert_eq!(left["result"], read);
    let back = restrict(&mut client, &json!({ "role": "admin" })).await;
    assert_eq!(back["result"], read);
    assert_eq!(kind(&client.ask(&send(2, "a")).await), "not_permitted");
    assert_eq!(other.ask(&send(3, "a")).await["result"]["echo"], "a");

    let only = json!({ "methods": ["message.*", "event.list"] });
    assert!(restrict(&mut other, &only).await["result"].is_object());
    assert_eq!(other.ask(&send(4, "a")).await["result"]["echo"], "a");
    let status = other.ask(&request(5, "node.status", &json!({}))).await;
    assert_eq!(kind(&status), "not_permitted");
    assert_eq!(kind(&other.ask(&request(6, "rpc.methods", &json!({}))).await), "not_permitted");
    let subscribe = other.ask(&request(7, "event.subscribe", &json!({}))).await;
    assert_eq!(kind(&subscribe), "not_permitted");
}

#[tokio::test]
async fn an_http_request_is_narrowed_by_its_token_and_the_next_is_not() {
    let world = world();
    let refused = world.raw(&post(Some("Bearer read"), &send(1, "a"))).await;
    assert!(refused.starts_with("HTTP/1.1 200 ") && refused.contains("not_permitted"), "{refused}");
    let shown =
        world.raw(&post(Some("bearer read"), &request(1, "session.show", &json!({})))).await;
    assert!(shown.contains(r#""role":"read""#), "{shown}");
    let open = world.raw(&post(None, &send(2, "a"))).await;
    assert!(open.contains(r#""echo":"a""#), "{open}");
    let mut answers = Vec::new();
    for wrong in ["Bearer wrong", "Bearer ", "Basic cmVhZA==", "Bearer", "read"] {
        let answer = world.raw(&post(Some(wrong), &send(3, "a"))).await;
        assert!(answer.starts_with("HTTP/1.1 401 ") && answer.contains("token.bad"), "{answer}");
        answers.push(answer);
    }
    // A restriction in a batch holds for the rest of the batch.
    let batch = format!(
        "[{},{}]",
        request(1, "session.restrict", &json!({ "role": "read" })),
        send(2, "a")
    );
    let answer = world.raw(&post(None, &batch)).await;
    assert!(answer.contains("not_permitted"), "{answer}");
    let metrics = b"GET /metrics HTTP/1.1\r\nhost: x\r\nauthorization: Bearer read\r\n\
                    connection: close\r\n\r\n";
    assert!(world.raw(metrics).await.starts_with("HTTP/1.1 403 "));
}

#[tokio::test]
async fn subscriptions_are_narrowed_with_their_connection() {
    let world = world();
    let mut client = world.connect().await;
    world.log.publish("message.state", &json!({ "n": 1, "account": OTHER }));
    let subscribed = client.ask(&request(1, "event.subscribe", &json!({ "since": 0 }))).await;
    assert!(subscribed["result"].is_object(), "{subscribed}");
    assert_eq!(client.read().await["params"]["result"]["data"]["n"], 1);
    assert_eq!(client.read().await["params"]["result"]["type"], "stream.caught_up");
    world.log.publish("message.state", &json!({ "n": 2 }));
    assert_eq!(client.read().await["params"]["result"]["data"]["n"], 2);
    let left = restrict(&mut client, &json!({ "token": "other" })).await;
    assert_eq!(left["result"]["accounts"], json!([OTHER]));
    for n in [3, 4] {
        world.log.publish("message.state", &json!({ "n": n }));
        world.log.publish("message.state", &json!({ "n": 10 * n, "account": OTHER }));
    }
    assert_eq!(client.read().await["params"]["result"]["data"]["n"], 30);
    assert_eq!(client.read().await["params"]["result"]["data"]["n"], 40);
    // The same from the log.
    let replay = client.ask(&request(2, "event.subscribe", &json!({ "since": 0 }))).await;
    assert!(replay["result"].is_object(), "{replay}");
    for n in [1, 30, 40] {
        assert_eq!(client.read().await["params"]["result"]["data"]["n"], n);
    }
}

#[tokio::test]
async fn who_may_no_longer_subscribe_is_told_nothing_more() {
    let world = world();
    for left in [json!({ "role": "observe" }), json!({ "methods": ["event.list"] })] {
        let mut client = world.connect().await;
        client.ask(&request(1, "event.subscribe", &json!({}))).await;
        assert_eq!(client.read().await["params"]["result"]["type"], "stream.caught_up");
        assert!(restrict(&mut client, &left).await["result"].is_object());
        world.log.publish("message.state", &json!({ "text": "secret" }));
        let end = client.read().await["params"]["result"].take();
        assert_eq!(end["type"], "stream.failed", "{end}");
        assert_eq!(end["data"]["kind"], "not_permitted", "{end}");
        world.log.publish("message.state", &json!({ "text": "secret" }));
        let shown = client.ask(&request(2, "session.show", &json!({}))).await;
        assert_eq!(shown["id"], 2, "{shown}");
        until("it has ended", || world.desk.subscriptions.taken() == 0).await;
    }
}

#[tokio::test]
async fn a_request_with_two_tokens_is_refused() {
    let world = world();
    let two = post(Some("Bearer read\r\nauthorization: Bearer other"), &send(1, "a"));
    let answer = world.raw(&two).await;
    assert!(answer.starts_with("HTTP/1.1 401 ") && answer.contains("token.bad"), "{answer}");
}

#[tokio::test]
async fn a_token_that_is_removed_ends_calls_in_flight_subscriptions_and_the_session() {
    let mut world = world();
    let (mut client, mut owner) = (world.connect().await, world.connect().await);
    restrict(&mut client, &json!({ "token": "read" })).await;
    client.ask(&request(1, "event.subscribe", &json!({}))).await;
    assert_eq!(client.read().await["params"]["result"]["type"], "stream.caught_up");
    client.write(format!("{}\n", request(2, "event.list", &json!({}))).as_bytes()).await;
    assert_eq!(world.words.recv().await, Some(Word::Waiting));
    let id = id_of("read");
    owner.ask(&request(3, "token.delete", &json!({ "id": id }))).await;
    let mut ends = [client.read().await, client.read().await];
    ends.sort_by_key(|end| end["id"].is_null());
    assert_eq!((ends[0]["id"].as_u64(), kind(&ends[0])), (Some(2), "token.bad"));
    assert_eq!(ends[1]["params"]["result"]["type"], "stream.failed");
    assert_eq!(ends[1]["params"]["result"]["data"]["kind"], "token.bad");
    for method in ["node.status", "session.show", "session.restrict"] {
        let answer = client.ask(&request(4, method, &json!({}))).await;
        assert_eq!(kind(&answer), "token.bad", "{answer}");
    }
    owner.assert_well().await;
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_when_its_time_is_up() {
    let world = world();
    let mut client = world.connect().await;
    restrict(&mut client, &json!({ "until": 60_000 })).await;
    client.ask(&request(1, "event.subscribe", &json!({}))).await;
    assert_eq!(client.read().await["params"]["result"]["type"], "stream.caught_up");
    assert_eq!(client.read().await["params"]["result"]["type"], "stream.failed");
    assert_eq!(kind(&client.ask(&send(2, "a")).await), "token.bad");
}

#[tokio::test]
async fn a_token_ends_its_sessions_also_if_nobody_hears_that_it_was_removed() {
    let mut world = world();
    for token in ["full", "lost"] {
        let (mut client, mut owner) = (world.connect().await, world.connect().await);
        restrict(&mut client, &json!({ "token": token })).await;
        let delete = request(1, "token.delete", &json!({ "id": id_of(token) }));
        if token == "full" {
            assert_eq!(kind(&owner.ask(&delete).await), "store.full");
        } else {
            owner.write(format!("{delete}\n").as_bytes()).await;
            assert_eq!(world.words.recv().await, Some(Word::Waiting));
            drop(owner);
        }
        let over = async {
            loop {
                let answer = client.ask(&request(2, "node.status", &json!({}))).await;
                if answer["result"].is_null() {
                    break answer;
                }
            }
        };
        let answer = tokio::time::timeout(Duration::from_secs(30), over).await.expect(token);
        assert_eq!(kind(&answer), "token.bad");
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_by_the_wall_s_clock_too() {
    let world = world();
    let mut client = world.connect().await;
    restrict(&mut client, &json!({ "until": 3_600_000 })).await;
    client.ask(&request(1, "event.subscribe", &json!({}))).await;
    assert_eq!(client.read().await["params"]["result"]["type"], "stream.caught_up");
    world.log.time.store(3_600_000, Ordering::SeqCst);
    let before = tokio::time::Instant::now();
    assert_eq!(client.read().await["params"]["result"]["type"], "stream.failed");
    assert!(before.elapsed() <= Duration::from_millis(SESSION_END_CHECK_MS));
    let mut other = world.connect().await;
    restrict(&mut other, &json!({ "until": 3_700_000 })).await;
    other.assert_well().await;
    world.log.time.store(3_700_000, Ordering::SeqCst);
    assert_eq!(kind(&other.ask(&send(3, "a")).await), "token.bad");
}
