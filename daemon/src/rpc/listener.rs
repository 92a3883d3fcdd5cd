//! The socket: bound with care for who else may use its path, and given up cleanly.

use std::fs::{DirBuilder, File, Metadata, Permissions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytchat_core::io::Caller;
use bytchat_proto::limits::{ROLES_KEPT_MS, RPC_STOP_GRACE_MS};
use bytchat_proto::rpc::{ErrorKind, Role, RpcError};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep, timeout};
use tracing::{debug, warn};

use super::access::{Access, Peer, Renewal, Rules};
use super::desk::{Bounds, Desk, Speaking};
use super::dialect::{Dialect, detect};
use super::exchange::{Exchange, refusal};
use super::quota::Place;
use super::{RpcConfig, Service, http, lines};

/// After a failed accept, so that a lack of file descriptors does not become a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why the socket cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RpcServeError {
    /// Somebody answers there.
    #[error(
        "another bytchatd serves {}: stop it (`systemctl stop bytchatd`) or choose another \
         --socket",
        .path.display()
    )]
    InUse {
        /// The path of the socket.
        path: PathBuf,
    },
    /// Something that we did not make lies there.
    #[error("{} is no socket: move it away or choose another --socket", .path.display())]
    NotASocket {
        /// The path of the socket.
        path: PathBuf,
    },
    /// The operating system says no.
    #[error("cannot {what} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which path.
        path: PathBuf,
        /// The answer.
        source: io::Error,
    },
}

/// A bound socket. Dropping it removes the socket's file, if we made it.
#[derive(Debug)]
pub struct Listener {
    socket: UnixListener,
    access: Arc<Access>,
    _file: Option<SocketFile>,
}

/// The file of a socket that we made.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    file: (u64, u64),
    _lock: File,
}

impl Listener {
    /// Binds the socket, inside a tokio runtime. A socket file that nobody serves is replaced,
    /// and a missing directory is made. Beside the socket stays a `.lock` file, which two
    /// daemons that start at once fight over.
    ///
    /// # Errors
    /// Another daemon serves the path, something else lies there, or the system refuses.
    pub fn bind(config: &RpcConfig) -> Result<Self, RpcServeError> {
        let path = &config.socket;
        make_parent(config)?;
        let lock = lock(path)?;
        remove_stale(path)?;
        let socket = UnixListener::bind(path).map_err(failed("bind the socket", path))?;
        std::fs::set_permissions(path, Permissions::from_mode(config.mode))
            .map_err(failed("set the permissions of", path))?;
        let metadata = std::fs::symlink_metadata(path).map_err(failed("look at", path))?;
        let file = SocketFile { path: path.clone(), file: identity(&metadata), _lock: lock };
        Ok(Self::new(socket, Some(file)))
    }

    /// Takes over a socket that listens already, inside a tokio runtime. Its file is the business
    /// of who bound it, and calls that come while no daemon runs wait there.
    ///
    /// # Errors
    /// The system refuses.
    pub fn adopt(socket: std::os::unix::net::UnixListener) -> Result<Self, RpcServeError> {
        let adopted = socket.set_nonblocking(true).and_then(|()| UnixListener::from_std(socket));
        let socket = adopted.map_err(failed("take over", Path::new("the socket of systemd")))?;
        Ok(Self::new(socket, None))
    }

    fn new(socket: UnixListener, file: Option<SocketFile>) -> Self {
        Self { socket, access: Arc::new(Access::new(Rules::default())), _file: file }
    }

    /// Lets in whom others have given a role; without it root and our own Unix user alone.
    pub fn admitting(mut self, access: Arc<Access>) -> Self {
        self.access = access;
        self
    }

    /// Serves until `stop` turns true or its sender is gone, then removes the socket and gives
    /// the calls in flight a moment to end.
    pub async fn serve(self, service: Arc<dyn Service>, stop: watch::Receiver<bool>) {
        let access = Arc::clone(&self.access);
        let desk = Arc::new(Desk::new(service, access, Bounds::default(), stop));
        self.serve_at(desk).await;
    }

