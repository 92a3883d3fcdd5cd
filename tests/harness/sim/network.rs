//! The network between simulated machines: delays, loss, cuts, and links that come and go.
//!
//! A link is QUIC, and does what QUIC does: a lost packet comes later, one that comes twice or
//! overtakes another is put right by the link. So nodes see loss as delay; and what can overtake
//! is a frame on a stream of its own, which are those above `FRAME_INLINE_BYTES_MAX`. Frames that
//! come twice are worse than any link: only harsh worlds have them.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use bytchat_core::io::{DialId, Input, LinkId};
use bytchat_proto::limits::FRAME_INLINE_BYTES_MAX;
use sha2::Digest;

use super::path::round_trip_ms;
use super::world::World;

/// A packet of a link carries so much.
const PACKET_BYTES: usize = 1_200;
/// A link waits for an acknowledgement so much longer than the round trip (RFC 9000, 18.2).
const ACK_DELAY_MS: u64 = 25;
/// A handshake that nobody answers is given up after so long.
const HANDSHAKE_MS: u64 = 10_000;
/// A NAT forgets so long after the last packet whom its machine has written to.
const MAPPING_MS: u64 = 120_000;

/// What goes wrong, and how often.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    /// Of a thousand packets, so many are lost and sent again by the link.
    pub loss_per_mille: u64,
    /// Of a thousand frames, so many come twice.
    pub twice_per_mille: u64,
    /// The median of the round trips, each of which is its pair's own.
    pub round_trip_ms: u64,
    /// A peer notices after so long that a machine is silent.
    pub silence_ms: u64,
    /// Of a hundred machines, so many have a slow disk.
    pub slow_disks_percent: u64,
    /// Of a hundred machines that are no pods, so many are behind a NAT.
    pub nats_percent: u64,
    /// Of a hundred machines, so many lie.
    pub liars_percent: u64,
    /// Clocks run too fast or too slow by up to so many millionths.
    pub drift_ppm: u64,
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
            twice_per_mille: 0,
            round_trip_ms: 80,
            silence_ms: 30_000,
            slow_disks_percent: 10,
            nats_percent: 0,
            liars_percent: 0,
            drift_ppm: 100,
            disks_lie: false,
            bits_turn: false,
            gossip: false,
        }
    }
}

/// A direction in which nothing goes through.
pub(super) struct Cut {
    from: BTreeSet<usize>,
    to: BTreeSet<usize>,
}

/// One end of a link: where the other end is, and when the last frame that was sent comes there.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub(super) peer: usize,
    pub(super) far: LinkId,
    /// When the link is up at the other end.
    pub(super) opened: u64,
    pub(super) last: u64,
    /// Hello was sent.
    pub(super) greeted: bool,
}

impl World {
    /// Nothing that some machines send reaches some others any more, until the cuts are mended.
    /// The other direction goes on; a link notices after its silence.
    pub fn cut(
        &mut self,
        from: impl IntoIterator<Item = usize>,
        to: impl IntoIterator<Item = usize>,
    ) {
        let cut = Cut { from: from.into_iter().collect(), to: to.into_iter().collect() };
        let at = self.now_ms() + self.faults.silence_ms;
        for host in &cut.from {
            let ends = self.hosts[*host].links.iter();
            let cut_off = ends.filter(|(_, end)| cut.to.contains(&end.peer));
            let links: Vec<LinkId> = cut_off.map(|(link, _)| *link).collect();
            links.into_iter().for_each(|link| self.silence(at, *host, link));
        }
        self.cuts.push(cut);
        self.was_cut = true;
    }

    /// All cuts are mended: links send again what was lost, where they still are.
    pub fn mend(&mut self) {
        self.cuts.clear();
        for (host, link, bytes) in std::mem::take(&mut self.stalled) {
            self.transmit(host, link, bytes);
        }
    }

    fn is_cut(&self, from: usize, to: usize) -> bool {
        self.cuts.iter().any(|cut| cut.from.contains(&from) && cut.to.contains(&to))
    }

    /// A link that is cut has been silent for so long that both its ends give it up.
    pub(super) fn silent(&mut self, host: usize, link: LinkId) {
        let Some(end) = self.hosts[host].links.get(&link).copied() else { return };
        if !self.is_cut(host, end.peer) && !self.is_cut(end.peer, host) {
            return;
        }
        self.hosts[host].links.remove(&link);
        self.hosts[end.peer].links.remove(&end.far);
        for (here, link) in [(host, link), (end.peer, end.far)] {
            let input = Input::LinkDown { link, reason: "silent".to_owned() };
            self.schedule(self.now_ms(), here, input);
        }
    }

    /// How long a packet takes between two machines, without loss.
    fn one_way(&mut self, a: usize, b: usize) -> u64 {
        let half = round_trip_ms(self.seed, a, b, self.faults.round_trip_ms) / 2;
        half.max(1) + self.below(half / 10 + 1)
    }

    /// How long so many bytes take; of what is lost, each packet is sent again by the link.
    fn latency(&mut self, a: usize, b: usize, bytes: usize) -> u64 {
        let mut late = 0;
        let one_way = self.one_way(a, b);
        for _ in 0..bytes.div_ceil(PACKET_BYTES).max(1) {
            let (mut wait, mut again) = (0, 2 * one_way + one_way / 4 + ACK_DELAY_MS);
            while self.below(1_000) < self.faults.loss_per_mille {
                wait += again;
                again *= 2;
            }
            late = late.max(wait);
        }
        one_way + late
    }

