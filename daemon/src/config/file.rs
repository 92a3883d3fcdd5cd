//! The configuration file: TOML, read by hand so that an error can name line, key and remedy.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use bytchat_core::event::Keep;
use bytchat_proto::alias::Host;
use bytchat_proto::limits::{
    DAY_MS, EVENTS_CHOICE, EVENTS_DAYS_CHOICE, EVENTS_MIB_CHOICE, MIB, WORK_BITS_CHOICE,
};
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use tracing_subscriber::EnvFilter;

use super::allow::Allow;
use super::keys::{self, Key, Table};
use super::{ConfigError, StaticPod};

/// What a configuration file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct File {
    /// Where to listen.
    pub(super) listen: Option<Vec<SocketAddr>>,
    /// Whom to ask first.
    pub(super) bootstrap: Option<Vec<SocketAddr>>,
    /// The network's name.
    pub(super) network: Option<String>,
    /// Where the key of the private network lies.
    pub(super) network_key: Option<PathBuf>,
    /// The bits of work that it asks for.
    pub(super) work: Option<u8>,
    /// Where everything is kept.
    pub(super) data_dir: Option<PathBuf>,
    /// Where front ends call.
    pub(super) socket: Option<PathBuf>,
    /// Who may use the socket.
    pub(super) allow: Option<Vec<Allow>>,
    /// The pod's own host.
    pub(super) pod: Option<Host>,
    /// Pods that need no DNS.
    pub(super) pods: Vec<StaticPod>,
    /// DNS servers.
    pub(super) dns: Option<Vec<SocketAddr>>,
    /// What is logged.
    pub(super) log: Option<String>,
    /// How much of the log of events is kept.
    pub(super) events: Option<Keep>,
    /// The line of each key and table, from 1.
    pub(super) lines: BTreeMap<String, usize>,
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
        let root = reader.section(root, &keys::ROOT)?;
        Ok(Self {
            listen: root.map(&keys::LISTEN, |item| reader.addresses(item))?,
            bootstrap: root.map(&keys::BOOTSTRAP, |item| reader.addresses(item))?,
            network: root.map(&keys::NETWORK, |item| reader.text(item))?,
            network_key: root.map(&keys::NETWORK_KEY, |item| reader.path(item))?,
            work: root.map(&keys::WORK, |item| reader.work(item))?,
            data_dir: root.map(&keys::DATA_DIR, |item| reader.path(item))?,
            socket: root.map(&keys::SOCKET, |item| reader.path(item))?,
            dns: root.map(&keys::DNS, |item| reader.addresses(item))?,
            log: root.map(&keys::LOG, |item| reader.log(item))?,
            allow: root.table(&keys::API, |item| reader.api(item))?.flatten(),
            pod: root.table(&keys::POD, |item| reader.pod(item))?,
            pods: root.table(&keys::PODS, |item| reader.pods(item))?.unwrap_or_default(),
            events: root.table(&keys::EVENTS, |item| reader.events(item))?,
            lines: reader.lines(&root),
        })
    }
}

pub(super) struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
}

/// A table whose keys are known ones.
pub(super) struct Section<'a> {
    name: &'static str,
    at: usize,
    table: DeTable<'a>,
}

/// A value with the key that it belongs to and what would do there.
pub(super) struct Item<'v, 'a> {
    key: String,
    expected: &'static str,
    value: &'v Spanned<DeValue<'a>>,
}

impl<'a> Section<'a> {
    fn key(&self, key: &str) -> String {
        match self.name {
            "" => key.to_owned(),
            name => format!("{name}.{key}"),
        }
    }

    pub(super) fn map<T>(
        &self,
        key: &Key,
        read: impl FnOnce(&Item<'_, 'a>) -> Result<T, ConfigError>,
    ) -> Result<Option<T>, ConfigError> {
        self.value(key.name, key.expected, read)
    }

