//! Fixed inputs: keys, ids and addresses that never change, and signatures that nobody checks.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use bytchat_proto::alias::{Alias, Host};
use bytchat_proto::id::{BlockId, EnvelopeId, NetworkId, NodeId, RoundId, UserId};
use bytchat_proto::key::{AccountKey, DeviceKey, NodeKey};
use bytchat_proto::timestamp::Timestamp;
use bytchat_proto::unverified::{Signable, Unverified};
use data_encoding::BASE64;

/// A 3072-bit public key whose private half was thrown away.
const ACCOUNT_SPKI: &str = concat!(
    "MIIBojANBgkqhkiG9w0BAQEFAAOCAY8AMIIBigKCAYEAsGjvvcJu3B0iAagLgG+rmt6lLuWpMVS+P5DU9ZWp5HMf",
    "Olq/2Gu8Lf5JWt4s+YVwyczR4u40Gv9BE1pOpoos2JWDByHVG3Yf+46DxQj63RMqRhpJLcvwJ7XbrjoWLhXjsBCM",
    "x1AqJZe6JeTJNd3VxoPp0tyorQUSwwcIetYsPt9mlIuUnYdJKlFfX0THXIjiHyKIEdPTGC5QRyWLTE5ZxRMukF3l",
    "CT4sVQhG+ZcRY2i2JEQJzI9jqo4BhR9jRlBElRzLBiNSfJWM0YNpqZmHO8RDLqLKDMKJD/3vZZwem/Dt8CxMp7t9",
    "wcWanpdF0QieN3aMz1nJ3QcHK9I23/JUQ+SBFUxHQp2inwjBNzfijLWiJFdPygmwhaCg60U7yh2yomTy17BFsuLv",
    "8yvC4g+sdM7+tZec+CUv1Sy7xKwHiNA+4FOlQ7c/5dCieX1jtrzk4ds5ykR63bs/N1kCIwQHj+fbFXLilu125qXM",
    "pVUMQmC+mfdrsSKFsVSNL+c4muuhAgMBAAE=",
);

/// The instant of every sample: 20 November 2026.
pub(crate) const AT: Timestamp = Timestamp(1_795_132_800_000);
/// The network of every sample.
pub(crate) const NETWORK: NetworkId = NetworkId([0x11; 32]);
/// A user that signs nothing.
pub(crate) const USER: UserId = UserId([0x22; 20]);
/// A device that signs nothing.
pub(crate) const DEVICE: DeviceKey = DeviceKey([0x33; 32]);
/// A holder.
pub(crate) const HOLDER: NodeId = NodeId([0x44; 20]);
/// An envelope.
pub(crate) const ENVELOPE: EnvelopeId = EnvelopeId([0x55; 32]);
/// A message.
pub(crate) const BLOCK: BlockId = BlockId([0x66; 32]);
/// A round.
pub(crate) const ROUND: RoundId = RoundId([0x77; 32]);

/// The fixed account key.
pub(crate) fn account() -> AccountKey {
    let spki = BASE64.decode(ACCOUNT_SPKI.as_bytes()).expect("the constant is base64");
    AccountKey::from_spki(&spki).expect("the constant is a good key")
}

/// The alias of the samples.
pub(crate) fn alias() -> Alias {
    "alice@pod.example".parse().expect("an alias")
}

/// The host of the samples.
pub(crate) fn host() -> Host {
    "pod.example".parse().expect("a host")
}

/// One address of each family.
pub(crate) fn addresses() -> Vec<SocketAddr> {
    vec![
        (Ipv4Addr::new(192, 0, 2, 7), 7117).into(),
        (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7), 7117).into(),
    ]
}

/// A value with 64 bytes in place of a signature.
pub(crate) fn signed<T: Signable>(value: &T) -> Unverified<T> {
    Unverified::sign(value, |_| vec![0x99; 64])
}

/// An Ed25519 key that follows from one byte.
pub(crate) fn ed25519(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("a seed has 32 bytes")
}

/// The public half of `ed25519`, as a node key.
pub(crate) fn node_key(seed: u8) -> NodeKey {
    NodeKey::from_slice(ed25519(seed).public_key().as_ref()).expect("a key has 32 bytes")
}

/// The public half of `ed25519`, as a device key.
pub(crate) fn device_key(seed: u8) -> DeviceKey {
    DeviceKey(node_key(seed).0)
}

/// A value with the Ed25519 signature of a seed; the same bytes every time.
pub(crate) fn truly_signed<T: Signable>(value: &T, seed: u8) -> Unverified<T> {
    Unverified::sign(value, |digest| ed25519(seed).sign(digest).as_ref().to_vec())
}
