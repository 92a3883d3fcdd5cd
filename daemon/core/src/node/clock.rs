//! The wall's clock against what was seen before and what peers say: it is doubted, never set.

use std::collections::BTreeMap;
use std::mem::discriminant;
use std::net::IpAddr;

use bytchat_proto::id::NodeId;
use bytchat_proto::limits::{
    CLOCK_SKEW_MS, CLOCK_STEP_MS, CLOCK_WORD_KEEP_MS, CLOCK_WORDS_MAX, CLOCK_WORDS_MIN, HOUR_MS,
};
use bytchat_proto::timestamp::Timestamp;

use super::Node;
use crate::persist::{Row, Table};
use crate::prefix::Prefix;
use crate::time::{Calm, Drift, Mono, Now};

/// The row of the latest time that was believed.
const ROW: &[u8] = b"clock";

/// Who has one word: a public prefix, or a node where addresses say nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Witness {
    Prefix(Prefix),
    Node(NodeId),
}

/// What a peer said the time was.
#[derive(Clone, Copy, Debug)]
struct Word {
    time: Timestamp,
    at: Mono,
}

/// What is known of the wall's clock.
#[derive(Debug)]
pub(super) struct Clock {
    calm: Calm,
    words: BTreeMap<Witness, Word>,
    told: Drift,
    written: Option<Timestamp>,
}

impl Clock {
    /// Starts from the row that was written last.
    pub(super) fn new(rows: &[(Table, Row)], now: Now) -> Self {
        let row = rows.iter().find(|(table, (key, _))| *table == Table::Node && key == ROW);
        let written = row.and_then(|(_, (_, value))| {
            let time = value.as_slice().try_into().ok();
            if time.is_none() {
                tracing::warn!("the latest time that was seen before is unreadable");
            }
            Some(Timestamp(u64::from_be_bytes(time?)))
        });
        let calm = Calm::new(now, written);
        Self { calm, words: BTreeMap::new(), told: Drift::Ok, written }
    }

    /// How many words about the time are kept.
    pub(super) fn word_count(&self) -> usize {
        self.words.len()
    }

    /// Compares both clocks. What was said before one of them went another way is forgotten.
    fn see(&mut self, now: Now) {
        if self.calm.see(now) >= CLOCK_STEP_MS {
            self.words.clear();
        }
    }

    /// The time by which things may be given up for good.
    pub(super) fn calm(&self, now: Now) -> Now {
        self.calm.of(now)
    }

    /// The time by which something new is kept, at least what was seen before.
    pub(super) fn late(&self, now: Now) -> Now {
        self.calm.late(now)
    }

    /// Another time that it may truly be, while the clock is in doubt.
    pub(super) fn other(&self, now: Now) -> Option<Now> {
        self.calm.other(now)
    }

    /// Notes what a peer says the time is; a prefix has one word, so that nobody with many
    /// addresses in one place has many.
    fn note(&mut self, time: Timestamp, (by, from): (NodeId, IpAddr), now: Now) {
        let witness = Prefix::of(from).map_or(Witness::Node(by), Witness::Prefix);
        self.words.retain(|_, word| now.mono.since_ms(word.at) < CLOCK_WORD_KEEP_MS);
        if self.words.len() >= CLOCK_WORDS_MAX && !self.words.contains_key(&witness) {
            let oldest = self.words.iter().min_by_key(|(_, word)| word.at).map(|(who, _)| *who);
            oldest.and_then(|who| self.words.remove(&who));
        }
        self.words.insert(witness, Word { time, at: now.mono });
    }

    /// How the clock stands by the median of what peers say, if there are enough.
    fn peers(&self, now: Now) -> Option<Drift> {
        let said = |word: &Word| word.time.plus_ms(now.mono.since_ms(word.at));
        let fresh = |word: &&Word| now.mono.since_ms(word.at) < CLOCK_WORD_KEEP_MS;
        let mut times: Vec<Timestamp> = self.words.values().filter(fresh).map(said).collect();
        if times.len() < CLOCK_WORDS_MIN {
            return None;
        }
        times.sort_unstable();
        let median = *times.get(times.len() / 2)?;
        let (ahead_ms, behind_ms) = (now.wall.since_ms(median), median.since_ms(now.wall));
        Some(if ahead_ms > CLOCK_SKEW_MS {
            Drift::Ahead(ahead_ms)
        } else if behind_ms > CLOCK_SKEW_MS {
            Drift::Behind(behind_ms)
        } else {
            Drift::Ok
        })
    }

    /// How the clock stands by all that is known.
    pub(super) fn drift(&self, now: Now) -> Drift {
        self.peers(now).unwrap_or_else(|| self.calm.drift(now))
    }

