//! What the DHT keeps on disk: contacts that were live, and records that are held.

use std::collections::{BTreeMap, BTreeSet};

use bytchat_proto::codec::{decode, encode};
use bytchat_proto::id::NodeId;
use bytchat_proto::limits::{MINUTE_MS, PEER_ROW_MS, REPAIR_LOST_MS};
use bytchat_proto::record::{Contact, Record};
use bytchat_proto::timestamp::Timestamp;
use serde::{Deserialize, Serialize};

use super::Dht;
use super::records::row_key;
use crate::io::Outputs;
use crate::persist::Table;
use crate::time::{Mono, Now};

/// A row of `Table::Peer`.
#[derive(Serialize, Deserialize)]
struct PeerRow {
    contact: Contact,
    seen: Timestamp,
}

/// Which rows of the routing table are to be written, and when.
#[derive(Default)]
pub(super) struct Rows {
    written: BTreeMap<NodeId, Mono>,
    due: BTreeSet<(Mono, NodeId)>,
    dirty: BTreeSet<NodeId>,
    garbage: Vec<(Table, Vec<u8>)>,
}

impl Rows {
    /// A row is no longer what it should be.
    pub(super) fn mark(&mut self, node: NodeId, now: Mono) {
        if self.dirty.insert(node) {
            let free = self.written.get(&node).map(|at| at.plus_ms(PEER_ROW_MS));
            self.due.insert((free.unwrap_or(now).max(now), node));
        }
    }

    fn next(&mut self, now: Mono) -> Option<NodeId> {
        let (at, node) = self.due.first().copied()?;
        if at > now {
            return None;
        }
        self.due.remove(&(at, node));
        self.dirty.remove(&node);
        let recent = |at: &mut Mono| now.since_ms(*at) < PEER_ROW_MS;
        self.written.retain(|_, at| recent(at));
        self.written.insert(node, now);
        Some(node)
    }

    /// When the next row is written.
    pub(super) fn due(&self) -> Option<Mono> {
        let garbage = !self.garbage.is_empty();
        let next = self.due.first().map(|(at, _)| *at);
        garbage.then_some(Mono(0)).or(next)
    }

    /// Removes the rows that made no sense.
    pub(super) fn sweep(&mut self, out: &mut Outputs) {
        for (table, key) in std::mem::take(&mut self.garbage) {
            out.remove(table, key);
        }
    }
}

impl Dht {
    /// Takes in a row of the routing table as it was on disk: somebody to ask, not yet live.
    pub fn restore_peer(&mut self, key: &[u8], value: &[u8], now: Now) {
        let row = decode::<PeerRow>(value).ok();
        let peer = row.and_then(|row| self.checked.check(&row.contact).ok());
        match peer.filter(|peer| peer.node.as_bytes() == key && peer.node != self.own.node) {
            Some(peer) => self.untested.add(peer, true, now.mono),
            None => self.rows.garbage.push((Table::Peer, key.to_vec())),
        }
    }

    /// Takes in a record as it was on disk. What is malformed or over is dropped.
    pub fn restore_record(&mut self, key: &[u8], value: &[u8], now: Now) {
        let record = decode::<Record>(value).ok();
        let checked = record.and_then(|record| self.check_record(&record, now).ok());
        let sound = checked.filter(|it| row_key(&it.slot) == key);
        let Some(what) = sound.filter(|it| self.records.restore(it, now.mono)) else {
            self.rows.garbage.push((Table::Record, key.to_vec()));
            return;
        };
        // The table is empty yet: look after the record when we know our neighbours again.
        let point = what.slot.point;
        let spread_ms = u64::from(point.0[0]) * MINUTE_MS / 256;
        let at = now.mono.plus_ms(2 * REPAIR_LOST_MS + spread_ms);
        self.records.schedule(point, at, false);
        self.plan_expiry(now);
    }

    /// Writes the rows whose time has come.
    pub(super) fn write_rows(&mut self, now: Now, out: &mut Outputs) {
        while let Some(node) = self.rows.next(now.mono) {
            self.write_row(node, now, out);
        }
    }

    fn write_row(&mut self, node: NodeId, now: Now, out: &mut Outputs) {
        let Some(entry) = self.table.get(node) else {
            return out.remove(Table::Peer, node.0);
        };
        let row = PeerRow { contact: (*entry.peer.contact).clone(), seen: now.wall };
        out.put(Table::Peer, node.0, encode(&row));
    }
}
