//! One front end that speaks HTTP/1.1, which may turn into WebSocket.

mod answer;
mod frames;
mod metrics;
mod patient;
mod websocket;

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytchat_proto::limits::{
    RPC_HEAD_BYTES_MAX, RPC_HEADERS_MAX, RPC_HEALTH_MS, RPC_LINE_BYTES_MAX, RPC_STOP_GRACE_MS,
};
use bytchat_proto::rpc::openrpc::DISCOVER;
use bytchat_proto::rpc::session::Restrict;
use bytchat_proto::rpc::{Call, ErrorKind, Nothing, RpcError};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, ORIGIN, REFERER};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use soketto::handshake::http::{Server, is_upgrade_request};
use tokio::net::UnixStream;
use tokio::time::timeout;
use tracing::debug;

use super::asked::{Asked, Partial, Unread};
use super::desk::{Desk, Speaking};
use super::dialect::Dialect;
use super::exchange::{Exchange, Said, refusal, stalled, too_long};
use super::methods::document;
use answer::{Answer, empty, failed, json, refused, text};
use patient::Patient;

/// One front end.
#[derive(Clone)]
struct Visit {
    exchange: Exchange,
    /// The end of the connection as HTTP and its beginning as WebSocket.
    upgrade: Arc<Mutex<Option<(OnUpgrade, Exchange)>>>,
}

/// Serves one front end until it is gone, or until the daemon stops.
pub(super) async fn serve(stream: UnixStream, first: Vec<u8>, exchange: Exchange) {
    let desk = Arc::clone(&exchange.desk);
    let speaking = Speaking::new(&desk, Dialect::Http);
    let visit = Visit { exchange, upgrade: Arc::default() };
    let upgrade = Arc::clone(&visit.upgrade);
    converse(stream, first, visit, &desk).await;
    let upgrade = upgrade.lock().unwrap_or_else(PoisonError::into_inner).take();
    drop(speaking);
    if let Some((coming, exchange)) = upgrade {
        match coming.await {
            Ok(upgraded) => websocket::serve(upgraded, exchange).await,
            Err(error) => debug!(%error, "a front end did not become a WebSocket"),
        }
    }
}

