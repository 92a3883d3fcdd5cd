//! Where others see this node: what its peers say, and what of it is believed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use bytchat_proto::id::NodeId;
use bytchat_proto::limits::{OBSERVED_BELIEVED_MAX, OBSERVED_KEEP_MS, OBSERVED_MAX};

use crate::time::{Mono, Now};

/// Machines that must see us at a public address before we believe it.
pub(super) const WITNESSES: usize = 2;

/// What one peer says.
#[derive(Clone, Copy, Debug)]
struct Word {
    address: SocketAddr,
    from: IpAddr,
    at: Mono,
}

/// The newest word of each of the last peers: nobody has two, and none counts for ever.
#[derive(Debug, Default)]
pub(super) struct Observed {
    words: BTreeMap<NodeId, Word>,
}

impl Observed {
    /// How many words are kept.
    pub(super) fn word_count(&self) -> usize {
        self.words.len()
    }

    /// Notes at which address a peer, itself at `from`, sees us.
    pub(super) fn note(&mut self, address: SocketAddr, (by, from): (NodeId, IpAddr), now: Now) {
        self.words.retain(|_, word| now.mono.since_ms(word.at) < OBSERVED_KEEP_MS);
        if self.words.len() >= OBSERVED_MAX && !self.words.contains_key(&by) {
            let oldest = self.words.iter().min_by_key(|(_, word)| word.at).map(|(node, _)| *node);
            oldest.and_then(|node| self.words.remove(&node));
        }
        self.words.insert(by, Word { address, from: from.to_canonical(), at: now.mono });
    }

    /// The addresses that two machines name; one is enough on near networks, and for who is
    /// alone with it. Many nodes can be behind one machine, so that their number says nothing.
    pub(super) fn believed(&self, alone: bool) -> Vec<SocketAddr> {
        let mut by_address: BTreeMap<SocketAddr, BTreeSet<IpAddr>> = BTreeMap::new();
        for word in self.words.values() {
            by_address.entry(word.address).or_default().insert(word.from);
        }
        let needed =
            |address: &SocketAddr| if alone || is_near(address.ip()) { 1 } else { WITNESSES };
        by_address.retain(|address, from| from.len() >= needed(address));
        by_address.into_keys().take(OBSERVED_BELIEVED_MAX).collect()
    }
}

/// Whether an address belongs to this machine or a private network (RFC 1918, RFC 4193).
fn is_near(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytchat_proto::timestamp::Timestamp;

    fn now(ms: u64) -> Now {
        Now { mono: Mono(ms), wall: Timestamp(ms) }
    }

    fn peer(number: u8, machine: u8) -> (NodeId, IpAddr) {
        (NodeId([number; 20]), IpAddr::from([192, 0, 2, machine]))
    }

    #[test]
    fn two_machines_are_believed_and_two_nodes_of_one_are_not() {
        let mut observed = Observed::default();
        let address = "198.51.100.1:4848".parse().unwrap();
        observed.note(address, peer(1, 1), now(0));
        assert_eq!(observed.believed(true), [address]);
        observed.note(address, peer(2, 1), now(0));
        assert!(observed.believed(false).is_empty());
        observed.note(address, peer(3, 2), now(0));
        assert_eq!(observed.believed(false), [address]);
    }

    #[test]
    fn a_crowd_of_liars_is_forgotten_again() {
        let mut observed = Observed::default();
        let liars = u8::try_from(OBSERVED_MAX).unwrap();
        for number in 0..liars {
            let lie = SocketAddr::from(([203, 0, 113, number], 1));
            observed.note(lie, peer(number, number), now(0));
        }
        let address = "198.51.100.1:4848".parse().unwrap();
        observed.note(address, peer(200, 200), now(1));
        observed.note(address, peer(201, 201), now(1));
        assert_eq!(observed.believed(false), [address]);
        assert_eq!(observed.words.len(), OBSERVED_MAX);
        observed.note(address, peer(201, 201), now(OBSERVED_KEEP_MS + 1));
        assert!(observed.believed(false).is_empty());
    }
}
