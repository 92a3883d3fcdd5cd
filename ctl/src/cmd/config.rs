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
        let origin = match (setting.origin, setting.place) {
            (Origin::Default, _) => "default".to_owned(),
            (Origin::File | Origin::Flag | Origin::Environment, place) => {
                place.unwrap_or_else(|| "?".to_owned())
            }
        };
        let note = if setting.waits { "changed, needs a restart" } else { "" };
        rows.push([setting.key, value(&setting.value), origin, note.to_owned()]);
    }
    context.printer.table(["KEY", "VALUE", "FROM", "NOTE"], &rows)
}

/// A value without the quotes of JSON.
fn value(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => items.iter().map(self::value).collect::<Vec<_>>().join(" "),
        Value::Object(fields) => fields.values().map(self::value).collect::<Vec<_>>().join(" "),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}
