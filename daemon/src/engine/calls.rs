//! Calls of front ends on their way to the node, and their answers on the way back.

use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytchat_core::io::{CallId, Caller, Input, Scope};
use bytchat_proto::limits::{CALLS_MAX, CALLS_QUEUED_MAX};
use bytchat_proto::rpc::{Call, ErrorKind, RpcError, node, to_result};
use bytchat_proto::timestamp::Timestamp;
use serde_json::Value;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{self, OwnedPermit};
use tokio::sync::{oneshot, watch};

use super::board::Board;
use crate::clock::Clock;
use crate::rpc::{Answer, Follower, Hub, Service};

/// What a call comes to.
pub type CallResult = Result<Value, RpcError>;

/// The way in for calls.
#[derive(Debug)]
pub struct Calls {
    queue: mpsc::Sender<Asked>,
    gone: mpsc::Sender<CallId>,
    next: AtomicU64,
    hub: Arc<Hub>,
    board: Arc<Board>,
    clock: Clock,
    config: watch::Receiver<node::Config>,
}

/// The engine's end of the way.
#[derive(Debug)]
pub struct Incoming {
    pub(super) queue: mpsc::Receiver<Asked>,
    pub(super) gone: mpsc::Receiver<CallId>,
    /// Where events are told.
    pub(super) hub: Arc<Hub>,
    /// Where it is shown how the node stands.
    pub(super) board: Arc<Board>,
}

/// A call that waits for the engine.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) call: CallId,
    pub(super) caller: Caller,
    pub(super) scope: Option<Arc<Scope>>,
    pub(super) request: Call,
    pub(super) reply: oneshot::Sender<CallResult>,
}

/// Makes the way for calls: the front ends' end, which also shows them the configuration, and
/// the engine's.
pub fn channel(config: watch::Receiver<node::Config>, clock: Clock) -> (Calls, Incoming) {
    let (asked, queue) = mpsc::channel(CALLS_QUEUED_MAX);
    let (left, gone) = mpsc::channel(CALLS_MAX);
    let (hub, board) = (Arc::<Hub>::default(), Arc::<Board>::default());
    let incoming = Incoming { queue, gone, hub: Arc::clone(&hub), board: Arc::clone(&board) };
    let next = AtomicU64::new(1);
    (Calls { queue: asked, gone: left, next, hub, board, clock, config }, incoming)
}

impl Calls {
    /// Begins a call; dropping the future tells the node that nobody waits any more.
    pub fn ask(
        &self,
        caller: Caller,
        request: Call,
    ) -> impl Future<Output = CallResult> + Send + use<> {
        self.ask_in(caller, None, request)
    }

    /// The same for a session that may be narrowed.
    fn ask_in(
        &self,
        caller: Caller,
        scope: Option<Arc<Scope>>,
        request: Call,
    ) -> impl Future<Output = CallResult> + Send + use<> {
        let call = CallId(self.next.fetch_add(1, Ordering::Relaxed));
        let queue = self.queue.clone();
        // Taken now, so that the word can be left without waiting when the caller goes.
        let permit = self.gone.clone().try_reserve_owned();
        async move {
            let permit = permit.map_err(|error| match error {
                TrySendError::Full(_) => ErrorKind::Busy
                    .because(format!("{CALLS_MAX} calls wait already, this one was not taken")),
                TrySendError::Closed(_) => not_taken(),
            })?;
            let mut word = LastWord { call, permit: Some(permit) };
            // After `word`, so that it is dropped before: who hears the word sees it closed.
            let (reply, answer) = oneshot::channel();
            let asked = Asked { call, caller, scope, request, reply };
            queue.send(asked).await.map_err(|_| not_taken())?;
            let result = answer.await.unwrap_or_else(|_| Err(unanswered()));
            word.permit = None;
            result
        }
    }
}

impl Calls {
    /// How the node stands: as it was shown last, or as the engine says.
    fn status(&self, caller: Caller, call: Call) -> Answer {
        if let Some(status) = self.board.status(self.clock.now().mono) {
            return Box::pin(ready(Ok(status)));
        }
        let (board, clock, changes) = (Arc::clone(&self.board), self.clock, self.board.changes());
        let asked = self.ask(caller, call);
        Box::pin(async move {
            let status = asked.await?;
            board.show(&status, clock.now().mono, changes);
            Ok(status)
        })
    }
}

