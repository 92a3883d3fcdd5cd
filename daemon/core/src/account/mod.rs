//! Accounts: users whose secret key is here, their device, and what they say of themselves.

mod publish;

use std::collections::BTreeMap;

use bytchat_proto::alias::{Alias, Host};
use bytchat_proto::codec::{decode, encode};
use bytchat_proto::envelope::Party;
use bytchat_proto::id::UserId;
use bytchat_proto::key::{AccountKey, DeviceKey};
use bytchat_proto::limits::{ACCOUNTS_MAX, PODS_PER_USER_MAX, USER_SHARE_FACTOR};
use bytchat_proto::record::{DeviceCertificate, ProfileBody, Record};
use bytchat_proto::rpc::{ErrorKind, RpcError, account as rpc};
use bytchat_proto::unverified::Unverified;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use zeroize::Zeroizing;

use crate::crypto::{DeviceSecret, Own, Vault};
use crate::io::{Caller, Outputs};
use crate::persist::Table;

/// How many accounts an error names.
const ACCOUNTS_NAMED: usize = 8;

/// One account.
pub struct Account {
    /// The public key.
    pub key: AccountKey,
    /// The private key, PKCS#8 DER.
    pub secret: Zeroizing<Vec<u8>>,
    /// The Unix user whose account it is.
    pub owner: Caller,
    /// The local name.
    pub name: String,
    /// The aliases that it registered from here.
    pub aliases: Vec<Alias>,
    /// This machine's device.
    pub device: DeviceSecret,
    /// The account's word for the device.
    pub certificate: Unverified<DeviceCertificate>,
    /// The newest user record, ours or another device's.
    pub record: Option<Record>,
    /// Its sequence number.
    pub record_sequence: u64,
    /// The newest profile.
    pub profile: Option<Record>,
    /// Next local number of a message.
    pub next_message: u64,
}

/// The row of an account; the secrets inside are sealed by the vault.
#[derive(Serialize, Deserialize)]
struct Row {
    key: AccountKey,
    secret: ByteBuf,
    owner: u32,
    name: String,
    aliases: Vec<Alias>,
    certificate: Unverified<DeviceCertificate>,
    record: Option<Record>,
    record_sequence: u64,
    profile: Option<Record>,
    next_message: u64,
}

impl Account {
    /// The user.
    pub fn user(&self) -> UserId {
        self.key.user()
    }

    /// This end of a conversation.
    pub fn party(&self) -> Party {
        Party {
            user: self.key.user(),
            fingerprint: self.key.fingerprint(),
            device: self.device.device(),
        }
    }

    /// The pods of its aliases: they keep a fast copy.
    pub fn pods(&self) -> Vec<Host> {
        let mut pods: Vec<Host> = self.aliases.iter().map(|alias| alias.host().clone()).collect();
        pods.sort();
        pods.dedup();
        pods.truncate(PODS_PER_USER_MAX);
        pods
    }

    /// What sealing and opening need of us.
    pub fn own(&mut self) -> Own<'_> {
        Own { device: &mut self.device, account: &self.key, certificate: &self.certificate }
    }

    /// The account as front ends see it.
    pub fn view(&self) -> rpc::Account {
        rpc::Account {
            id: self.user(),
            name: self.name.clone(),
            aliases: self.aliases.clone(),
            damaged: false,
        }
    }

    /// Writes the account's row.
    pub fn save(&self, vault: &Vault, out: &mut Outputs) {
        let user = self.user();
        let place = [b"account/", user.as_bytes()].concat();
        let row = Row {
            key: self.key.clone(),
            secret: ByteBuf::from(vault.seal(&place, &self.secret, out.random())),
            owner: self.owner.uid,
            name: self.name.clone(),
            aliases: self.aliases.clone(),
            certificate: self.certificate.clone(),
            record: self.record.clone(),
            record_sequence: self.record_sequence,
            profile: self.profile.clone(),
            next_message: self.next_message,
        };
        out.put(Table::Account, user.as_bytes(), encode(&row));
    }

    /// Writes the device's row: its ratchet keys change with nearly every envelope.
    pub fn save_device(&self, vault: &Vault, out: &mut Outputs) {
        let user = self.user();
        let place = [b"device/", user.as_bytes()].concat();
        let sealed = vault.seal(&place, &self.device.pickle(), out.random());
        out.put(Table::Device, user.as_bytes(), sealed);
    }
}

