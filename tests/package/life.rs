//! A machine that installs the package, upgrades it while people talk, removes and purges it.

use std::process::{Child, Stdio};

use bytchat_tests::daemon::Ran;
use bytchat_tests::machine::{Image, Machine};

use crate::built::{BEFORE, Built, NOW, packages};

const WHAT: &str = "the test of a machine with the package";
const SERVICE: &str = "bytchatd.service";
/// Calls until it is told to stop, and prints each exit code.
const CALLS: &str =
    "while [ ! -e /tmp/stop ]; do bytctl --json node status >/dev/null; echo $?; done";

struct Life {
    machine: Machine,
}

impl Life {
    fn dpkg(&self, args: &[&str]) -> Ran {
        let ran = self.machine.run(&[&["dpkg"], args].concat());
        assert_eq!(ran.code, 0, "dpkg {args:?}: {}{}", ran.out, ran.err);
        ran
    }

    fn bytctl(&self, args: &[&str]) -> Ran {
        self.machine.run_as("ann", &[&["bytctl", "--json"], args].concat())
    }

    fn is_active(&self) -> bool {
        self.machine.show(SERVICE, "ActiveState") == "active"
    }

    /// What of the data must survive everything: accounts, messages, and what the file says.
    fn data(&self, ben: &str) -> [String; 3] {
        let accounts = self.bytctl(&["account", "list"]).ok().to_owned();
        // Its state may go on while the package changes.
        let history = self.bytctl(&["--account", "ann", "history", ben]).json();
        let history = format!("{} {}", history[0]["id"], history[0]["text"]);
        let file = self.machine.run(&["cat", "/etc/bytchat/bytchatd.toml"]).out;
        [accounts, history, file]
    }

    fn calls(&self) -> Child {
        let mut command = self.machine.command_as("ann");
        command.args(["sh", "-c", CALLS]).stdout(Stdio::piped()).stderr(Stdio::null());
        command.spawn().unwrap()
    }

