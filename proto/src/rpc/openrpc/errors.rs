//! Which errors a method can give: each kind says of which methods it is one.

use super::super::{ErrorKind, Role};

/// What decides about the errors of a method.
pub(super) struct Shape<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// What it takes to call it.
    pub(super) role: Role,
    /// Whether it is on its way out.
    pub(super) deprecated: bool,
    /// The names of its parameters.
    pub(super) params: Vec<&'a str>,
}

impl Shape<'_> {
    /// The errors that it can give, in the order of the table.
    pub(super) fn errors(&self) -> Vec<ErrorKind> {
        ErrorKind::ALL.iter().copied().filter(|kind| self.gives(*kind)).collect()
    }

    fn takes(&self, params: &[&str]) -> bool {
        params.iter().any(|name| self.params.contains(name))
    }

    fn is(&self, methods: &[&str]) -> bool {
        methods.contains(&self.name)
    }

    /// Whether somebody is named by an alias, so that a pod may have to be asked.
    fn names_somebody(&self) -> bool {
        self.takes(&["alias", "who", "to"])
    }

    /// Whether an account is made or taken over.
    fn makes_account(&self) -> bool {
        self.is(&["account.create", "account.import"])
    }

    fn gives(&self, kind: ErrorKind) -> bool {
        match kind {
            // They are about what is no call of a method, or of `bytctl`.
            ErrorKind::BadRequest | ErrorKind::UnknownMethod | ErrorKind::Unreachable => false,
            // No method says so today; the number is kept.
            ErrorKind::NoLinks => false,
            ErrorKind::BadParameters
            | ErrorKind::Internal
            | ErrorKind::ShuttingDown
            | ErrorKind::Busy
            | ErrorKind::StoreFailed => true,
            // A session that was narrowed may be left without any method, and its token may end.
            ErrorKind::NotPermitted | ErrorKind::BadToken => true,
            ErrorKind::DiskFull => self.role > Role::Observe,
            ErrorKind::Timeout => self.takes(&["timeout_ms"]),
            ErrorKind::NotFound => self.finds(),
            ErrorKind::Conflict => self.takes(&["client_id"]) || self.is(&["profile.set"]),
            ErrorKind::RevConflict => self.takes(&["expect_rev"]),
            ErrorKind::Deprecated => self.deprecated,
            ErrorKind::Quota => {
                // Whoever has too many client ids is refused new ones.
                self.role == Role::Send
                    || self.takes(&["client_id"])
                    || self.is(&[
                        "cursor.set",
                        "event.subscribe",
                        "session.restrict",
                        "token.create",
                    ])
            }
            ErrorKind::NoAccount | ErrorKind::WhichAccount => self.takes(&["account", "accounts"]),
            ErrorKind::AccountExists | ErrorKind::BadKey => self.makes_account(),
            ErrorKind::KeyChanged
            | ErrorKind::UnknownAddress
            | ErrorKind::BadAddress
            | ErrorKind::PodUnreachable => self.names_somebody(),
            ErrorKind::Blocked => self.takes(&["to"]),
            ErrorKind::AliasTaken => self.is(&["alias.register"]),
            ErrorKind::TooLarge => self.takes(&["text"]),
            ErrorKind::NoStream => self.is(&["event.subscribe", "event.unsubscribe"]),
            ErrorKind::OtherEpoch => self.is(&["cursor.set"]),
        }
    }

    /// Whether it names something that may not be there.
    fn finds(&self) -> bool {
        let named = ["account", "accounts", "id", "cursor", "subscription", "who"];
        self.takes(&named) || self.is(&["cursor.get", "cursor.delete"])
    }
}
