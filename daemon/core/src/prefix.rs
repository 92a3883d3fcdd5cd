//! Parts of the address space: whoever has one address of it can be assumed to have them all.

use std::net::IpAddr;

/// The bytes of a prefix on disk.
pub const PREFIX_BYTES: usize = 7;

/// A part of the address space that one party can be assumed to own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Prefix {
    /// A /24.
    V4([u8; 3]),
    /// A /48.
    V6([u8; 6]),
}

impl Prefix {
    /// The prefix of a public address; none for those that every network has for itself.
    pub fn of(address: IpAddr) -> Option<Self> {
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                let own = v4.is_loopback() || v4.is_private() || v4.is_link_local();
                let [a, b, c, _] = v4.octets();
                (!own).then_some(Self::V4([a, b, c]))
            }
            IpAddr::V6(v6) => {
                let local = v6.is_unique_local() || v6.is_unicast_link_local();
                let own = v6.is_loopback() || local;
                let [a, b, c, d, e, f, ..] = v6.octets();
                (!own).then_some(Self::V6([a, b, c, d, e, f]))
            }
        }
    }

    /// Its bytes on disk; all zeros stand for none.
    pub fn encode(prefix: Option<Self>) -> [u8; PREFIX_BYTES] {
        match prefix {
            None => [0; PREFIX_BYTES],
            Some(Self::V4([a, b, c])) => [4, a, b, c, 0, 0, 0],
            Some(Self::V6([a, b, c, d, e, f])) => [6, a, b, c, d, e, f],
        }
    }

    /// Reads its bytes; anything else than a prefix is none.
    pub fn decode(bytes: [u8; PREFIX_BYTES]) -> Option<Self> {
        match bytes {
            [4, a, b, c, ..] => Some(Self::V4([a, b, c])),
            [6, rest @ ..] => Some(Self::V6(rest)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_read_as_it_was_written() {
        for text in ["198.51.100.7", "2001:db8:1:2::7", "127.0.0.1", "10.0.0.1", "fe80::1"] {
            let prefix = Prefix::of(text.parse().unwrap());
            assert_eq!(Prefix::decode(Prefix::encode(prefix)), prefix, "{text}");
        }
    }
}
