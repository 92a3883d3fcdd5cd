//! How links end, and the words for it.

use quinn::{Connection, ConnectionError, VarInt, WriteError};
use thiserror::Error;

use super::frame::FrameError;
use super::limits::{IDLE_TIMEOUT, REASON_BYTES_MAX};

/// Why a connection is closed, as the peer is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CloseCode {
    /// The engine has no more use for the link.
    Done,
    /// The node shuts down.
    Shutdown,
    /// The peer broke the rules of framing.
    Misbehaved,
    /// The peer does not read what it is sent.
    TooSlow,
    /// There is no room for the link.
    Refused,
}

impl From<CloseCode> for VarInt {
    fn from(code: CloseCode) -> Self {
        Self::from_u32(match code {
            CloseCode::Done => 0,
            CloseCode::Shutdown => 1,
            CloseCode::Misbehaved => 2,
            CloseCode::TooSlow => 3,
            CloseCode::Refused => 4,
        })
    }
}

/// Closes a connection and tells the peer why, in as few words as fit.
pub(crate) fn close_connection(connection: &Connection, code: CloseCode, reason: &str) {
    let end = reason.floor_char_boundary(REASON_BYTES_MAX);
    connection.close(code.into(), &reason.as_bytes()[..end]);
}

/// How a link ends.
#[derive(Debug, Error)]
pub(crate) enum LinkEnd {
    #[error("{0}")]
    Frame(FrameError),
    #[error("peer ended the shared stream")]
    StreamEnded,
    #[error("peer opened a stream for a frame and sent none")]
    EmptyStream,
    #[error("peer sent bytes behind a frame that has its own stream")]
    TrailingBytes,
    #[error("peer opened a second shared stream")]
    SecondStream,
    #[error("peer does not take our frames: {0}")]
    Write(#[from] WriteError),
    #[error("node does not listen any more")]
    NobodyListens,
    #[error("connection is lost")]
    Lost,
}

impl LinkEnd {
    pub(crate) fn code(&self) -> CloseCode {
        match self {
            Self::NobodyListens | Self::Lost => CloseCode::Done,
            Self::Frame(_)
            | Self::StreamEnded
            | Self::EmptyStream
            | Self::TrailingBytes
            | Self::SecondStream
            | Self::Write(_) => CloseCode::Misbehaved,
        }
    }

    /// Says why, where `ours` is what we told the peer ourselves.
    pub(crate) fn describe(&self, ours: Option<&String>, connection: &Connection) -> String {
        match (ours, self, connection.close_reason()) {
            (Some(ours), _, _) => ours.clone(),
            (None, Self::Lost, Some(error)) => describe_loss(&error),
            (None, _, _) => self.to_string(),
        }
    }
}

/// Says in one sentence how a connection was lost.
pub(crate) fn describe_loss(error: &ConnectionError) -> String {
    match error {
        ConnectionError::ApplicationClosed(close) => {
            format!("closed by peer: {}", peer_text(&close.reason))
        }
        ConnectionError::ConnectionClosed(close) => {
            format!("closed by peer: {} ({})", close.error_code, peer_text(&close.reason))
        }
        ConnectionError::TimedOut => {
            format!("peer was silent for {} seconds", IDLE_TIMEOUT.as_secs())
        }
        ConnectionError::Reset => "peer has restarted".to_owned(),
        ConnectionError::TransportError(error) => {
            format!("{} ({})", printable(&error.reason), error.code)
        }
        ConnectionError::VersionMismatch
        | ConnectionError::LocallyClosed
        | ConnectionError::CidsExhausted => error.to_string(),
    }
}

/// What a peer says may be anything, and goes to logs and terminals.
fn peer_text(bytes: &[u8]) -> String {
    printable(&String::from_utf8_lossy(&bytes[..bytes.len().min(REASON_BYTES_MAX)]))
}

fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_peer_says_cannot_steer_a_terminal() {
        assert_eq!(peer_text(b"bye\x1b[2J\n\xff"), "bye\u{fffd}[2J\u{fffd}\u{fffd}");
        assert_eq!(peer_text(&[b'x'; 4096]).len(), REASON_BYTES_MAX);
    }
}