impl Service for Calls {
    fn call(&self, caller: Caller, scope: Option<Arc<Scope>>, call: Call) -> Answer {
        if matches!(call, Call::NodeConfig(_)) {
            return Box::pin(ready(Ok(to_result(&*self.config.borrow()))));
        }
        if matches!(call, Call::NodeStatus(_)) {
            return self.status(caller, call);
        }
        Box::pin(self.ask_in(caller, scope, call))
    }

    fn time(&self) -> Timestamp {
        self.clock.now().wall
    }

    fn follow(&self, caller: Caller) -> Follower {
        self.hub.follow(caller)
    }
}

/// Tells the engine, when it is dropped, that the caller is gone.
struct LastWord {
    call: CallId,
    permit: Option<OwnedPermit<CallId>>,
}

impl Drop for LastWord {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            permit.send(self.call);
        }
    }
}

/// The answer of a daemon that stops to a call that it has not begun.
pub(super) fn not_taken() -> RpcError {
    ErrorKind::ShuttingDown.because("the daemon is about to stop: this call was not taken")
}

// SPEC 8.32: what is not known is not denied.
/// The answer of a daemon that stops to a call that it has begun.
pub(super) fn unanswered() -> RpcError {
    ErrorKind::ShuttingDown.because(
        "the daemon stops before this call is answered, which may have been carried out: what \
         changes something is to be repeated with the same `client_id`, if it has one, or looked \
         at first",
    )
}

/// The answer to a call that was not taken because the disk is full.
pub(super) fn disk_full() -> RpcError {
    ErrorKind::DiskFull.because("the disk is full: nothing was taken")
}

/// The answer to a call that was taken and that the disk has no room for.
pub(super) fn disk_full_later() -> RpcError {
    ErrorKind::DiskFull.because(
        "the disk is full: what was asked waits in memory and is done when there is room, \
         unless the daemon stops before",
    )
}

/// The answer of a daemon whose disk failed.
pub(super) fn store_failed(reason: &str) -> RpcError {
    ErrorKind::StoreFailed.because(format!("the store failed, the daemon stops: {reason}"))
}

/// Tells whether the node stands after an input as it stood before.
pub(super) fn changes_nothing(input: &Input) -> bool {
    match input {
        Input::Call { request, .. } => reads_only(request),
        Input::LinkUp { .. }
        | Input::LinkDown { .. }
        | Input::DialFailed { .. }
        | Input::Frame { .. }
        | Input::CallGone { .. }
        | Input::Loaded { .. }
        | Input::LoadFailed { .. }
        | Input::Done { .. }
        | Input::Resolved { .. }
        | Input::StoreSize { .. }
        | Input::Settings { .. }
        | Input::Wake => false,
    }
}

/// Tells whether a call only reads what is kept here, so that a full disk is no hindrance.
///
/// Neither is any of those about events: a position behind an event that is not on disk yet would,
/// after a crash, point to another one.
pub(super) fn reads_only(request: &Call) -> bool {
    match request {
        Call::NodeStatus(_)
        | Call::NodePeers(_)
        | Call::NodeStats(_)
        | Call::NodeConfig(_)
        | Call::SessionSet(_)
        | Call::SessionShow(_)
        | Call::SessionRestrict(_)
        | Call::TokenList(_)
        | Call::AccountExport(_)
        | Call::AccountList(_)
        | Call::AliasList(_)
        | Call::MessageShow(_)
        | Call::MessageTrace(_)
        | Call::MessageWaiting(_)
        | Call::MessageInbox(_)
        | Call::MessageHistory(_)
        | Call::ContactList(_) => true,
        Call::AccountCreate(_)
        | Call::DhtLookup(_)
        | Call::TokenCreate(_)
        | Call::TokenDelete(_)
        | Call::AccountImport(_)
        | Call::ProfileSet(_)
        | Call::ProfileShow(_)
        | Call::AliasRegister(_)
        | Call::AliasResolve(_)
        | Call::MessageSend(_)
        | Call::MessageWait(_)
        | Call::MessageRead(_)
        | Call::ContactAdd(_)
        | Call::ContactAccept(_)
        | Call::ContactBlock(_)
        | Call::EventList(_)
        | Call::EventSubscribe(_)
        | Call::EventUnsubscribe(_)
        | Call::CursorSet(_)
        | Call::CursorGet(_)
        | Call::CursorList(_)
        | Call::CursorDelete(_) => false,
    }
}
