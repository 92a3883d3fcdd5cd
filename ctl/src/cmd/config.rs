//! `bytctl config …`

use bytchat_proto::rpc::node::{Config, Origin};
use bytchat_proto::rpc::{Call, Nothing};
use serde_json::Value;

use super::Context;
use crate::failure::Failure;

/// Shows the configuration of the daemon that runs; files may say something else by now.
pub(super) fn show(context: &mut Context) -> Result<(), Failure> {
    let Some(config) = context.one::<Config>(&Call::NodeConfig(Nothing {}))? else {
        return Ok(());
    };
    let mut rows = Vec::with_capacity(config.values.len());
    for setting in config.values {
        let from = match (setting.origin, setting.place) {
            (Origin::Default, _) => "default".to_owned(),
            (Origin::File | Origin::Flag | Origin::Environment, place) => {
                place.unwrap_or_else(|| "?".to_owned())
            }
        };
        let waits = if setting.waits { " (changed, needs a restart)" } else { "" };
        rows.push([setting.key, from + waits, value(&setting.value)]);
    }
    context.printer.table(["KEY", "FROM", "VALUE"], &rows)
}

/// A value without the quotes of JSON.
fn value(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => items.iter().map(self::value).collect::<Vec<_>>().join(" "),
        Value::Object(fields) => {
            let pairs = fields.iter().map(|(name, item)| format!("{name}={}", self::value(item)));
            pairs.collect::<Vec<_>>().join(" ")
        }
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}
