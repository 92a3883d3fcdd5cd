//! One subscription: from the log until it has caught up, then as it happens; and back to the
//! log if its reader is too slow.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytchat_core::io::Caller;
use bytchat_proto::limits::EVENT_REPLAY_PAGE;
use bytchat_proto::rpc::event::{Gap, List, Note, Place as Position, wanted};
use bytchat_proto::rpc::{Call, ErrorKind, RpcError};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::super::desk::{Desk, Place};
use super::super::grant::Grant;
use super::super::session::Answers;
use super::Streams;
use super::hub::{Follower, Recent, Told};

/// A subscription that has its answer and has told nothing yet.
pub(crate) struct Stream {
    pub(super) id: String,
    pub(super) caller: Caller,
    pub(super) grant: Grant,
    pub(super) types: Option<Vec<String>>,
    pub(super) page: Page,
    pub(super) follower: Follower,
    pub(super) desk: Arc<Desk>,
    pub(super) streams: Arc<Streams>,
    pub(super) ended: watch::Receiver<()>,
    pub(super) _place: Place,
}

/// A part of the log; events stay as they are.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    pub(super) events: Vec<Value>,
    pub(super) next: u64,
    pub(super) first: u64,
    pub(super) head: u64,
    pub(super) epoch: String,
    pub(super) gap: Option<Gap>,
}

impl Page {
    pub(super) fn read(page: Value) -> Result<Self, RpcError> {
        serde_json::from_value(page).map_err(|error| {
            ErrorKind::Internal.because(format!("the log of events is no page: {error}"))
        })
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The front end does not read any more.
struct Left;

impl Stream {
    /// Tells events until the reader is gone or wants no more, or the daemon stops.
    pub(crate) async fn run(self, answers: Answers) {
        let (mut ended, desk) = (self.ended.clone(), Arc::clone(&self.desk));
        let (streams, id) = (Arc::clone(&self.streams), self.id.clone());
        let grant = self.grant.clone();
        let mut teller = Teller { stream: self, answers };
        let over = tokio::select! {
            _ = teller.tell() => None,
            _ = ended.changed() => None,
            () = desk.stopped() => None,
            error = grant.over() => Some(error),
        };
        // SPEC 8.42: the end of a session is told.
        if let Some(RpcError { kind, message }) = over {
            tokio::select! {
                _ = teller.note(Note::Failed { kind, message }) => {}
                () = desk.stopped() => {}
            }
        }
        streams.remove(&id);
    }
}

struct Teller {
    stream: Stream,
    answers: Answers,
}

impl Teller {
    async fn tell(&mut self) -> Result<(), Left> {
        loop {
            let position = self.replay().await?;
            let lagged = match self.stream.follower.after(position) {
                Recent::Behind => position,
                Recent::Events(_) | Recent::Nothing => {
                    self.note(Note::CaughtUp(self.position(position))).await?;
                    let lagged = self.follow(position).await?;
                    self.note(Note::Lagged(self.position(lagged))).await?;
                    lagged
                }
            };
            self.stream.page = self.read(lagged).await?;
        }
    }

    /// Tells the page that was read and all that come after it; gives the position behind them.
    async fn replay(&mut self) -> Result<u64, Left> {
        loop {
            if let Some(gap) = self.stream.page.gap.take() {
                self.note(Note::Gap(gap)).await?;
            }
            for event in std::mem::take(&mut self.stream.page.events) {
                // The session may have been narrowed since the log was read.
                let account = serde_json::from_value(event["account"].clone());
                if account.is_ok_and(|account| self.stream.grant.sees(account)) {
                    self.event(&event.to_string()).await?;
                }
            }
            let Page { next, head, .. } = self.stream.page;
            if next >= head {
                return Ok(next);
            }
            self.stream.page = self.read(next).await?;
        }
    }

    /// Tells events as they happen; gives the position at which the reader was too slow.
    async fn follow(&mut self, mut position: u64) -> Result<u64, Left> {
        loop {
            match self.stream.follower.after(position) {
                Recent::Behind => return Ok(position),
                Recent::Events(events) => {
                    for told in events {
                        self.told(&told).await?;
                        position = told.seq;
                    }
                }
                Recent::Nothing => self.wait(position).await?,
            }
        }
    }

    async fn wait(&mut self, position: u64) -> Result<(), Left> {
        let silence = self.stream.desk.bounds.heartbeat;
        if timeout(silence, self.stream.follower.changed()).await.is_ok() {
            return Ok(());
        }
        self.note(Note::Heartbeat(self.position(position))).await
    }

    async fn told(&mut self, told: &Told) -> Result<(), Left> {
        let seen = self.stream.grant.sees(told.account);
        if seen && wanted(self.stream.types.as_deref(), told.name) {
            self.event(&told.json).await?;
        }
        Ok(())
    }

    async fn event(&self, json: &str) -> Result<(), Left> {
        self.stream.desk.counts.events.fetch_add(1, Ordering::Relaxed);
        self.send(json).await
    }

    async fn note(&self, note: Note) -> Result<(), Left> {
        self.send(&serde_json::to_string(&note).expect("notes have a JSON form")).await
    }

    // SPEC 8.11: one shape for all that is told.
    async fn send(&self, result: &str) -> Result<(), Left> {
        let id = &self.stream.id;
        let params = format!(r#"{{"subscription":"{id}","result":{result}}}"#);
        let text = format!(r#"{{"jsonrpc":"2.0","method":"event","params":{params}}}"#);
        self.answers.send(text.into()).await.map_err(|_| Left)
    }

    fn position(&self, next: u64) -> Position {
        Position { next, head: self.stream.follower.head().max(next) }
    }

    /// Reads the log after a position, again and again if it cannot be read for the moment.
    async fn read(&self, since: u64) -> Result<Page, Left> {
        let Stream { desk, types, caller, grant, .. } = &self.stream;
        loop {
            let ask = List {
                since: Some(since),
                types: types.clone(),
                limit: Some(EVENT_REPLAY_PAGE),
                ..List::default()
            };
            let permit = desk.replays.acquire().await;
            let page = desk.service.call(*caller, grant.scope(), Call::EventList(ask)).await;
            drop(permit);
            match page.and_then(Page::read) {
                Ok(page) => return Ok(page),
                Err(error) if [ErrorKind::Busy, ErrorKind::DiskFull].contains(&error.kind) => {
                    sleep(desk.bounds.replay_retry).await;
                }
                Err(error) => {
                    let RpcError { kind, message } = error;
                    self.note(Note::Failed { kind, message }).await?;
                    return Err(Left);
                }
            }
        }
    }
}
