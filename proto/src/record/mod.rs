//! Records: signed, expiring values of the DHT, and the node records that contacts are.

mod error;
mod node;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::alias::Host;
use crate::codec::decode_within;
use crate::id::{NetworkId, UserId};
use crate::key::{AccountKey, DeviceKey};
use crate::limits::{
    AVATAR_BYTES_MAX, CLOCK_SKEW_MS, DEVICES_PER_USER_MAX, LOCATION_BODY_BYTES_MAX,
    LOCATION_TTL_MS, NAME_BYTES_MAX, PODS_PER_USER_MAX, PREKEY_BODY_BYTES_MAX,
    PROFILE_BODY_BYTES_MAX, RECORD_BYTES_MAX, RECORD_TTL_MAX_MS, RECORD_TTL_MIN_MS,
    REVOKED_PER_USER_MAX, SUITE, USER_BODY_BYTES_MAX,
};
use crate::point::Point;
use crate::timestamp::Timestamp;
use crate::unverified::{Signable, Unverified, Verified};

pub use error::RecordError;
pub use node::{Contact, NodeRecord, verify_contact};

/// What a record says (SPEC 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordKind {
    /// A user's key, devices and pods; signed by the account.
    User,
    /// A user's name and picture; signed by the account.
    Profile,
    /// A device's KEM key and fallback key; signed by the device.
    Prekey,
    /// Where a device can be reached now; signed by the device.
    Location,
}

/// Who signed a record, with all that is needed to check it (SPEC 4.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signer {
    /// The account itself.
    Account {
        /// The account's public key.
        account: AccountKey,
    },
    /// A device, with the account's word for it.
    Device {
        /// The account's public key.
        account: AccountKey,
        /// The account's signature over the device.
        certificate: Unverified<DeviceCertificate>,
    },
}

/// The signed part of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordBody {
    /// The suite of the signature.
    pub suite: u8,
    /// The network that the record belongs to.
    pub network: NetworkId,
    /// What it says.
    pub kind: RecordKind,
    /// Who says it.
    pub signer: Signer,
    /// A newer record has a higher number.
    pub sequence: u64,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
    /// The encoded `UserBody`, `ProfileBody`, `PrekeyBody` or `LocationBody`.
    pub body: ByteBuf,
}

impl Signable for RecordBody {
    const LABEL: &'static str = "bytchat/record/1";
}

/// A record as it travels.
pub type Record = Unverified<RecordBody>;

/// Where a record stands: one per point, kind and device.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RecordSlot {
    /// The place in the keyspace.
    pub point: Point,
    /// What it says.
    pub kind: RecordKind,
    /// The device, for records that devices sign.
    pub device: Option<DeviceKey>,
}

/// The account's word that a device is its own (SPEC 3.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceCertificate {
    /// The account.
    pub user: UserId,
    /// The device's signing key.
    pub device: DeviceKey,
    /// The device's Olm identity key (Curve25519).
    pub identity: ByteBuf,
    /// A name for people.
    pub label: String,
    /// When it was added.
    pub added: Timestamp,
}

impl Signable for DeviceCertificate {
    const LABEL: &'static str = "bytchat/device/1";
}

/// Body of a user record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserBody {
    /// The devices that mail is sealed to.
    pub devices: Vec<Unverified<DeviceCertificate>>,
    /// Devices that are no longer believed.
    pub revoked: Vec<DeviceKey>,
    /// Pods that keep a fast copy.
    pub pods: Vec<Host>,
}

/// Body of a profile; fields that are not known here stay in the signed bytes (SPEC 4.4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileBody {
    /// Whose profile it is.
    pub uid: UserId,
    /// A name for people.
    pub name: String,
    /// A small picture; empty for none.
    pub avatar: ByteBuf,
    /// Further fields of front ends.
    #[serde(default)]
    pub more: BTreeMap<String, String>,
}

/// Body of a prekey record (SPEC 6.4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrekeyBody {
    /// Which KEM key it is.
    pub kem_id: u32,
    /// The X-Wing public key (1216 bytes).
    pub kem: ByteBuf,
    /// The Olm fallback key (Curve25519), for when no one-time key is left.
    pub fallback: ByteBuf,
}

/// Body of a location.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocationBody {
    /// The node on which the device is up.
    pub contact: Contact,
}

impl Signer {
    /// The account behind the signature.
    pub fn account(&self) -> &AccountKey {
        match self {
            Self::Account { account } | Self::Device { account, .. } => account,
        }
    }

    fn certified(&self) -> Result<Option<DeviceCertificate>, RecordError> {
        match self {
            Self::Account { .. } => Ok(None),
            Self::Device { account, certificate } => {
                let certificate = certificate.verify(account)?.into_value();
                certificate.check(account.user())?;
                Ok(Some(certificate))
            }
        }
    }
}

impl DeviceCertificate {
    /// Checks the parts that a signature cannot.
    pub fn check(&self, user: UserId) -> Result<(), RecordError> {
        if self.user != user {
            return Err(RecordError::WrongUser { got: self.user, expected: user });
        }
        if self.identity.len() != 32 || self.label.len() > NAME_BYTES_MAX {
            return Err(RecordError::Limit("device certificate"));
        }
        Ok(())
    }
}

