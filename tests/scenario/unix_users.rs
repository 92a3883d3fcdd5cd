//! Several Unix users of one daemon: each has accounts and messages of their own.

use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

use bytchat_tests::daemon::{Backbone, Daemon, Ran, cannot_run, programs};
use serde_json::json;

/// Unix users that no machine needs to know.
const ANN: u32 = 51_001;
const BEN: u32 = 51_002;
const EVE: u32 = 51_003;
const OPERATOR: u32 = 51_004;
/// A group whose members may look on.
const READERS: u32 = 51_100;

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Who may what: Ann and Ben send, the readers read, the operator sees the daemon.
fn api() -> String {
    let rule = |who: &str, role: &str| format!("{{ {who}, role = \"{role}\" }}");
    let rules = [
        rule(&format!("user = {ANN}"), "send"),
        rule(&format!("user = \"{BEN}\""), "send"),
        rule(&format!("group = {READERS}"), "read"),
        rule(&format!("user = {OPERATOR}"), "admin"),
        rule("group = \"no-such-group\"", "admin"),
    ];
    format!("[api]\nallow = [{}]\n", rules.join(", "))
}

/// A daemon for all Unix users, started as systemd starts it.
fn machine_s_daemon(backbone: &Backbone) -> Daemon {
    let daemon = Daemon::new(&backbone.setup);
    fs::set_permissions(daemon.path(""), Permissions::from_mode(0o755)).unwrap();
    fs::copy(&programs().bytctl, daemon.path("bytctl")).unwrap();
    fs::set_permissions(daemon.path("bytctl"), Permissions::from_mode(0o755)).unwrap();
    daemon.configure_more(&api());
    daemon.run_as(daemon.command().env("STATE_DIRECTORY", daemon.path("data")));
    daemon
}

/// Runs `bytctl` as another Unix user.
fn as_user(daemon: &Daemon, user: u32, args: &[&str]) -> Ran {
    as_member(daemon, user, user, args)
}

/// Runs `bytctl` as another Unix user in a group.
fn as_member(daemon: &Daemon, user: u32, group: u32, args: &[&str]) -> Ran {
    let mut command = Command::new(daemon.path("bytctl"));
    command.env_clear().uid(user).gid(group).current_dir("/");
    Ran::of(command.arg("--json").arg("--socket").arg(daemon.socket_path()).args(args), b"")
}

#[test]
fn two_unix_users_of_one_daemon_see_only_what_is_theirs() {
    if !is_root() {
        return cannot_run("the test of two Unix users", "only root can run commands as others");
    }
    let backbone = Backbone::shared();
    let daemon = machine_s_daemon(&backbone);
    daemon.meets(5);

    let made = |user, name| as_user(&daemon, user, &["account", "create", "--name", name]).json();
    let (ann, ben) = (made(ANN, "mine"), made(BEN, "mine"));
    let (ann_id, ben_id) = (ann["id"].as_str().unwrap(), ben["id"].as_str().unwrap());
    for (user, own) in [(ANN, &ann), (BEN, &ben)] {
        assert_eq!(as_user(&daemon, user, &["account", "list"]).json(), json!([own]));
    }
    let export = ["account", "export", "--account", ann_id];
    let stolen = as_user(&daemon, BEN, &export);
    assert_ne!(stolen.code, 0);
    assert!(!stolen.out.contains("PRIVATE"), "{}", stolen.out);
    let forged = as_user(&daemon, BEN, &["send", ben_id, "x", "--account", ann_id]);
    assert_ne!(forged.code, 0);

    let (carol, carol_id) = backbone.user("carol@a.test");
    let args = ["send", &carol_id, "of ann", "--wait", "delivered", "--timeout", "90"];
    let sent = as_user(&daemon, ANN, &args).json();
    let id = sent["id"].as_str().unwrap();
    let back = carol.get(&["send", ann_id, "to ann", "--wait", "delivered", "--timeout", "90"]);
    let back = back["id"].as_str().unwrap();
    assert_eq!(as_user(&daemon, ANN, &["inbox"]).json()[0]["text"], "to ann");
    assert_eq!(as_user(&daemon, BEN, &["inbox"]).json(), json!([]));
    assert_eq!(as_user(&daemon, BEN, &["history", &carol_id]).json(), json!([]));
    for id in [id, back] {
        for verb in ["show", "trace"] {
            assert_eq!(as_user(&daemon, BEN, &["message", verb, id]).kind(5), "not_found");
            as_user(&daemon, ANN, &["message", verb, id]).json();
        }
    }
    let events = as_user(&daemon, BEN, &["rpc", "event.list", "since:=0"]).json();
    assert_eq!(events["events"], json!([]));
    // Both on one daemon, with each other.
    let args = ["send", ben_id, "neighbour", "--wait", "delivered", "--timeout", "90"];
    as_user(&daemon, ANN, &args).json();
    assert_eq!(as_user(&daemon, BEN, &["inbox"]).json()[0]["text"], "neighbour");
}

