//! A node as its rows left it.

use std::collections::BTreeMap;

use bytchat_proto::codec::decode;
use bytchat_proto::id::{NodeId, UserId};
use bytchat_proto::key::DeviceKey;

use super::Node;
use crate::crypto::Sessions;
use crate::io::Caller;
use crate::persist::{Row, Table};
use crate::time::Now;

impl Node {
    /// The tables whose rows are handed over at start.
    pub const HOT: &'static [Table] = &[
        Table::Node,
        Table::Peer,
        Table::Record,
        Table::Account,
        Table::Device,
        Table::Session,
        Table::Round,
        Table::Outbox,
        Table::Envelope,
        Table::Tombstone,
        Table::Prekey,
        Table::Notice,
        Table::Seen,
        Table::Alias,
        Table::Pin,
        Table::Contact,
    ];

    /// Takes the rows of the hot tables. A row that cannot be read is reported and left out; an
    /// account that cannot be read is left alone, so that all others are served.
    pub(super) fn restore(&mut self, rows: Vec<(Table, Row)>, now: Now) {
        // A clock that is wrong must drop nothing here.
        self.see_clock(now);
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
                Table::Message
                | Table::MessageIndex
                | Table::Event
                | Table::Trace
                | Table::Answer => {}
            }
        }
        self.events.restored(&mut self.out);
        self.outbox.restored();
        // A message's row follows its entry one commit later: the last stop may lie between.
        for (account, block, state) in self.outbox.advanced() {
            self.set_state(account, block, state);
        }
        self.restore_accounts(&accounts, &devices, &numbers, now);
        self.restored_former(accounts.is_empty(), now);
        self.recount_answers();
        self.keep_clock(now);
    }

    fn restore_accounts(
        &mut self,
        accounts: &BTreeMap<Vec<u8>, Vec<u8>>,
        devices: &BTreeMap<Vec<u8>, Vec<u8>>,
        numbers: &BTreeMap<UserId, u64>,
        now: Now,
    ) {
        let none = Vec::new();
        for (key, row) in accounts {
            let Some(user) = UserId::from_slice(key) else {
                tracing::error!("the row of an account has a malformed key: it is left alone");
                continue;
            };
            let device = devices.get(key).unwrap_or(&none);
            if let Err(damaged) = self.accounts.restore(user, row, device, &self.vault) {
                tracing::error!(
                    %user, why = %damaged.why,
                    "an account is damaged on disk and stays as it is, its mail with its holders: \
                     bring the data directory back from a backup, or import the account's key at \
                     a daemon with another one"
                );
            }
        }
        for user in self.accounts.users() {
            if let (Some(account), Some(number)) = (self.accounts.get_mut(user), numbers.get(&user))
            {
                account.next_message = *number;
            }
            self.upkeep.publish_soon(user, now);
            self.upkeep.attach_soon(user, now);
        }
    }

    fn restore_node(
        &mut self,
        key: &[u8],
        value: &[u8],
        numbers: &mut BTreeMap<UserId, u64>,
        now: Now,
    ) {
        let own = self.events.restore(key, value)
            || self.kept.restore(key, value)
            || self.tokens.restore(key, value);
        if own {
            return;
        }
        if let Some(owed) = key.strip_prefix(super::letters::OWED) {
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
        let node = NodeId::from_slice(value);
        if let Some((owner, alias)) = alias {
            self.book.restore_alias(owner, alias, value);
        } else if let Some((owner, host)) = host {
            if node.is_none() {
                tracing::error!(
                    "the pinned node of a pod is damaged on disk: the pod is not asked until \
                     `bytctl contact add` of somebody there decides anew"
                );
            }
            self.hosts.restore(owner, host, node);
        } else if let Some((owner, user)) = user
            && let Some(user) = UserId::from_slice(user)
        {
            self.book.restore_user(owner, user, value);
        } else {
            tracing::error!("the row of a pin has a malformed key: nobody can say whose it is");
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

#[cfg(test)]
mod tests {
    use bytchat_proto::rpc::account::{Export, Import, List};
    use bytchat_proto::rpc::{Call, ErrorKind, Nothing};

    use super::*;
    use crate::fixture::at;
    use crate::node::fixture::Machine;

    /// Two people on a machine; a row of the first is spoilt, and the machine is started again.
    fn spoil(table: Table) -> (Machine, UserId, UserId, String) {
        let mut machine = Machine::new();
        let (alice, bob) = (machine.person(1), machine.person(2));
        let export = Call::AccountExport(Export { account: None, public: false });
        let pem = machine.ask(1, export, at(0)).unwrap()["pem"].as_str().unwrap().to_owned();
        let row = machine.disk.get_mut(&(table, alice.as_bytes().to_vec())).unwrap();
        let middle = row.len() / 2;
        row.truncate(middle);
        machine.restart(at(1));
        (machine, alice, bob, pem)
    }

    fn import(pem: String) -> Call {
        let pem = pem.into();
        Call::AccountImport(Import { pem, name: None, client_id: None, dry_run: false })
    }

    #[test]
    fn a_damaged_account_stops_nobody_else_and_is_never_written_over() {
        for table in [Table::Account, Table::Device] {
            let (mut machine, alice, bob, pem) = spoil(table);
            let kept = |machine: &Machine| {
                let row = |table| machine.disk[&(table, alice.as_bytes().to_vec())].clone();
                (row(Table::Account), row(Table::Device))
            };
            let before = kept(&machine);
            assert_eq!(machine.node.accounts.users(), [bob]);
            let status = machine.ask(2, Call::NodeStatus(Nothing {}), at(2)).unwrap();
            assert_eq!(status["damaged_accounts"], 1);
            let import = import(pem);
            let error = machine.ask(1, import, at(2)).unwrap_err();
            assert_eq!(error.kind, ErrorKind::AccountExists);
            machine.node.handle_input(crate::io::Input::Wake, at(3_600_000));
            machine.restart(at(3_600_001));
            assert_eq!(kept(&machine), before);
        }
    }

    #[test]
    fn a_damaged_account_is_shown_to_its_owner_alone() {
        let (mut machine, alice, _, _) = spoil(Table::Device);
        let list = |machine: &mut Machine, uid| {
            machine.ask(uid, Call::AccountList(List::default()), at(2)).unwrap()["accounts"].clone()
        };
        let mine = list(&mut machine, 1);
        assert_eq!(mine[0]["id"], alice.to_string());
        assert_eq!(mine[0]["damaged"], true);
        let others = list(&mut machine, 2);
        assert_eq!(others.as_array().unwrap().len(), 1);
        assert!(others[0].get("damaged").is_none());
        let whole = Machine::new().ask(1, Call::AccountList(List::default()), at(0)).unwrap();
        assert!(whole["accounts"].as_array().unwrap().is_empty());
    }
}
