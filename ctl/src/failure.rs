//! Why a command did not do what it was asked to, for people, for programs and as exit code.

use std::fmt::Write;
use std::io;
use std::path::PathBuf;

use bytchat_proto::rpc::{ErrorKind, RpcError};
use serde_json::{Value, json};

use crate::color::{Palette, Tone};
use crate::print::tame_lines;

/// The exit code for a command line that makes no sense, as in clap.
pub(crate) const EXIT_USAGE: u8 = 2;
const EXIT_ERROR: u8 = 1;
const EXIT_UNREACHABLE: u8 = 69;
const EXIT_INTERRUPTED: u8 = 130;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The command line makes no sense.
    #[error("{0}")]
    Usage(String),
    /// No socket answers.
    #[error("{}", no_daemon(.tried))]
    NoDaemon {
        /// The sockets that were tried, each with its answer.
        tried: Vec<(PathBuf, io::Error)>,
    },
    /// The connection broke.
    #[error("the connection to bytchatd broke: {0}")]
    Lost(io::Error),
    /// The daemon answers something that is no answer.
    #[error("bytchatd gave an answer that this bytctl does not understand: {0}")]
    Strange(String),
    /// The daemon says no.
    #[error("{message}")]
    Refused {
        /// The number.
        code: i64,
        /// The kind, if this bytctl knows it.
        kind: Option<ErrorKind>,
        /// The name of the kind.
        name: String,
        /// What happened.
        message: String,
        /// What to do.
        hint: String,
    },
    /// A file cannot be used.
    #[error("cannot {what} {}: {source}", .path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// The path.
        path: PathBuf,
        /// The answer.
        source: io::Error,
    },
    /// Our own output cannot be written.
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
    /// What was to happen did not.
    #[error("{0}")]
    Unmet(String),
    /// A step of the demo did not come true.
    #[error("{step}: {why}")]
    Demo {
        /// What was to happen.
        step: String,
        /// What happened.
        why: String,
        /// Where to look.
        hint: String,
    },
    /// Somebody pressed Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

impl Failure {
    /// A limit of the daemon that is checked here already.
    pub(crate) fn refused(error: &RpcError) -> Self {
        Self::Refused {
            code: error.kind.code().into(),
            kind: Some(error.kind),
            name: error.kind.name().to_owned(),
            message: error.message.clone(),
            hint: error.kind.hint().to_owned(),
        }
    }

    /// Whether the reader of our output has gone, which is its right.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Whether the same call may go well once the daemon is back.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self, Self::NoDaemon { .. } | Self::Lost(_))
            || self.kind() == Some(ErrorKind::ShuttingDown)
    }

    /// The kind, where the table of errors has one.
    pub(crate) fn kind(&self) -> Option<ErrorKind> {
        match self {
            Self::Refused { kind, .. } => *kind,
            Self::NoDaemon { .. } | Self::Lost(_) => Some(ErrorKind::Unreachable),
            Self::Usage(_) => Some(ErrorKind::BadParameters),
            Self::Strange(_)
            | Self::File { .. }
            | Self::Output(_)
            | Self::Unmet(_)
            | Self::Demo { .. }
            | Self::Interrupted => None,
        }
    }

    /// The exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::File { .. } => EXIT_USAGE,
            Self::NoDaemon { .. } | Self::Lost(_) => EXIT_UNREACHABLE,
            Self::Refused { kind, .. } => kind.map_or(EXIT_ERROR, ErrorKind::exit_code),
            Self::Strange(_) | Self::Output(_) | Self::Unmet(_) | Self::Demo { .. } => EXIT_ERROR,
            Self::Interrupted => EXIT_INTERRUPTED,
        }
    }

    /// What to do about it; empty if nothing is known.
    pub(crate) fn hint(&self) -> String {
        match self {
            Self::Refused { hint, .. } | Self::Demo { hint, .. } => hint.clone(),
            Self::Usage(_) => "see `bytctl help`".to_owned(),
            Self::NoDaemon { tried } => how_to_reach(tried),
            Self::Lost(_) => {
                "look into `systemctl status bytchatd` or its log, then try again".to_owned()
            }
            Self::Strange(_) => "install bytctl and bytchatd of the same version".to_owned(),
            Self::File { .. } | Self::Output(_) | Self::Unmet(_) | Self::Interrupted => {
                String::new()
            }
        }
    }

    /// For people.
    pub(crate) fn to_text(&self, palette: Palette) -> String {
        let (name, what) =
            (palette.paint(Some(Tone::Bad), "bytctl:"), tame_lines(&self.to_string()));
        let hint = self.hint();
        if hint.is_empty() {
            return format!("{name} {what}");
        }
        format!("{name} {what}\n  {}", tame_lines(&hint).replace('\n', "\n  "))
    }

    /// For programs: `{"error":{"code","kind","message","hint"}}`.
    pub(crate) fn to_json(&self) -> Value {
        let (code, name) = match (self, self.kind()) {
            (Self::Refused { code, name, .. }, _) => (*code, name.as_str()),
            (_, Some(kind)) => (kind.code().into(), kind.name()),
            (_, None) => (ErrorKind::Internal.code().into(), self.own_name()),
        };
        json!({ "error": {
            "code": code,
            "kind": name,
            "message": self.to_string(),
            "hint": self.hint(),
        }})
    }

    /// The name of what only bytctl itself can say.
    fn own_name(&self) -> &'static str {
        match self {
            Self::File { .. } => "file",
            Self::Output(_) => "output",
            Self::Demo { .. } => "demo",
            Self::Interrupted => "interrupted",
            Self::Strange(_)
            | Self::Unmet(_)
            | Self::Usage(_)
            | Self::NoDaemon { .. }
            | Self::Lost(_)
            | Self::Refused { .. } => ErrorKind::Internal.name(),
        }
    }
}

