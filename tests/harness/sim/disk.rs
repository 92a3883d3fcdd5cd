//! A disk that keeps what was synced, and perhaps the last batch.

use std::collections::BTreeMap;

use bytchat_core::persist::{Query, Row, Table, Write};

/// The rows of one simulated machine.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    rows: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
}

impl Disk {
    /// Applies a batch as one.
    pub fn commit(&mut self, writes: Vec<Write>) {
        for write in writes {
            match write {
                Write::Put { table, key, value } => self.rows.insert((table, key), value),
                Write::Remove { table, key } => self.rows.remove(&(table, key)),
            };
        }
    }

    /// All rows of some tables, as they are handed over at start.
    pub fn hot(&self, tables: &[Table]) -> Vec<(Table, Row)> {
        self.rows
            .iter()
            .filter(|((table, _), _)| tables.contains(table))
            .map(|((table, key), value)| (*table, (key.clone(), value.clone())))
            .collect()
    }

    /// How many rows a table has.
    pub fn count(&self, table: Table) -> usize {
        self.rows.keys().filter(|(other, _)| *other == table).count()
    }

    /// Whether any row contains some bytes.
    pub fn holds(&self, bytes: &[u8]) -> bool {
        let finder = memchr::memmem::Finder::new(bytes);
        self.rows.values().any(|value| finder.find(value).is_some())
    }

    /// Planted: writes a received message into the history a second time.
    pub fn show_again(&mut self) {
        let mut rows = self.rows.iter();
        let last = rows.rfind(|((table, _), _)| *table == Table::Message);
        let ((_, key), value) = last.expect("there is a message");
        let (mut key, value) = (key.clone(), value.clone());
        key.push(1);
        self.rows.insert((Table::Message, key), value);
    }

    /// Planted: makes the row that names the log of events unreadable.
    pub fn spoil_events(&mut self) {
        self.rows.insert((Table::Node, b"event/epoch".to_vec()), vec![0xff]);
    }

    /// Planted: damages every row of a table.
    pub fn damage(&mut self, table: Table, mut damage: impl FnMut(&mut Vec<u8>)) {
        let rows = self.rows.iter_mut().filter(|((other, _), _)| *other == table);
        rows.for_each(|(_, value)| damage(value));
    }

    /// Answers a question as the store does.
    pub fn scan(&self, query: &Query) -> Vec<Row> {
        let within = |((table, key), _): &(&(Table, Vec<u8>), &Vec<u8>)| {
            *table == query.table && query.to.as_ref().is_none_or(|to| key < to)
        };
        let rows = self.rows.range((query.table, query.from.clone())..).take_while(within);
        let mut rows: Vec<Row> =
            rows.map(|((_, key), value)| (key.clone(), value.clone())).collect();
        if query.reverse {
            rows.reverse();
        }
        rows.truncate(query.limit);
        if let Some(table) = query.follow {
            for (key, value) in rows.iter_mut().filter(|(_, name)| !name.is_empty()) {
                *key = std::mem::take(value);
                *value = self.rows.get(&(table, key.clone())).cloned().unwrap_or_default();
            }
        }
        let mut goes_on = query.meter();
        if let Some(last) = rows.iter().position(|(_, value)| !goes_on(value.len())) {
            rows.truncate(last + 1);
        }
        rows
    }
}
