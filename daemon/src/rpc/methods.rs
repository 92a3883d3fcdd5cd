//! The surface as a jsonrpsee module: a method for each call, and those that tell of all methods.

use std::sync::{Arc, LazyLock};

use bytchat_core::io::{Caller, Scope};
use bytchat_proto::rpc::openrpc::{self, DISCOVER, METHODS};
use bytchat_proto::rpc::{Call, Deprecation, ErrorKind, RpcError};
use jsonrpsee::RpcModule;
use jsonrpsee::core::server::{Extensions, Methods};
use jsonrpsee::types::{ErrorObjectOwned, Params};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};

use super::Service;

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
        .register_method(METHODS, |params, _, _| nothing(METHODS, &params).map(|()| list()))
        .expect("no call is named like the list");
    module
        .register_method(DISCOVER, |params, _, _| nothing(DISCOVER, &params).map(|()| document()))
        .expect("no call is named like the document");
    module.into()
}

fn list() -> Value {
    let names: Vec<_> = openrpc::methods().map(|method| method.name).collect();
    let leaving = Call::TABLE.iter().filter_map(|method| {
        let Deprecation { since, instead } = method.deprecated?;
        Some((method.name.to_owned(), json!({ "since": since, "instead": instead })))
    });
    json!({ "methods": names, "deprecated": leaving.collect::<Map<_, _>>() })
}

// SPEC 8.20: the document that the daemon gives is made of what it obeys.
/// The OpenRPC document, made at the first question.
pub(super) fn document() -> &'static RawValue {
    static DOCUMENT: LazyLock<Box<RawValue>> =
        LazyLock::new(|| to_raw_value(&openrpc::document()).expect("a document has a JSON form"));
    &DOCUMENT
}

/// Refuses parameters where there are none.
fn nothing(method: &str, params: &Params<'_>) -> Result<(), ErrorObjectOwned> {
    let is_empty = |given: &Value| given.is_null() || *given == json!({});
    let none = params
        .as_str()
        .is_none_or(|text| serde_json::from_str(text).is_ok_and(|given| is_empty(&given)));
    if none {
        return Ok(());
    }
    let error = ErrorKind::BadParameters.because(format!("{method} takes no parameters"));
    Err(object(&error))
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
