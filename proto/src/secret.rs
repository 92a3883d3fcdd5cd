//! Text that is secret: wiped when it is dropped, and never shown by accident.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use zeroize::{Zeroize, Zeroizing};

/// A secret text, for example a private key in PEM. Its memory is overwritten when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// The text, which goes on being wiped when it is dropped.
    pub fn into_inner(self) -> Zeroizing<String> {
        self.0
    }
}

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl From<Zeroizing<String>> for SecretText {
    fn from(text: Zeroizing<String>) -> Self {
        Self(text)
    }
}

impl Deref for SecretText {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(..)")
    }
}

impl Serialize for SecretText {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for SecretText {
    /// Takes the text over from a JSON value without a copy.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

impl JsonSchema for SecretText {
    fn schema_name() -> Cow<'static, str> {
        "SecretText".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A secret: keep it out of logs, and forget it when it has been used.",
            "writeOnly": true,
        })
    }
}

/// Overwrites every text in a JSON value that is no longer needed. Names stay as they are.
pub fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(fields) => fields.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_secret_text_is_not_shown_and_travels_as_a_string() {
        let secret = SecretText::from("-----BEGIN".to_owned());
        assert!(!format!("{secret:?}").contains("BEGIN"));
        let json = serde_json::to_value(&secret).unwrap();
        assert_eq!(json, "-----BEGIN");
        assert_eq!(serde_json::from_value::<SecretText>(json).unwrap(), secret);
    }

    #[test]
    fn a_wiped_value_holds_no_text() {
        let mut value = json!({ "a": ["secret", { "b": "secret" }], "n": 1 });
        wipe(&mut value);
        assert_eq!(value, json!({ "a": ["", { "b": "" }], "n": 1 }));
    }
}
