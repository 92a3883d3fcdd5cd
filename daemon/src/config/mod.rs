//! What the daemon is told by flags, a file and its surroundings; all of it may be absent.

mod allow;
mod args;
mod change;
mod example;
mod file;
mod keys;
mod manual;
mod origin;
mod show;

use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use bytchat_core::event::Keep;
use bytchat_proto::alias::Host;
use bytchat_proto::id::NodeId;
use bytchat_proto::limits::{PORT_DEFAULT, WORK_BITS_NAMED, WORK_BITS_PUBLIC};
use directories::ProjectDirs;

pub use allow::{Allow, Api};
pub use args::Args;
pub use change::Difference;
pub use example::example;
use file::File;
pub use manual::Page;
pub use origin::Origins;

/// The configuration as it is in effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where to listen.
    pub listen: Listen,
    /// Where to ask when no neighbour is known.
    pub bootstrap: Vec<SocketAddr>,
    /// The name of the network; the public network has the empty name.
    pub network: String,
    /// Where the key of the private network lies, if the file names it.
    pub network_key: Option<PathBuf>,
    /// The bits of work that it asks for.
    pub work: u8,
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// Where front ends call.
    pub socket: PathBuf,
    /// Who may use the socket.
    pub api: Api,
    /// The host name under which this node is a pod.
    pub pod: Option<Host>,
    /// Pods that need no DNS.
    pub pods: Vec<StaticPod>,
    /// DNS servers to ask instead of the system's.
    pub dns: Vec<SocketAddr>,
    /// What is logged, unless BYTCHAT_LOG says otherwise.
    pub log: String,
    /// How much of the log of events is kept for each Unix user.
    pub events: Keep,
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// Nobody said: the usual port, or any if that is taken; IPv6 too where there is any.
    Usual,
    /// Exactly here.
    At(Vec<SocketAddr>),
}

/// A pod whose place is written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticPod {
    /// Its host name.
    pub host: Host,
    /// Its address.
    pub address: SocketAddr,
    /// Its node id, if it is known.
    pub node: Option<NodeId>,
}

