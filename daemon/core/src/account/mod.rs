//! Accounts: users whose secret key is here, their device, and what they say of themselves.

mod publish;

use std::collections::BTreeMap;

use bytchat_proto::alias::{Alias, Host};
use bytchat_proto::codec::{decode, encode};
use bytchat_proto::envelope::Party;
use bytchat_proto::id::UserId;
use bytchat_proto::key::{AccountKey, DeviceKey};
use bytchat_proto::limits::{ACCOUNTS_MAX, PODS_PER_USER_MAX};
use bytchat_proto::record::{DeviceCertificate, ProfileBody, Record};
use bytchat_proto::rpc::{ErrorKind, RpcError, account as rpc};
use bytchat_proto::unverified::Unverified;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use zeroize::Zeroizing;

use crate::crypto::{DeviceSecret, Own, Vault};
use crate::io::{Caller, Outputs};
use crate::persist::Table;

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
        rpc::Account { id: self.user(), name: self.name.clone(), aliases: self.aliases.clone() }
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

/// Why a stored account cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("account row is unreadable: {0}; is the vault key the one it was sealed with?")]
pub struct RestoreError(String);

/// All accounts of this machine.
#[derive(Default)]
pub struct Accounts {
    by_user: BTreeMap<UserId, Account>,
}

impl Accounts {
    /// Reads an account's row together with its device's row.
    pub fn restore(
        &mut self,
        row: &[u8],
        device: &[u8],
        vault: &Vault,
    ) -> Result<(), RestoreError> {
        let broken = |error: &dyn std::fmt::Display| RestoreError(error.to_string());
        let row: Row = decode(row).map_err(|error| broken(&error))?;
        let user = row.key.user();
        let place = [b"account/", user.as_bytes()].concat();
        let secret = vault.open(&place, &row.secret).map_err(|error| broken(&error))?;
        let place = [b"device/", user.as_bytes()].concat();
        let pickle = vault.open(&place, device).map_err(|error| broken(&error))?;
        let device = DeviceSecret::from_pickle(&pickle).map_err(|error| broken(&error))?;
        self.by_user.insert(
            user,
            Account {
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
            },
        );
        Ok(())
    }

    /// Takes a new account.
    pub fn insert(&mut self, account: Account) {
        self.by_user.insert(account.user(), account);
    }

    /// Whether there is room for one more.
    pub fn is_full(&self) -> bool {
        self.by_user.len() >= ACCOUNTS_MAX
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

    /// The account that a caller means: by name, alias or id, or the only one.
    pub fn pick(&self, caller: Caller, which: Option<&str>) -> Result<&Account, RpcError> {
        let mut mine = self.of(caller);
        let Some(which) = which else {
            let first = mine.next().ok_or_else(|| {
                ErrorKind::NoAccount.because("there is no account yet; make one first")
            })?;
            return match mine.next() {
                None => Ok(first),
                Some(_) => Err(ErrorKind::WhichAccount.because("there are several accounts")),
            };
        };
        let named = |account: &&Account| {
            account.name == which
                || account.user().to_string() == which
                || account.aliases.iter().any(|alias| alias.to_string() == which)
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
