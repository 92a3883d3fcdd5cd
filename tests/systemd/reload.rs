//! `systemctl reload`: a good file is taken on as far as that goes, a bad one changes nothing.

use bytchat_tests::daemon::until;
use bytchat_tests::machine::Machine;
use serde_json::Value;

use crate::setup::{CONFIG, SERVICE, SOCKET, ctl, entries, entry, machine, systemctl};

fn told(machine: &Machine, begin: &str) -> Value {
    until(begin, || entry(machine, begin))
}

#[test]
fn a_good_file_is_taken_on_and_a_bad_one_changes_nothing() {
    let Some(machine) = machine("the test of reload") else { return };
    systemctl(&machine, &["start", SERVICE]);
    let process = machine.show(SERVICE, "MainPID");
    let is_debug = |entry: &Value| entry["PRIORITY"] == "7";
    assert!(!entries(&machine).iter().any(is_debug));

    let good = "log = \"debug\"\nbootstrap = [\"127.0.0.1:9\"]\n\
                [[pods]]\nhost = \"pod.test\"\naddress = \"127.0.0.1:9\"\n";
    machine.write(CONFIG, good);
    systemctl(&machine, &["reload", SERVICE]);
    let taken = told(&machine, "the configuration was read again at_once=");
    assert_eq!(taken["BYTCHAT_AT_ONCE"], "bootstrap, log, pods");
    // The new filter lets through that the new address was dialled.
    let dialled = |entry: &Value| is_debug(entry) && entry["BYTCHAT_ADDRESS"] == "127.0.0.1:9";
    until("a dial", || entries(&machine).iter().any(dialled).then_some(()));

    machine.write(CONFIG, &format!("network = \"other\"\n{good}"));
    systemctl(&machine, &["reload", SERVICE]);
    let waits = told(&machine, "a part of the configuration needs a restart");
    // A network with a name asks for no work unless it says so.
    let at_start = "network, work";
    assert_eq!((&waits["BYTCHAT_AT_START"], &waits["PRIORITY"]), (&at_start.into(), &"4".into()));
    machine.becomes(SERVICE, "StatusText", |status| {
        status.starts_with("running: ")
            && status.ends_with("; a restart is needed for network, work")
    });

    machine.write(CONFIG, "lisen = []\n");
    let refused = machine.run(&["systemctl", "reload", SERVICE]);
    assert_ne!(refused.code, 0);
    let why = "/etc/bytchat/bytchatd.toml:1: unknown key `lisen`";
    until("why it was refused", || machine.journal(SERVICE).contains(why).then_some(()));
    assert_eq!(machine.show(SERVICE, "ActiveState"), "active");
    // Who sends the signal past systemd hears the same.
    systemctl(&machine, &["kill", "--signal=HUP", SERVICE]);
    let kept = told(&machine, "the configuration stays as it was");
    assert!(kept["BYTCHAT_REASON"].as_str().unwrap().starts_with(why), "{kept}");
    machine.becomes(SERVICE, "StatusText", |status| {
        status.contains("the new configuration is not in use: /etc/bytchat/bytchatd.toml:1")
    });

    machine.write(CONFIG, good);
    systemctl(&machine, &["reload", SERVICE]);
    machine.becomes(SERVICE, "StatusText", |status| status.ends_with(" under way"));
    assert_eq!(machine.show(SERVICE, "MainPID"), process);
    assert_eq!(machine.show(SERVICE, "NRestarts"), "0");
}

#[test]
fn a_file_that_is_wrong_at_the_start_ends_the_wait_of_callers_and_is_no_loop() {
    let Some(machine) = machine("the test of a wrong configuration") else { return };
    machine.write(CONFIG, "[[pods]]\nhost = \"pod.test\"\n");
    systemctl(&machine, &["start", SOCKET]);
    let call = ctl(&machine, "ann", &["node", "status"]);
    assert_eq!(call.kind(69), "daemon.unreachable");
    assert!(call.err.contains("systemctl status bytchatd"), "{}", call.err);
    assert_eq!(machine.show(SERVICE, "ExecMainStatus"), "78");
    let why = "bytchatd: /etc/bytchat/bytchatd.toml:1: `pods.address` is missing";
    assert_eq!(entry(&machine, why).unwrap()["PRIORITY"], "3");
    let starts = entries(&machine);
    let starts = starts.iter().filter(|entry| entry["MESSAGE"].as_str().unwrap().starts_with(why));
    assert!(starts.count() <= 5);

    // What people do then.
    machine.run(&["rm", CONFIG]).ok();
    systemctl(&machine, &["reset-failed", SERVICE, SOCKET]);
    systemctl(&machine, &["start", SERVICE]);
    assert_eq!(ctl(&machine, "ann", &["node", "status"]).code, 0);
}
