//! Tests of the logs: numbers, what is kept, what is held back, and where readers begin.

use bytchat_proto::limits::{CURSORS_PER_USER_MAX, EVENTS_PER_CHUNK};

use super::*;
use crate::io::Output;
use crate::persist::Write;

const ANN: u32 = 1_000;
const BEN: u32 = 1_001;
const T0: Timestamp = Timestamp(1_000_000);

/// Logs with the rows that they wrote.
struct Kept {
    logs: Logs,
    out: Outputs,
    rows: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
    keep: Keep,
}

impl Kept {
    fn new(keep: Keep) -> Self {
        let logs = Logs::new(keep);
        let mut kept = Self { logs, out: Outputs::new([1; 32]), rows: BTreeMap::new(), keep };
        kept.logs.restored(&mut kept.out);
        kept.settle();
        kept
    }

    fn settle(&mut self) {
        while let Some(output) = self.out.poll() {
            let Output::Persist(writes) = output else { panic!("only rows are written") };
            for write in writes {
                match write {
                    Write::Put { table, key, value } => {
                        self.rows.insert((table, key), value);
                    }
                    Write::Remove { table, key } => {
                        self.rows.remove(&(table, key)).expect("only what is there is removed");
                    }
                }
            }
        }
    }

    fn append(&mut self, uid: u32, count: u64) {
        for _ in 0..count {
            self.logs.append(uid, b"0123456789", T0, &mut self.out);
        }
        self.settle();
    }

    fn set(&mut self, name: &str, seq: u64) -> Result<(), RpcError> {
        let result = self.logs.set_cursor(ANN, name, Saved { seq, at: T0 }, &mut self.out);
        self.settle();
        result
    }

    fn restart(&mut self) {
        let mut logs = Logs::new(self.keep);
        for ((table, key), value) in &self.rows {
            if *table == Table::Node {
                assert!(logs.restore(key, value));
            }
        }
        logs.restored(&mut self.out);
        self.settle();
        self.logs = logs;
    }

    fn events(&self, uid: u32) -> Vec<u64> {
        let own = |(table, key): &&(Table, Vec<u8>)| {
            *table == Table::Event && key.starts_with(&uid.to_be_bytes())
        };
        self.rows.keys().filter(own).map(|(_, key)| number_of(key).unwrap()).collect()
    }
}

fn few() -> Keep {
    Keep { count: 2 * EVENTS_PER_CHUNK, bytes: u64::MAX, age_ms: 1_000 }
}

#[test]
fn each_user_s_numbers_have_no_holes_whatever_the_others_do() {
    let mut kept = Kept::new(Keep::default());
    for _ in 0..300 {
        kept.append(ANN, 1);
        kept.append(BEN, 2);
    }
    assert_eq!(kept.events(ANN), (1..=300).collect::<Vec<_>>());
    assert_eq!(kept.events(BEN), (1..=600).collect::<Vec<_>>());
    assert_eq!(kept.logs.span(7), Span::default());
}

#[test]
fn a_restart_keeps_numbers_epoch_and_positions() {
    let mut kept = Kept::new(few());
    kept.append(ANN, 5 * EVENTS_PER_CHUNK + 3);
    kept.set("bot", 5 * EVENTS_PER_CHUNK).unwrap();
    let (span, epoch) = (kept.logs.span(ANN), kept.logs.epoch().to_owned());
    assert_eq!(epoch.len(), 32);
    kept.restart();
    assert_eq!((kept.logs.span(ANN), kept.logs.epoch()), (span, epoch.as_str()));
    assert_eq!(kept.logs.cursors().get(ANN, "bot").unwrap().seq, 5 * EVENTS_PER_CHUNK);
    kept.append(ANN, 1);
    assert_eq!(kept.logs.span(ANN).last, span.last + 1);
}

#[test]
fn another_store_has_another_epoch() {
    let mut out = Outputs::new([2; 32]);
    let mut other = Logs::default();
    other.restored(&mut out);
    assert_ne!(other.epoch(), Kept::new(few()).logs.epoch());
}

#[test]
fn the_oldest_leave_when_there_are_too_many() {
    let mut kept = Kept::new(few());
    kept.append(ANN, 3 * EVENTS_PER_CHUNK + 1);
    let span = kept.logs.span(ANN);
    assert_eq!(span.first, 2 * EVENTS_PER_CHUNK);
    assert_eq!(kept.events(ANN), (span.first + 1..=span.last).collect::<Vec<_>>());
    let bytes = Keep { count: u64::MAX, bytes: 10 * EVENTS_PER_CHUNK, age_ms: u64::MAX };
    let mut kept = Kept::new(bytes);
    kept.append(ANN, 3 * EVENTS_PER_CHUNK);
    assert_eq!(kept.logs.span(ANN).first, 2 * EVENTS_PER_CHUNK);
}

