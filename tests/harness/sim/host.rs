//! One simulated machine: a node, its disk, and what is on its way there.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytchat_core::io::{LinkId, Output};
use bytchat_core::node::{Node, NodeConfig};
use bytchat_core::persist::Write;
use bytchat_core::time::{Mono, Now};
use bytchat_proto::alias::Host as PodHost;
use bytchat_proto::id::NetworkId;
use bytchat_proto::timestamp::Timestamp;

use super::disk::Disk;

/// The wall clock of every world starts here.
const EPOCH_MS: u64 = 1_795_219_200_000;

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
    pub(super) network: NetworkId,
    pub(super) boot: u64,
    pub(super) bootstrap: Vec<SocketAddr>,
    pub(super) links: BTreeMap<LinkId, (usize, LinkId)>,
    pub(super) committing: Vec<(u64, Vec<Write>, Vec<Output>)>,
    pub(super) busy_until: u64,
    pub(super) wake_at: Option<u64>,
    seed: u8,
    index: usize,
}

impl Host {
    pub(super) fn new(
        index: usize,
        network: NetworkId,
        pod: Option<PodHost>,
        bootstrap: Vec<SocketAddr>,
        seed: u8,
    ) -> Self {
        let [_, _, high, low] = u32::try_from(index).expect("few hosts").to_be_bytes();
        Self {
            node: None,
            disk: Disk::default(),
            address: SocketAddr::from(([10, seed, high, low], 4848)),
            pod,
            network,
            boot: 0,
            bootstrap,
            links: BTreeMap::new(),
            committing: Vec::new(),
            busy_until: 0,
            wake_at: None,
            seed,
            index,
        }
    }

    pub(super) fn secret(&self) -> [u8; 32] {
        let mut secret = [self.seed; 32];
        secret[..8].copy_from_slice(&(self.index as u64).to_be_bytes());
        secret
    }

    pub(super) fn start(&mut self, now_ms: u64) {
        self.boot += 1;
        let secret = self.secret();
        let mut seed = secret;
        seed[8..16].copy_from_slice(&self.boot.to_be_bytes());
        let config = NodeConfig {
            network: self.network,
            secret,
            vault: [7; 32],
            listen: vec![self.address],
            bootstrap: self.bootstrap.clone(),
            pod: self.pod.clone(),
            version: "sim".to_owned(),
        };
        let rows = self.disk.hot(Node::HOT);
        let node = Node::new(config, seed, rows, clock(now_ms));
        self.node = Some(node.expect("a node starts from its own rows"));
        self.links.clear();
        self.committing.clear();
        self.busy_until = now_ms;
        self.wake_at = None;
    }
}

/// Both clocks of a simulated machine.
pub(super) fn clock(now_ms: u64) -> Now {
    Now { mono: Mono(now_ms), wall: Timestamp(EPOCH_MS + now_ms) }
}
