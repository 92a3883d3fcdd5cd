//! Answers and events on their way to a front end that speaks in lines or over WebSocket.

use std::io;

use bytchat_proto::limits::RPC_WRITE_BYTES_TARGET;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::desk::Bounds;
use super::exchange::Kept;

/// What is to be said, in order.
pub(super) type Answers = mpsc::Sender<Outgoing>;

/// Something to be said.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) word: Word,
    /// What is given back once it is written.
    pub(super) kept: Option<Kept>,
}

/// What is said.
#[derive(Debug)]
pub(super) enum Word {
    /// A JSON text.
    Text(Box<str>),
    /// To a ping, with its payload.
    Pong(Vec<u8>),
    /// To a front end that says goodbye, with its reason; nothing follows.
    Close(Vec<u8>),
}

/// How one text is told from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Lines,
    WebSocket,
}

/// The first byte of a WebSocket frame that is a whole message (RFC 6455 5.2).
const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
const PONG: u8 = 0x8a;
/// The reason of a close that is none: all was said (RFC 6455 7.4.1).
const CLOSE_NORMAL: [u8; 2] = 1_000_u16.to_be_bytes();

impl From<Box<str>> for Outgoing {
    fn from(text: Box<str>) -> Self {
        Self { word: Word::Text(text), kept: None }
    }
}

/// Writes what comes until nothing more can, or the front end does not read.
pub(super) async fn write(
    output: OwnedWriteHalf,
    mut waiting: mpsc::Receiver<Outgoing>,
    framing: Framing,
    bounds: Bounds,
) -> io::Result<()> {
    let mut writer = Writer { output, framing, bounds };
    while let Some(first) = waiting.recv().await {
        // SPEC 8.7: a front end that does not read a whole answer in time is cut off.
        let round = writer.round(first, &mut waiting);
        if timeout(bounds.answer, round).await?? {
            return Ok(());
        }
    }
    let mut last = Vec::new();
    if framing == Framing::WebSocket {
        head(framing, CLOSE, CLOSE_NORMAL.len(), &mut last);
        last.extend(CLOSE_NORMAL);
    }
    writer.all(&last).await
}

struct Writer {
    output: OwnedWriteHalf,
    framing: Framing,
    bounds: Bounds,
}

impl Writer {
    /// Writes what waits together, up to a size; tells whether it was the last.
    async fn round(
        &mut self,
        first: Outgoing,
        waiting: &mut mpsc::Receiver<Outgoing>,
    ) -> io::Result<bool> {
        let (mut next, mut kept, mut buffer) = (Some(first), Vec::new(), Vec::new());
        let (mut bytes, mut last) = (0, false);
        while let Some(outgoing) = next.take() {
            last = matches!(outgoing.word, Word::Close(_));
            bytes += self.put(&outgoing.word, &mut buffer).await?;
            kept.extend(outgoing.kept);
            if bytes < RPC_WRITE_BYTES_TARGET && !last {
                next = waiting.try_recv().ok();
            }
        }
        self.all(&buffer).await?;
        Ok(last)
    }

    /// Adds a word to a buffer; a large one is written at once, so that it is there once only.
    async fn put(&mut self, word: &Word, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let (kind, bytes) = match word {
            Word::Text(text) => (TEXT, text.as_bytes()),
            Word::Pong(payload) => (PONG, payload.as_slice()),
            Word::Close(reason) => (CLOSE, reason.as_slice()),
        };
        head(self.framing, kind, bytes.len(), buffer);
        if bytes.len() < RPC_WRITE_BYTES_TARGET {
            buffer.extend_from_slice(bytes);
        } else {
            self.all(buffer).await?;
            buffer.clear();
            self.all(bytes).await?;
        }
        if self.framing == Framing::Lines {
            buffer.push(b'\n');
        }
        Ok(bytes.len())
    }

    // SPEC 8.7: a front end that does not read is cut off.
    async fn all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let written = timeout(self.bounds.write, self.output.write(rest)).await??;
            rest = rest.get(written..).unwrap_or_default();
        }
        Ok(())
    }
}

/// What stands before so many bytes.
fn head(framing: Framing, kind: u8, bytes: usize, buffer: &mut Vec<u8>) {
    if framing == Framing::Lines {
        return;
    }
    buffer.push(kind);
    if let Ok(short @ 0..126) = u8::try_from(bytes) {
        buffer.push(short);
    } else if let Ok(medium) = u16::try_from(bytes) {
        buffer.push(126);
        buffer.extend(medium.to_be_bytes());
    } else {
        buffer.push(127);
        buffer.extend((bytes as u64).to_be_bytes());
    }
}
