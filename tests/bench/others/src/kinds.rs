//! The kinds of nodes, and how each is asked for the same.

use std::path::Path;
use std::process::Command;

use crate::bytchat::Daemon;
use crate::process::Lines;

/// A kind of node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    BytChat,
    Libp2p,
    Mainline,
    OpenDht,
}

/// A node.
pub(crate) enum Node {
    BytChat(Daemon),
    Ours(Lines),
    OpenDht(Lines),
}

impl Kind {
    pub(crate) const ALL: [Self; 4] =
        [Self::BytChat, Self::Libp2p, Self::Mainline, Self::OpenDht];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::BytChat => "bytchat",
            Self::Libp2p => "libp2p",
            Self::Mainline => "mainline",
            Self::OpenDht => "opendht",
        }
    }

    /// Starts a node that knows the one at the port `first`.
    pub(crate) fn start(self, dir: &Path, port: u16, first: Option<u16>) -> Node {
        match self {
            Self::BytChat => Node::BytChat(Daemon::start(dir, port, first)),
            Self::Libp2p | Self::Mainline => {
                let own = std::env::current_exe().expect("a program knows its path");
                let mut command = Command::new(own);
                command.args(["node", self.name(), &port.to_string()]);
                command.args(first.map(|first| first.to_string()));
                let mut lines = Lines::start(&mut command);
                let ready = lines.hear(|line| (line == "ready").then_some(()));
                assert!(ready.is_some(), "a node does not start");
                Node::Ours(lines)
            }
            Self::OpenDht => {
                let mut command = Command::new("dhtnode");
                command.args(["-n", "4242", "-p", &port.to_string()]);
                if let Some(first) = first {
                    command.args(["-b", &format!("127.0.0.1:{first}")]);
                }
                let mut lines = Lines::start(&mut command);
                let ready = lines.hear(|line| line.contains("running on port").then_some(()));
                assert!(ready.is_some(), "a node does not start");
                Node::OpenDht(lines)
            }
        }
    }
}

impl Node {
    /// What is to be put, if the node itself has to say what its name is.
    pub(crate) fn name(&mut self, turn: usize) -> String {
        match self {
            Self::BytChat(daemon) => daemon.account(),
            // Forty hexadecimal digits that lie anywhere.
            Self::Ours(_) | Self::OpenDht(_) => {
                let turn = u64::try_from(turn).expect("turns are few") + 1;
                let mixed = turn.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                format!("{mixed:016x}{:016x}{turn:08x}", mixed.rotate_left(29) ^ mixed >> 7)
            }
        }
    }

    /// Puts a value; whether enough others said that they have it.
    pub(crate) fn put(&mut self, name: &str, value: &str) -> bool {
        match self {
            Self::BytChat(daemon) => daemon.put(name, value),
            Self::Ours(lines) => {
                let answer = |line: &str| line.contains("put").then(|| line == "put");
                lines.ask(&format!("put {name} {value}"), answer).unwrap_or_default()
            }
            Self::OpenDht(lines) => {
                let answer =
                    |line: &str| line.contains("Put:").then(|| line.contains("success"));
                lines.ask(&format!("p {name} {value}"), answer).unwrap_or_default()
            }
        }
    }

    /// Gets a value.
    pub(crate) fn get(&mut self, name: &str) -> Option<String> {
        match self {
            Self::BytChat(daemon) => daemon.get(name),
            Self::Ours(lines) => {
                let answer = |line: &str| match line.strip_prefix("got ") {
                    Some(value) => Some(Some(value.to_owned())),
                    None => (line == "none").then_some(None),
                };
                lines.ask(&format!("get {name}"), answer).flatten()
            }
            Self::OpenDht(lines) => {
                let answer = |line: &str| match line.split_once("data(text/plain):\"") {
                    Some((_, rest)) => Some(rest.split('"').next().map(str::to_owned)),
                    None => line.contains("Get: completed").then_some(None),
                };
                lines.ask(&format!("g {name}"), answer).flatten()
            }
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        match self {
            Self::BytChat(daemon) => daemon.pid(),
            Self::Ours(lines) | Self::OpenDht(lines) => lines.pid(),
        }
    }
}
