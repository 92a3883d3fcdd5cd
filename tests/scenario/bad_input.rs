//! What people, programs and disks do wrong: the daemon says what, and goes on.

use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bytchat_tests::daemon::{Backbone, Daemon, Setup, cannot_run, until};
use serde_json::json;
use tempfile::TempDir;

fn alone() -> Daemon {
    Daemon::start(&Setup { network: "alone".to_owned(), ..Setup::default() })
}

/// Runs a daemon that does not start; gives its exit code and what it says.
fn failed(command: &mut Command) -> (i32, String) {
    let output = command.stdout(Stdio::null()).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_second_daemon_on_one_data_directory_is_refused_and_the_first_goes_on() {
    let daemon = alone();
    let (code, said) = failed(daemon.command().arg("--socket").arg(daemon.path("other")));
    assert_ne!(code, 0);
    let mut second = Command::new(&bytchat_tests::daemon::programs().bytchatd);
    second.env_clear().args(["--listen", "127.0.0.1:0", "--socket"]).arg(daemon.path("other"));
    let (second_code, second_said) = failed(second.arg("--data-dir").arg(daemon.path("data")));
    assert_eq!(second_code, 1, "{second_said}");
    assert!(second_said.contains("another bytchatd uses the data directory"), "{second_said}");
    assert!(said.contains("--socket"), "{said}");
    daemon.get(&["node", "status"]);
}

#[test]
fn a_configuration_that_cannot_be_read_names_line_and_key() {
    let daemon = Daemon::new(&Setup::default());
    let file = daemon.path("bytchatd.toml");
    for (text, line, named) in [
        ("network = \"x\"\nbootstrp = []\n", 2, "`bootstrp`"),
        ("listen = [\"127.0.0.1\"]\n", 1, "`listen`"),
        ("\n\n[pod]\nhost = \"not a host\"\n", 4, "`pod.host`"),
        ("\n[[pods]]\nhost = \"a.test\"\n", 2, "`pods.address`"),
        ("network = \n", 1, "TOML"),
    ] {
        fs::write(&file, text).unwrap();
        let (code, said) = failed(&mut daemon.command());
        let place = format!("{}:{line}: ", file.display());
        assert_eq!(code, 78, "{said}");
        assert!(said.contains(&place) && said.contains(named), "{said}");
    }
    fs::remove_file(&file).unwrap();
    let (code, said) = failed(&mut daemon.command());
    assert_eq!(code, 78, "{said}");
    assert!(said.contains(file.to_str().unwrap()), "{said}");
}

#[test]
fn an_unknown_parameter_or_method_is_named() {
    let daemon = alone();
    let unknown = daemon.ctl(&["rpc", "node.status", "colour=red"]);
    assert_eq!(unknown.kind(2), "parameters.bad");
    assert!(unknown.err.contains("colour"), "{}", unknown.err);
    let method = daemon.ctl(&["rpc", "node.explode"]);
    assert_eq!(method.kind(2), "method.unknown");
    assert!(method.err.contains("node.explode"), "{}", method.err);
    let id = daemon.ctl(&["rpc", "message.show", "id=short"]);
    assert_eq!(id.kind(2), "parameters.bad");
    let missing = daemon.ctl(&["rpc", "message.show"]);
    assert!(missing.err.contains("`id`"), "{}", missing.err);
}

#[test]
fn rubbish_on_the_socket_is_answered_and_disturbs_nobody() {
    let daemon = alone();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_params = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"node.status\",\"params\":{{\"a\":{}1{}}}}}",
        "[".repeat(5_000),
        "]".repeat(5_000)
    );
    let long = "x".repeat(2 << 20);
    let lines: [&[u8]; 8] = [
        b"\x00\x01\x02\x03\x7f",
        b"\xff\xfe\xfd",
        b"hello",
        b"{\"jsonrpc\":\"2.0\"",
        b"[]",
        deep.as_bytes(),
        deep_params.as_bytes(),
        long.as_bytes(),
    ];
    for line in lines {
        let mut socket = daemon.socket();
        assert!(socket.send(&[line, b"\n"].concat()));
        let answer = socket.line().unwrap();
        // What begins like a batch is answered like one.
        let answer = answer.get(0).unwrap_or(&answer);
        assert!(answer["error"]["code"].is_i64(), "{answer}");
        let kind = answer["error"]["data"]["kind"].as_str().unwrap();
        assert!(["request.malformed", "parameters.bad"].contains(&kind), "{answer}");
        // The same connection still works.
        assert!(socket.call("node.status", &json!({}))["result"].is_object());
    }
    // Half a line and an end are a torn request; half a line and silence hold nobody up.
    let mut torn = daemon.socket();
    assert!(torn.send(b"{\"jsonrpc\":\"2.0\",\"id\":1,"));
    let mut silent = daemon.socket();
    assert!(silent.send(b"{\"jsonrpc\""));
    torn.end();
    assert_eq!(torn.line().unwrap()["error"]["data"]["kind"], "request.malformed");
    assert!(torn.line().is_none());
    daemon.get(&["node", "status"]);
}

