//! What a node is told at start, and why it cannot.

use std::net::SocketAddr;

use bytchat_proto::alias::Host;
use bytchat_proto::id::NetworkId;
use bytchat_proto::record::RecordError;

use crate::crypto::{CryptoError, NetworkKey};
use crate::event::Keep;
use crate::stamp::Terms;

/// Why a node cannot start.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// Its secret is unusable.
    #[error("the node's key is unusable: {0}")]
    Secret(#[from] CryptoError),
    /// Its own record is refused.
    #[error("the node's own record is refused: {0}")]
    Own(#[from] RecordError),
}

/// What a node is told at start.
pub struct NodeConfig {
    /// The network; one with a key has the id that the key makes.
    pub network: NetworkId,
    /// The key of a private network, which others must prove to have.
    pub network_key: Option<NetworkKey>,
    /// The bits of work that it asks for.
    pub work: u8,
    /// This node's proof of that work.
    pub stamp: Vec<u8>,
    /// The seed of the node's Ed25519 key.
    pub secret: [u8; 32],
    /// The key that seals secrets at rest.
    pub vault: [u8; 32],
    /// Where the node listens, with real ports.
    pub listen: Vec<SocketAddr>,
    /// Where to ask when no neighbour is known.
    pub bootstrap: Vec<SocketAddr>,
    /// The host name under which this node is a pod.
    pub pod: Option<Host>,
    /// How much of the logs of events is kept.
    pub events: Keep,
    /// The daemon's version, for `node.status`.
    pub version: String,
}

impl NodeConfig {
    /// The network with the work that it asks for.
    pub(super) fn terms(&self) -> Terms {
        Terms { network: self.network, work: self.work }
    }
}

impl std::fmt::Debug for NodeConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeConfig")
            .field("network", &self.network)
            .field("listen", &self.listen)
            .field("bootstrap", &self.bootstrap)
            .field("pod", &self.pod)
            .finish_non_exhaustive()
    }
}
