//! Front ends that speak HTTP and lines to a real daemon, and some that only make noise.

use bytchat_tests::daemon::{Daemon, Setup, Socket};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};

fn alone() -> Daemon {
    Daemon::start(&Setup { network: "alone".to_owned(), ..Setup::default() })
}

fn http(daemon: &Daemon, request: &str) -> (String, String) {
    let mut socket = daemon.socket();
    assert!(socket.send(request.as_bytes()));
    let answer = socket.rest();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

#[test]
fn a_daemon_answers_http_health_and_metrics() {
    let daemon = alone();
    let end = "host: x\r\nconnection: close\r\n";
    let (head, body) = http(&daemon, &format!("GET /healthz HTTP/1.1\r\n{end}\r\n"));
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(body, r#"{"status":"ok"}"#);
    let (head, body) = http(&daemon, &format!("GET /metrics HTTP/1.1\r\n{end}\r\n"));
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(body.contains("\nbytchat_links 0\n"), "{body}");
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "event.list", "params": {} });
    let call = call.to_string();
    let (head, body) = http(
        &daemon,
        &format!(
            "POST / HTTP/1.1\r\n{end}content-type: application/json\r\ncontent-length: {}\r\n\r\n\
             {call}",
            call.len()
        ),
    );
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(answer["result"]["events"], json!([]));
    assert_eq!(answer["result"]["epoch"].as_str().unwrap().len(), 32);
}

#[test]
fn a_hundred_megabytes_without_an_end_take_no_memory() {
    let daemon = alone();
    let before = daemon.memory();
    let block = vec![b'x'; 1 << 20];
    let mut lines = daemon.socket();
    let mut body = daemon.socket();
    let head = "POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
                content-length: 104857600\r\n\r\n";
    assert!(body.send(head.as_bytes()));
    for _ in 0..100 {
        assert!(lines.send(&block));
    }
    // HTTP is answered as soon as it is too much.
    let answer = body.rest();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert_eq!(lines.line().unwrap()["error"]["code"], -32007);
    let grown = daemon.memory().saturating_sub(before);
    assert!(grown < 32 << 20, "it has grown by {grown} bytes");
    assert!(lines.send(b"\n"));
    assert!(lines.call("node.status", &json!({}))["result"].is_object());
}

#[test]
fn of_ten_thousand_connections_those_without_a_place_are_told() {
    let limit = getrlimit(Resource::Nofile);
    let room = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, room).unwrap();
    let daemon = alone();
    let before = daemon.memory();
    let mut first = daemon.socket();
    assert!(first.call("node.status", &json!({}))["result"].is_object());
    let mut others: Vec<Socket> = (0..10_000).map(|_| daemon.socket()).collect();
    let places = bytchat_proto::limits::RPC_CLIENTS_PER_USER_MAX;
    let mut told = 0;
    for other in others.iter_mut().skip(places - 1) {
        let line = other.line().unwrap();
        assert_eq!(line["error"]["data"]["kind"], "busy", "{line}");
        told += 1;
    }
    assert_eq!(told, 10_001 - places);
    assert!(first.call("node.status", &json!({}))["result"].is_object());
    let grown = daemon.memory().saturating_sub(before);
    assert!(grown < 128 << 20, "it has grown by {grown} bytes");
    drop(others);
    daemon.get(&["node", "status"]);
}