/// An account whose rows cannot be read. They stay on disk as they are, and its mail stays with
/// its holders.
#[derive(Clone, Debug)]
pub struct Damaged {
    /// The user.
    pub user: UserId,
    /// The Unix user whose account it is, if that can be read.
    pub owner: Option<Caller>,
    /// The local name, if that can be read.
    pub name: String,
    /// The aliases, if they can be read.
    pub aliases: Vec<Alias>,
    /// What is wrong.
    pub why: String,
}

/// All accounts of this machine.
#[derive(Default)]
pub struct Accounts {
    by_user: BTreeMap<UserId, Account>,
    damaged: BTreeMap<UserId, Damaged>,
}

/// Reads an account from its row and its device's row.
fn read(row: Row, device: &[u8], vault: &Vault) -> Result<Account, String> {
    let user = row.key.user();
    let place = [b"account/", user.as_bytes()].concat();
    let secret = vault.open(&place, &row.secret).map_err(|error| format!("account: {error}"))?;
    let place = [b"device/", user.as_bytes()].concat();
    let pickle = vault.open(&place, device).map_err(|error| format!("device: {error}"))?;
    let device = DeviceSecret::from_pickle(&pickle).map_err(|error| format!("device: {error}"))?;
    Ok(Account {
        key: row.key,
        secret,
        owner: Caller { uid: row.owner },
        name: row.name,
        aliases: row.aliases,
        device,
        certificate: row.certificate,
        record: row.record,
        record_sequence: row.record_sequence,
        profile: row.profile,
        next_message: row.next_message,
    })
}

impl Accounts {
    /// Reads an account's row together with its device's row. What cannot be read is remembered
    /// as damaged, so that nothing is written over it.
    pub fn restore(
        &mut self,
        user: UserId,
        row: &[u8],
        device: &[u8],
        vault: &Vault,
    ) -> Result<(), Damaged> {
        let mut damaged =
            Damaged { user, owner: None, name: String::new(), aliases: vec![], why: String::new() };
        let read = match decode::<Row>(row) {
            Ok(row) if row.key.user() == user => {
                damaged.owner = Some(Caller { uid: row.owner });
                damaged.name.clone_from(&row.name);
                damaged.aliases.clone_from(&row.aliases);
                read(row, device, vault)
            }
            Ok(row) => Err(format!("it names user {}", row.key.user())),
            Err(error) => Err(error.to_string()),
        };
        match read {
            Ok(account) => {
                self.by_user.insert(user, account);
                Ok(())
            }
            Err(why) => {
                damaged.why = why;
                self.damaged.insert(user, damaged.clone());
                Err(damaged)
            }
        }
    }

    /// Whether the rows of an account are damaged.
    pub fn is_damaged(&self, user: UserId) -> bool {
        self.damaged.contains_key(&user)
    }

    /// How many accounts are damaged.
    pub fn damaged_count(&self) -> usize {
        self.damaged.len()
    }

    /// All accounts of one caller as front ends see them, with those that are damaged, by id.
    pub fn views(&self, caller: Caller) -> Vec<rpc::Account> {
        let damaged = self.damaged.values().filter(|it| it.owner == Some(caller));
        let views = damaged.map(|it| rpc::Account {
            id: it.user,
            name: it.name.clone(),
            aliases: it.aliases.clone(),
            damaged: true,
        });
        let mut views: Vec<_> = self.of(caller).map(Account::view).chain(views).collect();
        views.sort_by_key(|account| account.id);
        views
    }

    /// Takes a new account.
    pub fn insert(&mut self, account: Account) {
        self.by_user.insert(account.user(), account);
    }

