//! The daemons that are measured: real processes on loopback, in a directory that goes with them.

use std::fmt::Write;
use std::fs::{self, File};
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use bytchat_proto::rpc::node::Status;
use bytchat_proto::rpc::{Call, Nothing};
use rustix::process::{Pid, Signal, kill_process};

use crate::client::{Client, PATIENCE};

/// The host names of the first nodes, which are pods.
pub(crate) const PODS: [&str; 2] = ["a.test", "b.test"];
/// Between two tries to reach a daemon that starts, or to see that it ended.
const PAUSE: Duration = Duration::from_millis(1);

/// All daemons; the first two are pods, the others know only these at first.
pub(crate) struct World {
    program: PathBuf,
    dir: PathBuf,
    others: String,
    nodes: Vec<Node>,
}

/// One daemon.
pub(crate) struct Node {
    dir: PathBuf,
    listen: SocketAddr,
    child: Option<Child>,
    line: Option<UnixDatagram>,
}

impl World {
    /// Starts two pods.
    pub(crate) fn start(program: &Path, dir: &Path) -> Self {
        let pods = PODS.map(|host| (host, free_address()));
        let others = configuration(None, &pods);
        let (program, dir) = (program.to_owned(), dir.to_owned());
        let mut world = Self { program, dir, others, nodes: Vec::new() };
        for (host, address) in pods {
            world.add(address, &configuration(Some(host), &pods));
        }
        world
    }

    /// Starts more daemons, up to this number, and waits until each knows enough others.
    pub(crate) fn grow(&mut self, count: usize, peers: usize) {
        let others = self.others.clone();
        while self.nodes.len() < count {
            self.add(free_address(), &others);
        }
        for node in &self.nodes {
            let mut client = node.client();
            let until = Instant::now() + PATIENCE;
            while client.call::<Status>(&Call::NodeStatus(Nothing {})).peers < peers {
                assert!(Instant::now() < until, "a daemon knows too few others");
                thread::sleep(PAUSE * 20);
            }
        }
    }

    fn add(&mut self, listen: SocketAddr, toml: &str) {
        let dir = self.dir.join(format!("{:02}", self.nodes.len()));
        fs::create_dir_all(&dir).expect("a directory can be made");
        fs::write(dir.join("bytchatd.toml"), toml).expect("a file can be written");
        self.nodes.push(Node { dir, listen, child: None, line: None });
        self.start_node(self.nodes.len() - 1);
    }

    /// Starts a daemon that does not run.
    pub(crate) fn start_node(&mut self, place: usize) {
        let program = self.program.clone();
        self.nodes.get_mut(place).expect("places are constants").start(&program);
    }

    /// Ends a daemon as systemd would.
    pub(crate) fn stop_node(&mut self, place: usize) {
        self.nodes.get_mut(place).expect("places are constants").stop();
    }

    pub(crate) fn node(&self, place: usize) -> &Node {
        self.nodes.get(place).expect("places are constants")
    }

    pub(crate) fn count(&self) -> usize {
        self.nodes.len()
    }

    /// The process ids of all that run.
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.nodes.iter().filter_map(Node::pid).collect()
    }
}

impl Node {
    fn start(&mut self, program: &Path) {
        let log = File::options().create(true).append(true).open(self.dir.join("log"));
        let line = self.dir.join("notify");
        drop(fs::remove_file(&line));
        self.line = Some(UnixDatagram::bind(&line).expect("a socket can be made"));
        let mut command = Command::new(program);
        command
            .arg("--data-dir")
            .arg(self.data())
            .arg("--socket")
            .arg(self.socket())
            .args(["--listen", &self.listen.to_string(), "--network", "bench", "--config"])
            .arg(self.dir.join("bytchatd.toml"))
            .env("NOTIFY_SOCKET", &line)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.expect("a file can be opened"));
        self.child = Some(command.spawn().expect("the daemon is built"));
    }

    fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let asked = kill_process(Pid::from_child(&child), Signal::TERM);
        asked.expect("our own process takes signals");
        child.wait().expect("a process can be waited for");
    }

    /// Waits until the daemon says that its start is over, as systemd would.
    pub(crate) fn await_ready(&self) {
        let line = self.line.as_ref().expect("the daemon was started");
        line.set_read_timeout(Some(PATIENCE)).expect("a socket takes a timeout");
        let mut words = [0; 256];
        let length = line.recv(&mut words).expect("a daemon that starts is ready some time");
        assert!(words[..length].starts_with(b"READY=1"), "the first word is that it is ready");
    }

    /// The directory of its data.
    pub(crate) fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// A connection, as soon as there is one.
    pub(crate) fn client(&self) -> Client {
        let until = Instant::now() + PATIENCE;
        loop {
            match Client::connect(&self.socket()) {
                Ok(client) => return client,
                Err(error) => assert!(Instant::now() < until, "{}: {error}", self.dir.display()),
            }
            thread::sleep(PAUSE);
        }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.join("bytchatd.sock")
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

fn free_address() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback is up");
    socket.local_addr().expect("a bound socket has an address")
}

fn configuration(host: Option<&str>, pods: &[(&str, SocketAddr)]) -> String {
    let addresses: Vec<_> = pods.iter().map(|(_, address)| format!("\"{address}\"")).collect();
    let mut toml = format!("bootstrap = [{}]\n", addresses.join(", "));
    if let Some(host) = host {
        write!(toml, "\n[pod]\nhost = \"{host}\"\n").expect("strings take any text");
    }
    for (host, address) in pods {
        write!(toml, "\n[[pods]]\nhost = \"{host}\"\naddress = \"{address}\"\n")
            .expect("strings take any text");
    }
    toml
}
