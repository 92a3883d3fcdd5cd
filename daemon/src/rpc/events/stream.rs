//! One subscription: from the log until it has caught up, then as it happens; and back to the
//! log if its reader is too slow.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytchat_core::io::Caller;
use bytchat_proto::id::UserId;
use bytchat_proto::limits::{EVENT_REPLAY_BYTES_MAX, EVENT_REPLAY_PAGE};
use bytchat_proto::rpc::event::{Gap, List, Note, Place as Position, wanted};
use bytchat_proto::rpc::{Call, ErrorKind, Role, RpcError};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{sleep, timeout};

use super::super::desk::Desk;
use super::super::exchange::Kept;
use super::super::grant::Grant;
use super::super::quota::Place;
use super::super::writer::{Answers, Outgoing, Word};
use super::hub::{Follower, Recent};
use super::{Entry, SUBSCRIBE};

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
        place.resize(self.bytes())?;
        Ok(place)
    }

    fn bytes(&self) -> usize {
        self.events.iter().map(|(_, text)| text.len()).sum()
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("id", &self.entry.id).finish_non_exhaustive()
    }
}

/// Why a subscription tells no more.
enum End {
    /// The front end does not read any more.
    Left,
    /// It is told why.
    Failed(RpcError),
}

impl Stream {
    /// Tells events until the reader is gone or wants no more, or may not, or the daemon stops.
    pub(crate) async fn run(self, answers: Answers) {
        let (mut ended, desk) = (self.ended.clone(), Arc::clone(&self.desk));
        let grant = self.grant.clone();
        let mut teller = Teller { stream: self, answers };
        let end = tokio::select! {
            end = teller.tell() => end,
            _ = ended.changed() => End::Left,
            () = desk.stopped() => End::Left,
            error = grant.over() => End::Failed(error),
        };
        // SPEC 8.42: the end of a session is told.
        if let End::Failed(RpcError { kind, message }) = end {
            let note = Note::Failed { kind, message };
            tokio::select! {
                _ = teller.last(&note) => {}
                () = desk.stopped() => {}
            }
        }
    }
}

struct Teller {
    stream: Stream,
    answers: Answers,
}

/// What an event takes until it is written: of its connection's queue and of its user's bytes.
struct Room {
    turn: OwnedSemaphorePermit,
    bytes: Place,
}

impl Teller {
    async fn tell(&mut self) -> End {
        loop {
            if let Err(end) = self.tell_on().await {
                return end;
            }
        }
    }

    /// Tells what the log has, and then what happens until the reader is too slow for it.
    async fn tell_on(&mut self) -> Result<(), End> {
        let position = self.replay().await?;
        let lagged = match self.stream.follower.after(position) {
            Recent::Behind => position,
            Recent::Event(_) | Recent::Nothing => {
                self.note(&Note::CaughtUp(self.position(position))).await?;
                let lagged = self.follow(position).await?;
                self.note(&Note::Lagged(self.position(lagged))).await?;
                lagged
            }
        };
        self.read(lagged).await
    }

