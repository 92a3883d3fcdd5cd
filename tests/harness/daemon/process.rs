//! One daemon: its folder, its process, its socket.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::command::bytctl;
use super::wait::{PATIENCE, until};
use super::{Pod, Ran, Socket, programs};

/// Between two looks whether a process that is to tell us something still lives.
const LOOK: Duration = Duration::from_millis(200);
/// Lines of the log that a failure shows.
const LOG_LINES: usize = 15;

/// What a daemon is told by its configuration.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// The name of the network.
    pub network: String,
    /// Whom to ask first.
    pub bootstrap: Vec<SocketAddr>,
    /// The host name, if it is a pod.
    pub host: Option<String>,
    /// Pods that need no DNS.
    pub pods: Vec<Pod>,
    /// DNS servers to ask; the system's if there are none.
    pub dns: Vec<SocketAddr>,
    /// Where to listen; anywhere if not said.
    pub listen: Option<SocketAddr>,
}

/// A daemon; its process does not outlive it.
#[derive(Debug)]
pub struct Daemon {
    dir: Option<TempDir>,
    child: Mutex<Option<Child>>,
}

impl Setup {
    fn toml(&self) -> String {
        let list = |addresses: &[SocketAddr]| {
            let quoted = addresses.iter().map(|address| format!("\"{address}\""));
            quoted.collect::<Vec<_>>().join(", ")
        };
        let listen = self.listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0)));
        let mut lines = vec![
            format!("network = \"{}\"", self.network),
            format!("listen = [\"{listen}\"]"),
            format!("bootstrap = [{}]", list(&self.bootstrap)),
        ];
        if !self.dns.is_empty() {
            lines.push(format!("dns = [{}]", list(&self.dns)));
        }
        lines.extend(self.host.iter().map(|host| format!("[pod]\nhost = \"{host}\"")));
        lines.extend(self.pods.iter().map(|Pod { host, address }| {
            format!("[[pods]]\nhost = \"{host}\"\naddress = \"{address}\"")
        }));
        lines.join("\n") + "\n"
    }
}

impl Daemon {
    /// A daemon in a new folder, not started yet.
    ///
    /// # Panics
    /// If there can be no folder.
    pub fn new(setup: &Setup) -> Self {
        let dir = tempfile::Builder::new().prefix("bytchat-").tempdir().unwrap();
        let daemon = Self { dir: Some(dir), child: Mutex::new(None) };
        daemon.configure(setup);
        daemon
    }

    /// A daemon in a new folder, started and answering.
    pub fn start(setup: &Setup) -> Self {
        let daemon = Self::new(setup);
        daemon.run();
        daemon
    }

