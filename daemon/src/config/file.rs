//! The configuration file: TOML, read by hand so that an error can name line, key and remedy.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use bytchat_proto::alias::Host;
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use tracing_subscriber::EnvFilter;

use super::{ConfigError, StaticPod};

const ADDRESS: &str = "an address with a port such as \"192.0.2.1:4848\"";
const ADDRESSES: &str = "a list of addresses with ports such as [\"192.0.2.1:4848\"]";
const HOST: &str = "a DNS name such as \"pod.example\"";
const NODE: &str = "a node id of 32 characters, as `bytctl node status` shows it";
const PATH: &str = "an absolute path such as \"/var/lib/bytchat\"";
const LOG: &str = "a filter such as \"info\" or \"info,bytchatd::net=debug\"";
const POD: &str = "a table [pod] with the key `host`";
const PODS: &str = "tables [[pods]] with the keys `host`, `address` and perhaps `node_id`";

/// What a configuration file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct File {
    /// Where to listen.
    pub(super) listen: Option<Vec<SocketAddr>>,
    /// Whom to ask first.
    pub(super) bootstrap: Option<Vec<SocketAddr>>,
    /// The network's name.
    pub(super) network: Option<String>,
    /// Where everything is kept.
    pub(super) data_dir: Option<PathBuf>,
    /// Where front ends call.
    pub(super) socket: Option<PathBuf>,
    /// The pod's own host.
    pub(super) pod: Option<Host>,
    /// Pods that need no DNS.
    pub(super) pods: Vec<StaticPod>,
    /// DNS servers.
    pub(super) dns: Option<Vec<SocketAddr>>,
    /// What is logged.
    pub(super) log: Option<String>,
}

impl File {
    /// Reads the text of a file.
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let reader = Reader { path, text };
        let root = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
            file: path.to_path_buf(),
            line: reader.line(error.span().map_or(0, |span| span.start)),
            reason: error.message().trim_end().replace('\n', ", "),
        })?;
        let keys =
            ["listen", "bootstrap", "network", "data_dir", "socket", "dns", "log", "pod", "pods"];
        let root = reader.section(root, "", &keys)?;
        Ok(Self {
            listen: root.map("listen", |value| reader.addresses(value))?,
            bootstrap: root.map("bootstrap", |value| reader.addresses(value))?,
            network: root.map("network", |value| reader.text(value, "a name"))?,
            data_dir: root.map("data_dir", |value| reader.path(value))?,
            socket: root.map("socket", |value| reader.path(value))?,
            dns: root.map("dns", |value| reader.addresses(value))?,
            log: root.map("log", |value| reader.log(value))?,
            pod: root.map("pod", |value| reader.pod(value))?,
            pods: root.map("pods", |value| reader.pods(value))?.unwrap_or_default(),
        })
    }
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
}

/// A table whose keys are known ones.
struct Section<'a> {
    name: &'static str,
    at: usize,
    table: DeTable<'a>,
}

/// A value with the key that it belongs to.
struct Item<'v, 'a> {
    key: String,
    value: &'v Spanned<DeValue<'a>>,
}

impl<'a> Section<'a> {
    fn key(&self, key: &str) -> String {
        match self.name {
            "" => key.to_owned(),
            name => format!("{name}.{key}"),
        }
    }

    fn map<T>(
        &self,
        key: &str,
        read: impl FnOnce(&Item<'_, 'a>) -> Result<T, ConfigError>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(value) = self.table.get(key) else {
            return Ok(None);
        };
        let key = self.key(key);
        read(&Item { key, value }).map(Some)
    }
}