    /// Draws conclusions, and says so when they are new. SPEC 2.2: peers may lie, so that the
    /// clock is never set by what they say, and what they hold back they hold back once.
    pub(super) fn judge(&mut self, now: Now) {
        match self.peers(now) {
            Some(Drift::Ok) => self.calm.agree(now),
            Some(Drift::Ahead(ahead_ms)) => self.calm.doubt(ahead_ms, now),
            Some(Drift::Behind(_)) | None => {}
        }
        let drift = self.drift(now);
        if discriminant(&drift) == discriminant(&self.told) {
            return;
        }
        self.told = drift;
        match drift {
            Drift::Ok => tracing::info!("nothing speaks against the clock of this machine now"),
            Drift::Behind(offset_ms) => tracing::warn!(
                offset_ms,
                "the clock of this machine is behind: others do not believe what is signed here; \
                 set it right"
            ),
            Drift::Ahead(offset_ms) => tracing::warn!(
                offset_ms,
                "the clock of this machine seems to be ahead: nothing is given up by it for an \
                 hour; set it right if it is wrong"
            ),
        }
    }
}

impl Node {
    /// Compares both clocks.
    pub(super) fn see_clock(&mut self, now: Now) {
        self.clock.see(now);
        self.dht.set_doubt(self.clock.calm.doubt_of(now));
    }

    /// A peer says what the time is.
    pub(super) fn hear_time(&mut self, time: Timestamp, by: (NodeId, IpAddr), now: Now) {
        self.clock.note(time, by, now);
        self.clock.judge(now);
    }

    /// Judges the clock and writes the latest time that was believed, at most hourly.
    pub(super) fn keep_clock(&mut self, now: Now) {
        self.clock.judge(now);
        let least = self.clock.calm.least(now);
        let written = self.clock.written;
        if written.is_none_or(|at| least < at || least.since_ms(at) >= HOUR_MS) {
            self.clock.written = Some(least);
            self.out.put(Table::Node, ROW, least.0.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YEAR_MS: u64 = 365 * 86_400_000;

    fn now(mono: u64, wall: u64) -> Now {
        Now { mono: Mono(mono), wall: Timestamp(wall) }
    }

    fn peer(number: u8, place: u8) -> (NodeId, IpAddr) {
        (NodeId([number; 20]), IpAddr::from([198, 51, place, number]))
    }

    #[test]
    fn three_places_are_heard_and_three_nodes_of_one_are_not() {
        let mut clock = Clock::new(&[], now(0, YEAR_MS));
        for number in 0..3 {
            clock.note(Timestamp(0), peer(number, 1), now(0, YEAR_MS));
        }
        assert_eq!(clock.drift(now(0, YEAR_MS)), Drift::Ok);
        for place in 2..4 {
            clock.note(Timestamp(0), peer(place, place), now(0, YEAR_MS));
        }
        assert_eq!(clock.drift(now(9, YEAR_MS + 9)), Drift::Ahead(YEAR_MS));
    }

    #[test]
    fn nodes_of_one_machine_count_each() {
        let mut clock = Clock::new(&[], now(0, 0));
        for number in 0..3 {
            let by = (NodeId([number; 20]), IpAddr::from([127, 0, 0, 1]));
            clock.note(Timestamp(YEAR_MS), by, now(0, 0));
        }
        assert_eq!(clock.drift(now(0, 0)), Drift::Behind(YEAR_MS));
    }

    #[test]
    fn a_minority_of_liars_says_nothing_and_a_crowd_takes_no_room() {
        let at = now(0, YEAR_MS);
        let mut clock = Clock::new(&[], at);
        for place in 0..5 {
            let time = if place < 2 { u64::MAX } else { YEAR_MS };
            clock.note(Timestamp(time), peer(place, place), at);
        }
        assert_eq!(clock.drift(at), Drift::Ok);
        for place in 0..100 {
            clock.note(Timestamp(u64::MAX), peer(place, place), at);
        }
        assert_eq!(clock.words.len(), CLOCK_WORDS_MAX);
        clock.judge(now(CLOCK_WORD_KEEP_MS, YEAR_MS));
        assert_eq!(clock.drift(now(CLOCK_WORD_KEEP_MS, YEAR_MS + CLOCK_WORD_KEEP_MS)), Drift::Ok);
    }

    #[test]
    fn words_from_before_the_machine_slept_are_forgotten() {
        let mut clock = Clock::new(&[], now(0, 0));
        for place in 0..3 {
            clock.note(Timestamp(0), peer(place, place), now(0, 0));
        }
        let awake = now(1_000, 20 * 60_000);
        clock.see(awake);
        assert_eq!(clock.drift(awake), Drift::Ok);
    }
}
