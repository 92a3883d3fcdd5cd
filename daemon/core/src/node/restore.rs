//! A node as its rows left it.

use std::collections::BTreeMap;

use bytchat_proto::alias::{Alias, Host};
use bytchat_proto::codec::decode;
use bytchat_proto::id::{NodeId, UserId};
use bytchat_proto::key::DeviceKey;

use super::{Node, NodeError};
use crate::crypto::Sessions;
use crate::persist::{Row, Table};
use crate::time::Now;

impl Node {
    /// Takes the rows of the hot tables. A row that cannot be read is reported and left out;
    /// only an account that cannot be read stops the start, because its mail would be lost.
    pub(super) fn restore(&mut self, rows: Vec<(Table, Row)>, now: Now) -> Result<(), NodeError> {
        let mut accounts: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        let mut devices: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        let mut numbers: BTreeMap<UserId, u64> = BTreeMap::new();
        for (table, (key, value)) in rows {
            match table {
                Table::Account => {
                    accounts.insert(key, value);
                }
                Table::Device => {
                    devices.insert(key, value);
                }
                Table::Node => self.restore_node(&key, &value, &mut numbers, now),
                Table::Peer => self.dht.restore_peer(&key, &value, now),
                Table::Record => self.dht.restore_record(&key, &value, now),
                Table::Session => self.restore_session(&key, &value),
                Table::Round => self.restore_round(&key, &value),
                Table::Outbox => self.outbox.restore(&key, &value),
                Table::Envelope | Table::Tombstone | Table::Prekey | Table::Notice => {
                    self.mailbox.restore(table, &key, &value, now);
                }
                Table::Seen => self.inbox.restore(&key, &value),
                Table::Alias => self.pod.restore(&key, &value),
                Table::Pin => self.restore_pin(&key, &value),
                Table::Contact => self.book.restore_contact(&key, &value),
                Table::Message | Table::MessageIndex | Table::Event | Table::Trace => {}
            }
        }
        self.outbox.restored();
        self.restore_accounts(&accounts, &devices, &numbers, now)
    }

    fn restore_accounts(
        &mut self,
        accounts: &BTreeMap<Vec<u8>, Vec<u8>>,
        devices: &BTreeMap<Vec<u8>, Vec<u8>>,
        numbers: &BTreeMap<UserId, u64>,
        now: Now,
    ) -> Result<(), NodeError> {
        let none = Vec::new();
        for (key, row) in accounts {
            let device = devices.get(key).unwrap_or(&none);
            self.accounts.restore(row, device, &self.vault)?;
        }
        for user in self.accounts.users() {
            if let (Some(account), Some(number)) = (self.accounts.get_mut(user), numbers.get(&user))
            {
                account.next_message = *number;
            }
            self.upkeep.publish_soon(user, now);
            self.upkeep.attach_soon(user, now);
        }
        Ok(())
    }

    fn restore_node(
        &mut self,
        key: &[u8],
        value: &[u8],
        numbers: &mut BTreeMap<UserId, u64>,
        now: Now,
    ) {
        if key == b"events" {
            self.events.restore(value);
        } else if let Some(owed) = key.strip_prefix(super::letters::OWED) {
            self.restore_owed(owed, now);
        } else if let Some(user) = key.strip_prefix(b"next/").and_then(UserId::from_slice)
            && let Ok(number) = value.try_into()
        {
            numbers.insert(user, u64::from_be_bytes(number));
        }
    }

    fn restore_session(&mut self, key: &[u8], value: &[u8]) {
        let user = key.get(..20).and_then(UserId::from_slice);
        let device = key.get(20..).and_then(DeviceKey::from_slice);
        let place = [b"session/".as_slice(), key].concat();
        let pickle = self.vault.open(&place, value);
        let sessions = pickle.and_then(|pickle| Sessions::from_pickle(&pickle));
        match (user, device, sessions) {
            (Some(user), Some(device), Ok(sessions)) => {
                self.sessions.insert((user, device), sessions);
            }
            (_, _, Err(error)) => {
                tracing::error!(%error, "a session is unreadable; a new one will be opened");
            }
            (_, _, Ok(_)) => tracing::error!("a session has a malformed key"),
        }
    }

    fn restore_round(&mut self, key: &[u8], value: &[u8]) {
        let account = key.get(..20).and_then(UserId::from_slice);
        let peer = key.get(20..).and_then(UserId::from_slice);
        match (account, peer, decode(value)) {
            (Some(account), Some(peer), Ok(round)) => {
                self.rounds.insert((account, peer), round);
            }
            _ => tracing::error!("a round's state is unreadable"),
        }
    }

    fn restore_pin(&mut self, key: &[u8], value: &[u8]) {
        let text = |prefix: &[u8]| {
            key.strip_prefix(prefix).and_then(|rest| std::str::from_utf8(rest).ok())
        };
        if let Some(alias) = text(b"alias/").and_then(|text| text.parse::<Alias>().ok()) {
            self.book.restore_alias(alias, value);
        } else if let Some(host) = text(b"host/").and_then(|text| text.parse::<Host>().ok()) {
            if let Some(node) = NodeId::from_slice(value) {
                self.hosts.restore(host, node);
            }
        } else if let Some(user) = key.strip_prefix(b"user/").and_then(UserId::from_slice) {
            self.book.restore_user(user, value);
        }
    }
}
