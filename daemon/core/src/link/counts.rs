//! What the links count of themselves.

use std::collections::BTreeMap;

use bytchat_proto::rpc::node::{self, Refusals, one_more};
use bytchat_proto::wire::{Refusal, Response};

use super::Links;

/// Counters of the links since the start.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) links: node::Links,
    /// As many as there are reasons.
    refusals: BTreeMap<Refusal, u64>,
}

impl Counts {
    /// A request is answered.
    pub(super) fn answered(&mut self, response: &Response) {
        if let Response::Refused { reason, .. } = response {
            one_more(self.refusals.entry(*reason).or_default());
        }
    }
}

impl<T> Links<T> {
    /// What was counted of links, and of requests that were refused.
    pub fn counted(&self) -> (node::Links, Vec<Refusals>) {
        let refusals = self.counts.refusals.iter().map(|(reason, total)| Refusals {
            reason: word(*reason).to_owned(),
            refused_total: *total,
        });
        (self.counts.links.clone(), refusals.collect())
    }
}

/// The word of the protocol (SPEC 2.7).
fn word(reason: Refusal) -> &'static str {
    match reason {
        Refusal::Malformed => "malformed",
        Refusal::Unknown => "unknown",
        Refusal::BadSignature => "bad_signature",
        Refusal::Stale => "stale",
        Refusal::Expired => "expired",
        Refusal::NotClosest => "not_closest",
        Refusal::Full => "full",
        Refusal::NotAttached => "not_attached",
        Refusal::NotFound => "not_found",
        Refusal::Taken => "taken",
        Refusal::NotPod => "not_pod",
        Refusal::Busy => "busy",
        Refusal::Other => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_told_in_the_word_of_the_protocol() {
        for reason in [
            Refusal::Malformed,
            Refusal::Unknown,
            Refusal::BadSignature,
            Refusal::Stale,
            Refusal::Expired,
            Refusal::NotClosest,
            Refusal::Full,
            Refusal::NotAttached,
            Refusal::NotFound,
            Refusal::Taken,
            Refusal::NotPod,
            Refusal::Busy,
        ] {
            assert_eq!(serde_json::to_value(reason).unwrap(), word(reason));
        }
    }
}
