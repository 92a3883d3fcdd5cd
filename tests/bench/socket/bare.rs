//! A jsonrpsee server with one method and nothing of ours around it.

use std::net::SocketAddr;

use jsonrpsee::RpcModule;
use jsonrpsee::server::{Server, ServerHandle};
use jsonrpsee::types::ErrorObjectOwned;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

/// A server on loopback that ends with this value.
pub(super) struct Bare {
    address: SocketAddr,
    _handle: ServerHandle,
    _runtime: Runtime,
}

impl Bare {
    /// Serves `node.status` with an answer that was prepared.
    pub(super) fn start(answer: Value) -> Self {
        let runtime = Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.expect("threads can be made");
        let mut module = RpcModule::new(answer);
        module
            .register_method("node.status", |_, answer, _| {
                Ok::<_, ErrorObjectOwned>(answer.clone())
            })
            .expect("it is the first method");
        let server = runtime.block_on(Server::builder().build("127.0.0.1:0"));
        let server = server.expect("loopback is up");
        let address = server.local_addr().expect("a bound socket has an address");
        let _guard = runtime.enter();
        let handle = server.start(module);
        drop(_guard);
        Self { address, _handle: handle, _runtime: runtime }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}
