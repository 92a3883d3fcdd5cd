//! Mutations of good inputs whose chance follows from a seed.

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

/// Inputs are not made longer than that.
const BYTES_MAX: usize = 64 * 1024;
/// What CBOR, lengths and numbers begin with or end at.
const BYTES: [u8; 16] =
    [0, 1, 0x7f, 0x80, 0xff, 0x1b, 0x3b, 0x5b, 0x5f, 0x7b, 0x9b, 0x9f, 0xbb, 0xbf, 0xf6, b'\n'];

/// Makes mutations.
pub struct Mutator(ChaCha20Rng);

impl Mutator {
    /// One whose chance follows from a seed.
    pub fn new(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        Self(ChaCha20Rng::from_seed(bytes))
    }

    /// A number below `bound`; 0 if `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX);
        let number = self.0.next_u64().checked_rem(bound).unwrap_or(0);
        usize::try_from(number).unwrap_or(0)
    }

    /// Another input, out of those that there are.
    pub fn next(&mut self, inputs: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = inputs.get(self.below(inputs.len())).cloned().unwrap_or_default();
        for _ in 0..=self.below(6) {
            self.change(&mut bytes, inputs);
        }
        bytes.truncate(BYTES_MAX);
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>, inputs: &[Vec<u8>]) {
        let at = self.below(bytes.len());
        let end = (at + self.below(17)).min(bytes.len());
        let byte = self.0.next_u64().to_be_bytes()[0];
        match self.below(8) {
            0 => bytes.insert(at, byte),
            1 => bytes.truncate(at),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            4 => {
                let other = &inputs[self.below(inputs.len())];
                let from = self.below(other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            5 if !bytes.is_empty() => bytes[at] = BYTES[self.below(BYTES.len())],
            6 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
            _ if !bytes.is_empty() => bytes[at] = byte,
            _ => bytes.push(byte),
        }
    }
}
