//! The system unit: who may use it, how it comes back, how it ends, and what it may do.

use std::time::{Duration, Instant};

use bytchat_tests::daemon::until;
use serde_json::json;

use crate::setup::{
    SERVICE, SOCKET, account, ctl, deliver, drop_in, entry, inbox, machine, systemctl,
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
    assert_eq!(socket.ok().trim(), "root bytchat 660");
    account(&machine, "ann");
    let ben = account(&machine, "ben");
    deliver(&machine, "ann", &ben, "over the fence");
    assert_eq!(inbox(&machine, "ben"), ["over the fence"]);

    let eve = ctl(&machine, "eve", &["account", "list"]);
    assert_eq!(eve.kind(69), "daemon.unreachable");
    assert!(eve.err.contains("permission denied"), "{}", eve.err);
    assert!(eve.err.contains("sudo usermod -aG bytchat $USER"), "{}", eve.err);

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
