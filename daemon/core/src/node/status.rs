//! `node.*`: how this node stands.

use bytchat_proto::rpc::node;

use super::Node;
use crate::time::Now;

impl Node {
    pub(super) fn node_status(&self, now: Now) -> node::Status {
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
            network: self.config.network,
            pod: self.config.pod.clone(),
            store_bytes: self.store_bytes,
            uptime_ms: now.mono.since_ms(self.started),
            version: self.config.version.clone(),
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
