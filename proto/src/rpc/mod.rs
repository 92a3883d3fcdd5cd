//! What front ends say to the daemon: JSON-RPC 2.0, methods `noun.verb`, one object each way.

pub mod account;
pub mod alias;
pub mod contact;
pub mod cursor;
pub mod dht;
pub mod error;
pub mod event;
pub mod message;
pub mod node;
pub mod openrpc;
pub mod profile;
mod repeat;
pub mod role;
pub mod session;
pub mod token;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use error::{ErrorKind, RpcError};
pub use repeat::{Changed, Repeat};
pub use role::Role;

/// What is known of a method without calling it.
#[derive(Clone, Copy, Debug)]
pub struct Method {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub summary: &'static str,
    /// What a caller must be allowed at least.
    pub role: Role,
    /// The schema of its parameters: one object, with its properties in place.
    pub params: fn(&mut SchemaGenerator) -> Schema,
    /// The schema of its result: a reference to a named one.
    pub result: fn(&mut SchemaGenerator) -> Schema,
    /// It is on its way out.
    pub deprecated: Option<Deprecation>,
}

/// What is said of a method that will be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deprecation {
    /// The version that said so first; it stays for two minor versions after that at least.
    pub since: &'static str,
    /// What to call instead.
    pub instead: &'static str,
}

impl Method {
    /// What is known of the method of a name.
    pub fn named(name: &str) -> Option<&'static Self> {
        Call::TABLE.iter().find(|method| method.name == name)
    }
}

/// The one deprecation, if there is any.
const fn only(deprecations: &[Deprecation]) -> Option<Deprecation> {
    match deprecations {
        [one, ..] => Some(*one),
        [] => None,
    }
}

impl PartialEq for Method {
    /// There is one of each name.
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Method {}

/// The whole surface: every method with its parameters, its result and the role that it takes.
macro_rules! calls {
    ($(
        $(#[doc = $doc:literal])*
        $variant:ident($params:ty) -> $result:ty = $method:literal, $role:ident
            $(, deprecated $since:literal for $instead:literal)?;
    )*) => {
        /// One call, with its parameters checked.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(tag = "method", content = "params")]
        pub enum Call {
            $($(#[doc = $doc])* #[serde(rename = $method)] $variant($params),)*
        }

        impl Call {
            /// The name of every method.
            pub const METHODS: &'static [&'static str] = &[$($method),*];

            /// What is known of each of the methods, in the same order.
            pub const TABLE: &'static [Method] = &[$(Method {
                name: $method,
                summary: concat!($($doc),*),
                role: Role::$role,
                params: <$params as JsonSchema>::json_schema,
                result: SchemaGenerator::subschema_for::<$result>,
                deprecated: only(&[$(Deprecation { since: $since, instead: $instead })?]),
            }),*];

            /// The name of this call's method.
            pub fn method(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $method,)*
                }
            }

            /// What a caller must be allowed at least.
            pub fn role(&self) -> Role {
                match self {
                    $(Self::$variant(_) => Role::$role,)*
                }
            }

            /// Reads a call of a method from the text of an object with names.
            fn of_text(method: &str, params: &str) -> Option<serde_json::Result<Self>> {
                match method {
                    $($method => Some(serde_json::from_str(params).map(Self::$variant)),)*
                    _ => None,
                }
            }
        }
    };
}