#[test]
fn each_unix_user_may_what_the_configuration_says_and_a_stranger_nothing() {
    if !is_root() {
        return cannot_run("the test of roles", "only root can run commands as others");
    }
    let daemon = machine_s_daemon(&Backbone::shared());
    let role = |user, group| {
        let shown = as_member(&daemon, user, group, &["rpc", "session.show"]).json();
        assert_eq!(shown["uid"], user);
        shown["role"].as_str().unwrap().to_owned()
    };
    assert_eq!(role(ANN, ANN), "send");
    assert_eq!(role(EVE, READERS), "read");
    assert_eq!(role(ANN, READERS), "send");
    assert_eq!(role(OPERATOR, OPERATOR), "admin");
    assert_eq!(role(0, 0), "admin");

    let refused = |ran: Ran, words: &str| {
        assert_eq!(ran.kind(7), "not_permitted");
        assert!(ran.err.contains(words), "{}", ran.err);
    };
    as_user(&daemon, ANN, &["account", "create", "--name", "mine"]).json();
    as_member(&daemon, EVE, READERS, &["account", "list"]).json();
    let create = ["account", "create", "--name", "mine"];
    refused(as_member(&daemon, EVE, READERS, &create), "takes the role send, and you have read");
    refused(as_user(&daemon, ANN, &["config", "show"]), "takes the role admin");
    as_user(&daemon, OPERATOR, &["config", "show"]).json();
    // Who may see the daemon sees nobody's accounts.
    assert_eq!(as_user(&daemon, OPERATOR, &["account", "list"]).json(), json!([]));
    for args in [&["node", "status"][..], &["account", "list"], &["rpc", "session.show"]] {
        let joins = format!("usermod -aG {READERS} $USER");
        refused(as_user(&daemon, EVE, args), &joins);
    }
    assert!(daemon.log().contains("a rule under `allow` means nobody on this machine"));
}

/// What programs hear of a call.
fn heard(ran: &Ran) -> (i32, String, String) {
    (ran.code, ran.out.clone(), ran.err.clone())
}

#[test]
fn what_another_unix_user_has_is_answered_like_what_is_not_there_to_the_byte() {
    if !is_root() {
        return cannot_run("the test of what others have", "only root can run commands as others");
    }
    let backbone = Backbone::shared();
    let daemon = machine_s_daemon(&backbone);
    let made = |user| as_user(&daemon, user, &["account", "create", "--name", "mine"]).json();
    let (ann, ben) = (made(ANN)["id"].clone(), made(BEN)["id"].clone());
    let (ann, ben) = (ann.as_str().unwrap(), ben.as_str().unwrap());
    let (_carol, carol_id) = backbone.user("carol-hides@a.test");
    let sent = as_user(&daemon, ANN, &["send", &carol_id, "of ann"]).json();
    let real = sent["id"].as_str().unwrap().to_owned();
    let last = if real.ends_with('a') { "b" } else { "a" };
    let none = format!("{last}{}", &real[1..]);
    for (method, more) in [
        ("message.show", None),
        ("message.trace", None),
        // It does not wait for what will never come.
        ("message.wait", Some("state=read")),
    ] {
        let ask = |id: &str| {
            let id = format!("id={id}");
            let args = ["rpc", method, &id].into_iter().chain(more).collect::<Vec<_>>();
            heard(&as_user(&daemon, BEN, &args))
        };
        let (real, none) = (ask(&real), ask(&none));
        assert_eq!(real, none, "{method}");
        assert!(real.0 == 5 && real.2.contains("not_found"), "{real:?}");
    }
    let ask = |id: &str| {
        heard(&as_user(&daemon, BEN, &["rpc", "message.read", &format!("ids:=[\"{id}\"]")]))
    };
    assert_eq!(ask(&real), ask(&none));
    // An account of Ann is to Ben as one of nobody.
    let nobody = "a".repeat(32);
    for args in [
        &["account", "export", "--account"][..],
        &["inbox", "--account"],
        &["contact", "list", "--account"],
        &["alias", "register", "x@a.test", "--account"],
    ] {
        let ask = |id: &str| heard(&as_user(&daemon, BEN, &[args, &[id]].concat()));
        let ((code, out, err), none) = (ask(ann), ask(&nobody));
        assert_eq!((code, out, err.replace(ann, &nobody)), none, "{args:?}");
        assert_eq!(none.0, 5);
    }
    assert_ne!(ann, ben);
}

