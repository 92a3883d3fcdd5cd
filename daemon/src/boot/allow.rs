//! From what the configuration says to who may use the socket.

use std::sync::Arc;

use tokio::task::spawn_blocking;

use crate::config::Api;
use crate::rpc::{Access, Rule, Rules, Who};

/// The rules of the configuration.
pub(super) fn rules(api: &Api) -> Rules {
    let rule = |allow: &crate::config::Allow| {
        let name = allow.name.clone();
        let who = if allow.is_user { Who::User(name) } else { Who::Group(name) };
        Rule { who, role: allow.role }
    };
    Rules { list: api.allow.iter().map(rule).collect(), are_default: api.is_default }
}

/// Has the log say which names mean nobody; a directory that hangs holds nothing up.
pub(super) fn check_names(access: &Arc<Access>) {
    let access = Arc::clone(access);
    drop(spawn_blocking(move || access.check()));
}
