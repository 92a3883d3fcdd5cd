//! The log of the store, as a disk may give it back. Checksums are set right here, or nothing
//! behind them would be reached.

use std::fs;
use std::path::Path;

use bytchat_core::persist::{Query, Row, Table, Write};
use bytchatd::store::{Options, Store, StoreError};

use super::source::Source;

/// What begins each record, here.
const MARKER: [u8; 8] = *b"a marker";
/// Segments and records of one log.
const SEGMENTS_MAX: usize = 3;
const RECORDS_MAX: usize = 8;

/// A log whose segments are chosen, and what a store makes of it.
pub(super) fn feed(bytes: &[u8]) {
    let folder = tempfile::tempdir().expect("there is a disk");
    let log = folder.path().join("log");
    fs::create_dir(&log).expect("a folder can be made");
    let mut source = Source::new(bytes);
    let mut sequence = 0;
    for number in (1..).take(1 + source.below(SEGMENTS_MAX)) {
        let segment = segment(number, &mut sequence, &mut source);
        fs::write(log.join(format!("{number:016x}.seg")), segment).expect("a file is written");
    }
    open_twice(folder.path(), sequence < u64::MAX / 2);
}

/// Opens it twice: damage is no reason not to, and what was read or written stays as it is.
fn open_twice(folder: &Path, has_numbers: bool) {
    let options = Options { segment_bytes_max: 4096, inline_bytes_max: 64, reserve_bytes: 0 };
    let mut before: Option<Vec<Row>> = None;
    for round in 0..2 {
        let store = match Store::open(folder, options.clone()) {
            Ok(store) => store,
            Err(StoreError::Newer { .. }) => return,
            Err(error) => unreachable!("damage is no reason not to open: {error}"),
        };
        store.verify().expect("damage is in the report");
        let rows = rows(&store);
        if let Some(before) = before {
            assert!(before == rows || !has_numbers, "rows changed by themselves");
        }
        let (table, key, value) = (Table::Answer, b"fuzz".to_vec(), vec![round; 100]);
        let written = store.commit(vec![Write::Put { table, key, value }]);
        assert!(written.is_ok() || !has_numbers, "{written:?}");
        if written.is_ok() && has_numbers {
            let got = store.get(Table::Answer, b"fuzz").expect("what was written is read");
            assert_eq!(got, Some(vec![round; 100]));
        }
        before = Some(self::rows(&store));
        store.close();
    }
}

fn rows(store: &Store) -> Vec<Row> {
    let all = |table| Query::prefix(table, b"", usize::MAX);
    let scan = |table| store.scan(&all(table)).expect("what can be read is given");
    Table::ALL.into_iter().flat_map(scan).collect()
}

fn segment(number: u64, sequence: &mut u64, source: &mut Source<'_>) -> Vec<u8> {
    let mut bytes = head(number, sequence.saturating_add(1), source);
    for _ in 0..source.below(RECORDS_MAX) {
        record(&mut bytes, sequence, source);
    }
    match source.byte() {
        0..=127 => {}
        128..=159 => {
            let at = usize::from(u16::from_be_bytes(source.array()));
            bytes.truncate(at % (bytes.len() + 1));
        }
        160..=223 => {
            let at = usize::from(u16::from_be_bytes(source.array())) % bytes.len().max(1);
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= source.byte();
            }
        }
        224.. => bytes.extend_from_slice(source.bytes()),
    }
    bytes
}

fn head(number: u64, first: u64, source: &mut Source<'_>) -> Vec<u8> {
    let mut head = b"BYTCHLOG".to_vec();
    let (version, named, first) = match source.byte() {
        0..=223 => (1_u32, number, first),
        224..=239 => (1, number, source.number()),
        240..=247 => (1, source.number(), first),
        248.. => (source.byte().into(), number, first),
    };
    head.extend(version.to_le_bytes());
    head.extend(named.to_le_bytes());
    head.extend(first.to_le_bytes());
    head.extend(MARKER);
    head.extend(crc32fast::hash(&head).to_le_bytes());
    head
}

/// Appends a record: `marker(8) crc(4) length(4) sequence(8) durable(8) payload`.
fn record(to: &mut Vec<u8>, last: &mut u64, source: &mut Source<'_>) {
    let (sequence, durable) = match source.byte() {
        0..=199 => (last.saturating_add(1), *last),
        200..=223 => (last.saturating_add(u64::from(source.byte())), *last),
        224..=239 => (last.saturating_add(1), source.number()),
        240.. => (source.number(), source.number()),
    };
    *last = sequence.max(*last);
    let payload = payload(source);
    let length = u32::try_from(payload.len()).expect("a payload is short");
    let mut body = length.to_le_bytes().to_vec();
    body.extend(sequence.to_le_bytes());
    body.extend(durable.to_le_bytes());
    body.extend(payload);
    to.extend(MARKER);
    to.extend(crc32fast::hash(&body).to_le_bytes());
    to.extend(body);
}

/// Changes of rows, or any bytes in their place.
fn payload(source: &mut Source<'_>) -> Vec<u8> {
    let mut payload = Vec::new();
    for _ in 0..1 + source.below(3) {
        let what = source.byte();
        if what >= 240 {
            payload.extend_from_slice(source.bytes());
            continue;
        }
        let table = match source.byte() {
            200.. => source.byte(),
            table => *Table::ALL.get(usize::from(table) % 21).unwrap_or(&Table::Message) as u8,
        };
        let key = [b"key", &[source.byte() % 8][..]].concat();
        payload.extend([if what < 160 { 1 } else { 2 }, table]);
        payload.extend(4_u32.to_le_bytes());
        payload.extend(key);
        if what < 160 {
            let value = vec![what; usize::from(source.byte())];
            payload.extend(u32::from(u8::try_from(value.len()).unwrap_or(0)).to_le_bytes());
            payload.extend(value);
        }
    }
    payload
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let record = [0, 1, 10, 3, 1, 90, 200, 4, 2];
    let segment = |count: u8| {
        let records = std::iter::repeat_n(record, usize::from(count)).flatten();
        [0, count].into_iter().chain(records).chain([0])
    };
    let log = |counts: &[u8]| {
        let segments = counts.iter().flat_map(|count| segment(*count));
        std::iter::once(u8::try_from(counts.len() - 1).unwrap_or(0)).chain(segments).collect()
    };
    vec![log(&[3]), log(&[2, 4]), log(&[1, 1, 6]), log(&[0])]
}
