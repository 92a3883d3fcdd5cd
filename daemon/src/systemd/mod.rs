//! What systemd wants to hear: ready, alive, stopping (sd_notify(3), without its library); and the
//! sockets that it hands over.

mod sockets;

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

pub use sockets::{Sockets, SocketsError};

/// The line to systemd, shared by its clones; one to nobody when the daemon was started by hand.
#[derive(Clone, Debug, Default)]
pub struct Notifier {
    line: Option<Arc<(UnixDatagram, SocketAddr)>>,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// Opens the line that `NOTIFY_SOCKET` names; `WATCHDOG_USEC` says how often it must be used.
    pub fn open(socket: Option<&str>, watchdog_usec: Option<&str>) -> io::Result<Self> {
        let Some(name) = socket.filter(|name| !name.is_empty()) else {
            return Ok(Self::default());
        };
        let address = match name.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(name)?,
        };
        let usec = watchdog_usec.and_then(|text| text.parse::<u64>().ok());
        Ok(Self {
            line: Some(Arc::new((UnixDatagram::unbound()?, address))),
            watchdog: usec.filter(|usec| *usec > 0).map(Duration::from_micros),
        })
    }

    /// How often [`Notifier::alive`] is to be said: twice in the time that systemd grants.
    pub fn alive_every(&self) -> Option<Duration> {
        self.watchdog.map(|time| time / 2)
    }

    /// Tells whether anybody listens.
    pub fn is_heard(&self) -> bool {
        self.line.is_some()
    }

    /// Says what takes so long at the start, and asks for so much time from now on.
    pub fn starting(&self, what: &str, time: Duration) {
        self.say(&format!("EXTEND_TIMEOUT_USEC={}\nSTATUS={what}", time.as_micros()));
    }

    /// Says that the start is over.
    pub fn ready(&self, status: &str) {
        self.say(&format!("READY=1\nSTATUS={status}"));
    }

    /// Says that the configuration is read again; [`Notifier::reloaded`] follows.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let usec = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000;
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={usec}"));
    }

    /// Says that the configuration was read again.
    pub fn reloaded(&self) {
        self.say("READY=1");
    }

    /// Says that the daemon is not stuck.
    pub fn alive(&self) {
        self.say("WATCHDOG=1");
    }

    /// Says what stands in the way, or that nothing does.
    pub fn status(&self, status: &str) {
        self.say(&format!("STATUS={}", status.replace('\n', " ")));
    }

    /// Says that the daemon is about to stop.
    pub fn stopping(&self) {
        self.say("STOPPING=1");
    }

    fn say(&self, words: &str) {
        let Some((socket, address)) = self.line.as_deref() else {
            return;
        };
        if let Err(error) = socket.send_to_addr(words.as_bytes(), address) {
            tracing::debug!(%error, "systemd did not listen");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hear(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 128];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    #[test]
    fn systemd_hears_by_path_and_by_abstract_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let by_path = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::open(path.to_str(), Some("4000000")).unwrap();
        assert_eq!(notifier.alive_every(), Some(Duration::from_secs(2)));
        notifier.ready("here");
        assert_eq!(hear(&by_path), "READY=1\nSTATUS=here");

        let name = format!("bytchat-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let by_name = UnixDatagram::bind_addr(&address).unwrap();
        let notifier = Notifier::open(Some(&format!("@{name}")), None).unwrap();
        assert_eq!(notifier.alive_every(), None);
        notifier.clone().stopping();
        assert_eq!(hear(&by_name), "STOPPING=1");
        notifier.reloading();
        assert!(hear(&by_name).starts_with("RELOADING=1\nMONOTONIC_USEC="));
        notifier.status("two\nlines");
        assert_eq!(hear(&by_name), "STATUS=two lines");
    }

    #[test]
    fn without_systemd_nobody_is_told() {
        let notifier = Notifier::open(None, Some("1")).unwrap();
        assert!(notifier.line.is_none());
        assert_eq!(notifier.alive_every(), None);
        notifier.alive();
    }
}
