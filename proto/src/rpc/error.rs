//! The one table of user-visible errors: number, name, what to do, exit code.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Defines the table.
macro_rules! errors {
    ($(
        $(#[doc = $doc:literal])*
        $kind:ident = $code:literal, $name:literal, exit $exit:literal, $hint:literal;
    )*) => {
        /// What went wrong, as programs see it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum ErrorKind {
            $($(#[doc = $doc])* #[serde(rename = $name)] $kind,)*
        }

        impl ErrorKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$kind),*];

            /// The stable number in JSON-RPC.
            pub fn code(self) -> i32 {
                match self { $(Self::$kind => $code,)* }
            }

            /// The stable name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }

            /// What it means, in a sentence.
            pub fn summary(self) -> &'static str {
                match self { $(Self::$kind => concat!($($doc),*).trim_ascii(),)* }
            }

            /// The exit code of `bytctl`.
            pub fn exit_code(self) -> u8 {
                match self { $(Self::$kind => $exit,)* }
            }

            /// What a person can do.
            pub fn hint(self) -> &'static str {
                match self { $(Self::$kind => $hint,)* }
            }
        }
    };
}

errors! {
    /// The line is no JSON-RPC.
    BadRequest = -32600, "request.malformed", exit 2, "send one JSON-RPC 2.0 object per line";
    /// There is no such method.
    UnknownMethod = -32601, "method.unknown", exit 2, "`bytctl rpc --list` shows all methods";
    /// A parameter is missing, unknown or of the wrong type.
    BadParameters = -32602, "parameters.bad", exit 2, "correct the parameter that is named";
    /// A fault of ours.
    Internal = -32603, "internal", exit 1, "look into the daemon's log and report it";
    /// The caller may not.
    NotPermitted = 1001, "not_permitted", exit 7,
        "`bytctl doctor` shows your role; who runs the daemon can give you another";
    /// The daemon is about to stop.
    ShuttingDown = 1004, "shutting_down", exit 69, "try again when the daemon is up";
    /// Too much at once.
    Busy = 1005, "busy", exit 1, "wait a moment and try again";
    /// The state was not reached in time.
    Timeout = 1006, "timeout", exit 6, "the message stays queued; `bytctl message trace` shows why";
    /// There is no such thing, or it is not the caller's.
    NotFound = 1007, "not_found", exit 5, "check the id";
    /// The same client id came with another body.
    Conflict = 1008, "conflict", exit 8, "use a new client id for a new call";
    /// What was to be changed is no longer as the caller saw it.
    RevConflict = 1009, "rev_conflict", exit 8, "read it again, then decide by its new `rev`";
    /// The method is on its way out, and the caller wants none of those.
    Deprecated = 1014, "method.deprecated", exit 2, "call what stands for it now";
    /// A limit is reached.
    Quota = 1010, "quota", exit 1, "remove something first";
    /// The caller has no account yet.
    NoAccount = 1107, "account.none", exit 5, "`bytctl account create` makes one";
    /// The caller has several accounts.
    WhichAccount = 1109, "account.which", exit 2, "name one with --account";
    /// The account exists already.
    AccountExists = 1108, "account.exists", exit 8, "`bytctl account list` shows it";
    /// The key cannot be used as an account.
    BadKey = 1110, "account.bad_key", exit 2,
        "make one with `openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072`";
    /// The key behind a name has changed.
    KeyChanged = 1101, "contact.key_changed", exit 4,
        "ask the person in another way whether the key is new, then `bytctl contact add`";
    /// The address names nobody.
    UnknownAddress = 1104, "address.unknown", exit 5, "check the spelling of the alias or user id";
    /// The address is malformed.
    BadAddress = 1105, "address.bad", exit 2,
        "write name@pod.example, or a user id of 32 characters";
    /// The recipient is blocked here.
    Blocked = 1106, "contact.blocked", exit 7, "`bytctl contact accept` ends the block";
    /// The alias belongs to somebody else.
    AliasTaken = 1111, "alias.taken", exit 8, "choose another name";
    /// The pod does not answer.
    PodUnreachable = 1201, "pod.unreachable", exit 5,
        "check the host name and that the pod is up; one without DNS goes into [[pods]] of \
         bytchatd.toml, and then `systemctl reload bytchatd`; a user id works without its pod";
    /// The message is too long.
    TooLarge = 1203, "message.too_large", exit 2, "split the message";
    /// No node answers.
    NoLinks = 1401, "network.no_links", exit 5,
        "check the network and the bootstrap addresses; `bytctl node status` shows them";
    /// The disk is full.
    DiskFull = 1501, "store.full", exit 1, "make room on the disk; nothing that was taken is lost";
    /// The store has failed.
    StoreFailed = 1502, "store.failed", exit 1,
        "the disk reports errors; look into the daemon's log, then restart it";
    /// This connection cannot carry notifications.
    NoStream = 1801, "event.no_stream", exit 2,
        "subscribe over WebSocket or JSON lines, or poll `event.list` with `wait_ms`";
    /// A position belongs to another log of events.
    OtherEpoch = 1802, "event.other_epoch", exit 8,
        "read the log from its beginning: the daemon's store is another one than it was";
    /// A token is unknown, over, or another user's.
    BadToken = 1701, "token.bad", exit 7, "make a new one with `bytctl token create`";
    /// The daemon cannot be reached.
    Unreachable = 1601, "daemon.unreachable", exit 69, "start it with `systemctl start bytchatd`";
}

/// An error as it travels.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RpcError {
    /// What went wrong, as programs see it.
    pub kind: ErrorKind,
    /// What went wrong, for people.
    pub message: String,
}

/// The `data` of a JSON-RPC error object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorData {
    /// The stable name.
    pub kind: ErrorKind,
    /// What a person can do.
    pub hint: String,
}

impl ErrorKind {
    /// The error with its sentence.
    pub fn because(self, message: impl Into<String>) -> RpcError {
        RpcError { kind: self, message: message.into() }
    }

    /// The kind with a number, if there is one.
    pub fn from_code(code: i32) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.code() == code)
    }
}

impl RpcError {
    /// The `data` of the JSON-RPC error object.
    pub fn data(&self) -> ErrorData {
        ErrorData { kind: self.kind, hint: self.kind.hint().to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_unique() {
        for (i, a) in ErrorKind::ALL.iter().enumerate() {
            assert_eq!(ErrorKind::from_code(a.code()), Some(*a));
            for b in &ErrorKind::ALL[i + 1..] {
                assert_ne!(a.name(), b.name());
            }
        }
    }
}
