//! One text in, at most one text out: requests, notifications and batches of JSON-RPC 2.0.

use std::fmt;
use std::sync::Arc;

use bytchat_core::io::Caller;
use bytchat_proto::limits::{
    RPC_ANSWER_BYTES_MAX, RPC_BATCH_MAX, RPC_LINE_BYTES_MAX, RPC_WRITE_BYTES_TARGET,
};
use bytchat_proto::rpc::error::ErrorData;
use bytchat_proto::rpc::{ErrorKind, Method, Role, RpcError};
use jsonrpsee::core::server::{BatchResponseBuilder, MethodResponse};
use jsonrpsee::types::error::{
    ErrorObjectOwned, OVERSIZED_REQUEST_CODE, PARSE_ERROR_CODE, TOO_BIG_BATCH_REQUEST_CODE,
};
use jsonrpsee::types::{Id, InvalidRequest, Notification, Request};
use serde::de::{Error as _, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::yield_now;
use tracing::debug;

use super::asked::Asked;
use super::desk::Desk;
use super::events::{Stream, Streams};
use super::grant::{Grant, Wall};
use super::methods::object;
use super::quota::Place;
use super::settings::Settings;

/// Answers requests of one caller, in whatever dialect they come.
#[derive(Clone)]
pub(super) struct Exchange {
    pub(super) desk: Arc<Desk>,
    pub(super) caller: Caller,
    pub(super) grant: Grant,
    pub(super) streams: Option<Arc<Streams>>,
    pub(super) settings: Arc<Settings>,
}

/// What there is to say to a text.
#[derive(Debug)]
pub(super) struct Said {
    /// The answer, unless none was asked for.
    pub(super) json: Option<Box<str>>,
    /// Subscriptions that begin once the answer is out.
    pub(super) opened: Vec<Stream>,
    /// What is given back once the answer is written.
    pub(super) kept: Kept,
}

/// What counts as long as an answer or an event is not written.
#[derive(Debug)]
pub(super) struct Kept {
    call: Option<Place>,
    bytes: Place,
    _queue: Option<OwnedSemaphorePermit>,
}

/// A text that is being answered.
struct Turn {
    opened: Vec<Stream>,
    kept: Kept,
    /// Bytes of the text and of what there is to say to it so far.
    bytes: usize,
}

impl Kept {
    /// An event in the queue of its connection.
    pub(super) fn event(bytes: Place, queue: OwnedSemaphorePermit) -> Self {
        Self { call: None, bytes, _queue: Some(queue) }
    }
}

impl Turn {
    // SPEC 8.7: an answer for which its user has no bytes left is not kept.
    /// Counts an answer.
    fn keep(&mut self, answer: &MethodResponse) -> Result<(), RpcError> {
        let bytes = self.bytes + answer.as_json().get().len();
        self.kept.bytes.hold(bytes)?;
        self.bytes = bytes;
        Ok(())
    }
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
    // SPEC 8.3: who calls is what the kernel says of the peer of the socket.
    /// Speaks for a caller whose connection carries nothing but answers.
    pub(super) fn new(desk: Arc<Desk>, caller: Caller, role: Role) -> Self {
        let service = Arc::clone(&desk.service);
        let grant = Grant::new(role, Wall::new(move || service.time()));
        Self { desk, caller, grant, streams: None, settings: Arc::default() }
    }

    /// The same, with rights of its own to give up: each HTTP request is a session by itself.
    pub(super) fn apart(&self) -> Self {
        Self { grant: self.grant.apart(), ..self.clone() }
    }

    /// The same over a connection that carries notifications too.
    pub(super) fn streaming(mut self) -> Self {
        self.streams = Some(Arc::default());
        self
    }

    /// What counts as long as the answer to a call in this place is not written.
    pub(super) fn kept(&self, place: Place) -> Kept {
        Kept { call: Some(place), bytes: self.desk.bytes.none(self.caller.uid), _queue: None }
    }

    // SPEC 8.1: a line, a body or a message is a request or a batch, and so is its answer.
    /// Answers one text, with nothing if it asks for no answer.
    pub(super) async fn answer(&self, asked: Asked) -> Said {
        let Asked { text, bytes } = asked;
        let kept = Kept { call: None, bytes, _queue: None };
        let mut turn = Turn { opened: Vec::new(), kept, bytes: text.capacity() };
        let answer = match std::str::from_utf8(&text) {
            Ok(text) => self.answer_text(text.trim(), &mut turn).await,
            Err(error) => Some(unreadable(format!("the request is no UTF-8: {error}"))),
        };
        drop(text);
        let json: Option<Box<str>> = answer.map(|answer| answer.into_json().into());
        let Turn { opened, mut kept, .. } = turn;
        let left = json.as_ref().map_or(0, |json| json.len());
        if kept.bytes.hold(left).is_err() {
            debug!("the commas of a batch are not counted");
        }
        Said { json, opened, kept }
    }

    async fn answer_text(&self, text: &str, turn: &mut Turn) -> Option<MethodResponse> {
        if text.is_empty() {
            return None;
        }
        // The whole text is checked first, so that a torn one is told from a wrong request.
        match serde_json::from_str::<&RawValue>(text) {
            Err(error) => Some(unreadable(format!("the request is no JSON: {error}"))),
            Ok(_) if text.starts_with('[') => self.batch(text, turn).await,
            Ok(value) => self.single(value, turn).await,
        }
    }

    async fn batch(&self, text: &str, turn: &mut Turn) -> Option<MethodResponse> {
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
            let Some(answer) = self.single(item, turn).await else {
                continue;
            };
            if answer.as_json().get().len() >= RPC_WRITE_BYTES_TARGET {
                // Many large answers in a row take long: others go on meanwhile.
                yield_now().await;
            }
            if let Err(too_large) = answers.append(answer) {
                // Nobody is told their names.
                turn.opened.clear();
                return Some(too_large);
            }
        }
        (!answers.is_empty()).then(|| MethodResponse::from_batch(answers.finish()))
    }

    async fn single(&self, value: &RawValue, turn: &mut Turn) -> Option<MethodResponse> {
        let text = value.get();
        // Serde would read an array as the fields of a request in order.
        if !text.starts_with('{') {
            return Some(not_a_request(Id::Null));
        }
        let opened = turn.opened.len();
        if let Ok(request) = serde_json::from_str::<Request<'_>>(text) {
            let id = request.id.clone().into_owned();
            let answer = self.run(request, turn).await;
            let Err(busy) = turn.keep(&answer) else {
                return Some(answer);
            };
            turn.opened.truncate(opened);
            return Some(MethodResponse::error(id, object(&busy)));
        }
        if let Ok(InvalidRequest { id }) = serde_json::from_str(text) {
            return Some(not_a_request(id));
        }
        let unnamed = serde_json::from_str::<Named>(text).is_ok_and(|named| named.id.is_none());
        match serde_json::from_str::<Silent<'_>>(text) {
            Ok(silent) if unnamed => {
                self.run_silently(silent, turn).await;
                // What is not answered cannot name a subscription, so it opens none.
                turn.opened.truncate(opened);
                None
            }
            Ok(_) | Err(_) => Some(not_a_request(Id::Null)),
        }
    }

    // SPEC 8.2: a notification is run and not answered.
    async fn run_silently(&self, silent: Silent<'_>, turn: &mut Turn) {
        let params = silent.params.map(ToOwned::to_owned);
        let request = Request::owned(silent.method.into_owned(), params, Id::Null);
        self.run(request, turn).await;
    }

    /// Runs one request, single or of a batch, of any dialect: nothing else runs any.
    async fn run(&self, request: Request<'_>, turn: &mut Turn) -> MethodResponse {
        let (id, method) = (request.id.clone().into_owned(), request.method.to_string());
        // The calls of a batch run one after the other, in one place.
        turn.kept.call = None;
        let answer = match self.admit(&method) {
            Err(error) => MethodResponse::error(id, object(&error)),
            Ok(place) => {
                turn.kept.call = Some(place);
                tokio::select! {
                    // An answer that is here is given.
                    biased;
                    answer = self.perform(request, &mut turn.opened) => answer,
                    error = self.grant.over() => MethodResponse::error(id, object(&error)),
                    () = self.desk.closing() => MethodResponse::error(id, object(&unanswered())),
                }
            }
        };
        self.desk.counts.called(&method, answer.is_success());
        answer
    }

    /// Tells whether the caller may call a method now: the one place that decides it.
    pub(super) fn admit(&self, method: &str) -> Result<Place, RpcError> {
        // SPEC 8.40, SPEC 8.21: each method takes a role. What is no method is told so later.
        let needed = Method::named(method).map_or(Role::Observe, |method| method.role);
        self.grant.permit(method, needed)?;
        self.settings.check(method)?;
        self.desk.calls.take(self.caller.uid)
    }
}

// SPEC 8.32: what is not known is not denied.
/// The answer to a call that the engine has not answered when the daemon stops.
fn unanswered() -> RpcError {
    ErrorKind::ShuttingDown.because(
        "the daemon is stopping and does not wait for this call, which may have been carried out: \
         what changes something is to be repeated with the same `client_id`, if it has one, or \
         looked at first",
    )
}

/// An answer to nobody in particular.
pub(super) fn refusal(error: &RpcError) -> Box<str> {
    MethodResponse::error(Id::Null, object(error)).into_json().into()
}

/// The answer to a request above the limit.
pub(super) fn too_long() -> Box<str> {
    let message = format!("a request has at most {RPC_LINE_BYTES_MAX} bytes");
    let error = malformed(OVERSIZED_REQUEST_CODE, message, "send less at once");
    MethodResponse::error(Id::Null, error).into_json().into()
}

/// The answer to half a request that does not go on.
pub(super) fn stalled() -> Box<str> {
    unreadable("half a request came, and then nothing for a long time".to_owned())
        .into_json()
        .into()
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
