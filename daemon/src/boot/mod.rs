//! The start: directory, store, secrets, network, node, socket, in this order; and the stop.

mod allow;
mod home;
mod hot;
mod listen;
mod network;
mod reload;
mod secrets;
mod work;

use std::collections::BTreeMap;
use std::io;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytchat_core::crypto::{CryptoError, NetworkKey, NodeSecret};
use bytchat_core::io::PodAddress;
use bytchat_core::node::{Node, NodeConfig, NodeError};
use bytchat_core::stamp::Terms;
use bytchat_proto::alias::Host;
use bytchat_proto::id::NodeId;
use bytchat_proto::limits::{START_PATIENCE_MS, STOP_MS};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;

use crate::clock::Clock;
use crate::config::{Args, Config, Origins, StaticPod, Surroundings};
use crate::engine::{self, Engine, EngineError, Surface, Wires};
use crate::entropy::{self, NoEntropy};
use crate::log::Log;
use crate::net::{KeyError, Net, NetConfig, NetError, NetLimits, NodeKey};
use crate::resolve::Resolver;
use crate::rpc::{Access, Listener, MODE_SYSTEM, MODE_USER, RpcConfig, RpcServeError};
use crate::store::{Options, Store, StoreError};
use crate::systemd::{Notifier, Sockets};

pub use home::HomeError;
pub use network::{NetworkKeyError, network_key};
pub use secrets::SecretsError;

use allow::{check_names, rules};
use reload::{Reload, Told, hangups};
use secrets::{Key, Secrets};

