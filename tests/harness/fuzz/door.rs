//! The socket of the daemon, through its own door: whatever the dialect turns out to be.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use bytchat_core::io::{Caller, Scope};
use bytchat_proto::limits::RPC_ANSWER_BYTES_MAX;
use bytchat_proto::rpc::{Call, ErrorKind};
use bytchat_proto::timestamp::Timestamp;
use bytchatd::rpc::{Answer, Follower, Hub, Service, serve_one};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::time::timeout;

use super::golden;

/// Who has said nothing for so long is not listened to: it may have begun to tell events.
const PATIENCE: Duration = Duration::from_millis(20);
const CALLER: Caller = Caller { uid: 1_000 };

thread_local! {
    static RUNTIME: RefCell<Option<Runtime>> = const { RefCell::new(None) };
}

/// Runs a future on the runtime of this thread.
pub(super) fn on_a_runtime<T>(future: impl Future<Output = T>) -> T {
    RUNTIME.with_borrow_mut(|runtime| {
        let runtime = runtime.get_or_insert_with(|| {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            builder.enable_all().build().expect("there is memory for a runtime")
        });
        runtime.block_on(future)
    })
}

/// Answers every call: with what it asked, or that it is refused.
struct Echo(Arc<Hub>);

impl Service for Echo {
    fn call(&self, _: Caller, _: Option<Arc<Scope>>, call: Call) -> Answer {
        let method = call.method();
        let answer = match method.ends_with("delete") {
            true => Err(ErrorKind::NotFound.because("there is nothing")),
            false => Ok(json!({ "method": method, "params": call.params() })),
        };
        Box::pin(async { answer })
    }

    fn follow(&self, caller: Caller) -> Follower {
        self.0.follow(caller)
    }

    fn time(&self) -> Timestamp {
        Timestamp(1_795_219_200_000)
    }
}

/// Writes it all, and checks that what comes back is an answer of the dialect.
pub(super) fn feed(bytes: &[u8]) {
    let said = on_a_runtime(talk(bytes, PATIENCE));
    assert!(said.len() <= RPC_ANSWER_BYTES_MAX, "{} bytes are said", said.len());
    if said.is_empty() || said.starts_with(b"HTTP/1.1 ") {
        return;
    }
    // The last line may be cut where nobody read on.
    let whole = said.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    for line in said[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let answer: Value = serde_json::from_slice(line).expect("an answer is a line of JSON");
        let answers = answer.as_array().cloned().unwrap_or_else(|| vec![answer]);
        assert!(answers.iter().all(|answer| answer["jsonrpc"] == "2.0"), "{answers:?}");
    }
}

/// Says all of it, and listens until the daemon has no more to say, or says nothing for a while.
async fn talk(bytes: &[u8], patience: Duration) -> Vec<u8> {
    let (ours, theirs) = UnixStream::pair().expect("there are sockets");
    let (_stay, stop) = watch::channel(false);
    let (mut input, mut output) = ours.into_split();
    let mut said = Vec::new();
    let listening = async {
        let mut buffer = [0; 16 * 1024];
        while let Ok(Ok(length @ 1..)) = timeout(patience, input.read(&mut buffer)).await {
            said.extend_from_slice(&buffer[..length]);
        }
    };
    let saying = async {
        // Who is cut off in the middle has been told why.
        drop(output.write_all(bytes).await);
        // HTTP takes an end of what is said as an end of all, and ends by itself if it is told so.
        let ends = b"connection: close";
        if !bytes.windows(ends.len()).any(|window| window == ends) {
            drop(output.shutdown().await);
        }
        std::future::pending::<()>().await
    };
    let serving = serve_one(theirs, CALLER, Arc::new(Echo(Arc::default())), stop);
    let serving = async {
        serving.await;
        std::future::pending::<()>().await
    };
    tokio::select! {
        biased;
        () = listening => {}
        () = saying => {}
        () = serving => {}
    }
    said
}

fn http(verb: &str, path: &str, fields: &[&str], body: &str) -> Vec<u8> {
    let length = format!("content-length: {}", body.len());
    let mut head = vec![format!("{verb} {path} HTTP/1.1"), "host: localhost".to_owned(), length];
    head.extend(fields.iter().map(|field| (*field).to_owned()));
    format!("{}\r\n\r\n{body}", head.join("\r\n")).into_bytes()
}

/// A frame of a WebSocket whose mask is zero.
fn masked(head: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("a short frame");
    assert!(length < 126, "a short frame");
    [&[head, 0x80 | length, 0, 0, 0, 0], payload].concat()
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let request = |(number, (method, params)): (usize, (&str, &str))| {
        format!(r#"{{"jsonrpc":"2.0","id":{number},"method":"{method}","params":{params}}}"#)
    };
    let requests: Vec<String> = golden::calls().into_iter().enumerate().map(request).collect();
    let batch = format!("[{}]", requests[..3].join(","));
    let upgrade = http(
        "GET",
        "/",
        &[
            "connection: Upgrade",
            "upgrade: websocket",
            "sec-websocket-version: 13",
            "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
        ],
        "",
    );
    let status = br#"{"jsonrpc":"2.0","id":1,"method":"node.status"}"#;
    let frames = [
        masked(0x01, &status[..20]),
        masked(0x89, b"here?"),
        masked(0x80, &status[20..]),
        masked(0x88, &[3, 232]),
    ];
    let mut seeds: Vec<Vec<u8>> =
        requests.iter().map(|request| format!("{request}\n").into_bytes()).collect();
    seeds.extend([
        format!("{batch}\n").into_bytes(),
        requests[..4].join("\n").into_bytes(),
        http("POST", "/", &["content-type: application/json", "connection: close"], &requests[0]),
        http("POST", "/", &["content-type: application/json", "connection: close"], &batch),
        http("GET", "/metrics", &["connection: close"], ""),
        http("GET", "/healthz", &["connection: close"], ""),
        http("GET", "/openrpc.json", &["connection: close"], ""),
        [upgrade, frames.concat()].concat(),
    ]);
    seeds
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn every_dialect_is_answered() {
        let seeds = seeds();
        let (line, last) = (&seeds[0], seeds.last().unwrap());
        assert!(on_a_runtime(talk(line, LONG)).starts_with(br#"{"jsonrpc":"2.0","#));
        let said = on_a_runtime(talk(last, LONG));
        assert!(said.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&said));
        let answered = said.windows(11).any(|it| it == b"node.status");
        assert!(answered, "{}", String::from_utf8_lossy(&said));
        let body = seeds.iter().find(|seed| seed.starts_with(b"POST")).unwrap();
        assert!(on_a_runtime(talk(body, LONG)).starts_with(b"HTTP/1.1 200 "));
    }
}
