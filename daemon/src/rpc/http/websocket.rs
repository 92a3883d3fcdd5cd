//! One front end that speaks WebSocket: a text message is a request or a batch, and so is its
//! answer.

use std::io;

use bytchat_proto::limits::{RPC_ANSWERS_WAITING_MAX, RPC_LINE_BYTES_MAX};
use futures_util::io::{BufReader, BufWriter};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use soketto::connection::Error;
use soketto::handshake::http::Server;
use soketto::{Receiver, Sender};
use tokio::sync::mpsc;
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};
use tracing::debug;

use super::super::desk::Speaking;
use super::super::dialect::Dialect;
use super::super::exchange::Exchange;
use super::super::session::{Incoming, Session, Source};

type Wire = BufReader<BufWriter<Compat<TokioIo<Upgraded>>>>;

/// Messages that were read; reading cannot be broken off, so it has its own loop.
struct Messages(mpsc::Receiver<Incoming>);

impl Source for Messages {
    async fn next(&mut self, hold: bool) -> io::Result<Incoming> {
        if hold {
            // When the front end is gone the loop that reads ends, and with it everything.
            std::future::pending::<()>().await;
        }
        Ok(self.0.recv().await.unwrap_or(Incoming::Gone))
    }
}

/// Serves one front end until it is gone, or until the daemon stops.
pub(super) async fn serve(upgraded: Upgraded, handshake: Server, exchange: Exchange) {
    let _speaking = Speaking::new(&exchange.desk, Dialect::WebSocket);
    let wire = BufReader::new(BufWriter::new(TokioIo::new(upgraded).compat()));
    let mut builder = handshake.into_builder(wire);
    builder.set_max_message_size(RPC_LINE_BYTES_MAX);
    let (sender, receiver) = builder.finish();
    let (read, messages) = mpsc::channel(1);
    let (answers, waiting) = mpsc::channel(RPC_ANSWERS_WAITING_MAX);
    let mut messages = Messages(messages);
    let writing = write(sender, waiting);
    tokio::pin!(writing);
    let ended = tokio::select! {
        result = &mut writing => result,
        () = pump(receiver, read) => Ok(()),
        () = Session::new(exchange, answers).run(&mut messages) => writing.await,
    };
    if let Err(error) = ended {
        debug!(%error, "a front end was cut off");
    }
}

/// Reads messages until the front end is gone.
async fn pump(mut receiver: Receiver<Wire>, read: mpsc::Sender<Incoming>) {
    loop {
        let mut message = Vec::new();
        let came = match receiver.receive(&mut message).await {
            Ok(soketto::Incoming::Data(_)) => Incoming::Whole(message.into()),
            Ok(soketto::Incoming::Pong(_)) => continue,
            Err(Error::MessageTooLarge { .. }) => Incoming::TooLong,
            Ok(soketto::Incoming::Closed(_)) => return,
            Err(error) => {
                debug!(%error, "a front end is gone");
                return;
            }
        };
        if read.send(came).await.is_err() {
            // The daemon stops: who waits for the last answers decides when this ends.
            return std::future::pending().await;
        }
    }
}

async fn write(
    mut sender: Sender<Wire>,
    mut waiting: mpsc::Receiver<Box<str>>,
) -> Result<(), Error> {
    while let Some(answer) = waiting.recv().await {
        sender.send_text(&answer).await?;
        while let Ok(answer) = waiting.try_recv() {
            sender.send_text(&answer).await?;
        }
        sender.flush().await?;
    }
    sender.close().await
}
