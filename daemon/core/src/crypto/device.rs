//! A device's secrets: identity, one-time and fallback keys (Olm), and rotating KEM keys.

use std::collections::BTreeMap;
use std::fmt;

use bytchat_proto::envelope::OneTimeKey;
use bytchat_proto::id::NodeId;
use bytchat_proto::key::DeviceKey;
use bytchat_proto::limits::{
    KEM_KEEP_MS, KEM_KEYS_MAX, KEM_ROTATE_MS, ONE_TIME_KEY_TTL_MS, ONE_TIME_SECRET_KEEP_MS,
    ONE_TIME_SECRETS_MAX,
};
use bytchat_proto::record::PrekeyBody;
use bytchat_proto::timestamp::Timestamp;
use bytchat_proto::unverified::Unverified;
use rand_chacha::ChaCha20Rng;
use rand_core::Rng;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use vodozemac::Curve25519PublicKey;
use vodozemac::olm::{
    Account, AccountPickle, InboundCreationResult, PreKeyMessage, Session, SessionConfig,
    SessionCreationError,
};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::vault::{decode_secret, encode_secret};
use super::{CryptoError, kem};

const PICKLE_VERSION: u8 = 1;

/// The secrets of one device (SPEC 3.3).
pub struct DeviceSecret {
    account: Account,
    kem: KemSecret,
    old_kems: Vec<OldKem>,
    fallback: Fallback,
    issued: BTreeMap<[u8; 32], Timestamp>,
}

#[derive(Clone, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct KemSecret {
    id: u32,
    seed: [u8; 32],
    #[zeroize(skip)]
    made: Timestamp,
}

