//! The records that an account and its device say of themselves.

use bytchat_proto::codec::{decode, encode};
use bytchat_proto::id::NetworkId;
use bytchat_proto::limits::{DEVICES_PER_USER_MAX, LOCATION_TTL_MS, RECORD_TTL_MAX_MS, SUITE};
use bytchat_proto::record::{
    Contact, LocationBody, ProfileBody, Record, RecordBody, RecordKind, Signer, UserBody,
};
use bytchat_proto::timestamp::Timestamp;
use bytchat_proto::unverified::Unverified;
use serde::Serialize;
use serde_bytes::ByteBuf;

use super::Account;

impl Account {
    /// The user record as it should be now: the known devices with this one, and our pods. The
    /// caller signs it with the account key.
    pub fn user_record(&self, network: NetworkId, now: Timestamp) -> RecordBody {
        let known = self.record.as_ref().and_then(|record| record.peek().ok());
        let known: Option<UserBody> = known.and_then(|body| decode(&body.body).ok());
        let mut devices = known.as_ref().map(|body| body.devices.clone()).unwrap_or_default();
        let own = self.device.device();
        devices.retain(|device| device.peek().is_ok_and(|device| device.device != own));
        devices.truncate(DEVICES_PER_USER_MAX - 1);
        devices.push(self.certificate.clone());
        let revoked = known.as_ref().map(|body| body.revoked.clone()).unwrap_or_default();
        let mut pods = self.pods();
        for pod in known.map(|body| body.pods).unwrap_or_default() {
            if !pods.contains(&pod) && pods.len() < bytchat_proto::limits::PODS_PER_USER_MAX {
                pods.push(pod);
            }
        }
        let body = UserBody { devices, revoked, pods };
        let sequence = now.0.max(self.record_sequence.saturating_add(1));
        self.by_account(network, RecordKind::User, sequence, &body, now)
    }

    /// Whether the newest known user record lacks this device or one of our pods.
    pub fn is_incomplete(&self) -> bool {
        let known = self.record.as_ref().and_then(|record| record.peek().ok());
        let Some(body) = known.and_then(|body| decode::<UserBody>(&body.body).ok()) else {
            return true;
        };
        let own = self.device.device();
        let listed = body
            .devices
            .iter()
            .any(|device| device.peek().is_ok_and(|device| device.device == own));
        !listed || self.pods().iter().any(|pod| !body.pods.contains(pod))
    }

    /// A profile record; the caller signs it with the account key.
    pub fn profile_record(
        &self,
        network: NetworkId,
        body: &ProfileBody,
        sequence: u64,
        now: Timestamp,
    ) -> RecordBody {
        self.by_account(network, RecordKind::Profile, sequence, body, now)
    }

    /// The device's prekeys, signed.
    pub fn prekey_record(&self, network: NetworkId, now: Timestamp) -> Record {
        let body = encode(&self.device.prekeys());
        let life = RECORD_TTL_MAX_MS;
        self.by_device(network, RecordKind::Prekey, body, now, life)
    }

    /// Where the device is up, signed.
    pub fn location_record(&self, network: NetworkId, at: &Contact, now: Timestamp) -> Record {
        let body = encode(&LocationBody { contact: at.clone() });
        self.by_device(network, RecordKind::Location, body, now, LOCATION_TTL_MS)
    }

    fn by_account(
        &self,
        network: NetworkId,
        kind: RecordKind,
        sequence: u64,
        body: &impl Serialize,
        now: Timestamp,
    ) -> RecordBody {
        RecordBody {
            suite: SUITE,
            network,
            kind,
            signer: Signer::Account { account: self.key.clone() },
            sequence,
            created: now,
            expires: now.plus_ms(RECORD_TTL_MAX_MS),
            body: ByteBuf::from(encode(body)),
        }
    }

    fn by_device(
        &self,
        network: NetworkId,
        kind: RecordKind,
        body: Vec<u8>,
        now: Timestamp,
        life_ms: u64,
    ) -> Record {
        let record = RecordBody {
            suite: SUITE,
            network,
            kind,
            signer: Signer::Device {
                account: self.key.clone(),
                certificate: self.certificate.clone(),
            },
            sequence: now.0,
            created: now,
            expires: now.plus_ms(life_ms),
            body: ByteBuf::from(body),
        };
        Unverified::sign(&record, |digest| self.device.sign(digest))
    }
}
