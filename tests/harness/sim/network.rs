//! The network between simulated machines: latency, loss, and links that come and go.

use std::net::SocketAddr;

use bytchat_core::io::{DialId, Input, LinkId};
use sha2::Digest;

use super::world::World;

/// What goes wrong, and how often.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    /// Of a thousand packets, so many are lost and sent again by the link.
    pub loss_per_mille: u64,
    /// The shortest way between two machines.
    pub latency_min_ms: u64,
    /// The longest way between two machines.
    pub latency_max_ms: u64,
    /// A peer notices after so long that a machine is silent.
    pub silence_ms: u64,
    /// Of a hundred machines, so many have a slow disk.
    pub slow_disks_percent: u64,
    /// Planted: a crash loses the batch that was acknowledged last.
    pub disks_lie: bool,
    /// Planted: every envelope reaches its device with one bit turned.
    pub bits_turn: bool,
    /// Planted: frames carry what people write.
    pub gossip: bool,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            loss_per_mille: 20,
            latency_min_ms: 10,
            latency_max_ms: 60,
            silence_ms: 30_000,
            slow_disks_percent: 10,
            disks_lie: false,
            bits_turn: false,
            gossip: false,
        }
    }
}

impl World {
    /// How long a packet takes; a lost one is sent again by the link.
    fn latency(&mut self) -> u64 {
        let spread = self.faults.latency_max_ms - self.faults.latency_min_ms;
        let mut latency = self.faults.latency_min_ms + self.below(spread + 1);
        while self.below(1_000) < self.faults.loss_per_mille {
            latency += 2 * self.faults.latency_max_ms;
        }
        latency
    }

    pub(super) fn transmit(&mut self, host: usize, link: LinkId, bytes: Vec<u8>) {
        if let Some(heard) = self.heard.get_mut(&link) {
            return heard.push(bytes);
        }
        let Some((peer, far)) = self.hosts[host].links.get(&link).copied() else { return };
        let Some(mut bytes) = self.twisted((host, peer), (link, far), bytes) else { return };
        if self.faults.gossip && bytes.len() > 2_000 {
            bytes.extend_from_slice(super::witness::MARK);
        }
        if self.witness.is_plain(&bytes) {
            let from = self.hosts[host].address;
            self.findings.insert(format!("{from} sends what somebody wrote in plain text"));
        }
        if self.faults.bits_turn && bytes.len() > 2_000 {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        }
        self.witness.sent(link, (host, peer), &bytes);
        self.hosts[host].sent_bytes += bytes.len() as u64;
        let latency = self.latency();
        // A link keeps the order of its frames.
        let soonest = self.now_ms() + latency;
        let last = self.order.entry((host, peer)).or_default();
        let at = soonest.max(*last);
        *last = at;
        for part in [at, host as u64, peer as u64, bytes.len() as u64] {
            self.digest.update(part.to_be_bytes());
        }
        self.schedule(at, peer, Input::Frame { link: far, bytes });
    }

    pub(super) fn dial(&mut self, host: usize, dial: DialId, address: SocketAddr) {
        let latency = self.latency();
        let peer = self.by_address.get(&address).copied();
        let up = peer.filter(|peer| self.hosts[*peer].node.is_some() && *peer != host);
        let Some(peer) = up else {
            let input = Input::DialFailed { dial, reason: "nobody answers".to_owned() };
            return self.schedule(self.now_ms() + 1_000, host, input);
        };
        let (near, far) = (LinkId(self.fresh()), LinkId(self.fresh()));
        self.hosts[host].links.insert(near, (peer, far));
        self.hosts[peer].links.insert(far, (host, near));
        let binding = self.random_bytes();
        let at = self.now_ms() + 3 * latency;
        for (here, link, there, dial) in [(host, near, peer, Some(dial)), (peer, far, host, None)] {
            let (key, address) = (self.hosts[there].key, self.hosts[there].address);
            self.schedule(at, here, Input::LinkUp { link, key, address, binding, dial });
            let order = self.order.entry((here, there)).or_default();
            *order = at.max(*order);
        }
    }

    pub(super) fn close(&mut self, host: usize, link: LinkId, reason: &str) {
        let Some((peer, far)) = self.hosts[host].links.remove(&link) else { return };
        self.hosts[peer].links.remove(&far);
        let latency = self.latency();
        let last = self.order.get(&(host, peer)).copied().unwrap_or_default();
        let at = (self.now_ms() + latency).max(last);
        self.schedule(at, peer, Input::LinkDown { link: far, reason: reason.to_owned() });
    }
}
