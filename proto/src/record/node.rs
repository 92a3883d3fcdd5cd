//! Node records: what a node says about itself and others hand on as a contact.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::RecordError;
use crate::alias::Host;
use crate::id::{NetworkId, NodeId};
use crate::key::NodeKey;
use crate::limits::{ADDRESSES_PER_NODE_MAX, CONTACT_BYTES_MAX, STAMP_BYTES_MAX};
use crate::unverified::{Signable, Unverified, Verified};

/// A node's own word about itself: key, stamp and addresses (SPEC 3.4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// The network it belongs to.
    pub network: NetworkId,
    /// The key that its links authenticate.
    pub key: NodeKey,
    /// The proof of work that its id contains; empty for none.
    pub stamp: ByteBuf,
    /// Where it can be reached.
    pub addresses: Vec<SocketAddr>,
    /// The host name under which it is a pod.
    pub pod: Option<Host>,
    /// A newer word has a higher number.
    pub sequence: u64,
}

impl Signable for NodeRecord {
    const LABEL: &'static str = "bytchat/node-record/1";
}

impl NodeRecord {
    /// The id that follows from network, key and stamp.
    pub fn node(&self) -> NodeId {
        self.key.node(self.network, &self.stamp)
    }
}

/// A node as others hand it on: its signed node record.
pub type Contact = Unverified<NodeRecord>;

/// Checks a contact before it is believed (SPEC 4.7).
pub fn verify_contact(
    contact: &Contact,
    network: NetworkId,
) -> Result<Verified<NodeRecord>, RecordError> {
    if contact.bytes_len() > CONTACT_BYTES_MAX {
        return Err(RecordError::TooLong { got: contact.bytes_len(), max: CONTACT_BYTES_MAX });
    }
    let key = contact.peek()?.key;
    let record = contact.verify(&key)?;
    if record.network != network {
        return Err(RecordError::Network { got: record.network, expected: network });
    }
    if record.addresses.len() > ADDRESSES_PER_NODE_MAX || record.stamp.len() > STAMP_BYTES_MAX {
        return Err(RecordError::Limit("node record"));
    }
    Ok(record)
}
