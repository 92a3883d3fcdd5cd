//! Tasks that are known, so that the network can wait for them or end them.

use std::io;
use std::net::UdpSocket;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use quinn::{AsyncTimer, AsyncUdpSocket, Runtime, TokioRuntime};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use super::gate::lock;

/// A set of tasks on one runtime.
#[derive(Debug)]
pub(crate) struct Tasks {
    runtime: Handle,
    set: Mutex<JoinSet<()>>,
}

impl Tasks {
    pub(crate) fn new(runtime: Handle) -> Self {
        Self { runtime, set: Mutex::new(JoinSet::new()) }
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut set = lock(&self.set);
        while set.try_join_next().is_some() {}
        set.spawn_on(task, &self.runtime);
    }

    /// Tells all tasks to end where they stand.
    pub(crate) fn abort(&self) {
        lock(&self.set).abort_all();
    }

    /// Waits for all tasks; those that are left when the wait is given up are aborted.
    pub(crate) async fn join(&self) {
        let mut set = std::mem::take(&mut *lock(&self.set));
        while set.join_next().await.is_some() {}
    }
}

/// The runtime of the transport, whose drivers must have ended before a port is free again.
#[derive(Debug)]
pub(crate) struct Drivers {
    tasks: Arc<Tasks>,
}

impl Drivers {
    pub(crate) fn new(tasks: Arc<Tasks>) -> Self {
        Self { tasks }
    }
}

impl Runtime for Drivers {
    fn new_timer(&self, at: std::time::Instant) -> Pin<Box<dyn AsyncTimer>> {
        TokioRuntime.new_timer(at)
    }

    fn spawn(&self, driver: Pin<Box<dyn Future<Output = ()> + Send>>) {
        self.tasks.spawn(driver);
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        TokioRuntime.wrap_udp_socket(socket)
    }

    fn now(&self) -> std::time::Instant {
        TokioRuntime.now()
    }
}
