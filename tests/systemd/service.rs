//! The system unit: who may use it, how it comes back, how it ends, and what it may do.

use std::time::{Duration, Instant};

use bytchat_tests::daemon::until;
use serde_json::json;

use crate::setup::{
    CONFIG, SERVICE, SOCKET, account, ctl, deliver, drop_in, entry, inbox, machine, systemctl,
};

/// Exposure as `systemd-analyze security` counts it, of 10.
const EXPOSURE_MAX: f64 = 1.5;

#[test]
fn people_of_the_group_talk_others_stay_out_and_a_reboot_keeps_all() {
    let Some(mut machine) = machine("the test of the system unit") else { return };
    systemctl(&machine, &["enable", "--now", SERVICE]);
    let state = machine.run(&["stat", "-c", "%U %G %a", "/var/lib/bytchat"]);
    assert_eq!(state.ok().trim(), "bytchat bytchat 700");
    let socket = machine.run(&["stat", "-c", "%U %G %a", "/run/bytchat/bytchatd.sock"]);
    assert_eq!(socket.ok().trim(), "root bytchat 666");
    account(&machine, "ann");
    let ben = account(&machine, "ben");
    deliver(&machine, "ann", &ben, "over the fence");
    assert_eq!(inbox(&machine, "ben"), ["over the fence"]);

    for args in [&["account", "list"][..], &["node", "status"], &["send", &ben, "x"]] {
        let eve = ctl(&machine, "eve", args);
        assert_eq!(eve.kind(7), "not_permitted");
        assert!(eve.err.contains("sudo usermod -aG bytchat $USER"), "{}", eve.err);
    }

    machine.becomes(SERVICE, "StatusText", |status| status.starts_with("running: 0 links, "));
    let listens = entry(&machine, "it listens to other nodes address=").unwrap();
    assert!(listens["BYTCHAT_ADDRESS"].as_str().unwrap().ends_with(":4848"), "{listens}");
    assert_eq!(
        (&listens["PRIORITY"], &listens["SYSLOG_IDENTIFIER"]),
        (&json!("6"), &json!("bytchatd"))
    );

    let begun = Instant::now();
    systemctl(&machine, &["stop", SERVICE]);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(machine.show(SERVICE, "Result"), "success");
    assert_eq!(machine.show(SERVICE, "ExecMainStatus"), "0");
    assert!(entry(&machine, "the daemon stops").is_some());

    machine.reboot();
    assert_eq!(machine.show(SERVICE, "ActiveState"), "active");
    assert_eq!(inbox(&machine, "ben"), ["over the fence"]);
}

#[test]
fn groups_have_roles_that_begin_and_end_with_membership_and_a_reload() {
    let Some(machine) = machine("the test of roles") else { return };
    systemctl(&machine, &["start", SERVICE]);
    let ben = account(&machine, "ben");
    let role = |user: &str| {
        let shown = ctl(&machine, user, &["rpc", "session.show"]);
        (shown.code == 0).then(|| shown.json()["role"].as_str().unwrap().to_owned())
    };
    assert_eq!(role("ann").as_deref(), Some("send"));
    assert_eq!(role("rae").as_deref(), Some("read"));
    assert_eq!(role("ada").as_deref(), Some("admin"));
    assert_eq!(role("root").as_deref(), Some("admin"));
    assert_eq!(role("eve"), None);

    assert_eq!(ctl(&machine, "rae", &["account", "list"]).json(), json!([]));
    assert_eq!(ctl(&machine, "rae", &["account", "create"]).kind(7), "not_permitted");
    assert_eq!(ctl(&machine, "rae", &["send", &ben, "x"]).kind(7), "not_permitted");
    ctl(&machine, "ada", &["config", "show"]).json();
    assert_eq!(ctl(&machine, "ann", &["config", "show"]).kind(7), "not_permitted");
    assert_eq!(ctl(&machine, "ada", &["account", "list"]).json(), json!([]));

    // Membership counts without a new login, and without a word to the daemon.
    machine.run(&["usermod", "-aG", "bytchat-read", "eve"]).ok();
    until("a role for Eve", || role("eve").filter(|role| role == "read"));
    machine.run(&["gpasswd", "-d", "eve", "bytchat-read"]).ok();
    until("no role for Eve", || role("eve").is_none().then_some(()));
    let api = "[api]\nallow = [{ user = \"eve\", role = \"observe\" }, \
               { group = \"no-such-group\", role = \"admin\" }]\n";
    machine.write(CONFIG, api);
    systemctl(&machine, &["reload", SERVICE]);
    until("a role by the configuration", || role("eve").filter(|role| role == "observe"));
    ctl(&machine, "eve", &["node", "status"]).json();
    assert_eq!(ctl(&machine, "eve", &["account", "list"]).kind(7), "not_permitted");
    assert_eq!(role("ann"), None);
    until("a word about who is not there", || {
        entry(&machine, "a rule under `allow` means nobody on this machine")
    });
}

