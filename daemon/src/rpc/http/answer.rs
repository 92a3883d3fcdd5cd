//! Answers of HTTP, in the few forms that we have.

use bytchat_proto::rpc::{ErrorKind, RpcError};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};

use super::super::exchange::{Kept, refusal};

/// An answer with its whole body.
pub(super) type Answer = Response<Full<Bytes>>;

/// No body.
pub(super) fn empty() -> Full<Bytes> {
    Full::default()
}

/// An answer to what asked for none.
pub(super) fn nothing() -> Answer {
    let mut answer = Response::new(empty());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer
}

/// A JSON text.
pub(super) fn json(status: StatusCode, json: Box<str>) -> Answer {
    answer(status, "application/json", Bytes::from(String::from(json)))
}

/// The answer to a call, which counts until it is written.
pub(super) fn called(json: impl AsRef<str> + Send + 'static, kept: Kept) -> Answer {
    let body = Bytes::from_owner(Called { text: json, _kept: kept });
    answer(StatusCode::OK, "application/json", body)
}

struct Called<T> {
    text: T,
    _kept: Kept,
}

impl<T: AsRef<str>> AsRef<[u8]> for Called<T> {
    fn as_ref(&self) -> &[u8] {
        self.text.as_ref().as_bytes()
    }
}

/// An error in the form of JSON-RPC, with the status that says the same.
pub(super) fn failed(error: &RpcError) -> Answer {
    let status = match error.kind == ErrorKind::NotPermitted {
        true => StatusCode::FORBIDDEN,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    refused(status, error)
}

/// An error in the form of JSON-RPC.
pub(super) fn refused(status: StatusCode, error: &RpcError) -> Answer {
    json(status, refusal(error))
}

/// Metrics as Prometheus reads them.
pub(super) fn text(text: String, kept: Kept) -> Answer {
    let body = Bytes::from_owner(Called { text, _kept: kept });
    answer(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", body)
}

fn answer(status: StatusCode, kind: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let version = HeaderValue::from_static(env!("CARGO_PKG_VERSION"));
    headers.insert("bytchat-version", version);
    answer
}
