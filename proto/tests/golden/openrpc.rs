//! The OpenRPC document: what programs of others are made from.

use std::collections::BTreeSet;

use bytchat_proto::limits::RPC_ANSWER_BYTES_MAX;
use bytchat_proto::rpc::openrpc::{OWN, document, examples, methods};
use bytchat_proto::rpc::{Call, ErrorKind, Role};
use serde_json::Value;

use crate::sink::Golden;

fn items(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn names<'a>(items: &'a Value, field: &str) -> Vec<&'a str> {
    self::items(items).iter().map(|item| item[field].as_str().expect("a text")).collect()
}

/// The names of the errors that a method of the document can give.
fn errors(method: &str) -> Vec<String> {
    let document = document();
    let methods = items(&document["methods"]);
    let method = methods.iter().find(|other| other["name"] == method).expect("a method");
    let places = names(&method["errors"], "$ref");
    places.iter().map(|place| place.rsplit('/').next().unwrap_or_default().to_owned()).collect()
}

/// Every `$ref` in a value.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|field| references(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// SPEC 8.20: the document and what it describes are one.
#[test]
fn the_document_keeps_its_json() {
    let mut golden = Golden::default();
    let text = serde_json::to_string_pretty(&document()).expect("a document has a JSON form");
    assert!(text.len() < RPC_ANSWER_BYTES_MAX / 16, "{} bytes", text.len());
    golden.line(&text);
    golden.check("openrpc.json");
}

#[test]
fn the_document_has_every_method_with_its_parameters_in_order() {
    let document = document();
    let listed = names(&document["methods"], "name");
    let known: Vec<_> = methods().map(|method| method.name).collect();
    assert_eq!(listed, known);
    assert_eq!(known.len(), Call::METHODS.len() + OWN.len());
    for method in items(&document["methods"]) {
        let given: Vec<_> =
            items(&method["params"]).iter().map(|param| param["required"] == true).collect();
        assert!(given.is_sorted_by(|before, after| before >= after), "{}", method["name"]);
        for param in items(&method["params"]) {
            let said = param["description"].as_str().unwrap_or_default();
            assert!(said.ends_with(['.', ')']), "{} {}", method["name"], param["name"]);
        }
        assert!(!method["result"]["schema"].is_null(), "{}", method["name"]);
        assert!(!items(&method["errors"]).is_empty(), "{}", method["name"]);
    }
}

#[test]
fn every_method_has_an_example_that_names_its_parameters() {
    for method in methods() {
        let own = examples().into_iter().filter(|example| example.method == method.name);
        assert!(own.count() > 0, "{} has no example: see rpc/openrpc/example.rs", method.name);
    }
    for example in examples() {
        if Call::METHODS.contains(&example.method) {
            let call = Call::parse(example.method, example.params.clone());
            assert!(call.is_ok(), "{}: {call:?}", example.method);
        }
    }
}

#[test]
fn every_reference_leads_somewhere_and_no_two_types_share_a_name() {
    let document = document();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 30, "{found:?}");
    for place in found {
        let pointer = place.strip_prefix('#').expect("a place in the document");
        assert!(document.pointer(pointer).is_some(), "{place}");
    }
    for name in document["components"]["schemas"].as_object().expect("schemas").keys() {
        let numbered = name.ends_with(|c: char| c.is_ascii_digit());
        assert!(!numbered, "{name} is the name of two types: give one #[schemars(rename)]");
    }
}

#[test]
fn errors_are_those_that_a_method_can_give() {
    let send = errors("message.send");
    for kind in ["conflict", "message.too_large", "address.unknown", "account.which"] {
        assert!(send.iter().any(|name| name == kind), "{kind}");
    }
    assert!(!send.iter().any(|name| name == "account.bad_key"));
    let status = errors("node.status");
    assert!(!status.iter().any(|name| name == "not_found"), "{status:?}");
    for kind in ErrorKind::ALL {
        assert!(kind.summary().ends_with('.'), "{}", kind.name());
    }
}

#[test]
fn roles_are_told() {
    let document = document();
    for (told, method) in items(&document["methods"]).iter().zip(methods()) {
        let role = serde_json::from_value::<Role>(told["x-role"].clone()).expect("a role");
        assert_eq!(role, method.role);
    }
}
