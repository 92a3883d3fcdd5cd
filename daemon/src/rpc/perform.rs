//! What a request is answered with: by the service, by its connection, or by the table of methods.

use bytchat_core::token::id_of;
use bytchat_proto::limits::RPC_ANSWER_BYTES_MAX;
use bytchat_proto::rpc::session::Restrict;
use bytchat_proto::rpc::token::ById;
use bytchat_proto::rpc::{Call, ErrorKind, RpcError, to_result};
use jsonrpsee::core::server::{Extensions, MethodCallback, MethodResponse, ResponsePayload};
use jsonrpsee::types::{Params, Request};
use serde_json::Value;
use tokio::sync::SemaphorePermit;
use tracing::debug;

use super::events::{Stream, Streams};
use super::exchange::Exchange;
use super::methods::{object, parse};

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

    async fn call(&self, call: Call, opened: &mut Vec<Stream>) -> Result<Outcome<'_>, RpcError> {
        let own = self.streams.as_ref().filter(|_| Streams::serve(call.method()));
        if let Some(streams) = own {
            let value = streams.call(self, call, opened).await?;
            return Ok(Outcome { value, _page: None });
        }
        let page = match is_page(&call) {
            true => self.desk.pages.acquire().await.ok(),
            false => None,
        };
        let value = self.answered(call).await?;
        Ok(Outcome { value, _page: page })
    }
}

/// What a call came to, before it is a text.
struct Outcome<'a> {
    value: Value,
    _page: Option<SemaphorePermit<'a>>,
}

/// Tells whether the answer may be large and does not let wait for itself.
fn is_page(call: &Call) -> bool {
    match call {
        Call::EventList(with) => with.wait_ms.is_none_or(|wait| wait == 0),
        Call::MessageInbox(_)
        | Call::MessageHistory(_)
        | Call::ContactList(_)
        | Call::NodePeers(_)
        | Call::CursorList(_) => true,
        Call::NodeStatus(_)
        | Call::NodeConfig(_)
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
