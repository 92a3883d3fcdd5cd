//! Where the node listens.

use std::net::{SocketAddr, UdpSocket};

use bytchat_proto::limits::PORT_DEFAULT;

use crate::config::{Config, Listen, usual};
use crate::net::{Events, Net, NetConfig, NetError, NetLimits, NodeKey};

/// Listens where the configuration says; if it says nothing, the machine may have no IPv6, and
/// the usual port may be taken by somebody else's daemon. Only a pod must not go elsewhere: it is
/// looked for there.
pub(super) async fn start(config: &Config, key: &NodeKey) -> Result<(Net, Events), NetError> {
    let open = |listen: Vec<SocketAddr>| {
        Net::start(NetConfig { listen, key: key.clone(), limits: NetLimits::default() })
    };
    if config.listen != Listen::Usual {
        return open(config.listen.addresses()).await;
    }
    let v4 = |port| usual(port).split_off(1);
    let mut taken = None;
    for addresses in [usual(PORT_DEFAULT), v4(PORT_DEFAULT)] {
        match open(addresses).await {
            Ok(started) => return Ok(started),
            Err(error) => taken = Some(error),
        }
    }
    if let Some(error) = taken.take_if(|_| config.pod.is_some()) {
        return Err(error);
    }
    let reason = taken.map(|error| error.to_string());
    // One port for both families, unless somebody takes it just now.
    let free = UdpSocket::bind("0.0.0.0:0").and_then(|socket| socket.local_addr());
    let free = free.map_or(0, |address| address.port());
    let started = match open(usual(free)).await {
        Ok(started) => started,
        Err(_) => open(v4(0)).await?,
    };
    tracing::warn!(
        reason,
        addresses = ?started.0.listen_addresses(),
        "the usual port is taken: others reach this node at another one until it starts again"
    );
    Ok(started)
}
