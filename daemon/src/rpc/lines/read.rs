//! Lines of bounded length from a stream.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::super::session::Incoming;

/// Reads lines and never keeps more than one of them.
#[derive(Debug)]
pub(super) struct Lines<R> {
    input: BufReader<R>,
    partial: Zeroizing<Vec<u8>>,
    skipping: bool,
    bytes_max: usize,
    patience: Duration,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn new(input: R, bytes_max: usize, patience: Duration) -> Self {
        let (input, partial) = (BufReader::new(input), Zeroizing::default());
        Self { input, partial, skipping: false, bytes_max, patience }
    }

    /// The stream below.
    pub(super) fn stream(&self) -> &R {
        self.input.get_ref()
    }

    /// Reads on. Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> io::Result<Incoming> {
        loop {
            let half = self.skipping || !self.partial.is_empty();
            let chunk = if half {
                match timeout(self.patience, self.input.fill_buf()).await {
                    Ok(chunk) => chunk?,
                    Err(_) => return Ok(Incoming::Stalled),
                }
            } else {
                self.input.fill_buf().await?
            };
            if chunk.is_empty() {
                return Ok(self.end());
            }
            let newline = chunk.iter().position(|byte| *byte == b'\n');
            let part = chunk.get(..newline.unwrap_or(chunk.len())).unwrap_or(chunk);
            let used = part.len() + usize::from(newline.is_some());
            let fits = self.partial.len() + part.len() <= self.bytes_max;
            if !self.skipping && fits {
                extend(&mut self.partial, part);
            }
            self.input.consume(used);
            if let Some(line) = self.progress(newline.is_some(), fits) {
                return Ok(line);
            }
        }
    }

    fn progress(&mut self, complete: bool, fits: bool) -> Option<Incoming> {
        if self.skipping {
            self.skipping = !complete;
            return None;
        }
        if !fits {
            self.partial = Zeroizing::default();
            self.skipping = !complete;
            return Some(Incoming::TooLong);
        }
        complete.then(|| Incoming::Whole(std::mem::take(&mut self.partial)))
    }

    fn end(&mut self) -> Incoming {
        if self.partial.is_empty() {
            return Incoming::End;
        }
        Incoming::Whole(std::mem::take(&mut self.partial))
    }
}

/// Appends to a line. One that has to grow moves, and its old place is wiped.
fn extend(line: &mut Zeroizing<Vec<u8>>, part: &[u8]) {
    let bytes = line.len() + part.len();
    if bytes > line.capacity() {
        let mut larger = Zeroizing::new(Vec::with_capacity(2 * bytes));
        larger.extend_from_slice(line);
        *line = larger;
    }
    line.extend_from_slice(part);
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    async fn read_all(bytes: &[u8], bytes_max: usize) -> Vec<Incoming> {
        let mut lines = Lines::new(bytes, bytes_max, LONG);
        let mut all = Vec::new();
        while let line @ (Incoming::Whole(_) | Incoming::TooLong) = lines.next().await.unwrap() {
            all.push(line);
        }
        all
    }

    fn whole(text: &str) -> Incoming {
        Incoming::Whole(text.as_bytes().to_vec().into())
    }

    #[tokio::test]
    async fn a_line_above_the_limit_is_told_once_and_skipped() {
        let long = "x".repeat(100_000);
        let input = format!("a\n{long}\nb\n12345\n123456\nc");
        assert_eq!(
            read_all(input.as_bytes(), 5).await,
            [
                whole("a"),
                Incoming::TooLong,
                whole("b"),
                whole("12345"),
                Incoming::TooLong,
                whole("c")
            ]
        );
    }

    #[tokio::test]
    async fn a_long_line_without_an_end_is_told_once() {
        let long = "x".repeat(100_000);
        assert_eq!(read_all(long.as_bytes(), 5).await, [Incoming::TooLong]);
    }

    #[tokio::test]
    async fn half_a_line_is_kept_when_reading_is_given_up() {
        use tokio::io::AsyncWriteExt;
        let (mut writer, reader) = tokio::io::duplex(64);
        let mut lines = Lines::new(reader, 100, LONG);
        writer.write_all(b"half").await.unwrap();
        {
            let next = lines.next();
            tokio::pin!(next);
            let polled = std::future::poll_fn(|cx| {
                std::task::Poll::Ready(next.as_mut().poll(cx).is_pending())
            });
            assert!(polled.await);
        }
        writer.write_all(b" more\n").await.unwrap();
        assert_eq!(lines.next().await.unwrap(), whole("half more"));
    }

    #[tokio::test(start_paused = true)]
    async fn half_a_line_that_does_not_go_on_is_given_up() {
        use tokio::io::AsyncWriteExt;
        let (mut writer, reader) = tokio::io::duplex(64);
        let mut lines = Lines::new(reader, 100, LONG);
        writer.write_all(b"whole\nhalf").await.unwrap();
        assert_eq!(lines.next().await.unwrap(), whole("whole"));
        assert_eq!(lines.next().await.unwrap(), Incoming::Stalled);
    }
}
