//! Packing: many rows of a large table share one row of sled.
//!
//! sled keeps a few hundred bytes in memory for every page, reads them all at open, and has 16
//! rows to a page. So rows that only grow in number lie in blocks: the key of a block is not above
//! its first row, and a block ends where the next one begins. A key shares its beginning with the
//! one before it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::ops::Bound;

use bytchat_core::persist::Row;
use sled::{Db, IVec};

use super::index::{Batch, IndexError};
use super::record::{take, take_u16};

/// A block that grows beyond this is split: what fewer pages save, longer writes cost.
const BLOCK_BYTES_MAX: usize = 2048;

/// Reads a row.
pub(super) fn get(db: &Db, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
    let Some((_, block)) = block_of(db, key)? else {
        return Ok(None);
    };
    let mut walk = Walk::new(&block);
    while let Some(value) = walk.next()? {
        if walk.key.as_slice() >= key {
            return Ok((walk.key == key).then(|| value.to_vec()));
        }
    }
    Ok(None)
}

/// Finds the key at which to begin so that no row from `from` on is missed.
pub(super) fn first_block(db: &Db, from: &[u8]) -> Result<Vec<u8>, IndexError> {
    Ok(block_of(db, from)?.map_or_else(|| from.to_vec(), |(start, _)| start.to_vec()))
}

/// Reads all rows of a block.
pub(super) fn rows(block: &[u8]) -> Result<Vec<Row>, IndexError> {
    let mut walk = Walk::new(block);
    let mut rows = Vec::new();
    while let Some(value) = walk.next()? {
        rows.push((walk.key.clone(), value.to_vec()));
    }
    Ok(rows)
}

/// Adds changes of packed rows to a batch of sled.
pub(super) fn change(db: &Db, changes: Batch, batch: &mut sled::Batch) -> Result<(), IndexError> {
    let mut blocks: BTreeMap<Place, Change> = BTreeMap::new();
    for (key, value) in changes {
        let (start, block) = block_of(db, &key)?.unzip();
        let change = match blocks.entry((key.first().copied(), start)) {
            Slot::Occupied(slot) => slot.into_mut(),
            Slot::Vacant(slot) => {
                let rows = block.map_or(Ok(Vec::new()), |block| rows(&block))?;
                let last = rows.last().map(|(key, _)| key.clone());
                slot.insert(Change { rows: rows.into_iter().collect(), last })
            }
        };
        match value {
            Some(value) => change.rows.insert(key, value),
            None => change.rows.remove(&key),
        };
    }
    for ((_, start), change) in blocks {
        write(start, &change, batch);
    }
    Ok(())
}

/// A block by its table and its key; rows before the first block of a table have none yet.
type Place = (Option<u8>, Option<IVec>);

/// What a block is to hold, and which row was its last.
struct Change {
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    last: Option<Vec<u8>>,
}

// Rows that come in the order of their keys fill a block; others halve one that is full.
fn write(start: Option<IVec>, change: &Change, batch: &mut sled::Batch) {
    let mut start = start.map(|start| start.to_vec());
    let Some((newest, _)) = change.rows.last_key_value() else {
        if let Some(start) = start {
            batch.remove(start);
        }
        return;
    };
    let whole = change.rows.iter().fold(Pack::default(), Pack::with).block.len();
    let grows_at_its_end = change.last.as_ref().is_some_and(|last| newest > last);
    let limit = match whole > BLOCK_BYTES_MAX && !grows_at_its_end {
        true => BLOCK_BYTES_MAX.min(whole / 2),
        false => BLOCK_BYTES_MAX,
    };
    let mut pack = Pack::default();
    for (key, value) in &change.rows {
        if pack.block.len() >= limit
            && let Some(first) = start.take()
        {
            batch.insert(first, std::mem::take(&mut pack).block);
        }
        start.get_or_insert_with(|| key.clone());
        pack = pack.with((key, value));
    }
    if let Some(first) = start {
        batch.insert(first, pack.block);
    }
}

// The block that a key is in or would be in, if there is one.
fn block_of(db: &Db, key: &[u8]) -> Result<Option<(IVec, IVec)>, IndexError> {
    let table = key.get(..1).unwrap_or_default();
    let range = (Bound::Included(table), Bound::Included(key));
    let found = db.range::<&[u8], _>(range).next_back().transpose();
    found.map_err(|error| IndexError(error.to_string()))
}

/// A block that is being made.
#[derive(Default)]
struct Pack {
    block: Vec<u8>,
    last: Vec<u8>,
}