#[derive(Clone, Serialize, Deserialize)]
struct OldKem {
    secret: KemSecret,
    forget: Timestamp,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Fallback {
    key: [u8; 32],
    made: Timestamp,
    /// When the one before is forgotten; vodozemac keeps one such.
    forget_previous: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
struct Pickle {
    account: AccountPickle,
    kem: KemSecret,
    old_kems: Vec<OldKem>,
    fallback: Fallback,
    /// One-time keys that were handed out, and when their secrets are forgotten.
    issued: BTreeMap<[u8; 32], Timestamp>,
}

impl DeviceSecret {
    /// Makes a new device.
    pub fn generate(now: Timestamp, rng: &mut ChaCha20Rng) -> Self {
        let mut account = Account::new();
        let key = new_fallback(&mut account);
        Self {
            account,
            kem: KemSecret::generate(now, rng),
            old_kems: Vec::new(),
            fallback: Fallback { key, made: now, forget_previous: None },
            issued: BTreeMap::new(),
        }
    }

    /// The signing key, which names the device.
    pub fn device(&self) -> DeviceKey {
        DeviceKey(*self.account.ed25519_key().as_bytes())
    }

    /// The Olm identity key.
    pub fn identity(&self) -> [u8; 32] {
        self.account.curve25519_key().to_bytes()
    }

    /// Signs a digest.
    pub fn sign(&self, digest: &[u8; 64]) -> Vec<u8> {
        self.account.sign(digest).to_bytes().to_vec()
    }

    /// The public keys that others need to write to this device.
    pub fn prekeys(&self) -> PrekeyBody {
        PrekeyBody {
            kem_id: self.kem.id,
            kem: ByteBuf::from(kem::public(&self.kem.seed)),
            fallback: ByteBuf::from(self.fallback.key),
        }
    }

    /// Replaces keys whose time has come and forgets old secrets; says whether there are new
    /// public keys, which are to be stored and published.
    pub fn rotate(&mut self, now: Timestamp, rng: &mut ChaCha20Rng) -> bool {
        self.forget_expired(now);
        let kem = self.rotate_kem(now, rng);
        let fallback = self.rotate_fallback(now);
        kem || fallback
    }

    /// Makes signed one-time keys for one holder to hand out (SPEC 6.4). Old secrets go by
    /// `rotate` alone, whose time is the calmer one.
    pub fn one_time_keys(
        &mut self,
        holder: NodeId,
        now: Timestamp,
        count: usize,
    ) -> Vec<Unverified<OneTimeKey>> {
        let count = count.min(ONE_TIME_SECRETS_MAX);
        self.make_room(count);
        let made = self.account.generate_one_time_keys(count);
        self.account.mark_keys_as_published();
        for key in &made.removed {
            self.issued.remove(key.as_bytes());
        }
        let forget = now.plus_ms(ONE_TIME_SECRET_KEEP_MS);
        let expires = now.plus_ms(ONE_TIME_KEY_TTL_MS);
        made.created
            .iter()
            .map(|key| {
                self.issued.insert(key.to_bytes(), forget);
                let one_time = OneTimeKey {
                    device: self.device(),
                    holder,
                    key: ByteBuf::from(key.to_bytes()),
                    expires,
                };
                Unverified::sign(&one_time, |digest| self.sign(digest))
            })
            .collect()
    }

    /// The secrets for the disk, to be sealed there.
    pub fn pickle(&self) -> Zeroizing<Vec<u8>> {
        let pickle = Pickle {
            account: self.account.pickle(),
            kem: self.kem.clone(),
            old_kems: self.old_kems.clone(),
            fallback: self.fallback,
            issued: self.issued.clone(),
        };
        encode_secret(PICKLE_VERSION, &pickle)
    }

    /// Reads the secrets back.
    pub fn from_pickle(bytes: &[u8]) -> Result<Self, CryptoError> {
        let pickle: Pickle = decode_secret(PICKLE_VERSION, bytes, "device")?;
        Ok(Self {
            account: Account::from_pickle(pickle.account),
            kem: pickle.kem,
            old_kems: pickle.old_kems,
            fallback: pickle.fallback,
            issued: pickle.issued,
        })
    }

    pub(super) fn kem_seed(&self, id: u32) -> Option<&[u8; 32]> {
        std::iter::once(&self.kem)
            .chain(self.old_kems.iter().map(|old| &old.secret))
            .find(|secret| secret.id == id)
            .map(|secret| &secret.seed)
    }

    pub(super) fn open_session(
        &self,
        identity: &[u8; 32],
        opening_key: &[u8; 32],
    ) -> Result<Session, CryptoError> {
        self.account
            .create_outbound_session(
                SessionConfig::version_2(),
                Curve25519PublicKey::from_bytes(*identity),
                Curve25519PublicKey::from_bytes(*opening_key),
            )
            .map_err(|_| CryptoError::BadKey("recipient's identity or one-time"))
    }

    /// Accepts a session that a peer opens, unless `check` refuses what it says: then a one-time
    /// key is not used up.
    pub(super) fn accept_session<T>(
        &mut self,
        message: &PreKeyMessage,
        check: impl FnOnce(Zeroizing<Vec<u8>>) -> Result<T, CryptoError>,
    ) -> Result<(Session, T), CryptoError> {
        let key = message.one_time_key().to_bytes();
        if !self.issued.contains_key(&key) {
            // A fallback key is not used up, so the account does not change.
            let inbound = accept(&mut self.account, message)?;
            let checked = check(Zeroizing::new(inbound.plaintext))?;
            return Ok((inbound.session, checked));
        }
        let mut account = Account::from_pickle(self.account.pickle());
        let inbound = accept(&mut account, message)?;
        let checked = check(Zeroizing::new(inbound.plaintext))?;
        self.account = account;
        self.issued.remove(&key);
        Ok((inbound.session, checked))
    }

    fn rotate_kem(&mut self, now: Timestamp, rng: &mut ChaCha20Rng) -> bool {
        if now.since_ms(self.kem.made) < KEM_ROTATE_MS {
            return false;
        }
        let mut fresh = KemSecret::generate(now, rng);
        while self.kem_seed(fresh.id).is_some() {
            fresh = KemSecret::generate(now, rng);
        }
        self.old_kems.push(OldKem {
            secret: std::mem::replace(&mut self.kem, fresh),
            forget: now.plus_ms(KEM_KEEP_MS),
        });
        let surplus = self.old_kems.len().saturating_sub(KEM_KEYS_MAX - 1);
        self.old_kems.drain(..surplus);
        true
    }

    /// vodozemac keeps one key before the current one, and mail sealed to that may lie for
    /// `KEM_KEEP_MS`: so a new key waits until the one before is forgotten.
    fn rotate_fallback(&mut self, now: Timestamp) -> bool {
        let young = now.since_ms(self.fallback.made) < KEM_ROTATE_MS;
        if young || self.fallback.forget_previous.is_some() {
            return false;
        }
        self.fallback = Fallback {
            key: new_fallback(&mut self.account),
            made: now,
            forget_previous: Some(now.plus_ms(KEM_KEEP_MS)),
        };
        true
    }

    fn forget_expired(&mut self, now: Timestamp) {
        self.old_kems.retain(|old| old.forget > now);
        if self.fallback.forget_previous.is_some_and(|at| at <= now) {
            self.account.forget_fallback_key();
            self.fallback.forget_previous = None;
        }
        let account = &mut self.account;
        self.issued.retain(|key, forget| {
            let keep = *forget > now;
            if !keep {
                forget_one_time(account, key);
            }
            keep
        });
    }

    /// Forgets the one-time secrets that were handed out first until `count` more fit.
    fn make_room(&mut self, count: usize) {
        let surplus = (self.issued.len() + count).saturating_sub(ONE_TIME_SECRETS_MAX);
        let mut by_age: Vec<_> = self.issued.iter().map(|(key, at)| (*at, *key)).collect();
        by_age.sort_unstable();
        for (_, key) in by_age.into_iter().take(surplus) {
            self.issued.remove(&key);
            forget_one_time(&mut self.account, &key);
        }
    }
}

impl KemSecret {
    fn generate(now: Timestamp, rng: &mut ChaCha20Rng) -> Self {
        Self { id: rng.next_u32(), seed: *kem::generate(rng), made: now }
    }
}

impl fmt::Debug for DeviceSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceSecret(of {:?})", self.device())
    }
}