#[test]
fn a_token_narrows_its_own_unix_user_and_is_nothing_to_others() {
    if !is_root() {
        return cannot_run("the test of tokens", "only root can run commands as others");
    }
    let backbone = Backbone::shared();
    let daemon = machine_s_daemon(&backbone);
    let create = |user, name| {
        let made = as_user(&daemon, user, &["account", "create", "--name", name]).json();
        made["id"].as_str().unwrap().to_owned()
    };
    let (work, home, ben) = (create(ANN, "work"), create(ANN, "home"), create(BEN, "ben"));
    let token = ["token", "create", "--name", "bot", "--role", "send", "--accounts", "work"];
    let made = as_user(&daemon, ANN, &token).json();
    let file = daemon.path("token");
    fs::write(&file, made["token"].as_str().unwrap()).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    let by = |user, args: &[&str]| {
        as_user(&daemon, user, &[&["--token", file.to_str().unwrap()], args].concat())
    };
    let accounts = by(ANN, &["account", "list"]).json();
    assert_eq!(accounts.as_array().unwrap().len(), 1);
    assert_eq!(accounts[0]["id"], work.as_str());
    by(ANN, &["send", &ben, "of the bot"]).json();
    let refused =
        |ran: Ran, kind| assert_eq!(ran.kind(if kind == "not_found" { 5 } else { 7 }), kind);
    refused(by(ANN, &["send", &ben, "x", "--account", &home]), "not_found");
    refused(by(ANN, &["account", "export"]), "not_permitted");
    refused(by(ANN, &["token", "list"]), "not_permitted");
    refused(by(BEN, &["account", "list"]), "token.bad");
    // What the home account hears is not for the bot.
    let home_sent = as_user(&daemon, ANN, &["send", &ben, "private", "--account", "home"]).json();
    let id = home_sent["id"].as_str().unwrap();
    refused(by(ANN, &["message", "show", id]), "not_found");
    let events = by(ANN, &["rpc", "event.list", "since:=0"]).json();
    let events = events["events"].as_array().unwrap();
    assert!(events.iter().all(|event| event["account"] == work.as_str()));
    assert!(!format!("{events:?}").contains("private"));

    let tokens = as_user(&daemon, ANN, &["token", "list"]).json();
    assert_eq!(
        (tokens[0]["id"].clone(), tokens[0]["name"].clone()),
        (made["id"].clone(), json!("bot"))
    );
    assert_eq!(as_user(&daemon, BEN, &["token", "list"]).json(), json!([]));
    let id = made["id"].as_str().unwrap();
    refused(as_user(&daemon, BEN, &["token", "delete", id]), "not_found");
    as_user(&daemon, ANN, &["token", "delete", id]).json();
    refused(by(ANN, &["account", "list"]), "token.bad");
}

const LACKS: &str = "BYTCHAT_LACKS_SOMETHING";

/// Not a test of its own: it cannot run, when it is told so.
#[test]
fn a_test_that_lacks_something() {
    if env::var_os(LACKS).is_some() {
        cannot_run("a part", "something is missing");
    }
}

#[test]
fn what_cannot_run_is_said_aloud_and_is_a_failure_where_everything_is_to_run() {
    let run = |all: &str| -> Output {
        let mut own = Command::new(env::current_exe().unwrap());
        own.args(["--exact", "unix_users::a_test_that_lacks_something"]);
        own.env(LACKS, "1").env("BYTCHAT_ALL", all).output().unwrap()
    };
    let passed = run("0");
    let said = String::from_utf8(passed.stderr).unwrap();
    assert!(passed.status.success() && said.contains("NOT RUN: a part: something is missing"));
    assert!(!run("1").status.success());
}
