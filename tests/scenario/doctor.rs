//! `bytctl doctor`: with all well, with the daemon stopped, without the group, with a mistake.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use bytchat_tests::daemon::{Backbone, Daemon, Ran, cannot_run, programs};
use serde_json::Value;

/// A Unix user that no machine needs to know, in no group.
const EVE: u32 = 51_003;

fn doctor(daemon: &Daemon, more: &[&str]) -> Ran {
    let config = daemon.path("bytchatd.toml");
    let mut command = daemon.ctl_command();
    command.env("HOME", daemon.path("")).env("PATH", "/usr/bin:/bin");
    Ran::of(command.args(["doctor", "--config"]).arg(config).args(more), b"")
}

fn report(ran: &Ran, code: i32) -> Value {
    assert_eq!(ran.code, code, "{}{}", ran.out, ran.err);
    serde_json::from_str(&ran.out).unwrap()
}

fn check<'a>(report: &'a Value, name: &str) -> &'a Value {
    let mut checks = report["checks"].as_array().unwrap().iter();
    checks.find(|check| check["name"] == name).unwrap_or_else(|| panic!("{name} of {report}"))
}

#[test]
fn the_doctor_finds_nothing_where_nothing_is_and_the_mistake_where_one_is() {
    let backbone = Backbone::shared();
    let (alice, id) = backbone.user("patient@a.test");
    let archive = alice.path("report.tar");
    let well = report(&doctor(&alice, &["--bundle", archive.to_str().unwrap()]), 0);
    assert_eq!(well["ok"], true);
    for name in ["socket", "group", "daemon", "versions", "udp", "network", "store", "accounts"] {
        assert_eq!(check(&well, name)["verdict"], "ok", "{well}");
    }
    assert_eq!(check(&well, "configuration")["verdict"], "ok");
    assert!(check(&well, "key file")["found"].as_str().unwrap().starts_with("mode 600"), "{well}");
    let tar = Command::new("tar").arg("-xOf").arg(&archive).output().unwrap();
    let kept = String::from_utf8(tar.stdout).unwrap();
    assert!(tar.status.success() && kept.contains("\"verdict\": \"ok\""), "{kept}");
    for gone in [id.as_str(), "patient", "127.0.0.1", "a.test"] {
        assert!(!kept.contains(gone), "{gone} in {kept}");
    }

    let toml = fs::read_to_string(alice.path("bytchatd.toml")).unwrap();
    fs::write(alice.path("bytchatd.toml"), format!("lisen = 1\n{toml}")).unwrap();
    let broken = report(&doctor(&alice, &[]), 1);
    let found = check(&broken, "configuration");
    assert_eq!(found["verdict"], "fail");
    let text = found["found"].as_str().unwrap();
    assert!(text.contains("bytchatd.toml:1") && text.contains("`lisen`"), "{text}");

    alice.stop();
    let stopped = report(&doctor(&alice, &[]), 1);
    let found = check(&stopped, "socket");
    assert_eq!(found["verdict"], "fail");
    assert!(found["fix"].as_str().unwrap().contains("systemctl start bytchatd"), "{found}");
}

#[test]
fn the_daemon_that_runs_says_where_its_configuration_comes_from() {
    let backbone = Backbone::shared();
    let daemon = backbone.join();
    let config = daemon.get(&["config", "show"]);
    let of = |key: &str| {
        let mut values = config["values"].as_array().unwrap().iter();
        values.find(|value| value["key"] == key).unwrap()
    };
    assert_eq!(of("socket")["place"], "--socket");
    assert_eq!(of("log")["place"], "BYTCHAT_LOG");
    assert_eq!(of("dns")["origin"], "default");
    let file = daemon.path("bytchatd.toml");
    assert_eq!(of("network")["place"].as_str().unwrap(), format!("{}:1", file.display()));
    assert_eq!(of("network")["value"], backbone.setup.network.as_str());
    assert_eq!(config["file"].as_str(), file.to_str());
}

#[test]
fn the_doctor_tells_who_is_not_in_the_group() {
    if !rustix::process::geteuid().is_root() {
        return cannot_run(
            "the doctor as another Unix user",
            "only root can run commands as others",
        );
    }
    let backbone = Backbone::shared();
    let daemon = Daemon::new(&backbone.setup);
    fs::set_permissions(daemon.path(""), Permissions::from_mode(0o755)).unwrap();
    fs::copy(&programs().bytctl, daemon.path("bytctl")).unwrap();
    fs::set_permissions(daemon.path("bytctl"), Permissions::from_mode(0o755)).unwrap();
    daemon.configure_more("[api]\nallow = [{ group = 0, role = \"read\" }]\n");
    daemon.run_as(daemon.command().env("STATE_DIRECTORY", daemon.path("data")));
    let as_eve = |group: u32| {
        let mut command = Command::new(daemon.path("bytctl"));
        command.env_clear().env("PATH", "/usr/bin:/bin").uid(EVE).gid(group).current_dir("/");
        command.arg("--json").arg("--socket").arg(daemon.socket_path()).arg("doctor");
        let ran = Ran::of(&mut command, b"");
        serde_json::from_str::<Value>(&ran.out).unwrap()
    };
    let outside = as_eve(EVE);
    let found = check(&outside, "daemon");
    assert_eq!(found["verdict"], "fail", "{outside}");
    assert!(found["found"].as_str().unwrap().contains("usermod -aG 0 $USER"), "{found}");
    // In this login alone, which is what `newgrp` makes.
    let inside = as_eve(0);
    assert_eq!(check(&inside, "socket")["verdict"], "ok");
    assert_eq!(check(&inside, "group")["verdict"], "warn", "{inside}");
    assert_eq!(check(&inside, "role")["verdict"], "warn", "{inside}");
}