impl Pack {
    /// Adds a row behind the others: shared(1) rest(2) value(2), then both.
    fn with(mut self, (key, value): (&Vec<u8>, &Vec<u8>)) -> Self {
        let pairs = self.last.iter().zip(key).take(usize::from(u8::MAX));
        let shared = pairs.take_while(|(old, new)| old == new).count();
        let rest = key.get(shared..).unwrap_or_default();
        self.block.push(u8::try_from(shared).unwrap_or(u8::MAX));
        for part in [rest, value] {
            let length = u16::try_from(part.len()).expect("keys and entries are short");
            self.block.extend(length.to_le_bytes());
        }
        self.block.extend(rest);
        self.block.extend(value);
        self.last.clone_from(key);
        self
    }
}

/// A walk over the rows of a block.
struct Walk<'a> {
    rest: &'a [u8],
    key: Vec<u8>,
}

impl<'a> Walk<'a> {
    fn new(block: &'a [u8]) -> Self {
        Self { rest: block, key: Vec::new() }
    }

    /// Goes to the next row: its value is given, its key is held.
    fn next(&mut self) -> Result<Option<&'a [u8]>, IndexError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let value = self.step().ok_or_else(|| IndexError("a block is malformed".into()))?;
        Ok(Some(value))
    }

    fn step(&mut self) -> Option<&'a [u8]> {
        let rest = &mut self.rest;
        let shared = usize::from(*take(rest, 1)?.first()?);
        let (key_bytes, value_bytes) = (take_u16(rest)?, take_u16(rest)?);
        if shared > self.key.len() {
            return None;
        }
        self.key.truncate(shared);
        self.key.extend(take(rest, usize::from(key_bytes))?);
        take(rest, usize::from(value_bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(table: u8, number: u32) -> Vec<u8> {
        [&[table][..], b"the same beginning", &number.to_be_bytes()].concat()
    }

    fn all(db: &Db) -> Vec<Row> {
        db.iter().flat_map(|row| rows(&row.unwrap().1).unwrap()).collect()
    }

    fn apply(db: &Db, changes: Batch) {
        let mut batch = sled::Batch::default();
        change(db, changes, &mut batch).unwrap();
        db.apply_batch(batch).unwrap();
    }

    #[test]
    fn blocks_hold_what_an_ordered_map_holds() {
        let db = sled::Config::new().temporary(true).open().unwrap();
        let mut model = BTreeMap::new();
        let mut chance = 1_u32;
        for round in 0..400_u32 {
            let mut changes = Batch::new();
            for _ in 0..20 {
                chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let table = u8::try_from(8 + chance % 3).unwrap();
                let number = if table == 8 { round } else { chance >> 22 };
                let value = !(chance >> 8).is_multiple_of(4);
                let value = value.then(|| vec![7; usize::try_from(chance % 50).unwrap()]);
                changes.insert(key(table, number), value);
            }
            for (key, value) in &changes {
                match value {
                    Some(value) => model.insert(key.clone(), value.clone()),
                    None => model.remove(key),
                };
            }
            apply(&db, changes);
        }
        assert_eq!(all(&db), model.clone().into_iter().collect::<Vec<_>>());
        for number in 0..1024 {
            let key = key(9, number);
            assert_eq!(get(&db, &key).unwrap(), model.get(&key).cloned());
        }
        assert!(db.len() * 8 < model.len(), "{} blocks for {} rows", db.len(), model.len());
    }

    #[test]
    fn rows_in_order_fill_their_blocks() {
        let db = sled::Config::new().temporary(true).open().unwrap();
        for number in 0..5_000 {
            apply(&db, [(key(8, number), Some(vec![7; 25]))].into());
        }
        let bytes: usize = db.iter().map(|row| row.unwrap().1.len()).sum();
        assert!(bytes / db.len() > BLOCK_BYTES_MAX * 9 / 10, "{bytes} bytes, {} blocks", db.len());
    }

    #[test]
    fn a_block_that_is_cut_off_is_an_error() {
        let pack = Pack::default().with((&key(8, 1), &vec![7; 9])).with((&key(8, 2), &vec![7; 9]));
        assert_eq!(rows(&pack.block).unwrap().len(), 2);
        for length in 1..pack.block.len() {
            let cut = rows(&pack.block[..length]);
            assert!(cut.is_err() || cut.unwrap().len() == 1, "{length} bytes");
        }
        assert!(rows(&[1, 0, 0, 0, 0]).is_err());
    }
}
