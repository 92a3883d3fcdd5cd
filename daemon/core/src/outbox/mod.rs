//! The outbox: messages and receipts on their way, with the evidence of how far they came.

mod again;
mod entry;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use bytchat_proto::codec::decode;
use bytchat_proto::envelope::{Content, Envelope};
use bytchat_proto::id::{BlockId, UserId};
use bytchat_proto::key::DeviceKey;
use bytchat_proto::limits::{
    DEVICES_PER_USER_MAX, HOLDERS_LOST_MAX, HOLDERS_SIGNED_MAX, LETTERS_KEPT_MAX,
    OUTBOX_ANSWERS_MAX, OUTBOX_ANSWERS_PER_CONTACT_MAX, OUTBOX_ANSWERS_PER_STRANGER_MAX,
    OUTBOX_BYTES_MAX, OUTBOX_MAX, OUTBOX_WINDOW, USER_SHARE_FACTOR,
};
use bytchat_proto::rpc::message::State;
use serde_bytes::ByteBuf;

use crate::fill::Fills;
use crate::io::Outputs;
use crate::persist::Table;
use crate::time::{Deadline, Mono, Now};

pub use entry::{Entry, EntryId, Target};

/// The prefix of an entry's row.
const ENTRY: u8 = b'm';
/// The prefix of an envelope's row.
const ENVELOPE: u8 = b'e';
/// The prefix of the row that counts the steps of an entry's trace.
const STEPS: u8 = b's';

/// The outbox has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// For nobody.
    #[error("{OUTBOX_MAX} messages wait already; wait until some have gone")]
    All,
    /// For this Unix user.
    #[error(
        "{0} of your messages wait already, and the room that is left is for the other users of \
         this daemon; wait until some have gone"
    )]
    Share(usize),
}

/// What messages take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Room {
    count: usize,
    bytes: usize,
}

/// Everything that is on its way.
#[derive(Debug, Default)]
pub struct Outbox {
    entries: BTreeMap<EntryId, Entry>,
    by_block: BTreeMap<(UserId, BlockId), EntryId>,
    /// The entries for each recipient: few of them are looked at when one answers.
    by_user: BTreeSet<(UserId, EntryId)>,
    /// The tries in the order in which they are due: thousands may wait while inputs come.
    tries: BTreeSet<(Mono, EntryId)>,
    /// Holders of what comes from here on are asked next whether they still have it.
    asked_for: EntryId,
    /// Letters that are stored and kept to be sealed anew.
    kept: BTreeSet<EntryId>,
    bytes: usize,
    /// What the messages of each account take; receipts do not count, which others cause.
    own: BTreeMap<UserId, Room>,
    next: u64,
}

impl Outbox {
    /// How full everything is that others can fill.
    pub fn fills(&self, fills: &mut Fills) {
        fills.note("messages on their way", self.by_block.len(), OUTBOX_MAX);
        fills.note("answers on their way", self.answers(), OUTBOX_ANSWERS_MAX);
        fills.note("receipts that are kept", self.kept.len(), LETTERS_KEPT_MAX);
        let most = OUTBOX_MAX + OUTBOX_ANSWERS_MAX + LETTERS_KEPT_MAX;
        fills.note("tries to come", self.tries.len(), most);
        let targets = self.entries.values().map(|entry| entry.targets.len());
        fills.most("devices of a message", targets, DEVICES_PER_USER_MAX);
        let targets = || self.entries.values().flat_map(|entry| entry.targets.values());
        let signed = targets().map(|target| target.holders.len());
        fills.most("holders of an envelope", signed, HOLDERS_SIGNED_MAX);
        let lost = targets().map(|target| target.lost.len());
        fills.most("holders that lost an envelope", lost, HOLDERS_LOST_MAX);
    }

    /// Reads a row at start; a row that cannot be read is left out and reported.
    pub fn restore(&mut self, key: &[u8], value: &[u8]) {
        let Some((kind, rest)) = key.split_first() else {
            return;
        };
        let id = rest.get(..8).and_then(|id| id.try_into().ok()).map(u64::from_be_bytes);
        let Some(id) = id.map(EntryId) else { return };
        self.next = self.next.max(id.0);
        if *kind == ENTRY {
            match decode::<Entry>(value) {
                Ok(entry) => self.index(id, entry),
                Err(error) => tracing::error!(%error, "a message on its way is unreadable"),
            }
        } else if *kind == STEPS {
            let steps = value.try_into().map(u32::from_be_bytes);
            if let (Some(entry), Ok(steps)) = (self.entries.get_mut(&id), steps) {
                entry.steps = steps;
            }
        } else if let Some(device) = rest.get(8..).and_then(DeviceKey::from_slice) {
            // Rows come in the order of their keys: envelopes before entries, counts after them.
            let entry = self.entries.entry(id).or_default();
            entry.target_mut(device).envelope = Envelope::decode(value.to_vec()).ok();
        }
    }

    /// Drops envelopes whose entry is gone, after all rows were read.
    pub fn restored(&mut self) {
        self.entries.retain(|_, entry| entry.content.is_some());
    }

