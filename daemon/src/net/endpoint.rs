//! Listening and dialling on the same sockets.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;
use quinn::{
    ClientConfig, Connection, ConnectionError, Endpoint, Incoming, NoneTokenLog, NoneTokenStore,
    ServerConfig, TransportConfig, ValidationTokenConfig,
};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tracing::{Instrument, Span, debug, debug_span, trace};

use super::arrivals::Arrivals;
use super::end::{CloseCode, close_connection, describe_loss};
use super::frame::{FrameError, encode_length, read_frame};
use super::gate::{Gate, Seat, Verdict};
use super::key::{KeyError, KeyText, NodeKey};
use super::limits::{
    BIDI_STREAMS_MAX, DIALS_MAX, HANDSHAKE_TIMEOUT, IDLE_TIMEOUT, INCOMING_BYTES_MAX,
    INCOMING_BYTES_TOTAL_MAX, INCOMING_MAX, KEEP_ALIVE_MAX, KEEP_ALIVE_MIN, LINK_WINDOW_BYTES,
    NetLimits, SEND_WINDOW_BYTES, STREAM_WINDOW_BYTES, UNI_STREAMS_MAX,
};
use super::link::{Links, Opened, run_link};
use super::reset::endpoint_config;
use super::tasks::{Drivers, Tasks};
use super::tls::{Identity, SERVER_NAME, peer_key};
use super::{DialId, NetError, NetEvent};

/// The exporter label that binds what is signed later to this very connection (RFC 5705).
const BINDING_LABEL: &[u8] = b"EXPORTER-bytchat-auth";

/// What all tasks of the network share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) gate: Arc<Gate>,
    pub(crate) links: Links,
    pub(crate) tasks: Tasks,
    /// The transport's own tasks, one for each socket and connection.
    pub(crate) drivers: Arc<Tasks>,
    endpoints: Vec<(SocketAddr, Endpoint)>,
    events: Arrivals,
    identity: Identity,
    server: ServerConfig,
    dials: Semaphore,
    started: Instant,
}

