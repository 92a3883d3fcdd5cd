//! The log: to the journal with its fields where stderr leads there, else to stderr as lines. What
//! is logged can change while the daemon runs.

mod journal;

use std::io::{self, IsTerminal};

use rustix::fs::fstat;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Registry};

use journal::Journal;

/// Sets what is logged, before the configuration.
const VARIABLE: &str = "BYTCHAT_LOG";

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The variable makes no sense.
    #[error("{VARIABLE} is a filter such as `info` or `bytchatd::net=debug`: {0}")]
    Filter(#[from] ParseError),
    /// There is one already.
    #[error("the log does not start: {0}")]
    Init(#[from] TryInitError),
}

/// The log that runs.
#[derive(Debug)]
pub struct Log {
    filter: Handle<EnvFilter, Registry>,
    /// The environment says what is logged.
    forced: bool,
}

impl Log {
    /// Starts the log with what the environment says, or else with this filter.
    ///
    /// # Errors
    /// When what the environment says makes no sense.
    pub fn start(filter: &str) -> Result<Self, LogError> {
        let variable = std::env::var(VARIABLE).ok();
        let forced = variable.is_some();
        let filter = EnvFilter::try_new(variable.as_deref().unwrap_or(filter))?;
        let (filter, handle) = reload::Layer::new(filter);
        let registry = tracing_subscriber::registry().with(filter);
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(io::stderr)
            .with_ansi(io::stderr().is_terminal());
        match (is_journal(), Journal::open()) {
            (true, Ok(journal)) => registry.with(journal).try_init()?,
            // The journal has its own clock.
            (true, Err(_)) => registry.with(lines.without_time()).try_init()?,
            (false, _) => registry.with(lines).try_init()?,
        }
        Ok(Self { filter: handle, forced })
    }

    /// Sets what is logged from now on, unless the environment has said so.
    pub fn set(&self, filter: &str) {
        if self.forced {
            return;
        }
        let Ok(filter) = EnvFilter::try_new(filter) else {
            return;
        };
        if let Err(error) = self.filter.reload(filter) {
            tracing::warn!(%error, "the log goes on as it was");
        }
    }
}

/// Tells whether stderr leads to the journal.
pub fn is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    // A child may have inherited the variable and lead its stderr elsewhere.
    fstat(io::stderr()).is_ok_and(|stat| stream == format!("{}:{}", stat.st_dev, stat.st_ino))
}
