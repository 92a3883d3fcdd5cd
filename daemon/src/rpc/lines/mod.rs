//! One front end that speaks in lines.

mod read;

use std::io::{self, Cursor};
use std::time::Duration;

use bytchat_proto::limits::{RPC_ANSWERS_WAITING_MAX, RPC_LINE_BYTES_MAX};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Chain, Interest};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::mpsc;
use tokio::time::{interval, timeout};
use tracing::debug;

use super::asked::Partial;
use super::exchange::Exchange;
use super::session::{Incoming, Session, Source};
use super::writer::{Framing, write};
use read::Lines;

/// Lines of a socket, after the bytes that told the dialect.
struct Wire {
    lines: Lines<Chain<Cursor<Vec<u8>>, OwnedReadHalf>>,
    gone_check: Duration,
}

impl Source for Wire {
    async fn next(&mut self, hold: bool) -> io::Result<Incoming> {
        if !hold {
            return self.lines.next().await;
        }
        self.lines.rest();
        let (_, socket) = self.lines.stream().get_ref();
        gone(socket, self.gone_check).await;
        Ok(Incoming::Gone)
    }
}

/// Serves one front end until it is gone, or until the daemon stops. Dropping the future drops
/// the calls in flight.
pub(super) async fn serve(stream: UnixStream, first: Vec<u8>, exchange: Exchange) {
    let bounds = exchange.desk.bounds;
    let (input, output) = stream.into_split();
    let input = Cursor::new(first).chain(input);
    let partial = Partial::at(&exchange.desk, exchange.caller.uid, RPC_LINE_BYTES_MAX);
    let lines = Lines::new(input, partial, bounds.half_request);
    let mut wire = Wire { lines, gone_check: bounds.gone_check };
    let (answers, waiting) = mpsc::channel(RPC_ANSWERS_WAITING_MAX);
    let writing = write(output, waiting, Framing::Lines, bounds);
    tokio::pin!(writing);
    let ended = tokio::select! {
        result = &mut writing => result,
        () = Session::new(exchange, answers).run(&mut wire) => writing.await,
    };
    if let Err(error) = ended {
        debug!(%error, "a front end was cut off");
    }
}

/// Ends when the front end has closed both directions. `nc` and shells close only theirs and
/// go on reading, which a read cannot tell apart.
pub(super) async fn gone(socket: &OwnedReadHalf, check: Duration) {
    let mut ticks = interval(check);
    loop {
        ticks.tick().await;
        match socket.ready(Interest::WRITABLE).await {
            Ok(ready) if !ready.is_write_closed() => {}
            Ok(_) | Err(_) => return,
        }
    }
}

/// Says one thing to a front end and leaves it, if it takes that at once.
pub(super) async fn farewell(mut stream: UnixStream, text: &str, patience: Duration) {
    let text = format!("{text}\n");
    let told = timeout(patience, stream.write_all(text.as_bytes())).await;
    if !matches!(told, Ok(Ok(()))) {
        debug!("a front end left before it could be told why");
    }
}
