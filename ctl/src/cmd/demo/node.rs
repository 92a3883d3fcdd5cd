//! One daemon of the demo: its files, its process and its socket.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bytchat_proto::rpc::node::Status;
use bytchat_proto::rpc::{Call, Nothing};

use super::children::Children;
use crate::client::Client;
use crate::failure::Failure;

/// A daemon answers by then, or something is wrong.
const START_PATIENCE: Duration = Duration::from_secs(60);
const STOP_PATIENCE: Duration = Duration::from_secs(30);
/// Between two tries to reach a daemon that is starting.
const CONNECT_PAUSE: Duration = Duration::from_millis(20);
/// Lines of a log that are shown when its daemon ended by itself.
const LOG_LINES: usize = 5;

/// One daemon.
#[derive(Debug)]
pub(super) struct Node {
    number: usize,
    dir: PathBuf,
    listen: String,
    children: Children,
    /// Its socket.
    pub(super) client: Client,
}

impl Node {
    /// A daemon that is not started yet.
    pub(super) fn new(number: usize, dir: &Path, children: Children) -> Result<Self, Failure> {
        let dir = dir.join(format!("{number:02}"));
        fs::create_dir_all(&dir).map_err(failed("make", &dir))?;
        Ok(Self {
            number,
            client: Client::new(vec![dir.join("bytchatd.sock")]),
            dir,
            listen: "127.0.0.1:0".to_owned(),
            children,
        })
    }

    /// The path of its socket.
    pub(super) fn socket(&self) -> PathBuf {
        self.dir.join("bytchatd.sock")
    }

    /// The path of its log.
    pub(super) fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// Lets it come back at the address that it has now.
    pub(super) fn stay_at(&mut self, address: std::net::SocketAddr) {
        self.listen = address.to_string();
    }

    /// Writes its configuration.
    pub(super) fn configure(&self, toml: &str) -> Result<(), Failure> {
        let file = self.dir.join("bytchatd.toml");
        fs::write(&file, toml).map_err(failed("write", &file))
    }

    /// Starts its process.
    pub(super) fn start(&mut self, program: &Path, network: &str) -> Result<(), Failure> {
        let log = self.log();
        let open = || File::options().create(true).append(true).open(&log);
        let (out, err) =
            (open().map_err(failed("open", &log))?, open().map_err(failed("open", &log))?);
        let mut command = Command::new(program);
        command
            .arg("--data-dir")
            .arg(self.dir.join("data"))
            .arg("--socket")
            .arg(self.socket())
            .args(["--listen", &self.listen, "--network", network, "--config"])
            .arg(self.dir.join("bytchatd.toml"))
            .env_remove("NOTIFY_SOCKET")
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            // A Ctrl-C at the terminal is ours to handle, and with --keep it must outlive us.
            .process_group(0);
        let pid =
            self.children.start(self.number, &mut command).map_err(failed("start", program))?;
        let file = self.dir.join("pid");
        fs::write(&file, format!("{pid}\n")).map_err(failed("write", &file))
    }

    /// Waits until it answers.
    pub(super) fn ready(&mut self) -> Result<Status, Failure> {
        let until = Instant::now() + START_PATIENCE;
        loop {
            let failure = match self.client.call(&Call::NodeStatus(Nothing {})) {
                Ok(status) => return Ok(status),
                Err(failure) => failure,
            };
            let ended = self.children.ended(self.number);
            if let Some(status) = ended.map_err(failed("watch", &self.dir))? {
                return Err(Failure::Unmet(format!(
                    "daemon {} ended with {status}: {}",
                    self.number,
                    self.last_words()
                )));
            }
            if !failure.is_passing() || Instant::now() > until {
                return Err(failure);
            }
            std::thread::sleep(CONNECT_PAUSE);
        }
    }

    /// Ends its process as systemd would.
    pub(super) fn stop(&mut self) -> Result<(), Failure> {
        self.client = Client::new(vec![self.socket()]);
        let stopped = self.children.stop(self.number, STOP_PATIENCE);
        stopped.map_err(failed("stop the daemon in", &self.dir))
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        let begin = lines.len().saturating_sub(LOG_LINES);
        lines.get(begin..).unwrap_or_default().join("\n  ")
    }
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Failure {
    let path = path.to_owned();
    move |source| Failure::File { what, path, source }
}
