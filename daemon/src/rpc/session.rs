//! One front end that may ask many things at once: its requests in, its calls and subscriptions
//! under way, its answers out.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::Poll;

use bytchat_proto::limits::RPC_CALLS_PER_CLIENT_MAX;
use tokio::task::{JoinError, JoinSet};

use super::asked::{Asked, Unread};
use super::events::Stream;
use super::exchange::{Exchange, Said, refusal, stalled, too_long};
use super::writer::{Answers, Outgoing, Word};

/// What came.
#[derive(Debug)]
pub(super) enum Incoming {
    /// A request, or several as a batch.
    Whole(Asked),
    /// A request that is not read; the rest of it is skipped.
    Unread(Unread),
    /// Half a request that does not go on.
    Stalled,
    /// A question whether we are here, with what is to be said back.
    Ping(Vec<u8>),
    /// Nothing more will come, but answers are read.
    End,
    /// The front end says goodbye, with its reason.
    Closed(Vec<u8>),
    /// The front end is gone.
    Gone,
}

/// Where requests come from.
pub(super) trait Source {
    /// The next request; when told to hold, waits only until the front end is gone. May be
    /// dropped at any time.
    fn next(&mut self, hold: bool) -> impl Future<Output = io::Result<Incoming>> + Send;
}

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
        let desk = Arc::clone(&self.exchange.desk);
        let closing = desk.closing();
        tokio::pin!(closing);
        loop {
            let full = self.calls.len() >= RPC_CALLS_PER_CLIENT_MAX;
            let came = tokio::select! {
                Some(ended) = self.calls.join_next() => {
                    self.begin(ended);
                    continue;
                }
                Some(_) = self.streams.join_next() => continue,
                came = source.next(full) => came,
                // What was written just before the stop is read and answered.
                () = &mut closing => break,
            };
            match came {
                Ok(Incoming::Whole(asked)) => self.call(asked).await,
                Ok(Incoming::Unread(Unread::TooLong)) => self.say(too_long()).await,
                Ok(Incoming::Unread(Unread::Refused(why))) => self.say(refusal(&why)).await,
                Ok(Incoming::Ping(payload)) => self.put(Word::Pong(payload)).await,
                Ok(Incoming::Stalled) => {
                    self.say(stalled()).await;
                    break;
                }
                Ok(Incoming::End) => break,
                Ok(Incoming::Closed(reason)) => return self.put(Word::Close(reason)).await,
                Ok(Incoming::Gone) | Err(_) => return,
            }
        }
        self.settle(source).await;
    }

    /// Begins a call. One that needs to wait for nothing is answered at once, without a task.
    async fn call(&mut self, asked: Asked) {
        let (exchange, answers) = (self.exchange.clone(), self.answers.clone());
        let mut answering = Box::pin(async move {
            let Said { json, opened, kept } = exchange.answer(asked).await;
            if let Some(json) = json {
                // The writer is gone only together with the call.
                let outgoing = Outgoing { word: Word::Text(json), kept: Some(kept) };
                drop(answers.send(outgoing).await);
            }
            opened
        });
        match poll_fn(|cx| Poll::Ready(answering.as_mut().poll(cx))).await {
            Poll::Ready(opened) => self.begin(Ok(opened)),
            Poll::Pending => drop(self.calls.spawn(answering)),
        }
    }

    async fn say(&self, text: Box<str>) {
        self.put(Word::Text(text)).await;
    }

    async fn put(&self, word: Word) {
        // The writer is gone only together with this future.
        drop(self.answers.send(Outgoing { word, kept: None }).await);
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
