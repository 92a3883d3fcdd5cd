//! One line in, at most one line out: requests, notifications and batches of JSON-RPC 2.0.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytchat_core::io::Caller;
use bytchat_proto::limits::{
    RPC_ANSWER_BYTES_MAX, RPC_BATCH_MAX, RPC_LINE_BYTES_MAX, RPC_STOP_GRACE_MS,
};
use bytchat_proto::rpc::error::ErrorData;
use bytchat_proto::rpc::{ErrorKind, RpcError};
use jsonrpsee::core::server::{
    BatchResponseBuilder, ConnectionId, Extensions, MethodCallback, MethodResponse, Methods,
};
use jsonrpsee::types::error::{
    ErrorObjectOwned, OVERSIZED_REQUEST_CODE, PARSE_ERROR_CODE, TOO_BIG_BATCH_REQUEST_CODE,
};
use jsonrpsee::types::{Id, InvalidRequest, Notification, Params, Request};
use serde::de::{Error as _, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::debug;

use super::Service;
use super::methods::{methods, object};

/// Answers lines.
#[derive(Clone)]
pub(super) struct Exchange {
    methods: Methods,
    extensions: Extensions,
    stop: watch::Receiver<bool>,
}

/// A request that wants no answer.
type Silent<'a> = Notification<'a, Option<&'a RawValue>>;

/// Tells whether a request names an id, be it a wrong one.
#[derive(Deserialize)]
struct Named {
    #[serde(default)]
    id: Option<IgnoredAny>,
}

impl Exchange {
    pub(super) fn new(service: Arc<dyn Service>, stop: watch::Receiver<bool>) -> Self {
        Self { methods: methods(service), extensions: Extensions::new(), stop }
    }

    // SPEC 8.3: who calls is what the kernel says of the peer of the socket.
    /// Speaks for a caller.
    pub(super) fn of(&self, caller: Caller) -> Self {
        let mut exchange = self.clone();
        exchange.extensions.insert(caller);
        exchange
    }

    /// Waits until the daemon is to stop.
    pub(super) async fn stopped(&self) {
        // An error means that the sender is gone, which is a stop as well.
        drop(self.stop.clone().wait_for(|stop| *stop).await);
    }

    // SPEC 8.1: a line is a request or a batch, and so is its answer.
    /// Answers one line, or nothing if it asks for no answer.
    pub(super) async fn answer(&self, line: &[u8]) -> Option<Box<RawValue>> {
        let text = match std::str::from_utf8(line) {
            Ok(text) => text.trim(),
            Err(error) => {
                return Some(unreadable(format!("the line is no UTF-8: {error}")).into_json());
            }
        };
        if text.is_empty() {
            return None;
        }
        // The whole line is checked first, so that a torn line is told from a wrong request.
        let answer = match serde_json::from_str::<&RawValue>(text) {
            Err(error) => Some(unreadable(format!("the line is no JSON: {error}"))),
            Ok(_) if text.starts_with('[') => self.batch(text).await,
            Ok(value) => self.single(value).await,
        };
        answer.map(MethodResponse::into_json)
    }

    async fn batch(&self, text: &str) -> Option<MethodResponse> {
        let items = match serde_json::from_str::<Batch<'_>>(text) {
            Ok(Batch(items)) if items.is_empty() => {
                let error = ErrorKind::BadRequest.because("a batch has at least one request");
                return Some(MethodResponse::error(Id::Null, object(&error)));
            }
            Ok(Batch(items)) => items,
            Err(_) => return Some(too_many()),
        };
        let mut answers = BatchResponseBuilder::new_with_limit(RPC_ANSWER_BYTES_MAX);
        for item in items {
            let Some(answer) = self.single(item).await else {
                continue;
            };
            if let Err(too_large) = answers.append(answer) {
                return Some(too_large);
            }
        }
        (!answers.is_empty()).then(|| MethodResponse::from_batch(answers.finish()))
    }

    async fn single(&self, value: &RawValue) -> Option<MethodResponse> {
        let text = value.get();
        // Serde would read an array as the fields of a request in order.
        if !text.starts_with('{') {
            return Some(not_a_request(Id::Null));
        }
        if let Ok(request) = serde_json::from_str::<Request<'_>>(text) {
            return Some(self.run(request).await);
        }
        if let Ok(InvalidRequest { id }) = serde_json::from_str(text) {
            return Some(not_a_request(id));
        }
        let unnamed = serde_json::from_str::<Named>(text).is_ok_and(|named| named.id.is_none());
        match serde_json::from_str::<Silent<'_>>(text) {
            Ok(silent) if unnamed => {
                self.run_silently(silent).await;
                None
            }
            Ok(_) | Err(_) => Some(not_a_request(Id::Null)),
        }
    }

    // SPEC 8.2: a notification is run and not answered.
    async fn run_silently(&self, silent: Silent<'_>) {
        let params = silent.params.map(ToOwned::to_owned);
        let request = Request::owned(silent.method.into_owned(), params, Id::Null);
        self.run(request).await;
    }

    async fn run(&self, request: Request<'_>) -> MethodResponse {
        let Request { id, method, params, .. } = request;
        let params = Params::new(params.as_ref().map(|params| params.get()));
        let extensions = self.extensions.clone();
        match self.methods.method(&method) {
            Some(MethodCallback::Async(callback)) => {
                let (own, params) = (id.clone().into_owned(), params.into_owned());
                debug!(%method, "a front end calls");
                // Connection ids matter to subscriptions only, and there are none.
                let nobody = ConnectionId(0);
                tokio::select! {
                    answer = callback(own, params, nobody, RPC_ANSWER_BYTES_MAX, extensions) => {
                        answer
                    }
                    () = self.closing() => {
                        let error = ErrorKind::ShuttingDown.because("the daemon is stopping");
                        MethodResponse::error(id, object(&error))
                    }
                }
            }
            Some(MethodCallback::Sync(callback)) => {
                callback(id, params, RPC_ANSWER_BYTES_MAX, extensions)
            }
            Some(MethodCallback::Subscription(_) | MethodCallback::Unsubscription(_)) | None => {
                let error = ErrorKind::UnknownMethod.because(format!(
                    "there is no method {:?}; `bytctl rpc --list` shows all",
                    method.chars().take(80).collect::<String>()
                ));
                MethodResponse::error(id, object(&error))
            }
        }
    }

    /// Waits until the daemon is to stop, and a moment longer.
    pub(super) async fn closing(&self) {
        self.stopped().await;
        sleep(Duration::from_millis(RPC_STOP_GRACE_MS)).await;
    }
}

