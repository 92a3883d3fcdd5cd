//! What comes over a connection, piece by piece, as long as what has begun goes on.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::time::{Sleep, sleep};

/// A stream that is read in pieces of any size.
#[derive(Debug)]
pub(super) struct Pieces<R> {
    input: BufReader<R>,
    patience: Duration,
    /// Runs while something has begun that is not whole.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<R: AsyncRead + Unpin> Pieces<R> {
    /// Reads a stream, and waits so long for something that has begun to become whole.
    pub(super) fn new(input: R, patience: Duration) -> Self {
        Self { input: BufReader::new(input), patience, waiting: None }
    }

    /// The stream below.
    pub(super) fn stream(&self) -> &R {
        self.input.get_ref()
    }

    /// Nothing is read for a while, which is not the fault of who writes.
    pub(super) fn rest(&mut self) {
        self.waiting = None;
    }

    // SPEC 8.7: half a request that does not become whole is given up.
    /// What has come and was not consumed, empty at the end; `None` if it was waited for too long.
    /// Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self, begun: bool) -> io::Result<Option<&[u8]>> {
        if !begun {
            self.waiting = None;
            return self.input.fill_buf().await.map(Some);
        }
        let patience = self.patience;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(patience)));
        tokio::select! {
            biased;
            chunk = self.input.fill_buf() => chunk.map(Some),
            () = waiting => Ok(None),
        }
    }

    /// So much of it is done with.
    pub(super) fn consume(&mut self, bytes: usize) {
        self.input.consume(bytes);
    }
}
