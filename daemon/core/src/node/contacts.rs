//! The address book: who is accepted or blocked, and which keys are pinned.

use std::collections::BTreeMap;

use bytchat_proto::alias::Alias;
use bytchat_proto::binding::Resolved;
use bytchat_proto::codec::{decode, encode};
use bytchat_proto::id::{Fingerprint, UserId};
use bytchat_proto::limits::{
    BINDING_CHECK_MS, CONTACTS_MAX, PINS_MAX, PINS_PER_OWNER_MAX, REQUEST_MESSAGES_MAX,
    REQUESTS_MAX,
};
use bytchat_proto::rpc::contact::{Contact, Contacts, Standing};
use bytchat_proto::rpc::{ErrorKind, RpcError};
use bytchat_proto::timestamp::Timestamp;
use serde::{Deserialize, Serialize};

use crate::io::{Caller, Outputs};
use crate::persist::Table;

/// What a call wants with somebody whose user id had to be found first.
#[derive(Clone, Debug)]
pub(super) enum PersonAsk {
    Profile,
    History { account: UserId, limit: usize, before: Option<u64> },
    Stand { account: UserId, standing: Standing },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Person {
    alias: Option<Alias>,
    standing: Standing,
    /// Messages that came while it was a request.
    #[serde(default)]
    asked: u32,
}

/// What is pinned for an alias.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Pin {
    user: UserId,
    fingerprint: Fingerprint,
    /// The pod answers with another key now.
    changed: bool,
    checked: Timestamp,
}

/// The address books of all accounts, and the keys that each Unix user has pinned: what one of
/// them accepts says nothing for another.
#[derive(Debug, Default)]
pub(super) struct Book {
    people: BTreeMap<(UserId, UserId), Person>,
    aliases: BTreeMap<(Caller, Alias), Pin>,
    users: BTreeMap<(Caller, UserId), Fingerprint>,
}

/// The error for an alias whose key has changed.
pub(super) fn changed(alias: &Alias) -> RpcError {
    ErrorKind::KeyChanged.because(format!(
        "the key behind {alias} has changed; nothing is sent there until you decide"
    ))
}

impl Book {
    pub(super) fn restore_contact(&mut self, key: &[u8], value: &[u8]) {
        let account = key.get(..20).and_then(UserId::from_slice);
        let user = key.get(20..).and_then(UserId::from_slice);
        if let (Some(account), Some(user), Ok(person)) = (account, user, decode(value)) {
            self.people.insert((account, user), person);
        }
    }

    pub(super) fn restore_alias(&mut self, owner: Caller, alias: Alias, value: &[u8]) {
        if let Ok(pin) = decode::<Pin>(value) {
            self.users.insert((owner, pin.user), pin.fingerprint);
            self.aliases.insert((owner, alias), pin);
        }
    }

    pub(super) fn restore_user(&mut self, owner: Caller, user: UserId, value: &[u8]) {
        if let Some(fingerprint) = Fingerprint::from_slice(value) {
            self.users.insert((owner, user), fingerprint);
        }
    }

    /// The user behind a pinned alias.
    pub(super) fn user_of(&self, owner: Caller, alias: &Alias) -> Option<Result<UserId, RpcError>> {
        let pin = self.pinned(owner, alias)?;
        Some(if pin.changed { Err(changed(alias)) } else { Ok(pin.user) })
    }

    fn pinned(&self, owner: Caller, alias: &Alias) -> Option<&Pin> {
        self.aliases.get(&(owner, alias.clone()))
    }

