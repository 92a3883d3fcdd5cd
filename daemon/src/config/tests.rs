//! Tests of the configuration: every way to get it wrong has its sentence.

use clap::Parser;
use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Result<File, ConfigError> {
    File::parse(Path::new("/etc/bytchatd.toml"), text)
}

fn sentence(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

fn home() -> Surroundings {
    Surroundings {
        user_data: Some("/home/ann/.local/share/bytchat".into()),
        session: Some("/run/user/1000".into()),
        ..Surroundings::default()
    }
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_known_ones() {
    assert_eq!(
        sentence("network = \"home\"\nlisen = []\n"),
        "/etc/bytchatd.toml:2: unknown key `lisen`, expected one of listen, bootstrap, network, \
         network_key, work, data_dir, socket, dns, log, api, pod, pods, events"
    );
    assert_eq!(
        sentence("[pod]\nhost = \"pod.test\"\nport = 1\n"),
        "/etc/bytchatd.toml:3: unknown key `pod.port`, expected one of host"
    );
}

#[test]
fn a_wrong_value_is_named_with_what_would_do() {
    let cases = [
        (
            "listen = \"0.0.0.0:4848\"",
            "/etc/bytchatd.toml:1: `listen` is a list of addresses with ports such as \
             [\"192.0.2.1:4848\"], got \"0.0.0.0:4848\"",
        ),
        (
            "bootstrap = [\n  \"192.0.2.1:4848\",\n  \"pod.test\",\n]",
            "/etc/bytchatd.toml:3: `bootstrap` is a list of addresses with ports such as \
             [\"192.0.2.1:4848\"], got \"pod.test\"",
        ),
        (
            "log = \"bytchatd=loud\"",
            "/etc/bytchatd.toml:1: `log` is a filter such as \"info\" or \
             \"info,bytchatd::net=debug\", got \"bytchatd=loud\"",
        ),
        (
            "log = \"info,verbose\"",
            "/etc/bytchatd.toml:1: `log` is a filter such as \"info\" or \
             \"info,bytchatd::net=debug\", got \"info,verbose\"",
        ),
        ("network = 7", "/etc/bytchatd.toml:1: `network` is a name, got 7"),
        (
            "data_dir = \"data\"",
            "/etc/bytchatd.toml:1: `data_dir` is an absolute path such as \"/var/lib/bytchat\", \
             got \"data\"",
        ),
        (
            "pod = \"pod.test\"",
            "/etc/bytchatd.toml:1: `pod` is a table [pod] with the key `host`, got \"pod.test\"",
        ),
        (
            "[pod]\nhost = \"-pod\"",
            "/etc/bytchatd.toml:2: `pod.host` is a DNS name such as \"pod.example\", got \"-pod\"",
        ),
        (
            "[[pods]]\nhost = \"p.test\"\naddress = \"192.0.2.1:1\"\nnode_id = \"x\"",
            "/etc/bytchatd.toml:4: `pods.node_id` is a node id of 32 characters, as `bytctl node \
             status` shows it, got \"x\"",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(sentence(text), expected);
    }
}

#[test]
fn a_rule_that_means_nobody_or_two_or_has_no_role_is_refused() {
    let head = "/etc/bytchatd.toml:2: `api.allow";
    for rule in [
        "{ role = \"send\" }",
        "{ user = \"a\", group = \"b\", role = \"send\" }",
        "{ user = \"a\", role = \"root\" }",
        "{ user = \"\", role = \"send\" }",
        "{ user = \"a\\u0000b\", role = \"send\" }",
        "{ user = -1, role = \"send\" }",
        "{ group = 4294967296, role = \"send\" }",
        "\"bytchat\"",
    ] {
        let said = sentence(&format!("[api]\nallow = [{rule}]"));
        assert!(said.starts_with(head), "{said}");
    }
    let said = sentence("[api]\nallow = [{ user = \"a\" }]");
    assert!(said.contains("`api.allow.role` is missing"), "{said}");
    let said = sentence("[api]\nallow = [{ users = \"a\", role = \"send\" }]");
    assert!(said.contains("unknown key `api.allow.users`"), "{said}");
    let many = vec!["{ user = 1, role = \"send\" }"; 65].join(", ");
    assert!(sentence(&format!("[api]\nallow = [{many}]")).contains("at most 64"));
}

#[test]
fn without_a_word_the_groups_of_the_package_have_roles() {
    use bytchat_proto::rpc::Role;
    let api = |text| Config::merge(parse(text).unwrap(), &Args::default(), &home()).unwrap().api;
    let Api { allow, is_default } = api("[api]");
    let group = |name: &str| allow.iter().find(|rule| rule.name == name && !rule.is_user);
    assert_eq!(group("bytchat").map(|rule| rule.role), Some(Role::Send));
    assert_eq!(group("bytchat-read").map(|rule| rule.role), Some(Role::Read));
    assert!(is_default);
    let none = api("[api]\nallow = []");
    assert!(none.allow.is_empty() && !none.is_default);
    let one = api("[api]\nallow = [{ user = 1000, role = \"observe\" }]");
    let rule = Allow { is_user: true, name: "1000".to_owned(), role: Role::Observe };
    assert_eq!(one.allow, [rule]);
}

#[test]
fn a_missing_key_is_named_with_the_line_of_its_table() {
    assert_eq!(
        sentence("network = \"home\"\n\n[[pods]]\nhost = \"pod.test\"\n"),
        "/etc/bytchatd.toml:3: `pods.address` is missing, expected an address with a port such \
         as \"192.0.2.1:4848\""
    );
}

#[test]
fn broken_toml_is_named_with_its_line() {
    assert_eq!(
        sentence("network = \"home\"\nlisten = [\n"),
        "/etc/bytchatd.toml:2: not valid TOML: unclosed array, expected `]`"
    );
    let again = sentence("network = \"a\"\nnetwork = \"b\"\n");
    assert_eq!(again, "/etc/bytchatd.toml:2: not valid TOML: duplicate key");
}

#[test]
fn a_file_that_is_not_there_is_an_error_only_if_it_was_named() {
    let named = Args::parse_from(["bytchatd", "--config", "/nowhere/x.toml"]);
    let error = Config::load(&named, &home()).unwrap_err().to_string();
    assert!(error.starts_with("/nowhere/x.toml: No such file"), "{error}");
    let usual = Surroundings { configuration: Some("/nowhere".into()), ..home() };
    assert!(Config::load(&Args::default(), &usual).is_ok());
}

#[test]
fn nothing_at_all_is_a_good_configuration() {
    let (config, _) = Config::load(&Args::default(), &home()).unwrap();
    assert_eq!(config.data_dir, Path::new("/home/ann/.local/share/bytchat"));
    assert_eq!(config.socket, Path::new("/run/user/1000/bytchat/bytchatd.sock"));
    assert_eq!(config.listen, Listen::Usual);
    assert_eq!(config.listen.addresses(), usual(4848));
    assert_eq!(parse("").unwrap(), File::default());
}

#[test]
fn systemd_has_the_word_before_the_user() {
    let around = Surroundings {
        state: Some("/var/lib/bytchat".into()),
        runtime: Some("/run/bytchat".into()),
        ..home()
    };
    let (config, _) = Config::load(&Args::default(), &around).unwrap();
    assert_eq!(config.data_dir, Path::new("/var/lib/bytchat"));
    assert_eq!(config.socket, Path::new("/run/bytchat/bytchatd.sock"));
}

#[test]
fn without_a_session_the_socket_lies_with_the_data() {
    let around = Surroundings { session: None, ..home() };
    let args = Args::parse_from(["bytchatd", "--data-dir", "/srv/chat"]);
    let (config, _) = Config::load(&args, &around).unwrap();
    assert_eq!(config.socket, Path::new("/srv/chat/bytchatd.sock"));
    let nothing = Config::load(&Args::default(), &Surroundings::default());
    assert!(matches!(nothing, Err(ConfigError::NoDataDir)));
}

#[test]
fn flags_override_the_file() {
    let file = parse("listen = [\"127.0.0.1:1\"]\nnetwork = \"a\"\ndns = [\"127.0.0.1:53\"]");
    let args = Args::parse_from([
        "bytchatd",
        "--listen",
        "127.0.0.1:2",
        "--listen",
        "[::1]:2",
        "--network",
        "b",
        "--pod-host",
        "pod.test",
    ]);
    let config = Config::merge(file.unwrap(), &args, &home()).unwrap();
    assert_eq!(config.listen.addresses().len(), 2);
    assert_eq!(config.network, "b");
    assert_eq!(config.pod.map(|host| host.to_string()).as_deref(), Some("pod.test"));
    assert_eq!(config.dns, ["127.0.0.1:53".parse().unwrap()]);
}

#[test]
fn only_the_public_network_asks_for_work_unless_the_file_says_so() {
    let work = |text: &str, network: Option<&str>| {
        let args = Args { network: network.map(str::to_owned), ..Args::default() };
        Config::merge(parse(text).unwrap(), &args, &home()).unwrap().work
    };
    assert_eq!(work("", None), 14);
    assert_eq!(work("network = \"home\"", None), 0);
    assert_eq!(work("", Some("home")), 0);
    assert_eq!(work("network = \"home\"", Some("")), 14);
    assert_eq!(work("work = 2", None), 2);
    assert_eq!(work("work = 2", Some("home")), 2);
    let expected = "/etc/bytchatd.toml:1: `work` is a number of bits from 0 to 24, got 25";
    assert_eq!(sentence("work = 25"), expected);
}

#[test]
fn what_is_shown_can_be_read_again() {
    let node = "a".repeat(32);
    let text = format!(
        "listen = [\"[::1]:4849\"]\nbootstrap = [\"192.0.2.1:4848\"]\nnetwork = \"home\"\n\
         network_key = \"/srv/key\"\nwork = 3\ndata_dir = \"/srv/chat\"\n\
         socket = \"/run/chat.sock\"\ndns = [\"127.0.0.1:53\"]\n\
         log = \"debug\"\n\
         [api]\nallow = [{{ user = 7, role = \"admin\" }}, {{ group = \"g\", role = \"read\" }}]\n\
         [pod]\nhost = \"pod.test\"\n\
         [[pods]]\nhost = \"a.test\"\naddress = \"192.0.2.2:4848\"\nnode_id = \"{node}\"\n\
         [[pods]]\nhost = \"b.test\"\naddress = \"192.0.2.3:4848\"\n\
         [events]\ndays = 7\ncount = 5000\n"
    );
    let nobody = Surroundings::default();
    let config = Config::merge(parse(&text).unwrap(), &Args::default(), &nobody).unwrap();
    assert_eq!(config.pods.len(), 2);
    let again = parse(&config.to_string()).unwrap();
    assert_eq!(Config::merge(again, &Args::default(), &nobody).unwrap(), config);
}

/// The example with its values brought to life; explanations stay comments.
fn example_in_force() -> String {
    let line = |line: &str| match line.strip_prefix('#') {
        Some(value) if !value.starts_with(' ') => format!("{value}\n"),
        Some(_) | None => format!("{line}\n"),
    };
    example().lines().map(line).collect()
}

#[test]
fn the_example_is_an_empty_configuration_of_short_lines() {
    assert_eq!(parse(&example()).unwrap(), File::default());
    assert!(example().lines().all(|line| line.len() <= 100), "{}", example());
}

#[test]
fn the_example_shows_every_key() {
    let file = parse(&example_in_force()).unwrap();
    let File { listen, bootstrap, network, network_key, work, data_dir, socket, .. } = &file;
    let File { allow, pod, pods, dns, log, events, lines, .. } = &file;
    assert!(listen.is_some() && bootstrap.is_some() && dns.is_some() && log.is_some());
    assert_eq!(*work, Some(14));
    assert!(network.is_some() && network_key.is_some() && data_dir.is_some() && socket.is_some());
    assert_eq!(allow.as_ref().map(Vec::len), Some(2));
    assert_eq!(pod.as_ref().map(ToString::to_string).as_deref(), Some("pod.example"));
    assert!(pods.iter().all(|pod| pod.node.is_some()) && pods.len() == 1);
    let year = 365 * 24 * 3_600_000;
    assert_eq!(*events, Some(Keep { count: 1_000_000, bytes: 1 << 30, age_ms: year }));
    assert_eq!(lines.len(), 13);
    for table in keys::TABLES {
        for key in table.keys {
            let line = format!("\n#{} = {}\n", key.name, key.example);
            assert!(example().contains(&line), "{line}");
        }
    }
}

#[test]
fn every_key_of_the_table_is_checked_for_what_it_expects() {
    for table in keys::TABLES {
        for key in table.keys {
            let good = table.keys.iter().filter(|other| other.name != key.name);
            let good: String =
                good.map(|key| format!("{} = {}\n", key.name, key.example)).collect();
            let text = format!("{}\n{good}{} = -1\n", table.opens, key.name);
            let lines = text.lines().count();
            let name = [table.name, key.name].join(".");
            let name = name.trim_start_matches('.');
            let expected =
                format!("/etc/bytchatd.toml:{lines}: `{name}` is {}, got -1", key.expected);
            assert_eq!(sentence(&text), expected);
        }
    }
}

#[test]
fn the_pages_tell_every_flag_and_every_key() {
    use clap::CommandFactory;
    let roff = |text: &str| text.replace('-', r"\-").replace('\'', r"\*(Aq");
    let page = Page::Daemon.render();
    for arg in Args::command().get_arguments().filter(|arg| !arg.is_hide_set()) {
        let flag = roff(&format!("--{}", arg.get_long().unwrap()));
        assert!(page.contains(&flag), "{flag}");
    }
    assert!(!page.contains(&roff("--manual")));
    let page = Page::File.render();
    for key in keys::TABLES.iter().flat_map(|table| table.keys) {
        assert!(page.contains(&format!("\n\\fB{}\\fR\n{}", key.name, roff(key.doc))), "{key:?}");
    }
}

#[test]
fn a_change_is_taken_on_at_once_or_waits_for_the_next_start() {
    let read = |text| Config::merge(parse(text).unwrap(), &Args::default(), &home()).unwrap();
    let mut config = read("network = \"a\"\nlog = \"info\"");
    let other = read("network = \"b\"\nlog = \"debug\"\nbootstrap = [\"192.0.2.1:4848\"]");
    let difference = config.take(other.clone());
    assert_eq!(difference.at_once, ["bootstrap", "log"]);
    assert_eq!(difference.at_start, ["network"]);
    assert_eq!((config.network.as_str(), config.log.as_str()), ("a", "debug"));
    // What waits is told again; what was taken on is not.
    let again = config.take(other);
    assert_eq!((again.at_once.len(), again.at_start.as_slice()), (0, &["network"][..]));
    let same = config.clone();
    assert!(config.take(same).is_empty());
}

#[test]
fn the_flags_are_sound() {
    use clap::CommandFactory;
    Args::command().debug_assert();
}

/// A configuration with every key, one line each.
const WHOLE: [&str; 19] = [
    "listen = [\"127.0.0.1:4848\"]",
    "bootstrap = [\"192.0.2.1:4848\", \"[2001:db8::1]:1\"]",
    "network = \"home\"",
    "work = 3",
    "data_dir = \"/srv/chat\"",
    "socket = \"/run/chat.sock\"",
    "dns = [\"127.0.0.1:53\"]",
    "[api]",
    "allow = [{ user = \"ann\", role = \"admin\" }, { group = 7, role = \"read\" }]",
    "[pod]",
    "host = \"pod.test\"",
    "[[pods]]",
    "host = \"b.test\"",
    "address = \"192.0.2.2:4848\"",
    "node_id = \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"",
    "[events]",
    "days = 30",
    "count = 1000",
    "mib = 1",
];

fn file_is_named(text: &str) {
    if let Err(error) = parse(text) {
        let sentence = error.to_string();
        assert!(sentence.starts_with("/etc/bytchatd.toml:"), "{sentence}");
    }
}

proptest! {
    #[test]
    fn no_text_stops_the_reader(text in "(\\PC|\n){0,200}") {
        file_is_named(&text);
    }

    #[test]
    fn no_change_of_a_good_file_stops_the_reader(
        drop in prop::collection::vec(0..WHOLE.len(), 0..4),
        at: prop::sample::Index,
        with in "\\PC{0,3}",
    ) {
        prop_assert!(parse(&WHOLE.join("\n")).is_ok());
        let lines = (0..).zip(WHOLE).filter(|(number, _)| !drop.contains(number));
        let mut text = lines.map(|(_, line)| line).collect::<Vec<_>>().join("\n");
        // All of it is ASCII, so that every index is a boundary.
        let at = at.index(text.len());
        text.replace_range(at..=at, &with);
        file_is_named(&text);
    }
}