impl Shared {
    /// Puts an endpoint on each socket; nothing is accepted yet.
    #[expect(
        clippy::disallowed_methods,
        reason = "the rates of strangers' handshakes are measured in the time of the sockets"
    )]
    pub(crate) fn new(
        sockets: Vec<UdpSocket>,
        key: &NodeKey,
        limits: NetLimits,
        events: Arrivals,
    ) -> Result<Arc<Self>, NetError> {
        let runtime = Handle::try_current().map_err(|_| NetError::NoRuntime)?;
        let drivers = Arc::new(Tasks::new(runtime.clone()));
        let identity = Identity::new(key)?;
        let server = server_config(&identity)?;
        let endpoints = sockets
            .into_iter()
            .map(|socket| open_endpoint(socket, key, &server, &drivers))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Arc::new(Self {
            gate: Gate::new(limits),
            links: Links::default(),
            tasks: Tasks::new(runtime),
            drivers,
            endpoints,
            events,
            identity,
            server,
            dials: Semaphore::new(DIALS_MAX),
            started: Instant::now(),
        }))
    }

    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.endpoints.iter().map(|(address, _)| *address).collect()
    }

    /// Begins to accept on all addresses.
    pub(crate) fn listen(self: &Arc<Self>) {
        for (address, endpoint) in &self.endpoints {
            debug!(%address, "listening");
            let (shared, endpoint) = (Arc::clone(self), endpoint.clone());
            self.tasks.spawn(async move {
                while let Some(incoming) = endpoint.accept().await {
                    shared.admit(incoming);
                }
            });
        }
    }

    fn admit(self: &Arc<Self>, incoming: Incoming) {
        let address = incoming.remote_address();
        let proved = incoming.remote_address_validated();
        match self.gate.knock(address.ip(), proved, self.started.elapsed()) {
            Verdict::Accept(seat) => self.accept(incoming, seat),
            Verdict::Retry => {
                trace!(%address, "handshake must prove its address");
                if let Err(error) = incoming.retry() {
                    error.into_incoming().ignore();
                }
            }
            Verdict::Refuse => {
                debug!(%address, "handshake refused, no room");
                incoming.refuse();
            }
            Verdict::Ignore => {
                trace!(%address, "handshake ignored, too many");
                incoming.ignore();
            }
        }
    }

    fn accept(self: &Arc<Self>, incoming: Incoming, seat: Seat) {
        let shared = Arc::clone(self);
        let span = debug_span!("link", peer = tracing::field::Empty);
        let task = async move {
            let address = incoming.remote_address();
            match shared.open_accepted(incoming, seat).await {
                Ok(opened) => run_link(&shared.links, &shared.events, opened).await,
                Err(error) => debug!(%address, %error, "handshake ended"),
            }
        };
        self.tasks.spawn(task.instrument(span));
    }

    async fn open_accepted(&self, incoming: Incoming, mut seat: Seat) -> Result<Opened, OpenError> {
        let mut config = self.server.clone();
        config.transport_config(transport_config());
        let connecting = incoming.accept_with(Arc::new(config))?;
        let opening = async {
            let connection = connecting.await?;
            if !seat.establish() {
                close_connection(&connection, CloseCode::Refused, "too many links from there");
                return Err(OpenError::NoRoom);
            }
            let (key, binding) = authenticate(&connection)?;
            let (send, mut recv) = connection.accept_bi().await?;
            // A stream exists for us only when something came on it: the dialler begins with an
            // empty frame.
            if read_frame(&mut recv, 0).await?.is_none() {
                return Err(OpenError::NoOpening);
            }
            Ok((connection, key, binding, send, recv))
        };
        let opened = timeout(HANDSHAKE_TIMEOUT, opening).await.map_err(|_| OpenError::TimedOut)?;
        let (connection, key, binding, send, recv) = opened?;
        Ok(Opened { connection, key, binding, send, recv, dial: None, seat })
    }

    /// Begins a dial; how it ends is told by an event.
    pub(crate) fn dial(self: &Arc<Self>, dial: DialId, address: SocketAddr, key: Option<[u8; 32]>) {
        let shared = Arc::clone(self);
        let span = debug_span!("link", peer = tracing::field::Empty);
        let task = async move {
            match shared.open_dialled(dial, address, key).await {
                Ok(opened) => run_link(&shared.links, &shared.events, opened).await,
                Err(error) => shared.dial_failed(dial, address, &error).await,
            }
        };
        self.tasks.spawn(task.instrument(span));
    }

    async fn dial_failed(&self, dial: DialId, address: SocketAddr, error: &OpenError) {
        debug!(dial = dial.0, %address, %error, "dial ended");
        let event = NetEvent::DialFailed { dial, reason: error.to_string() };
        if self.events.send(event).await.is_err() {
            trace!("nobody listens to events any more");
        }
    }

    async fn open_dialled(
        &self,
        dial: DialId,
        address: SocketAddr,
        key: Option<[u8; 32]>,
    ) -> Result<Opened, OpenError> {
        let _turn = self.dials.try_acquire().map_err(|_| OpenError::TooManyDials)?;
        let seat = self.gate.reserve(address.ip()).ok_or(OpenError::NoRoom)?;
        let endpoint = self.endpoint_for(address).ok_or(OpenError::NoFamily { address })?;
        let mut config = ClientConfig::new(self.identity.client(key).map_err(OpenError::Tls)?);
        config.transport_config(transport_config()).token_store(Arc::new(NoneTokenStore));
        let connecting = endpoint.connect_with(config, address, SERVER_NAME)?;
        let opening = async {
            let connection = connecting.await?;
            let (key, binding) = authenticate(&connection)?;
            let (mut send, recv) = connection.open_bi().await?;
            send.write_all(&encode_length(&[])).await.map_err(io::Error::from)?;
            Ok::<_, OpenError>((connection, key, binding, send, recv))
        };
        let opened = timeout(HANDSHAKE_TIMEOUT, opening).await.map_err(|_| OpenError::TimedOut)?;
        let (connection, key, binding, send, recv) = opened?;
        Ok(Opened { connection, key, binding, send, recv, dial: Some(dial), seat })
    }

    /// Finds the socket that can most likely reach an address.
    fn endpoint_for(&self, target: SocketAddr) -> Option<&Endpoint> {
        let rank = |local: &SocketAddr| {
            let (wild, near) = (local.ip().is_unspecified(), local.ip().is_loopback());
            match (target.ip().is_loopback(), wild, near) {
                (true, _, true) | (false, true, _) => 0,
                (true, true, _) | (false, _, false) => 1,
                (true, _, _) | (false, _, true) => 2,
            }
        };
        let of_family = self.endpoints.iter().filter(|(a, _)| a.is_ipv4() == target.is_ipv4());
        of_family.min_by_key(|(local, _)| rank(local)).map(|(_, endpoint)| endpoint)
    }

    /// Closes all connections and accepts no more.
    pub(crate) fn close(&self, reason: &str) {
        self.links.close_all(CloseCode::Shutdown, reason);
        for (_, endpoint) in &self.endpoints {
            endpoint.close(CloseCode::Shutdown.into(), reason.as_bytes());
        }
    }

    /// Waits until no connection is left on any socket.
    pub(crate) async fn wait_idle(&self) {
        for (_, endpoint) in &self.endpoints {
            endpoint.wait_idle().await;
        }
    }
}