    pub(super) fn has_changed(&self, owner: Caller, alias: &Alias) -> bool {
        self.pinned(owner, alias).is_some_and(|pin| pin.changed)
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
        if self.aliases.remove(&(owner, alias.clone())).is_some() {
            out.remove(Table::Pin, alias_key(owner, alias));
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
        if let Some(pinned) = self.users.get(&(owner, user)) {
            return *pinned == fingerprint;
        }
        let all = (owner, UserId([0; 20]))..=(owner, UserId([0xff; 20]));
        if !is_full(self.users.len(), self.users.range(all).count()) {
            self.users.insert((owner, user), fingerprint);
            let uid = owner.uid.to_be_bytes();
            let key = [b"user/".as_slice(), &uid, user.as_bytes()].concat();
            out.put(Table::Pin, key, fingerprint.as_bytes());
        }
        true
    }

    pub(super) fn standing(&self, account: UserId, user: UserId) -> Option<Standing> {
        self.people.get(&(account, user)).map(|person| person.standing)
    }

    pub(super) fn is_blocked(&self, account: UserId, user: UserId) -> bool {
        self.standing(account, user) == Some(Standing::Blocked)
    }

    /// Whether somebody's messages are taken: strangers have little room until they are
    /// accepted, and few of them any.
    pub(super) fn may_write(&self, account: UserId, user: UserId) -> bool {
        match self.people.get(&(account, user)) {
            Some(person) => match person.standing {
                Standing::Accepted => true,
                Standing::Request => person.asked < REQUEST_MESSAGES_MAX,
                Standing::Blocked => false,
            },
            None => self.requests(account) < REQUESTS_MAX,
        }
    }

    fn requests(&self, account: UserId) -> usize {
        let all = (account, UserId([0; 20]))..=(account, UserId([0xff; 20]));
        let people = self.people.range(all);
        people.filter(|(_, person)| person.standing == Standing::Request).count()
    }

    /// Somebody wrote: who is not known makes a request.
    pub(super) fn heard_from(
        &mut self,
        account: UserId,
        user: UserId,
        out: &mut Outputs,
    ) -> Standing {
        let known = self.standing(account, user);
        if known.is_none_or(|standing| standing == Standing::Request) {
            if let Some(person) = self.people.get_mut(&(account, user)) {
                person.asked = person.asked.saturating_add(1);
            }
            self.set(account, user, Standing::Request, None, out);
        }
        known.unwrap_or(Standing::Request)
    }

    /// We wrote to somebody: an answer is no request.
    pub(super) fn wrote_to(&mut self, account: UserId, user: UserId, out: &mut Outputs) {
        if self.standing(account, user) != Some(Standing::Accepted) {
            self.set(account, user, Standing::Accepted, None, out);
        }
    }

    pub(super) fn set(
        &mut self,
        account: UserId,
        user: UserId,
        standing: Standing,
        alias: Option<Alias>,
        out: &mut Outputs,
    ) {
        let key = (account, user);
        if self.people.len() >= CONTACTS_MAX && !self.people.contains_key(&key) {
            let request = self
                .people
                .iter()
                .find(|(_, person)| person.standing == Standing::Request)
                .map(|(key, _)| *key);
            let Some((account, user)) = request else {
                return;
            };
            self.people.remove(&(account, user));
            out.remove(Table::Contact, [account.as_bytes(), user.as_bytes()].concat());
        }
        let person = self.people.entry(key).or_insert(Person { alias: None, standing, asked: 1 });
        person.standing = standing;
        person.alias = alias.or_else(|| person.alias.take());
        let row = encode(person);
        out.put(Table::Contact, [account.as_bytes(), user.as_bytes()].concat(), row);
    }

    pub(super) fn contact(&self, account: UserId, user: UserId) -> Option<Contact> {
        let person = self.people.get(&(account, user))?;
        Some(Contact { id: user, alias: person.alias.clone(), standing: person.standing })
    }

    pub(super) fn list(&self, account: UserId) -> Contacts {
        let mine = self.people.keys().filter(|(owner, _)| *owner == account);
        Contacts { contacts: mine.filter_map(|(_, user)| self.contact(account, *user)).collect() }
    }
}

/// Whether there is no more room for a pin: nobody fills the table alone.
fn is_full(all: usize, mine: usize) -> bool {
    all >= PINS_MAX || mine >= PINS_PER_OWNER_MAX
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

    #[test]
    fn a_stranger_has_little_room_until_it_is_accepted() {
        let (mut book, mut out) = (Book::default(), Outputs::new([0; 32]));
        for _ in 0..REQUEST_MESSAGES_MAX {
            assert!(book.may_write(ALICE, stranger(1)));
            assert_eq!(book.heard_from(ALICE, stranger(1), &mut out), Standing::Request);
        }
        assert!(!book.may_write(ALICE, stranger(1)));
        book.set(ALICE, stranger(1), Standing::Accepted, None, &mut out);
        assert!(book.may_write(ALICE, stranger(1)));
        book.set(ALICE, stranger(1), Standing::Blocked, None, &mut out);
        assert!(!book.may_write(ALICE, stranger(1)));
    }

    #[test]
    fn few_strangers_have_room_at_once() {
        let (mut book, mut out) = (Book::default(), Outputs::new([0; 32]));
        for number in 0..REQUESTS_MAX {
            assert!(book.may_write(ALICE, stranger(number)));
            book.heard_from(ALICE, stranger(number), &mut out);
        }
        assert!(!book.may_write(ALICE, stranger(REQUESTS_MAX)));
        assert!(book.may_write(ALICE, stranger(0)));
        assert!(book.may_write(UserId([2; 20]), stranger(REQUESTS_MAX)));
        book.set(ALICE, stranger(0), Standing::Blocked, None, &mut out);
        assert!(book.may_write(ALICE, stranger(REQUESTS_MAX)));
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
}
