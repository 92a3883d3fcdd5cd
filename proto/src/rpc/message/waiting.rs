//! `message.waiting`: what has not reached its recipient yet, and why.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::State;
use crate::alias::Alias;
use crate::id::{BlockId, UserId};
use crate::timestamp::Timestamp;

/// Parameters of `message.waiting`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Waiting {
    /// Which account; the only one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// At most so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Only messages after this one: the `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<BlockId>,
}

/// Result of `message.waiting`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Waits {
    /// The messages, in the order of their ids.
    pub messages: Vec<OnItsWay>,
    /// There are more: pass it as `after` to go on. Absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<BlockId>,
}

/// A message on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OnItsWay {
    /// The message.
    pub id: BlockId,
    /// To whom.
    pub to: UserId,
    /// The alias under which the recipient was addressed.
    pub alias: Option<Alias>,
    /// How far it has come.
    pub state: State,
    /// Since when.
    pub since: Timestamp,
    /// Tries since the last progress.
    pub tries: u32,
    /// Holders that have signed for it, for the device for which fewest have.
    pub holders: usize,
    /// Why it waits.
    pub cause: Cause,
    /// Milliseconds until the next try.
    pub next_try_ms: u64,
}

/// Why a message waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// It is being tried just now.
    UnderWay,
    /// This node has no link to any other.
    NoNetwork,
    /// The recipient's record was not found.
    RecipientNotFound,
    /// No holder took it: none could be reached, or all refused.
    NoHolder,
    /// Fewer holders took it than make it safe.
    FewHolders,
    /// Earlier messages to the same recipient go first.
    Earlier,
    /// The key behind the recipient's alias has changed.
    KeyChanged,
    /// What was pinned for the recipient cannot be read.
    PinDamaged,
    /// It lies with its holders until a device of the recipient comes.
    RecipientAway,
}

impl Cause {
    /// The words for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnderWay => "under way",
            Self::NoNetwork => "no other node is linked",
            Self::RecipientNotFound => "the recipient's record was not found",
            Self::NoHolder => "no holder took it",
            Self::FewHolders => "too few holders took it",
            Self::Earlier => "earlier messages go first",
            Self::KeyChanged => "the key behind the alias has changed",
            Self::PinDamaged => "the key that was pinned is damaged on disk",
            Self::RecipientAway => "stored, the recipient is away",
        }
    }

    /// What to do next; nothing if time alone helps.
    pub fn remedy(self) -> Option<&'static str> {
        match self {
            Self::UnderWay | Self::Earlier | Self::RecipientAway => None,
            Self::NoNetwork => {
                Some("name a node that is up under `bootstrap`, and let UDP out of the firewall")
            }
            Self::RecipientNotFound => Some(
                "ask the recipient for the user id, and whether their daemon has been on the \
                 network within a week",
            ),
            Self::NoHolder | Self::FewHolders => Some(
                "`bytctl message trace ID` says who refused, `bytctl dht lookup TO --trace` \
                      who answers",
            ),
            Self::KeyChanged | Self::PinDamaged => {
                Some("ask the recipient by another way, then `bytctl contact add ALIAS`")
            }
        }
    }
}
