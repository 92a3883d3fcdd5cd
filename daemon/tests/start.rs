//! Starts the real binary: what it says, where it listens, how it stops, why it does not start.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// A folder with room for one daemon.
struct Place {
    dir: TempDir,
}

/// A daemon that said that it is ready.
struct Daemon {
    process: Child,
    notices: UnixDatagram,
}

impl Place {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self) -> Command {
        let mut command = self.plain_command();
        command.args(["--listen", "127.0.0.1:0"]);
        command
    }

    fn plain_command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bytchatd"));
        command
            .env_clear()
            .env("BYTCHAT_LOG", "info")
            .arg("--data-dir")
            .arg(self.path("data"))
            .arg("--socket")
            .arg(self.path("run/chat.sock"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn start(&self) -> Daemon {
        self.start_with(&mut self.command())
    }

    fn start_with(&self, command: &mut Command) -> Daemon {
        let path = self.path("notify");
        if path.exists() {
            fs::remove_file(&path).unwrap();
        }
        let notices = UnixDatagram::bind(&path).unwrap();
        notices.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let process = command.env("NOTIFY_SOCKET", &path).spawn().unwrap();
        let daemon = Daemon { process, notices };
        assert_eq!(daemon.notice(), "READY=1\nSTATUS=running");
        daemon
    }

    fn fails(&self, change: impl FnOnce(&mut Command)) -> (i32, String) {
        let mut command = self.command();
        change(&mut command);
        let output = command.output().unwrap();
        (output.status.code().unwrap(), text(&output.stderr))
    }
}

impl Daemon {
    fn notice(&self) -> String {
        let mut bytes = [0; 256];
        let length = self.notices.recv(&mut bytes).unwrap();
        text(&bytes[..length])
    }

    fn stop(mut self) -> Output {
        signal(&self.process, "TERM");
        let mut notice = self.notice();
        // How it stands may have been said before.
        while notice.starts_with("STATUS=") {
            notice = self.notice();
        }
        assert_eq!(notice, "STOPPING=1");
        let status = self.process.wait().unwrap();
        let mut stderr = Vec::new();
        std::io::Read::read_to_end(self.process.stderr.as_mut().unwrap(), &mut stderr).unwrap();
        Output { status, stdout: Vec::new(), stderr }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn signal(process: &Child, name: &str) {
    let id = process.id().to_string();
    let sent = Command::new("kill").args(["-s", name, &id]).status();
    assert!(sent.unwrap().success());
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn ask(socket: &Path, line: &str) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    writeln!(stream, "{line}").unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    answer
}

#[test]
fn a_daemon_starts_answers_stops_and_starts_again_as_the_same_node() {
    let place = Place::new();
    let socket = place.path("run/chat.sock");
    let daemon = place.start();
    let status = r#"{"jsonrpc":"2.0","id":1,"method":"node.status"}"#;
    let answer = ask(&socket, status);
    assert!(answer.contains("\"result\""), "{answer}");
    assert!(answer.contains("127.0.0.1:"), "{answer}");
    let first = daemon.stop();
    assert!(first.status.success(), "{}", text(&first.stderr));
    assert!(!socket.exists());

    let second = place.start().stop();
    let id = |output: &Output| {
        let log = text(&output.stderr);
        let (_, rest) = log.split_once("node=").unwrap();
        rest.chars().take(32).collect::<String>()
    };
    assert_eq!(id(&first), id(&second));
    assert!(text(&second.stderr).lines().count() <= 10);
}

#[test]
fn what_it_keeps_is_for_its_owner_alone() {
    let place = Place::new();
    let daemon = place.start();
    for name in ["data", "data/vault.key", "run/chat.sock"] {
        let mode = fs::metadata(place.path(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name} has mode {mode:o}");
    }
    assert!(daemon.stop().status.success());
}

#[test]
fn a_second_daemon_on_the_same_data_is_refused() {
    let place = Place::new();
    let daemon = place.start();
    let (code, words) = place.fails(|_| {});
    let data = place.path("data");
    let expected = format!(
        "bytchatd: another bytchatd uses the data directory {}: stop it, or choose another with \
         --data-dir\n",
        data.display()
    );
    assert_eq!((code, words), (1, expected));
    assert!(daemon.stop().status.success());
}

#[test]
fn a_second_daemon_on_the_same_socket_is_refused() {
    let place = Place::new();
    let daemon = place.start();
    let mut other = Command::new(env!("CARGO_BIN_EXE_bytchatd"));
    let output = other
        .env_clear()
        .arg("--data-dir")
        .arg(place.path("other"))
        .arg("--socket")
        .arg(place.path("run/chat.sock"))
        .args(["--listen", "127.0.0.1:0"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let words = text(&output.stderr);
    let socket = place.path("run/chat.sock").display().to_string();
    assert!(words.contains(&format!("another bytchatd serves {socket}")));
    assert!(daemon.stop().status.success());
}

#[test]
fn an_address_that_is_taken_is_named() {
    let place = Place::new();
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, words) = place.fails(|command| {
        command.args(["--listen", &address]);
    });
    assert_eq!(code, 1);
    assert!(words.contains(&format!("{address} is in use")), "{words}");
}

#[test]
fn when_the_usual_port_is_taken_any_other_will_do() {
    let place = Place::new();
    // Whoever has the port: it is not free for the daemon.
    let _taken = std::net::UdpSocket::bind("0.0.0.0:4848");
    let output = place.start_with(&mut place.plain_command()).stop();
    let log = text(&output.stderr);
    assert!(output.status.success(), "{log}");
    assert!(log.contains("address=0.0.0.0:"), "{log}");
    assert!(!log.contains("address=0.0.0.0:4848"), "{log}");
}

#[test]
fn a_wrong_vault_key_is_one_clear_sentence() {
    let place = Place::new();
    assert!(place.start().stop().status.success());
    fs::write(place.path("data/vault.key"), [1; 32]).unwrap();
    let (code, words) = place.fails(|_| {});
    assert_eq!(code, 78);
    assert!(words.starts_with("bytchatd: the secrets in the store do not open"));
    assert_eq!(words.lines().count(), 1);
}

#[test]
fn a_wrong_configuration_ends_with_78() {
    let place = Place::new();
    let file = place.path("bytchatd.toml");
    fs::write(&file, "lisen = []\n").unwrap();
    let (code, words) = place.fails(|command| {
        command.arg("--config").arg(&file);
    });
    let start = format!("bytchatd: {}:1: unknown key `lisen`", file.display());
    assert_eq!(code, 78);
    assert!(words.starts_with(&start), "{words}");
    let (code, words) = place.fails(|command| {
        command.arg("--lisen");
    });
    assert_eq!(code, 78);
    assert!(words.contains("--listen"), "{words}");
}

#[test]
fn the_configuration_can_be_checked_without_a_start() {
    let place = Place::new();
    let output = place.command().arg("--check-config").output().unwrap();
    assert!(output.status.success());
    let shown = text(&output.stdout);
    assert!(shown.starts_with("ok\n"), "{shown}");
    assert!(shown.contains("listen = [\"127.0.0.1:0\"]"), "{shown}");
    assert!(!place.path("data").exists());
}

#[test]
fn a_port_that_is_taken_is_told_and_a_pod_does_not_go_elsewhere() {
    // If somebody else has it, it is taken all the same.
    let _taken = UdpSocket::bind("0.0.0.0:4848");
    let place = Place::new();
    let daemon = place.start_with(&mut place.plain_command());
    let said = text(&daemon.stop().stderr);
    assert!(said.contains("WARN") && said.contains("the usual port is taken"), "{said}");
    let pod = place.plain_command().args(["--pod-host", "pod.example"]).output().unwrap();
    let said = text(&pod.stderr);
    assert_eq!(pod.status.code(), Some(1), "{said}");
    assert!(said.contains("listen address 0.0.0.0:4848 is in use"), "{said}");
}
