//! Bytes to values and back: CBOR (RFC 8949) through serde, with limits.

use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::ser::{Formatter, Serializer};

use crate::limits::DECODE_DEPTH_MAX;

/// Why bytes are not a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are no CBOR, or not of this type.
    #[error("bytes are malformed: {0}")]
    Malformed(String),
    /// The value ended before the bytes did.
    #[error("{0} bytes follow the value")]
    Trailing(usize),
    /// The value is longer than allowed.
    #[error("{got} bytes exceed the limit of {max}")]
    TooLong {
        /// How long it is.
        got: usize,
        /// How long it may be.
        max: usize,
    },
}

/// Encodes a value as CBOR.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).expect("our types encode into memory");
    bytes
}

/// Decodes one value that fills the bytes; unknown fields are ignored (SPEC 1.2).
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let mut rest = bytes;
    let value = ciborium::de::from_reader_with_recursion_limit(&mut rest, DECODE_DEPTH_MAX)
        .map_err(|error| DecodeError::Malformed(error.to_string()))?;
    if rest.is_empty() { Ok(value) } else { Err(DecodeError::Trailing(rest.len())) }
}

/// Decodes one value after its length was checked.
pub fn decode_within<T: DeserializeOwned>(bytes: &[u8], max: usize) -> Result<T, DecodeError> {
    if bytes.len() > max {
        return Err(DecodeError::TooLong { got: bytes.len(), max });
    }
    decode(bytes)
}

/// Renders a value as JSON for people: ids as their text, bytes as base64 (SPEC 2.6).
pub fn to_json<T: Serialize>(value: &T) -> serde_json::Value {
    let mut text = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut text, Base64Bytes);
    value.serialize(&mut serializer).expect("our types have a JSON form");
    serde_json::from_slice(&text).expect("a serializer writes JSON")
}

struct Base64Bytes;

impl Formatter for Base64Bytes {
    fn write_byte_array<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        value: &[u8],
    ) -> io::Result<()> {
        write!(writer, "\"{}\"", STANDARD.encode(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_base64_in_json() {
        let bytes = serde_bytes::ByteBuf::from(b"hi".to_vec());
        assert_eq!(to_json(&bytes), serde_json::json!("aGk="));
    }

    #[test]
    fn trailing_bytes_are_refused() {
        let mut bytes = encode(&7u32);
        bytes.push(0);
        assert_eq!(decode::<u32>(&bytes), Err(DecodeError::Trailing(1)));
    }

    #[test]
    fn deep_nesting_is_refused() {
        let bytes = vec![0x81; 4096];
        assert!(matches!(decode::<ciborium::Value>(&bytes), Err(DecodeError::Malformed(_))));
    }

    #[test]
    fn a_huge_announced_length_allocates_nothing() {
        let bytes = [0x5b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert!(decode::<serde_bytes::ByteBuf>(&bytes).is_err());
        let list = [0x9b, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert!(decode::<Vec<u64>>(&list).is_err());
    }

    #[test]
    fn a_value_above_its_limit_is_not_decoded() {
        let error = decode_within::<String>(&encode(&"long"), 2).unwrap_err();
        assert_eq!(error, DecodeError::TooLong { got: 5, max: 2 });
    }
}
