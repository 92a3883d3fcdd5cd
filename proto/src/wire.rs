//! Frames: what two nodes say to each other over a link.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::alias::Alias;
use crate::binding::{AliasBinding, AliasClaim};
use crate::codec::{DecodeError, decode, decode_within, encode, to_json};
use crate::envelope::{AttachProof, Envelope, HolderReceipt, OneTimeKey, Removal};
use crate::id::{EnvelopeId, MailMark, NetworkId, UserId};
use crate::key::{AccountKey, DeviceKey};
use crate::limits::FRAME_BYTES_MAX;
use crate::point::Point;
use crate::record::{Contact, DeviceCertificate, Record, RecordKind};
use crate::timestamp::Timestamp;
use crate::unverified::Unverified;

/// One frame (SPEC 2.3). An answer repeats the id of its request; a push has the id 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// Which request it is, or which one it answers.
    pub id: u64,
    /// What is said.
    pub body: Body,
}

/// What a frame says: `msg_type` and `msg_data` as in the notes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "msg_type", content = "msg_data", rename_all = "snake_case")]
pub enum Body {
    /// First frame each way.
    Hello(Hello),
    /// What comes before in a private network that has a key.
    NetworkProof(NetworkProof),
    /// Here are nodes that I know; verify before use.
    Routing(Contacts),
    /// An envelope from the mailbox of an attached device.
    Delivery(Delivery),
    /// Something waits in the DHT for an attached device.
    Notice(Notice),
    /// A request, answered exactly once.
    Request(Request),
    /// The answer to a request.
    Response(Response),
}

/// First frame each way (SPEC 2.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The protocol version.
    pub version: u16,
    /// The network; another one ends the link.
    pub network: NetworkId,
    /// Who I am and where I listen.
    pub contact: Contact,
    /// The address at which I see you.
    pub observed: SocketAddr,
    /// The longest frame that I take.
    pub frame_bytes_max: u32,
    /// What my clock says. Nobody sets another clock by it.
    #[serde(default)]
    pub time: Option<Timestamp>,
}

/// The proof that its sender has the key of a private network (SPEC 2.11).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkProof {
    /// Over the link's binding and the sender's part in it.
    pub proof: ByteBuf,
}

/// A list of contacts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contacts {
    /// The contacts.
    pub contacts: Vec<Contact>,
}

/// An envelope for an attached device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The envelope.
    pub envelope: Envelope,
}

/// A pod's word that something waits (SPEC 5.6).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// For whom.
    pub user: UserId,
    /// For which device.
    pub device: DeviceKey,
    /// What.
    pub envelope: EnvelopeId,
    /// Until when its holders keep it.
    pub until: Timestamp,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", content = "with", rename_all = "snake_case")]
