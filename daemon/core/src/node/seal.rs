//! Sealing: an entry of the outbox into envelopes, one for each device of its recipient.

use bytchat_proto::envelope::Letter;
use bytchat_proto::id::UserId;
use bytchat_proto::key::DeviceKey;

use super::Node;
use crate::crypto::{self, Recipient, Sessions};
use crate::outbox::EntryId;
use crate::persist::Table;
use crate::time::Now;

impl Node {
    pub(super) fn seal_all(&mut self, id: EntryId, now: Now) {
        let Some(entry) = self.outbox.get(id) else {
            return;
        };
        let (account, to) = (entry.account, entry.to);
        let Some(route) = self.routes.get(to, now) else {
            return;
        };
        let unsealed = |device: &&DeviceKey| {
            entry.targets.get(*device).is_none_or(|target| target.envelope.is_none())
        };
        let devices: Vec<DeviceKey> = route.devices.keys().filter(unsealed).copied().collect();
        let mut sealed = 0;
        for device in devices {
            match self.seal(id, account, to, device, now) {
                Ok(()) => sealed += 1,
                Err(error) => {
                    tracing::warn!(%error, "a message could not be sealed");
                    self.step_once(id, &format!("not sealed for {device}: {error}"), now);
                }
            }
        }
        if sealed > 0 {
            self.outbox.save(id, &mut self.out);
            self.step_entry(id, &format!("sealed for {sealed} device(s) of the recipient"), now);
        }
    }

    fn seal(
        &mut self,
        id: EntryId,
        account: UserId,
        to: UserId,
        device: DeviceKey,
        now: Now,
    ) -> Result<(), crypto::CryptoError> {
        let Some((recipient, head)) = self.recipient(account, to, device, now) else {
            return Ok(());
        };
        let content = self.outbox.get(id).and_then(|entry| entry.content.clone());
        let (Some(content), Some(own)) = (content, self.accounts.get_mut(account)) else {
            return Ok(());
        };
        let letter = Letter {
            from: own.party(),
            to: recipient.party,
            from_head: own.record_sequence,
            to_head: head,
            content,
        };
        let sessions = self.sessions.entry((account, device)).or_default();
        let envelope = crypto::seal(&own.own(), sessions, &recipient, &letter, self.out.random())?;
        self.save_session(account, device);
        self.outbox.sealed(id, device, envelope, &mut self.out);
        Ok(())
    }

    /// What sealing needs of a recipient's device, and the head of its user record.
    fn recipient(
        &mut self,
        account: UserId,
        to: UserId,
        device: DeviceKey,
        now: Now,
    ) -> Option<(Recipient, u64)> {
        let route = self.routes.get(to, now)?;
        let head = route.head;
        let known = route.devices.get(&device)?.clone();
        let sessions = self.sessions.get(&(account, device));
        let opens = sessions.is_none_or(|sessions| !sessions.can_send(&known.party));
        let one_time = if opens { self.routes.take_one_time(to, device) } else { None };
        let fallback = known.prekeys.fallback.as_slice().try_into().ok()?;
        let recipient = Recipient {
            party: known.party,
            identity: known.identity,
            kem_id: known.prekeys.kem_id,
            kem: known.prekeys.kem.to_vec(),
            opening_key: one_time.unwrap_or(fallback),
        };
        Some((recipient, head))
    }

    /// Writes the sessions with a device down.
    pub(super) fn save_session(&mut self, account: UserId, device: DeviceKey) {
        let key = [account.as_bytes(), device.as_bytes()].concat();
        if let Some(sessions) = self.sessions.get(&(account, device)) {
            let place = [b"session/".as_slice(), key.as_slice()].concat();
            let sealed = self.vault.seal(&place, &sessions.pickle(), self.out.random());
            self.out.put(Table::Session, key, sealed);
        }
    }

    /// The sessions with a device.
    pub(super) fn sessions_mut(&mut self, account: UserId, device: DeviceKey) -> &mut Sessions {
        self.sessions.entry((account, device)).or_default()
    }
}
