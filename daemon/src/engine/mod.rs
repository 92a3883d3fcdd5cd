//! The one loop: inputs to the node, its writes to the disk, then its other outputs to the world.
//!
//! A drain is what the node says to a handful of inputs. All writes of a drain are committed
//! together, and nothing else of it happens before: durable before visible.
//!
//! When the disk is full the drain is held back and tried again every second. Meanwhile the node
//! is kept quiet, so that what is held stays small: frames are dropped (peers send them again),
//! new links are refused, deadlines wait, and calls that change something are answered with an
//! error. Calls that only read go on. When there is room everything goes on where it stopped.

mod batch;
mod board;
mod calls;
mod effects;
mod outside;
mod status;
#[cfg(test)]
mod tests;
mod wires;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::{Future, ready};
use std::pin::pin;
use std::time::Duration;

use bytchat_core::io::{CallId, DialId, Input, LinkId, LoadId};
use bytchat_proto::limits::{
    COMMIT_BYTES_TARGET, DISK_FULL_RETRY_MS, INPUTS_PER_COMMIT_MAX, JOBS_AT_ONCE, LOADS_AT_ONCE,
    LOADS_WAITING_MAX, RESOLVES_AT_ONCE, STORE_SIZE_EVERY_MS,
};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use crate::clock::Clock;
use crate::jobs::Lane;
use crate::resolve::Resolver;
use crate::store::StoreError;
use crate::systemd::Notifier;

use batch::Batch;
use calls::Asked;
pub use calls::{CallResult, Calls, Incoming, channel};
pub use outside::{Decide, Disk, Links};
use status::Status;
pub use status::{Change, Settings};
pub use wires::Wires;

/// Why the engine stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The disk failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The network ended.
    #[error("the network has ended by itself: look into the log above")]
    NetGone,
    /// The daemon was stopped while the disk was full.
    #[error("the disk is full and {writes} changes in memory are lost: make room before the start")]
    StoppedFull {
        /// How many changes.
        writes: usize,
    },
}

/// What the engine works with.
pub struct Surface<D, L> {
    /// The disk.
    pub disk: D,
    /// The network.
    pub links: L,
    /// Calls of front ends.
    pub calls: Incoming,
    /// Host names.
    pub resolver: Resolver,
    /// Time.
    pub clock: Clock,
    /// The line to systemd.
    pub notifier: Notifier,
    /// What is new in the configuration.
    pub changes: mpsc::Receiver<Change>,
}

/// The owner of the node.
pub struct Engine<N, D, L> {
    node: N,
    surface: Surface<D, L>,
    loads: Lane<Result<Input, StoreError>>,
    jobs: Lane<Input>,
    resolves: Lane<Input>,
    /// Inputs that are here already.
    ready: VecDeque<Input>,
    waiting: BTreeMap<CallId, Waiting>,
    /// Questions to the disk that only serve calls that read.
    reading: BTreeSet<LoadId>,
    /// Links that were refused while the disk was full.
    refused: BTreeSet<LinkId>,
    batch: Batch,
    held: VecDeque<Batch>,
    ticks: Ticks,
    status: Status,
}

struct Waiting {
    reply: oneshot::Sender<CallResult>,
    reads_only: bool,
}

/// When what is due, besides the node's own deadline.
struct Ticks {
    size: Instant,
    alive: Option<(Duration, Instant)>,
    retry: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Tick {
    Alive,
    Size,
    Retry,
    Status,
    Wake,
}

enum Event {
    Input(Input),
    Read(Result<Input, StoreError>),
    Asked(Asked),
    Gone(CallId),
    Tick(Tick),
    Changed(Change),
    NetGone,
}

impl<N: Decide, D: Disk, L: Links> Engine<N, D, L> {
    /// An engine that is ready to run.
    pub fn new(node: N, surface: Surface<D, L>) -> Self {
        let now = surface.clock.instant(surface.clock.now().mono);
        let alive = surface.notifier.alive_every().map(|every| (every, now));
        Self {
            node,
            surface,
            loads: Lane::new(LOADS_AT_ONCE),
            jobs: Lane::new(JOBS_AT_ONCE),
            resolves: Lane::new(RESOLVES_AT_ONCE),
            ready: VecDeque::new(),
            waiting: BTreeMap::new(),
            reading: BTreeSet::new(),
            refused: BTreeSet::new(),
            batch: Batch::default(),
            held: VecDeque::new(),
            ticks: Ticks { size: now, alive, retry: now },
            status: Status::new(now),
        }
    }