calls! {
    /// What this node is and how it stands.
    NodeStatus(Nothing) -> node::Status = "node.status", Observe;
    /// The nodes that it has links to.
    NodePeers(Nothing) -> node::Peers = "node.peers", Observe;
    /// What it has counted since its start.
    NodeStats(Nothing) -> node::Stats = "node.stats", Observe;
    /// Shows the configuration in effect and where each value comes from.
    NodeConfig(Nothing) -> node::Config = "node.config", Admin;
    /// Looks for the nodes that hold what lies at a point, and shows every hop.
    DhtLookup(dht::Lookup) -> dht::Found = "dht.lookup", Admin;
    /// Says how this connection is to be served.
    SessionSet(session::Set) -> session::Settings = "session.set", Observe;
    /// Says who the caller is to the daemon, and what it may.
    SessionShow(Nothing) -> session::Session = "session.show", Observe;
    /// Gives up rights for the rest of the connection, or of an HTTP request.
    SessionRestrict(session::Restrict) -> session::Session = "session.restrict", Observe;
    /// Makes a token, by which a front end gets less than the user may.
    TokenCreate(token::Create) -> token::Created = "token.create", Read;
    /// Lists the caller's tokens, without their secrets.
    TokenList(Nothing) -> token::Tokens = "token.list", Read;
    /// Removes a token, and ends what goes on by it.
    TokenDelete(token::ById) -> Done = "token.delete", Read;
    /// Makes an account.
    AccountCreate(account::Create) -> Changed<account::Account> = "account.create", Send;
    /// Takes an account's key from elsewhere.
    AccountImport(account::Import) -> Changed<account::Account> = "account.import", Send;
    /// Gives an account's key out.
    AccountExport(account::Export) -> account::Exported = "account.export", Send;
    /// Lists the caller's accounts.
    AccountList(account::List) -> account::Accounts = "account.list", Read;
    /// Sets name and picture of an account.
    ProfileSet(profile::Set) -> Changed<profile::Profile> = "profile.set", Send;
    /// Reads somebody's name and picture.
    ProfileShow(profile::Show) -> profile::Profile = "profile.show", Read;
    /// Registers an alias at its pod.
    AliasRegister(alias::Register) -> Changed<alias::Binding> = "alias.register", Send;
    /// Asks whose an alias is.
    AliasResolve(alias::Resolve) -> alias::Binding = "alias.resolve", Read;
    /// Lists the aliases of the caller's accounts.
    AliasList(alias::List) -> alias::Bindings = "alias.list", Read;
    /// Sends a message; answers when it is on disk.
    MessageSend(message::Send) -> Changed<message::Sent> = "message.send", Send;
    /// Reads one message.
    MessageShow(message::ById) -> message::Message = "message.show", Read;
    /// Lists the steps of a message with their evidence.
    MessageTrace(message::ById) -> message::Trace = "message.trace", Read;
    /// Lists the messages of an account that wait for something, and why.
    MessageWaiting(message::Waiting) -> message::Waits = "message.waiting", Read;
    /// Waits until a message reaches a state.
    MessageWait(message::Wait) -> message::Message = "message.wait", Read;
    /// Lists what others wrote, newest last.
    MessageInbox(message::Inbox) -> message::Messages = "message.inbox", Read;
    /// Lists the conversation with somebody, newest last.
    MessageHistory(message::History) -> message::Messages = "message.history", Read;
    /// Marks messages as read and says so to their senders.
    MessageRead(message::Read) -> Changed<Done> = "message.read", Send;
    /// Lists the address book.
    ContactList(contact::List) -> contact::Contacts = "contact.list", Read;
    /// Puts somebody into the address book.
    ContactAdd(contact::Change) -> Changed<contact::Contact> = "contact.add", Send;
    /// Accepts somebody who wrote first.
    ContactAccept(contact::Change) -> Changed<contact::Contact> = "contact.accept", Send;
    /// Refuses to hear from somebody, silently.
    ContactBlock(contact::Change) -> Changed<contact::Contact> = "contact.block", Send;
    /// Reads the durable log of events, waiting for new ones if asked to.
    EventList(event::List) -> event::Events = "event.list", Read;
    /// Follows the log of events: notifications on this connection, from a position on.
    EventSubscribe(event::Subscribe) -> event::Subscribed = "event.subscribe", Read;
    /// Ends a subscription of this connection.
    EventUnsubscribe(event::Unsubscribe) -> Done = "event.unsubscribe", Read;
    /// Sets a named position in the log of events.
    CursorSet(cursor::Set) -> Changed<cursor::Cursor> = "cursor.set", Read;
    /// Reads a named position.
    CursorGet(cursor::ByName) -> cursor::Cursor = "cursor.get", Read,
        deprecated "0.1" for "cursor.list";
    /// Lists the named positions.
    CursorList(cursor::List) -> cursor::Cursors = "cursor.list", Read;
    /// Removes a named position.
    CursorDelete(cursor::Delete) -> Changed<Done> = "cursor.delete", Read;
}

/// Parameters of a call that takes none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// The answer to a call that has nothing to say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Done {}

impl Call {
    /// Reads a call from its method and the text of its parameters, as [`Call::parse`] does. What
    /// is not wanted is refused where it stands: a tree of all that was sent would take many
    /// times as much memory.
    pub fn read(method: &str, params: Option<&str>) -> Result<Self, RpcError> {
        let params = params.map(str::trim_ascii).filter(|params| *params != "null");
        let params = params.unwrap_or("{}");
        // Serde would read an array as the fields in order.
        if !params.starts_with('{') {
            return Err(positional());
        }
        let call = Self::of_text(method, params).ok_or_else(|| unknown(method))?;
        call.map_err(|error| ErrorKind::BadParameters.because(format!("{method}: {error}")))
    }

