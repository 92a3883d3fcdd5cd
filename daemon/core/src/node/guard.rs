//! What keeps strangers small: sessions give way, revoked devices are not attached.

use bytchat_proto::codec::decode;
use bytchat_proto::id::UserId;
use bytchat_proto::key::DeviceKey;
use bytchat_proto::limits::SESSIONS_MAX;
use bytchat_proto::point::Point;
use bytchat_proto::record::{RecordBody, RecordKind, UserBody};
use bytchat_proto::rpc::contact::Standing;
use bytchat_proto::wire::{Refusal, Request, Response};

use super::Node;
use crate::crypto::Sessions;
use crate::persist::Table;

impl Node {
    /// Keeps the sessions with a device. When there are too many, those of some stranger go:
    /// which one is chance, so that nobody can choose whose.
    pub(super) fn keep_sessions(&mut self, user: UserId, device: DeviceKey, sessions: Sessions) {
        let key = (user, device);
        if self.sessions.len() >= SESSIONS_MAX && !self.sessions.contains_key(&key) {
            let book = &self.book;
            let stranger = |(account, sessions): (UserId, &Sessions)| {
                let standing = sessions.peer().and_then(|peer| book.standing(account, peer));
                standing != Some(Standing::Accepted)
            };
            let all = self.sessions.iter();
            let strangers: Vec<(UserId, DeviceKey)> =
                all.filter(|(key, it)| stranger((key.0, it))).map(|(key, _)| *key).collect();
            let count = u64::try_from(strangers.len()).unwrap_or(u64::MAX);
            let chosen = usize::try_from(self.out.random_below(count)).unwrap_or(0);
            if let Some((account, device)) = strangers.get(chosen) {
                self.sessions.remove(&(*account, *device));
                let row = [account.as_bytes(), device.as_bytes()].concat();
                self.out.remove(Table::Session, row);
            }
        }
        self.sessions.insert(key, sessions);
    }

    /// Refuses the proof of a device that its user has revoked, as far as is known here.
    /// SPEC 6.9: a certificate lives for ever, so a holder looks at the record that it holds.
    pub(super) fn refuse_revoked(&self, request: &Request) -> Option<Response> {
        let Request::Prove { account, certificate, .. } = request else {
            return None;
        };
        let device = certificate.peek().ok()?.device;
        let held = self.dht.holds(Point::of_user(account.user()), RecordKind::User);
        let own = |record: &&&bytchat_proto::unverified::Verified<RecordBody>| {
            record.user() == account.user()
        };
        let newest = held.iter().filter(own).max_by_key(|record| record.sequence);
        let refused = match newest.map(|newest| decode::<UserBody>(&newest.body)) {
            Some(Ok(body)) => body.revoked.contains(&device),
            Some(Err(_)) => false,
            None => self.checks.is_refused(account.user(), device),
        };
        let sentence = "the device is no longer its user's";
        refused.then(|| Response::refused(Refusal::BadSignature, sentence))
    }

    /// A record was put here: what it revokes is detached.
    pub(super) fn note_revoked(&mut self, request: &Request, response: &Response) {
        let (Request::PutRecord { record }, Response::Done) = (request, response) else {
            return;
        };
        let Ok(record) = record.peek() else { return };
        if record.kind == RecordKind::User
            && let Ok(body) = decode::<UserBody>(&record.body)
        {
            self.mailbox.revoke(record.user(), &body.revoked, &mut self.out);
        }
    }
}

#[cfg(test)]
mod tests;