fn accept(
    account: &mut Account,
    message: &PreKeyMessage,
) -> Result<InboundCreationResult, CryptoError> {
    let config = SessionConfig::version_2();
    account.create_inbound_session(config, message.identity_key(), message).map_err(|error| {
        match error {
            SessionCreationError::MissingOneTimeKey(_) => CryptoError::MissingOneTimeKey,
            SessionCreationError::MismatchedSessionConfig { .. } => {
                CryptoError::malformed("ratchet message", "another version")
            }
            SessionCreationError::MismatchedIdentityKey(..)
            | SessionCreationError::Decryption(_)
            | SessionCreationError::NonContributoryKey => CryptoError::Undecryptable,
        }
    })
}

fn new_fallback(account: &mut Account) -> [u8; 32] {
    account.generate_fallback_key();
    let key = account.fallback_key().into_values().next();
    account.mark_keys_as_published();
    key.expect("a fallback key was just made").to_bytes()
}

/// Drops the secret of a one-time key, which wipes it.
fn forget_one_time(account: &mut Account, key: &[u8; 32]) {
    drop(account.remove_one_time_key(Curve25519PublicKey::from_bytes(*key)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytchat_proto::key::Verifier;
    use bytchat_proto::limits::DAY_MS;
    use rand_core::SeedableRng;

    const START: Timestamp = Timestamp(1_000_000_000_000);

    fn day(number: u64) -> Timestamp {
        START.plus_ms(number * DAY_MS)
    }

    fn device() -> (DeviceSecret, ChaCha20Rng) {
        let mut rng = ChaCha20Rng::from_seed([5; 32]);
        (DeviceSecret::generate(START, &mut rng), rng)
    }

    fn knows(device: &DeviceSecret, key: &[u8]) -> bool {
        let other = Account::new();
        let key = Curve25519PublicKey::from_slice(key).unwrap();
        let identity = device.account.curve25519_key();
        let mut session =
            other.create_outbound_session(SessionConfig::version_2(), identity, key).unwrap();
        let vodozemac::olm::OlmMessage::PreKey(message) = session.encrypt("hi").unwrap() else {
            panic!("the first message opens a session");
        };
        let mut copy = DeviceSecret::from_pickle(&device.pickle()).unwrap();
        copy.accept_session(&message, |_| Ok(())).is_ok()
    }

    #[test]
    fn its_signatures_verify_under_its_name() {
        let (device, _) = device();
        let signature = device.sign(&[1; 64]);
        assert!(device.device().check(&[1; 64], &signature).is_ok());
        assert!(device.device().check(&[2; 64], &signature).is_err());
    }

    #[test]
    fn keys_rotate_daily_and_old_ones_stay_eight_days() {
        let (mut device, mut rng) = device();
        let first = device.prekeys();
        assert!(!device.rotate(START.plus_ms(DAY_MS - 1), &mut rng));
        assert_eq!(device.prekeys(), first);
        for number in 1..=8 {
            assert!(device.rotate(day(number), &mut rng));
            assert_ne!(device.prekeys().kem_id, first.kem_id);
            assert!(device.kem_seed(first.kem_id).is_some());
            assert!(knows(&device, &first.fallback));
        }
        assert!(device.rotate(day(9), &mut rng));
        assert!(device.kem_seed(first.kem_id).is_none());
        assert!(!knows(&device, &first.fallback));
        assert!(knows(&device, &device.prekeys().fallback));
        assert_eq!(device.old_kems.len(), 8);
    }

    #[test]
    fn a_fallback_key_lives_eight_days_after_it_was_replaced() {
        let (mut device, mut rng) = device();
        let mut last_published: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
        for number in 0..60 {
            device.rotate(day(number), &mut rng);
            last_published.insert(device.prekeys().fallback.into_vec(), number);
            for (key, last) in &last_published {
                let known = knows(&device, key);
                assert!(known || number - last > 8, "lost after {}", number - last);
                assert!(!known || number - last <= 9, "kept for {}", number - last);
            }
        }
        assert_eq!(last_published.len(), 9);
    }

    #[test]
    fn a_long_sleep_keeps_what_was_published_last() {
        let (mut device, mut rng) = device();
        let first = device.prekeys();
        assert!(device.rotate(day(100), &mut rng));
        assert!(device.kem_seed(first.kem_id).is_some());
        assert!(knows(&device, &first.fallback));
        assert_ne!(device.prekeys().fallback, first.fallback);
    }

    #[test]
    fn one_time_keys_are_signed_for_their_holder() {
        let (mut device, _) = device();
        let holder = NodeId([3; 20]);
        let keys = device.one_time_keys(holder, START, 20);
        assert_eq!(keys.len(), 20);
        for key in &keys {
            let key = key.verify(&device.device()).unwrap().into_value();
            assert_eq!((key.device, key.holder, key.key.len()), (device.device(), holder, 32));
            assert_eq!(key.expires, START.plus_ms(ONE_TIME_KEY_TTL_MS));
        }
        let more = device.one_time_keys(holder, START, 20);
        assert!(more.iter().all(|key| !keys.contains(key)));
        assert_eq!(device.issued.len(), 40);
        assert!(device.account.one_time_keys().is_empty());
    }

    #[test]
    fn unused_one_time_secrets_are_bounded_and_forgotten() {
        let (mut device, mut rng) = device();
        let holder = NodeId([3; 20]);
        let first = device.one_time_keys(holder, START, 20);
        for number in 0..30 {
            device.one_time_keys(holder, day(1).plus_ms(number), 20);
        }
        assert_eq!(device.issued.len(), ONE_TIME_SECRETS_MAX);
        assert_eq!(device.account.stored_one_time_key_count(), ONE_TIME_SECRETS_MAX);
        let gone: Vec<_> = first.iter().map(|key| key.peek().unwrap().key).collect();
        assert!(!gone.iter().any(|key| device.issued.contains_key(key.as_slice())));
        assert!(!knows(&device, &gone[0]));
        assert_eq!(device.one_time_keys(holder, day(2), usize::MAX).len(), ONE_TIME_SECRETS_MAX);
        device.rotate(day(2).plus_ms(ONE_TIME_SECRET_KEEP_MS), &mut rng);
        assert_eq!(device.account.stored_one_time_key_count(), 0);
        assert!(device.issued.is_empty());
    }

    #[test]
    fn a_pickle_brings_everything_back() {
        let (mut device, mut rng) = device();
        device.one_time_keys(NodeId([3; 20]), START, 5);
        device.rotate(day(1), &mut rng);
        let bytes = device.pickle();
        let again = DeviceSecret::from_pickle(&bytes).unwrap();
        assert_eq!(*again.pickle(), *bytes);
        assert_eq!(again.device(), device.device());
        assert_eq!(again.identity(), device.identity());
        assert_eq!(again.prekeys(), device.prekeys());
        for bad in [&[][..], &[9], &bytes[..bytes.len() - 1], &[1, 0xff]] {
            let error = DeviceSecret::from_pickle(bad).unwrap_err();
            assert_eq!(error, CryptoError::Corrupt("device"));
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let (device, _) = device();
        let text = format!("{device:?}");
        assert_eq!(text, format!("DeviceSecret(of {:?})", device.device()));
    }
}