    /// Reads a call from its method and named parameters; an unknown parameter is an error that
    /// names it.
    pub fn parse(method: &str, params: Value) -> Result<Self, RpcError> {
        if !Self::METHODS.contains(&method) {
            return Err(unknown(method));
        }
        let params = if params.is_null() { json!({}) } else { params };
        if !params.is_object() {
            return Err(positional());
        }
        // Moved, not copied: what is secret in it ends in one place, which is wiped.
        let call = [("method".to_owned(), method.into()), ("params".to_owned(), params)];
        serde_json::from_value(Value::Object(call.into_iter().collect()))
            .map_err(|error| ErrorKind::BadParameters.because(format!("{method}: {error}")))
    }

    /// The parameters as JSON.
    pub fn params(&self) -> Value {
        let mut call = serde_json::to_value(self).expect("calls have a JSON form");
        call["params"].take()
    }
}

fn unknown(method: &str) -> RpcError {
    ErrorKind::UnknownMethod
        .because(format!("there is no method {method:?}; `bytctl rpc --list` shows all"))
}

fn positional() -> RpcError {
    ErrorKind::BadParameters.because("parameters are one object with names")
}

/// Renders a result as JSON.
pub fn to_result<T: Serialize>(result: &T) -> Value {
    serde_json::to_value(result).expect("results have a JSON form")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_parameter_is_named() {
        let error =
            Call::parse("message.send", json!({"to": "a", "text": "b", "txt": "c"})).unwrap_err();
        assert_eq!(error.kind, ErrorKind::BadParameters);
        assert!(error.message.contains("`txt`"), "{}", error.message);
    }

    #[test]
    fn a_missing_parameter_is_named() {
        let error = Call::parse("message.send", json!({"to": "a"})).unwrap_err();
        assert!(error.message.contains("`text`"), "{}", error.message);
    }

    #[test]
    fn positional_parameters_and_unknown_methods_are_refused() {
        let error = Call::parse("message.send", json!(["a", "b"])).unwrap_err();
        assert_eq!(error.kind, ErrorKind::BadParameters);
        assert_eq!(
            Call::parse("message.sned", Value::Null).unwrap_err().kind,
            ErrorKind::UnknownMethod
        );
    }

    #[test]
    fn a_text_is_read_like_a_tree_and_to_where_it_is_wrong() {
        let sent = Call::read("message.send", Some(r#" {"to": "a", "text": "b"}"#)).unwrap();
        assert_eq!(sent, Call::parse("message.send", json!({"to": "a", "text": "b"})).unwrap());
        for none in [None, Some("null"), Some("{ }")] {
            assert_eq!(Call::read("node.status", none).unwrap().method(), "node.status");
        }
        for (params, name) in [
            (r#"{"txt": [0"#, "`txt`"),
            (r#"{"to": "a"}"#, "`text`"),
            (r#"{"to": "a", "to": "b", "text": "c"}"#, "`to`"),
            (r#"["a", "b"]"#, "names"),
        ] {
            let error = Call::read("message.send", Some(params)).unwrap_err();
            assert_eq!(error.kind, ErrorKind::BadParameters);
            assert!(error.message.contains(name), "{}", error.message);
        }
        let error = Call::read("message.sned", None).unwrap_err();
        assert_eq!(error.kind, ErrorKind::UnknownMethod);
    }

    #[test]
    fn a_private_key_is_taken_over_without_a_copy() {
        let pem = "-----BEGIN PRIVATE KEY-----".to_owned();
        let at = pem.as_ptr();
        let mut params = json!({ "name": "home" });
        params["pem"] = Value::String(pem);
        let Ok(Call::AccountImport(import)) = Call::parse("account.import", params) else {
            panic!("the call was refused");
        };
        assert_eq!(import.pem.as_ptr(), at);
        assert!(!format!("{import:?}").contains("BEGIN"));
    }

    #[test]
    fn a_call_without_parameters_takes_null_and_an_empty_object() {
        for params in [Value::Null, json!({})] {
            let call = Call::parse("node.status", params).unwrap();
            assert_eq!(call.method(), "node.status");
        }
    }
}
