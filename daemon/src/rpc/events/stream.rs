//! One subscription: from the log until it has caught up, then as it happens; and back to the
//! log if its reader is too slow.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytchat_core::io::Caller;
use bytchat_proto::id::UserId;
use bytchat_proto::limits::{EVENT_REPLAY_BYTES_MAX, EVENT_REPLAY_PAGE};
use bytchat_proto::rpc::event::{Gap, List, Note, Place as Position, wanted};
use bytchat_proto::rpc::{Call, ErrorKind, RpcError};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::super::desk::Desk;
use super::super::exchange::Kept;
use super::super::grant::Grant;
use super::super::quota::Place;
use super::super::writer::{Answers, Outgoing, Word};
use super::Entry;
use super::hub::{Follower, Recent, Told};

/// A subscription that has its answer and has told nothing yet.
pub(crate) struct Stream {
    pub(super) entry: Entry,
    pub(super) caller: Caller,
    pub(super) grant: Grant,
    pub(super) types: Option<Vec<String>>,
    pub(super) page: Page,
    /// What the page takes.
    pub(super) bytes: Place,
    pub(super) follower: Follower,
    pub(super) desk: Arc<Desk>,
    pub(super) ended: watch::Receiver<()>,
    pub(super) _place: Place,
}

/// A part of the log as the node gives it.
#[derive(Deserialize)]
struct Whole {
    events: Vec<Value>,
    next: u64,
    first: u64,
    head: u64,
    epoch: String,
    gap: Option<Gap>,
}

/// As much of it as is kept for a subscriber; events stay as they are.
#[derive(Debug)]
pub(super) struct Page {
    events: Vec<(Option<UserId>, String)>,
    next: u64,
    pub(super) first: u64,
    pub(super) head: u64,
    pub(super) epoch: String,
    gap: Option<Gap>,
    /// How many events to ask for next.
    limit: usize,
}

/// What stands around an event, at most.
const NOTIFICATION_BYTES: usize = 128;

impl Page {
    // SPEC 8.11: what is not read is not kept in memory, but read from the log again.
    /// Reads an answer of `event.list` with so many events, up to some bytes.
    pub(super) fn read(page: Value, limit: usize) -> Result<Self, RpcError> {
        let no_page = |why: String| {
            ErrorKind::Internal.because(format!("the log of events is no page: {why}"))
        };
        let Whole { events, next, first, head, epoch, gap } =
            serde_json::from_value(page).map_err(|error| no_page(error.to_string()))?;
        let limit = (2 * limit).min(EVENT_REPLAY_PAGE);
        let mut page = Self { events: Vec::new(), next, first, head, epoch, gap, limit };
        let (count, mut bytes) = (events.len(), 0);
        for event in events {
            let text = event.to_string();
            bytes += text.len();
            let account = serde_json::from_value(event["account"].clone()).ok();
            page.events.push((account, text));
            if bytes >= EVENT_REPLAY_BYTES_MAX && page.events.len() < count {
                let seq = event["seq"].as_u64();
                page.next = seq.ok_or_else(|| no_page("an event has no number".to_owned()))?;
                page.limit = page.events.len();
                break;
            }
        }
        Ok(page)
    }

    /// Counts its bytes.
    pub(super) fn hold(&self, desk: &Desk, caller: Caller) -> Result<Place, RpcError> {
        let mut place = desk.bytes.none(caller.uid);
        place.resize(self.events.iter().map(|(_, text)| text.len()).sum())?;
        Ok(place)
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("id", &self.entry.id).finish_non_exhaustive()
    }
}

/// The front end does not read any more.
struct Left;

impl Stream {
    /// Tells events until the reader is gone or wants no more, or the daemon stops.
    pub(crate) async fn run(self, answers: Answers) {
        let (mut ended, desk) = (self.ended.clone(), Arc::clone(&self.desk));
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
            self.read(lagged).await?;
        }
    }

    /// Tells the page that was read and all that come after it; gives the position behind them.
    async fn replay(&mut self) -> Result<u64, Left> {
        loop {
            if let Some(gap) = self.stream.page.gap.take() {
                self.note(Note::Gap(gap)).await?;
            }
            for (account, event) in std::mem::take(&mut self.stream.page.events) {
                // The session may have been narrowed since the log was read.
                if account.is_some_and(|account| self.stream.grant.sees(account)) {
                    self.event(&event).await?;
                }
            }
            let Page { next, head, .. } = self.stream.page;
            self.stream.bytes = self.stream.desk.bytes.none(self.stream.caller.uid);
            if next >= head {
                return Ok(next);
            }
            self.read(next).await?;
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
        let id = &self.stream.entry.id;
        let length = result.len() + NOTIFICATION_BYTES;
        let turn = u32::try_from(length.min(EVENT_REPLAY_BYTES_MAX)).unwrap_or(u32::MAX);
        let queue = Arc::clone(&self.stream.entry.streams.queue);
        let turn = queue.acquire_many_owned(turn).await.map_err(|_| Left)?;
        let bytes = self.room(length).await;
        let params = format!(r#"{{"subscription":"{id}","result":{result}}}"#);
        let text = format!(r#"{{"jsonrpc":"2.0","method":"event","params":{params}}}"#);
        let (word, kept) = (Word::Text(text.into()), Some(Kept::event(bytes, turn)));
        self.answers.send(Outgoing { word, kept }).await.map_err(|_| Left)
    }

    /// Takes so many bytes, once there is room: what is not told yet is on the disk.
    async fn room(&self, bytes: usize) -> Place {
        let Stream { desk, caller, .. } = &self.stream;
        let mut place = desk.bytes.none(caller.uid);
        while place.resize(bytes).is_err() {
            sleep(desk.bounds.replay_retry).await;
        }
        place
    }

    fn position(&self, next: u64) -> Position {
        Position { next, head: self.stream.follower.head().max(next) }
    }

    /// Reads the log after a position, again and again if it cannot be read for the moment.
    async fn read(&mut self, since: u64) -> Result<(), Left> {
        let limit = self.stream.page.limit;
        loop {
            let Stream { desk, types, caller, grant, .. } = &self.stream;
            let (since, types, limit) = (Some(since), types.clone(), Some(limit));
            let ask = List { since, types, limit, ..List::default() };
            let permit = desk.replays.take(caller.uid).await;
            let page = desk.service.call(*caller, grant.scope(), Call::EventList(ask)).await;
            let page = page.and_then(|page| Page::read(page, self.stream.page.limit));
            let held = page.and_then(|page| Ok((page.hold(desk, *caller)?, page)));
            drop(permit);
            match held {
                Ok((bytes, page)) => {
                    (self.stream.bytes, self.stream.page) = (bytes, page);
                    return Ok(());
                }
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
