//! The network of the demo: two pods and ten others that know only them.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use bytchat_proto::id::NodeId;
use bytchat_proto::limits::HOLDERS;
use bytchat_proto::rpc::node::Status;
use bytchat_proto::rpc::{Call, Nothing};

use super::children::Children;
use super::node::Node;
use crate::cmd::random_hex;
use crate::failure::Failure;

/// How many daemons.
pub(super) const NODES: usize = 12;
/// The daemon of alice.
pub(super) const ALICE: usize = 2;
/// The daemon of bob.
pub(super) const BOB: usize = 3;

const HOSTS: [&str; 2] = ["a.test", "b.test"];
/// Twelve daemons on one machine know each other by then.
const MEET_PATIENCE: Duration = Duration::from_secs(120);
const MEET_PAUSE: Duration = Duration::from_millis(50);

/// All daemons.
#[derive(Debug)]
pub(super) struct World {
    program: PathBuf,
    network: String,
    dir: PathBuf,
    nodes: Vec<Node>,
}

/// Where a pod is.
#[derive(Clone, Copy, Debug)]
struct Pod {
    host: &'static str,
    address: SocketAddr,
    node_id: NodeId,
}

impl World {
    /// A network that is not started yet.
    pub(super) fn new(program: PathBuf, dir: &Path, children: Children) -> Result<Self, Failure> {
        let node = |number| Node::new(number, dir, children.clone());
        Ok(Self {
            program,
            network: format!("demo-{}", random_hex(4)?),
            dir: dir.to_owned(),
            nodes: (1..=NODES).map(node).collect::<Result<_, _>>()?,
        })
    }

    /// Where everything lies.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// A daemon by its place.
    pub(super) fn node(&mut self, place: usize) -> &mut Node {
        self.nodes.get_mut(place).expect("the places are constants")
    }

    /// Starts the two pods. Neither knows the other's address before both run, so the first
    /// one comes back with it, at the address that it had.
    pub(super) fn start_pods(&mut self) -> Result<(), Failure> {
        let mut pods = Vec::new();
        for (place, host) in HOSTS.into_iter().enumerate() {
            self.node(place).configure(&configuration(Some(host), &pods))?;
            let status = self.start(place)?;
            let pod = pod(host, &status)?;
            self.node(place).stay_at(pod.address);
            pods.push(pod);
        }
        for (place, host) in HOSTS.into_iter().enumerate() {
            self.node(place).stop()?;
            self.node(place).configure(&configuration(Some(host), &pods))?;
            self.start(place)?;
        }
        let others = configuration(None, &pods);
        self.nodes.iter().skip(HOSTS.len()).try_for_each(|node| node.configure(&others))
    }

    /// Starts all that are no pods.
    pub(super) fn start_others(&mut self) -> Result<(), Failure> {
        for node in self.nodes.iter_mut().skip(HOSTS.len()) {
            node.start(&self.program, &self.network)?;
        }
        for node in self.nodes.iter_mut().skip(HOSTS.len()) {
            node.ready()?;
        }
        Ok(())
    }

    /// Waits until every daemon knows enough others to have its mail held.
    pub(super) fn meet(&mut self) -> Result<(), Failure> {
        let until = Instant::now() + MEET_PATIENCE;
        loop {
            let mut fewest = usize::MAX;
            for node in &mut self.nodes {
                let status: Status = node.client.call(&Call::NodeStatus(Nothing {}))?;
                fewest = fewest.min(status.peers);
            }
            if fewest >= HOLDERS {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(Failure::Unmet(format!(
                    "a daemon knows only {fewest} others, {HOLDERS} are needed"
                )));
            }
            thread::sleep(MEET_PAUSE);
        }
    }

    /// Starts a daemon and waits until it answers.
    pub(super) fn start(&mut self, place: usize) -> Result<Status, Failure> {
        let (program, network) = (self.program.clone(), self.network.clone());
        let node = self.node(place);
        node.start(&program, &network)?;
        node.ready()
    }
}

fn pod(host: &'static str, status: &Status) -> Result<Pod, Failure> {
    let address = status.listen.first().copied();
    let address = address.ok_or_else(|| Failure::Strange("the pod listens nowhere".to_owned()))?;
    Ok(Pod { host, address, node_id: status.node_id })
}

fn configuration(host: Option<&str>, pods: &[Pod]) -> String {
    let addresses: Vec<_> = pods.iter().map(|pod| format!("\"{}\"", pod.address)).collect();
    let mut toml = format!("bootstrap = [{}]\n", addresses.join(", "));
    if let Some(host) = host {
        write!(toml, "\n[pod]\nhost = \"{host}\"\n").expect("strings take any text");
    }
    for pod in pods {
        write!(
            toml,
            "\n[[pods]]\nhost = \"{}\"\naddress = \"{}\"\nnode_id = \"{}\"\n",
            pod.host, pod.address, pod.node_id
        )
        .expect("strings take any text");
    }
    toml
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_names_the_pods() {
        let pod = Pod {
            host: "a.test",
            address: "127.0.0.1:7".parse().unwrap(),
            node_id: NodeId([0; 20]),
        };
        assert_eq!(
            configuration(Some("b.test"), &[pod]),
            "bootstrap = [\"127.0.0.1:7\"]\n\n[pod]\nhost = \"b.test\"\n\n[[pods]]\n\
             host = \"a.test\"\naddress = \"127.0.0.1:7\"\n\
             node_id = \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"\n"
        );
        assert_eq!(configuration(None, &[]), "bootstrap = []\n");
    }
}