fn authenticate(connection: &Connection) -> Result<([u8; 32], [u8; 32]), OpenError> {
    let key = peer_key(connection)?;
    Span::current().record("peer", tracing::field::display(KeyText(&key)));
    let mut binding = [0; 32];
    connection
        .export_keying_material(&mut binding, BINDING_LABEL, &[])
        .map_err(|_| OpenError::NoBinding)?;
    Ok((key, binding))
}

fn server_config(identity: &Identity) -> Result<ServerConfig, NetError> {
    let mut config = ServerConfig::with_crypto(identity.server()?);
    let mut tokens = ValidationTokenConfig::default();
    // Tokens for later visits would let an observer link a node's connections.
    tokens.sent(0).log(Arc::new(NoneTokenLog));
    config
        .validation_token_config(tokens)
        .max_incoming(INCOMING_MAX)
        .incoming_buffer_size(INCOMING_BYTES_MAX)
        .incoming_buffer_size_total(INCOMING_BYTES_TOTAL_MAX)
        .migration(true);
    Ok(config)
}

/// Makes the transport of one link, with a keep-alive of its own.
fn transport_config() -> Arc<TransportConfig> {
    let mut config = TransportConfig::default();
    config
        .max_concurrent_bidi_streams(BIDI_STREAMS_MAX.into())
        .max_concurrent_uni_streams(UNI_STREAMS_MAX.into())
        .stream_receive_window(STREAM_WINDOW_BYTES.into())
        .receive_window(LINK_WINDOW_BYTES.into())
        .send_window(SEND_WINDOW_BYTES)
        .max_idle_timeout(Some(IDLE_TIMEOUT.try_into().expect("a minute is a valid timeout")))
        .keep_alive_interval(Some(keep_alive()))
        .datagram_receive_buffer_size(None)
        .allow_spin(false);
    Arc::new(config)
}

fn keep_alive() -> Duration {
    let mut bytes = [0; 2];
    // Without randomness links beat in step, which costs no more than a little smoothness.
    let part = rand::fill(&mut bytes).map_or(0, |()| u16::from_be_bytes(bytes));
    KEEP_ALIVE_MIN + (KEEP_ALIVE_MAX - KEEP_ALIVE_MIN) * u32::from(part) / u32::from(u16::MAX)
}

fn open_endpoint(
    socket: UdpSocket,
    key: &NodeKey,
    server: &ServerConfig,
    drivers: &Arc<Tasks>,
) -> Result<(SocketAddr, Endpoint), NetError> {
    let address = socket.local_addr().map_err(NetError::NoPlace)?;
    let config = endpoint_config(key);
    let runtime = Arc::new(Drivers::new(Arc::clone(drivers)));
    let endpoint = Endpoint::new(config, Some(server.clone()), socket, runtime)
        .map_err(|source| NetError::Listen { address, source })?;
    Ok((address, endpoint))
}

/// Binds an address.
pub(crate) fn open_socket(address: SocketAddr) -> Result<UdpSocket, NetError> {
    bound(address).map_err(|source| {
        let in_use = source.kind() == io::ErrorKind::AddrInUse;
        if in_use { NetError::InUse { address } } else { NetError::Listen { address, source } }
    })
}

fn bound(address: SocketAddr) -> io::Result<UdpSocket> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    if address.is_ipv6() {
        // Else [::] takes the port of 0.0.0.0 as well.
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    bind(&socket, &address)?;
    Ok(UdpSocket::from(socket))
}

/// Why a connection does not become a link.
#[derive(Debug, Error)]
enum OpenError {
    #[error("{}", describe_loss(.0))]
    Lost(#[from] ConnectionError),
    #[error("address cannot be dialled: {0}")]
    Connect(#[from] quinn::ConnectError),
    #[error("no listen address of the family of {address}")]
    NoFamily { address: SocketAddr },
    #[error("no room for a further link")]
    NoRoom,
    #[error("too many dials under way, expected at most {DIALS_MAX}")]
    TooManyDials,
    #[error("no answer within {} seconds", HANDSHAKE_TIMEOUT.as_secs())]
    TimedOut,
    #[error("{0}")]
    Key(#[from] KeyError),
    #[error("{0}")]
    Tls(super::tls::TlsError),
    #[error("connection has no binding")]
    NoBinding,
    #[error("shared stream ends at its beginning")]
    NoOpening,
    #[error("shared stream does not begin with an empty frame: {0}")]
    Opening(#[from] FrameError),
    #[error("shared stream is lost: {0}")]
    Stream(#[from] io::Error),
}
