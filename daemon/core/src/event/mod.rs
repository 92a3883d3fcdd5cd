//! The durable logs of events, one for each Unix user, and the named positions in them.

mod cursors;
mod log;

use std::collections::BTreeMap;

use bytchat_proto::codec::{decode, encode};
use bytchat_proto::limits::{
    EVENTS_AGE_MAX_MS, EVENTS_BYTES_MAX, EVENTS_MAX, EVENTS_PER_ANSWER_BYTES_MAX, EVENTS_PER_LOAD,
    SWEEP_ROWS_MAX,
};
use bytchat_proto::rpc::event::{Gap, GapReason};
use bytchat_proto::rpc::{ErrorKind, RpcError};
use bytchat_proto::timestamp::Timestamp;

use crate::io::Outputs;
use crate::persist::{Query, Table};

use cursors::Cursors;
pub use cursors::{Saved, is_name};
use log::{Chunk, Log};

/// How much of a log is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// So many events, give or take a chunk.
    pub count: u64,
    /// So many bytes of events, give or take a chunk.
    pub bytes: u64,
    /// Events up to this age, in milliseconds.
    pub age_ms: u64,
}

impl Default for Keep {
    fn default() -> Self {
        Self { count: EVENTS_MAX, bytes: EVENTS_BYTES_MAX, age_ms: EVENTS_AGE_MAX_MS }
    }
}

/// Where a log begins and ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Events up to this number are gone, or there never were any.
    pub first: u64,
    /// The number of the last event.
    pub last: u64,
}

/// The logs of all Unix users.
#[derive(Debug, Default)]
pub struct Logs {
    epoch: String,
    keep: Keep,
    logs: BTreeMap<u32, Log>,
    cursors: Cursors,
}

/// Our rows in the table of the node.
const PREFIX: &[u8] = b"event/";
const EPOCH: &[u8] = b"event/epoch";
const LOG: &[u8] = b"event/log/";

impl Logs {
    /// Logs without any event.
    pub fn new(keep: Keep) -> Self {
        Self { keep, ..Self::default() }
    }

    /// Takes a row of the node's table; false if it is none of ours.
    pub fn restore(&mut self, key: &[u8], value: &[u8]) -> bool {
        let good = if key == EPOCH {
            String::from_utf8(value.to_vec()).map(|epoch| self.epoch = epoch).is_ok()
        } else if let Some(place) = key.strip_prefix(LOG) {
            self.restore_chunk(place, value).is_some()
        } else if let Some(place) = key.strip_prefix(cursors::ROW) {
            self.cursors.restore(place, value).is_some()
        } else {
            return key.starts_with(PREFIX);
        };
        if !good {
            tracing::error!("a row of the log of events is unreadable");
        }
        true
    }

    fn restore_chunk(&mut self, place: &[u8], value: &[u8]) -> Option<()> {
        let (uid, number) = place.split_first_chunk::<4>()?;
        let chunk: Chunk = decode(value).ok()?;
        let number = u64::from_be_bytes(number.try_into().ok()?);
        self.logs.entry(u32::from_be_bytes(*uid)).or_default().restore(number, chunk);
        Some(())
    }

    // SPEC 8.9: another store has another epoch.
    /// All rows are here: a store that has no epoch gets one.
    pub fn restored(&mut self, out: &mut Outputs) {
        if self.epoch.is_empty() {
            self.epoch = format!("{:032x}", u128::from_be_bytes(out.random_bytes()));
            out.put(Table::Node, EPOCH, self.epoch.as_bytes());
        }
    }

    /// The name of this store's numbers.
    pub fn epoch(&self) -> &str {
        &self.epoch
    }

    /// Where a user's log begins and ends.
    pub fn span(&self, uid: u32) -> Span {
        self.logs.get(&uid).map(Log::span).unwrap_or_default()
    }

    /// The named positions.
    pub fn cursors(&self) -> &Cursors {
        &self.cursors
    }

    // SPEC 8.8: the numbers of one Unix user's events have no holes, and nobody else's.
    /// Writes an event, which gets the number after the user's last one.
    pub fn append(&mut self, uid: u32, event: &[u8], at: Timestamp, out: &mut Outputs) {
        let log = self.logs.entry(uid).or_default();
        let (number, chunk) = log.append(event.len() as u64, at);
        out.put(Table::Event, event_key(uid, chunk.last), event);
        out.put(Table::Node, chunk_key(uid, number), encode(&chunk));
        self.trim(uid, None, out);
    }

