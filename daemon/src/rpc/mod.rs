//! The local RPC: JSON-RPC 2.0 on a Unix socket, in lines, over HTTP and over WebSocket (SPEC 8).

mod access;
mod asked;
mod desk;
mod dialect;
mod events;
mod exchange;
mod grant;
mod http;
mod lines;
mod listener;
mod methods;
mod perform;
mod pieces;
mod quota;
mod running;
mod session;
mod settings;
#[cfg(test)]
mod tests;
mod turns;
mod writer;

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use bytchat_core::io::{Caller, Scope};
use bytchat_proto::rpc::{Call, RpcError};
use bytchat_proto::timestamp::Timestamp;
use serde_json::Value;
use tokio::sync::watch;

pub use access::{Access, Rule, Rules, Who};
pub use events::{Follower, Hub};
pub use listener::{Listener, RpcServeError, serve_one};

/// Lets all knock, and the roles decide: for a daemon that serves a whole machine, where several
/// groups may do different things.
pub const MODE_SYSTEM: u32 = 0o666;
/// Lets nobody but the owner of the socket call: for a daemon of one user.
pub const MODE_USER: u32 = 0o600;

/// What a call comes to.
pub type Answer = Pin<Box<dyn Future<Output = Result<Value, RpcError>> + Send>>;

/// Answers calls and tells events; the engine does.
pub trait Service: Send + Sync + 'static {
    /// Begins a call; the caller no longer waits once the future is dropped.
    fn call(&self, caller: Caller, scope: Option<Arc<Scope>>, call: Call) -> Answer;
    /// Follows the events of a caller from now on.
    fn follow(&self, caller: Caller) -> Follower;
    /// What the wall's clock says.
    fn time(&self) -> Timestamp;
}

/// Where the RPC listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcConfig {
    /// The path of the socket.
    pub socket: PathBuf,
    /// The permissions of the socket: `MODE_SYSTEM` or `MODE_USER`.
    pub mode: u32,
}

/// Binds and serves until `stop` turns true or its sender is gone.
///
/// # Errors
/// The socket cannot be bound, see [`Listener::bind`].
pub async fn serve(
    config: &RpcConfig,
    service: Arc<dyn Service>,
    stop: watch::Receiver<bool>,
) -> Result<(), RpcServeError> {
    Listener::bind(config)?.serve(service, stop).await;
    Ok(())
}