    /// Writes another configuration, for the next start.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn configure(&self, setup: &Setup) {
        fs::write(self.path("bytchatd.toml"), setup.toml()).unwrap();
    }

    /// Adds tables to its configuration, for the next start.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn configure_more(&self, tables: &str) {
        let path = self.path("bytchatd.toml");
        let text = fs::read_to_string(&path).unwrap() + tables;
        fs::write(path, text).unwrap();
    }

    /// A path in its folder.
    ///
    /// # Panics
    /// Never: the folder is there until the end.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.as_ref().unwrap().path().join(name)
    }

    /// The path of its socket.
    pub fn socket_path(&self) -> PathBuf {
        self.path("sock")
    }

    /// The command that runs it.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&programs().bytchatd);
        command
            .env_clear()
            .env("BYTCHAT_LOG", std::env::var("BYTCHAT_LOG").unwrap_or("info".to_owned()))
            .arg("--config")
            .arg(self.path("bytchatd.toml"))
            .arg("--data-dir")
            .arg(self.path("data"))
            .arg("--socket")
            .arg(self.socket_path())
            .stdin(Stdio::null());
        command
    }

    /// Starts its process and waits until it answers.
    pub fn run(&self) {
        self.run_as(&mut self.command());
    }

    /// Starts its process by another command and waits until it says that it is ready.
    ///
    /// # Panics
    /// If it ends, or does not say so in time.
    pub fn run_as(&self, command: &mut Command) {
        let notify = self.path("notify");
        match fs::remove_file(&notify) {
            Err(error) if error.kind() != ErrorKind::NotFound => panic!("{error}"),
            Ok(()) | Err(_) => {}
        }
        let notices = UnixDatagram::bind(&notify).unwrap();
        notices.set_read_timeout(Some(LOOK)).unwrap();
        let log = File::options().create(true).append(true).open(self.path("log")).unwrap();
        command.env("NOTIFY_SOCKET", &notify).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().unwrap();
        assert!(self.child().replace(child).is_none(), "it runs already");
        let end = Instant::now() + PATIENCE;
        let mut notice = [0; 256];
        while notices.recv(&mut notice).is_err() {
            let ended = self.child().as_mut().and_then(|child| child.try_wait().unwrap());
            assert!(ended.is_none(), "it ended with {ended:?}:\n{}", self.log());
            assert!(Instant::now() < end, "it does not start:\n{}", self.log());
        }
        assert!(notice.starts_with(b"READY=1"), "{}", String::from_utf8_lossy(&notice));
    }

    fn child(&self) -> std::sync::MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends its process as systemd would; says how it ended and how long that took.
    ///
    /// # Panics
    /// If it does not run, or does not end.
    pub fn stop(&self) -> (ExitStatus, Duration) {
        let mut child = self.child().take().unwrap();
        let begun = Instant::now();
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        (until("the stop of a daemon", || child.try_wait().unwrap()), begun.elapsed())
    }

    /// Ends its process as a power cut would, as far as the process is concerned.
    ///
    /// # Panics
    /// If it does not run.
    pub fn kill(&self) {
        let mut child = self.child().take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Bytes of memory that it uses.
    ///
    /// # Panics
    /// If it does not run.
    pub fn memory(&self) -> u64 {
        let pid = self.child().as_ref().unwrap().id();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        1024 * line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    }

    /// Runs `bytctl` with JSON as its language.
    pub fn ctl<S: AsRef<OsStr>>(&self, args: &[S]) -> Ran {
        self.ctl_reading(args, b"")
    }

    /// The same with something on stdin.
    pub fn ctl_reading<S: AsRef<OsStr>>(&self, args: &[S], stdin: &[u8]) -> Ran {
        Ran::of(bytctl(&self.socket_path()).args(args), stdin)
    }

    /// `bytctl`, still to be run.
    pub fn ctl_command(&self) -> Command {
        bytctl(&self.socket_path())
    }

    /// Runs `bytctl`, which must go well, and gives its result.
    pub fn get<S: AsRef<OsStr>>(&self, args: &[S]) -> Value {
        self.ctl(args).json()
    }

    /// Connects to its socket.
    pub fn socket(&self) -> Socket {
        Socket::connect(&self.socket_path())
    }

    /// Calls a method, which must go well, and gives its result.
    ///
    /// # Panics
    /// If it gives an error.
    pub fn call(&self, method: &str, params: &Value) -> Value {
        let mut answer = self.socket().call(method, params);
        assert!(answer["error"].is_null(), "{method}: {answer}");
        answer["result"].take()
    }

    /// Where it listens.
    ///
    /// # Panics
    /// If it listens nowhere.
    pub fn address(&self) -> SocketAddr {
        let status = self.get(&["node", "status"]);
        status["listen"][0].as_str().unwrap().parse().unwrap()
    }

    /// Waits until it knows so many others.
    pub fn meets(&self, peers: u64) {
        until("a daemon that knows others", || {
            let known = self.call("node.status", &json!({}))["peers"].as_u64();
            known.filter(|known| *known >= peers)
        });
    }

    /// Waits for an event, by long polls from an event on; gives it.
    ///
    /// # Panics
    /// If it does not come in time.
    pub fn event(&self, since: u64, wanted: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + PATIENCE;
        let mut since = since;
        loop {
            let page = self.call("event.list", &json!({ "since": since, "wait_ms": 5000 }));
            let mut events = page["events"].as_array().unwrap().iter();
            if let Some(event) = events.find(|event| wanted(event)) {
                return event.clone();
            }
            since = page["next"].as_u64().unwrap();
            assert!(Instant::now() < end, "the event did not come:\n{}", self.log());
        }
    }

    /// Waits until a message has arrived here; gives it as the event shows it.
    pub fn arrival(&self, id: &str) -> Value {
        let arrived = |event: &Value| {
            event["type"] == "message.received" && event["data"]["id"].as_str() == Some(id)
        };
        self.event(0, arrived)["data"].take()
    }

    /// How often a message is in the log of events and in the inbox.
    ///
    /// # Panics
    /// If the daemon does not answer.
    pub fn times(&self, text: &str) -> (usize, usize) {
        let mut told = 0;
        let mut since = 0;
        loop {
            let page = self.call("event.list", &json!({ "since": since, "limit": 500 }));
            let events = page["events"].as_array().unwrap();
            if events.is_empty() {
                break;
            }
            let arrived = |event: &&Value| event["type"] == "message.received";
            let same = |event: &&Value| event["data"]["text"] == text;
            told += events.iter().filter(arrived).filter(same).count();
            since = page["next"].as_u64().unwrap();
        }
        let inbox = self.get(&["inbox", "--limit", "500"]);
        let inbox = inbox.as_array().unwrap().iter();
        (told, inbox.filter(|message| message["text"] == text).count())
    }

    /// The end of its log.
    pub fn log(&self) -> String {
        let log = fs::read_to_string(self.path("log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }

    /// Makes an account and gives its id.
    ///
    /// # Panics
    /// If there is none then.
    pub fn account(&self, name: &str) -> String {
        let account = self.get(&["account", "create", "--name", name]);
        account["id"].as_str().unwrap().to_owned()
    }

    /// A folder in its folder that exists.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn folder(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(&path).unwrap();
        path
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(mut child) = self.child().take() {
            drop(child.kill());
            drop(child.wait());
        }
        if std::thread::panicking()
            && let Some(dir) = self.dir.take()
        {
            let dir = dir.keep();
            println!("kept: {}", Path::display(&dir));
        }
    }
}