impl Reader<'_> {
    fn section<'a>(
        &self,
        table: Spanned<DeTable<'a>>,
        name: &'static str,
        keys: &[&str],
    ) -> Result<Section<'a>, ConfigError> {
        let section = Section { name, at: table.span().start, table: table.into_inner() };
        let mut found = section.table.keys();
        match found.find(|key| !keys.contains(&key.get_ref().as_ref())) {
            None => Ok(section),
            Some(key) => Err(ConfigError::UnknownKey {
                file: self.path.to_path_buf(),
                line: self.line(key.span().start),
                key: section.key(key.get_ref()),
                expected: keys.join(", "),
            }),
        }
    }

    fn pod(&self, item: &Item<'_, '_>) -> Result<Host, ConfigError> {
        let pod = self.table(item, "pod", &["host"], POD)?;
        self.needed(&pod, "host", HOST, |value| self.parsed(value, HOST))
    }

    fn pods(&self, item: &Item<'_, '_>) -> Result<Vec<StaticPod>, ConfigError> {
        let DeValue::Array(entries) = item.value.get_ref() else {
            return Err(self.wrong(item, PODS));
        };
        let entries = entries.iter().map(|value| {
            let item = Item { key: item.key.clone(), value };
            let pod = self.table(&item, "pods", &["host", "address", "node_id"], PODS)?;
            Ok(StaticPod {
                host: self.needed(&pod, "host", HOST, |value| self.parsed(value, HOST))?,
                address: self
                    .needed(&pod, "address", ADDRESS, |value| self.parsed(value, ADDRESS))?,
                node: pod.map("node_id", |value| self.parsed(value, NODE))?,
            })
        });
        entries.collect()
    }

    fn table<'a>(
        &self,
        item: &Item<'_, 'a>,
        name: &'static str,
        keys: &[&str],
        expected: &'static str,
    ) -> Result<Section<'a>, ConfigError> {
        let DeValue::Table(table) = item.value.get_ref() else {
            return Err(self.wrong(item, expected));
        };
        let table = Spanned::new(item.value.span(), table.clone());
        self.section(table, name, keys)
    }

    fn needed<'a, T>(
        &self,
        section: &Section<'a>,
        key: &str,
        expected: &'static str,
        read: impl FnOnce(&Item<'_, 'a>) -> Result<T, ConfigError>,
    ) -> Result<T, ConfigError> {
        section.map(key, read)?.ok_or_else(|| ConfigError::Missing {
            file: self.path.to_path_buf(),
            line: self.line(section.at),
            key: section.key(key),
            expected,
        })
    }

    fn addresses(&self, item: &Item<'_, '_>) -> Result<Vec<SocketAddr>, ConfigError> {
        let DeValue::Array(entries) = item.value.get_ref() else {
            return Err(self.wrong(item, ADDRESSES));
        };
        let entries = entries.iter().map(|value| {
            let item = Item { key: item.key.clone(), value };
            self.parsed(&item, ADDRESSES)
        });
        entries.collect()
    }

    fn log(&self, item: &Item<'_, '_>) -> Result<String, ConfigError> {
        let text = self.text(item, LOG)?;
        match EnvFilter::try_new(&text) {
            Ok(_) => Ok(text),
            Err(_) => Err(self.wrong(item, LOG)),
        }
    }

    fn path(&self, item: &Item<'_, '_>) -> Result<PathBuf, ConfigError> {
        let path = PathBuf::from(self.text(item, PATH)?);
        if path.is_absolute() {
            return Ok(path);
        }
        Err(self.wrong(item, PATH))
    }

    fn parsed<T: FromStr>(
        &self,
        item: &Item<'_, '_>,
        expected: &'static str,
    ) -> Result<T, ConfigError> {
        let text = self.text(item, expected)?;
        text.parse().map_err(|_| self.wrong(item, expected))
    }

    fn text(&self, item: &Item<'_, '_>, expected: &'static str) -> Result<String, ConfigError> {
        let text = item.value.get_ref().as_str();
        text.map(str::to_owned).ok_or_else(|| self.wrong(item, expected))
    }

    fn wrong(&self, item: &Item<'_, '_>, expected: &'static str) -> ConfigError {
        let span = item.value.span();
        let got = self.text.get(span.clone()).unwrap_or_default();
        ConfigError::Value {
            file: self.path.to_path_buf(),
            line: self.line(span.start),
            key: item.key.clone(),
            expected,
            got: got.lines().next().unwrap_or_default().to_owned(),
        }
    }

    fn line(&self, at: usize) -> usize {
        let before = self.text.as_bytes().get(..at).unwrap_or_default();
        before.iter().filter(|byte| **byte == b'\n').count() + 1
    }
}
