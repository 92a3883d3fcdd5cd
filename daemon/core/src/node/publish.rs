//! What an account says of itself in the DHT.

use bytchat_proto::id::UserId;
use bytchat_proto::point::Point;
use bytchat_proto::record::{RecordBody, RecordKind};
use bytchat_proto::unverified::{Unverified, Verified};

use super::Node;
use super::accounts::Working;
use super::search::{Lookup, Put};
use crate::time::Now;

impl Node {
    /// Looks at what is published of an account before it publishes something newer.
    pub(super) fn publish_account(&mut self, user: UserId, now: Now) {
        let why = Lookup::OwnRecord { user };
        if !self.look(Point::of_user(user), RecordKind::User, why, now) {
            self.upkeep.publish_later(user, now);
        }
    }

    /// What is published is known: take in what another device added, and sign anew.
    pub(super) fn handle_own_record(
        &mut self,
        user: UserId,
        records: Vec<Verified<RecordBody>>,
        now: Now,
    ) {
        let Some(account) = self.accounts.get_mut(user) else {
            return;
        };
        let newest = records.into_iter().max_by_key(|record| record.sequence);
        if let Some(newest) = newest.filter(|newest| newest.sequence > account.record_sequence) {
            account.record_sequence = newest.sequence;
            account.record = Some(newest.source().clone());
        }
        let record = account.user_record(self.config.network, now.wall);
        let (bytes, digest) = Unverified::prepare(&record);
        self.sign(user, digest, Working::Record { user, bytes });
    }

    pub(super) fn finish_record(&mut self, user: UserId, record: Unverified<RecordBody>, now: Now) {
        let network = self.config.network;
        let Some(account) = self.accounts.get_mut(user) else {
            return;
        };
        let Ok(sequence) = record.peek().map(|body| body.sequence) else {
            return;
        };
        account.record_sequence = sequence;
        account.record = Some(record.clone());
        account.save(&self.vault, &mut self.out);
        let prekeys = account.prekey_record(network, now.wall);
        self.publish(&record, Some(Put::OwnRecord { user }), now);
        self.publish(&prekeys, None, now);
        self.publish_location(user, now);
    }

    /// Says where an account's device is up.
    pub(super) fn publish_location(&mut self, user: UserId, now: Now) {
        let Some(account) = self.accounts.get(user) else {
            return;
        };
        let reachable = self.own.peek().is_ok_and(|own| !own.addresses.is_empty());
        if reachable {
            let location = account.location_record(self.config.network, &self.own, now.wall);
            self.publish(&location, None, now);
        }
    }
}
