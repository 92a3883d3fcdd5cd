//! What front ends ask: the golden calls with other values in them.

use bytchat_proto::alias::Alias;
use bytchat_proto::id::{BlockId, UserId};
use bytchat_proto::rpc::Call;
use serde_json::{Value, json};

use super::super::golden;
use super::super::source::Source;
use super::super::values::nth_person;

/// A call, if the values fit it.
pub(super) fn call(source: &mut Source<'_>) -> Option<Call> {
    let calls = golden::calls();
    let (method, params) = *source.pick(&calls);
    let mut params: Value = serde_json::from_str(params).expect("golden files are JSON");
    for (name, value) in params.as_object_mut()? {
        if let Some(other) = other(name, value, source) {
            *value = other;
        }
    }
    Call::parse(method, params).ok()
}

/// Another value in the place of one.
fn other(name: &str, value: &Value, source: &mut Source<'_>) -> Option<Value> {
    Some(match (name, value) {
        ("account", _) => Value::Null,
        ("accounts" | "ids" | "id", _) if source.chance(64) => return None,
        ("to" | "who" | "user", _) => who(source),
        ("alias", _) => json!(format!("u{}@c.test", source.byte())),
        ("id", Value::String(_)) => json!(BlockId([source.byte(); 32])),
        ("client_id", _) => match source.chance(128) {
            true => json!(format!("c{}", source.byte())),
            false => Value::Null,
        },
        ("text", _) => json!(String::from_utf8_lossy(source.bytes())),
        ("wait_ms", _) => json!(source.number()),
        (_, Value::Number(_)) if source.chance(128) => json!(source.number()),
        (_, Value::Bool(_)) => json!(source.chance(64)),
        (_, Value::String(_)) if source.chance(32) => {
            json!(String::from_utf8_lossy(source.bytes()))
        }
        _ => return None,
    })
}

fn who(source: &mut Source<'_>) -> Value {
    static IDS: std::sync::OnceLock<Vec<UserId>> = std::sync::OnceLock::new();
    let ids = IDS.get_or_init(|| (0..5).map(|number| nth_person(number).key.user()).collect());
    match source.byte() {
        0..=159 => json!(*source.pick(ids)),
        160..=219 => {
            let names = ["alice@a.test", "bob@b.test", "u1@c.test", "nobody@d.test"];
            let alias: Alias = source.pick(&names).parse().expect("an alias");
            json!(alias)
        }
        _ => json!(UserId([source.byte(); 20])),
    }
}
