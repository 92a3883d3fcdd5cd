//! What the decisions ask the disk to keep: tables, rows and writes.

use serde::{Deserialize, Serialize};

/// A table of the store. The number is part of the format on disk and never changes its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Table {
    /// What this node is: its key and its counters.
    Node = 1,
    /// The routing table: nodes that answered.
    Peer = 2,
    /// DHT records held for others, and our own.
    Record = 3,
    /// Accounts whose secret key is here.
    Account = 4,
    /// Devices of those accounts with their secrets.
    Device = 5,
    /// Pairwise ratchet states.
    Session = 6,
    /// The state of each round's log.
    Round = 7,
    /// Messages, by account and local sequence number.
    Message = 8,
    /// Where a message stands, by its id.
    MessageIndex = 9,
    /// Messages on their way out.
    Outbox = 10,
    /// Envelopes held for others.
    Envelope = 11,
    /// Envelopes that were removed by their owners.
    Tombstone = 12,
    /// One-time keys held for others.
    Prekey = 13,
    /// Envelopes that were already opened.
    Seen = 14,
    /// Aliases that this pod has registered.
    Alias = 15,
    /// Keys and bindings pinned at first use.
    Pin = 16,
    /// The address book.
    Contact = 17,
    /// The durable log of events.
    Event = 18,
    /// The steps of each message with their evidence.
    Trace = 19,
    /// Notices held for devices that are away.
    Notice = 20,
    /// What calls with a client id were answered.
    Answer = 21,
}

impl Table {
    /// Every table, in the order of its number.
    pub const ALL: [Self; 21] = [
        Self::Node,
        Self::Peer,
        Self::Record,
        Self::Account,
        Self::Device,
        Self::Session,
        Self::Round,
        Self::Message,
        Self::MessageIndex,
        Self::Outbox,
        Self::Envelope,
        Self::Tombstone,
        Self::Prekey,
        Self::Seen,
        Self::Alias,
        Self::Pin,
        Self::Contact,
        Self::Event,
        Self::Trace,
        Self::Notice,
        Self::Answer,
    ];

    /// Finds the table with a number, if there is one.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|table| *table as u8 == number)
    }
}

/// One change of one row. A list of them is committed together or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Sets a row.
    Put {
        /// The table of the row.
        table: Table,
        /// The key of the row; keys sort bytewise.
        key: Vec<u8>,
        /// The whole new value.
        value: Vec<u8>,
    },
    /// Removes a row; a row that is not there is no error.
    Remove {
        /// The table of the row.
        table: Table,
        /// The key of the row.
        key: Vec<u8>,
    },
}

/// A row as it was read.
pub type Row = (Vec<u8>, Vec<u8>);

/// A question to the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The table that is read.
    pub table: Table,
    /// First key, inclusive.
    pub from: Vec<u8>,
    /// Last key, exclusive; `None` reads to the end of the table.
    pub to: Option<Vec<u8>>,
    /// At most so many rows.
    pub limit: usize,
    /// From the last row backwards.
    pub reverse: bool,
    /// Each value is the key of a row of this table, which is read instead.
    pub follow: Option<Table>,
    /// No further row is read once the values have so many bytes; the first always is.
    pub bytes: usize,
}

impl Query {
    /// All rows whose key begins with a prefix, at most `limit`.
    pub fn prefix(table: Table, prefix: &[u8], limit: usize) -> Self {
        Self {
            table,
            from: prefix.to_vec(),
            to: after_prefix(prefix),
            limit,
            reverse: false,
            follow: None,
            bytes: usize::MAX,
        }
    }

    /// The row with a key, if it is there.
    pub fn row(table: Table, key: &[u8]) -> Self {
        let mut to = key.to_vec();
        to.push(0);
        Self { to: Some(to), ..Self::prefix(table, key, 1) }
    }

    /// The same rows, last first.
    pub fn backwards(self) -> Self {
        Self { reverse: true, ..self }
    }

    /// The rows of another table that these rows name.
    pub fn following(self, table: Table) -> Self {
        Self { follow: Some(table), ..self }
    }

    /// The same rows, as many as fit into so many bytes, and one more.
    pub fn within(self, bytes: usize) -> Self {
        Self { bytes, ..self }
    }

    /// Tells, for the length of each value that was read, whether to read another row.
    pub fn meter(&self) -> impl FnMut(usize) -> bool + use<> {
        let mut left = self.bytes;
        move |length| {
            left = left.saturating_sub(length);
            left > 0
        }
    }
}

/// The first key after all that begin with a prefix; `None` if there is none.
fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut next = prefix[..=last].to_vec();
    next[last] += 1;
    Some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_before_its_successor() {
        assert_eq!(after_prefix(&[1, 2]), Some(vec![1, 3]));
        assert_eq!(after_prefix(&[1, 255]), Some(vec![2]));
        assert_eq!(after_prefix(&[255]), None);
    }

    #[test]
    fn reading_ends_with_the_row_that_fills_the_bytes() {
        let query = Query::prefix(Table::Message, b"", 9).within(10);
        let mut goes_on = query.meter();
        assert_eq!([goes_on(4), goes_on(5), goes_on(1)], [true, true, false]);
        assert!(!query.meter()(10_000));
        assert!(Query::prefix(Table::Message, b"", 9).meter()(10_000));
    }
}
