//! The schemas of the document: JSON Schema draft 7, each named type once.

use schemars::generate::{Contract, SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema, json_schema};
use serde_json::{Map, Value, json};

use super::super::Method;

/// Where the document has its schemas.
const PLACE: &str = "/components/schemas";

/// What is to be read may leave out more than what is written: two generators, one for what the
/// daemon takes and one for what it gives.
pub(super) struct Schemas {
    taken: SchemaGenerator,
    given: SchemaGenerator,
}

impl Schemas {
    pub(super) fn new() -> Self {
        let generator = |contract| {
            let mut settings = SchemaSettings::draft07();
            settings.definitions_path = PLACE.into();
            settings.meta_schema = None;
            settings.contract = contract;
            settings.into_generator()
        };
        Self { taken: generator(Contract::Deserialize), given: generator(Contract::Serialize) }
    }

    /// The parameters of a method, those that must be given first.
    pub(super) fn params(&mut self, method: &Method) -> Vec<Value> {
        let schema = finish((method.params)(&mut self.taken), &mut self.taken);
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        let properties = schema["properties"].as_object().into_iter().flatten();
        let mut params: Vec<_> = properties
            .map(|(name, schema)| param(name, schema, required.contains(&json!(name))))
            .collect();
        params.sort_by_key(|param| param["required"] != true);
        params
    }

    /// The result of a method.
    pub(super) fn result(&mut self, method: &Method) -> Value {
        finish((method.result)(&mut self.given), &mut self.given)
    }

    /// Something that is told.
    pub(super) fn told<T: JsonSchema>(&mut self) -> Value {
        finish(self.given.subschema_for::<T>(), &mut self.given)
    }

    /// All named schemas.
    ///
    /// # Panics
    /// If a type has another schema where it is taken than where it is given, or two types have
    /// one name: either is a mistake in the types, and the golden test finds it.
    pub(super) fn components(mut self) -> Map<String, Value> {
        let mut components = self.given.take_definitions(true);
        for (name, schema) in self.taken.take_definitions(true) {
            let other = components.insert(name.clone(), schema.clone());
            let same = other.is_none_or(|other| other == schema);
            assert!(same, "{name} is taken in another form than it is given");
        }
        components
    }
}

fn param(name: &str, schema: &Value, required: bool) -> Value {
    let mut schema = schema.clone();
    let mut param = json!({ "name": name, "required": required });
    for field in ["description", "deprecated"] {
        if let Some(value) = schema.as_object_mut().and_then(|schema| schema.remove(field)) {
            param[field] = value;
        }
    }
    param["schema"] = schema;
    param
}

/// Lets a schema be of draft 7, as the named ones are.
fn finish(mut schema: Schema, generator: &mut SchemaGenerator) -> Value {
    for transform in generator.transforms_mut() {
        transform.transform(&mut schema);
    }
    schema.into()
}

/// The result of `rpc.methods`.
pub(super) fn names(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "required": ["methods", "deprecated"],
        "properties": {
            "methods": { "type": "array", "items": { "type": "string" } },
            "deprecated": {
                "type": "object",
                "description": "Those on their way out: since when, and what to call instead.",
                "additionalProperties": {
                    "type": "object",
                    "required": ["since", "instead"],
                    "properties": {
                        "since": { "type": "string" },
                        "instead": { "type": "string" },
                    },
                },
            },
        },
    })
}

/// The result of `rpc.discover`: its form is that of OpenRPC.
pub(super) fn document(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "required": ["openrpc", "info", "methods"],
        "properties": {
            "openrpc": { "type": "string" },
            "info": { "type": "object" },
            "methods": { "type": "array", "items": { "type": "object" } },
        },
    })
}
