//! Envelopes: sealed bytes for one device, and what lies inside them once they are opened.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use sha2::{Digest, Sha256};

use crate::id::{BlockId, EnvelopeId, Fingerprint, MailMark, NodeId, UserId, labelled_sha256};
use crate::key::{AccountKey, DeviceKey};
use crate::limits::{ENVELOPE_CLASS_MAX, ENVELOPE_CLASS_MIN, ENVELOPE_CLASS_STEP, SUITE};
use crate::record::DeviceCertificate;
use crate::timestamp::Timestamp;
use crate::unverified::{Signable, Unverified};

/// The version byte at the head of an envelope.
pub const ENVELOPE_VERSION: u8 = 1;
/// Bytes before the encapsulated key: version, suite, user, device, KEM key id.
pub const ENVELOPE_HEAD_BYTES: usize = 1 + 1 + 20 + 32 + 4;
/// Bytes of an X-Wing encapsulation.
pub const ENCAPSULATION_BYTES: usize = 1120;
/// Bytes of the AEAD's tag.
pub const TAG_BYTES: usize = 16;

/// An envelope as it lies with its holders (SPEC 6.2):
/// version(1) suite(1) user(20) device(32) kem_id(4) encapsulation(1120) ciphertext.
#[derive(Clone, PartialEq, Eq)]
pub struct Envelope {
    bytes: Vec<u8>,
}

/// Why bytes are no envelope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// The length is none of the size classes.
    #[error("envelope has {0} bytes, which is no size class")]
    Size(usize),
    /// The version is unknown.
    #[error("envelope has version {0}, expected {ENVELOPE_VERSION}")]
    Version(u8),
    /// The suite is unknown.
    #[error("envelope uses suite {0}, expected {SUITE}")]
    Suite(u8),
}

/// The padded size that holds so many bytes, if one does (SPEC 6.3).
pub fn size_class(bytes: usize) -> Option<usize> {
    if bytes <= ENVELOPE_CLASS_MIN {
        return Some(ENVELOPE_CLASS_MIN);
    }
    let class = bytes.div_ceil(ENVELOPE_CLASS_STEP) * ENVELOPE_CLASS_STEP;
    (class <= ENVELOPE_CLASS_MAX).then_some(class)
}

impl Envelope {
    /// Puts an envelope together from its parts.
    pub fn assemble(
        user: UserId,
        device: DeviceKey,
        kem_id: u32,
        encapsulation: &[u8],
        ciphertext: &[u8],
    ) -> Result<Self, EnvelopeError> {
        let mut bytes = Self::head(user, device, kem_id);
        bytes.extend_from_slice(encapsulation);
        bytes.extend_from_slice(ciphertext);
        Self::decode(bytes)
    }

    /// The head of an envelope: authenticated, not secret.
    pub fn head(user: UserId, device: DeviceKey, kem_id: u32) -> Vec<u8> {
        let mut head = vec![ENVELOPE_VERSION, SUITE];
        head.extend_from_slice(&user.0);
        head.extend_from_slice(&device.0);
        head.extend_from_slice(&kem_id.to_be_bytes());
        head
    }

    /// Reads an envelope; its sealed part has exactly the size of a class.
    pub fn decode(bytes: Vec<u8>) -> Result<Self, EnvelopeError> {
        let fixed = ENVELOPE_HEAD_BYTES + ENCAPSULATION_BYTES + TAG_BYTES;
        let sealed = bytes.len().checked_sub(fixed).ok_or(EnvelopeError::Size(bytes.len()))?;
        if size_class(sealed) != Some(sealed) {
            return Err(EnvelopeError::Size(bytes.len()));
        }
        if bytes[0] != ENVELOPE_VERSION {
            return Err(EnvelopeError::Version(bytes[0]));
        }
        if bytes[1] != SUITE {
            return Err(EnvelopeError::Suite(bytes[1]));
        }
        Ok(Self { bytes })
    }