impl RecordKind {
    /// The shortest and longest life of such a record, and the longest body.
    pub fn bounds(self) -> (u64, u64, usize) {
        match self {
            Self::User => (RECORD_TTL_MIN_MS, RECORD_TTL_MAX_MS, USER_BODY_BYTES_MAX),
            Self::Profile => (RECORD_TTL_MIN_MS, RECORD_TTL_MAX_MS, PROFILE_BODY_BYTES_MAX),
            Self::Prekey => (RECORD_TTL_MIN_MS, RECORD_TTL_MAX_MS, PREKEY_BODY_BYTES_MAX),
            Self::Location => (0, LOCATION_TTL_MS, LOCATION_BODY_BYTES_MAX),
        }
    }

    /// Where such a record of a user lies.
    pub fn point(self, user: UserId) -> Point {
        match self {
            Self::User | Self::Prekey => Point::of_user(user),
            Self::Profile => Point::of_profile(user),
            Self::Location => Point::of_location(user),
        }
    }
}

impl RecordBody {
    /// The user that the record is about.
    pub fn user(&self) -> UserId {
        self.signer.account().user()
    }

    /// Where it stands.
    pub fn slot(&self) -> Result<RecordSlot, RecordError> {
        let device = self.signer.certified()?.map(|certificate| certificate.device);
        Ok(RecordSlot { point: self.kind.point(self.user()), kind: self.kind, device })
    }

    fn check(
        &self,
        network: NetworkId,
        (earliest, latest): (Timestamp, Timestamp),
    ) -> Result<(), RecordError> {
        if self.suite != SUITE {
            return Err(RecordError::Suite(self.suite));
        }
        if self.network != network {
            return Err(RecordError::Network { got: self.network, expected: network });
        }
        let (min, max, body_max) = self.kind.bounds();
        let got = self.expires.since_ms(self.created);
        if got < min || got > max {
            return Err(RecordError::Lifetime { got, min, max });
        }
        if self.created > latest.plus_ms(CLOCK_SKEW_MS) {
            return Err(RecordError::Future(self.created));
        }
        if self.expires <= earliest {
            return Err(RecordError::Expired(self.expires));
        }
        self.check_body(body_max)
    }

    fn check_body(&self, max: usize) -> Result<(), RecordError> {
        match self.kind {
            RecordKind::User => decode_within::<UserBody>(&self.body, max)?.check(&self.signer),
            RecordKind::Profile => {
                decode_within::<ProfileBody>(&self.body, max)?.check(self.user())
            }
            RecordKind::Prekey => decode_within::<PrekeyBody>(&self.body, max)?.check(),
            RecordKind::Location => {
                decode_within::<LocationBody>(&self.body, max)?.check(self.network)
            }
        }
    }
}

impl UserBody {
    fn check(&self, signer: &Signer) -> Result<(), RecordError> {
        if self.devices.len() > DEVICES_PER_USER_MAX || self.revoked.len() > REVOKED_PER_USER_MAX {
            return Err(RecordError::Limit("devices"));
        }
        if self.pods.len() > PODS_PER_USER_MAX {
            return Err(RecordError::Limit("pods"));
        }
        let account = signer.account();
        for device in &self.devices {
            device.verify(account)?.check(account.user())?;
        }
        Ok(())
    }
}

impl ProfileBody {
    fn check(&self, user: UserId) -> Result<(), RecordError> {
        if self.uid != user {
            return Err(RecordError::WrongUser { got: self.uid, expected: user });
        }
        if self.name.len() > NAME_BYTES_MAX || self.avatar.len() > AVATAR_BYTES_MAX {
            return Err(RecordError::Limit("name or avatar"));
        }
        Ok(())
    }
}

impl PrekeyBody {
    fn check(&self) -> Result<(), RecordError> {
        let whole = self.kem.len() == 1216 && self.fallback.len() == 32;
        if whole { Ok(()) } else { Err(RecordError::Limit("prekeys")) }
    }
}

impl LocationBody {
    fn check(&self, network: NetworkId) -> Result<(), RecordError> {
        verify_contact(&self.contact, network)?;
        Ok(())
    }
}

/// Checks a record as holder and as reader alike: size, suite, network, life, signer and
/// signature (SPEC 4.6).
pub fn verify_record(
    record: &Record,
    network: NetworkId,
    now: Timestamp,
) -> Result<Verified<RecordBody>, RecordError> {
    verify_record_within(record, network, (now, now))
}

/// Checks a record like `verify_record` where nobody knows the time better than the two times
/// between which it is.
pub fn verify_record_within(
    record: &Record,
    network: NetworkId,
    between: (Timestamp, Timestamp),
) -> Result<Verified<RecordBody>, RecordError> {
    if record.bytes_len() > RECORD_BYTES_MAX {
        return Err(RecordError::TooLong { got: record.bytes_len(), max: RECORD_BYTES_MAX });
    }
    let body = record.peek()?;
    let certificate = body.signer.certified()?;
    let verified = match (body.kind, certificate) {
        (RecordKind::User | RecordKind::Profile, None) => record.verify(body.signer.account())?,
        (RecordKind::Prekey | RecordKind::Location, Some(certificate)) => {
            record.verify(&certificate.device)?
        }
        (kind, _) => return Err(RecordError::WrongSigner(kind)),
    };
    verified.check(network, between)?;
    Ok(verified)
}
