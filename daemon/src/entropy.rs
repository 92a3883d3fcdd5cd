//! The only file that asks the operating system for randomness.

use zeroize::Zeroizing;

/// Says that the operating system gave no randomness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gives no randomness, expected 32 bytes: check /dev/urandom")]
pub struct NoEntropy;

/// Takes 32 bytes from the operating system, good as a key or a seed.
pub fn seed() -> Result<Zeroizing<[u8; 32]>, NoEntropy> {
    let mut bytes = Zeroizing::new([0; 32]);
    aws_lc_rs::rand::fill(bytes.as_mut_slice()).map_err(|_| NoEntropy)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_seeds_differ() {
        assert_ne!(*seed().unwrap(), *seed().unwrap());
    }
}
