//! One front end: its lines in, its calls in flight, its answers out.

use std::io;
use std::time::Duration;

use bytchat_proto::limits::{
    RPC_ANSWERS_WAITING_MAX, RPC_CALLS_PER_CLIENT_MAX, RPC_GONE_CHECK_MS, RPC_LINE_BYTES_MAX,
    RPC_WRITE_TIMEOUT_MS,
};
use serde_json::value::RawValue;
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};
use tracing::debug;

use super::exchange::{Exchange, too_long};
use super::lines::{Line, Lines};

/// How long a front end may be slow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) write: Duration,
    pub(super) gone_check: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            write: Duration::from_millis(RPC_WRITE_TIMEOUT_MS),
            gone_check: Duration::from_millis(RPC_GONE_CHECK_MS),
        }
    }
}

type Answers = mpsc::Sender<Box<RawValue>>;

/// Serves one front end until it is gone, or until the daemon stops. Dropping the future drops
/// the calls in flight.
pub(super) async fn serve(stream: UnixStream, exchange: Exchange, patience: Patience) {
    let (input, output) = stream.into_split();
    let (answers, waiting) = mpsc::channel(RPC_ANSWERS_WAITING_MAX);
    let writing = write(output, waiting, patience.write);
    tokio::pin!(writing);
    let ended = tokio::select! {
        result = &mut writing => result,
        () = read(input, exchange, answers, patience) => writing.await,
    };
    if let Err(error) = ended {
        debug!(%error, "a front end was cut off");
    }
}

async fn read(input: OwnedReadHalf, exchange: Exchange, answers: Answers, patience: Patience) {
    let mut lines = Lines::new(input, RPC_LINE_BYTES_MAX);
    let mut calls = JoinSet::new();
    loop {
        while calls.try_join_next().is_some() {}
        let full = calls.len() >= RPC_CALLS_PER_CLIENT_MAX;
        if full && !settle(&mut calls, lines.stream(), patience, Until::Room).await {
            return;
        }
        let line = tokio::select! {
            line = lines.next() => line,
            // What was written just before the stop is read and answered.
            () = exchange.closing() => break,
        };
        match line {
            Ok(Line::Whole(line)) => {
                calls.spawn(call(line, exchange.clone(), answers.clone()));
            }
            // SPEC 8.1: a line above the limit is answered and skipped, and the connection goes on.
            // The writer is gone only together with this future.
            Ok(Line::TooLong) => drop(answers.send(too_long()).await),
            Ok(Line::End) | Err(_) => break,
        }
    }
    settle(&mut calls, lines.stream(), patience, Until::Done).await;
}

async fn call(line: Vec<u8>, exchange: Exchange, answers: Answers) {
    if let Some(answer) = exchange.answer(&line).await {
        // The writer is gone only together with the call.
        drop(answers.send(answer).await);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    /// There is room for another call.
    Room,
    /// No call is in flight.
    Done,
}

/// Waits for calls to end; false if the front end is gone before.
async fn settle(
    calls: &mut JoinSet<()>,
    socket: &OwnedReadHalf,
    patience: Patience,
    until: Until,
) -> bool {
    let gone = gone(socket, patience.gone_check);
    tokio::pin!(gone);
    loop {
        tokio::select! {
            ended = calls.join_next() => {
                if ended.is_none() || until == Until::Room {
                    return true;
                }
            }
            () = &mut gone => return false,
        }
    }
}

/// Ends when the front end has closed both directions. `nc` and shells close only theirs and
/// go on reading, which a read cannot tell apart.
async fn gone(socket: &OwnedReadHalf, check: Duration) {
    let mut ticks = interval(check);
    loop {
        ticks.tick().await;
        match socket.ready(Interest::WRITABLE).await {
            Ok(ready) if !ready.is_write_closed() => {}
            Ok(_) | Err(_) => return,
        }
    }
}

// SPEC 8.7: a front end that does not read is cut off.
async fn write(
    mut output: OwnedWriteHalf,
    mut waiting: mpsc::Receiver<Box<RawValue>>,
    patience: Duration,
) -> io::Result<()> {
    while let Some(answer) = waiting.recv().await {
        for bytes in [answer.get().as_bytes(), b"\n"] {
            let mut rest = bytes;
            while !rest.is_empty() {
                let written = timeout(patience, output.write(rest)).await??;
                rest = rest.get(written..).unwrap_or_default();
            }
        }
    }
    Ok(())
}
