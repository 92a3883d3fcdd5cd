//! One simulated machine: a node, its disk, and what is on its way there.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytchat_core::crypto::{NetworkKey, NodeSecret};
use bytchat_core::event::Keep;
use bytchat_core::io::{LinkId, Output};
use bytchat_core::node::{Node, NodeConfig};
use bytchat_core::persist::Write;
use bytchat_core::time::{Mono, Now};
use bytchat_proto::alias::Host as PodHost;
use bytchat_proto::id::{NetworkId, NodeId};
use bytchat_proto::key::NodeKey;
use bytchat_proto::timestamp::Timestamp;

use super::disk::Disk;
use super::network::End;

/// The wall clock of every world starts here.
const EPOCH_MS: u64 = 1_795_219_200_000;

/// Writes that are on their way to the disk, and what waits for them.
pub(super) struct Batch {
    pub(super) writes: Vec<Write>,
    pub(super) outputs: Vec<Output>,
}

/// One simulated machine.
pub struct Host {
    /// The running node; none while the machine is down.
    pub node: Option<Node>,
    /// What survives a crash.
    pub disk: Disk,
    /// Where it listens.
    pub address: SocketAddr,
    /// The host name under which it is a pod.
    pub pod: Option<PodHost>,
    /// Its node id, whether it is up or not.
    pub id: NodeId,
    /// A batch takes this much longer to reach this disk.
    pub slow_ms: u64,
    /// Its wall clock is wrong by so much.
    pub skew_ms: i64,
    /// Both its clocks run too fast by so many millionths.
    pub drift_ppm: i64,
    /// It will never come back.
    pub lost: bool,
    /// Bytes that it has sent in frames.
    pub sent_bytes: u64,
    /// Packets that these need at least.
    pub sent_packets: u64,
    pub(super) key: NodeKey,
    pub(super) boot: u64,
    pub(super) links: BTreeMap<LinkId, End>,
    /// Behind a NAT: whom it has written to, and when.
    pub(super) nat: Option<BTreeMap<usize, u64>>,
    pub(super) committing: Vec<Batch>,
    pub(super) busy_until: u64,
    pub(super) wake_at: Option<u64>,
    /// The disk before the batch that was acknowledged last, if this disk lies.
    pub(super) before: Option<Disk>,
    network: NetworkId,
    network_key: Option<NetworkKey>,
    bootstrap: Vec<SocketAddr>,
    secret: [u8; 32],
}

impl Host {
    pub(super) fn new(
        index: usize,
        (network, network_key): (NetworkId, Option<NetworkKey>),
        pod: Option<PodHost>,
        bootstrap: Vec<SocketAddr>,
        seed: u64,
    ) -> Self {
        let mut secret = [0; 32];
        secret[..8].copy_from_slice(&(index as u64).to_be_bytes());
        secret[24..].copy_from_slice(&seed.to_be_bytes());
        Self::with_secret(index, (network, network_key), pod, bootstrap, secret)
    }

    pub(super) fn with_secret(
        index: usize,
        (network, network_key): (NetworkId, Option<NetworkKey>),
        pod: Option<PodHost>,
        bootstrap: Vec<SocketAddr>,
        secret: [u8; 32],
    ) -> Self {
        // Every machine has a subnet of its own: tables take few of one.
        let [_, _, high, low] = u32::try_from(index).expect("few hosts").to_be_bytes();
        let node_secret = NodeSecret::from_seed(secret).expect("a seed makes a key");
        Self {
            node: None,
            disk: Disk::default(),
            address: SocketAddr::from(([10, high, low, 1], 4848)),
            pod,
            id: node_secret.key().node(network, &[]),
            slow_ms: 0,
            skew_ms: 0,
            drift_ppm: 0,
            lost: false,
            sent_bytes: 0,
            sent_packets: 0,
            nat: None,
            key: node_secret.key(),
            boot: 0,
            links: BTreeMap::new(),
            committing: Vec::new(),
            busy_until: 0,
            wake_at: None,
            before: None,
            network,
            network_key,
            bootstrap,
            secret,
        }
    }

    pub(super) fn start(&mut self, now_ms: u64) {
        self.boot += 1;
        let mut seed = self.secret;
        seed[8..16].copy_from_slice(&self.boot.to_be_bytes());
        let config = NodeConfig {
            network: self.network,
            network_key: self.network_key.clone(),
            work: 0,
            stamp: Vec::new(),
            secret: self.secret,
            vault: [7; 32],
            listen: vec![self.address],
            bootstrap: self.bootstrap.clone(),
            pod: self.pod.clone(),
            events: Keep::default(),
            version: "sim".to_owned(),
        };
        let rows = self.disk.hot(Node::HOT);
        let node = Node::new(config, seed, rows, self.clock(now_ms));
        self.node = Some(node.expect("a node starts from its own rows"));
        self.links.clear();
        self.committing.clear();
        self.busy_until = now_ms;
        self.wake_at = None;
    }

    /// The time by a clock that is right.
    pub(super) fn wall(now_ms: u64) -> Timestamp {
        Timestamp(EPOCH_MS + now_ms)
    }

    /// Both clocks of the machine.
    pub(super) fn clock(&self, now_ms: u64) -> Now {
        let mono = now_ms.saturating_add_signed(self.drift(now_ms));
        let wall = (EPOCH_MS + mono).saturating_add_signed(self.skew_ms);
        Now { mono: Mono(mono), wall: Timestamp(wall) }
    }

    /// When a time of its steady clock comes.
    pub(super) fn when(&self, at: Mono) -> u64 {
        let mut now_ms = at.0.saturating_add_signed(-self.drift(at.0));
        while self.clock(now_ms).mono < at {
            now_ms += 1;
        }
        now_ms
    }

    fn drift(&self, now_ms: u64) -> i64 {
        let ms = i64::try_from(now_ms).unwrap_or(i64::MAX / 1_000_000);
        ms / 1_000 * self.drift_ppm / 1_000
    }
}