    /// Runs until it is told to stop or cannot go on. Everybody who waits is answered.
    ///
    /// # Errors
    /// When the disk or the network does not go on, or when the disk is full at the end.
    pub async fn run(&mut self, stop: impl Future<Output = ()>) -> Result<(), EngineError> {
        let result = self.turn_until(stop).await;
        if let Err(error) = &result {
            tracing::error!(%error, "the engine stops");
        }
        self.dismiss(result.as_ref().err());
        result
    }

    /// Gives the network back, to be shut down.
    pub fn into_links(self) -> L {
        self.surface.links
    }

    async fn turn_until(&mut self, stop: impl Future<Output = ()>) -> Result<(), EngineError> {
        let mut stop = pin!(stop);
        loop {
            let event = tokio::select! {
                biased;
                () = &mut stop => break,
                event = self.next() => event,
            };
            self.take(event).await?;
            self.take_ready().await?;
            self.settle().await?;
        }
        tracing::info!("the daemon stops");
        self.surface.calls.queue.close();
        self.take_ready().await?;
        self.settle().await?;
        self.retry().await?;
        let writes = self.held.iter().map(|batch| batch.writes.len()).sum();
        match self.held.is_empty() {
            true => Ok(()),
            false => Err(EngineError::StoppedFull { writes }),
        }
    }

    async fn take_ready(&mut self) -> Result<(), EngineError> {
        for _ in 1..INPUTS_PER_COMMIT_MAX {
            if self.batch.bytes() >= COMMIT_BYTES_TARGET {
                return Ok(());
            }
            let event = tokio::select! {
                biased;
                event = self.next() => event,
                () = ready(()) => return Ok(()),
            };
            self.take(event).await?;
        }
        Ok(())
    }

    async fn next(&mut self) -> Event {
        if let Some(input) = self.ready.pop_front() {
            return Event::Input(input);
        }
        // A disk that does not keep up slows peers and callers down.
        let open = self.loads.waiting() < LOADS_WAITING_MAX;
        let (due, tick) = self.next_tick();
        tokio::select! {
            input = self.surface.links.next(), if open => match input {
                Some(input) => Event::Input(input),
                None => Event::NetGone,
            },
            Some(asked) = self.surface.calls.queue.recv(), if open => Event::Asked(asked),
            Some(call) = self.surface.calls.gone.recv() => Event::Gone(call),
            Some(change) = self.surface.changes.recv() => Event::Changed(change),
            result = self.loads.next() => Event::Read(result),
            input = self.jobs.next() => Event::Input(input),
            input = self.resolves.next() => Event::Input(input),
            () = sleep_until(due) => Event::Tick(tick),
        }
    }

    fn next_tick(&self) -> (Instant, Tick) {
        let full = self.is_full();
        let wake = self.node.poll_timeout().filter(|_| !full);
        let wake = wake.map(|deadline| (self.surface.clock.instant(deadline.at), Tick::Wake));
        let alive = self.ticks.alive.map(|(_, at)| (at, Tick::Alive));
        let retry = full.then_some((self.ticks.retry, Tick::Retry));
        let size = (self.ticks.size, Tick::Size);
        let status = self.surface.notifier.is_heard().then(|| self.status.due());
        [wake, alive, retry, status].into_iter().flatten().fold(size, Ord::min)
    }

