//! `message.*`: sending, reading, following.

mod waiting;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{BlockId, UserId};
use crate::timestamp::Timestamp;

pub use waiting::{Cause, OnItsWay, Waiting, Waits};

/// How far a message has come; it only moves forward (SPEC 6.11).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is on the sender's disk.
    Queued,
    /// Enough holders have signed for it.
    Stored,
    /// A device of the recipient has it on disk.
    Delivered,
    /// A person has seen it.
    Read,
    /// Nobody took it in time.
    Expired,
}

/// Which way a message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Somebody wrote to us.
    In,
    /// We wrote.
    Out,
}

/// Parameters of `message.send`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Send {
    /// Which account; the only one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// To whom: alias or user id.
    pub to: String,
    /// The text.
    pub text: String,
    /// Repeating the call with the same id gives the first answer again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Only says what would happen.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// Result of `message.send`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sent {
    /// The message.
    pub id: BlockId,
    /// How far it has come.
    pub state: State,
    /// The recipient.
    pub to: UserId,
}

/// Parameters of `message.show` and `message.trace`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ById {
    /// The message.
    pub id: BlockId,
}

/// Parameters of `message.wait`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    /// The message.
    pub id: BlockId,
    /// The state that is waited for, or a later one.
    pub state: State,
    /// For so long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

/// Parameters of `message.inbox`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Inbox {
    /// Which account; the only one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// At most so many, the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Only messages before this `seq`: the `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
}

/// Parameters of `message.history`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct History {
    /// Which account; the only one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// With whom: alias or user id.
    pub who: String,
    /// At most so many, the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Only messages before this `seq`: the `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
}

/// Parameters of `message.read`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Read {
    /// The messages.
    pub ids: Vec<BlockId>,
    /// Repeating the call with the same id gives the first answer again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Only says what would happen.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Message {
    /// The id: the hash of its block.
    pub id: BlockId,
    /// Its place in this account's history; only grows.
    pub seq: u64,
    /// Who wrote it.
    pub from: UserId,
    /// To whom.
    pub to: UserId,
    /// Which way it went.
    pub direction: Direction,
    /// MIME type of the body.
    pub content_type: String,
    /// The body, for text types.
    pub text: String,
    /// How far it has come.
    pub state: State,
    /// When, by the sender's clock.
    pub sent_at: Timestamp,
    /// When it was written here.
    pub received_at: Timestamp,
    /// The sender was not accepted when it came.
    pub request: bool,
    /// An earlier message of its author is missing.
    pub gap: bool,
}

/// Result of `message.inbox` and `message.history`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Messages {
    /// The messages, oldest first.
    pub messages: Vec<Message>,
    /// There are older ones: pass it as `before` to go on. Absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// One step on a message's way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// When.
    pub at: Timestamp,
    /// What happened, with its evidence.
    pub step: String,
}

/// Result of `message.trace`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Trace {
    /// The message.
    pub id: BlockId,
    /// How far it has come.
    pub state: State,
    /// Holders that signed for it, at most five a device.
    pub stored: usize,
    /// The steps in order.
    pub steps: Vec<Step>,
}

impl State {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Stored => "stored",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Expired => "expired",
        }
    }
}

impl std::str::FromStr for State {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Queued, Self::Stored, Self::Delivered, Self::Read, Self::Expired]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| {
                format!("a state is queued, stored, delivered, read or expired, got {text:?}")
            })
    }
}
