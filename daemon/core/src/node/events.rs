//! The durable log of events, and who waits for the next one.

use std::sync::Arc;

use bytchat_proto::id::UserId;
use bytchat_proto::limits::{
    EVENT_TYPES_MAX, EVENTS_PER_ANSWER_BYTES_MAX, EVENTS_READ_BYTES_MAX, PAGE_DEFAULT, PAGE_MAX,
    RPC_WAIT_MS_MAX,
};
use bytchat_proto::rpc::event::{Event, Events, Gap, GapReason, List, What, matches, wanted};
use bytchat_proto::rpc::{ErrorKind, RpcError, to_result};

use super::Node;
use super::history::Loading;
use super::waits::Waiting;
use crate::event::{Span, number_of};
use crate::io::{CallId, Caller, Output, Scope};
use crate::persist::Row;
use crate::time::{Mono, Now};

/// A question for events.
#[derive(Clone, Debug)]
pub(super) struct EventAsk {
    pub(super) call: CallId,
    uid: u32,
    since: u64,
    limit: usize,
    types: Option<Vec<String>>,
    scope: Option<Arc<Scope>>,
    gap: Option<Gap>,
    found: Vec<Event>,
    bytes: usize,
    /// Bytes of all that was read for it.
    read: usize,
}

impl EventAsk {
    fn is_full(&self) -> bool {
        self.found.len() >= self.limit
            || self.bytes >= EVENTS_PER_ANSWER_BYTES_MAX
            || self.read >= EVENTS_READ_BYTES_MAX
    }

    /// Takes from rows what is wanted, as much as there is room for.
    fn take(&mut self, rows: &[Row]) {
        for (key, value) in rows {
            if self.is_full() {
                return;
            }
            self.read += key.len() + value.len();
            self.since = number_of(key).unwrap_or(self.since).max(self.since);
            let Ok(event) = serde_json::from_slice::<Event>(value) else {
                tracing::error!("an event on the disk is unreadable");
                continue;
            };
            let seen = self.scope.as_ref().is_none_or(|scope| scope.has(event.account));
            if seen && wanted(self.types.as_deref(), event.what.name()) {
                self.bytes += value.len();
                self.found.push(event);
            }
        }
    }
}

impl Node {
    // SPEC 8.8: an event is on disk before anybody sees it.
    /// Writes an event down and tells who follows or waits.
    pub(super) fn event(&mut self, account: UserId, what: What, now: Now) {
        let Some(uid) = self.accounts.get(account).map(|account| account.owner.uid) else {
            return;
        };
        let seq = self.events.span(uid).last + 1;
        let name = what.name();
        let event = Event { seq, at: now.wall, account, what };
        let json: Arc<str> = serde_json::to_string(&event).expect("events have a JSON form").into();
        self.events.append(uid, json.as_bytes(), now.wall, &mut self.out);
        self.out.push(Output::Event { uid, seq, account, name, json });
        let waiting = self.waits.for_event(uid, account, name);
        if !waiting.is_empty() {
            // A page for each would be in memory for all of them: they read one after the other.
            let result = to_result(&self.page(uid, Vec::new(), event.seq - 1, None));
            for (call, ..) in waiting {
                self.reply(call, Ok(result.clone()));
            }
        }
    }

