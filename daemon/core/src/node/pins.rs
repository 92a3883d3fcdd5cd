//! Pins: which keys each Unix user has seen first behind aliases and users.

use bytchat_proto::alias::Alias;
use bytchat_proto::binding::Resolved;
use bytchat_proto::codec::{decode, encode};
use bytchat_proto::id::{Fingerprint, UserId};
use bytchat_proto::limits::{BINDING_CHECK_MS, PINS_MAX, PINS_PER_OWNER_MAX};
use bytchat_proto::rpc::RpcError;
use bytchat_proto::timestamp::Timestamp;
use serde::{Deserialize, Serialize};

use super::contacts::{Book, changed, damaged};
use crate::io::{Caller, Outputs};
use crate::persist::Table;

/// What is pinned for an alias.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Pin {
    user: UserId,
    fingerprint: Fingerprint,
    /// The pod answers with another key now.
    changed: bool,
    checked: Timestamp,
}

impl Book {
    /// Reads the pin of an alias at start. One that cannot be read is no reason to trust whoever
    /// answers now: nothing is sent there until the person decides.
    pub(super) fn restore_alias(&mut self, owner: Caller, alias: Alias, value: &[u8]) {
        match decode::<Pin>(value).ok().filter(|pin| belongs(pin.user, pin.fingerprint)) {
            Some(pin) => {
                self.users.entry((owner, pin.user)).or_insert(pin.fingerprint);
                self.aliases.insert((owner, alias), pin);
            }
            None => {
                report(&alias);
                self.damaged_aliases.insert((owner, alias));
            }
        }
    }

    /// Reads the pin of a user at start, likewise.
    pub(super) fn restore_user(&mut self, owner: Caller, user: UserId, value: &[u8]) {
        match Fingerprint::from_slice(value).filter(|print| belongs(user, *print)) {
            Some(fingerprint) => {
                self.users.insert((owner, user), fingerprint);
            }
            None => {
                report(&user);
                self.damaged_users.insert((owner, user));
            }
        }
    }

    /// Whether what was pinned for an alias cannot be read.
    pub(super) fn is_alias_damaged(&self, owner: Caller, alias: &Alias) -> bool {
        self.damaged_aliases.contains(&(owner, alias.clone()))
    }

    /// Whether what was pinned for a user cannot be read.
    pub(super) fn is_user_damaged(&self, owner: Caller, user: UserId) -> bool {
        self.damaged_users.contains(&(owner, user))
    }

    /// The user behind a pinned alias.
    pub(super) fn user_of(&self, owner: Caller, alias: &Alias) -> Option<Result<UserId, RpcError>> {
        if self.is_alias_damaged(owner, alias) {
            return Some(Err(damaged(alias)));
        }
        let pin = self.pinned(owner, alias)?;
        Some(if pin.changed { Err(changed(alias)) } else { Ok(pin.user) })
    }

    fn pinned(&self, owner: Caller, alias: &Alias) -> Option<&Pin> {
        self.aliases.get(&(owner, alias.clone()))
    }

    pub(super) fn has_changed(&self, owner: Caller, alias: &Alias) -> bool {
        self.is_alias_damaged(owner, alias)
            || self.pinned(owner, alias).is_some_and(|pin| pin.changed)
    }

    pub(super) fn is_due(&self, owner: Caller, alias: &Alias, now: Timestamp) -> bool {
        let over = |pin: &Pin| now.since_ms(pin.checked) >= BINDING_CHECK_MS;
        self.pinned(owner, alias).is_some_and(over)
    }

