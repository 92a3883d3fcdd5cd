//! The address book: who is accepted or blocked, and which keys are pinned.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use bytchat_proto::alias::Alias;
use bytchat_proto::codec::{decode, encode};
use bytchat_proto::id::{Fingerprint, UserId};
use bytchat_proto::limits::{CONTACTS_MAX, REQUEST_MESSAGES_MAX, REQUESTS_MAX};
use bytchat_proto::rpc::contact::{Contact, Contacts, Standing};
use bytchat_proto::rpc::{ErrorKind, RpcError};
use serde::{Deserialize, Serialize};

use super::pins::Pin;
use super::repeat::page;
use crate::io::{Caller, Outputs};
use crate::persist::Table;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Person {
    alias: Option<Alias>,
    standing: Standing,
    /// Messages that came while it was a request.
    #[serde(default)]
    asked: u32,
    /// Grows whenever alias or standing change.
    #[serde(default)]
    rev: u64,
    /// The row cannot be read and stays as it is until the person decides.
    #[serde(skip)]
    damaged: bool,
}

/// The address books of all accounts, and the keys that each Unix user has pinned: what one of
/// them accepts says nothing for another.
#[derive(Debug, Default)]
pub(super) struct Book {
    people: BTreeMap<(UserId, UserId), Person>,
    /// The highest `rev` of each account.
    revs: BTreeMap<UserId, u64>,
    pub(super) aliases: BTreeMap<(Caller, Alias), Pin>,
    pub(super) users: BTreeMap<(Caller, UserId), Fingerprint>,
    /// Pins that cannot be read: what stands in for them is not trusted as if it were the first.
    pub(super) damaged_aliases: BTreeSet<(Caller, Alias)>,
    pub(super) damaged_users: BTreeSet<(Caller, UserId)>,
}

/// The error for an alias whose key has changed.
pub(super) fn changed(alias: &Alias) -> RpcError {
    ErrorKind::KeyChanged.because(format!(
        "the key behind {alias} has changed; nothing is sent there until you decide"
    ))
}

/// The error for an alias or user whose pin cannot be read.
pub(super) fn damaged(whom: &impl std::fmt::Display) -> RpcError {
    ErrorKind::KeyChanged.because(format!(
        "the key that was pinned for {whom} is damaged on disk; nothing is sent there until you \
         decide"
    ))
}

impl Book {
    /// Reads an entry at start. One that cannot be read counts as blocked until the person
    /// decides: somebody who was blocked must not come back by a fault of the disk, and mail of
    /// somebody who was not is brought again by its sender.
    pub(super) fn restore_contact(&mut self, key: &[u8], value: &[u8]) {
        let account = key.get(..20).and_then(UserId::from_slice);
        let user = key.get(20..).and_then(UserId::from_slice);
        let (Some(account), Some(user)) = (account, user) else {
            return tracing::error!("an entry of an address book has a malformed key");
        };
        let person = decode(value).unwrap_or_else(|error| {
            tracing::error!(
                %account, %user, %error,
                "an entry of an address book is damaged on disk and counts as blocked: \
                 `bytctl contact accept` or `bytctl contact block` decides anew"
            );
            Person { alias: None, standing: Standing::Blocked, asked: 0, rev: 0, damaged: true }
        });
        let highest = self.revs.entry(account).or_default();
        *highest = person.rev.max(*highest);
        self.people.insert((account, user), person);
    }

    /// The error for somebody who is blocked, or whose entry cannot be read.
    pub(super) fn check_blocked(&self, account: UserId, user: UserId) -> Result<(), RpcError> {
        match self.people.get(&(account, user)) {
            Some(person) if person.damaged => Err(ErrorKind::Blocked.because(format!(
                "the address book's entry of {user} is damaged on disk and counts as blocked"
            ))),
            Some(person) if person.standing == Standing::Blocked => {
                Err(ErrorKind::Blocked.because(format!("{user} is blocked here")))
            }
            Some(_) | None => Ok(()),
        }
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
        let person = self.changed(key, standing, alias);
        let highest = self.revs.entry(account).or_default();
        *highest = person.rev.max(*highest);
        let row = encode(&person);
        self.people.insert(key, person);
        out.put(Table::Contact, [account.as_bytes(), user.as_bytes()].concat(), row);
    }

