//! A node as its rows left it.

use std::collections::BTreeMap;

use bytchat_proto::codec::decode;
use bytchat_proto::id::{NodeId, UserId};
use bytchat_proto::key::DeviceKey;

use super::{Node, NodeError};
use crate::crypto::Sessions;
use crate::io::Caller;
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
        // A message's row follows its entry one commit later: the last stop may lie between.
        for (account, block, state) in self.outbox.advanced() {
            self.set_state(account, block, state);
        }
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
        let alias = owned(key, b"alias/").and_then(|(owner, rest)| Some((owner, text(rest)?)));
        let host = owned(key, b"host/").and_then(|(owner, rest)| Some((owner, text(rest)?)));
        let user = owned(key, b"user/");
        if let Some((owner, alias)) = alias {
            self.book.restore_alias(owner, alias, value);
        } else if let (Some((owner, host)), Some(node)) = (host, NodeId::from_slice(value)) {
            self.hosts.restore(owner, host, node);
        } else if let Some((owner, user)) = user
            && let Some(user) = UserId::from_slice(user)
        {
            self.book.restore_user(owner, user, value);
        } else {
            tracing::error!("a pin is unreadable: the key behind it is pinned anew at next use");
        }
    }
}

/// The Unix user to whom a pin belongs, and what follows in its key.
fn owned<'a>(key: &'a [u8], prefix: &[u8]) -> Option<(Caller, &'a [u8])> {
    let (uid, rest) = key.strip_prefix(prefix)?.split_first_chunk::<4>()?;
    Some((Caller { uid: u32::from_be_bytes(*uid) }, rest))
}

fn text<T: std::str::FromStr>(bytes: &[u8]) -> Option<T> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}