    /// Ends the calls and gives their exit codes.
    fn end(&self, calls: Child) -> Vec<String> {
        self.machine.run(&["touch", "/tmp/stop"]).ok();
        let output = calls.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

#[test]
fn a_machine_installs_upgrades_removes_and_purges_and_keeps_its_data() {
    let Some(now) = packages(WHAT) else { return };
    let Some(before) = Built::of(WHAT, BEFORE) else { return };
    let Some(image) = Image::debian(WHAT, &["rpm"]) else { return };
    let mut life = Life { machine: Machine::new(&image) };
    life.machine.put(&before.file(".deb"), "/root/before.deb");
    life.machine.put(&now.file(".deb"), "/root/now.deb");
    life.machine.boot();
    installs(&life);
    let ben = speaks(&life);
    let data = life.data(&ben);
    upgrades(&life);
    assert_eq!(life.data(&ben), data);
    stays_as_it_was_left(&life);
    assert_eq!(life.data(&ben), data);
    removes_and_purges(&life);
    // Whoever installs it again is who they were.
    life.dpkg(&["-i", "/root/now.deb"]);
    assert!(life.is_active());
    assert_eq!(life.data(&ben)[..2], data[..2]);
}

/// Without the dependencies, which the rpm of Debian looks for among its own packages.
#[test]
fn a_machine_installs_upgrades_and_removes_the_rpm_and_keeps_its_data() {
    let Some(now) = packages(WHAT) else { return };
    let Some(before) = Built::of(WHAT, BEFORE) else { return };
    let Some(image) = Image::debian(WHAT, &["rpm"]) else { return };
    let mut life = Life { machine: Machine::new(&image) };
    life.machine.put(&before.file(".rpm"), "/root/before.rpm");
    life.machine.put(&now.file(".rpm"), "/root/now.rpm");
    life.machine.boot();
    let rpm = |args: &[&str]| {
        let ran = life.machine.run(&[&["rpm"], args].concat());
        assert_eq!(ran.code, 0, "rpm {args:?}: {}{}", ran.out, ran.err);
    };
    rpm(&["-i", "--nodeps", "/root/before.rpm"]);
    life.machine.run(&["systemctl", "enable", "--now", "bytchatd.socket", SERVICE]).ok();
    let ben = speaks(&life);
    let (data, old) = (life.data(&ben), life.machine.show(SERVICE, "MainPID"));
    rpm(&["-U", "--nodeps", "/root/now.rpm"]);
    life.machine.becomes(SERVICE, "ActiveState", |state| state == "active");
    assert_ne!(life.machine.show(SERVICE, "MainPID"), old, "the old daemon still runs");
    assert_eq!(life.data(&ben), data);
    rpm(&["-e", "bytchat"]);
    assert!(!life.is_active());
    assert!(!life.machine.path("/usr/bin/bytchatd").exists());
    assert!(life.machine.path("/var/lib/bytchat").exists());
    rpm(&["-i", "--nodeps", "/root/now.rpm"]);
    life.machine.run(&["systemctl", "start", SERVICE]).ok();
    assert_eq!(life.data(&ben)[..2], data[..2]);
}

fn installs(life: &Life) {
    life.dpkg(&["-i", "/root/before.deb"]);
    assert!(life.is_active(), "{}", life.machine.journal(SERVICE));
    for unit in [SERVICE, "bytchatd.socket"] {
        assert_eq!(life.machine.run(&["systemctl", "is-enabled", unit]).ok().trim(), "enabled");
    }
    let optional = life.machine.run(&["systemctl", "is-enabled", "bytchatd-quic.socket"]);
    assert_eq!(optional.out.trim(), "disabled");
    life.machine.run(&["getent", "group", "bytchat"]).ok();
    let version = life.machine.run(&["dpkg-query", "-W", "-f", "${Version}", "bytchat"]);
    assert_eq!(version.ok(), format!("{BEFORE}-1"));
    life.machine.run(&["bytchatd", "--check-config"]).ok();
}

/// A member of the group may talk, others may not; gives the id of the other account.
fn speaks(life: &Life) -> String {
    life.machine.add_user("ann", &["bytchat"]);
    life.machine.add_user("eve", &["users"]);
    let create = |name| life.bytctl(&["account", "create", "--name", name]).json();
    create("ann");
    let ben = create("ben")["id"].as_str().unwrap().to_owned();
    life.bytctl(&["--account", "ann", "send", &ben, "to be kept"]).ok();
    let denied = life.machine.run_as("eve", &["bytctl", "--json", "node", "status"]);
    assert_eq!(denied.kind(7), "not_permitted");
    assert!(denied.err.contains("usermod -aG bytchat"), "{}", denied.err);
    ben
}

fn upgrades(life: &Life) {
    let edited = "printf 'network = \"ours\"\\n' >> /etc/bytchat/bytchatd.toml";
    // It stands for what administrators do; the package must not ask about it.
    life.machine.run(&["sh", "-c", "cp /etc/bytchat/bytchatd.toml /root/kept.toml"]).ok();
    life.machine.run(&["sh", "-c", edited]).ok();
    let old = life.machine.show(SERVICE, "MainPID");
    let calls = life.calls();
    life.dpkg(&["-i", "/root/now.deb"]);
    assert!(life.is_active(), "{}", life.machine.journal(SERVICE));
    assert_ne!(life.machine.show(SERVICE, "MainPID"), old, "the old daemon still runs");
    let codes = life.end(calls);
    assert!(codes.iter().all(|code| code == "0"), "calls during the upgrade: {codes:?}");
    assert!(codes.len() > 2, "{codes:?}");
    let version = life.machine.run(&["dpkg-query", "-W", "-f", "${Version}", "bytchat"]);
    assert_eq!(version.ok(), format!("{NOW}-1"));
    let file = life.machine.run(&["cat", "/etc/bytchat/bytchatd.toml"]);
    assert!(file.ok().ends_with("network = \"ours\"\n"), "{}", file.out);
    life.machine.run(&["mv", "/root/kept.toml", "/etc/bytchat/bytchatd.toml"]).ok();
}

/// What the administrator disabled and stopped is so after the next upgrade.
fn stays_as_it_was_left(life: &Life) {
    life.machine.run(&["systemctl", "disable", "--now", SERVICE]).ok();
    life.dpkg(&["-i", "/root/now.deb"]);
    assert_eq!(life.machine.run(&["systemctl", "is-enabled", SERVICE]).out.trim(), "disabled");
    assert!(!life.is_active());
    life.machine.run(&["systemctl", "enable", "--now", SERVICE]).ok();
    life.machine.becomes(SERVICE, "ActiveState", |state| state == "active");
}

fn removes_and_purges(life: &Life) {
    life.dpkg(&["-r", "bytchat"]);
    assert!(!life.is_active());
    assert_ne!(life.machine.show(SERVICE, "LoadState"), "loaded");
    assert!(!life.machine.path("/usr/bin/bytchatd").exists());
    assert!(life.machine.path("/etc/bytchat/bytchatd.toml").exists());
    let said = life.dpkg(&["-P", "bytchat"]);
    assert!(said.err.contains("/var/lib/bytchat stays"), "{}{}", said.out, said.err);
    assert!(!life.machine.path("/etc/bytchat").exists());
    assert!(life.machine.path("/var/lib/bytchat").exists());
    let units =
        life.machine.run(&["find", "/etc/systemd", "/var/lib/systemd", "-name", "bytchat*"]);
    assert_eq!(units.ok(), "", "something is left");
}