    /// How many entries there are.
    pub(super) fn count(&self) -> usize {
        self.people.len()
    }

    /// An entry as it will be.
    fn changed(&self, key: (UserId, UserId), standing: Standing, alias: Option<Alias>) -> Person {
        let old = self.people.get(&key);
        let alias = alias.or_else(|| old?.alias.clone());
        let same = |old: &&Person| old.standing == standing && old.alias == alias && !old.damaged;
        let next = || self.revs.get(&key.0).copied().unwrap_or_default().saturating_add(1);
        let rev = old.filter(same).map_or_else(next, |old| old.rev);
        Person { alias, standing, asked: old.map_or(1, |old| old.asked), rev, damaged: false }
    }

    /// What a change would make of an entry.
    pub(super) fn would_be(
        &self,
        account: UserId,
        user: UserId,
        standing: Standing,
        alias: Option<Alias>,
    ) -> Result<Contact, RpcError> {
        let makes_room = |person: &Person| person.standing == Standing::Request;
        let room = self.people.len() < CONTACTS_MAX || self.people.values().any(makes_room);
        if !room && !self.people.contains_key(&(account, user)) {
            return Err(full());
        }
        Ok(self.changed((account, user), standing, alias).view(user))
    }

    /// The `rev` of an entry, 0 if there is none.
    pub(super) fn rev(&self, account: UserId, user: UserId) -> u64 {
        self.people.get(&(account, user)).map_or(0, |person| person.rev)
    }

    pub(super) fn contact(&self, account: UserId, user: UserId) -> Option<Contact> {
        self.people.get(&(account, user)).map(|person| person.view(user))
    }

    pub(super) fn list(
        &self,
        account: UserId,
        limit: Option<usize>,
        after: Option<UserId>,
    ) -> Contacts {
        let first = Bound::Included((account, UserId([0; 20])));
        let first = after.map_or(first, |after| Bound::Excluded((account, after)));
        // Both ends excluded would not be a range if they were the same.
        let last = Bound::Included((account, UserId([0xff; 20])));
        let mine = self.people.range((first, last));
        let (contacts, more) = page(mine.map(|((_, user), person)| person.view(*user)), limit);
        let next = contacts.last().filter(|_| more).map(|contact: &Contact| contact.id);
        Contacts { contacts, next }
    }
}

impl Person {
    fn view(&self, user: UserId) -> Contact {
        Contact { id: user, alias: self.alias.clone(), standing: self.standing, rev: self.rev }
    }
}

/// The error for an address book without room.
pub(super) fn full() -> RpcError {
    ErrorKind::Quota.because("the address book is full")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::Output;
    use crate::persist::Write;

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
    fn a_full_address_book_takes_nobody_but_in_the_place_of_a_request() {
        let (mut book, mut out) = (Book::default(), Outputs::new([0; 32]));
        book.set(ALICE, stranger(0), Standing::Request, None, &mut out);
        for number in 1..CONTACTS_MAX + 2 {
            book.set(ALICE, stranger(number), Standing::Accepted, None, &mut out);
        }
        assert_eq!(book.count(), CONTACTS_MAX);
        assert_eq!(book.standing(ALICE, stranger(0)), None);
        assert_eq!(book.standing(ALICE, stranger(CONTACTS_MAX + 1)), None);
        let error = book.would_be(ALICE, stranger(0), Standing::Accepted, None).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Quota);
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

    #[test]
    fn an_entry_that_cannot_be_read_stays_blocked_until_the_person_decides() {
        let (mut book, mut out) = (Book::default(), Outputs::new([0; 32]));
        let key = [ALICE.as_bytes(), stranger(1).as_bytes()].concat();
        book.restore_contact(&key, b"damaged");
        assert!(!book.may_write(ALICE, stranger(1)));
        let error = book.check_blocked(ALICE, stranger(1)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Blocked);
        assert!(error.message.contains("damaged"), "{}", error.message);
        assert!(out.poll().is_none());
        book.set(ALICE, stranger(1), Standing::Accepted, None, &mut out);
        assert!(book.check_blocked(ALICE, stranger(1)).is_ok());
        let Some(Output::Persist(writes)) = out.poll() else { panic!("nothing was written") };
        assert!(matches!(&writes[..], [Write::Put { key: written, .. }] if *written == key));
    }
}
