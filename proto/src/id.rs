//! Identifiers: fixed bytes, shown as lowercase base32 (RFC 4648, no padding).

use std::fmt;

use serde::de::Visitor;
use sha2::{Digest, Sha256, Sha512};

/// Why a text is not an identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} is {expected} characters of a-z and 2-7, got {got:?}")]
pub struct ParseIdError {
    pub(crate) what: &'static str,
    pub(crate) expected: usize,
    pub(crate) got: String,
}

/// Defines an identifier of fixed length with its text, CBOR and JSON forms.
macro_rules! identifier {
    ($(#[doc = $doc:literal])* $name:ident, $bytes:literal, $what:literal) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $bytes]);

        impl $name {
            /// How many bytes it has.
            pub const BYTES: usize = $bytes;

            /// The bytes.
            pub fn as_bytes(&self) -> &[u8] {
                &self.0
            }

            /// Reads it from bytes of exactly the right length.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&data_encoding::BASE32_NOPAD.encode(&self.0).to_ascii_lowercase())
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let text = self.to_string();
                write!(f, "{}({}…)", stringify!($name), &text[..8])
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::id::ParseIdError;

            fn from_str(text: &str) -> Result<Self, $crate::id::ParseIdError> {
                let error = || $crate::id::ParseIdError {
                    what: $what,
                    expected: data_encoding::BASE32_NOPAD.encode_len($bytes),
                    got: text.chars().take(80).collect(),
                };
                if text.chars().any(|c| c.is_ascii_uppercase()) {
                    return Err(error());
                }
                let upper = text.to_ascii_uppercase();
                let bytes = data_encoding::BASE32_NOPAD
                    .decode(upper.as_bytes())
                    .map_err(|_| error())?;
                Self::from_slice(&bytes).ok_or_else(error)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let length = data_encoding::BASE32_NOPAD.encode_len($bytes);
                schemars::json_schema!({
                    "type": "string",
                    "description": concat!($($doc),*).trim(),
                    "pattern": format!("^[a-z2-7]{{{length}}}$"),
                })
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    serializer.serialize_bytes(&self.0)
                }
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    return deserializer
                        .deserialize_str($crate::id::TextVisitor)?
                        .parse()
                        .map_err(serde::de::Error::custom);
                }
                let bytes = deserializer.deserialize_bytes($crate::id::BytesVisitor::<$bytes>)?;
                Ok(Self(bytes))
            }
        }
    };
}
pub(crate) use identifier;

pub(crate) struct TextVisitor;

impl Visitor<'_> for TextVisitor {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an identifier in base32")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }
}

pub(crate) struct BytesVisitor<const N: usize>;

impl<const N: usize> Visitor<'_> for BytesVisitor<N> {
    type Value = [u8; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{N} bytes")
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<[u8; N], E> {
        bytes.try_into().map_err(|_| E::invalid_length(bytes.len(), &self))
    }
}

identifier!(
    /// A user: the first 160 bits of SHA-512 over the account key's SPKI (SPEC 3.1).
    UserId,
    20,
    "a user id"
);
identifier!(
    /// A node: 160 bits over network, TLS key and stamp (SPEC 3.4).
    NodeId,
    20,
    "a node id"
);
identifier!(
    /// A network: SHA-256 of its name; nodes of two networks never talk (SPEC 3.5).
    NetworkId,
    32,
    "a network id"
);
identifier!(
    /// Sealed bytes for one device: SHA-256 of the envelope (SPEC 6.2).
    EnvelopeId,
    32,
    "an envelope id"
);
identifier!(
    /// One envelope of one device, for those who keep it: others cannot tell which (SPEC 6.13).
    MailMark,
    16,
    "a mark of mail"
);
identifier!(
    /// A block of a round's log: SHA-256 of its bytes (SPEC 7.2). A message's id is its block's.
    BlockId,
    32,
    "a message id"
);
identifier!(
    /// A round: SHA-256 of its genesis (SPEC 7.1).
    RoundId,
    32,
    "a round id"
);
identifier!(
    /// The whole SHA-512 over an account key's SPKI: what contacts pin (SPEC 3.2).
    Fingerprint,
    64,
    "a fingerprint"
);

impl NetworkId {
    /// The network of a name that asks for no work.
    pub fn of_name(name: &str) -> Self {
        Self::of(name, 0)
    }

    /// The network of a name and of the bits of work that it asks for (SPEC 3.5): who asks for
    /// something else is in another network.
    pub fn of(name: &str, work: u8) -> Self {
        match work {
            0 => Self(labelled_sha256("bytchat/network/1", &[name.as_bytes()])),
            work => Self(labelled_sha256("bytchat/network/1", &[name.as_bytes(), &[work]])),
        }
    }
}

/// SHA-256 over a label, a zero byte and the parts, each with its length before it.
pub fn labelled_sha256(label: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(label.as_bytes());
    hash.update([0]);
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// The first 160 bits of SHA-512 over the parts as they stand.
pub(crate) fn sha512_160(parts: &[&[u8]]) -> [u8; 20] {
    let mut hash = Sha512::new();
    for part in parts {
        hash.update(part);
    }
    let whole: [u8; 64] = hash.finalize().into();
    std::array::from_fn(|i| whole[i])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{decode, encode};

    #[test]
    fn text_bytes_and_json_agree() {
        let id = UserId([7; 20]);
        let text = id.to_string();
        assert_eq!(text.len(), 32);
        assert_eq!(text.parse::<UserId>().unwrap(), id);
        assert_eq!(decode::<UserId>(&encode(&id)).unwrap(), id);
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(json, format!("\"{text}\""));
        assert_eq!(serde_json::from_str::<UserId>(&json).unwrap(), id);
    }

    #[test]
    fn a_malformed_text_names_what_was_expected() {
        let error = "not-an-id".parse::<UserId>().unwrap_err().to_string();
        assert_eq!(error, "a user id is 32 characters of a-z and 2-7, got \"not-an-id\"");
        assert!(UserId([7; 20]).to_string().to_uppercase().parse::<UserId>().is_err());
    }

    #[test]
    fn wrong_length_bytes_are_refused() {
        assert!(decode::<UserId>(&encode(&NetworkId([1; 32]))).is_err());
    }

    #[test]
    fn networks_differ_by_name_and_by_work() {
        assert_ne!(NetworkId::of_name(""), NetworkId::of_name("home"));
        assert_eq!(NetworkId::of("home", 0), NetworkId::of_name("home"));
        assert_ne!(NetworkId::of("home", 1), NetworkId::of("home", 0));
        assert_ne!(NetworkId::of("home", 1), NetworkId::of("home", 2));
    }
}
