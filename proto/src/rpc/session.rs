//! `session.*`: what the caller is to the daemon.

use serde::{Deserialize, Serialize};

use super::Role;

/// Result of `session.show`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The Unix user who calls, as the kernel says.
    pub uid: u32,
    /// What it may.
    pub role: Role,
}