    /// Lets go of what is too old; true if there is more of it.
    pub fn expire(&mut self, wall: Timestamp, out: &mut Outputs) -> bool {
        let uids: Vec<u32> = self.logs.keys().copied().collect();
        let gone: u64 = uids.into_iter().map(|uid| self.trim(uid, Some(wall), out)).sum();
        gone >= SWEEP_ROWS_MAX as u64
    }

    // SPEC 8.10: a position holds back what it has not passed, up to a limit.
    fn trim(&mut self, uid: u32, wall: Option<Timestamp>, out: &mut Outputs) -> u64 {
        let Some(log) = self.logs.get_mut(&uid) else {
            return 0;
        };
        let held = self.cursors.lowest(uid);
        let mut count = 0;
        while count < SWEEP_ROWS_MAX as u64
            && let Some(gone) = log.trim(&self.keep, held, wall)
        {
            for seq in gone.events {
                count += 1;
                out.remove(Table::Event, event_key(uid, seq));
            }
            let key = chunk_key(uid, gone.number);
            match gone.rest {
                Some(chunk) => out.put(Table::Node, key, encode(&chunk)),
                None => out.remove(Table::Node, key),
            }
        }
        count
    }

    /// Where a reader begins, and what it misses by that: at a named position, at a number, or
    /// at the end.
    ///
    /// # Errors
    /// There is no position of that name and no number is given either.
    pub fn start(
        &self,
        uid: u32,
        cursor: Option<&str>,
        since: Option<u64>,
        epoch: Option<&str>,
    ) -> Result<(u64, Option<Gap>), RpcError> {
        let span = self.span(uid);
        let saved = cursor.and_then(|name| self.cursors.get(uid, name)).map(|saved| saved.seq);
        if let (Some(name), None, None) = (cursor, saved, since) {
            return Err(ErrorKind::NotFound
                .because(format!("there is no position {name:?}; `cursor.set` makes one")));
        }
        // A position that is kept here belongs to this store.
        let strange = saved.is_none() && epoch.is_some_and(|epoch| epoch != self.epoch);
        let from = saved.or(since).unwrap_or(span.last);
        let gap = |reason| Some(Gap { from, to: span.first, reason });
        if strange || from > span.last {
            return Ok((span.first, gap(GapReason::Epoch)));
        }
        if from < span.first {
            return Ok((span.first, gap(GapReason::Retention)));
        }
        Ok((from, None))
    }

    /// The question for the events after a number.
    pub fn query(&self, uid: u32, since: u64) -> Query {
        let end = self.span(uid).last.saturating_add(1);
        Query {
            table: Table::Event,
            from: event_key(uid, since.saturating_add(1)),
            to: Some(event_key(uid, end)),
            limit: EVENTS_PER_LOAD,
            reverse: false,
            follow: None,
            bytes: EVENTS_PER_ANSWER_BYTES_MAX,
        }
    }

    /// Sets a named position, which may also go back.
    ///
    /// # Errors
    /// The name is malformed, the log ends before the number, or there are too many.
    pub fn set_cursor(
        &mut self,
        uid: u32,
        name: &str,
        saved: Saved,
        out: &mut Outputs,
    ) -> Result<(), RpcError> {
        self.check_cursor(uid, name, saved.seq)?;
        self.cursors.set(uid, name, saved, out);
        Ok(())
    }

    /// Whether a named position may be set.
    ///
    /// # Errors
    /// As for setting it.
    pub fn check_cursor(&self, uid: u32, name: &str, seq: u64) -> Result<(), RpcError> {
        let last = self.span(uid).last;
        if seq > last {
            return Err(ErrorKind::BadParameters
                .because(format!("`seq` is at most {last}, the last event, got {seq}")));
        }
        self.cursors.check(uid, name)
    }

    /// Removes a named position; false if there is none.
    pub fn remove_cursor(&mut self, uid: u32, name: &str, out: &mut Outputs) -> bool {
        self.cursors.remove(uid, name, out)
    }
}

/// The number in the key of an event.
pub fn number_of(key: &[u8]) -> Option<u64> {
    let number = key.get(4..)?.try_into().ok()?;
    Some(u64::from_be_bytes(number))
}

fn event_key(uid: u32, seq: u64) -> Vec<u8> {
    [uid.to_be_bytes().as_slice(), &seq.to_be_bytes()].concat()
}

fn chunk_key(uid: u32, number: u64) -> Vec<u8> {
    [LOG, &uid.to_be_bytes(), &number.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests;
