//! Which devices lately asked for something that costs work, and which are to be asked.

use std::collections::BTreeMap;

use bytchat_proto::id::{EnvelopeId, UserId};
use bytchat_proto::key::DeviceKey;
use bytchat_proto::limits::{ASKED_AGAIN_MAX, RESEND_IDS_MAX, UNREAD_DEVICES_MAX};

use super::upkeep::Upkeep;
use crate::time::{Mono, Now};

/// Letters of one device that could not be read: for whom, from whom, which.
pub(super) type Unread = (UserId, (UserId, DeviceKey), Vec<EnvelopeId>);

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

impl Upkeep {
    /// Notes a letter that could not be read.
    pub(super) fn unread(
        &mut self,
        user: UserId,
        (sender, device): (UserId, DeviceKey),
        id: EnvelopeId,
    ) {
        let key = (user, sender, device);
        if self.unread.len() < UNREAD_DEVICES_MAX || self.unread.contains_key(&key) {
            let envelopes = self.unread.entry(key).or_default();
            if envelopes.len() < RESEND_IDS_MAX {
                envelopes.push(id);
            }
        }
    }

    /// The devices that may be asked now, and for what.
    pub(super) fn poll_unread(&mut self, now: Now) -> Vec<Unread> {
        let asked = &mut self.asked_again;
        let due = |key: &(UserId, UserId, DeviceKey)| asked.allow(key.0, key.2, now.mono);
        let due: Vec<_> = self
            .unread
            .keys()
            .copied()
            .filter({
                let mut due = due;
                move |key| due(key)
            })
            .collect();
        let take = |key: (UserId, UserId, DeviceKey)| {
            let envelopes = self.unread.remove(&key)?;
            Some((key.0, (key.1, key.2), envelopes))
        };
        due.into_iter().filter_map(take).collect()
    }

    pub(super) fn may_resend(&mut self, user: UserId, device: DeviceKey, now: Now) -> bool {
        self.resent.allow(user, device, now.mono)
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
