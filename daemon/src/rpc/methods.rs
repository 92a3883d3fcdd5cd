//! The surface: how a call is read, and the methods that are no calls as a jsonrpsee module.

use bytchat_proto::rpc::{Call, Deprecation, ErrorKind, RpcError};
use jsonrpsee::RpcModule;
use jsonrpsee::core::server::Methods;
use jsonrpsee::types::{ErrorObjectOwned, Params};
use serde_json::{Map, Value, json};

/// The method that lists the methods.
pub(super) const LIST: &str = "rpc.methods";

/// Registers what is not a call: those are answered by the service.
pub(super) fn methods() -> Methods {
    let mut module = RpcModule::new(());
    module
        .register_method(LIST, |_, (), _| Ok::<_, ErrorObjectOwned>(list()))
        .expect("it is the first method");
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
