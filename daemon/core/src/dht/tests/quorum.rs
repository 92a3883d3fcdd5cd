//! When a reader has heard enough.

use bytchat_proto::limits::{LOOKUP_PARALLEL, LOOKUP_PATHS, WRITE_QUORUM};
use bytchat_proto::record::RecordKind;

use super::keys::{START, accounts, believed, peer};
use crate::dht::Peer;
use crate::dht::asks::Loss;
use crate::dht::lookup::{Lookup, Slotted, Why};
use crate::dht::rtt::Rtt;

/// A reader that knows one node for each path, all farther from the record than those to come.
struct Reader {
    lookup: Lookup,
    record: Slotted,
    known: Vec<Peer>,
    near: Vec<Peer>,
}

fn reader() -> Reader {
    let record = believed(&accounts()[0].record(RecordKind::Profile, 1, START), START);
    let record = Slotted { slot: record.slot().unwrap(), record: record.into() };
    let target = record.slot.point;
    let mut all: Vec<Peer> = (0..40).map(peer).collect();
    all.sort_by_key(|it| it.point().distance(target));
    let (near, known) = (all[..6].to_vec(), all[40 - LOOKUP_PATHS..].to_vec());
    let mut lookup = Lookup::new(target, Some(RecordKind::Profile), Why::Find);
    known.iter().for_each(|it| lookup.offer(it.clone(), None, Rtt::default()));
    Reader { lookup, record, known, near }
}

impl Reader {
    /// One of the known nodes names some of the near ones.
    fn names(&mut self, path: usize, near: std::ops::Range<usize>) {
        let by = Some(self.known[path].node);
        let named = self.near[near].to_vec();
        named.into_iter().for_each(|it| self.lookup.offer(it, by, Rtt::default()));
    }

    fn asks(&mut self) -> usize {
        std::iter::from_fn(|| self.lookup.next()).count()
    }

    fn gives(&mut self, near: usize) {
        self.lookup.answered(self.near[near].node, false, vec![self.record.clone()]);
    }
}

#[test]
fn what_one_path_alone_named_is_no_quorum_until_another_path_names_one_of_it() {
    let mut reader = reader();
    reader.names(0, 0..5);
    assert!(reader.asks() <= LOOKUP_PARALLEL);
    (0..WRITE_QUORUM).for_each(|near| reader.gives(near));
    assert!(!reader.lookup.has_quorum());
    // It names itself: that is the same path.
    let by = Some(reader.near[0].node);
    reader.lookup.offer(reader.near[1].clone(), by, Rtt::default());
    assert!(!reader.lookup.has_quorum());
    reader.names(1, 2..3);
    assert!(reader.lookup.has_quorum());
}

#[test]
fn a_quorum_needs_as_many_of_the_nearest_as_take_a_record() {
    let mut reader = reader();
    reader.names(0, 0..5);
    reader.names(1, 0..5);
    reader.asks();
    (1..WRITE_QUORUM).for_each(|near| reader.gives(near));
    assert!(!reader.lookup.has_quorum());
    reader.lookup.answered(reader.near[0].node, false, Vec::new());
    assert!(!reader.lookup.has_quorum(), "who has nothing counts for nothing");
    reader.gives(WRITE_QUORUM);
    assert!(reader.lookup.has_quorum());
}

#[test]
fn nobody_waits_for_the_slow_and_the_lost() {
    let mut reader = reader();
    reader.names(0, 0..6);
    reader.names(1, 0..6);
    reader.asks();
    reader.lookup.slow(reader.near[0].node);
    reader.lookup.lost(reader.near[1].node, false, Loss::Silent);
    (2..4).for_each(|near| reader.gives(near));
    assert!(!reader.lookup.has_quorum());
    reader.gives(5);
    assert!(reader.lookup.has_quorum(), "the sixth is among the five nearest that answer");
}
