//! Private networks of real daemons: who has the key is in, and who has not is told why.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use bytchat_tests::daemon::{Daemon, Ran, Setup, until};

const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const OTHER: &str = "1f1e1d1c1b1a191817161514131211100f0e0d0c0b0a09080706050403020100";

/// A daemon of a network with this key, or with none, not started yet.
fn daemon(setup: &Setup, key: Option<&str>) -> Daemon {
    let daemon = Daemon::new(setup);
    if let Some(key) = key {
        let path = daemon.path("network.key");
        fs::write(&path, key).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        daemon.configure_more(&format!("network_key = \"{}\"\n", path.display()));
    }
    daemon
}

#[test]
fn who_has_the_key_is_in_and_who_has_not_hears_why() {
    let name = format!("private-{}", std::process::id());
    let first = daemon(&Setup { network: name.clone(), ..Setup::default() }, Some(KEY));
    first.run();
    let bootstrap = vec![first.address()];
    let setup = Setup { network: name, bootstrap, ..Setup::default() };
    let inside = daemon(&setup, Some(KEY));
    inside.run();
    let linked = || inside.get(&["node", "status"])["links"] == 1;
    until("the two with the key have met", || linked().then_some(()));
    let (wrong, none) = (daemon(&setup, Some(OTHER)), daemon(&setup, None));
    for (outside, why) in [(&wrong, "another network key"), (&none, "this node has none")] {
        outside.run();
        let strangers = || outside.get(&["node", "stats"])["links"]["strangers_total"].as_u64();
        until("the stranger has knocked", || strangers().filter(|many| *many > 0));
        assert_eq!(outside.get(&["node", "status"])["peers"], 0);
        let report = outside.ctl(&["doctor", "--json"]);
        assert!(report.out.contains("belongs to another network"), "{}", report.out);
        assert!(report.out.contains("network_key"), "{}", report.out);
        assert!(outside.log().contains(why), "{}", outside.log());
    }
    assert_eq!(first.get(&["node", "status"])["peers"], 1);
    let log = first.log();
    assert!(log.contains("a node of another network was refused"), "{log}");
    for daemon in [&first, &inside, &wrong] {
        assert!(!daemon.log().contains(KEY) && !daemon.log().contains(OTHER));
    }
    let shown = inside.ctl(&["config", "show"]).out;
    assert!(shown.contains("network_key") && !shown.contains(KEY), "{shown}");
}

#[test]
fn a_key_that_is_none_is_refused_before_the_start() {
    for (key, mode, told) in
        [("our house", 0o600, "openssl rand -hex 32"), (KEY, 0o644, "chmod 600")]
    {
        let daemon = daemon(&Setup::default(), Some(key));
        fs::set_permissions(daemon.path("network.key"), Permissions::from_mode(mode)).unwrap();
        let ran = Ran::of(daemon.command().arg("--check-config"), b"");
        assert_eq!(ran.code, 78, "{}", ran.err);
        assert!(ran.err.contains(told) && !ran.err.contains(KEY), "{}", ran.err);
    }
}