pub enum Request {
    /// Are you there?
    Ping,
    /// Which nodes do you know near a point?
    FindNode {
        /// The point.
        target: Point,
    },
    /// Which records do you hold at a point, and which nodes are near?
    FindRecord {
        /// The point.
        target: Point,
        /// Only this kind.
        kind: RecordKind,
    },
    /// Hold this record.
    PutRecord {
        /// The record.
        record: Record,
    },
    /// Hand out one-time keys of a user's devices.
    TakeKeys {
        /// The user.
        user: UserId,
    },
    /// Keep these one-time keys of the device attached to this link.
    PutKeys {
        /// The user.
        user: UserId,
        /// The keys.
        keys: Vec<Unverified<OneTimeKey>>,
    },
    /// Keep this envelope, or take it if its device is yours.
    Deposit {
        /// The envelope.
        envelope: Envelope,
        /// Until when.
        until: Timestamp,
        /// A holder hands it on because the closest nodes changed.
        repair: bool,
    },
    /// A device wants its mail: challenge it.
    Attach {
        /// The user.
        user: UserId,
    },
    /// The answer to a challenge.
    Prove {
        /// The account's public key.
        account: AccountKey,
        /// The account's word for the device.
        certificate: Unverified<DeviceCertificate>,
        /// The device's proof.
        proof: Unverified<AttachProof>,
    },
    /// These envelopes may go.
    Remove {
        /// The device's signed word.
        removal: Unverified<Removal>,
    },
    /// Push these envelopes again if you have them.
    Fetch {
        /// The user.
        user: UserId,
        /// Which.
        envelopes: Vec<EnvelopeId>,
    },
    /// Show that you still have this envelope.
    ShowKept {
        /// For whom it is.
        user: UserId,
        /// For which device.
        device: DeviceKey,
        /// Which.
        envelope: EnvelopeId,
        /// Random bytes that go into the proof.
        nonce: ByteBuf,
    },
    /// I keep envelopes with these marks: which of them do you lack?
    Compare {
        /// The marks.
        marks: Vec<MailMark>,
    },
    /// Tell the device that something waits for it.
    Notify {
        /// What waits.
        notice: Notice,
    },
    /// Register an alias.
    RegisterAlias {
        /// The account's claim.
        claim: Unverified<AliasClaim>,
    },
    /// Whose alias is it?
    ResolveAlias {
        /// The alias.
        alias: Alias,
    },
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", content = "with", rename_all = "snake_case")]
pub enum Response {
    /// Done; nothing to add.
    Done,
    /// Nodes near the point.
    Nodes(Contacts),
    /// Records at the point and nodes near it.
    Records {
        /// The records.
        records: Vec<Record>,
        /// The nodes.
        contacts: Vec<Contact>,
    },
    /// One-time keys, at most one per device.
    Keys {
        /// The keys.
        keys: Vec<Unverified<OneTimeKey>>,
    },
    /// The envelope is kept or taken.
    Receipt {
        /// The holder's signed word.
        receipt: Unverified<HolderReceipt>,
    },
    /// The envelope is here.
    Kept {
        /// The hash that only who has all of it can make (SPEC 6.15).
        proof: ByteBuf,
    },
    /// Envelopes with these marks are not here, and were not removed here.
    Lacks {
        /// The marks.
        marks: Vec<MailMark>,
    },
    /// Sign this.
    Challenge {
        /// Random bytes.
        nonce: ByteBuf,
    },
    /// The device is attached.
    Attached {
        /// Envelopes that wait.
        waiting: u32,
        /// One-time keys that are left.
        keys: u32,
    },
    /// An alias and whose it is.
    Binding {
        /// The pod's signed word.
        binding: Unverified<AliasBinding>,
    },
    /// No.
    Refused {
        /// Why.
        reason: Refusal,
        /// For people.
        detail: String,
    },
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The frame or a field of it is malformed.
    Malformed,
    /// The verb is not known here.
    Unknown,
    /// A signature or proof is wrong.
    BadSignature,
    /// A newer record is held.
    Stale,
    /// What was put is over.
    Expired,
    /// This node is not near the point.
    NotClosest,
    /// A quota is used up.
    Full,
    /// Prove yourself first.
    NotAttached,
    /// There is no such thing.
    NotFound,
    /// The alias belongs to somebody else.
    Taken,
    /// This node is no pod, or not the one of the alias.
    NotPod,
    /// Come back later.
    Busy,
    /// A cause that this version does not know.
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct FrameHead {
    id: u64,
}

/// Why bytes are no frame, and which request they were, as far as one can tell.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("frame is malformed: {error}")]
pub struct FrameError {
    /// The id of the frame, if its head could be read.
    pub id: Option<u64>,
    /// What is wrong.
    pub error: DecodeError,
}

impl Frame {
    /// Encodes the frame.
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    /// Reads a frame. A frame with a head but an unknown body names its id, so that the request
    /// can be refused and the link be kept (SPEC 2.5).
    pub fn decode(bytes: &[u8]) -> Result<Self, FrameError> {
        decode_within(bytes, FRAME_BYTES_MAX).map_err(|error| {
            let short = bytes.len() <= FRAME_BYTES_MAX;
            let head = if short { decode::<FrameHead>(bytes).ok() } else { None };
            FrameError { id: head.map(|head| head.id), error }
        })
    }

    /// The frame in the notes' JSON form: `msg_id`, `msg_type`, `msg_data` (SPEC 2.6).
    pub fn to_json(&self) -> serde_json::Value {
        let mut frame = to_json(&self.body);
        frame["msg_id"] = self.id.into();
        frame
    }
}

impl Body {
    /// A push, request or answer as a frame.
    pub fn with_id(self, id: u64) -> Frame {
        Frame { id, body: self }
    }
}

impl Response {
    /// A refusal with its sentence.
    pub fn refused(reason: Refusal, detail: impl Into<String>) -> Self {
        Self::Refused { reason, detail: detail.into() }
    }
}
