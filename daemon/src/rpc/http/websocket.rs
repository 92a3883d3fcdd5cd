//! One front end that speaks WebSocket: a text message is a request or a batch, and so is its
//! answer.

use std::io::{self, Cursor};
use std::time::Duration;

use bytchat_proto::limits::{RPC_ANSWERS_WAITING_MAX, RPC_LINE_BYTES_MAX};
use hyper::upgrade::{Parts, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, Chain};
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::mpsc;
use tracing::debug;

use super::super::asked::Partial;
use super::super::desk::Speaking;
use super::super::dialect::Dialect;
use super::super::exchange::Exchange;
use super::super::lines::gone;
use super::super::session::{Incoming, Session, Source};
use super::super::writer::{Framing, write};
use super::frames::Frames;
use super::patient::Patient;

/// Messages of a socket, after the bytes that came with the handshake.
struct Wire {
    frames: Frames<Chain<Cursor<Vec<u8>>, OwnedReadHalf>>,
    gone_check: Duration,
}

impl Source for Wire {
    async fn next(&mut self, hold: bool) -> io::Result<Incoming> {
        if !hold {
            return self.frames.next().await;
        }
        self.frames.rest();
        let (_, socket) = self.frames.stream().get_ref();
        gone(socket, self.gone_check).await;
        Ok(Incoming::Gone)
    }
}

/// Serves one front end until it is gone, or until the daemon stops.
pub(super) async fn serve(upgraded: Upgraded, exchange: Exchange) {
    let Ok(Parts { io, read_buf, .. }) = upgraded.downcast::<TokioIo<Patient>>() else {
        debug!("what became a WebSocket is no socket of ours");
        return;
    };
    let _speaking = Speaking::new(&exchange.desk, Dialect::WebSocket);
    let bounds = exchange.desk.bounds;
    let (stream, mut first) = io.into_inner().into_parts();
    first.splice(0..0, read_buf);
    let (input, output) = stream.into_split();
    let input = Cursor::new(first).chain(input);
    let message = Partial::at(&exchange.desk, exchange.caller.uid, RPC_LINE_BYTES_MAX);
    let frames = Frames::new(input, message, bounds.half_request);
    let mut wire = Wire { frames, gone_check: bounds.gone_check };
    let (answers, waiting) = mpsc::channel(RPC_ANSWERS_WAITING_MAX);
    let writing = write(output, waiting, Framing::WebSocket, bounds);
    tokio::pin!(writing);
    let ended = tokio::select! {
        result = &mut writing => result,
        () = Session::new(exchange, answers).run(&mut wire) => writing.await,
    };
    if let Err(error) = ended {
        debug!(%error, "a front end was cut off");
    }
}
