//! Who was caught lying, and is left alone for a while.

use std::collections::BTreeMap;

use bytchat_proto::id::NodeId;
use bytchat_proto::limits::{QUARANTINE_MAX, QUARANTINE_MS, RECORDS_PER_POINT_MAX};
use bytchat_proto::record::{Contact, Record, RecordError};
use bytchat_proto::unverified::VerifyError;

use super::Dht;
use super::contacts::Peer;
use super::lookup::{Lookup, Slotted, bounded};
use crate::io::Outputs;
use crate::stamp::Why;
use crate::time::{Mono, Now};

/// How the DHT stands against who lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Defence {
    /// Nodes that are left alone because they were caught lying.
    pub quarantined: usize,
    /// Points that looked crowded within the last hour.
    pub crowded: usize,
    /// How many nodes the network has, as far as that is known.
    pub nodes: Option<u64>,
}

/// Nodes that were caught lying, each until its time is over.
#[derive(Default)]
pub(super) struct Quarantine {
    until: BTreeMap<NodeId, Mono>,
}

impl Quarantine {
    /// Takes a node in; where there are too many, the one that would leave first goes.
    pub(super) fn add(&mut self, node: NodeId, now: Mono) {
        self.until.retain(|_, until| *until > now);
        if self.until.len() >= QUARANTINE_MAX
            && let Some(first) = self.until.iter().min_by_key(|(_, until)| **until)
        {
            let first = *first.0;
            self.until.remove(&first);
        }
        self.until.insert(node, now.plus_ms(QUARANTINE_MS));
    }

    /// Whether a node is left alone now.
    pub(super) fn has(&self, node: NodeId, now: Mono) -> bool {
        self.until.get(&node).is_some_and(|until| *until > now)
    }

    /// How many are left alone now.
    pub(super) fn count(&self, now: Mono) -> usize {
        self.until.values().filter(|until| **until > now).count()
    }
}

/// Whether a record or contact that somebody hands on proves that it lies: an honest node has
/// checked the same before. What depends on clocks proves nothing.
pub(super) fn is_lie(error: &RecordError) -> bool {
    match error {
        RecordError::Verify(VerifyError::Key(_))
        | RecordError::Network { .. }
        | RecordError::Work { .. } => true,
        RecordError::Verify(VerifyError::Decode(_))
        | RecordError::TooLong { .. }
        | RecordError::Suite(_)
        | RecordError::WrongSigner(_)
        | RecordError::WrongUser { .. }
        | RecordError::Expired(_)
        | RecordError::Future(_)
        | RecordError::Lifetime { .. }
        | RecordError::Limit(_) => false,
    }
}

impl Dht {
    /// A node said something over its own link that no honest node says. It is left alone for a
    /// while. What others can cause, such as contacts that are gone, is no such thing.
    // SPEC 4.14: only what a node alone can be guilty of.
    pub fn accuse(&mut self, node: NodeId, why: &str, now: Now, out: &mut Outputs) {
        if node == self.own.node {
            return;
        }
        if !self.quarantine.has(node, now.mono) {
            tracing::info!(%node, why, "a node was caught lying and is left alone for an hour");
        }
        self.quarantine.add(node, now.mono);
        self.untested.remove(node);
        if let Some(evicted) = self.table.expel(node) {
            self.left(node, evicted.successor, now, out);
        }
    }

    /// The records of an answer that are what was asked for, each checked; an error for what
    /// proves that its sender lies.
    pub(super) fn believable(
        &mut self,
        lookup: &Lookup,
        from: NodeId,
        records: &[Record],
        now: Now,
    ) -> Result<Vec<Slotted>, RecordError> {
        let mut fitting = Vec::new();
        for record in records.iter().take(RECORDS_PER_POINT_MAX) {
            let known = lookup.known(record).map(Ok);
            if known.is_none() && !self.may_check_record(record, from, now) {
                continue;
            }
            let it = match known.unwrap_or_else(|| self.check_record(record, now)) {
                Ok(it) => it,
                Err(error) if is_lie(&error) => return Err(error),
                Err(_) => continue,
            };
            if it.slot.point == lookup.target && Some(it.slot.kind) == lookup.kind {
                fitting.push(it);
            }
        }
        Ok(fitting)
    }

    /// The contacts of an answer that may be asked next, each in its newest form; an error for
    /// one that proves that its sender lies.
    pub(super) fn usable(
        &mut self,
        contacts: &[Contact],
        from: NodeId,
        now: Now,
    ) -> Result<Vec<Peer>, RecordError> {
        let mut peers = Vec::new();
        for contact in bounded(contacts) {
            let peer = match self.checked.hear(contact, from, Why::Asked, now.mono) {
                None => continue,
                Some(Ok(peer)) => peer,
                Some(Err(error)) if is_lie(&error) => return Err(error),
                Some(Err(_)) => continue,
            };
            if peer.node == self.own.node || self.quarantine.has(peer.node, now.mono) {
                continue;
            }
            self.renew(&peer, now);
            let known = self.table.get(peer.node).map(|entry| entry.peer.clone());
            peers.push(known.unwrap_or(peer));
        }
        Ok(peers)
    }

    /// Who is kept out, and what looks wrong.
    pub fn defence(&self, now: Now) -> Defence {
        Defence {
            quarantined: self.quarantine.count(now.mono),
            crowded: self.crowds.count(now.mono),
            nodes: self.density.nodes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: usize) -> NodeId {
        let mut id = [0; 20];
        id[..8].copy_from_slice(&(number as u64).to_be_bytes());
        NodeId(id)
    }

    #[test]
    fn a_quarantine_ends_and_has_a_bound() {
        let mut quarantine = Quarantine::default();
        quarantine.add(node(0), Mono(0));
        assert!(quarantine.has(node(0), Mono(QUARANTINE_MS - 1)));
        assert!(!quarantine.has(node(0), Mono(QUARANTINE_MS)));
        assert_eq!(quarantine.count(Mono(QUARANTINE_MS)), 0);
        for number in 1..=QUARANTINE_MAX + 1 {
            quarantine.add(node(number), Mono(number as u64));
            assert!(quarantine.until.len() <= QUARANTINE_MAX);
        }
        let now = Mono(QUARANTINE_MAX as u64 + 1);
        assert_eq!(quarantine.count(now), QUARANTINE_MAX);
        assert!(!quarantine.has(node(1), now) && quarantine.has(node(2), now));
    }
}
