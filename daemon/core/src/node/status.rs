//! `node.*`: how this node stands.

mod lookup;
mod waiting;

use bytchat_proto::rpc::node;

use super::Node;
use crate::time::{Drift, Now};

/// How a node stands, in three numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Links that are up.
    pub links: usize,
    /// Other nodes in the routing table.
    pub peers: usize,
    /// Messages that are not delivered yet.
    pub outbox: usize,
}

impl Node {
    /// Returns how the node stands, at little cost.
    pub fn standing(&self) -> Standing {
        Standing {
            links: self.links.count(),
            peers: self.dht.peer_count(),
            outbox: self.outbox.count(),
        }
    }

    /// How many were caught lying, and how many points looked as if their places were bought.
    pub fn defence(&self, now: Now) -> crate::dht::Defence {
        self.dht.defence(now)
    }

    pub(super) fn node_status(&self, now: Now) -> node::Status {
        let (clock, clock_offset_ms) = match self.clock.drift(now) {
            Drift::Ok => (node::Clock::Ok, 0),
            Drift::Behind(ms) => (node::Clock::Behind, ms),
            Drift::Ahead(ms) => (node::Clock::Ahead, ms),
        };
        node::Status {
            node_id: self.id,
            listen: self.config.listen.clone(),
            observed: self.believes(),
            peers: self.dht.peer_count(),
            links: self.links.count(),
            records: self.dht.record_count(),
            envelopes: self.mailbox.envelope_count(),
            outbox: self.outbox.count(),
            damaged_accounts: self.accounts.damaged_count(),
            clock,
            clock_offset_ms,
            network: self.config.network,
            pod: self.config.pod.clone(),
            store_bytes: self.store_bytes,
            uptime_ms: now.mono.since_ms(self.started),
            version: self.config.version.clone(),
        }
    }

    pub(super) fn node_stats(&self, now: Now) -> node::Stats {
        let (lookups, asks, puts, repair) = self.dht.counted();
        let (links, refusals) = self.links.counted();
        let (envelopes_total, envelopes_lost_total) = self.mailbox.handed();
        node::Stats {
            uptime_ms: now.mono.since_ms(self.started),
            lookups,
            asks,
            puts,
            repair: node::Repair { envelopes_total, envelopes_lost_total, ..repair },
            links,
            refusals,
            keyspace: self.dht.keyspace(),
        }
    }

    pub(super) fn node_peers(&self) -> node::Peers {
        let peer = |peer: &crate::dht::Peer| {
            let link = self.links.to(peer.node);
            let measured = link.and_then(|link| self.links.measure(link));
            let known = peer.record.addresses.first().copied();
            Some(node::Peer {
                node_id: peer.node,
                address: measured.map(|(address, _)| address).or(known)?,
                pod: peer.record.pod.clone(),
                linked: link.is_some(),
                rtt_ms: measured.and_then(|(_, rtt)| rtt),
            })
        };
        node::Peers { peers: self.dht.peers().filter_map(peer).collect() }
    }
}
