//! One simulated machine: a node, its disk, and what is on its way there.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytchat_core::crypto::NodeSecret;
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
    /// Bytes that it has sent.
    pub sent_bytes: u64,
    pub(super) key: NodeKey,
    pub(super) boot: u64,
    pub(super) links: BTreeMap<LinkId, (usize, LinkId)>,
    pub(super) committing: Vec<Batch>,
    pub(super) busy_until: u64,
    pub(super) wake_at: Option<u64>,
    /// The disk before the batch that was acknowledged last, if this disk lies.
    pub(super) before: Option<Disk>,
    network: NetworkId,
    bootstrap: Vec<SocketAddr>,
    secret: [u8; 32],
}

impl Host {
    pub(super) fn new(
        index: usize,
        network: NetworkId,
        pod: Option<PodHost>,
        bootstrap: Vec<SocketAddr>,
        seed: u64,
    ) -> Self {
        let mut secret = [0; 32];
        secret[..8].copy_from_slice(&(index as u64).to_be_bytes());
        secret[24..].copy_from_slice(&seed.to_be_bytes());
        Self::with_secret(index, network, pod, bootstrap, secret)
    }

    pub(super) fn with_secret(
        index: usize,
        network: NetworkId,
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
            sent_bytes: 0,
            key: node_secret.key(),
            boot: 0,
            links: BTreeMap::new(),
            committing: Vec::new(),
            busy_until: 0,
            wake_at: None,
            before: None,
            network,
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

    /// Both clocks of the machine.
    pub(super) fn clock(&self, now_ms: u64) -> Now {
        let wall = (EPOCH_MS + now_ms).saturating_add_signed(self.skew_ms);
        Now { mono: Mono(now_ms), wall: Timestamp(wall) }
    }
}
