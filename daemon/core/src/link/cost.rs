//! What requests and answers cost who asks.

use bytchat_proto::limits::{
    REQUEST_ANSWER_BYTES_PER_TOKEN, REQUEST_COST_DISK, REQUEST_COST_HEAVY, REQUEST_KEYS_PER_TOKEN,
    REQUEST_MARKS_PER_TOKEN, REQUEST_REMOVAL_BYTES_PER_TOKEN, REQUEST_TOKENS_MAX,
};
use bytchat_proto::wire::Request;

/// What a request costs: more if an RSA signature must be checked for it, or much is in it.
pub(super) fn cost(request: &Request) -> u64 {
    match request {
        Request::PutRecord { .. } | Request::Prove { .. } | Request::RegisterAlias { .. } => {
            REQUEST_COST_HEAVY
        }
        Request::PutKeys { keys, .. } => 1 + tokens(keys.len() / REQUEST_KEYS_PER_TOKEN),
        Request::Remove { removal } => {
            1 + tokens(removal.bytes_len() / REQUEST_REMOVAL_BYTES_PER_TOKEN)
        }
        Request::ShowKept { .. } => REQUEST_COST_DISK,
        Request::Compare { marks } => 1 + tokens(marks.len() / REQUEST_MARKS_PER_TOKEN),
        // Each is read from the disk and pushed.
        Request::Fetch { envelopes, .. } => tokens(envelopes.len()).max(1),
        Request::Ping
        | Request::FindNode { .. }
        | Request::FindRecord { .. }
        | Request::TakeKeys { .. }
        | Request::Deposit { .. }
        | Request::Attach { .. }
        | Request::Notify { .. }
        | Request::ResolveAlias { .. } => 1,
    }
}

/// What an answer costs beyond its request, by its size.
pub(super) fn answer_cost(bytes: usize) -> u64 {
    tokens(bytes / REQUEST_ANSWER_BYTES_PER_TOKEN)
}

fn tokens(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(REQUEST_TOKENS_MAX).min(REQUEST_TOKENS_MAX)
}

#[cfg(test)]
mod tests {
    use bytchat_proto::envelope::OneTimeKey;
    use bytchat_proto::id::{EnvelopeId, NodeId, UserId};
    use bytchat_proto::key::DeviceKey;
    use bytchat_proto::limits::IDS_PER_REQUEST_MAX;
    use bytchat_proto::timestamp::Timestamp;
    use bytchat_proto::unverified::Unverified;
    use serde_bytes::ByteBuf;

    use super::*;

    #[test]
    fn a_request_costs_more_when_much_is_in_it_and_never_more_than_can_be_saved() {
        let fetch = |count| {
            let (user, envelopes) = (UserId([1; 20]), vec![EnvelopeId([1; 32]); count]);
            cost(&Request::Fetch { user, envelopes })
        };
        assert_eq!((fetch(0), fetch(1)), (1, 1));
        assert_eq!(usize::try_from(fetch(IDS_PER_REQUEST_MAX)), Ok(IDS_PER_REQUEST_MAX));
        assert_eq!(fetch(100_000), REQUEST_TOKENS_MAX);
        let keys = |keys| cost(&Request::PutKeys { user: UserId([1; 20]), keys });
        assert_eq!(keys(Vec::new()), 1);
        let key = Unverified::sign(
            &OneTimeKey {
                device: DeviceKey([1; 32]),
                holder: NodeId([1; 20]),
                key: ByteBuf::new(),
                expires: Timestamp(0),
            },
            |_| Vec::new(),
        );
        assert_eq!(keys(vec![key; 20]), 6);
    }
}
