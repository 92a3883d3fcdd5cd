//! One text in, at most one text out: requests, notifications and batches of JSON-RPC 2.0.

use std::fmt;
use std::sync::Arc;

use bytchat_core::io::Caller;
use bytchat_core::token::id_of;
use bytchat_proto::limits::{RPC_ANSWER_BYTES_MAX, RPC_BATCH_MAX, RPC_LINE_BYTES_MAX};
use bytchat_proto::rpc::error::ErrorData;
use bytchat_proto::rpc::session::Restrict;
use bytchat_proto::rpc::{Call, ErrorKind, Method, Role, RpcError, to_result};
use jsonrpsee::core::server::{
    BatchResponseBuilder, ConnectionId, Extensions, MethodCallback, MethodResponse, ResponsePayload,
};
use jsonrpsee::types::error::{
    ErrorObjectOwned, OVERSIZED_REQUEST_CODE, PARSE_ERROR_CODE, TOO_BIG_BATCH_REQUEST_CODE,
};
use jsonrpsee::types::{Id, InvalidRequest, Notification, Params, Request};
use serde::de::{Error as _, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;
use tracing::debug;

use super::desk::{Desk, Place};
use super::events::{Stream, Streams};
use super::grant::Grant;
use super::methods::{object, parse};
use super::settings::{SET, Settings};

/// The methods that change the connection, beside those about subscriptions.
const OWN: [&str; 4] = ["session.show", SET, "session.restrict", "token.delete"];

/// Answers requests of one caller, in whatever dialect they come.
#[derive(Clone)]
pub(super) struct Exchange {
    pub(super) desk: Arc<Desk>,
    pub(super) caller: Caller,
    pub(super) grant: Grant,
    extensions: Extensions,
    streams: Option<Arc<Streams>>,
    settings: Arc<Settings>,
}

/// What there is to say to a text.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// The answer, unless none was asked for.
    pub(super) json: Option<Box<str>>,
    /// Subscriptions that begin once the answer is out.
    pub(super) opened: Vec<Stream>,
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
        let mut extensions = Extensions::new();
        extensions.insert(caller);
        let (grant, settings) = (Grant::new(role), Arc::default());
        Self { desk, caller, grant, extensions, streams: None, settings }
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

    // SPEC 8.1: a line, a body or a message is a request or a batch, and so is its answer.
    /// Answers one text, with nothing if it asks for no answer.
    pub(super) async fn answer(&self, text: &[u8]) -> Said {
        let mut said = Said::default();
        let answer = match std::str::from_utf8(text) {
            Ok(text) => self.answer_text(text.trim(), &mut said.opened).await,
            Err(error) => Some(unreadable(format!("the request is no UTF-8: {error}"))),
        };
        said.json = answer.map(|answer| answer.into_json().into());
        said
    }

    async fn answer_text(&self, text: &str, opened: &mut Vec<Stream>) -> Option<MethodResponse> {
        if text.is_empty() {
            return None;
        }
        // The whole text is checked first, so that a torn one is told from a wrong request.
        match serde_json::from_str::<&RawValue>(text) {
            Err(error) => Some(unreadable(format!("the request is no JSON: {error}"))),
            Ok(_) if text.starts_with('[') => self.batch(text, opened).await,
            Ok(value) => self.single(value, opened).await,
        }
    }

    async fn batch(&self, text: &str, opened: &mut Vec<Stream>) -> Option<MethodResponse> {
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
            let Some(answer) = self.single(item, opened).await else {
                continue;
            };
            if let Err(too_large) = answers.append(answer) {
                return Some(too_large);
            }
        }
        (!answers.is_empty()).then(|| MethodResponse::from_batch(answers.finish()))
    }

    async fn single(&self, value: &RawValue, opened: &mut Vec<Stream>) -> Option<MethodResponse> {
        let text = value.get();
        // Serde would read an array as the fields of a request in order.
        if !text.starts_with('{') {
            return Some(not_a_request(Id::Null));
        }
        if let Ok(request) = serde_json::from_str::<Request<'_>>(text) {
            return Some(self.run(request, opened).await);
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
        // What is not answered cannot name a subscription, so it opens none.
        self.run(request, &mut Vec::new()).await;
    }

    /// Runs one request, single or of a batch, of any dialect: nothing else runs any.
    async fn run(&self, request: Request<'_>, opened: &mut Vec<Stream>) -> MethodResponse {
        let (id, method) = (request.id.clone().into_owned(), request.method.to_string());
        let answer = match self.admit(&method) {
            Err(error) => MethodResponse::error(id, object(&error)),
            Ok(_place) => tokio::select! {
                error = self.grant.over() => MethodResponse::error(id, object(&error)),
                answer = self.perform(request, opened) => answer,
                () = self.desk.closing() => {
                    let error = ErrorKind::ShuttingDown.because("the daemon is stopping");
                    MethodResponse::error(id, object(&error))
                }
            },
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

    /// Asks the engine, in the name of this session.
    pub(super) async fn ask(&self, call: Call) -> Result<Value, RpcError> {
        self.desk.service.call(self.caller, self.grant.scope(), call).await
    }

    /// Gives up rights; answers what is left.
    pub(super) async fn restrict(&self, with: Restrict) -> Result<Value, RpcError> {
        let uid = self.caller.uid;
        // Held before it is looked at, so that no end of it is missed.
        let id = with.token.as_ref().map(|token| id_of(token));
        let held = id.map(|id| self.desk.running.hold(uid, id));
        let narrowing = self.ask(Call::SessionRestrict(with)).await?;
        let narrowing = serde_json::from_value(narrowing)
            .map_err(|error| ErrorKind::Internal.because(format!("no narrowing: {error}")))?;
        self.grant.narrow(narrowing, held)?;
        Ok(to_result(&self.grant.show(uid)))
    }

    /// Answers what is the connection's own to answer.
    async fn own(&self, call: Call, opened: &mut Vec<Stream>) -> Result<Value, RpcError> {
        match (call, &self.streams) {
            (Call::SessionShow(_), _) => Ok(to_result(&self.grant.show(self.caller.uid))),
            (Call::SessionSet(with), _) => Ok(to_result(&self.settings.set(&with))),
            (Call::SessionRestrict(with), _) => self.restrict(with).await,
            (Call::TokenDelete(with), _) => {
                let id = with.id.clone();
                let done = self.ask(Call::TokenDelete(with)).await?;
                self.desk.running.end(self.caller.uid, &id);
                Ok(done)
            }
            (call, Some(streams)) => streams.call(self, call, opened).await,
            (call, None) => self.ask(call).await,
        }
    }

    async fn perform(&self, request: Request<'_>, opened: &mut Vec<Stream>) -> MethodResponse {
        let Request { id, method, params, .. } = request;
        let params = Params::new(params.as_ref().map(|params| params.get()));
        let streams = self.streams.is_some() && Streams::serve(&method);
        if streams || OWN.contains(&&*method) {
            debug!(%method, "a front end calls");
            let result = match parse(&method, &params) {
                Ok(call) => self.own(call, opened).await,
                Err(error) => Err(error),
            };
            return match result {
                Ok(result) => {
                    let result = ResponsePayload::success(&result);
                    MethodResponse::response(id, result, RPC_ANSWER_BYTES_MAX)
                }
                Err(error) => MethodResponse::error(id, object(&error)),
            };
        }
        let mut extensions = self.extensions.clone();
        extensions.insert(self.grant.scope());
        match self.desk.methods.method(&method) {
            Some(MethodCallback::Async(callback)) => {
                let (own, params) = (id.clone().into_owned(), params.into_owned());
                debug!(%method, "a front end calls");
                // Connection ids matter to subscriptions only, which we serve ourselves.
                callback(own, params, ConnectionId(0), RPC_ANSWER_BYTES_MAX, extensions).await
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
