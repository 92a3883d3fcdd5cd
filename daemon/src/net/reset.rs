//! How a node that was killed and is back tells its former peers so at once: by stateless resets
//! (RFC 9000, 10.3), for which their tokens must depend on the node's key only.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::{hmac, rand};
use quinn::{ConnectionId, ConnectionIdGenerator, EndpointConfig};

use super::key::NodeKey;

/// Length of our connection ids; it must not change from one life of a node to the next.
const CONNECTION_ID_BYTES: usize = 8;

/// Makes the configuration of a socket whose resets are understood by peers of a former life.
pub(crate) fn endpoint_config(key: &NodeKey) -> EndpointConfig {
    let reset = hmac::Key::new(hmac::HMAC_SHA256, &key.derive(b"bytchat/reset/1"));
    let mut config = EndpointConfig::new(Arc::new(reset));
    config.cid_generator(|| Box::new(RandomIds));
    config
}

/// Connection ids without a mark of this life: the library's own carry one, by which it would
/// drop packets of a former life in silence.
struct RandomIds;

impl ConnectionIdGenerator for RandomIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut id = [0; CONNECTION_ID_BYTES];
        rand::fill(&mut id).expect("the operating system has randomness");
        ConnectionId::new(&id)
    }

    fn cid_len(&self) -> usize {
        CONNECTION_ID_BYTES
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}
