//! Links between nodes: authenticated QUIC connections that carry frames of opaque bytes.
//!
//! One UDP socket per listen address serves dialling and accepting. Each link has one shared
//! stream for small frames, which arrive in order, and a stream each for large ones, which may
//! overtake. Every event goes through one queue, bounded in number and in bytes; when the engine
//! does not keep up, peers are slowed down.

mod arrivals;
mod end;
mod endpoint;
mod frame;
mod gate;
mod key;
pub mod limits;
mod link;
mod pace;
mod queue;
mod reset;
mod tasks;
mod tls;

#[cfg(test)]
mod tests;

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use thiserror::Error;
use tokio::time::timeout;

pub use arrivals::Events;
use endpoint::{Shared, open_socket};
pub use frame::{FrameError, read_frame};
pub use gate::NetCounts;
pub use key::{KeyError, NodeKey};
use limits::SHUTDOWN_TIMEOUT;
pub use limits::{FRAME_BYTES_MAX, NetLimits};
pub use tls::TlsError;

/// What the network needs to start.
#[derive(Clone, Debug)]
pub struct NetConfig {
    /// The addresses to listen on and to dial from, one socket each; port 0 is any free port.
    pub listen: Vec<SocketAddr>,
    /// The key that peers authenticate.
    pub key: NodeKey,
    /// What may be limited otherwise than by default.
    pub limits: NetLimits,
}

/// Names a link as long as this process lives; numbers are not used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// Names a dial; the caller chooses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DialId(pub u64);

/// What the network tells the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetEvent {
    /// A link is up and its peer's key is authenticated.
    ///
    /// The dialling side is up one way earlier than the other, which may still refuse: then
    /// `Down` follows.
    Up {
        /// The new link.
        link: LinkId,
        /// The peer's Ed25519 key.
        key: [u8; 32],
        /// Where the peer is seen.
        address: SocketAddr,
        /// Bytes that both ends of this connection know and nobody else does.
        binding: [u8; 32],
        /// The dial that led here, if it was we who dialled.
        dial: Option<DialId>,
    },
    /// A frame has arrived.
    Frame {
        /// The link it came on.
        link: LinkId,
        /// What the peer sent.
        bytes: Vec<u8>,
    },
    /// A link is down; nothing more comes of it.
    Down {
        /// The link that ended.
        link: LinkId,
        /// Why, for people to read.
        reason: String,
    },
    /// A dial came to nothing.
    DialFailed {
        /// The dial that ended.
        dial: DialId,
        /// Why, for people to read.
        reason: String,
    },
}

/// The handle of the network; when it is dropped all links end.
#[derive(Debug)]
pub struct Net {
    shared: Arc<Shared>,
}

impl Net {
    /// Binds the listen addresses and begins to accept; must be called in a tokio runtime.
    ///
    /// # Errors
    /// When an address cannot be bound, the error names it.
    #[expect(clippy::unused_async, reason = "it needs a runtime, which only async code has")]
    pub async fn start(config: NetConfig) -> Result<(Self, Events), NetError> {
        if config.listen.is_empty() {
            return Err(NetError::NoAddress);
        }
        let sockets = config.listen.into_iter().map(open_socket).collect::<Result<_, _>>()?;
        Self::run(sockets, &config.key, config.limits)
    }

    /// The same on sockets that somebody else has bound; the addresses of the configuration do
    /// not count.
    ///
    /// # Errors
    /// When a socket cannot be used, or there is none.
    #[expect(clippy::unused_async, reason = "it needs a runtime, which only async code has")]
    pub async fn adopt(
        sockets: Vec<UdpSocket>,
        config: NetConfig,
    ) -> Result<(Self, Events), NetError> {
        if sockets.is_empty() {
            return Err(NetError::NoAddress);
        }
        Self::run(sockets, &config.key, config.limits)
    }

    fn run(
        sockets: Vec<UdpSocket>,
        key: &NodeKey,
        limits: NetLimits,
    ) -> Result<(Self, Events), NetError> {
        let (arrivals, events) = arrivals::queue();
        let shared = Shared::new(sockets, key, limits, arrivals)?;
        shared.listen();
        Ok((Self { shared }, events))
    }

    /// Returns the addresses it listens on, in the order of the configuration, with real ports.
    pub fn listen_addresses(&self) -> Vec<SocketAddr> {
        self.shared.addresses()
    }

    /// Dials an address, from the socket of its family; `Up` or `DialFailed` follows.
    ///
    /// With a key named, any other node that answers there is refused.
    pub fn dial(&self, dial: DialId, address: SocketAddr, key: Option<[u8; 32]>) {
        self.shared.dial(dial, address, key);
    }

    /// Queues a frame and never waits.
    ///
    /// # Errors
    /// When the frame is too long, the link is down, or its queue is full; in the last case the
    /// link is closed, and `Down` follows.
    pub fn send(&self, link: LinkId, bytes: Vec<u8>) -> Result<(), SendError> {
        self.shared.links.send(link, bytes)
    }

    /// Closes a link and tells the peer why; `Down` follows, perhaps after frames that had come.
    ///
    /// Frames that are still queued are not sent.
    pub fn close(&self, link: LinkId, reason: &str) {
        self.shared.links.close(link, reason);
    }

    /// Returns how many links and handshakes there are.
    pub fn counts(&self) -> NetCounts {
        self.shared.gate.counts()
    }

    /// Closes all links, tells the peers, and waits for that a second or two at most.
    pub async fn shutdown(self) {
        self.shared.close("node shuts down");
        let ended = async {
            self.shared.wait_idle().await;
            self.shared.tasks.join().await;
        };
        if timeout(SHUTDOWN_TIMEOUT, ended).await.is_err() {
            tracing::debug!("some peers did not hear of the shutdown");
        }
        let drivers = Arc::clone(&self.shared.drivers);
        drop(self);
        // A port is free again when nobody drives its socket any more.
        if timeout(SHUTDOWN_TIMEOUT, drivers.join()).await.is_err() {
            tracing::debug!("some connections were still closing");
        }
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        self.shared.close("node stops");
        self.shared.tasks.abort();
    }
}

/// Why the network does not start.
#[derive(Debug, Error)]
pub enum NetError {
    /// The configuration names no address.
    #[error("no listen address is configured, expected at least one")]
    NoAddress,
    /// Another program, or another node, has the address.
    #[error("listen address {address} is in use; stop what uses it or configure another")]
    InUse {
        /// The address that is taken.
        address: SocketAddr,
    },
    /// The operating system refuses the address.
    #[error("listen address {address} cannot be used: {source}")]
    Listen {
        /// The address that is refused.
        address: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
    /// The node's key or TLS cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A socket that somebody else has bound does not say where.
    #[error("a socket that was handed over has no address: {0}")]
    NoPlace(io::Error),
    /// The call was made outside a tokio runtime.
    #[error("network was started outside a tokio runtime")]
    NoRuntime,
}

/// Why a frame is not sent.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SendError {
    /// The frame is longer than any frame may be.
    #[error("frame of {got} bytes, expected at most {FRAME_BYTES_MAX}")]
    TooLong {
        /// The length of the frame.
        got: usize,
    },
    /// There is no such link any more.
    #[error("link {} is down", link.0)]
    Down {
        /// The link that was named.
        link: LinkId,
    },
    /// The peer does not keep up; its link is closed.
    #[error("link {} does not keep up and is closed", link.0)]
    TooSlow {
        /// The link that was named.
        link: LinkId,
    },
}
