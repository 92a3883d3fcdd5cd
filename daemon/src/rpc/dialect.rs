//! Which dialect a front end speaks: the first bytes tell.

use std::io;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::time::timeout;

/// A way to carry JSON-RPC over the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// One object a line.
    Lines,
    /// HTTP/1.1.
    Http,
    /// WebSocket, which begins as HTTP.
    WebSocket,
}

/// How HTTP begins; no JSON begins so.
const VERBS: [&str; 10] = [
    "GET ", "POST ", "HEAD ", "PUT ", "DELETE ", "OPTIONS ", "PATCH ", "TRACE ", "CONNECT ", "PRI ",
];

impl Dialect {
    pub(super) const ALL: [Self; 3] = [Self::Lines, Self::Http, Self::WebSocket];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Lines => "lines",
            Self::Http => "http",
            Self::WebSocket => "websocket",
        }
    }

    /// What the first bytes say, once they say anything.
    fn of(first: &[u8]) -> Option<Self> {
        if VERBS.iter().any(|verb| first == verb.as_bytes()) {
            Some(Self::Http)
        } else if VERBS.iter().any(|verb| verb.as_bytes().starts_with(first)) {
            None
        } else {
            Some(Self::Lines)
        }
    }
}

// SPEC 8.1: the first bytes tell the dialect.
/// Reads as much as is needed to tell, within a time; gives what was read.
pub(super) async fn detect(
    stream: &mut UnixStream,
    patience: Duration,
) -> io::Result<(Dialect, Vec<u8>)> {
    let mut first = Vec::new();
    let reading = async {
        loop {
            let mut byte = [0];
            if stream.read(&mut byte).await? == 0 {
                return Ok(Dialect::Lines);
            }
            first.extend_from_slice(&byte);
            if let Some(dialect) = Dialect::of(&first) {
                return Ok(dialect);
            }
        }
    };
    let dialect = timeout(patience, reading).await.map_err(io::Error::from).flatten()?;
    Ok((dialect, first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell() {
        for (first, dialect) in [
            ("{", Some(Dialect::Lines)),
            ("[", Some(Dialect::Lines)),
            ("\n", Some(Dialect::Lines)),
            ("\0", Some(Dialect::Lines)),
            ("G", None),
            ("P", None),
            ("PO", None),
            ("POST", None),
            ("POST ", Some(Dialect::Http)),
            ("GET ", Some(Dialect::Http)),
            ("Hello", Some(Dialect::Lines)),
            ("GETS", Some(Dialect::Lines)),
        ] {
            assert_eq!(Dialect::of(first.as_bytes()), dialect, "{first:?}");
        }
    }
}