fn no_daemon(tried: &[(PathBuf, io::Error)]) -> String {
    let mut text = "bytchatd cannot be reached; tried".to_owned();
    for (i, (path, error)) in tried.iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        let known = [
            (io::ErrorKind::NotFound, "no such socket"),
            (io::ErrorKind::ConnectionRefused, "nobody listens"),
            (io::ErrorKind::PermissionDenied, "permission denied"),
        ];
        let known = known.iter().find(|(kind, _)| *kind == error.kind());
        let why = known.map_or_else(|| error.to_string(), |(_, why)| (*why).to_owned());
        write!(text, "{comma} {} ({why})", path.display()).expect("strings take any text");
    }
    text
}

fn how_to_reach(tried: &[(PathBuf, io::Error)]) -> String {
    let denied =
        |(_, error): &&(PathBuf, io::Error)| error.kind() == io::ErrorKind::PermissionDenied;
    if let Some((path, _)) = tried.iter().find(denied) {
        return format!(
            "you may not use {}: its group may, see `ls -l`; join it with\n\
             sudo usermod -aG bytchat $USER\n\
             and log in again",
            path.display()
        );
    }
    let own = match tried {
        [(path, _)] if !path.starts_with("/run/bytchat") => {
            format!("bytchatd --socket {}", path.display())
        }
        _ => "bytchatd".to_owned(),
    };
    format!("start it with `systemctl start bytchatd`, or as yourself with `{own}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(kind: io::ErrorKind) -> Failure {
        Failure::NoDaemon { tried: vec![(PathBuf::from("/run/x.sock"), kind.into())] }
    }

    #[test]
    fn a_missing_daemon_is_told_with_its_socket_and_how_to_start_it() {
        let failure = denied(io::ErrorKind::NotFound);
        assert_eq!(failure.exit_code(), 69);
        let text = failure.to_text(Palette::default());
        assert!(text.contains("/run/x.sock (no such socket)"), "{text}");
        assert!(text.contains("systemctl start bytchatd"), "{text}");
        assert!(text.contains("bytchatd --socket /run/x.sock"), "{text}");
    }

    #[test]
    fn a_denied_socket_is_told_with_the_group() {
        let text = denied(io::ErrorKind::PermissionDenied).to_text(Palette::default());
        assert!(text.contains("usermod -aG bytchat"), "{text}");
    }

    #[test]
    fn every_kind_of_the_table_gives_its_exit_code_and_name() {
        for kind in ErrorKind::ALL {
            let failure = Failure::refused(&kind.because("no"));
            assert_eq!(failure.exit_code(), kind.exit_code());
            let json = failure.to_json();
            assert_eq!(json["error"]["kind"], kind.name());
            assert_eq!(json["error"]["code"], kind.code());
            assert_eq!(json["error"]["hint"], kind.hint());
        }
    }
}