    /// The whole bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The whole bytes, given away.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The id: SHA-256 over all bytes.
    pub fn id(&self) -> EnvelopeId {
        EnvelopeId(Sha256::digest(&self.bytes).into())
    }

    /// The proof of a holder that it has all of the envelope, for one challenge (SPEC 6.15).
    pub fn kept_proof(&self, nonce: &[u8], holder: NodeId) -> [u8; 32] {
        labelled_sha256("bytchat/kept/1", &[nonce, holder.as_bytes(), &self.bytes])
    }

    /// The user whose mailbox it belongs to.
    pub fn user(&self) -> UserId {
        UserId(self.array(2))
    }

    /// The device that can open it.
    pub fn device(&self) -> DeviceKey {
        DeviceKey(self.array(22))
    }

    /// The KEM key to which it is sealed.
    pub fn kem_id(&self) -> u32 {
        u32::from_be_bytes(self.array(54))
    }

    /// The authenticated head.
    pub fn head_bytes(&self) -> &[u8] {
        &self.bytes[..ENVELOPE_HEAD_BYTES]
    }

    /// The encapsulated key.
    pub fn encapsulation(&self) -> &[u8] {
        &self.bytes[ENVELOPE_HEAD_BYTES..ENVELOPE_HEAD_BYTES + ENCAPSULATION_BYTES]
    }

    /// The sealed part with its tag.
    pub fn ciphertext(&self) -> &[u8] {
        &self.bytes[ENVELOPE_HEAD_BYTES + ENCAPSULATION_BYTES..]
    }

    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        std::array::from_fn(|i| self.bytes[at + i])
    }
}

impl MailMark {
    /// The mark of an envelope (SPEC 6.13).
    pub fn new(user: UserId, device: DeviceKey, envelope: EnvelopeId) -> Self {
        let parts: [&[u8]; 3] = [&user.0, &device.0, &envelope.0];
        let whole = labelled_sha256("bytchat/tombstone/1", &parts);
        Self(std::array::from_fn(|i| whole[i]))
    }
}

impl std::fmt::Debug for Envelope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Envelope({} for {}, {} bytes)", self.id(), self.user(), self.bytes.len())
    }
}

impl Serialize for Envelope {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde_bytes::Bytes::new(&self.bytes).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Envelope {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = ByteBuf::deserialize(deserializer)?;
        Self::decode(bytes.into_vec()).map_err(serde::de::Error::custom)
    }
}

/// What the outer seal protects: the ratchet message and, at first, who opens the session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// The sender's user.
    pub user: UserId,
    /// The sender's device.
    pub device: DeviceKey,
    /// For the opening of a session: who the sender is, and the device's word for the session.
    pub opening: Option<Opening>,
    /// Whether the ratchet message opens a session (Olm pre-key message) or not.
    pub first: bool,
    /// The ratchet message.
    pub olm: ByteBuf,
}

/// Proof of who opens a session (SPEC 6.6): without it a stolen fallback key could impersonate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// The sender's account key.
    pub account: AccountKey,
    /// The account's word for the device.
    pub certificate: Unverified<DeviceCertificate>,
    /// The device's signature.
    pub statement: Unverified<OpeningStatement>,
}

/// What the device signs when it opens a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpeningStatement {
    /// The Olm session.
    pub session: String,
    /// Who opens it.
    pub from: Party,
    /// For whom.
    pub to: Party,
}

impl Signable for OpeningStatement {
    const LABEL: &'static str = "bytchat/opening/1";
}

/// One end of a conversation: user, whole key hash and device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// The user.
    pub user: UserId,
    /// The whole hash of the account key.
    pub fingerprint: Fingerprint,
    /// The device.
    pub device: DeviceKey,
}