    async fn take(&mut self, event: Event) -> Result<(), EngineError> {
        match event {
            Event::Input(input) => self.admit(input),
            Event::Read(input) => self.decide(input?),
            Event::Asked(asked) => self.take_call(asked),
            Event::Gone(call) => {
                if self.waiting.remove(&call).is_some() {
                    self.decide(Input::CallGone { call });
                }
            }
            Event::Tick(tick) => self.tick(tick).await?,
            Event::Changed(change) => self.change(change),
            Event::NetGone => return Err(EngineError::NetGone),
        }
        Ok(())
    }

    async fn tick(&mut self, tick: Tick) -> Result<(), EngineError> {
        let now = self.surface.clock.instant(self.surface.clock.now().mono);
        match tick {
            Tick::Wake => self.decide(Input::Wake),
            Tick::Status => self.tell_status(),
            Tick::Size => {
                self.ticks.size = now + Duration::from_millis(STORE_SIZE_EVERY_MS);
                self.measure();
            }
            Tick::Alive => {
                self.surface.notifier.alive();
                self.ticks.alive = self.ticks.alive.map(|(every, _)| (every, now + every));
            }
            Tick::Retry => {
                self.ticks.retry = now + Duration::from_millis(DISK_FULL_RETRY_MS);
                self.retry().await?;
            }
        }
        Ok(())
    }

    fn take_call(&mut self, asked: Asked) {
        let reads_only = calls::reads_only(&asked.request);
        if asked.reply.is_closed() {
            return;
        }
        if self.is_full() && !reads_only {
            answer(asked.reply, Err(calls::disk_full()));
            return;
        }
        let Asked { call, caller, scope, request, reply } = asked;
        self.waiting.insert(call, Waiting { reply, reads_only });
        self.decide(Input::Call { call, caller, scope, request });
    }

    /// Keeps from the node what it must not hear while the disk is full.
    fn admit(&mut self, input: Input) {
        let refuse = match &input {
            Input::Frame { link, .. } => self.is_full() || self.refused.contains(link),
            Input::LinkDown { link, .. } => self.refused.remove(link),
            Input::LinkUp { link, dial, .. } if self.is_full() => {
                self.refuse_link(*link, *dial);
                true
            }
            Input::LinkUp { .. }
            | Input::DialFailed { .. }
            | Input::Call { .. }
            | Input::CallGone { .. }
            | Input::Loaded { .. }
            | Input::LoadFailed { .. }
            | Input::Done { .. }
            | Input::Resolved { .. }
            | Input::StoreSize { .. }
            | Input::Settings { .. }
            | Input::Wake => false,
        };
        if !refuse {
            self.decide(input);
        }
    }

    fn refuse_link(&mut self, link: LinkId, dial: Option<DialId>) {
        self.refused.insert(link);
        self.surface.links.close(link, "disk full");
        if let Some(dial) = dial {
            let reason = "our disk is full".to_owned();
            self.decide(Input::DialFailed { dial, reason });
        }
    }

    fn decide(&mut self, input: Input) {
        let reading = match &input {
            Input::Call { request, .. } => calls::reads_only(request),
            Input::Loaded { load, .. } | Input::LoadFailed { load, .. } => {
                self.reading.remove(load)
            }
            Input::LinkUp { .. }
            | Input::LinkDown { .. }
            | Input::DialFailed { .. }
            | Input::Frame { .. }
            | Input::CallGone { .. }
            | Input::Done { .. }
            | Input::Resolved { .. }
            | Input::StoreSize { .. }
            | Input::Settings { .. }
            | Input::Wake => false,
        };
        if !calls::changes_nothing(&input) {
            self.surface.calls.board.change();
        }
        self.node.handle_input(input, self.surface.clock.now());
        while let Some(output) = self.node.poll_output() {
            if reading {
                self.note_reading(&output);
            }
            self.batch.add(output);
        }
    }

    fn is_full(&self) -> bool {
        !self.held.is_empty()
    }
}

// A caller that does not wait any more is no error.
fn answer(reply: oneshot::Sender<CallResult>, result: CallResult) {
    if reply.send(result).is_err() {
        tracing::trace!("a caller left before its answer");
    }
}
