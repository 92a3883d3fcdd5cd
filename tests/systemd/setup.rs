//! What the tests share: a machine with our programs, and people on it.

use bytchat_tests::daemon::Ran;
use bytchat_tests::machine::{Image, Machine};
use serde_json::Value;

pub(crate) const SERVICE: &str = "bytchatd.service";
pub(crate) const SOCKET: &str = "bytchatd.socket";
pub(crate) const CONFIG: &str = "/etc/bytchat/bytchatd.toml";

/// A machine that runs, with programs, units and users, and nothing of it started; with Ann and
/// Ben, who may use the daemon, Rae, who may read, Ada, who may see the daemon, and Eve, who may
/// nothing.
pub(crate) fn machine(what: &str) -> Option<Machine> {
    let image = Image::debian(what, &[])?;
    let mut machine = Machine::new(&image);
    machine.install_tree();
    machine.boot();
    machine.set_up_tree();
    machine.add_user("ann", &["bytchat"]);
    machine.add_user("ben", &["bytchat"]);
    machine.add_user("rae", &["bytchat-read"]);
    machine.add_user("ada", &["bytchat-admin"]);
    machine.add_user("eve", &["users"]);
    Some(machine)
}

/// Runs `systemctl`, which must go well.
pub(crate) fn systemctl(machine: &Machine, args: &[&str]) {
    machine.run(&[&["systemctl"], args].concat()).ok();
}

/// Runs `bytctl` as a user, with JSON as its language.
pub(crate) fn ctl(machine: &Machine, user: &str, args: &[&str]) -> Ran {
    machine.run_as(user, &[&["bytctl", "--json"], args].concat())
}

/// Makes an account for a user and gives its id.
pub(crate) fn account(machine: &Machine, user: &str) -> String {
    let account = ctl(machine, user, &["account", "create", "--name", user]).json();
    account["id"].as_str().unwrap().to_owned()
}

/// Sends and waits until it is delivered.
pub(crate) fn deliver(machine: &Machine, user: &str, to: &str, text: &str) {
    let wait = ["--wait", "delivered", "--timeout", "80"];
    ctl(machine, user, &[&["send", to, text], &wait[..]].concat()).json();
}

/// The texts in a user's inbox.
pub(crate) fn inbox(machine: &Machine, user: &str) -> Vec<String> {
    let inbox = ctl(machine, user, &["inbox"]).json();
    let texts = inbox.as_array().unwrap().iter();
    texts.map(|message| message["text"].as_str().unwrap().to_owned()).collect()
}

/// The entries of the daemon's journal.
pub(crate) fn entries(machine: &Machine) -> Vec<Value> {
    let lines = machine.run(&["journalctl", "--no-pager", "-o", "json", "-u", SERVICE]);
    lines.ok().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The first entry with a message that begins so.
pub(crate) fn entry(machine: &Machine, begin: &str) -> Option<Value> {
    let begins = |entry: &Value| entry["MESSAGE"].as_str().is_some_and(|m| m.starts_with(begin));
    entries(machine).into_iter().find(begins)
}

/// Changes the service for a test.
pub(crate) fn drop_in(machine: &Machine, unit: &str, lines: &str) {
    machine.write(&format!("/etc/systemd/system/{unit}.d/test.conf"), lines);
    systemctl(machine, &["daemon-reload"]);
}
