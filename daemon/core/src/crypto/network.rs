//! The key of a private network: it makes the network's id, and proves that a node has it.

use std::fmt;

use aws_lc_rs::{constant_time, hmac};
use bytchat_proto::id::NetworkId;
use bytchat_proto::key::NodeKey;
use zeroize::Zeroizing;

const ID: &[u8] = b"bytchat/network/2";
const PROOF: &[u8] = b"bytchat/network-proof/1";

/// The key that the nodes of a private network share: 32 random bytes, wiped when dropped.
#[derive(Clone)]
pub struct NetworkKey(Zeroizing<[u8; 32]>);

/// Whose proof it is, and on which link.
#[derive(Clone, Copy, Debug)]
pub struct Prover<'a> {
    /// The network.
    pub network: NetworkId,
    /// The TLS exporter of the link.
    pub binding: &'a [u8; 32],
    /// The key that the prover has shown on the link.
    pub key: NodeKey,
    /// The prover opened the link.
    pub opened: bool,
}

impl NetworkKey {
    /// A key of these bytes, which ought to be random.
    pub fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    // SPEC 3.5: with a key the id cannot be made without it.
    /// The id of the network of a name that has this key and asks for so many bits of work.
    pub fn network(&self, name: &str, work: u8) -> NetworkId {
        let length = u64::try_from(name.len()).unwrap_or(u64::MAX).to_be_bytes();
        let mut work_part = 1_u64.to_be_bytes().to_vec();
        work_part.push(work);
        let asked = if work == 0 { &[][..] } else { &work_part };
        NetworkId(self.mac(&[ID, &[0], &length, name.as_bytes(), asked]))
    }

    /// The proof of a node that has the key. SPEC 2.11: it holds for one link and one end of it.
    pub fn prove(&self, prover: Prover<'_>) -> [u8; 32] {
        let Prover { network, binding, key, opened } = prover;
        self.mac(&[PROOF, &[0, u8::from(opened)], network.as_bytes(), binding, key.as_bytes()])
    }

    /// Whether a proof is the one that the prover would give with this key.
    pub fn proves(&self, prover: Prover<'_>, proof: &[u8]) -> bool {
        constant_time::verify_slices_are_equal(&self.prove(prover), proof).is_ok()
    }

    /// HMAC (RFC 2104) with SHA-256; labels keep the uses apart.
    fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.as_slice());
        let mut context = hmac::Context::with_key(&key);
        parts.iter().for_each(|part| context.update(part));
        let mut mac = [0; 32];
        mac.copy_from_slice(context.sign().as_ref());
        mac
    }
}

impl fmt::Debug for NetworkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NetworkKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> NetworkKey {
        NetworkKey::new(Zeroizing::new([byte; 32]))
    }

    #[test]
    fn the_id_depends_on_name_and_key() {
        let ids = [
            NetworkId::of_name("home"),
            key(1).network("home", 0),
            key(2).network("home", 0),
            key(1).network("work", 0),
        ];
        for (index, id) in ids.iter().enumerate() {
            assert!(!ids[..index].contains(id));
        }
        assert_eq!(key(1).network("home", 0), ids[1]);
    }

    #[test]
    fn a_proof_holds_for_one_link_one_end_one_node_and_one_network() {
        let network = key(1).network("home", 0);
        let prover = Prover { network, binding: &[5; 32], key: NodeKey([6; 32]), opened: true };
        let proof = key(1).prove(prover);
        assert!(key(1).proves(prover, &proof));
        assert!(!key(2).proves(prover, &proof));
        assert!(!key(1).proves(prover, &proof[..31]));
        assert!(!key(1).proves(prover, &[]));
        for other in [
            Prover { opened: false, ..prover },
            Prover { binding: &[4; 32], ..prover },
            Prover { key: NodeKey([7; 32]), ..prover },
            Prover { network: key(1).network("work", 0), ..prover },
        ] {
            assert!(!key(1).proves(other, &proof), "{other:?}");
        }
    }

    #[test]
    fn the_key_is_not_shown() {
        assert_eq!(format!("{:?}", key(0xab)), "NetworkKey(..)");
    }

    #[test]
    fn id_and_proof_are_hmac_with_sha_256_over_the_labels() {
        // By Python's hmac over what SPEC 2.11 and SPEC 3.5 say.
        assert_eq!(
            key(7).network("home", 0).to_string(),
            "wlv3riqezc7rvdgkl4o5hcivvpedzljocyeplcejxjsvxtrqiwia"
        );
        let prover = Prover {
            network: key(7).network("home", 0),
            binding: &[5; 32],
            key: NodeKey([6; 32]),
            opened: true,
        };
        let proof = key(7).prove(prover);
        assert_eq!(
            data_encoding::HEXLOWER.encode(&proof),
            "c6ce28e12a210cf29ee8f676bd4e5aff37a4fcb97931a67e3753eef7524439c3"
        );
    }
}