/// What the surroundings name: folders, above all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// `STATE_DIRECTORY`, of systemd.
    pub state: Option<PathBuf>,
    /// `RUNTIME_DIRECTORY`, of systemd.
    pub runtime: Option<PathBuf>,
    /// `CONFIGURATION_DIRECTORY`, of systemd.
    pub configuration: Option<PathBuf>,
    /// `CREDENTIALS_DIRECTORY`, of systemd.
    pub credentials: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`, of the user's session.
    pub session: Option<PathBuf>,
    /// The user's folder for data.
    pub user_data: Option<PathBuf>,
    /// The user's folder for configuration.
    pub user_configuration: Option<PathBuf>,
    /// `BYTCHAT_LOG`, which comes before what the configuration says.
    pub log: Option<String>,
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {source}: check the path and its permissions", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file is no TOML.
    #[error("{}:{line}: not valid TOML: {reason}", file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What the parser said.
        reason: String,
    },
    /// A key that has no meaning.
    #[error("{}:{line}: unknown key `{key}`, expected one of {expected}", file.display())]
    UnknownKey {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The key, with the table it is in.
        key: String,
        /// The keys that have a meaning there.
        expected: String,
    },
    /// A value that has no meaning.
    #[error("{}:{line}: `{key}` is {expected}, got {got}", file.display())]
    Value {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The key, with the table it is in.
        key: String,
        /// What would do.
        expected: &'static str,
        /// What stands there.
        got: String,
    },
    /// A key that is needed is not there.
    #[error("{}:{line}: `{key}` is missing, expected {expected}", file.display())]
    Missing {
        /// The file.
        file: PathBuf,
        /// The line of the table, from 1.
        line: usize,
        /// The key, with the table it is in.
        key: String,
        /// What would do.
        expected: &'static str,
    },
    /// Nothing says where to keep the data.
    #[error("no data directory is known because HOME is not set: name one with --data-dir")]
    NoDataDir,
}

impl Config {
    /// Reads the file, if there is one, and lets the flags override it; also says where each
    /// value comes from.
    pub fn load(args: &Args, around: &Surroundings) -> Result<(Self, Origins), ConfigError> {
        let usual = || around.config_file().filter(|path| path.exists());
        let path = args.config.clone().or_else(usual);
        let file = path.as_deref().map_or_else(|| Ok(File::default()), read)?;
        let origins = Origins::new(args, around, &file, path);
        Ok((Self::merge(file, args, around)?, origins))
    }

    fn merge(file: File, args: &Args, around: &Surroundings) -> Result<Self, ConfigError> {
        let data_dir = args
            .data_dir
            .clone()
            .or(file.data_dir)
            .or_else(|| around.data_dir())
            .ok_or(ConfigError::NoDataDir)?;
        let socket = args.socket.clone().or(file.socket);
        let listen = some(&args.listen).or(file.listen);
        let network = args.network.clone().or(file.network).unwrap_or_default();
        let usual = if network.is_empty() { WORK_BITS_PUBLIC } else { WORK_BITS_NAMED };
        Ok(Self {
            listen: listen.map_or(Listen::Usual, Listen::At),
            bootstrap: some(&args.bootstrap).or(file.bootstrap).unwrap_or_default(),
            network,
            network_key: file.network_key,
            work: file.work.unwrap_or(usual),
            socket: socket.unwrap_or_else(|| around.socket(&data_dir)),
            data_dir,
            api: Api::new(file.allow),
            pod: args.pod_host.clone().or(file.pod),
            pods: file.pods,
            dns: file.dns.unwrap_or_default(),
            log: file.log.unwrap_or_else(|| "info".to_owned()),
            events: file.events.unwrap_or_default(),
        })
    }
}

impl Listen {
    /// The addresses to try first.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        match self {
            Self::Usual => usual(PORT_DEFAULT),
            Self::At(addresses) => addresses.clone(),
        }
    }
}

/// Every address of both families, at a port.
pub fn usual(port: u16) -> Vec<SocketAddr> {
    vec![
        SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)),
        SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
    ]
}

impl Surroundings {
    /// Reads them from the environment.
    pub fn read() -> Self {
        let user = ProjectDirs::from("", "", "bytchat");
        Self {
            state: folder("STATE_DIRECTORY"),
            runtime: folder("RUNTIME_DIRECTORY"),
            configuration: folder("CONFIGURATION_DIRECTORY"),
            credentials: folder("CREDENTIALS_DIRECTORY"),
            session: folder("XDG_RUNTIME_DIR"),
            user_data: user.as_ref().map(|dirs| dirs.data_local_dir().into()),
            user_configuration: user.map(|dirs| dirs.config_dir().into()),
            log: std::env::var("BYTCHAT_LOG").ok(),
        }
    }

    fn config_file(&self) -> Option<PathBuf> {
        let folder = self.configuration.as_ref();
        let folder = folder.or(self.user_configuration.as_ref())?;
        Some(folder.join("bytchatd.toml"))
    }

    fn data_dir(&self) -> Option<PathBuf> {
        self.state.clone().or_else(|| self.user_data.clone())
    }

    fn socket(&self, data_dir: &Path) -> PathBuf {
        let session = || self.session.as_ref().map(|folder| folder.join("bytchat"));
        self.runtime
            .clone()
            .or_else(session)
            .unwrap_or_else(|| data_dir.to_path_buf())
            .join("bytchatd.sock")
    }
}

// systemd separates several folders with colons; the first is the daemon's own.
fn folder(variable: &str) -> Option<PathBuf> {
    let value = std::env::var_os(variable)?;
    std::env::split_paths(&value).next().filter(|path| path.is_absolute())
}

fn read(path: &Path) -> Result<File, ConfigError> {
    let text = fs::read_to_string(path)
        .map_err(|source| ConfigError::Read { file: path.to_path_buf(), source })?;
    File::parse(path, &text)
}

fn some<T: Clone>(list: &[T]) -> Option<Vec<T>> {
    (!list.is_empty()).then(|| list.to_vec())
}

#[cfg(test)]
mod tests;