    // SPEC 8.7: no Unix user takes all places.
    /// Whether there is room for one more of a Unix user.
    ///
    /// # Errors
    /// There is none, or the user has its share of what is free.
    pub fn room(&self, caller: Caller) -> Result<(), RpcError> {
        let free = ACCOUNTS_MAX.saturating_sub(self.by_user.len() + self.damaged.len());
        let damaged = self.damaged.values().filter(|it| it.owner == Some(caller)).count();
        let own = self.of(caller).count() + damaged;
        if free == 0 {
            return Err(ErrorKind::Quota.because("this node has no room for another account"));
        }
        if own >= USER_SHARE_FACTOR * free {
            return Err(ErrorKind::Quota.because(format!(
                "you have {own} accounts, and the room that is left is for the other users of \
                 this daemon"
            )));
        }
        Ok(())
    }

    /// The account of a user.
    pub fn get(&self, user: UserId) -> Option<&Account> {
        self.by_user.get(&user)
    }

    /// The account of a user.
    pub fn get_mut(&mut self, user: UserId) -> Option<&mut Account> {
        self.by_user.get_mut(&user)
    }

    /// The account that a device belongs to, if both are here.
    pub fn with_device(&self, user: UserId, device: DeviceKey) -> Option<&Account> {
        self.get(user).filter(|account| account.device.device() == device)
    }

    /// Every user here.
    pub fn users(&self) -> Vec<UserId> {
        self.by_user.keys().copied().collect()
    }

    /// The accounts of one caller; nobody sees another's.
    pub fn of(&self, caller: Caller) -> impl Iterator<Item = &Account> {
        self.by_user.values().filter(move |account| account.owner == caller)
    }

    /// How the first of a caller's accounts are called, those without a name by their id.
    fn names(&self, caller: Caller) -> String {
        let called = |account: &Account| match account.name.as_str() {
            "" => account.user().to_string(),
            name => name.to_owned(),
        };
        let mut names: Vec<_> = self.of(caller).take(ACCOUNTS_NAMED + 1).map(called).collect();
        if names.len() > ACCOUNTS_NAMED {
            names[ACCOUNTS_NAMED] = "…".to_owned();
        }
        names.join(", ")
    }

    /// The account that a caller means: by name, alias or id, or the only one.
    pub fn pick(&self, caller: Caller, which: Option<&str>) -> Result<&Account, RpcError> {
        let mut mine = self.of(caller);
        let Some(which) = which else {
            let first = mine.next().ok_or_else(|| {
                match self.damaged.values().find(|it| it.owner == Some(caller)) {
                    Some(it) => ErrorKind::NoAccount.because(format!(
                        "account {} is damaged on disk; it is kept as it is, see the daemon's log",
                        it.user
                    )),
                    None => ErrorKind::NoAccount.because("there is no account yet; make one first"),
                }
            })?;
            return match mine.next() {
                None => Ok(first),
                Some(_) => Err(ErrorKind::WhichAccount
                    .because(format!("there are several accounts: {}", self.names(caller)))),
            };
        };
        // An id means one account, whatever others are called.
        if let Some(account) = self.of(caller).find(|it| it.user().to_string() == which) {
            return Ok(account);
        }
        let named = |account: &&Account| {
            account.name == which || account.aliases.iter().any(|it| it.to_string() == which)
        };
        let mut found = self.of(caller).filter(named);
        let first = found
            .next()
            .ok_or_else(|| ErrorKind::NotFound.because(format!("there is no account {which:?}")))?;
        match found.next() {
            None => Ok(first),
            Some(_) => Err(ErrorKind::WhichAccount
                .because(format!("several accounts are called {which:?}; name one by its id"))),
        }
    }
}

/// The body of a profile record that is known to be good.
pub fn profile_body(record: &Record) -> Option<(ProfileBody, u64)> {
    let body = record.peek().ok()?;
    Some((decode(&body.body).ok()?, body.sequence))
}

#[cfg(test)]
mod tests;
