//! One commit as bytes: a record of the log and the operations in it.
//!
//! A record is `marker(8) crc(4) length(4) sequence(8) durable(8) payload`, little-endian; the CRC
//! covers all that follows it. `durable` is the last sequence that was synced before this record
//! was written: it tells a torn tail from damage to what had been acknowledged. The marker is
//! random per segment, so that nobody can plant a record inside a value.

use bytchat_core::persist::Write;

/// The bytes of a record before its payload.
pub(super) const HEAD_BYTES: usize = 32;
/// The largest payload; what claims more is damaged.
pub(super) const PAYLOAD_BYTES_MAX: usize = 256 * 1024 * 1024;
/// The longest key.
pub(super) const KEY_BYTES_MAX: usize = 4096;

const PUT: u8 = 1;
const REMOVE: u8 = 2;

/// A whole record as it stands in a segment.
#[derive(Clone, Copy)]
pub(super) struct Record<'a> {
    /// The offset of the record in its segment.
    pub(super) at: usize,
    /// The sequence of the commit.
    pub(super) sequence: u64,
    /// The last sequence that was durable before.
    pub(super) durable: u64,
    /// The encoded operations.
    pub(super) payload: &'a [u8],
}

impl Record<'_> {
    /// Tells where the next record begins.
    pub(super) fn end(&self) -> usize {
        self.at.saturating_add(HEAD_BYTES).saturating_add(self.payload.len())
    }
}

/// One change of one row, as it is read from a payload.
#[derive(Clone, Copy)]
pub(super) enum Op<'a> {
    /// Sets a row.
    Put { table: u8, key: &'a [u8], value: &'a [u8], value_at: usize },
    /// Removes a row.
    Remove { table: u8, key: &'a [u8] },
}

/// Counts the bytes that a put takes in a payload.
pub(super) fn put_bytes(key: usize, value: usize) -> u64 {
    10 + key as u64 + value as u64
}

/// Encodes the writes of a commit.
pub(super) fn encode(writes: &[Write]) -> Vec<u8> {
    let mut out = Vec::new();
    for write in writes {
        match write {
            Write::Put { table, key, value } => encode_put(&mut out, *table as u8, key, value),
            Write::Remove { table, key } => encode_remove(&mut out, *table as u8, key),
        }
    }
    out
}

/// Appends a put to a payload.
pub(super) fn encode_put(out: &mut Vec<u8>, table: u8, key: &[u8], value: &[u8]) {
    out.extend([PUT, table]);
    out.extend(length(key));
    out.extend(key);
    out.extend(length(value));
    out.extend(value);
}

/// Appends a removal to a payload.
pub(super) fn encode_remove(out: &mut Vec<u8>, table: u8, key: &[u8]) {
    out.extend([REMOVE, table]);
    out.extend(length(key));
    out.extend(key);
}

/// Wraps a payload into a record.
pub(super) fn frame(out: &mut Vec<u8>, marker: u64, numbers: [u64; 2], payload: &[u8]) {
    let [sequence, durable] = numbers;
    let mut body = [0; 20];
    body[..4].copy_from_slice(&length(payload));
    body[4..12].copy_from_slice(&sequence.to_le_bytes());
    body[12..].copy_from_slice(&durable.to_le_bytes());
    let mut crc = crc32fast::Hasher::new();
    crc.update(&body);
    crc.update(payload);
    out.extend(marker.to_le_bytes());
    out.extend(crc.finalize().to_le_bytes());
    out.extend(body);
    out.extend(payload);
}

/// Reads the record at an offset, if a whole and sound one stands there.
pub(super) fn parse(bytes: &[u8], at: usize, marker: u64) -> Option<Record<'_>> {
    let mut rest = bytes.get(at..)?;
    if take_u64(&mut rest)? != marker {
        return None;
    }
    let crc = take_u32(&mut rest)?;
    let covered = rest;
    let length = take_u32(&mut rest)? as usize;
    let sequence = take_u64(&mut rest)?;
    let durable = take_u64(&mut rest)?;
    let payload = rest.get(..length).filter(|_| length <= PAYLOAD_BYTES_MAX)?;
    let sound = crc32fast::hash(covered.get(..20 + length)?) == crc;
    (sound && ops_are_sound(payload)).then_some(Record { at, sequence, durable, payload })
}

/// Reads the operations of a payload, up to the first that is malformed.
pub(super) fn ops(payload: &[u8]) -> impl Iterator<Item = Op<'_>> {
    let mut rest = payload;
    std::iter::from_fn(move || take_op(payload.len(), &mut rest))
}

fn ops_are_sound(payload: &[u8]) -> bool {
    let mut rest = payload;
    while !rest.is_empty() {
        if take_op(payload.len(), &mut rest).is_none() {
            return false;
        }
    }
    true
}

fn take_op<'a>(whole: usize, rest: &mut &'a [u8]) -> Option<Op<'a>> {
    let [tag, table] = *take(rest, 2)? else {
        return None;
    };
    let key_bytes = take_u32(rest)? as usize;
    let key = take(rest, key_bytes)?;
    // Table 0 is where the index keeps its own rows.
    if table == 0 || key.len() > KEY_BYTES_MAX {
        return None;
    }
    match tag {
        PUT => {
            let value_bytes = take_u32(rest)? as usize;
            let value_at = whole - rest.len();
            let value = take(rest, value_bytes)?;
            Some(Op::Put { table, key, value, value_at })
        }
        REMOVE => Some(Op::Remove { table, key }),
        _ => None,
    }
}

fn length(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).expect("commit checks the sizes").to_le_bytes()
}

/// Takes bytes from the front of a slice.
pub(super) fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (front, back) = rest.split_at_checked(count)?;
    *rest = back;
    Some(front)
}

/// Takes a little-endian number of two bytes.
pub(super) fn take_u16(rest: &mut &[u8]) -> Option<u16> {
    let bytes = take(rest, 2)?;
    Some(u16::from_le_bytes(bytes.try_into().ok()?))
}

/// Takes a little-endian number of four bytes.
pub(super) fn take_u32(rest: &mut &[u8]) -> Option<u32> {
    let bytes = take(rest, 4)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

/// Takes a little-endian number of eight bytes.
pub(super) fn take_u64(rest: &mut &[u8]) -> Option<u64> {
    let bytes = take(rest, 8)?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}
