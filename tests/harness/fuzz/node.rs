//! A node, and all that can happen to it: links, frames, calls, time, its disk. After each event
//! everything is within its limit, and what the node wants done can be done.

mod calls;
mod happenings;
mod peers;
mod rig;

use std::collections::BTreeSet;
use std::sync::OnceLock;

use bytchat_core::persist::{Table, Write};

use super::source::Source;
use crate::sim::Disk;
use rig::Rig;

/// Events of one run.
const EVENTS_MAX: usize = 200;

/// Lets happen what the bytes say.
pub(super) fn feed(bytes: &[u8]) {
    drop(run(bytes));
}

/// The same; gives what the nodes have said to hand-made peers, by kind.
fn run(bytes: &[u8]) -> BTreeSet<&'static str> {
    let mut source = Source::new(bytes);
    let mut rig = Rig::new(disks().clone());
    for _ in 0..EVENTS_MAX {
        if source.is_empty() {
            break;
        }
        happenings::happen(&mut rig, &mut source);
    }
    rig.rest();
    rig.heard
}

/// Starts a node whose disk has other rows than were written: byte by byte, or whole ones.
pub(super) fn feed_rows(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let [mut disk, other] = disks().clone();
    let table = *source.pick(Rig::HOT);
    match source.byte() {
        0..=99 => {
            let (key, value) = (source.bytes().to_vec(), source.rest().to_vec());
            disk.commit(vec![Write::Put { table, key, value }]);
        }
        100..=199 => {
            let rest = source.rest();
            disk.damage(table, |value| damage(value, &mut Source::new(rest)));
        }
        200.. => {
            // The key is one that was written, its value another.
            let value = source.bytes().to_vec();
            disk.damage(table, |old| old.clone_from(&value));
        }
    }
    let mut rig = Rig::new([disk, other]);
    for _ in 0..3 {
        rig.pass(60_000);
    }
    rig.rest();
}

fn damage(value: &mut Vec<u8>, source: &mut Source<'_>) {
    while !source.is_empty() {
        let at = usize::from(u16::from_be_bytes(source.array())) % value.len().max(1);
        match source.byte() {
            0..=31 => value.truncate(at),
            _ if at < value.len() => value[at] = source.byte(),
            _ => value.push(source.byte()),
        }
    }
}

/// The disks of two nodes that have people, messages, records, neighbours.
fn disks() -> &'static [Disk; 2] {
    static DISKS: OnceLock<[Disk; 2]> = OnceLock::new();
    DISKS.get_or_init(|| {
        let disks = rig::live();
        for table in [Table::Account, Table::Device, Table::Message, Table::Contact, Table::Peer] {
            assert!(disks.iter().all(|disk| disk.count(table) > 0), "{table:?} is empty");
        }
        disks
    })
}

pub(super) fn row_seeds() -> Vec<Vec<u8>> {
    let tables = 0..u8::try_from(Rig::HOT.len()).unwrap_or(0);
    tables.flat_map(|table| [vec![table, 100, 0, 3, 40, 7], vec![table, 200, 0, 8, 255]]).collect()
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    happenings::seeds()
}

#[cfg(test)]
mod tests {
    use super::super::Mutator;
    use super::*;

    /// A target that never gets anywhere finds nothing.
    #[test]
    fn the_runs_reach_all_that_a_node_can_say() {
        let (seeds, mut mutator) = (seeds(), Mutator::new(1));
        let mut heard: BTreeSet<&str> = seeds.iter().flat_map(|seed| run(seed)).collect();
        for _ in 0..100 {
            heard.extend(run(&mutator.next(&seeds)));
        }
        let all = [
            "attached",
            "binding",
            "challenge",
            "delivery",
            "done",
            "hello",
            "keys",
            "nodes",
            "notice",
            "receipt",
            "records",
            "refused",
            "request",
            "routing",
        ];
        let missing: Vec<_> = all.iter().filter(|word| !heard.contains(**word)).collect();
        assert!(missing.is_empty(), "nobody was told {missing:?}");
    }
}
