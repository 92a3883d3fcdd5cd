//! Calls that change something: they can be repeated safely, and tried without changing anything.

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Call, message};

/// What every call that changes something takes.
#[derive(Debug)]
pub struct Repeat<'a> {
    /// The caller's own id for the call.
    pub client_id: &'a mut Option<String>,
    /// Whether it is only to say what would happen.
    pub dry_run: &'a mut bool,
}

/// The result of a call that changes something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Changed{T}", transform = tried)]
pub struct Changed<T> {
    /// What has changed. For a dry run only what is known without changing anything.
    #[serde(flatten)]
    pub result: T,
    /// It was done before: this is the first answer again. Absent if not so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replayed: bool,
    /// Nothing was changed: it is what would be. Absent if not so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

// SPEC 8.51: what a dry run does not know is absent.
/// Lets the schema ask for what must be there only of a call that was no dry run.
fn tried(schema: &mut Schema) {
    if let Some(required) = schema.remove("required") {
        let dry =
            json!({ "properties": { "dry_run": { "const": true } }, "required": ["dry_run"] });
        schema.insert("if".to_owned(), dry);
        schema.insert("else".to_owned(), json!({ "required": required }));
    }
}

impl Call {
    /// What the call takes to be repeated or tried, if it changes something.
    pub fn repeat(&mut self) -> Option<Repeat<'_>> {
        let (client_id, dry_run) = match self {
            Self::AccountCreate(with) => (&mut with.client_id, &mut with.dry_run),
            Self::AccountImport(with) => (&mut with.client_id, &mut with.dry_run),
            Self::ProfileSet(with) => (&mut with.client_id, &mut with.dry_run),
            Self::AliasRegister(with) => (&mut with.client_id, &mut with.dry_run),
            Self::MessageSend(with) => (&mut with.client_id, &mut with.dry_run),
            Self::MessageRead(with) => (&mut with.client_id, &mut with.dry_run),
            Self::ContactAdd(with) | Self::ContactAccept(with) | Self::ContactBlock(with) => {
                (&mut with.client_id, &mut with.dry_run)
            }
            Self::CursorSet(with) => (&mut with.client_id, &mut with.dry_run),
            Self::CursorDelete(with) => (&mut with.client_id, &mut with.dry_run),
            Self::NodeStatus(_)
            | Self::NodePeers(_)
            | Self::NodeStats(_)
            | Self::DhtLookup(_)
            | Self::NodeConfig(_)
            | Self::SessionSet(_)
            | Self::SessionShow(_)
            | Self::SessionRestrict(_)
            | Self::TokenCreate(_)
            | Self::TokenList(_)
            | Self::TokenDelete(_)
            | Self::AccountExport(_)
            | Self::AccountList(_)
            | Self::ProfileShow(_)
            | Self::AliasResolve(_)
            | Self::AliasList(_)
            | Self::MessageShow(_)
            | Self::MessageTrace(_)
            | Self::MessageWaiting(_)
            | Self::MessageWait(_)
            | Self::MessageInbox(_)
            | Self::MessageHistory(_)
            | Self::ContactList(_)
            | Self::EventList(_)
            | Self::EventSubscribe(_)
            | Self::EventUnsubscribe(_)
            | Self::CursorGet(_)
            | Self::CursorList(_) => return None,
        };
        Some(Repeat { client_id, dry_run })
    }

    /// The message that the call sends, if it sends one.
    pub fn sends(&self) -> Option<&message::Send> {
        if let Self::MessageSend(with) = self { Some(with) } else { None }
    }
}
