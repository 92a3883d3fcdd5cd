//! What a request is answered with: by the service, by its connection, or by the table of methods.

use std::pin::pin;
use std::time::Duration;

use bytchat_core::token::id_of;
use bytchat_proto::id::UserId;
use bytchat_proto::limits::{RPC_ANSWER_BYTES_MAX, RPC_WAIT_MS_MAX};
use bytchat_proto::rpc::event::List;
use bytchat_proto::rpc::message::History;
use bytchat_proto::rpc::session::Restrict;
use bytchat_proto::rpc::token::ById;
use bytchat_proto::rpc::{Call, ErrorKind, RpcError, to_result};
use jsonrpsee::core::server::{Extensions, MethodCallback, MethodResponse, ResponsePayload};
use jsonrpsee::types::{Params, Request};
use serde_json::Value;
use tokio::time::sleep;
use tracing::debug;

use super::events::{Stream, Streams};
use super::exchange::Exchange;
use super::methods::{object, parse};
use super::turns::Turn;

impl Exchange {
    /// Answers a request that was admitted.
    pub(super) async fn perform(
        &self,
        request: Request<'_>,
        opened: &mut Vec<Stream>,
    ) -> MethodResponse {
        let Request { id, method, params, .. } = request;
        let params = Params::new(params.as_ref().map(|params| params.get()));
        if Call::METHODS.contains(&&*method) {
            debug!(%method, "a front end calls");
            let result = match parse(&method, &params) {
                Ok(call) => self.call(call, opened).await,
                Err(error) => Err(error),
            };
            return match result {
                Ok(result) => {
                    let result = ResponsePayload::success(&result.value);
                    MethodResponse::response(id, result, RPC_ANSWER_BYTES_MAX)
                }
                Err(error) => MethodResponse::error(id, object(&error)),
            };
        }
        match self.desk.methods.method(&method) {
            Some(MethodCallback::Sync(callback)) => {
                let mut extensions = Extensions::new();
                extensions.insert(self.caller);
                callback(id, params, RPC_ANSWER_BYTES_MAX, extensions)
            }
            Some(
                MethodCallback::Async(_)
                | MethodCallback::Subscription(_)
                | MethodCallback::Unsubscription(_),
            )
            | None => {
                let error = ErrorKind::UnknownMethod.because(format!(
                    "there is no method {:?}; `bytctl rpc --list` shows all",
                    method.chars().take(80).collect::<String>()
                ));
                MethodResponse::error(id, object(&error))
            }
        }
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

    // SPEC 8.44: what goes on by a token ends when it is removed.
    async fn delete_token(&self, with: ById) -> Result<Value, RpcError> {
        // The engine may have removed it whatever it answers, and whoever waits for that: on a
        // full disk, or when the caller is gone. A narrowed session has no say.
        let open = self.grant.scope().is_none();
        let ending = open.then(|| self.desk.running.ending(self.caller.uid, with.id.clone()));
        let done = self.ask(Call::TokenDelete(with)).await;
        drop(ending);
        done
    }

    /// The answer of the connection, or of the engine.
    async fn answered(&self, call: Call) -> Result<Value, RpcError> {
        if let Call::SessionSet(with) = &call {
            return Ok(to_result(&self.settings.set(with)));
        }
        if matches!(call, Call::SessionShow(_)) {
            return Ok(to_result(&self.grant.show(self.caller.uid)));
        }
        if let Call::SessionRestrict(with) = call {
            return self.restrict(with).await;
        }
        if let Call::TokenDelete(with) = call {
            return self.delete_token(with).await;
        }
        self.ask(call).await
    }

    async fn call(&self, call: Call, opened: &mut Vec<Stream>) -> Result<Outcome, RpcError> {
        let own = self.streams.as_ref().filter(|_| Streams::serve(call.method()));
        if let Some(streams) = own {
            let value = streams.call(self, call, opened).await?;
            return Ok(Outcome { value, _page: None });
        }
        if let Call::EventList(with) = call {
            return self.events(with).await;
        }
        if let Call::MessageHistory(with) = &call {
            self.find(with).await?;
        }
        let page = match is_page(&call) {
            true => Some(self.desk.pages.take(self.caller.uid).await),
            false => None,
        };
        let value = self.answered(call).await?;
        Ok(Outcome { value, _page: page })
    }

    /// Finds out whose conversation is meant, by a look at no message of it: to ask a pod whose an
    /// alias is may take long, and the turn at a page is for what lies here.
    async fn find(&self, with: &History) -> Result<(), RpcError> {
        if with.who.parse::<UserId>().is_err() {
            let nothing = History { before: Some(0), limit: Some(1), ..with.clone() };
            self.ask(Call::MessageHistory(nothing)).await?;
        }
        Ok(())
    }

    /// `event.list`: what is read has its turn like any page, and what waits holds nothing.
    async fn events(&self, with: List) -> Result<Outcome, RpcError> {
        // SPEC 8.42: a call goes on as it began.
        let scope = self.grant.scope();
        let ask = |list| self.desk.service.call(self.caller, scope.clone(), Call::EventList(list));
        let wait = with.wait_ms.filter(|wait| *wait > 0).map(|wait| wait.min(RPC_WAIT_MS_MAX));
        let mut over = pin!(sleep(Duration::from_millis(wait.unwrap_or_default())));
        let types = with.types.clone();
        let mut look = List { wait_ms: with.wait_ms.map(|_| 0), ..with };
        loop {
            let page = self.desk.pages.take(self.caller.uid).await;
            let value = ask(look.clone()).await?;
            let Some(next) = nothing_before(&value).filter(|_| wait.is_some()) else {
                return Ok(Outcome { value, _page: Some(page) });
            };
            drop(page);
            let since = Some(next);
            let waiting = List { since, types: types.clone(), wait_ms: wait, ..List::default() };
            let woken = tokio::select! {
                biased;
                woken = ask(waiting) => woken?,
                () = &mut over => return Ok(Outcome { value, _page: None }),
            };
            if woken["next"] == woken["head"] {
                return Ok(Outcome { value: woken, _page: None });
            }
            (look.since, look.cursor, look.epoch) = (woken["next"].as_u64(), None, None);
        }
    }
}

/// The position up to which an answer of `event.list` says that there is nothing.
fn nothing_before(page: &Value) -> Option<u64> {
    let nothing = page["events"].as_array().is_some_and(Vec::is_empty) && page["gap"].is_null();
    page["next"].as_u64().filter(|_| nothing)
}

/// What a call came to, before it is a text.
struct Outcome {
    value: Value,
    _page: Option<Turn>,
}

/// Tells whether the answer may be large and is made of what lies here.
fn is_page(call: &Call) -> bool {
    match call {
        Call::EventList(_)
        | Call::MessageInbox(_)
        | Call::MessageHistory(_)
        | Call::MessageWaiting(_)
        | Call::ContactList(_)
        | Call::NodePeers(_)
        | Call::CursorList(_) => true,
        Call::NodeStatus(_)
        | Call::NodeStats(_)
        | Call::NodeConfig(_)
        | Call::DhtLookup(_)
        | Call::SessionSet(_)
        | Call::SessionShow(_)
        | Call::SessionRestrict(_)
        | Call::TokenCreate(_)
        | Call::TokenList(_)
        | Call::TokenDelete(_)
        | Call::AccountExport(_)
        | Call::AccountList(_)
        | Call::AccountCreate(_)
        | Call::AccountImport(_)
        | Call::AliasList(_)
        | Call::AliasRegister(_)
        | Call::AliasResolve(_)
        | Call::ProfileSet(_)
        | Call::ProfileShow(_)
        | Call::MessageSend(_)
        | Call::MessageShow(_)
        | Call::MessageTrace(_)
        | Call::MessageWait(_)
        | Call::MessageRead(_)
        | Call::ContactAdd(_)
        | Call::ContactAccept(_)
        | Call::ContactBlock(_)
        | Call::EventSubscribe(_)
        | Call::EventUnsubscribe(_)
        | Call::CursorSet(_)
        | Call::CursorGet(_)
        | Call::CursorDelete(_) => false,
    }
}
