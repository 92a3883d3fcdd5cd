//! What one connection has said about how it is to be served.

use std::sync::atomic::{AtomicBool, Ordering};

use bytchat_proto::rpc::session::{self, Set};
use bytchat_proto::rpc::{ErrorKind, Method, RpcError};

/// Shared by all that is under way for the connection.
#[derive(Debug, Default)]
pub(super) struct Settings {
    only_lasting: AtomicBool,
}

impl Settings {
    /// Takes what is said, and tells what holds.
    pub(super) fn set(&self, with: &Set) -> session::Settings {
        if let Some(deprecated) = with.deprecated {
            self.only_lasting.store(!deprecated, Ordering::Relaxed);
        }
        session::Settings { deprecated: !self.only_lasting.load(Ordering::Relaxed) }
    }

    // SPEC 8.54: who wants nothing that is on its way out gets none of it.
    /// Whether a method is served on this connection.
    pub(super) fn check(&self, method: &str) -> Result<(), RpcError> {
        if !self.only_lasting.load(Ordering::Relaxed) {
            return Ok(());
        }
        match Method::named(method).and_then(|method| method.deprecated) {
            Some(deprecated) => Err(ErrorKind::Deprecated.because(format!(
                "{method} is deprecated since {}: call {} instead",
                deprecated.since, deprecated.instead
            ))),
            None => Ok(()),
        }
    }
}