    /// `event.list`: the events after a position. With `wait_ms` it gives none, but answers as soon
    /// as there may be some after it.
    pub(super) fn event_list(
        &mut self,
        call: CallId,
        (caller, scope): (Caller, Option<&Arc<Scope>>),
        with: List,
        now: Now,
    ) -> Result<(), RpcError> {
        check_types(with.types.as_deref())?;
        let (cursor, epoch) = (with.cursor.as_deref(), with.epoch.as_deref());
        let (since, gap) = self.events.start(caller.uid, cursor, with.since, epoch)?;
        if let Some(wait) = with.wait_ms.filter(|wait| *wait > 0) {
            let until = now.mono.plus_ms(wait.min(RPC_WAIT_MS_MAX));
            let (uid, types, scope) = (caller.uid, with.types, scope.cloned());
            let waiting = Waiting::Event { uid, types, scope };
            return self.wait_for_event(call, until, waiting, (uid, since, gap));
        }
        self.load_events(EventAsk {
            call,
            uid: caller.uid,
            since,
            limit: with.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX),
            types: with.types,
            scope: scope.cloned(),
            gap,
            found: Vec::new(),
            bytes: 0,
            read: 0,
        });
        Ok(())
    }

    /// Waits until there is something to read after a position, and reads nothing: however many
    /// wait, they hold no events.
    fn wait_for_event(
        &mut self,
        call: CallId,
        until: Mono,
        waiting: Waiting,
        (uid, since, gap): (u32, u64, Option<Gap>),
    ) -> Result<(), RpcError> {
        if gap.is_some() || since < self.events.span(uid).last {
            let page = self.page(uid, Vec::new(), since, gap);
            self.reply(call, Ok(to_result(&page)));
            return Ok(());
        }
        match self.waits.park(call, until, waiting) {
            true => Ok(()),
            false => Err(ErrorKind::Busy.because("too many calls wait")),
        }
    }

    /// Reads on, or ends if there is nothing more to read.
    fn load_events(&mut self, mut ask: EventAsk) {
        let Span { first, last } = self.events.span(ask.uid);
        if ask.since < first && ask.found.is_empty() {
            // Events have left the log since the last look.
            let gap = Gap { from: ask.since, to: first, reason: GapReason::Retention };
            ask.gap = ask.gap.or(Some(gap));
            ask.since = first;
        }
        if ask.since >= last || ask.since < first || ask.is_full() {
            return self.end_events(ask);
        }
        let query = self.events.query(ask.uid, ask.since);
        self.load(query, Loading::Events { ask: Box::new(ask) });
    }

    /// Rows of the log are here.
    pub(super) fn handle_events(&mut self, mut ask: EventAsk, rows: &[Row]) {
        let before = ask.since;
        ask.take(rows);
        if rows.is_empty() && self.events.span(ask.uid).first <= before {
            tracing::error!("events are missing on the disk");
            ask.since = self.events.span(ask.uid).last;
        }
        self.load_events(ask);
    }

    fn end_events(&mut self, ask: EventAsk) {
        let page = self.page(ask.uid, ask.found, ask.since, ask.gap);
        self.reply(ask.call, Ok(to_result(&page)));
    }

    /// Nothing that was wanted came in time.
    pub(super) fn no_events(&mut self, call: CallId, uid: u32) {
        let next = self.events.span(uid).last;
        self.reply(call, Ok(to_result(&self.page(uid, Vec::new(), next, None))));
    }

    fn page(&self, uid: u32, events: Vec<Event>, next: u64, gap: Option<Gap>) -> Events {
        let Span { first, last } = self.events.span(uid);
        Events { events, next, first, head: last, epoch: self.events.epoch().to_owned(), gap }
    }
}

// SPEC 8.4: what is wrong is named.
fn check_types(types: Option<&[String]>) -> Result<(), RpcError> {
    let Some(types) = types else {
        return Ok(());
    };
    if types.is_empty() || types.len() > EVENT_TYPES_MAX {
        let error = format!("`types` names 1 to {EVENT_TYPES_MAX} types, got {}", types.len());
        return Err(ErrorKind::BadParameters.because(error));
    }
    let unknown = types.iter().find(|t| !What::NAMES.iter().any(|name| matches(t, name)));
    unknown.map_or(Ok(()), |unknown| {
        let (shown, known) = (unknown.chars().take(80).collect::<String>(), What::NAMES.join(", "));
        Err(ErrorKind::BadParameters
            .because(format!("`types`: there is no type {shown:?}, but {known}")))
    })
}

/// Subscriptions belong to connections, of which a node knows nothing.
pub(super) fn no_stream() -> RpcError {
    ErrorKind::NoStream.because(
        "an HTTP request carries no subscription: use WebSocket or JSON lines on the same socket, \
         or poll `event.list` with `wait_ms`",
    )
}

/// What a connection may is decided where it comes in.
pub(super) fn no_session() -> RpcError {
    ErrorKind::NotFound.because("a node knows callers, and nothing of their connections")
}

#[cfg(test)]
mod tests;
