//! What the engine is told anew while it runs, and its word to systemd about how it stands.

use std::net::SocketAddr;
use std::time::Duration;

use bytchat_core::io::Input;
use bytchat_core::node::Standing;
use bytchat_proto::limits::STATUS_EVERY_MS;
use tokio::time::Instant;

use super::outside::{Decide, Disk, Links};
use super::{Engine, Tick};
use crate::resolve::Resolver;

/// The configuration was read again, well or not.
#[derive(Debug)]
pub struct Change {
    /// What is taken on, if it could be read.
    pub settings: Option<Settings>,
    /// What people should know as long as nothing else comes; empty if there is nothing.
    pub remark: String,
}

/// What an engine that runs can be told anew.
#[derive(Debug)]
pub struct Settings {
    /// Host names.
    pub resolver: Resolver,
    /// Where to ask when few neighbours are known.
    pub bootstrap: Vec<SocketAddr>,
}

/// What was said, and when there may be more.
#[derive(Debug)]
pub(super) struct Status {
    said: String,
    remark: String,
    due: Instant,
}

impl Status {
    pub(super) fn new(now: Instant) -> Self {
        Self { said: String::new(), remark: String::new(), due: now }
    }

    /// When to look again, if systemd listens.
    pub(super) fn due(&self) -> (Instant, Tick) {
        (self.due, Tick::Status)
    }
}

impl<N: Decide, D: Disk, L: Links> Engine<N, D, L> {
    /// Takes on what is new.
    pub(super) fn change(&mut self, change: Change) {
        if let Some(Settings { resolver, bootstrap }) = change.settings {
            self.surface.resolver = resolver;
            self.decide(Input::Settings { bootstrap });
        }
        self.status.remark = change.remark;
        self.tell_status();
    }

    /// Tells systemd how the daemon stands, if that has changed.
    pub(super) fn tell_status(&mut self) {
        let now = self.surface.clock.instant(self.surface.clock.now().mono);
        self.status.due = now + Duration::from_millis(STATUS_EVERY_MS);
        let mut words = match self.is_full() {
            true => "the disk is full: nothing is sent or taken until there is room".to_owned(),
            false => words(self.node.standing()),
        };
        if !self.status.remark.is_empty() {
            words = format!("{words}; {}", self.status.remark);
        }
        if words != self.status.said {
            self.surface.notifier.status(&words);
            self.status.said = words;
        }
    }
}

fn words(standing: Standing) -> String {
    let count = |number: usize, one: &str, many: &str| match number {
        1 => format!("1 {one}"),
        _ => format!("{number} {many}"),
    };
    format!(
        "running: {}, {} known, {} under way",
        count(standing.links, "link", "links"),
        count(standing.peers, "node", "nodes"),
        count(standing.outbox, "message", "messages")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_in_words() {
        let standing = Standing { links: 1, peers: 12, outbox: 0 };
        assert_eq!(words(standing), "running: 1 link, 12 nodes known, 0 messages under way");
    }
}
