//! The surface as a jsonrpsee module: a method for each call, and the list of all methods.

use std::sync::Arc;

use bytchat_core::io::{Caller, Scope};
use bytchat_proto::rpc::{Call, Deprecation, ErrorKind, RpcError};
use jsonrpsee::RpcModule;
use jsonrpsee::core::server::{Extensions, Methods};
use jsonrpsee::types::{ErrorObjectOwned, Params};
use serde_json::{Map, Value, json};

use super::Service;

/// The method that lists the methods.
pub(super) const LIST: &str = "rpc.methods";

/// Registers every call.
pub(super) fn methods(service: Arc<dyn Service>) -> Methods {
    let mut module = RpcModule::new(service);
    for method in Call::METHODS {
        module
            .register_async_method(method, move |params, service, extensions| async move {
                answer(service.as_ref(), method, &params, &extensions).await
            })
            .expect("every call has a name of its own");
    }
    module
        .register_method(LIST, |_, _, _| Ok::<_, ErrorObjectOwned>(list()))
        .expect("no call is named like the list");
    module.into()
}

fn list() -> Value {
    let names: Vec<_> = Call::METHODS.iter().copied().chain([LIST]).collect();
    let leaving = Call::TABLE.iter().filter_map(|method| {
        let Deprecation { since, instead } = method.deprecated?;
        Some((method.name.to_owned(), json!({ "since": since, "instead": instead })))
    });
    json!({ "methods": names, "deprecated": leaving.collect::<Map<_, _>>() })
}

async fn answer(
    service: &Arc<dyn Service>,
    method: &'static str,
    params: &Params<'static>,
    extensions: &Extensions,
) -> Result<Value, ErrorObjectOwned> {
    let call = parse(method, params).map_err(|error| object(&error))?;
    let caller = *extensions.get::<Caller>().expect("every connection has a caller");
    let scope = extensions.get::<Option<Arc<Scope>>>().expect("every session has a scope or none");
    let result = service.call(caller, scope.clone(), call).await;
    result.map_err(|error| object(&error))
}

// SPEC 8.4: parameters are one object with names, and an unknown name is refused.
/// Reads a call.
pub(super) fn parse(method: &str, params: &Params<'_>) -> Result<Call, RpcError> {
    let params = match params.as_str() {
        None => Value::Null,
        Some(text) => serde_json::from_str(text)
            .map_err(|error| ErrorKind::BadParameters.because(format!("{method}: {error}")))?,
    };
    Call::parse(method, params)
}

// SPEC 8.5: an error carries its number, a sentence, its stable name and what to do.
/// The error as a JSON-RPC object.
pub(super) fn object(error: &RpcError) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(error.kind.code(), error.message.clone(), Some(error.data()))
}
