//! The configuration in effect, as a file that would give it again.

use std::fmt::{self, Display};

use bytchat_core::event::Keep;
use bytchat_proto::limits::{DAY_MS, MIB};
use toml::{Table, Value};

use super::Config;

impl Config {
    pub(super) fn to_table(&self) -> Table {
        let path = |path: &std::path::Path| Value::from(path.to_string_lossy().into_owned());
        let mut table = Table::new();
        table.insert("listen".into(), texts(&self.listen.addresses()));
        table.insert("bootstrap".into(), texts(&self.bootstrap));
        table.insert("network".into(), Value::from(self.network.as_str()));
        if let Some(file) = &self.network_key {
            table.insert("network_key".into(), path(file));
        }
        table.insert("work".into(), Value::from(i64::from(self.work)));
        table.insert("data_dir".into(), path(&self.data_dir));
        table.insert("socket".into(), path(&self.socket));
        table.insert("dns".into(), texts(&self.dns));
        table.insert("log".into(), Value::from(self.log.as_str()));
        table.insert("api".into(), self.api.to_table());
        if let Some(host) = &self.pod {
            table.insert("pod".into(), entry([("host", host.to_string())]));
        }
        let pods = self.pods.iter().map(|pod| {
            let node = pod.node.map(|node| ("node_id", node.to_string()));
            let place = [("host", pod.host.to_string()), ("address", pod.address.to_string())];
            entry(place.into_iter().chain(node))
        });
        if !self.pods.is_empty() {
            table.insert("pods".into(), Value::Array(pods.collect()));
        }
        let Keep { count, bytes, age_ms } = self.events;
        let events = [("days", age_ms / DAY_MS), ("count", count), ("mib", bytes / MIB)];
        let number = |value| i64::try_from(value).unwrap_or(i64::MAX);
        let events = events.map(|(key, value)| (key.to_owned(), number(value).into()));
        table.insert("events".into(), Value::Table(events.into_iter().collect()));
        table
    }
}

impl Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(&self.to_table(), f)
    }
}

fn texts<T: ToString>(items: &[T]) -> Value {
    Value::Array(items.iter().map(|item| item.to_string().into()).collect())
}

fn entry(fields: impl IntoIterator<Item = (&'static str, String)>) -> Value {
    let fields = fields.into_iter();
    Value::Table(fields.map(|(key, value)| (key.to_owned(), value.into())).collect())
}
