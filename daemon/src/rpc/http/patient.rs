//! A socket whose first bytes were read already, and that does not wait for ever to be read.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::time::{Sleep, sleep};

use super::super::desk::Bounds;

/// A socket.
pub(super) struct Patient {
    stream: UnixStream,
    first: Vec<u8>,
    write: Duration,
    answer: Duration,
    /// Runs while the other side does not read.
    waiting: Option<Pin<Box<Sleep>>>,
    /// Runs from when the other side first did not read until it has all that there was.
    answering: Option<Pin<Box<Sleep>>>,
}

impl Patient {
    pub(super) fn new(stream: UnixStream, first: Vec<u8>, bounds: Bounds) -> Self {
        let Bounds { write, answer, .. } = bounds;
        Self { stream, first, write, answer, waiting: None, answering: None }
    }

    /// The socket, and what was read of it and not given on.
    pub(super) fn into_parts(self) -> (UnixStream, Vec<u8>) {
        (self.stream, self.first)
    }

    // SPEC 8.7: a front end that does not read, or not a whole answer in time, is cut off.
    fn judge<T>(&mut self, cx: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let (write, answer) = (self.write, self.answer);
        if poll.is_pending() {
            self.answering.get_or_insert_with(|| Box::pin(sleep(answer)));
        }
        let late = self.answering.as_mut().is_some_and(|late| late.as_mut().poll(cx).is_ready());
        if late {
            return Poll::Ready(Err(ErrorKind::TimedOut.into()));
        }
        if poll.is_ready() {
            self.waiting = None;
            return poll;
        }
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(write)));
        waiting.as_mut().poll(cx).map(|()| Err(ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.first.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let length = self.first.len().min(buf.remaining());
        let rest = self.first.split_off(length);
        let first = std::mem::replace(&mut self.first, rest);
        buf.put_slice(&first);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Patient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.judge(cx, poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.judge(cx, poll)
    }

    /// What is not vectored is copied together first, and its original dropped before it is
    /// written: nothing of an answer would be counted then.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_flush(cx);
        // All is written before it is flushed.
        self.answering = None;
        self.judge(cx, poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