    /// Tells the page that was read and all that come after it; gives the position behind them.
    async fn replay(&mut self) -> Result<u64, End> {
        loop {
            if let Some(gap) = self.stream.page.gap.take() {
                self.note(&Note::Gap(gap)).await?;
            }
            for (account, event) in std::mem::take(&mut self.stream.page.events) {
                let bytes = self.stream.bytes.part(event.len());
                // The session may have been narrowed since the log was read.
                if account.is_some_and(|account| self.stream.grant.sees(account)) {
                    self.stream.desk.counts.events.fetch_add(1, Ordering::Relaxed);
                    let room = self.room(bytes, event.len()).await?;
                    let text = self.text(&event)?;
                    drop(event);
                    self.put(text, room).await?;
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

    // SPEC 8.11: a subscriber that does not read keeps no event in memory.
    /// Tells events as they happen; gives the position at which the reader was too slow.
    async fn follow(&mut self, mut position: u64) -> Result<u64, End> {
        loop {
            let (seq, length) = match self.stream.follower.after(position) {
                Recent::Behind => return Ok(position),
                Recent::Nothing => {
                    self.wait(position).await?;
                    continue;
                }
                Recent::Event(told) => {
                    let seen = self.stream.grant.sees(told.account);
                    let wanted = seen && wanted(self.stream.types.as_deref(), told.name);
                    (told.seq, wanted.then_some(told.json.len()))
                }
            };
            if let Some(length) = length {
                // It is let go until there is room for it, and may be gone by then.
                let none = self.stream.desk.bytes.none(self.stream.caller.uid);
                let room = self.room(none, length).await?;
                let Recent::Event(told) = self.stream.follower.after(position) else {
                    return Ok(position);
                };
                // The session may have been narrowed meanwhile.
                if self.stream.grant.sees(told.account) {
                    self.stream.desk.counts.events.fetch_add(1, Ordering::Relaxed);
                    let text = self.text(&told.json)?;
                    drop(told);
                    self.put(text, room).await?;
                }
            }
            position = seq;
        }
    }

    async fn wait(&mut self, position: u64) -> Result<(), End> {
        let silence = self.stream.desk.bounds.heartbeat;
        if timeout(silence, self.stream.follower.changed()).await.is_ok() {
            return Ok(());
        }
        self.note(&Note::Heartbeat(self.position(position))).await
    }

    async fn note(&self, note: &Note) -> Result<(), End> {
        let note = note_text(note);
        let none = self.stream.desk.bytes.none(self.stream.caller.uid);
        let room = self.room(none, note.len()).await?;
        self.put(self.text(&note)?, room).await
    }

    /// The end is told to all who read, whatever they may.
    async fn last(&self, note: &Note) -> Result<(), End> {
        let note = note_text(note);
        let turn = self.turn(note.len()).await?;
        // A subscription has one end, and their number is limited.
        let bytes = self.stream.desk.bytes.none(self.stream.caller.uid);
        self.put(self.notification(&note), Room { turn, bytes }).await
    }

    // SPEC 8.42: who may no longer subscribe is told nothing more.
    fn text(&self, result: &str) -> Result<Box<str>, End> {
        self.permitted()?;
        Ok(self.notification(result))
    }

    fn permitted(&self) -> Result<(), End> {
        self.stream.grant.permit(SUBSCRIBE, Role::Read).map_err(End::Failed)
    }

    // SPEC 8.11: one shape for all that is told.
    fn notification(&self, result: &str) -> Box<str> {
        let id = &self.stream.entry.id;
        let params = format!(r#"{{"subscription":"{id}","result":{result}}}"#);
        format!(r#"{{"jsonrpc":"2.0","method":"event","params":{params}}}"#).into()
    }

    async fn put(&self, text: Box<str>, Room { turn, bytes }: Room) -> Result<(), End> {
        let kept = Some(Kept::event(bytes, turn));
        let outgoing = Outgoing { word: Word::Text(text), kept };
        self.answers.send(outgoing).await.map_err(|_| End::Left)
    }

    async fn turn(&self, length: usize) -> Result<OwnedSemaphorePermit, End> {
        let bytes = (length + NOTIFICATION_BYTES).min(EVENT_REPLAY_BYTES_MAX);
        let turn = u32::try_from(bytes).unwrap_or(u32::MAX);
        let queue = Arc::clone(&self.stream.entry.streams.queue);
        queue.acquire_many_owned(turn).await.map_err(|_| End::Left)
    }

    /// Takes what an event of some length takes, once there is room.
    async fn room(&self, mut bytes: Place, length: usize) -> Result<Room, End> {
        let turn = self.turn(length).await?;
        self.grow(&mut bytes, length + NOTIFICATION_BYTES).await?;
        Ok(Room { turn, bytes })
    }

    // SPEC 8.7: events wait on the disk, and no longer than an answer may.
    /// Takes so many bytes, once there is room; ends the subscription if there is none for long.
    async fn grow(&self, place: &mut Place, bytes: usize) -> Result<(), End> {
        let bounds = self.stream.desk.bounds;
        let growing = async {
            while place.resize(bytes).is_err() {
                sleep(bounds.replay_retry).await;
            }
        };
        let grown = timeout(bounds.answer, growing).await;
        grown.map_err(|_| {
            End::Failed(ErrorKind::Busy.because(
                "for a long time there was no room for the next event: what waits for your front \
                 ends takes all of your bytes",
            ))
        })
    }

    fn position(&self, next: u64) -> Position {
        Position { next, head: self.stream.follower.head().max(next) }
    }

    /// Reads the log after a position, again and again if it cannot be read for the moment.
    async fn read(&mut self, since: u64) -> Result<(), End> {
        let limit = self.stream.page.limit;
        let mut bytes = EVENT_REPLAY_BYTES_MAX;
        loop {
            let Stream { desk, types, caller, grant, .. } = &self.stream;
            // The room comes first: what is read has to go somewhere.
            let mut place = desk.bytes.none(caller.uid);
            self.grow(&mut place, bytes).await?;
            self.permitted()?;
            let (since, types, limit) = (Some(since), types.clone(), Some(limit));
            let ask = List { since, types, limit, ..List::default() };
            let turn = desk.replays.take(caller.uid).await;
            let page = desk.service.call(*caller, grant.scope(), Call::EventList(ask)).await;
            let page = page.and_then(|page| Page::read(page, self.stream.page.limit));
            drop(turn);
            match page {
                Ok(page) => {
                    bytes = page.bytes();
                    if place.resize(bytes).is_ok() {
                        (self.stream.bytes, self.stream.page) = (place, page);
                        return Ok(());
                    }
                }
                Err(error) if [ErrorKind::Busy, ErrorKind::DiskFull].contains(&error.kind) => {
                    sleep(desk.bounds.replay_retry).await;
                }
                Err(error) => return Err(End::Failed(error)),
            }
        }
    }
}

fn note_text(note: &Note) -> String {
    serde_json::to_string(note).expect("notes have a JSON form")
}
