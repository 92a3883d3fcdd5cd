//! The surface: how a call is read, and the methods that tell of all others as a jsonrpsee module.

use std::sync::LazyLock;

use bytchat_proto::rpc::openrpc::{self, DISCOVER, METHODS};
use bytchat_proto::rpc::{Call, Deprecation, ErrorKind, Nothing, RpcError};
use jsonrpsee::RpcModule;
use jsonrpsee::core::server::Methods;
use jsonrpsee::types::{ErrorObjectOwned, Params};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};

/// Registers what is not a call: those are answered by the service.
pub(super) fn methods() -> Methods {
    let mut module = RpcModule::new(());
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
    let is_empty = |text: &str| {
        text == "null" || text.starts_with('{') && serde_json::from_str::<Nothing>(text).is_ok()
    };
    if params.as_str().is_none_or(|text| is_empty(text.trim_ascii())) {
        return Ok(());
    }
    let error = ErrorKind::BadParameters.because(format!("{method} takes no parameters"));
    Err(object(&error))
}

// SPEC 8.4: parameters are one object with names, and an unknown name is refused.
/// Reads a call.
pub(super) fn parse(method: &str, params: &Params<'_>) -> Result<Call, RpcError> {
    Call::read(method, params.as_str())
}

// SPEC 8.5: an error carries its number, a sentence, its stable name and what to do.
/// The error as a JSON-RPC object.
pub(super) fn object(error: &RpcError) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(error.kind.code(), error.message.clone(), Some(error.data()))
}