async fn converse(stream: UnixStream, first: Vec<u8>, visit: Visit, desk: &Desk) {
    let io = TokioIo::new(Patient::new(stream, first, desk.bounds));
    let service = service_fn(move |request| {
        let visit = visit.clone();
        async move { Ok::<_, Infallible>(visit.answer(request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(desk.bounds.half_request)
        .max_headers(RPC_HEADERS_MAX)
        .max_buf_size(RPC_HEAD_BYTES_MAX)
        .serve_connection(io, service)
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = desk.closing() => {
            connection.as_mut().graceful_shutdown();
            let grace = Duration::from_millis(2 * RPC_STOP_GRACE_MS);
            timeout(grace, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        debug!(%error, "a front end was cut off");
    }
}

/// The whole answer to one that is turned away before it could ask.
pub(super) fn turned_away(why: &RpcError) -> String {
    let status = match why.kind == ErrorKind::NotPermitted {
        true => "403 Forbidden",
        false => "503 Service Unavailable",
    };
    let why = refusal(why);
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{why}",
        why.len()
    )
}

impl Visit {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        // SPEC 8.12: pages that a browser has loaded from elsewhere have no business here.
        if request.headers().contains_key(ORIGIN) || request.headers().contains_key(REFERER) {
            let error = ErrorKind::NotPermitted
                .because("requests with `Origin` or `Referer` come from web pages and are refused");
            return refused(StatusCode::FORBIDDEN, &error);
        }
        match self.narrowed(&request).await {
            Ok(visit) => visit.answer_it(request).await,
            Err(error) if error.kind == ErrorKind::BadToken => {
                refused(StatusCode::UNAUTHORIZED, &error)
            }
            Err(error) => failed(&error),
        }
    }

    // SPEC 8.42: a token of a request narrows that request, or the WebSocket that it becomes.
    /// The session of one request.
    async fn narrowed(&self, request: &Request<Incoming>) -> Result<Self, RpcError> {
        let visit = Self { exchange: self.exchange.apart(), upgrade: Arc::clone(&self.upgrade) };
        let mut all = request.headers().get_all(AUTHORIZATION).iter();
        let Some(given) = all.next() else {
            return Ok(visit);
        };
        if all.next().is_some() {
            return Err(ErrorKind::BadToken.because("`Authorization` is there once, or absent"));
        }
        let token = given.to_str().ok().and_then(|given| given.split_once(' '));
        let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let (_, token) = token.ok_or_else(|| {
            ErrorKind::BadToken.because("`Authorization` is `Bearer` and a token here, or absent")
        })?;
        let _place = visit.exchange.admit("session.restrict")?;
        let token = Some(token.trim().to_owned().into());
        visit.exchange.restrict(Restrict { token, ..Restrict::default() }).await?;
        Ok(visit)
    }

    async fn answer_it(&self, request: Request<Incoming>) -> Answer {
        let path = request.uri().path().to_owned();
        match (request.method(), path.as_str()) {
            (&Method::GET, "/") if is_upgrade_request(&request) => self.upgrade(request),
            (&Method::POST, "/") => self.post(request).await,
            (&Method::GET, "/healthz") => self.health().await,
            (&Method::GET, "/metrics") => self.metrics().await,
            (&Method::GET, "/openrpc.json") => self.document(),
            (_, "/") => wrong_verb("POST", "POST a JSON-RPC request, or ask for a WebSocket"),
            (_, "/healthz" | "/metrics" | "/openrpc.json") => wrong_verb("GET", "GET it"),
            _ => {
                let known = "there are `POST /`, a WebSocket at `/`, `GET /healthz`, \
                             `GET /metrics` and `GET /openrpc.json`";
                refused(StatusCode::NOT_FOUND, &ErrorKind::BadRequest.because(known))
            }
        }
    }

    fn upgrade(&self, mut request: Request<Incoming>) -> Answer {
        let mut handshake = Server::new();
        match handshake.receive_request(&request) {
            Ok(response) => {
                let coming = hyper::upgrade::on(&mut request);
                let mut upgrade = self.upgrade.lock().unwrap_or_else(PoisonError::into_inner);
                *upgrade = Some((coming, self.exchange.clone()));
                response.map(|()| empty())
            }
            Err(error) => {
                let error = ErrorKind::BadRequest.because(format!("no WebSocket: {error}"));
                refused(StatusCode::BAD_REQUEST, &error)
            }
        }
    }

    // SPEC 8.1: the body of a POST is a request or a batch, and so is the answer's.
    async fn post(&self, request: Request<Incoming>) -> Answer {
        let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            let error = ErrorKind::BadRequest.because("`Content-Type` is application/json here");
            return refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, &error);
        }
        let body = request.into_body();
        if body.size_hint().lower() > RPC_LINE_BYTES_MAX as u64 {
            return json(StatusCode::PAYLOAD_TOO_LARGE, too_long());
        }
        let patience = self.exchange.desk.bounds.half_request;
        let asked = match timeout(patience, self.read(body)).await {
            Ok(Ok(asked)) => asked,
            Ok(Err(answer)) => return answer,
            Err(_) => return json(StatusCode::REQUEST_TIMEOUT, stalled()),
        };
        if asked.text.trim_ascii().is_empty() {
            let error = ErrorKind::BadRequest.because("the body is empty");
            return json(StatusCode::OK, refusal(&error));
        }
        let Said { json, kept, .. } = self.exchange.answer(asked).await;
        json.map_or_else(answer::nothing, |json| answer::called(json, kept))
    }

    /// Reads a body, or gives the answer that says why not.
    async fn read(&self, mut body: Incoming) -> Result<Asked, Answer> {
        let Exchange { desk, caller, .. } = &self.exchange;
        let mut partial = Partial::at(desk, caller.uid, RPC_LINE_BYTES_MAX);
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else {
                return Err(json(StatusCode::REQUEST_TIMEOUT, stalled()));
            };
            let data = frame.into_data().unwrap_or_default();
            partial.extend(&data).map_err(|why| match why {
                Unread::TooLong => json(StatusCode::PAYLOAD_TOO_LARGE, too_long()),
                Unread::Refused(error) => failed(&error),
            })?;
        }
        Ok(partial.finish().expect("what is skipped was refused above"))
    }

    fn document(&self) -> Answer {
        match self.exchange.admit(DISCOVER) {
            Ok(place) => answer::called(document().get(), self.exchange.kept(place)),
            Err(error) => failed(&error),
        }
    }

    // SPEC 8.12: the health of the daemon is asked for like any call.
    async fn health(&self) -> Answer {
        let place = match self.exchange.admit("node.status") {
            Ok(place) => place,
            Err(error) => return failed(&error),
        };
        let asked = self.exchange.ask(Call::NodeStatus(Nothing {}));
        match timeout(Duration::from_millis(RPC_HEALTH_MS), asked).await {
            Ok(Ok(_)) => {
                let well = json!({ "status": "ok" }).to_string();
                answer::called(well, self.exchange.kept(place))
            }
            Ok(Err(error)) => refused(StatusCode::SERVICE_UNAVAILABLE, &error),
            Err(_) => {
                let error = ErrorKind::Busy.because("the engine does not answer");
                refused(StatusCode::SERVICE_UNAVAILABLE, &error)
            }
        }
    }

    async fn metrics(&self) -> Answer {
        let place = match self.exchange.admit("node.status") {
            Ok(place) => place,
            Err(error) => return failed(&error),
        };
        match metrics::render(&self.exchange).await {
            Ok(metrics) => text(metrics, self.exchange.kept(place)),
            Err(error) => failed(&error),
        }
    }
}

fn wrong_verb(allowed: &'static str, what: &str) -> Answer {
    let error = ErrorKind::BadRequest.because(format!("this path has only {allowed}: {what}"));
    let mut answer = refused(StatusCode::METHOD_NOT_ALLOWED, &error);
    let allowed = hyper::header::HeaderValue::from_static(allowed);
    answer.headers_mut().insert(hyper::header::ALLOW, allowed);
    answer
}