    /// Pins a binding at first use; the pinned user as error when the pod now names another key.
    pub(super) fn pin_alias(
        &mut self,
        owner: Caller,
        resolved: &Resolved,
        now: Timestamp,
        out: &mut Outputs,
    ) -> Result<UserId, UserId> {
        let key = (owner, resolved.alias.clone());
        let mine = self.aliases.keys().filter(|(other, _)| *other == owner).count();
        let full = is_full(self.aliases.len(), mine) && !self.aliases.contains_key(&key);
        let fresh = Pin {
            user: resolved.user,
            fingerprint: resolved.fingerprint,
            changed: false,
            checked: now,
        };
        if full {
            return Ok(resolved.user);
        }
        let pin = self.aliases.entry(key).or_insert(fresh);
        pin.changed = pin.fingerprint != resolved.fingerprint;
        pin.checked = now;
        out.put(Table::Pin, alias_key(owner, &resolved.alias), encode(pin));
        if pin.changed { Err(pin.user) } else { Ok(pin.user) }
    }

    /// Another node answers for the pod of an alias; the pinned user if that is news. When it
    /// was last checked stays, so that each message asks whether the old pod is back.
    pub(super) fn doubt_alias(
        &mut self,
        owner: Caller,
        alias: &Alias,
        out: &mut Outputs,
    ) -> Option<UserId> {
        let pin = self.aliases.get_mut(&(owner, alias.clone())).filter(|pin| !pin.changed)?;
        pin.changed = true;
        out.put(Table::Pin, alias_key(owner, alias), encode(pin));
        Some(pin.user)
    }

    /// Forgets what is pinned for an alias: the person has decided to trust its new key.
    pub(super) fn unpin_alias(&mut self, owner: Caller, alias: &Alias, out: &mut Outputs) {
        let key = (owner, alias.clone());
        if self.damaged_aliases.remove(&key) | self.aliases.remove(&key).is_some() {
            out.remove(Table::Pin, alias_key(owner, alias));
        }
    }

    /// Forgets what was pinned for a user if it cannot be read: the person has decided.
    pub(super) fn unpin_user(&mut self, owner: Caller, user: UserId, out: &mut Outputs) {
        if self.damaged_users.remove(&(owner, user)) {
            out.remove(Table::Pin, user_key(owner, user));
        }
    }

    /// Pins the whole key hash of a user; false if another one is pinned.
    pub(super) fn pin_user(
        &mut self,
        owner: Caller,
        user: UserId,
        fingerprint: Fingerprint,
        out: &mut Outputs,
    ) -> bool {
        if self.is_user_damaged(owner, user) {
            return false;
        }
        if let Some(pinned) = self.users.get(&(owner, user)) {
            return *pinned == fingerprint;
        }
        let all = (owner, UserId([0; 20]))..=(owner, UserId([0xff; 20]));
        if !is_full(self.users.len(), self.users.range(all).count()) {
            self.users.insert((owner, user), fingerprint);
            out.put(Table::Pin, user_key(owner, user), fingerprint.as_bytes());
        }
        true
    }
}

/// Whether there is no more room for a pin: nobody fills the table alone.
fn is_full(all: usize, mine: usize) -> bool {
    all >= PINS_MAX || mine >= PINS_PER_OWNER_MAX
}

/// Whether a key hash is that of a user: the id is its first bytes (SPEC 3.2).
fn belongs(user: UserId, fingerprint: Fingerprint) -> bool {
    fingerprint.as_bytes().starts_with(user.as_bytes())
}

fn report(whom: &impl std::fmt::Display) {
    tracing::debug!(%whom, "a damaged pin");
    tracing::error!(
        "a pinned key is damaged on disk: nothing is sent to whom it belongs to until \
         `bytctl contact add` decides anew"
    );
}

fn user_key(owner: Caller, user: UserId) -> Vec<u8> {
    [b"user/".as_slice(), &owner.uid.to_be_bytes(), user.as_bytes()].concat()
}

