//! What the mailbox wants done with other nodes.

use bytchat_proto::envelope::{Envelope, Removal};
use bytchat_proto::id::{MailMark, NodeId};
use bytchat_proto::timestamp::Timestamp;
use bytchat_proto::unverified::Unverified;
use bytchat_proto::wire::{Body, Response};

use crate::io::LinkId;

/// Something that the node is to do with other nodes.
#[derive(Debug)]
pub enum Effect {
    /// Send this frame body (`Delivery` or `Notice`) as a push.
    Push {
        /// Over this link.
        link: LinkId,
        /// What is said.
        body: Box<Body>,
    },
    /// Answer a request that had to wait for the disk.
    Respond {
        /// Over this link.
        link: LinkId,
        /// The number of the request there.
        request: u64,
        /// The answer.
        response: Box<Response>,
    },
    /// Ask another holder which of these envelopes it lacks.
    Compare {
        /// The other holder.
        to: NodeId,
        /// What is here.
        marks: Vec<MailMark>,
    },
    /// Tell another holder what a device has removed.
    HandOn {
        /// The other holder.
        to: NodeId,
        /// The device's word.
        removal: Box<Unverified<Removal>>,
    },
    /// Deposit this envelope, as a repair, with another holder.
    Offer {
        /// The other holder.
        to: NodeId,
        /// The envelope.
        envelope: Envelope,
        /// Until when it is to be kept.
        until: Timestamp,
    },
}