    pub(super) fn transmit(&mut self, host: usize, link: LinkId, bytes: Vec<u8>) {
        if let Some(heard) = self.heard.get_mut(&link) {
            return heard.push(bytes);
        }
        let Some(end) = self.hosts[host].links.get(&link).copied() else { return };
        let (peer, far) = (end.peer, end.far);
        let Some(mut bytes) = self.twisted((host, peer), (link, far), bytes) else { return };
        if self.is_cut(host, peer) {
            return self.stalled.push((host, link, bytes));
        }
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
        self.witness.sent(link, (host, peer), self.hosts[peer].id, &bytes);
        let machine = &mut self.hosts[host];
        machine.sent_bytes += bytes.len() as u64;
        machine.sent_packets += bytes.len().div_ceil(PACKET_BYTES) as u64;
        self.note_mapping(host, peer);
        let soonest = self.now_ms() + self.latency(host, peer, bytes.len());
        // A stream keeps the order of its frames; a large frame has one of its own.
        let inline = bytes.len() <= FRAME_INLINE_BYTES_MAX;
        let at = soonest.max(if inline { end.last } else { end.opened });
        if inline && let Some(end) = self.hosts[host].links.get_mut(&link) {
            end.last = at;
            end.greeted = true;
        }
        for part in [at, host as u64, peer as u64, bytes.len() as u64] {
            self.digest.update(part.to_be_bytes());
        }
        // Only the first frame of a link, its hello, comes once in any world.
        if end.greeted && self.below(1_000) < self.faults.twice_per_mille {
            let late = self.one_way(host, peer);
            self.schedule(at + late, peer, Input::Frame { link: far, bytes: bytes.clone() });
        }
        self.schedule(at, peer, Input::Frame { link: far, bytes });
    }

    /// The NAT of a machine remembers whom it has written to.
    fn note_mapping(&mut self, host: usize, peer: usize) {
        let now = self.now_ms();
        if let Some(mappings) = &mut self.hosts[host].nat {
            mappings.insert(peer, now);
        }
    }

    /// Whether a machine is behind a NAT.
    pub fn is_behind_nat(&self, host: usize) -> bool {
        self.hosts[host].nat.is_some()
    }

    /// Whether packets from one machine get through to another.
    fn reaches(&self, from: usize, to: usize) -> bool {
        let lets_in = self.hosts[to].nat.as_ref().is_none_or(|mappings| {
            mappings.get(&from).is_some_and(|at| at + MAPPING_MS > self.now_ms())
        });
        lets_in && !self.is_cut(from, to)
    }

    pub(super) fn dial(&mut self, host: usize, dial: DialId, address: SocketAddr) {
        let fail = |world: &mut Self, after_ms: u64| {
            let input = Input::DialFailed { dial, reason: "nobody answers".to_owned() };
            world.schedule(world.now_ms() + after_ms, host, input);
        };
        let peer = self.by_address.get(&address).copied();
        let up = peer.filter(|peer| self.hosts[*peer].node.is_some() && *peer != host);
        let Some(peer) = up else { return fail(self, 1_000) };
        self.note_mapping(host, peer);
        if !self.reaches(host, peer) || self.is_cut(peer, host) {
            return fail(self, HANDSHAKE_MS);
        }
        // TLS 1.3 in QUIC: a round trip for who dials, and one way more until the other end has
        // seen who that is (RFC 9001, 4.1.2).
        let hellos = self.latency(host, peer, 2 * PACKET_BYTES);
        let near_at = self.now_ms() + hellos + self.latency(peer, host, 2 * PACKET_BYTES);
        let far_at = near_at + self.latency(host, peer, PACKET_BYTES);
        let (near, far) = (LinkId(self.fresh()), LinkId(self.fresh()));
        let binding = self.random_bytes();
        let ends = [
            ((host, near, near_at), (peer, far, far_at), Some(dial)),
            ((peer, far, far_at), (host, near, near_at), None),
        ];
        for ((here, link, at), (there, far, opened), dial) in ends {
            let end = End { peer: there, far, opened, last: opened, greeted: false };
            self.hosts[here].links.insert(link, end);
            let (key, address) = (self.hosts[there].key, self.hosts[there].address);
            self.schedule(at, here, Input::LinkUp { link, key, address, binding, dial });
        }
    }

    pub(super) fn close(&mut self, host: usize, link: LinkId, reason: &str) {
        let Some(end) = self.hosts[host].links.remove(&link) else { return };
        self.hosts[end.peer].links.remove(&end.far);
        if self.is_cut(host, end.peer) {
            let at = self.now_ms() + self.faults.silence_ms;
            let input = Input::LinkDown { link: end.far, reason: "silent".to_owned() };
            return self.schedule(at, end.peer, input);
        }
        let latency = self.latency(host, end.peer, 1);
        let at = (self.now_ms() + latency).max(end.last);
        self.schedule(at, end.peer, Input::LinkDown { link: end.far, reason: reason.to_owned() });
    }
}