#[test]
fn the_old_leave_even_if_they_are_few_and_numbers_go_on() {
    let mut kept = Kept::new(few());
    kept.append(ANN, 10);
    assert!(!kept.logs.expire(T0.plus_ms(1_000), &mut kept.out));
    kept.settle();
    assert_eq!(kept.events(ANN).len(), 10);
    kept.logs.expire(T0.plus_ms(1_001), &mut kept.out);
    kept.settle();
    assert_eq!(kept.events(ANN), Vec::<u64>::new());
    assert_eq!(kept.logs.span(ANN), Span { first: 10, last: 10 });
    kept.restart();
    kept.append(ANN, 1);
    assert_eq!(kept.events(ANN), [11]);
    assert_eq!(kept.logs.span(ANN), Span { first: 10, last: 11 });
}

#[test]
fn a_full_chunk_that_grew_old_does_not_stand_before_the_next_ones() {
    let mut kept = Kept::new(few());
    kept.append(ANN, EVENTS_PER_CHUNK);
    kept.logs.expire(T0.plus_ms(1_001), &mut kept.out);
    kept.settle();
    let empty = Span { first: EVENTS_PER_CHUNK, last: EVENTS_PER_CHUNK };
    assert_eq!((kept.logs.span(ANN), kept.events(ANN).len()), (empty, 0));
    kept.restart();
    kept.append(ANN, 1);
    let chunks = kept.rows.keys().filter(|(_, key)| key.starts_with(LOG));
    assert_eq!(chunks.count(), 1);
    kept.append(ANN, 4 * EVENTS_PER_CHUNK);
    let span = kept.logs.span(ANN);
    assert_eq!(span.first, 4 * EVENTS_PER_CHUNK);
    assert_eq!(kept.events(ANN), (span.first + 1..=span.last).collect::<Vec<_>>());
}

#[test]
fn a_position_holds_back_what_it_has_not_passed_up_to_a_limit() {
    let mut kept = Kept::new(few());
    kept.append(ANN, 1);
    kept.set("slow", 1).unwrap();
    kept.append(ANN, 3 * EVENTS_PER_CHUNK);
    assert_eq!(kept.logs.span(ANN).first, 0);
    kept.logs.expire(T0.plus_ms(1_500), &mut kept.out);
    kept.settle();
    assert_eq!(kept.logs.span(ANN).first, 0);
    kept.append(ANN, 2 * EVENTS_PER_CHUNK);
    assert!(kept.logs.span(ANN).first > 0);
    assert!(kept.logs.remove_cursor(ANN, "slow", &mut kept.out));
    // What is too much leaves a chunk at a time.
    kept.append(ANN, 4);
    let span = kept.logs.span(ANN);
    assert!(span.last - span.first <= 2 * EVENTS_PER_CHUNK);
}

#[test]
fn a_reader_is_told_what_it_misses() {
    let mut kept = Kept::new(few());
    kept.append(ANN, 4 * EVENTS_PER_CHUNK);
    let Span { first, last } = kept.logs.span(ANN);
    let start = |since, epoch| kept.logs.start(ANN, None, since, epoch).unwrap();
    assert_eq!(start(None, None), (last, None));
    assert_eq!(start(Some(first), None), (first, None));
    let gap = Gap { from: 3, to: first, reason: GapReason::Retention };
    assert_eq!(start(Some(3), None), (first, Some(gap)));
    let gap = Gap { from: last + 1, to: first, reason: GapReason::Epoch };
    assert_eq!(start(Some(last + 1), None), (first, Some(gap)));
    let gap = Gap { from: last, to: first, reason: GapReason::Epoch };
    assert_eq!(start(Some(last), Some("other")), (first, Some(gap)));
    assert_eq!(start(Some(last), Some(kept.logs.epoch())), (last, None));
}

#[test]
fn a_reader_begins_at_its_position_and_without_one_at_the_number() {
    let mut kept = Kept::new(Keep::default());
    kept.append(ANN, 10);
    let missing = kept.logs.start(ANN, Some("bot"), None, None).unwrap_err();
    assert_eq!(missing.kind, ErrorKind::NotFound);
    assert_eq!(kept.logs.start(ANN, Some("bot"), Some(2), None).unwrap().0, 2);
    kept.set("bot", 7).unwrap();
    assert_eq!(kept.logs.start(ANN, Some("bot"), Some(2), None).unwrap().0, 7);
    assert!(kept.logs.start(BEN, Some("bot"), None, None).is_err());
}

#[test]
fn positions_are_bounded_and_well_named() {
    let mut kept = Kept::new(Keep::default());
    for name in ["", "a b", "a/b", "ä", &"x".repeat(65)] {
        assert_eq!(kept.set(name, 0).unwrap_err().kind, ErrorKind::BadParameters, "{name}");
    }
    let beyond = kept.set("bot", 1).unwrap_err();
    assert!(beyond.message.contains("`seq`"), "{beyond}");
    for number in 0..CURSORS_PER_USER_MAX {
        kept.set(&format!("bot-{number}"), 0).unwrap();
    }
    assert_eq!(kept.set("one-more", 0).unwrap_err().kind, ErrorKind::Quota);
    kept.set("bot-1", 0).unwrap();
}