fn alias_key(owner: Caller, alias: &Alias) -> Vec<u8> {
    let uid = owner.uid.to_be_bytes();
    [b"alias/".as_slice(), &uid, alias.to_string().as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: UserId = UserId([1; 20]);

    fn stranger(number: usize) -> UserId {
        let mut id = [9; 20];
        id[..8].copy_from_slice(&number.to_be_bytes());
        UserId(id)
    }

    fn resolved(fingerprint: u8) -> Resolved {
        Resolved {
            alias: "bob@pod.test".parse().unwrap(),
            user: UserId([fingerprint; 20]),
            fingerprint: Fingerprint([fingerprint; 64]),
            account: crate::fixture::Account::of(0).key.clone(),
        }
    }

    #[test]
    fn who_accepts_a_changed_key_does_so_for_itself_alone() {
        let (mut book, mut out) = (Book::default(), Outputs::new([0; 32]));
        let (me, other) = (Caller { uid: 1 }, Caller { uid: 2 });
        let (old, new) = (resolved(1), resolved(2));
        let now = Timestamp(1);
        for owner in [me, other] {
            assert_eq!(book.pin_alias(owner, &old, now, &mut out), Ok(old.user));
            assert_eq!(book.pin_alias(owner, &new, now, &mut out), Err(old.user));
        }
        book.unpin_alias(me, &old.alias, &mut out);
        assert_eq!(book.pin_alias(me, &new, now, &mut out), Ok(new.user));
        assert!(book.has_changed(other, &old.alias));
        assert!(book.user_of(other, &old.alias).unwrap().is_err());
        assert_eq!(book.user_of(me, &old.alias).unwrap().unwrap(), new.user);
    }

    #[test]
    fn a_pinned_user_is_pinned_for_one_unix_user() {
        let (mut book, mut out) = (Book::default(), Outputs::new([0; 32]));
        let (me, other) = (Caller { uid: 1 }, Caller { uid: 2 });
        let (one, two) = (Fingerprint([1; 64]), Fingerprint([2; 64]));
        assert!(book.pin_user(me, ALICE, one, &mut out));
        assert!(!book.pin_user(me, ALICE, two, &mut out));
        assert!(book.pin_user(other, ALICE, two, &mut out));
    }

    #[test]
    fn nobody_fills_the_table_of_pins_alone() {
        let (mut book, mut out) = (Book::default(), Outputs::new([0; 32]));
        let (me, other) = (Caller { uid: 1 }, Caller { uid: 2 });
        let print = Fingerprint([1; 64]);
        for number in 0..PINS_PER_OWNER_MAX {
            book.users.insert((me, stranger(number)), print);
        }
        assert!(book.pin_user(me, ALICE, print, &mut out));
        assert_eq!(book.users.len(), PINS_PER_OWNER_MAX);
        assert!(book.pin_user(other, ALICE, print, &mut out));
        assert_eq!(book.users.len(), PINS_PER_OWNER_MAX + 1);
    }

    #[test]
    fn a_pin_that_cannot_be_read_is_not_made_anew_until_the_person_decides() {
        let (mut book, mut out) = (Book::default(), Outputs::new([0; 32]));
        let me = Caller { uid: 1 };
        let (alias, print) = (resolved(1).alias, Fingerprint([1; 64]));
        let (turned, now) = (Fingerprint([2; 64]), Timestamp(1));
        let pin = Pin { user: ALICE, fingerprint: turned, changed: false, checked: now };
        for row in [b"damaged".to_vec(), Vec::new(), encode(&pin)] {
            book.restore_alias(me, alias.clone(), &row);
            assert!(book.has_changed(me, &alias));
            let error = book.user_of(me, &alias).unwrap().unwrap_err();
            assert_eq!(error.kind, bytchat_proto::rpc::ErrorKind::KeyChanged);
            book.unpin_alias(me, &alias, &mut out);
            assert!(book.user_of(me, &alias).is_none());
        }
        for row in [b"damaged".as_slice(), b"", turned.as_bytes()] {
            book.restore_user(me, ALICE, row);
            assert!(!book.pin_user(me, ALICE, print, &mut out));
            book.unpin_user(me, ALICE, &mut out);
        }
        assert!(book.pin_user(me, ALICE, print, &mut out));
    }
}
