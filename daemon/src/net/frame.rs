//! Frames on a stream: four bytes of length, most significant first, and the bytes themselves.

use std::io;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Memory that is taken on the word of a peer alone: most frames fit.
const BYTES_AT_FIRST: usize = 2 * 1024;

/// Reads one frame; `None` is the end of the stream between two frames.
///
/// Memory grows with the bytes that arrive, not with the length that the peer announces.
///
/// # Errors
/// The frame is longer than allowed, the stream ends within it, or is lost.
pub async fn read_frame<R>(from: &mut R, bytes_max: usize) -> Result<Option<Vec<u8>>, FrameError>
where
    R: AsyncRead + Unpin,
{
    let Some(length) = read_length(from).await? else {
        return Ok(None);
    };
    let expected = usize::try_from(length).unwrap_or(usize::MAX);
    if expected > bytes_max {
        return Err(FrameError::TooLong { got: expected, bytes_max });
    }
    let mut bytes = Vec::with_capacity(expected.min(BYTES_AT_FIRST));
    let got = from.take(u64::from(length)).read_to_end(&mut bytes).await?;
    if got < expected {
        return Err(FrameError::Truncated { got, expected });
    }
    bytes.shrink_to_fit();
    Ok(Some(bytes))
}

async fn read_length<R>(from: &mut R) -> Result<Option<u32>, FrameError>
where
    R: AsyncRead + Unpin,
{
    let mut prefix = [0; 4];
    let mut got = 0;
    while got < prefix.len() {
        match from.read(&mut prefix[got..]).await? {
            0 if got == 0 => return Ok(None),
            0 => {
                return Err(FrameError::Truncated { got, expected: prefix.len() });
            }
            more => got += more,
        }
    }
    Ok(Some(u32::from_be_bytes(prefix)))
}

/// Appends a frame to what is to be written.
pub(crate) fn encode_frame(bytes: &[u8], to: &mut Vec<u8>) {
    to.extend_from_slice(&encode_length(bytes));
    to.extend_from_slice(bytes);
}

/// Encodes the length that goes before a frame.
pub(crate) fn encode_length(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).expect("a frame is shorter than its limit").to_be_bytes()
}

/// Why a frame cannot be read.
#[derive(Debug, Error)]
pub enum FrameError {
    /// It is longer than allowed.
    #[error("frame of {got} bytes, expected at most {bytes_max}")]
    TooLong {
        /// How long it says that it is.
        got: usize,
        /// How long it may be.
        bytes_max: usize,
    },
    /// The stream ends within it.
    #[error("stream ends after {got} bytes of a frame, expected {expected}")]
    Truncated {
        /// How much of it came.
        got: usize,
        /// How much of it should have come.
        expected: usize,
    },
    /// The stream does not go on.
    #[error("stream is lost: {0}")]
    Lost(#[from] io::Error),
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use tokio::io::ReadBuf;

    use super::*;

    /// Hands out one byte at a time, and notes how much memory it was ever offered.
    struct Drip<'a> {
        bytes: &'a [u8],
        offered_max: usize,
    }

    impl AsyncRead for Drip<'_> {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            self.offered_max = self.offered_max.max(buf.remaining());
            if let Some((first, rest)) = self.bytes.split_first() {
                buf.put_slice(&[*first]);
                self.bytes = rest;
            }
            Poll::Ready(Ok(()))
        }
    }

    fn encoded(frames: &[&[u8]]) -> Vec<u8> {
        let mut bytes = Vec::new();
        frames.iter().for_each(|frame| encode_frame(frame, &mut bytes));
        bytes
    }

    #[tokio::test]
    async fn frames_come_out_as_they_went_in() {
        let bytes = encoded(&[b"", b"a", b"hello"]);
        let mut drip = Drip { bytes: &bytes, offered_max: 0 };
        for expected in [b"".as_slice(), b"a", b"hello"] {
            assert_eq!(read_frame(&mut drip, 5).await.unwrap().unwrap(), expected);
        }
        assert!(read_frame(&mut drip, 5).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_frame_above_the_limit_is_refused_before_it_is_read() {
        let bytes = encoded(&[b"123456"]);
        let mut rest = bytes.as_slice();
        let error = read_frame(&mut rest, 5).await.unwrap_err();
        assert!(matches!(error, FrameError::TooLong { got: 6, bytes_max: 5 }));
        assert_eq!(rest, b"123456");
    }

    #[tokio::test]
    async fn every_cut_of_a_frame_is_an_error() {
        let bytes = encoded(&[b"hello"]);
        for end in 1..bytes.len() {
            let error = read_frame(&mut &bytes[..end], 5).await.unwrap_err();
            assert!(matches!(error, FrameError::Truncated { .. }), "cut at {end}");
        }
    }

    #[tokio::test]
    async fn an_announced_length_takes_no_memory() {
        let mut bytes = (1u32 << 30).to_be_bytes().to_vec();
        bytes.push(7);
        let mut drip = Drip { bytes: &bytes, offered_max: 0 };
        let error = read_frame(&mut drip, usize::MAX).await.unwrap_err();
        assert!(matches!(error, FrameError::Truncated { got: 1, .. }));
        assert!(drip.offered_max <= BYTES_AT_FIRST, "{}", drip.offered_max);
    }
}