#[test]
fn a_daemon_that_dies_or_hangs_is_started_again() {
    let Some(machine) = machine("the test of the watchdog") else { return };
    drop_in(&machine, SERVICE, "[Service]\nWatchdogSec=4\nTimeoutStopSec=2\nRestartSec=100ms\n");
    systemctl(&machine, &["start", SERVICE]);
    let ann = account(&machine, "ann");
    for (restarts, signal, why) in [("1", "KILL", "signal"), ("2", "STOP", "watchdog")] {
        let process = machine.show(SERVICE, "MainPID");
        machine.run(&["kill", "-s", signal, &process]).ok();
        machine.becomes(SERVICE, "NRestarts", |count| count == restarts);
        machine.becomes(SERVICE, "ActiveState", |state| state == "active");
        assert_ne!(machine.show(SERVICE, "MainPID"), process);
        until("a word about the end", || {
            machine.journal(SERVICE).contains(&format!("Failed with result '{why}'")).then_some(())
        });
    }
    assert_eq!(ctl(&machine, "ann", &["account", "list"]).json()[0]["id"], ann.as_str());
    // Fed in time it lives on.
    let process = machine.show(SERVICE, "MainPID");
    let fed = |stamp: &str| machine.becomes(SERVICE, "WatchdogTimestampMonotonic", |s| s != stamp);
    let first = fed("");
    let second = fed(&first);
    fed(&second);
    assert_eq!(machine.show(SERVICE, "MainPID"), process);
}

#[test]
fn the_units_are_sound_and_the_sandbox_is_tight() {
    let Some(machine) = machine("the test of the sandbox") else { return };
    // Where a user's systemd has its folder.
    machine.run(&["mkdir", "-p", "/run/user/0"]).ok();
    for (kind, units) in [
        ("--system", &[SERVICE, SOCKET, "bytchatd-quic.socket"][..]),
        ("--user", &[SERVICE, SOCKET][..]),
    ] {
        let verify = ["systemd-analyze", "verify", "--man=no", kind];
        let verified = machine.run_as("root", &[&verify, units].concat());
        assert_eq!((verified.code, verified.err.as_str()), (0, ""), "{kind} {}", verified.out);
    }
    systemctl(&machine, &["start", SERVICE]);
    let rated = machine.run(&["systemd-analyze", "security", "--no-pager", SERVICE]);
    let overall = rated.ok().lines().find(|line| line.contains("Overall exposure level")).unwrap();
    println!("{overall}");
    let number = overall.split(": ").nth(1).unwrap().split(' ').next().unwrap();
    assert!(number.parse::<f64>().unwrap() <= EXPOSURE_MAX, "{}", rated.out);
    // A call that the sandbox refuses would be a denied path or an unexpected error in the log.
    account(&machine, "ann");
    let warnings = ["journalctl", "--no-pager", "-p", "warning", "-o", "cat", "-u", SERVICE];
    assert_eq!(machine.run(&warnings).ok().trim(), "");
}
