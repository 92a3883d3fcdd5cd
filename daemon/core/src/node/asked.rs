//! Which devices lately asked for something that costs work.

use std::collections::BTreeMap;

use bytchat_proto::id::UserId;
use bytchat_proto::key::DeviceKey;
use bytchat_proto::limits::ASKED_AGAIN_MAX;

use crate::time::Mono;

/// Which devices lately asked for something that costs work, or were asked.
#[derive(Debug)]
pub(super) struct AskedAgain {
    every_ms: u64,
    at: BTreeMap<(UserId, DeviceKey), Mono>,
}

impl AskedAgain {
    /// Allows one request of a device in this time.
    pub(super) fn every_ms(every_ms: u64) -> Self {
        Self { every_ms, at: BTreeMap::new() }
    }

    /// How many are remembered.
    pub(super) fn count(&self) -> usize {
        self.at.len()
    }

    pub(super) fn allow(&mut self, user: UserId, device: DeviceKey, now: Mono) -> bool {
        self.at.retain(|_, at| now.since_ms(*at) < self.every_ms);
        if self.at.len() >= ASKED_AGAIN_MAX || self.at.contains_key(&(user, device)) {
            return false;
        }
        self.at.insert((user, device), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(number: usize) -> DeviceKey {
        let mut key = [7; 32];
        key[..8].copy_from_slice(&number.to_be_bytes());
        DeviceKey(key)
    }

    #[test]
    fn a_device_is_allowed_once_in_a_while_and_not_too_many_are() {
        let (user, mut asked) = (UserId([1; 20]), AskedAgain::every_ms(10));
        for number in 0..ASKED_AGAIN_MAX {
            assert!(asked.allow(user, device(number), Mono(5)));
        }
        assert!(!asked.allow(user, device(0), Mono(6)), "once is enough");
        assert!(!asked.allow(user, device(ASKED_AGAIN_MAX), Mono(14)), "there are too many");
        assert_eq!(asked.count(), ASKED_AGAIN_MAX);
        assert!(asked.allow(user, device(ASKED_AGAIN_MAX), Mono(15)));
        assert_eq!(asked.count(), 1);
    }
}