    fn table<T>(
        &self,
        table: &Table,
        read: impl FnOnce(&Item<'_, 'a>) -> Result<T, ConfigError>,
    ) -> Result<Option<T>, ConfigError> {
        self.value(table.name, table.expected, read)
    }

    fn value<T>(
        &self,
        name: &str,
        expected: &'static str,
        read: impl FnOnce(&Item<'_, 'a>) -> Result<T, ConfigError>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(value) = self.table.get(name) else {
            return Ok(None);
        };
        read(&Item { key: self.key(name), expected, value }).map(Some)
    }
}

impl Reader<'_> {
    fn section<'a>(
        &self,
        table: Spanned<DeTable<'a>>,
        known: &Table,
    ) -> Result<Section<'a>, ConfigError> {
        let at = table.span().start;
        let section = Section { name: known.name, at, table: table.into_inner() };
        let names = known.names();
        let mut found = section.table.keys();
        match found.find(|key| !names.contains(&key.get_ref().as_ref())) {
            None => Ok(section),
            Some(key) => Err(ConfigError::UnknownKey {
                file: self.path.to_path_buf(),
                line: self.line(key.span().start),
                key: section.key(key.get_ref()),
                expected: names.join(", "),
            }),
        }
    }

    fn pod(&self, item: &Item<'_, '_>) -> Result<Host, ConfigError> {
        let pod = self.table(item, &keys::POD)?;
        self.needed(&pod, &keys::POD_HOST, |item| self.parsed(item))
    }

    fn pods(&self, item: &Item<'_, '_>) -> Result<Vec<StaticPod>, ConfigError> {
        let entries = self.entries(item)?.map(|item| {
            let pod = self.table(&item, &keys::PODS)?;
            Ok(StaticPod {
                host: self.needed(&pod, &keys::PODS_HOST, |item| self.parsed(item))?,
                address: self.needed(&pod, &keys::PODS_ADDRESS, |item| self.parsed(item))?,
                node: pod.map(&keys::PODS_NODE, |item| self.parsed(item))?,
            })
        });
        entries.collect()
    }

    fn events(&self, item: &Item<'_, '_>) -> Result<Keep, ConfigError> {
        let table = self.table(item, &keys::EVENTS)?;
        let read = |key: &Key, choice: RangeInclusive<u64>| {
            table.map(key, |item| self.number(item, &choice))
        };
        let usual = Keep::default();
        let mib = read(&keys::EVENTS_MIB, EVENTS_MIB_CHOICE)?;
        let days = read(&keys::EVENTS_DAYS, EVENTS_DAYS_CHOICE)?;
        Ok(Keep {
            count: read(&keys::EVENTS_COUNT, EVENTS_CHOICE)?.unwrap_or(usual.count),
            bytes: mib.map_or(usual.bytes, |mib| mib * MIB),
            age_ms: days.map_or(usual.age_ms, |days| days * DAY_MS),
        })
    }

    pub(super) fn entries<'v, 'a>(
        &self,
        item: &Item<'v, 'a>,
    ) -> Result<impl Iterator<Item = Item<'v, 'a>>, ConfigError> {
        let DeValue::Array(entries) = item.value.get_ref() else {
            return Err(self.wrong(item));
        };
        let (key, expected) = (item.key.clone(), item.expected);
        Ok(entries.iter().map(move |value| Item { key: key.clone(), expected, value }))
    }

    pub(super) fn table<'a>(
        &self,
        item: &Item<'_, 'a>,
        known: &Table,
    ) -> Result<Section<'a>, ConfigError> {
        let DeValue::Table(table) = item.value.get_ref() else {
            return Err(self.wrong(item));
        };
        let table = Spanned::new(item.value.span(), table.clone());
        self.section(table, known)
    }

    pub(super) fn needed<'a, T>(
        &self,
        section: &Section<'a>,
        key: &Key,
        read: impl FnOnce(&Item<'_, 'a>) -> Result<T, ConfigError>,
    ) -> Result<T, ConfigError> {
        section.map(key, read)?.ok_or_else(|| ConfigError::Missing {
            file: self.path.to_path_buf(),
            line: self.line(section.at),
            key: section.key(key.name),
            expected: key.expected,
        })
    }

    fn addresses(&self, item: &Item<'_, '_>) -> Result<Vec<SocketAddr>, ConfigError> {
        self.entries(item)?.map(|item| self.parsed(&item)).collect()
    }

    fn log(&self, item: &Item<'_, '_>) -> Result<String, ConfigError> {
        let text = self.text(item)?;
        match EnvFilter::try_new(&text) {
            Ok(_) if text.split(',').all(means_something) => Ok(text),
            Ok(_) | Err(_) => Err(self.wrong(item)),
        }
    }

    fn path(&self, item: &Item<'_, '_>) -> Result<PathBuf, ConfigError> {
        let path = PathBuf::from(self.text(item)?);
        if path.is_absolute() {
            return Ok(path);
        }
        Err(self.wrong(item))
    }

    pub(super) fn parsed<T: FromStr>(&self, item: &Item<'_, '_>) -> Result<T, ConfigError> {
        self.text(item)?.parse().map_err(|_| self.wrong(item))
    }

    /// A name, or a number that is not negative, as text.
    pub(super) fn name(&self, item: &Item<'_, '_>) -> Result<String, ConfigError> {
        let value = item.value.get_ref();
        let number = value.as_integer().and_then(|number| number.as_str().parse::<u32>().ok());
        let good = |text: &&str| !text.is_empty() && !text.contains(char::is_control);
        let text = value.as_str().filter(good).map(str::to_owned);
        text.or_else(|| number.map(|number| number.to_string())).ok_or_else(|| self.wrong(item))
    }

    fn work(&self, item: &Item<'_, '_>) -> Result<u8, ConfigError> {
        let bits = self.number(item, &WORK_BITS_CHOICE)?;
        u8::try_from(bits).map_err(|_| self.wrong(item))
    }

    fn number(
        &self,
        item: &Item<'_, '_>,
        choice: &RangeInclusive<u64>,
    ) -> Result<u64, ConfigError> {
        let number = item.value.get_ref().as_integer();
        let number = number.and_then(|it| u64::from_str_radix(it.as_str(), it.radix()).ok());
        number.filter(|number| choice.contains(number)).ok_or_else(|| self.wrong(item))
    }

    fn text(&self, item: &Item<'_, '_>) -> Result<String, ConfigError> {
        let text = item.value.get_ref().as_str();
        text.map(str::to_owned).ok_or_else(|| self.wrong(item))
    }

    pub(super) fn wrong(&self, item: &Item<'_, '_>) -> ConfigError {
        let span = item.value.span();
        let got = self.text.get(span.clone()).unwrap_or_default();
        ConfigError::Value {
            file: self.path.to_path_buf(),
            line: self.line(span.start),
            key: item.key.clone(),
            expected: item.expected,
            got: got.lines().next().unwrap_or_default().to_owned(),
        }
    }

    fn lines(&self, section: &Section<'_>) -> BTreeMap<String, usize> {
        let keys = section.table.keys();
        keys.map(|key| (key.get_ref().to_string(), self.line(key.span().start))).collect()
    }

    fn line(&self, at: usize) -> usize {
        let before = self.text.as_bytes().get(..at).unwrap_or_default();
        before.iter().filter(|byte| **byte == b'\n').count() + 1
    }
}

/// Tells whether a part of a filter for the log can be meant. A lone word that is no level would
/// name a part of the program that does not exist, and nothing at all would be logged.
fn means_something(part: &str) -> bool {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let part = part.trim().to_ascii_lowercase();
    !part.chars().all(|c| c.is_ascii_alphabetic()) || LEVELS.contains(&part.as_str())
}
