//! The bookkeeping of one log: which events are there, how large and how old they are.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use bytchat_proto::limits::{EVENTS_HELD_FACTOR, EVENTS_PER_CHUNK};
use bytchat_proto::timestamp::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Keep, Span};

/// What is known of some events that follow each other; its row is written with each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Chunk {
    /// Events up to this number are not in it, or gone.
    pub(super) gone: u64,
    /// The number of its last event.
    pub(super) last: u64,
    /// Bytes of its events.
    pub(super) bytes: u64,
    /// When its last event was written.
    pub(super) at: Timestamp,
}

/// One log.
#[derive(Debug, Default)]
pub(super) struct Log {
    chunks: BTreeMap<u64, Chunk>,
    bytes: u64,
}

/// Events that leave the log.
pub(super) struct Gone {
    /// The chunk.
    pub(super) number: u64,
    /// The events.
    pub(super) events: RangeInclusive<u64>,
    /// The chunk afterwards, if it is the one that is written to.
    pub(super) rest: Option<Chunk>,
}

impl Log {
    pub(super) fn restore(&mut self, number: u64, chunk: Chunk) {
        self.bytes = self.bytes.saturating_add(chunk.bytes);
        self.chunks.insert(number, chunk);
    }

    pub(super) fn span(&self) -> Span {
        Span {
            first: self.chunks.first_key_value().map_or(0, |(_, chunk)| chunk.gone),
            last: self.chunks.last_key_value().map_or(0, |(_, chunk)| chunk.last),
        }
    }

    /// Takes in the next event; gives the chunk that it is in.
    pub(super) fn append(&mut self, bytes: u64, at: Timestamp) -> (u64, Chunk) {
        let last = self.span().last;
        let number = last / EVENTS_PER_CHUNK;
        let fresh = Chunk { gone: last, last, bytes: 0, at };
        let chunk = self.chunks.entry(number).or_insert(fresh);
        chunk.last = last.saturating_add(1);
        chunk.bytes = chunk.bytes.saturating_add(bytes);
        chunk.at = at;
        self.bytes = self.bytes.saturating_add(bytes);
        (number, *chunk)
    }

    /// Takes the oldest events out if there are too many, or, when it is told the time, if they
    /// are too old. What `held` has not passed stays longer.
    pub(super) fn trim(
        &mut self,
        keep: &Keep,
        held: Option<u64>,
        wall: Option<Timestamp>,
    ) -> Option<Gone> {
        let Span { first, last } = self.span();
        let open = self.chunks.len() == 1;
        let (number, chunk) = self.chunks.first_key_value()?;
        let (number, chunk) = (*number, *chunk);
        let passed = held.is_none_or(|held| held >= chunk.last);
        let factor = if passed { 1 } else { EVENTS_HELD_FACTOR };
        let aged =
            wall.is_some_and(|wall| wall.since_ms(chunk.at) > keep.age_ms.saturating_mul(factor));
        let many = last.saturating_sub(first) > keep.count.saturating_mul(factor)
            || self.bytes > keep.bytes.saturating_mul(factor);
        // What is being written to is never too much, but it may grow old. Then it stays empty, and
        // leaves when another one was begun: it would stand before all that come.
        let over = if chunk.gone == chunk.last { !open } else { aged || (many && !open) };
        if !over {
            return None;
        }
        self.bytes = self.bytes.saturating_sub(chunk.bytes);
        let rest = open.then_some(Chunk { gone: chunk.last, bytes: 0, ..chunk });
        match rest {
            Some(rest) => self.chunks.insert(number, rest),
            None => self.chunks.remove(&number),
        };
        Some(Gone { number, events: chunk.gone.saturating_add(1)..=chunk.last, rest })
    }
}