    /// Messages that have come further than queued, with their states.
    pub fn advanced(&self) -> Vec<(UserId, BlockId, State)> {
        let advanced = self.entries.values().filter(|entry| entry.state > State::Queued);
        advanced.filter_map(|entry| Some((entry.account, entry.block?, entry.state))).collect()
    }

    fn index(&mut self, id: EntryId, mut entry: Entry) {
        if let Some(mut early) = self.entries.remove(&id) {
            for (device, target) in &mut entry.targets {
                target.envelope = early.targets.remove(device).and_then(|early| early.envelope);
            }
        }
        if let Some(block) = entry.block {
            self.by_block.insert((entry.account, block), id);
            self.own.entry(entry.account).or_default().count += 1;
        }
        if entry.kept_until.is_some() {
            self.kept.insert(id);
        }
        self.weigh(entry.payer(), entry.sealed_bytes(), 0);
        self.by_user.insert((entry.to, id));
        self.tries.insert((entry.next_try, id));
        self.entries.insert(id, entry);
    }

    /// Puts the next try of an entry off: soon and ever later while it is not stored, rarely then.
    pub fn put_off(&mut self, id: EntryId, known: bool, now: Now) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        self.tries.remove(&(entry.next_try, id));
        entry.put_off(known, now);
        self.tries.insert((entry.next_try, id));
    }

    /// Whether there is room for one more message of a Unix user who has these accounts.
    ///
    /// # Errors
    /// There is none, or the user has its share of what is free.
    // SPEC 8.7: no Unix user takes all places.
    pub fn room(&self, accounts: &[UserId]) -> Result<(), Full> {
        let count = OUTBOX_MAX.saturating_sub(self.by_block.len());
        let bytes = OUTBOX_BYTES_MAX.saturating_sub(self.bytes);
        if count == 0 || bytes == 0 {
            return Err(Full::All);
        }
        let mut own = Room::default();
        for room in accounts.iter().filter_map(|account| self.own.get(account)) {
            own.count += room.count;
            own.bytes += room.bytes;
        }
        let below = |held: usize, free: usize| held < USER_SHARE_FACTOR.saturating_mul(free);
        let room = below(own.count, count) && below(own.bytes, bytes);
        if room { Ok(()) } else { Err(Full::Share(own.count)) }
    }

    /// Receipts and requests to send again that are on their way; what is only kept is not.
    fn answers(&self) -> usize {
        self.entries.len().saturating_sub(self.by_block.len() + self.kept.len())
    }

    /// Whether there is room for a receipt, or a request to send again. Whoever writes makes us
    /// answer: nobody takes all places by it, and strangers leave half of them to contacts.
    pub fn may_answer(&self, to: UserId, known: bool) -> bool {
        let (own_max, all_max) = match known {
            true => (OUTBOX_ANSWERS_PER_CONTACT_MAX, OUTBOX_ANSWERS_MAX),
            false => (OUTBOX_ANSWERS_PER_STRANGER_MAX, OUTBOX_ANSWERS_MAX / 2),
        };
        let answers = |entry: &Entry| entry.block.is_none() && entry.kept_until.is_none();
        let own = self.of_user(to).filter(|(_, entry)| answers(entry));
        self.answers() < all_max && own.take(own_max).count() < own_max
    }

    /// Counts bytes that are sealed for an entry, and bytes that are not any more.
    fn weigh(&mut self, payer: Option<UserId>, more: usize, less: usize) {
        self.bytes = self.bytes.saturating_add(more).saturating_sub(less);
        if let Some(own) = payer.and_then(|account| self.own.get_mut(&account)) {
            own.bytes = own.bytes.saturating_add(more).saturating_sub(less);
        }
    }

    /// Takes something to send, and writes it down.
    pub fn queue(&mut self, entry: Entry, out: &mut Outputs) -> EntryId {
        self.next = self.next.saturating_add(1);
        let id = EntryId(self.next);
        out.put(Table::Outbox, row_key(ENTRY, id, None), entry.encode());
        self.index(id, entry);
        id
    }

    /// An entry.
    pub fn get(&self, id: EntryId) -> Option<&Entry> {
        self.entries.get(&id)
    }

    /// An entry, to be changed; `save` writes it down.
    pub fn get_mut(&mut self, id: EntryId) -> Option<&mut Entry> {
        self.entries.get_mut(&id)
    }

    /// The entry of a message of an account.
    pub fn of_block(&self, account: UserId, block: BlockId) -> Option<EntryId> {
        self.by_block.get(&(account, block)).copied()
    }

    /// The messages of an account, in the order of their ids, those after one.
    pub fn of_account(
        &self,
        account: UserId,
        after: Option<BlockId>,
    ) -> impl Iterator<Item = &Entry> {
        let from = after.map_or(Bound::Included((account, BlockId([0; 32]))), |after| {
            Bound::Excluded((account, after))
        });
        let to = Bound::Included((account, BlockId([0xff; 32])));
        self.by_block.range((from, to)).filter_map(|(_, id)| self.entries.get(id))
    }

    /// Writes an entry down as it is now.
    pub fn save(&self, id: EntryId, out: &mut Outputs) {
        if let Some(entry) = self.entries.get(&id) {
            out.put(Table::Outbox, row_key(ENTRY, id, None), entry.encode());
        }
    }

    /// Counts a step in the trace of an entry's message, on disk as well: a restart must neither
    /// write over steps nor make room for more. `None` when there are `most` already.
    pub fn count_step(&mut self, id: EntryId, most: usize, out: &mut Outputs) -> Option<u32> {
        let entry = self.entries.get_mut(&id)?;
        if usize::try_from(entry.steps).is_ok_and(|steps| steps >= most) {
            return None;
        }
        entry.steps += 1;
        out.put(Table::Outbox, row_key(STEPS, id, None), entry.steps.to_be_bytes());
        Some(entry.steps)
    }

    /// Keeps the envelope of one device; the caller saves the entry.
    pub fn sealed(
        &mut self,
        id: EntryId,
        device: DeviceKey,
        envelope: Envelope,
        out: &mut Outputs,
    ) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        out.put(Table::Outbox, row_key(ENVELOPE, id, Some(device)), envelope.as_bytes());
        let before = entry.sealed_bytes();
        *entry.target_mut(device) = Target::of(envelope);
        let (payer, after) = (entry.payer(), entry.sealed_bytes());
        self.weigh(payer, after, before);
    }

    /// Forgets an entry: it has arrived or is over.
    pub fn remove(&mut self, id: EntryId, out: &mut Outputs) {
        let Some(entry) = self.entries.remove(&id) else {
            return;
        };
        out.remove(Table::Outbox, row_key(ENTRY, id, None));
        if entry.steps > 0 {
            out.remove(Table::Outbox, row_key(STEPS, id, None));
        }
        for device in entry.targets.keys() {
            out.remove(Table::Outbox, row_key(ENVELOPE, id, Some(*device)));
        }
        self.weigh(entry.payer(), 0, entry.sealed_bytes());
        if let Some(block) = entry.block {
            self.by_block.remove(&(entry.account, block));
            self.give_back(entry.account);
        }
        self.by_user.remove(&(entry.to, id));
        self.tries.remove(&(entry.next_try, id));
        self.kept.remove(&id);
    }

    /// A message of an account is gone.
    fn give_back(&mut self, account: UserId) {
        if let Some(own) = self.own.get_mut(&account) {
            own.count = own.count.saturating_sub(1);
            if own.count == 0 {
                self.own.remove(&account);
            }
        }
    }

    /// Entries whose next try is due, oldest first.
    pub fn due(&self, now: Now) -> Vec<EntryId> {
        let last = (now.mono, EntryId(u64::MAX));
        let mut due: Vec<_> = self.tries.range(..=last).map(|(_, id)| *id).collect();
        due.sort_unstable();
        due
    }

    /// Entries for one recipient, oldest first: a route to it has come.
    pub fn to_user(&self, to: UserId) -> Vec<EntryId> {
        self.of_user(to).map(|(id, _)| id).collect()
    }

    fn of_user(&self, to: UserId) -> impl Iterator<Item = (EntryId, &Entry)> {
        let ids = self.by_user.range((to, EntryId(0))..=(to, EntryId(u64::MAX)));
        ids.filter_map(|(_, id)| Some((*id, self.entries.get(id)?)))
    }

    /// Whether so much is under way to a recipient that more would overtake it: a ratchet reads
    /// only a few letters out of order.
    pub fn is_crowded(&self, to: UserId) -> bool {
        let under_way = self.of_user(to).filter(|(_, entry)| entry.is_under_way());
        under_way.take(OUTBOX_WINDOW).count() >= OUTBOX_WINDOW
    }

    /// What waits for a recipient and is not sealed, oldest first.
    pub fn unsealed(&self, to: UserId) -> Vec<EntryId> {
        let unsealed = |entry: &Entry| entry.is_urgent() && !entry.is_under_way();
        let waiting = self.of_user(to).filter(|(_, entry)| unsealed(entry));
        waiting.map(|(id, _)| id).take(OUTBOX_WINDOW).collect()
    }

    /// How many messages are on their way; receipts do not count.
    pub fn count(&self) -> usize {
        self.by_block.len()
    }

    /// When the next try is due.
    pub fn poll_timeout(&self) -> Option<Deadline> {
        let (at, _) = self.tries.first()?;
        Some(Deadline { at: *at, why: "send again" })
    }
}

/// Makes an entry for something that is to be sent.
pub fn entry(account: UserId, to: UserId, content: Content, now: Now) -> Entry {
    Entry {
        account,
        to,
        content: Some(content),
        created: now.wall,
        next_try: now.mono,
        ..Entry::default()
    }
}

fn row_key(kind: u8, id: EntryId, device: Option<DeviceKey>) -> Vec<u8> {
    let mut key = vec![kind];
    key.extend_from_slice(&id.0.to_be_bytes());
    key.extend(device.iter().flat_map(|device| device.0));
    key
}

/// The bytes of a block inside an entry.
pub fn block_content(bytes: Vec<u8>) -> Content {
    Content::Block(ByteBuf::from(bytes))
}

#[cfg(test)]
mod tests;