/// An answer to nobody in particular.
pub(super) fn refusal(error: &RpcError) -> Box<RawValue> {
    MethodResponse::error(Id::Null, object(error)).into_json()
}

/// The answer to a line above the limit.
pub(super) fn too_long() -> Box<RawValue> {
    let message = format!("a line has at most {RPC_LINE_BYTES_MAX} bytes");
    let error = malformed(OVERSIZED_REQUEST_CODE, message, "send less at once");
    MethodResponse::error(Id::Null, error).into_json()
}

fn not_a_request(id: Id<'_>) -> MethodResponse {
    let error = ErrorKind::BadRequest.because(
        "a request is an object with \"jsonrpc\": \"2.0\", \"id\" (a string or a whole number), \
         \"method\" and \"params\"",
    );
    MethodResponse::error(id, object(&error))
}

fn too_many() -> MethodResponse {
    let message = format!("a batch has at most {RPC_BATCH_MAX} requests");
    let error = malformed(TOO_BIG_BATCH_REQUEST_CODE, message, "send several batches");
    MethodResponse::error(Id::Null, error)
}

fn unreadable(message: String) -> MethodResponse {
    let error = malformed(PARSE_ERROR_CODE, message, ErrorKind::BadRequest.hint());
    MethodResponse::error(Id::Null, error)
}

/// The standard numbers that JSON-RPC and jsonrpsee give to requests that cannot be read.
fn malformed(code: i32, message: String, hint: &str) -> ErrorObjectOwned {
    let data = ErrorData { kind: ErrorKind::BadRequest, hint: hint.to_owned() };
    ErrorObjectOwned::owned(code, message, Some(data))
}

/// The requests of a batch: reading stops at the limit, before memory is spent on them.
struct Batch<'a>(Vec<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Batch<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(BatchVisitor).map(Batch)
    }
}

struct BatchVisitor;

impl<'de> Visitor<'de> for BatchVisitor {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a batch of requests")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            if items.len() >= RPC_BATCH_MAX {
                return Err(A::Error::custom("too many requests"));
            }
            items.push(item);
        }
        Ok(items)
    }
}
