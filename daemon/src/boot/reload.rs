//! The configuration read again at SIGHUP: all of it is good and taken, or none of it.

use bytchat_proto::limits::{PORT_DEFAULT, RELOAD_TIMEOUT_MS};
use bytchat_proto::rpc::node;
use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::allow::{check_names, rules};
use super::{BootError, known_pods};
use crate::config::{Args, Config, ConfigError, Listen, Origins, Surroundings};
use crate::engine::{Change, Settings};
use crate::log::Log;
use crate::resolve::Resolver;
use crate::rpc::Access;
use crate::systemd::{Notifier, Sockets};

/// What reading again needs.
pub(super) struct Reload {
    pub(super) args: Args,
    pub(super) around: Surroundings,
    /// As it was read; what is in effect differs by what waits for the next start.
    pub(super) config: Config,
    pub(super) log: Log,
    pub(super) told: Told,
    pub(super) access: Arc<Access>,
    pub(super) changes: mpsc::Sender<Change>,
}

/// Who is told when the configuration is read again: front ends that ask for it, and systemd.
pub(super) struct Told {
    pub(super) origins: Origins,
    pub(super) shown: watch::Sender<node::Config>,
    pub(super) notifier: Notifier,
}

/// Listens to SIGHUP; `None` where it says what it says by default, that the terminal is gone.
pub(super) fn hangups() -> Result<Option<Signal>, BootError> {
    if io::stderr().is_terminal() {
        return Ok(None);
    }
    let hangups = signal(SignalKind::hangup());
    let hangups =
        hangups.map_err(|source| BootError::System { what: "to listen to signals", source })?;
    Ok(Some(hangups))
}

impl Told {
    /// What front ends are shown at first: the configuration, and the sockets of systemd where
    /// they come before it.
    pub(super) fn new(
        mut origins: Origins,
        config: &Config,
        sockets: &Sockets,
        notifier: &Notifier,
    ) -> Self {
        if let Some(socket) = &sockets.rpc {
            let address = socket.local_addr().ok();
            origins.passed_socket(address.as_ref().and_then(|address| address.as_pathname()));
        }
        if !sockets.quic.is_empty() {
            let addresses = sockets.quic.iter().filter_map(|socket| socket.local_addr().ok());
            origins.passed_listen(&addresses.collect::<Vec<_>>());
        }
        let (shown, _) = watch::channel(origins.show(config, &[]));
        Self { origins, shown, notifier: notifier.clone() }
    }

    /// Shows where the node listens, if it is not where it would without a configuration.
    pub(super) fn listening(&mut self, config: &Config, addresses: &[SocketAddr]) {
        let usual = |address: &SocketAddr| address.port() == PORT_DEFAULT;
        if config.listen == Listen::Usual && !addresses.iter().any(usual) {
            self.origins.listening(addresses);
            self.shown.send_replace(self.origins.show(config, &[]));
        }
    }
}

impl Reload {
    /// Reads the configuration again whenever it is told to.
    pub(super) async fn run(mut self, mut hangups: Signal) {
        while hangups.recv().await.is_some() {
            self.told.notifier.reloading();
            let change = self.again().await;
            self.told.notifier.reloaded();
            if self.changes.send(change).await.is_err() {
                return;
            }
        }
    }

    async fn again(&mut self) -> Change {
        match self.read().await {
            Ok((config, origins)) => self.take(config, &origins),
            Err(reason) => {
                tracing::warn!(reason, "the configuration stays as it was");
                let remark = format!("the new configuration is not in use: {reason}");
                Change { settings: None, remark }
            }
        }
    }

    // A named file may be a pipe, or lie on a disk that hangs.
    async fn read(&self) -> Result<(Config, Origins), String> {
        let (args, around) = (self.args.clone(), self.around.clone());
        let read = spawn_blocking(move || Config::load(&args, &around));
        match timeout(Duration::from_millis(RELOAD_TIMEOUT_MS), read).await {
            Ok(Ok(loaded)) => loaded.map_err(|error: ConfigError| error.to_string()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("it was not read within {RELOAD_TIMEOUT_MS} ms")),
        }
    }

    fn take(&mut self, config: Config, origins: &Origins) -> Change {
        let difference = self.config.take(config);
        let Told { origins: own, shown, .. } = &mut self.told;
        own.take(origins, &difference.at_start);
        shown.send_replace(own.show(&self.config, &difference.at_start));
        let (at_once, at_start) = (difference.at_once.join(", "), difference.at_start.join(", "));
        match (difference.is_empty(), at_start.is_empty()) {
            (true, _) => tracing::info!("the configuration was read again, nothing is new"),
            (false, true) => tracing::info!(at_once, "the configuration was read again"),
            (false, false) => {
                tracing::warn!(at_once, at_start, "a part of the configuration needs a restart");
            }
        }
        self.log.set(&self.config.log);
        if difference.at_once.contains(&"api") {
            self.access.set(rules(&self.config.api));
            check_names(&self.access);
        }
        let resolver = Resolver::new(known_pods(&self.config.pods), &self.config.dns);
        let bootstrap = self.config.bootstrap.clone();
        let remark = match at_start.is_empty() {
            true => String::new(),
            false => format!("a restart is needed for {at_start}"),
        };
        Change { settings: Some(Settings { resolver, bootstrap }), remark }
    }
}
