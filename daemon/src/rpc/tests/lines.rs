//! JSON-RPC in lines, and what holds for every dialect.

use bytchat_proto::limits::{
    RPC_BATCH_MAX, RPC_CALLS_PER_CLIENT_MAX, RPC_LINE_BYTES_MAX, RPC_SUBSCRIPTIONS_PER_CLIENT_MAX,
};

use super::*;

#[tokio::test]
async fn a_call_is_answered_and_knows_its_caller() {
    let world = world();
    let mut client = world.connect().await;
    let answer = client.ask(&request(7, "node.status", &json!({}))).await;
    assert_eq!((&answer["jsonrpc"], &answer["id"]), (&json!("2.0"), &json!(7)));
    assert_eq!(answer["result"]["uid"], own_uid());
}

#[tokio::test]
async fn an_error_has_its_number_name_and_hint() {
    let world = world();
    let mut client = world.connect().await;
    let answer = client.ask(&send(1, "refuse")).await;
    assert_eq!(
        answer["error"],
        json!({
            "code": 1106,
            "message": "you block bob",
            "data": { "kind": "contact.blocked", "hint": ErrorKind::Blocked.hint() },
        })
    );
}

#[tokio::test]
async fn wrong_parameters_and_methods_are_named() {
    let world = world();
    let mut client = world.connect().await;
    let params = json!({ "to": "b", "text": "hi", "txt": 1 });
    let answer = client.ask(&request(1, "message.send", &params)).await;
    assert_eq!(answer["error"]["code"], -32602);
    assert!(answer["error"]["message"].to_string().contains("`txt`"));
    let answer = client.ask(&request(2, "message.send", &json!(["b", "hi"]))).await;
    assert_eq!(answer["error"]["code"], -32602);
    let answer = client.ask(&request(3, "message.sned", &json!({}))).await;
    assert_eq!(answer["error"]["code"], -32601);
    assert_eq!(answer["error"]["data"]["kind"], "method.unknown");
    assert_eq!(answer["id"], 3);
}

#[tokio::test]
async fn the_methods_are_listed() {
    let world = world();
    let mut client = world.connect().await;
    let answer = client.ask(&request(1, "rpc.methods", &Value::Null)).await;
    let methods = answer["result"]["methods"].as_array().unwrap();
    for method in Call::METHODS.iter().chain(&["rpc.methods", "rpc.discover"]) {
        assert!(methods.contains(&json!(method)), "{method}");
    }
}

