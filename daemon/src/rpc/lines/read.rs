//! Lines of bounded length from a stream.

use std::io;
use std::time::Duration;

use tokio::io::AsyncRead;

use super::super::asked::Partial;
use super::super::pieces::Pieces;
use super::super::session::Incoming;

/// Reads lines and never keeps more than one of them.
#[derive(Debug)]
pub(super) struct Lines<R> {
    input: Pieces<R>,
    partial: Partial,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn new(input: R, partial: Partial, patience: Duration) -> Self {
        Self { input: Pieces::new(input, patience), partial }
    }

    /// The stream below.
    pub(super) fn stream(&self) -> &R {
        self.input.stream()
    }

    /// Nothing is read for a while, which is not the fault of who writes.
    pub(super) fn rest(&mut self) {
        self.input.rest();
    }

    /// Reads on. Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> io::Result<Incoming> {
        loop {
            let Some(chunk) = self.input.next(self.partial.is_begun()).await? else {
                return Ok(Incoming::Stalled);
            };
            if chunk.is_empty() {
                let last = self.partial.is_begun().then(|| self.partial.finish()).flatten();
                return Ok(last.map_or(Incoming::End, Incoming::Whole));
            }
            let newline = chunk.iter().position(|byte| *byte == b'\n');
            let part = chunk.get(..newline.unwrap_or(chunk.len())).unwrap_or(chunk);
            let used = part.len() + usize::from(newline.is_some());
            let extended = self.partial.extend(part);
            self.input.consume(used);
            let whole = newline.and_then(|_| self.partial.finish());
            if let Err(why) = extended {
                return Ok(Incoming::Unread(why));
            }
            if let Some(whole) = whole {
                return Ok(Incoming::Whole(whole));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::asked::Unread;
    use super::super::super::quota::Quota;
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    fn lines<R: AsyncRead + Unpin>(input: R, bytes_max: usize) -> Lines<R> {
        let quota = Quota::new("bytes", usize::MAX, usize::MAX);
        Lines::new(input, Partial::new(&quota, 1, bytes_max), LONG)
    }

    /// What came, as a text.
    fn shown(incoming: Incoming) -> Option<String> {
        match incoming {
            Incoming::Whole(asked) => Some(String::from_utf8(asked.text.to_vec()).unwrap()),
            Incoming::Unread(Unread::TooLong) => Some("too long".to_owned()),
            Incoming::Unread(Unread::Refused(error)) => Some(error.message),
            Incoming::Stalled
            | Incoming::Ping(_)
            | Incoming::End
            | Incoming::Closed(_)
            | Incoming::Gone => None,
        }
    }

    async fn read_all(bytes: &[u8], bytes_max: usize) -> Vec<String> {
        let mut lines = lines(bytes, bytes_max);
        let mut all = Vec::new();
        while let Some(line) = shown(lines.next().await.unwrap()) {
            all.push(line);
        }
        all
    }

    #[tokio::test]
    async fn a_line_above_the_limit_is_told_once_and_skipped() {
        let long = "x".repeat(100_000);
        let input = format!("a\n{long}\nb\n12345\n123456\nc");
        assert_eq!(
            read_all(input.as_bytes(), 5).await,
            ["a", "too long", "b", "12345", "too long", "c"]
        );
    }

    #[tokio::test]
    async fn a_long_line_without_an_end_is_told_once() {
        let long = "x".repeat(100_000);
        assert_eq!(read_all(long.as_bytes(), 5).await, ["too long"]);
    }

    #[tokio::test]
    async fn half_a_line_is_kept_when_reading_is_given_up() {
        use tokio::io::AsyncWriteExt;
        let (mut writer, reader) = tokio::io::duplex(64);
        let mut lines = lines(reader, 100);
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
        assert_eq!(shown(lines.next().await.unwrap()).unwrap(), "half more");
    }

    #[tokio::test(start_paused = true)]
    async fn half_a_line_that_does_not_go_on_is_given_up() {
        use tokio::io::AsyncWriteExt;
        let (mut writer, reader) = tokio::io::duplex(64);
        let mut lines = lines(reader, 100);
        writer.write_all(b"whole\nhalf").await.unwrap();
        assert_eq!(shown(lines.next().await.unwrap()).unwrap(), "whole");
        assert!(matches!(lines.next().await.unwrap(), Incoming::Stalled));
    }

    #[tokio::test(start_paused = true)]
    async fn half_a_line_that_goes_on_by_the_byte_is_given_up_too() {
        use tokio::io::AsyncWriteExt;
        let (mut writer, reader) = tokio::io::duplex(64);
        let mut lines = lines(reader, 1_000_000);
        let mut ticks = tokio::time::interval(LONG / 4);
        let dripping = async {
            loop {
                writer.write_all(b"x").await.unwrap();
                ticks.tick().await;
            }
        };
        tokio::select! {
            () = dripping => {}
            came = lines.next() => assert!(matches!(came.unwrap(), Incoming::Stalled)),
        }
    }
}
