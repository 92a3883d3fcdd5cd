//! Where each value of the configuration comes from, for who asks the daemon that runs.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use bytchat_proto::rpc::node::{self, Origin, Setting};
use serde_json::Value;

use super::file::File;
use super::keys::{ROOT, TABLES};
use super::{Args, Config, Surroundings};

/// How a socket of systemd is called.
const PASSED: &str = "a socket of systemd";

/// Where each value comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    file: Option<PathBuf>,
    of: BTreeMap<&'static str, (Origin, String)>,
    /// What is in effect where something comes before the configuration.
    instead: BTreeMap<&'static str, Value>,
}

impl Origins {
    pub(super) fn new(
        args: &Args,
        around: &Surroundings,
        file: &File,
        path: Option<PathBuf>,
    ) -> Self {
        let mut origins = Self::default();
        origins.environment("data_dir", around.state.is_some(), "STATE_DIRECTORY");
        origins.environment("socket", around.session.is_some(), "XDG_RUNTIME_DIR");
        origins.environment("socket", around.runtime.is_some(), "RUNTIME_DIRECTORY");
        let place = path.as_deref().map(text).unwrap_or_default();
        for key in keys() {
            if let Some(line) = file.lines.get(key) {
                origins.of.insert(key, (Origin::File, format!("{place}:{line}")));
            }
        }
        for (key, given, flag) in [
            ("listen", !args.listen.is_empty(), "--listen"),
            ("bootstrap", !args.bootstrap.is_empty(), "--bootstrap"),
            ("network", args.network.is_some(), "--network"),
            ("data_dir", args.data_dir.is_some(), "--data-dir"),
            ("socket", args.socket.is_some(), "--socket"),
            ("pod", args.pod_host.is_some(), "--pod-host"),
        ] {
            if given {
                origins.of.insert(key, (Origin::Flag, flag.to_owned()));
            }
        }
        if let Some(log) = &around.log {
            origins.environment("log", true, "BYTCHAT_LOG");
            origins.instead.insert("log", log.as_str().into());
        }
        Self { file: path, ..origins }
    }

    fn environment(&mut self, key: &'static str, given: bool, place: &str) {
        if given {
            self.of.insert(key, (Origin::Environment, place.to_owned()));
        }
    }

    /// Takes note of the socket for front ends that systemd handed over.
    pub fn passed_socket(&mut self, path: Option<&Path>) {
        self.environment("socket", true, PASSED);
        self.instead.insert("socket", path.map(text).into());
    }

    /// Takes note of the addresses to listen at that systemd handed over.
    pub fn passed_listen(&mut self, addresses: &[SocketAddr]) {
        self.environment("listen", true, PASSED);
        self.listening(addresses);
    }

    /// Takes note of the addresses to listen at where they are not those of the configuration.
    pub fn listening(&mut self, addresses: &[SocketAddr]) {
        let addresses: Vec<_> = addresses.iter().map(SocketAddr::to_string).collect();
        self.instead.insert("listen", addresses.into());
    }

    /// Takes on the origins of a configuration that was read again, but for the keys that wait
    /// for the next start.
    pub fn take(&mut self, other: &Self, waiting: &[&'static str]) {
        for key in keys().filter(|key| !waiting.contains(key) && !self.instead.contains_key(key)) {
            match other.of.get(key) {
                Some(origin) => self.of.insert(key, origin.clone()),
                None => self.of.remove(key),
            };
        }
        self.file.clone_from(&other.file);
    }

    /// The configuration in effect, with where each value comes from.
    pub fn show(&self, config: &Config, waiting: &[&'static str]) -> node::Config {
        let table = config.to_table();
        let value = |key: &str| {
            let own = || table.get(key).and_then(|value| serde_json::to_value(value).ok());
            self.instead.get(key).cloned().or_else(own).unwrap_or_default()
        };
        let setting = |key: &'static str| {
            let origin = self.of.get(key);
            Setting {
                key: key.to_owned(),
                value: value(key),
                origin: origin.map_or(Origin::Default, |(origin, _)| *origin),
                place: origin.map(|(_, place)| place.clone()),
                waits: waiting.contains(&key),
            }
        };
        let file = self.file.as_deref().map(text);
        node::Config { file, values: keys().map(setting).collect() }
    }
}

/// The keys that stand before all tables, and the tables.
fn keys() -> impl Iterator<Item = &'static str> {
    ROOT.keys
        .iter()
        .map(|key| key.name)
        .chain(TABLES.iter().map(|table| table.name).filter(|name| !name.is_empty()))
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(toml: &str) -> (File, Option<PathBuf>) {
        let path = PathBuf::from("/etc/b.toml");
        (File::parse(&path, toml).unwrap(), Some(path))
    }

    #[test]
    fn each_value_is_shown_with_what_set_it() {
        let args = Args { network: Some("flag".to_owned()), ..Args::default() };
        let state = Some("/state".into());
        let log = Some("debug".to_owned());
        let around = Surroundings { state, log, ..Surroundings::default() };
        let lines = [
            "# home",
            "network = \"file\"",
            "log = \"warn\"",
            "bootstrap = [\"192.0.2.1:1\"]",
            "[pod]",
            "host = \"pod.example\"",
        ];
        let (file, path) = parse(&lines.join("\n"));
        let mut origins = Origins::new(&args, &around, &file, path);
        origins.passed_listen(&[SocketAddr::from(([127, 0, 0, 1], 9))]);
        let config = Config::merge(file, &args, &around).unwrap();
        let shown = origins.show(&config, &["network"]);
        assert_eq!((shown.file.as_deref(), shown.values.len()), (Some("/etc/b.toml"), 13));
        for (key, value, origin, place) in [
            ("network", "\"flag\"", Origin::Flag, Some("--network")),
            ("bootstrap", "[\"192.0.2.1:1\"]", Origin::File, Some("/etc/b.toml:4")),
            ("pod", "{\"host\":\"pod.example\"}", Origin::File, Some("/etc/b.toml:5")),
            ("data_dir", "\"/state\"", Origin::Environment, Some("STATE_DIRECTORY")),
            ("log", "\"debug\"", Origin::Environment, Some("BYTCHAT_LOG")),
            ("listen", "[\"127.0.0.1:9\"]", Origin::Environment, Some(PASSED)),
            ("dns", "[]", Origin::Default, None),
            ("pods", "null", Origin::Default, None),
        ] {
            let setting = shown.values.iter().find(|setting| setting.key == key).unwrap();
            let got = (setting.value.to_string(), setting.origin, setting.place.as_deref());
            assert_eq!(got, (value.to_owned(), origin, place), "{key}");
            assert_eq!(setting.waits, key == "network");
        }
    }

    #[test]
    fn what_waits_for_a_restart_keeps_its_origin() {
        let read = |toml: &str| {
            let (file, path) = parse(toml);
            Origins::new(&Args::default(), &Surroundings::default(), &file, path)
        };
        let mut origins = read("network = \"a\"\nlog = \"warn\"\n");
        origins.take(&read("\nnetwork = \"b\"\n"), &["network"]);
        assert_eq!(origins.of.get("network"), Some(&(Origin::File, "/etc/b.toml:1".to_owned())));
        assert_eq!(origins.of.get("log"), None);
    }
}