#[test]
fn rubbish_on_the_udp_port_is_passed_over() {
    let backbone = Backbone::shared();
    let (alice, _) = backbone.user("steady@a.test");
    let (bob, bob_id) = backbone.user("calm@b.test");
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let target = alice.address();
    for length in (0..1500).step_by(7) {
        let bytes: Vec<u8> = (0..length).map(|n| u8::try_from((n * n) % 251).unwrap()).collect();
        socket.send_to(&bytes, target).unwrap();
        // What looks like the long header of QUIC.
        let header = [&[0xc3, 0, 0, 0, 1, 8][..], &bytes].concat();
        socket.send_to(&header, target).unwrap();
    }
    let sent = alice.get(&["send", &bob_id, "still here", "--wait", "delivered"]);
    assert_eq!(bob.arrival(sent["id"].as_str().unwrap())["text"], "still here");
}

#[test]
fn a_pod_of_another_network_is_not_used_and_its_user_is_told() {
    let backbone = Backbone::shared();
    let (_there, there_id) = backbone.user("elsewhere@a.test");
    // It knows where that network is, and believes that it belongs there.
    let daemon = Daemon::start(&Setup { network: "another".to_owned(), ..backbone.setup.clone() });
    daemon.account("stranger");
    for args in [
        &["alias", "resolve", "elsewhere@a.test"][..],
        &["alias", "register", "stranger@a.test"],
        &["send", "elsewhere@a.test", "x"],
    ] {
        let refused = daemon.ctl(args);
        assert_eq!(refused.kind(5), "pod.unreachable");
        assert!(refused.err.contains("a.test"), "{}", refused.err);
    }
    let ran = daemon.ctl(&["send", &there_id, "x", "--wait", "stored", "--timeout", "1"]);
    assert_eq!(ran.kind(6), "timeout");
    assert_eq!(daemon.get(&["node", "status"])["peers"], 0);
}

#[test]
fn data_of_a_newer_version_are_left_alone() {
    let daemon = alone();
    daemon.stop();
    let log = daemon.path("data/store/log");
    let segment = fs::read_dir(&log).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&segment).unwrap();
    // Magic of 8 bytes, version of 4; the head's checksum are its last 4 of 40.
    bytes[8..12].copy_from_slice(&2_u32.to_le_bytes());
    let sum = crc32fast::hash(&bytes[..36]);
    bytes[36..40].copy_from_slice(&sum.to_le_bytes());
    fs::write(&segment, &bytes).unwrap();
    let (code, said) = failed(&mut daemon.command());
    assert_eq!(code, 1);
    assert!(said.contains("has format 2, expected at most 1"), "{said}");
    assert!(said.contains("start the newer version"), "{said}");
    assert_eq!(fs::read(&segment).unwrap(), bytes);
}

/// A small file system of its own.
struct Mount(PathBuf);

impl Mount {
    fn new(path: &Path) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=96m,mode=700", "tmpfs"]).arg(path);
        let done = mount.output().is_ok_and(|output| output.status.success());
        done.then(|| Self(path.to_owned()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

fn fill(path: &Path) {
    use std::io::Write as _;
    let mut file = fs::File::create(path).unwrap();
    let mut bytes = 1 << 20;
    while bytes > 0 {
        if file.write_all(&vec![0; bytes]).is_err() {
            bytes /= 2;
        }
    }
}

#[test]
fn a_full_disk_is_told_and_nothing_that_was_taken_is_lost() {
    let dir = TempDir::new().unwrap();
    let Some(mount) = Mount::new(dir.path()) else {
        return cannot_run("the test of a full disk", "it mounts a small tmpfs as root");
    };
    let backbone = Backbone::shared();
    let (bob, bob_id) = backbone.user("roomy@b.test");
    let alice = Daemon::new(&backbone.setup);
    symlink(&mount.0, alice.path("data")).unwrap();
    alice.run();
    alice.meets(5);
    alice.account("alice");
    alice.get(&["send", &bob_id, "before", "--wait", "delivered", "--timeout", "90"]);
    bob.stop();
    let taken = alice.get(&["send", &bob_id, "taken"]);
    assert_eq!(taken["state"], "queued");

    let ballast = mount.0.join("ballast");
    fill(&ballast);
    let refused = until("that the disk is full", || {
        let ran = alice.ctl(&["send", &bob_id, "while full"]);
        (ran.code != 0).then_some(ran)
    });
    assert_eq!(refused.kind(1), "store.full");
    assert!(refused.err.contains("make room"), "{}", refused.err);
    assert_eq!(alice.get(&["history", &bob_id])[0]["text"], "before");

    fs::remove_file(&ballast).unwrap();
    until("that there is room again", || {
        (alice.ctl(&["send", &bob_id, "after"]).code == 0).then_some(())
    });
    bob.run();
    let id = taken["id"].as_str().unwrap();
    bob.arrival(id);
    let wait = ["message", "wait", id, "--state", "delivered", "--timeout", "90"];
    assert_eq!(alice.get(&wait)["state"], "delivered");
    assert_eq!((bob.times("taken"), bob.times("before")), ((1, 1), (1, 1)));
    alice.stop();
    alice.run();
    assert_eq!(alice.get(&["history", &bob_id, "--limit", "500"])[1]["text"], "taken");
}