/// The innermost plaintext (SPEC 6.5): who to whom, both device-list heads, and the content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// The sender; a mismatch with the session is refused.
    pub from: Party,
    /// The recipient; a mismatch is refused (unknown key-share).
    pub to: Party,
    /// Sequence number of the sender's own user record.
    pub from_head: u64,
    /// Sequence number of the recipient's user record as the sender knows it.
    pub to_head: u64,
    /// What is said.
    pub content: Content,
}

/// What a letter carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// A block of the direct round of the two users.
    Block(ByteBuf),
    /// The sender's device has what is named here.
    Receipt(MessageReceipt),
    /// The sender could not read what came over the session: open a new one and send again.
    Resend(Vec<EnvelopeId>),
}

/// A recipient's word that messages arrived or were read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageReceipt {
    /// The messages.
    pub blocks: Vec<BlockId>,
    /// Whether a person has read them.
    pub read: bool,
    /// When, by the recipient's clock.
    pub at: Timestamp,
}

/// A holder's signed word that it keeps an envelope (SPEC 6.8).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HolderReceipt {
    /// The envelope.
    pub envelope: EnvelopeId,
    /// The holder.
    pub holder: NodeId,
    /// Until when it is kept; for the device itself: when it was taken.
    pub until: Timestamp,
    /// The recipient's device itself took it.
    pub taken: bool,
}

impl Signable for HolderReceipt {
    const LABEL: &'static str = "bytchat/holder-receipt/1";
}

/// A one-time key for one session opening, for one holder to hand out (SPEC 6.4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneTimeKey {
    /// The device.
    pub device: DeviceKey,
    /// The only holder that may hand it out.
    pub holder: NodeId,
    /// The Curve25519 public key.
    pub key: ByteBuf,
    /// It is worthless afterwards.
    pub expires: Timestamp,
}

impl Signable for OneTimeKey {
    const LABEL: &'static str = "bytchat/one-time-key/1";
}

/// What a device signs to prove itself to a holder (SPEC 6.9).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachProof {
    /// The user whose mail is asked for.
    pub user: UserId,
    /// The device.
    pub device: DeviceKey,
    /// The holder that asked.
    pub holder: NodeId,
    /// The holder's challenge.
    pub nonce: ByteBuf,
    /// The TLS exporter of the link: a proof cannot be relayed.
    pub binding: ByteBuf,
}

impl Signable for AttachProof {
    const LABEL: &'static str = "bytchat/attach/1";
}

/// A device's signed word that envelopes may go (SPEC 6.10).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    /// The user.
    pub user: UserId,
    /// The device.
    pub device: DeviceKey,
    /// The envelopes.
    pub envelopes: Vec<EnvelopeId>,
}

impl Signable for Removal {
    const LABEL: &'static str = "bytchat/removal/1";
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(sealed: usize) -> Result<Envelope, EnvelopeError> {
        Envelope::assemble(
            UserId([1; 20]),
            DeviceKey([2; 32]),
            77,
            &[3; ENCAPSULATION_BYTES],
            &vec![4; sealed + TAG_BYTES],
        )
    }

    #[test]
    fn parts_come_back_from_the_bytes() {
        let envelope = envelope(2048).unwrap();
        assert_eq!(envelope.user(), UserId([1; 20]));
        assert_eq!(envelope.device(), DeviceKey([2; 32]));
        assert_eq!(envelope.kem_id(), 77);
        assert_eq!(envelope.ciphertext().len(), 2048 + TAG_BYTES);
        assert_eq!(Envelope::decode(envelope.as_bytes().to_vec()).unwrap(), envelope);
    }

    #[test]
    fn only_size_classes_exist() {
        assert_eq!(size_class(0), Some(2048));
        assert_eq!(size_class(2049), Some(4096));
        assert_eq!(size_class(4097), Some(8192));
        assert_eq!(size_class(65_537), None);
        assert!(matches!(envelope(2049), Err(EnvelopeError::Size(_))));
        assert!(matches!(Envelope::decode(vec![]), Err(EnvelopeError::Size(0))));
    }
}
