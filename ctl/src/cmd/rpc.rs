//! `bytctl rpc …`: any method of the daemon, also those that this bytctl does not know.

use std::time::Duration;

use bytchat_proto::limits::RPC_WAIT_MS_MAX;
use bytchat_proto::rpc::openrpc;
use serde_json::{Map, Value};

use super::Context;
use crate::args;
use crate::failure::Failure;

pub(super) fn run(context: &mut Context, command: args::Rpc) -> Result<(), Failure> {
    let Some(method) = command.method else {
        return list(context);
    };
    let params = params(&command.params)?;
    let wait = Duration::from_millis(RPC_WAIT_MS_MAX);
    let result = context.client.call_raw(&method, &params, wait)?;
    if context.printer.json() || !context.printer.terminal() {
        return context.printer.value(&result);
    }
    context.printer.line(&format!("{result:#}"))
}

fn list(context: &mut Context) -> Result<(), Failure> {
    let nothing = Value::Object(Map::new());
    let mut ask = |method| context.client.call_raw(method, &nothing, Duration::ZERO);
    if context.printer.json() {
        let result = ask(openrpc::METHODS)?;
        return context.printer.value(&result);
    }
    let document = ask(openrpc::DISCOVER)?;
    let methods = document["methods"].as_array().map_or(&[][..], Vec::as_slice);
    let rows: Vec<_> = methods.iter().map(row).collect();
    context.printer.table(["METHOD", "ROLE", "TEXT"], &rows)
}

/// What the document says of a method, in short.
fn row(method: &Value) -> [String; 3] {
    ["name", "x-role", "summary"].map(|field| method[field].as_str().unwrap_or_default().to_owned())
}

/// Reads `key=text` and `key:=json`.
fn params(pairs: &[String]) -> Result<Value, Failure> {
    let mut params = Map::new();
    for pair in pairs {
        let usage = |why: &str| Failure::Usage(format!("{why}, got {pair:?}"));
        let (key, text) =
            pair.split_once('=').ok_or_else(|| usage("a parameter is key=text or key:=json"))?;
        let (key, value) = match key.strip_suffix(':') {
            Some(key) => {
                let value = serde_json::from_str(text);
                (key, value.map_err(|error| usage(&format!("{key} is no JSON ({error})")))?)
            }
            None => (key, Value::from(text)),
        };
        if key.is_empty() || params.insert(key.to_owned(), value).is_some() {
            return Err(usage("a parameter has a name and is given once"));
        }
    }
    Ok(Value::Object(params))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(pairs: &[&str]) -> Result<Value, Failure> {
        let pairs: Vec<_> = pairs.iter().map(ToString::to_string).collect();
        params(&pairs)
    }

    #[test]
    fn text_and_json_are_told_apart() {
        assert_eq!(
            read(&["a=1", "b:=1", "c=x=y", "d:=[true]", "e="]).unwrap(),
            json!({ "a": "1", "b": 1, "c": "x=y", "d": [true], "e": "" })
        );
    }

    #[test]
    fn malformed_parameters_are_refused() {
        for bad in [&["a"][..], &["=1"], &[":=1"], &["a:=x"], &["a=1", "a=2"]] {
            assert!(matches!(read(bad), Err(Failure::Usage(_))), "{bad:?}");
        }
    }
}
