//! Two pods and some other daemons that are always there, shared by tests that run at once.

use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Daemon, Setup};

/// Daemons besides the pods: with them there are five holders without any user's own daemon.
const OTHERS: usize = 4;

/// A pod and where it is.
#[derive(Clone, Debug)]
pub struct Pod {
    /// Its host name.
    pub host: String,
    /// Its address.
    pub address: SocketAddr,
}

/// The daemons that are always there.
#[derive(Debug)]
pub struct Backbone {
    /// How another daemon joins.
    pub setup: Setup,
    /// The pods a.test and b.test.
    pub pods: [Daemon; 2],
    /// The others.
    pub others: Vec<Daemon>,
}

impl Backbone {
    /// The one that other tests use now, or a new one.
    pub fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Backbone>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(backbone) = shared.upgrade() {
            return backbone;
        }
        let backbone = Arc::new(Self::new());
        *shared = Arc::downgrade(&backbone);
        backbone
    }

    /// One for a single test, which may kill parts of it.
    pub fn new() -> Self {
        let pods = ["a.test", "b.test"];
        let pods = pods.map(|host| Pod { host: host.to_owned(), address: free_address() });
        let setup = Setup {
            network: unique(),
            bootstrap: pods.iter().map(|pod| pod.address).collect(),
            pods: pods.to_vec(),
            ..Setup::default()
        };
        let pods = pods.map(|Pod { host, address }| {
            let (host, listen) = (Some(host), Some(address));
            Daemon::start(&Setup { host, listen, ..setup.clone() })
        });
        let others: Vec<_> = (0..OTHERS).map(|_| Daemon::start(&setup)).collect();
        for daemon in pods.iter().chain(&others) {
            daemon.meets(5);
        }
        Self { setup, pods, others }
    }

    /// One more daemon, which knows the others.
    pub fn join(&self) -> Daemon {
        join(&self.setup)
    }

    /// One more daemon with an account that has an alias.
    ///
    /// # Panics
    /// If the alias cannot be had.
    pub fn user(&self, alias: &str) -> (Daemon, String) {
        self.user_with(&self.setup, alias)
    }

    /// The same with a configuration of its own.
    ///
    /// # Panics
    /// If the alias cannot be had.
    pub fn user_with(&self, setup: &Setup, alias: &str) -> (Daemon, String) {
        let daemon = join(setup);
        let id = daemon.account(alias.split('@').next().unwrap());
        let binding = daemon.get(&["alias", "register", alias]);
        assert_eq!((&binding["alias"], &binding["id"]), (&alias.into(), &id.as_str().into()));
        (daemon, id)
    }
}

impl Default for Backbone {
    fn default() -> Self {
        Self::new()
    }
}

fn join(setup: &Setup) -> Daemon {
    let daemon = Daemon::start(setup);
    daemon.meets(5);
    daemon
}

/// An address on this machine that nobody listens at.
///
/// # Panics
/// If there is none.
pub fn free_address() -> SocketAddr {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// The name of a network that no other run has.
fn unique() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    format!("test-{}-{}", std::process::id(), now.as_nanos())
}