/// SPEC 8.54: what is deprecated works, is marked, and is refused where it is not wanted.
#[tokio::test]
async fn a_deprecated_method_works_until_a_connection_wants_none() {
    let world = world();
    let mut client = world.connect().await;
    let mut call =
        async |id, method: &str, params: Value| client.ask(&request(id, method, &params)).await;
    let listed = call(1, "rpc.methods", json!({})).await;
    assert_eq!(listed["result"]["deprecated"]["cursor.get"]["instead"], "cursor.list");
    assert!(listed["result"]["deprecated"].get("cursor.list").is_none());
    let get = json!({ "name": "bot" });
    let answer = call(2, "cursor.get", get.clone()).await;
    assert_eq!(answer["result"]["name"], "bot", "{answer}");
    let set = call(3, "session.set", json!({ "deprecated": false })).await;
    assert_eq!(set["result"], json!({ "deprecated": false }));
    let answer = call(4, "cursor.get", get.clone()).await;
    assert_eq!(answer["error"]["data"]["kind"], "method.deprecated");
    assert!(answer["error"]["message"].as_str().unwrap().contains("cursor.list"), "{answer}");
    assert!(call(5, "node.status", json!({})).await["error"].is_null());
    // Others are none the wiser, and it can be taken back.
    let mut other = world.connect().await;
    let answer = other.ask(&request(1, "cursor.get", &get)).await;
    assert!(answer["error"].is_null(), "{answer}");
    assert_eq!(call(6, "session.set", json!({})).await["result"]["deprecated"], false);
    assert_eq!(
        call(7, "session.set", json!({ "deprecated": true })).await["result"]["deprecated"],
        true
    );
    assert!(call(8, "cursor.get", get).await["error"].is_null());
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_the_connection_goes_on() {
    let world = world();
    let mut client = world.connect().await;
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let deep_params =
        format!(r#"{{"jsonrpc":"2.0","id":9,"method":"node.status","params":{{"a":{deep}}}}}"#);
    for (line, code, id) in [
        ("hello", -32700, Value::Null),
        (r#"{"jsonrpc":"2.0","id":1,"method":"node.sta"#, -32700, Value::Null),
        ("1", -32600, Value::Null),
        ("{}", -32600, Value::Null),
        (r#"{"id":4,"method":"node.status"}"#, -32600, json!(4)),
        (r#"{"jsonrpc":"1.0","id":5,"method":"node.status"}"#, -32600, json!(5)),
        (r#"{"jsonrpc":"2.0","id":6}"#, -32600, json!(6)),
        (r#"{"jsonrpc":"2.0","id":{},"method":"node.status"}"#, -32600, Value::Null),
        (r#"{"jsonrpc":"2.0","id":1.5,"method":"node.status"}"#, -32600, Value::Null),
        ("[]", -32600, Value::Null),
        (deep_params.as_str(), -32602, json!(9)),
    ] {
        let answer = client.ask(line).await;
        let shown: String = line.chars().take(80).collect();
        assert_eq!(answer["error"]["code"], code, "{shown}: {answer}");
        assert_eq!(answer["id"], id, "{shown}: {answer}");
        assert!(answer["error"]["data"]["hint"].is_string(), "{shown}");
    }
    let nested = client.ask(&deep).await;
    assert_eq!(nested[0]["error"]["code"], -32600);
    client.write(b"\xff\xfe\n").await;
    assert_eq!(client.read().await["error"]["code"], -32700);
    client.assert_well().await;
}

#[tokio::test]
async fn a_line_above_the_limit_is_answered_and_skipped() {
    let world = world();
    let mut client = world.connect().await;
    let long = send(1, &"x".repeat(RPC_LINE_BYTES_MAX));
    let answer = client.ask(&long).await;
    assert_eq!(answer["error"]["code"], -32007);
    assert_eq!(answer["id"], Value::Null);
    client.assert_well().await;
}

#[tokio::test]
async fn a_notification_and_an_empty_line_are_not_answered() {
    let world = world();
    let mut client = world.connect().await;
    let silent = r#"{"jsonrpc":"2.0","method":"message.send","params":{"to":"b","text":"refuse"}}"#;
    client.write(format!("{silent}\n\n  \r\n[{silent}]\n").as_bytes()).await;
    client.assert_well().await;
}

#[tokio::test]
async fn a_notification_is_run() {
    let mut world = world();
    let mut client = world.connect().await;
    client.write(b"{\"jsonrpc\":\"2.0\",\"method\":\"event.list\"}\n").await;
    assert_eq!(world.words.recv().await, Some(Word::Waiting));
}

#[tokio::test]
async fn a_batch_is_answered_in_one_line() {
    let world = world();
    let mut client = world.connect().await;
    let silent = r#"{"jsonrpc":"2.0","method":"node.status"}"#;
    let batch = format!("[{},1,{silent},{}]", send(1, "a"), send(2, "refuse"));
    let answer = client.ask(&batch).await;
    assert_eq!(answer.as_array().unwrap().len(), 3, "{answer}");
    assert_eq!(answer[0]["result"]["echo"], "a");
    assert_eq!(answer[1]["error"]["code"], -32600);
    assert_eq!(answer[2]["error"]["code"], 1106);
    let many = vec![send(1, "a"); RPC_BATCH_MAX + 1].join(",");
    let answer = client.ask(&format!("[{many}]")).await;
    assert_eq!(answer["error"]["code"], -32010);
    client.assert_well().await;
}

#[tokio::test]
async fn a_thousand_requests_may_be_written_before_an_answer_is_read() {
    let world = world();
    let mut client = world.connect().await;
    let lines: String = (0..1000).map(|i| send(i, "a") + "\n").collect();
    let (mut input, mut output) = (client.input, client.output);
    let writing = tokio::spawn(async move {
        output.write_all(lines.as_bytes()).await.unwrap();
        output
    });
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..1000 {
        let mut line = String::new();
        input.read_line(&mut line).await.unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap();
        seen.insert(answer["id"].as_u64().unwrap());
    }
    assert_eq!(seen.len(), 1000);
    client = Client { input, output: writing.await.unwrap() };
    client.assert_well().await;
}

#[tokio::test]
async fn a_client_that_closed_its_half_still_gets_its_answer() {
    let world = world();
    let mut client = world.connect().await;
    // Without a newline, as `printf` would.
    client.write(send(1, "a").as_bytes()).await;
    client.output.shutdown().await.unwrap();
    assert_eq!(client.read().await["result"]["echo"], "a");
    let mut rest = String::new();
    client.input.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "");
}

#[tokio::test]
async fn half_a_line_at_the_end_is_told() {
    let world = world();
    let mut client = world.connect().await;
    client.write(b"{\"jsonrpc\":").await;
    client.output.shutdown().await.unwrap();
    assert_eq!(client.read().await["error"]["code"], -32700);
}

#[tokio::test]
async fn a_call_ends_when_its_caller_is_gone() {
    let mut world = world();
    let mut client = world.connect().await;
    client.write(request(1, "event.list", &json!({})).as_bytes()).await;
    client.write(b"\n").await;
    assert_eq!(world.words.recv().await, Some(Word::Waiting));
    drop(client);
    assert_eq!(world.words.recv().await, Some(Word::Dropped));
}

#[tokio::test]
async fn a_call_ends_when_a_caller_that_had_closed_its_half_is_gone() {
    let mut world = world();
    let mut client = world.connect().await;
    client.write(request(1, "event.list", &json!({})).as_bytes()).await;
    client.output.shutdown().await.unwrap();
    assert_eq!(world.words.recv().await, Some(Word::Waiting));
    drop(client);
    assert_eq!(world.words.recv().await, Some(Word::Dropped));
}

#[tokio::test]
async fn a_client_has_so_many_calls_in_flight_and_no_more() {
    let mut world = world();
    let mut client = world.connect().await;
    let waits: String = (0..2 * RPC_CALLS_PER_CLIENT_MAX as u64)
        .map(|i| request(i, "event.list", &json!({ "wait_ms": 60_000 })) + "\n")
        .collect();
    client.write(waits.as_bytes()).await;
    for _ in 0..RPC_CALLS_PER_CLIENT_MAX {
        assert_eq!(world.words.recv().await, Some(Word::Waiting));
    }
    let mut other = world.connect().await;
    other.assert_well().await;
    drop(client);
    for _ in 0..RPC_CALLS_PER_CLIENT_MAX {
        assert_eq!(world.words.recv().await, Some(Word::Dropped));
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off() {
    let write = Duration::from_millis(10);
    let world = world_within(Bounds { write, gone_check: NEVER, ..bounds() });
    let mut client = world.connect().await;
    let line = request(1, "node.peers", &json!({})) + "\n";
    // An error is what we wait for: the daemon has closed the socket.
    while client.output.write_all(line.as_bytes()).await.is_ok() {}
    let mut other = world.connect().await;
    other.assert_well().await;
}

#[tokio::test]
async fn stopping_answers_the_calls_that_wait_and_removes_the_socket() {
    let mut world = world();
    let mut client = world.connect().await;
    client.write(request(5, "event.list", &json!({})).as_bytes()).await;
    client.write(b"\n").await;
    assert_eq!(world.words.recv().await, Some(Word::Waiting));
    world.stop.send(true).unwrap();
    let answer = client.read().await;
    assert_eq!(answer["id"], 5);
    assert_eq!(answer["error"]["data"]["kind"], "shutting_down");
    (&mut world.serving).await.unwrap();
    assert!(!world.socket().exists());
    Listener::bind(&config(&world.dir)).unwrap();
}

#[tokio::test]
async fn a_call_that_the_engine_has_is_answered_within_the_grace_of_a_stop() {
    let mut world = world();
    let mut client = world.connect().await;
    client.write((send(5, "slow") + "\n").as_bytes()).await;
    assert_eq!(world.words.recv().await, Some(Word::Waiting));
    world.stop.send(true).unwrap();
    until("the socket goes", || !world.socket().exists()).await;
    world.slow.notify_one();
    assert_eq!(client.read().await["result"]["echo"], "slow");
}

#[tokio::test]
async fn a_stop_does_not_deny_what_may_have_been_carried_out() {
    let mut world = world();
    let mut client = world.connect().await;
    client.write((send(5, "slow") + "\n").as_bytes()).await;
    assert_eq!(world.words.recv().await, Some(Word::Waiting));
    world.stop.send(true).unwrap();
    let answer = client.read().await;
    assert_eq!(answer["error"]["data"]["kind"], "shutting_down");
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains("may have been carried out"), "{message}");
    assert!(message.contains("the same `client_id`"), "{message}");
}

#[tokio::test]
async fn a_batch_whose_answer_is_too_large_leaves_no_subscription() {
    let world = world();
    let mut client = world.connect().await;
    let subscribe = request(0, "event.subscribe", &json!({}));
    let peers = request(1, "node.peers", &json!({}));
    let batch = [vec![subscribe.clone()], vec![peers; RPC_BATCH_MAX - 1]].concat().join(",");
    let answer = client.ask(&format!("[{batch}]")).await;
    assert_eq!(answer["error"]["code"], -32011, "{answer}");
    until("the subscription ends", || world.desk.subscriptions.taken() == 0).await;
    for _ in 0..RPC_SUBSCRIPTIONS_PER_CLIENT_MAX {
        client.write((subscribe.clone() + "\n").as_bytes()).await;
    }
    let open = || world.desk.subscriptions.taken() == RPC_SUBSCRIPTIONS_PER_CLIENT_MAX;
    until("there is room for others", open).await;
}

#[tokio::test]
async fn what_is_written_around_the_stop_is_answered() {
    let mut world = world();
    let mut client = world.connect().await;
    client.assert_well().await;
    world.stop.send(true).unwrap();
    while world.socket().exists() {
        tokio::task::yield_now().await;
    }
    client.assert_well().await;
    (&mut world.serving).await.unwrap();
}