    pub(super) async fn serve_at(self, desk: Arc<Desk>) {
        let (mut clients, mut strangers) = (JoinSet::new(), JoinSet::new());
        let mut ticks = interval(Duration::from_millis(ROLES_KEPT_MS));
        loop {
            tokio::select! {
                accepted = self.socket.accept() => match accepted {
                    Ok((stream, _)) => knock(stream, &desk, &mut clients, &mut strangers),
                    Err(error) => {
                        warn!(%error, "a front end cannot be accepted");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(_) = clients.join_next() => {}
                Some(_) = strangers.join_next() => {}
                _ = ticks.tick() => desk.access.pass(),
                () = desk.stopped() => break,
            }
        }
        drop(self);
        let farewell = async { while clients.join_next().await.is_some() {} };
        let patience = Duration::from_millis(4 * RPC_STOP_GRACE_MS);
        if timeout(patience, farewell).await.is_err() {
            debug!("front ends that do not read their answers were cut off");
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = std::fs::symlink_metadata(&self.path).is_ok_and(|m| identity(&m) == self.file);
        if !ours {
            return;
        }
        if let Err(error) = std::fs::remove_file(&self.path) {
            warn!(%error, "the socket stays behind");
        }
    }
}

/// Lets a front end in, or says why not; who it is may have to be looked up first.
fn knock(
    stream: UnixStream,
    desk: &Arc<Desk>,
    clients: &mut JoinSet<()>,
    strangers: &mut JoinSet<()>,
) {
    let peer = match stream.peer_cred() {
        Ok(peer) => Peer { uid: peer.uid(), gid: peer.gid() },
        Err(error) => return warn!(%error, "the kernel does not say who calls"),
    };
    if let Some(known) = desk.access.known(peer) {
        if let Some(renewal) = desk.access.renewal(peer) {
            clients.spawn(renew(renewal, Arc::clone(desk)));
        }
        return match admit(peer, known, desk) {
            Ok((exchange, place)) => drop(clients.spawn(serve(stream, exchange, place))),
            Err(why) => turn_away(stream, &why, desk, strangers),
        };
    }
    let knocks = match desk.access.was_member(peer.uid) {
        true => &desk.members_knocks,
        false => &desk.knocks,
    };
    match knocks.take(peer.uid) {
        Ok(knocking) => drop(clients.spawn(look_up(stream, peer, Arc::clone(desk), knocking))),
        Err(why) => turn_away(stream, &why, desk, strangers),
    }
}

// SPEC 8.40: who has no role is refused before it takes a place.
/// Finds a place for a front end, or says why there is none.
fn admit(
    peer: Peer,
    role: Result<Role, RpcError>,
    desk: &Arc<Desk>,
) -> Result<(Exchange, Place), RpcError> {
    let (role, caller) = (role?, Caller { uid: peer.uid });
    let place = desk.clients.take(caller.uid)?;
    Ok((Exchange::new(Arc::clone(desk), caller, role), place))
}

/// Waits until the role of a front end is known, then serves it or says why not.
pub(super) async fn look_up(stream: UnixStream, peer: Peer, desk: Arc<Desk>, knocking: Place) {
    let role = tokio::select! {
        role = desk.access.role(peer) => role,
        () = desk.closing() => return,
    };
    // Who reads the answer slowly, or not at all, keeps nobody from knocking.
    drop(knocking);
    match admit(peer, role, &desk) {
        Ok((exchange, place)) => serve(stream, exchange, place).await,
        Err(why) => {
            if let Some(farewell) = farewell(stream, &why, &desk) {
                farewell.await;
            }
        }
    }
}

/// Looks a role up again while it still counts.
async fn renew(renewal: Renewal, desk: Arc<Desk>) {
    tokio::select! {
        () = renewal.run() => {}
        () = desk.closing() => {}
    }
}

/// Serves one front end over a socket that is open already, as a caller who may do everything,
/// until it is gone or `stop` turns true: no path is needed, and nobody else can call.
pub async fn serve_one(
    stream: UnixStream,
    caller: Caller,
    service: Arc<dyn Service>,
    stop: watch::Receiver<bool>,
) {
    let access = Arc::new(Access::new(Rules::default()));
    let desk = Arc::new(Desk::new(service, access, Bounds::default(), stop));
    let Ok(place) = desk.clients.take(caller.uid) else { return };
    let exchange = Exchange::new(desk, caller, Role::Admin);
    serve(stream, exchange, place).await;
}

/// Serves one front end in its dialect.
async fn serve(mut stream: UnixStream, exchange: Exchange, _place: Place) {
    let bounds = exchange.desk.bounds;
    let desk = Arc::clone(&exchange.desk);
    let detected = tokio::select! {
        detected = detect(&mut stream, bounds.first_byte) => detected,
        // What was written just before the stop is read and answered.
        () = desk.closing() => return,
    };
    match detected {
        Ok((Dialect::Lines, first)) => {
            let _speaking = Speaking::new(&desk, Dialect::Lines);
            lines::serve(stream, first, exchange).await;
        }
        Ok((Dialect::Http | Dialect::WebSocket, first)) => {
            http::serve(stream, first, exchange).await;
        }
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            let seconds = bounds.first_byte.as_secs();
            let why = format!("nothing was asked for {seconds} seconds after the connection");
            let why = refusal(&ErrorKind::BadRequest.because(why));
            lines::farewell(stream, &why, bounds.write).await;
        }
        Err(error) => debug!(%error, "a front end left before it said anything"),
    }
}

fn turn_away(stream: UnixStream, why: &RpcError, desk: &Arc<Desk>, strangers: &mut JoinSet<()>) {
    if let Some(farewell) = farewell(stream, why, desk) {
        strangers.spawn(farewell);
    }
}

// SPEC 8.7: who finds no place is told so, in its own dialect.
/// Says why to a front end that is turned away; nothing is left to do if too many are being told,
/// and this one was cut off with a line.
fn farewell(
    stream: UnixStream,
    why: &RpcError,
    desk: &Arc<Desk>,
) -> Option<impl Future<Output = ()> + Send + use<>> {
    note_turned_away(desk, why);
    let Ok(turn) = Arc::clone(&desk.farewells).try_acquire_owned() else {
        cut_off(stream, &refusal(why));
        return None;
    };
    let (why, patience) = (why.clone(), desk.bounds.turn_away);
    Some(async move {
        say_why(stream, &why, patience).await;
        drop(turn);
    })
}

fn note_turned_away(desk: &Desk, why: &RpcError) {
    desk.counts.turned_away.fetch_add(1, Ordering::Relaxed);
    debug!(%why, "a front end was turned away");
}

/// Says why in the dialect of a front end, as far as it shows that soon.
async fn say_why(mut stream: UnixStream, why: &RpcError, patience: Duration) {
    let why = match detect(&mut stream, patience).await {
        Ok((Dialect::Http | Dialect::WebSocket, _)) => http::turned_away(why),
        Ok((Dialect::Lines, _)) | Err(_) => refusal(why).into(),
    };
    lines::farewell(stream, &why, patience).await;
}

/// Says why in the one write that a fresh socket takes without waiting.
fn cut_off(stream: UnixStream, why: &str) {
    let line = format!("{why}\n");
    let told = stream.into_std().and_then(|mut stream| stream.write_all(line.as_bytes()));
    if let Err(error) = told {
        debug!(%error, "a front end was turned away without a word");
    }
}

fn make_parent(config: &RpcConfig) -> Result<(), RpcServeError> {
    let Some(parent) = config.socket.parent().filter(|p| !p.as_os_str().is_empty()) else {
        return Ok(());
    };
    let private = config.mode & 0o077 == 0;
    DirBuilder::new()
        .recursive(true)
        .mode(if private { 0o700 } else { 0o755 })
        .create(parent)
        .map_err(failed("make the directory", parent))
}

fn lock(path: &Path) -> Result<File, RpcServeError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&name)
        .map_err(failed("open", &name))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(RpcServeError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(failed("lock", &name)(source)),
    }
}

/// Removes a socket that nobody serves. We hold the lock, so nobody can begin to meanwhile.
fn remove_stale(path: &Path) -> Result<(), RpcServeError> {
    let metadata = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("look at", path)(error)),
    };
    let path_owned = path.to_owned();
    if !metadata.file_type().is_socket() {
        return Err(RpcServeError::NotASocket { path: path_owned });
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => Err(RpcServeError::InUse { path: path_owned }),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(failed("remove the stale socket", path))
        }
        Err(error) => Err(failed("try the socket", path)(error)),
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RpcServeError {
    let path = path.to_owned();
    move |source| RpcServeError::Io { what, path, source }
}