/// Why the daemon did not start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// The data directory cannot be used.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// Another daemon has it.
    #[error(
        "another bytchatd uses the data directory {}: stop it, or choose another with --data-dir",
        dir.display()
    )]
    Busy {
        /// The data directory.
        dir: PathBuf,
    },
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A counter of this node is damaged on disk.
    #[error(
        "the node's counters are damaged on disk ({0}): without them ids would be given out \
         twice; bring the data directory back from a backup"
    )]
    Counters(StoreError),
    /// The secrets cannot be had.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// The key of the private network cannot be had.
    #[error(transparent)]
    NetworkKey(#[from] NetworkKeyError),
    /// The node's key cannot be used.
    #[error("the node's key is unusable: {0}")]
    Secret(#[from] CryptoError),
    /// The node's key cannot be used for links.
    #[error("the node's key is unusable for links: {0}")]
    Key(#[from] KeyError),
    /// The network does not start.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The node does not start.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The socket cannot be bound.
    #[error(transparent)]
    Rpc(#[from] RpcServeError),
    /// There is no randomness.
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
    /// The operating system does not give us signals or systemd's line.
    #[error("the operating system refuses {what}: {source}")]
    System {
        /// What was asked for.
        what: &'static str,
        /// What it said.
        source: io::Error,
    },
    /// The engine stopped by itself.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Something hung at the stop.
    #[error("the stop took longer than {STOP_MS} ms: what was answered is on disk")]
    SlowStop,
}

/// What a start begins with.
#[derive(Debug)]
pub struct Start {
    /// The flags, to read the configuration again.
    pub args: Args,
    /// The folders that the surroundings name.
    pub around: Surroundings,
    /// The configuration.
    pub config: Config,
    /// Where its values come from.
    pub origins: Origins,
    /// The log.
    pub log: Log,
    /// The sockets that were handed over.
    pub sockets: Sockets,
}

/// What makes this node the one that it is.
struct Own {
    secrets: Secrets,
    secret: NodeSecret,
    network_key: Option<NetworkKey>,
    terms: Terms,
    stamp: Vec<u8>,
}

impl BootError {
    /// Tells whether another try would end alike until somebody changes something.
    pub fn is_lasting(&self) -> bool {
        match self {
            Self::Home(_) | Self::Counters(_) => true,
            Self::Secrets(error) => error.is_lasting(),
            Self::NetworkKey(error) => error.is_lasting(),
            Self::Busy { .. }
            | Self::Store(_)
            | Self::Secret(_)
            | Self::Key(_)
            | Self::Net(_)
            | Self::Node(_)
            | Self::Rpc(_)
            | Self::Entropy(_)
            | Self::System { .. }
            | Self::Engine(_)
            | Self::SlowStop => false,
        }
    }
}

/// Runs the daemon until it is told to stop by SIGTERM or SIGINT, or cannot go on; at SIGHUP it
/// reads its configuration again.
///
/// # Errors
/// The first thing that stands in the way, with what to do about it.
pub async fn run(start: Start) -> Result<(), BootError> {
    let Start { args, around, config, origins, log, sockets } = start;
    let clock = Clock::start();
    let notifier = notifier()?;
    let (stop, stopped) = watch::channel(false);
    let mut signals = JoinSet::new();
    signals.spawn(signalled()?);
    let hangups = hangups()?;

    raise_files();
    home::prepare(&config.data_dir)?;
    // The library's first seed takes as long as opening the store: both at once.
    let seed = spawn_blocking(entropy::seed);
    let store = patiently(&notifier, "opening the store", open_store(&config.data_dir)).await?;
    let secrets = load_secrets(&store, &config, &around).await?;
    let secret = NodeSecret::from_seed(*secrets.seed)?;
    let network_key = network_key(config.network_key.as_deref(), around.credentials.as_deref())?;
    let terms = work::terms(&config, network_key.as_ref());
    let stamp = work::stamp(&store, terms, secret.key(), &mut signals);
    let Some(stamp) = patiently(&notifier, "making its proof of work", stamp).await? else {
        close_store(store).await;
        return Ok(());
    };
    let seed = seed.await.expect("the library gives a seed or says why not")?;
    let own = Own { secrets, secret, network_key, terms, stamp };
    let mut told = Told::new(origins, &config, &sockets, &notifier);
    let building = build(&config, sockets.quic, &store, (own, seed), &clock);
    let (wires, node) = patiently(&notifier, "reading the store", building).await?;
    told.listening(&config, &wires.net.listen_addresses());
    let access = Arc::new(Access::new(rules(&config.api)));
    check_names(&access);
    let listener = front_door(sockets.rpc, &config, &around)?.admitting(Arc::clone(&access));
    let (calls, incoming) = engine::channel(told.shown.subscribe(), clock);
    let mut rpc = JoinSet::new();
    rpc.spawn(listener.serve(Arc::new(calls), stopped));
    let resolver = Resolver::new(known_pods(&config.pods), &config.dns);
    let (changes, changed) = mpsc::channel(1);
    let mut rereading = JoinSet::new();
    if let Some(hangups) = hangups {
        rereading.spawn(Reload { args, around, config, log, told, access, changes }.run(hangups));
    }

    notifier.ready("running");
    let surface = Surface {
        disk: store.clone(),
        links: wires,
        calls: incoming,
        resolver,
        clock,
        notifier: notifier.clone(),
        changes: changed,
    };
    let mut engine = Engine::new(node, surface);
    let told = async {
        signals.join_next().await;
        notifier.stopping();
        stop.send_replace(true);
        // Calls that have come are answered before the engine ends.
        rpc.join_next().await;
    };
    let result = engine.run(told).await;
    stop.send_replace(true);
    let end = async {
        rpc.join_all().await;
        engine.into_links().net.shutdown().await;
        close_store(store).await;
    };
    let ended = timeout(Duration::from_millis(STOP_MS), end).await;
    result?;
    ended.map_err(|_| BootError::SlowStop)
}

/// The socket for front ends: the one that was handed over, or one of our own.
fn front_door(
    passed: Option<std::os::unix::net::UnixListener>,
    config: &Config,
    around: &Surroundings,
) -> Result<Listener, BootError> {
    if let Some(socket) = passed {
        let address = socket.local_addr().ok();
        let path = address.as_ref().and_then(|address| address.as_pathname());
        let path = path.unwrap_or(Path::new("a socket without a path")).display();
        tracing::info!(socket = %path, "it serves front ends on the socket of systemd");
        return Ok(Listener::adopt(socket)?);
    }
    let socket = config.socket.clone();
    tracing::info!(socket = %socket.display(), "it serves front ends");
    let mode = match around.state {
        Some(_) => MODE_SYSTEM,
        None => MODE_USER,
    };
    Ok(Listener::bind(&RpcConfig { socket, mode })?)
}

/// Front ends and links need a file each: as many as we may have without asking anybody.
fn raise_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

fn notifier() -> Result<Notifier, BootError> {
    let variable = |name| std::env::var(name).ok();
    let socket = variable("NOTIFY_SOCKET");
    let watchdog = variable("WATCHDOG_USEC");
    Notifier::open(socket.as_deref(), watchdog.as_deref())
        .map_err(|source| BootError::System { what: "a line to systemd", source })
}

/// A future that ends when somebody tells the process to stop.
fn signalled() -> Result<impl Future<Output = ()> + use<>, BootError> {
    let listen = |kind| {
        signal(kind).map_err(|source| BootError::System { what: "to listen to signals", source })
    };
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Does something, and asks systemd for more time if it takes long.
async fn patiently<T>(notifier: &Notifier, what: &str, work: impl Future<Output = T>) -> T {
    let patience = Duration::from_millis(START_PATIENCE_MS);
    let mut work = pin!(work);
    loop {
        match timeout(patience / 2, &mut work).await {
            Ok(done) => return done,
            Err(_) => notifier.starting(what, patience),
        }
    }
}

async fn open_store(dir: &Path) -> Result<Store, BootError> {
    let path = dir.join("store");
    let opened = spawn_blocking(move || Store::open(&path, Options::default())).await;
    match opened.expect("the store opens or says why not") {
        Err(StoreError::Busy { .. }) => Err(BootError::Busy { dir: dir.to_path_buf() }),
        result => Ok(result?),
    }
}

async fn close_store(store: Store) {
    if let Err(error) = spawn_blocking(move || store.close()).await {
        tracing::error!(%error, "the store did not close");
    }
}

async fn load_secrets(
    store: &Store,
    config: &Config,
    around: &Surroundings,
) -> Result<Secrets, BootError> {
    let (store, dir) = (store.clone(), config.data_dir.clone());
    let credentials = around.credentials.clone();
    let loaded = spawn_blocking(move || secrets::load(&store, &dir, credentials.as_deref())).await;
    Ok(loaded.expect("secrets are loaded or it is said why not")?)
}

async fn build(
    config: &Config,
    passed: Vec<UdpSocket>,
    store: &Store,
    (own, seed): (Own, Key),
    clock: &Clock,
) -> Result<(Wires, Node), BootError> {
    let key = NodeKey::from_pkcs8(&own.secret.to_pkcs8())?;
    let (net, events) = match passed.is_empty() {
        true => listen::start(config, &key).await?,
        false => {
            let listen = Vec::new();
            Net::adopt(passed, NetConfig { listen, key, limits: NetLimits::default() }).await?
        }
    };
    let Terms { network, work } = own.terms;
    tell(config, own.secret.key().node(network, &own.stamp), &net);
    let node = NodeConfig {
        network,
        network_key: own.network_key,
        work,
        stamp: own.stamp,
        secret: *own.secrets.seed,
        vault: *own.secrets.vault,
        listen: net.listen_addresses(),
        bootstrap: config.bootstrap.clone(),
        pod: config.pod.clone(),
        events: config.events,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let store = store.clone();
    let rows = spawn_blocking(move || hot::rows(&store)).await;
    let rows = rows.expect("the store answers and does not panic")?;
    let node = Node::new(node, *seed, rows, clock.now())?;
    Ok((Wires { net, events }, node))
}

fn known_pods(pods: &[StaticPod]) -> BTreeMap<Host, Vec<PodAddress>> {
    let mut known: BTreeMap<Host, Vec<PodAddress>> = BTreeMap::new();
    for pod in pods {
        known.entry(pod.host.clone()).or_default().push(PodAddress {
            address: pod.address,
            node: pod.node,
            trusted: true,
        });
    }
    known
}

fn tell(config: &Config, node: NodeId, net: &Net) {
    let version = env!("CARGO_PKG_VERSION");
    let name = match config.network.as_str() {
        "" => "public",
        name => name,
    };
    tracing::info!(version, network = name, %node, "bytchatd starts");
    for address in net.listen_addresses() {
        tracing::info!(%address, "it listens to other nodes");
    }
    if let Some(host) = &config.pod {
        tracing::info!(%host, "it is a pod");
    }
    tracing::info!(data_dir = %config.data_dir.display(), "it keeps its data");
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_start_that_takes_long_asks_for_time_and_a_short_one_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let systemd = UnixDatagram::bind(&path).unwrap();
        systemd.set_nonblocking(true).unwrap();
        let notifier = Notifier::open(path.to_str(), None).unwrap();
        let hear = || {
            let mut bytes = [0; 128];
            let length = systemd.recv(&mut bytes).ok()?;
            Some(String::from_utf8(bytes[..length].to_vec()).unwrap())
        };
        let work = async |seconds| {
            let never = std::future::pending::<()>();
            assert!(timeout(Duration::from_secs(seconds), never).await.is_err());
            seconds
        };
        assert_eq!(patiently(&notifier, "opening", work(29)).await, 29);
        assert_eq!(hear(), None);
        assert_eq!(patiently(&notifier, "opening", work(70)).await, 70);
        let asked = "EXTEND_TIMEOUT_USEC=60000000\nSTATUS=opening";
        assert_eq!([hear(), hear()], [Some(asked.to_owned()), Some(asked.to_owned())]);
        assert_eq!(hear(), None);
    }
}
