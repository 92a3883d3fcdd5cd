//! One front end that may ask many things at once: its requests in, its calls and subscriptions
//! under way, its answers out.

use std::io;

use bytchat_proto::limits::RPC_CALLS_PER_CLIENT_MAX;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use zeroize::Zeroizing;

use super::events::Stream;
use super::exchange::{Exchange, stalled, too_long};

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    /// A request, or several as a batch. It may hold a private key, and is wiped when it is
    /// dropped.
    Whole(Zeroizing<Vec<u8>>),
    /// A request above the limit, which was skipped.
    TooLong,
    /// Half a request that does not go on.
    Stalled,
    /// Nothing more will come, but answers are read.
    End,
    /// The front end is gone.
    Gone,
}

/// Where requests come from.
pub(super) trait Source {
    /// The next request; when told to hold, waits only until the front end is gone. May be
    /// dropped at any time.
    fn next(&mut self, hold: bool) -> impl Future<Output = io::Result<Incoming>> + Send;
}

/// Texts on their way to a front end.
pub(super) type Answers = mpsc::Sender<Box<str>>;

/// What is under way for one front end; dropping it ends all of it.
pub(super) struct Session {
    exchange: Exchange,
    answers: Answers,
    calls: JoinSet<Vec<Stream>>,
    streams: JoinSet<()>,
}

impl Session {
    pub(super) fn new(exchange: Exchange, answers: Answers) -> Self {
        let exchange = exchange.streaming();
        Self { exchange, answers, calls: JoinSet::new(), streams: JoinSet::new() }
    }

    // SPEC 8.1: a call that waits does not hold up the others.
    /// Serves until the front end is gone, or says no more and has all its answers, or the
    /// daemon stops.
    pub(super) async fn run(mut self, source: &mut impl Source) {
        loop {
            let full = self.calls.len() >= RPC_CALLS_PER_CLIENT_MAX;
            let desk = self.exchange.desk.clone();
            let came = tokio::select! {
                Some(ended) = self.calls.join_next() => {
                    self.begin(ended);
                    continue;
                }
                Some(_) = self.streams.join_next() => continue,
                came = source.next(full) => came,
                // What was written just before the stop is read and answered.
                () = desk.closing() => break,
            };
            match came {
                Ok(Incoming::Whole(text)) => self.call(text),
                // The writer is gone only together with this future.
                Ok(Incoming::TooLong) => drop(self.answers.send(too_long()).await),
                Ok(Incoming::Stalled) => {
                    drop(self.answers.send(stalled()).await);
                    break;
                }
                Ok(Incoming::End) => break,
                Ok(Incoming::Gone) | Err(_) => return,
            }
        }
        self.settle(source).await;
    }

    fn call(&mut self, text: Zeroizing<Vec<u8>>) {
        let (exchange, answers) = (self.exchange.clone(), self.answers.clone());
        self.calls.spawn(async move {
            let said = exchange.answer(&text).await;
            if let Some(json) = said.json {
                // The writer is gone only together with the call.
                drop(answers.send(json).await);
            }
            said.opened
        });
    }

    /// Begins the subscriptions that a call opened, now that its answer is out.
    fn begin(&mut self, ended: Result<Vec<Stream>, JoinError>) {
        for stream in ended.unwrap_or_default() {
            let answers = self.answers.clone();
            self.streams.spawn(stream.run(answers));
        }
    }

    /// Waits until everything under way has ended, or the front end is gone.
    async fn settle(mut self, source: &mut impl Source) {
        while !self.calls.is_empty() || !self.streams.is_empty() {
            tokio::select! {
                Some(ended) = self.calls.join_next() => self.begin(ended),
                Some(_) = self.streams.join_next() => {}
                _ = source.next(true) => return,
            }
        }
    }
}
