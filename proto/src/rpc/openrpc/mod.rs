//! The OpenRPC document: all that the RPC offers, for programs that read it. It is made of the
//! table of methods, the types, their comments, the table of errors and the examples.
//! <https://spec.open-rpc.org> has the form.

mod errors;
mod example;
mod schemas;

use serde_json::{Value, json};

use super::event::{Event, Note};
use super::{Call, Deprecation, ErrorKind, Method, Nothing, Role};
use errors::Shape;
pub use example::{BOB, Example, PEM, examples};
use schemas::Schemas;

/// The version of OpenRPC.
const OPENRPC: &str = "1.3.2";
/// The notification that tells the events of a subscription.
const EVENT: &str = "event";

/// The method that lists the methods.
pub const METHODS: &str = "rpc.methods";
/// The method that gives this document.
pub const DISCOVER: &str = "rpc.discover";

/// The methods by which the RPC tells of itself: no part of the table, since nothing behind the
/// socket is asked.
pub const OWN: [Method; 2] = [
    Method {
        name: METHODS,
        summary: "Lists the names of the methods.",
        role: Role::Observe,
        deprecated: None,
        params: <Nothing as schemars::JsonSchema>::json_schema,
        result: schemas::names,
    },
    Method {
        name: DISCOVER,
        summary: "Gives the OpenRPC document: every method with its parameters, result and errors.",
        role: Role::Observe,
        deprecated: None,
        params: <Nothing as schemars::JsonSchema>::json_schema,
        result: schemas::document,
    },
];

/// Every method: those of the table, and those by which the RPC tells of itself.
pub fn methods() -> impl Iterator<Item = &'static Method> {
    Call::TABLE.iter().chain(&OWN)
}

/// The document.
pub fn document() -> Value {
    let mut schemas = Schemas::new();
    let examples = examples();
    let methods: Vec<_> =
        methods().map(|method| describe(method, &examples, &mut schemas)).collect();
    let notifications = json!([notification(&mut schemas)]);
    let kinds = ErrorKind::ALL.iter();
    let errors: serde_json::Map<_, _> =
        kinds.map(|kind| (kind.name().to_owned(), error(*kind))).collect();
    let mut document = json!({
        "openrpc": OPENRPC,
        "info": info(),
        "servers": servers(),
        "methods": methods,
        "components": { "schemas": schemas.components(), "errors": errors },
        "x-notifications": notifications,
    });
    join_lines(&mut document);
    document
}

/// The errors that a method can give, as the document lists them; `None` if there is no such
/// method.
pub fn errors(method: &str) -> Option<Vec<ErrorKind>> {
    let method = methods().find(|other| other.name == method)?;
    Some(errors_of(method, &Schemas::new().params(method)))
}

fn errors_of(method: &Method, params: &[Value]) -> Vec<ErrorKind> {
    let params = params.iter().filter_map(|param| param["name"].as_str()).collect();
    let deprecated = method.deprecated.is_some();
    Shape { name: method.name, role: method.role, deprecated, params }.errors()
}

fn info() -> Value {
    json!({
        "title": "BytChat RPC",
        "version": env!("CARGO_PKG_VERSION"),
        "description": "What front ends say to the BytChat daemon on its Unix socket: JSON-RPC \
            2.0, one object a line, the body of `POST /`, or a message of WebSocket. Parameters \
            are one object with names. Results may get further fields: pass over those that you \
            do not know. An error has its stable name in `data.kind`.",
        "license": { "name": env!("CARGO_PKG_LICENSE") },
    })
}

fn servers() -> Value {
    json!([
        {
            "name": "machine",
            "url": "unix:///run/bytchat/bytchatd.sock",
            "summary": "The daemon of the machine, for whom its configuration gives a role.",
        },
        {
            "name": "user",
            "url": "unix:///run/user/1000/bytchat/bytchatd.sock",
            "summary": "A user's own daemon: $XDG_RUNTIME_DIR/bytchat/bytchatd.sock.",
        },
    ])
}

fn describe(method: &Method, examples: &[Example], schemas: &mut Schemas) -> Value {
    let params = schemas.params(method);
    let errors: Vec<_> = errors_of(method, &params)
        .iter()
        .map(|kind| json!({ "$ref": format!("#/components/errors/{}", kind.name()) }))
        .collect();
    let pairings = examples.iter().filter(|example| example.method == method.name);
    let mut described = json!({
        "name": method.name,
        "summary": method.summary.trim(),
        "paramStructure": "by-name",
        "params": params,
        "result": { "name": "result", "required": true, "schema": schemas.result(method) },
        "errors": errors,
        "x-role": method.role,
        "examples": pairings.map(pairing).collect::<Vec<_>>(),
    });
    if let Some(Deprecation { since, instead }) = method.deprecated {
        described["deprecated"] = json!(true);
        described["x-deprecated"] = json!({ "since": since, "instead": instead });
    }
    described
}

fn pairing(example: &Example) -> Value {
    let params = example.params.as_object().into_iter().flatten();
    let params: Vec<_> =
        params.map(|(name, value)| json!({ "name": name, "value": value })).collect();
    json!({
        "name": example.name,
        "params": params,
        "result": { "name": "result", "value": example.result },
    })
}

/// SPEC 8.5: an error carries its number, a sentence, its stable name and what to do.
fn error(kind: ErrorKind) -> Value {
    json!({
        "code": kind.code(),
        "message": kind.summary(),
        "data": kind.because("").data(),
    })
}

fn notification(schemas: &mut Schemas) -> Value {
    let told = json!({ "anyOf": [schemas.told::<Event>(), schemas.told::<Note>()] });
    json!({
        "name": EVENT,
        "summary": "What a subscription tells: an event, or a note of the subscription itself.",
        "params": [
            {
                "name": "subscription",
                "description": "The subscription, as `event.subscribe` named it.",
                "required": true,
                "schema": { "type": "string" },
            },
            {
                "name": "result",
                "description": "An event has a `seq`, a note has none.",
                "required": true,
                "schema": told,
            },
        ],
    })
}

/// Makes one line of each comment.
fn join_lines(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let said = ["description", "summary"].contains(&name.as_str());
                if let (true, Value::String(text)) = (said, &mut *field) {
                    *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
                } else {
                    join_lines(field);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(join_lines),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
