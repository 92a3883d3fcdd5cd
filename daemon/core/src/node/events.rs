//! The durable log of events, and who waits for the next one.

use bytchat_proto::codec::{decode, encode};
use bytchat_proto::id::UserId;
use bytchat_proto::limits::{EVENTS_MAX, PAGE_DEFAULT, PAGE_MAX, RPC_WAIT_MS_MAX};
use bytchat_proto::rpc::event::{Event, Events, List, What};
use bytchat_proto::rpc::{ErrorKind, to_result};
use serde::{Deserialize, Serialize};

use super::Node;
use super::history::Loading;
use super::waits::Waiting;
use crate::io::{CallId, Caller};
use crate::persist::{Query, Row, Table};
use crate::time::{Mono, Now};

/// Where the log begins and ends.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct EventLog {
    /// The number of the last event; 0 if there is none.
    last: u64,
    /// Events up to this one are gone.
    first: u64,
}

/// A question for events.
#[derive(Clone, Debug)]
pub(super) struct EventAsk {
    pub(super) call: CallId,
    caller: Caller,
    since: u64,
    limit: usize,
    until: Option<Mono>,
}

const ROW: &[u8] = b"events";

impl EventLog {
    pub(super) fn restore(&mut self, value: &[u8]) {
        match decode(value) {
            Ok(log) => *self = log,
            Err(error) => tracing::error!(%error, "the event log's row is unreadable"),
        }
    }
}

impl Node {
    /// Writes an event down and wakes who waits for it.
    pub(super) fn event(&mut self, account: UserId, what: What, now: Now) {
        self.events.last += 1;
        let seq = self.events.last;
        let event = Event { seq, at: now.wall, account, what };
        self.out.put(Table::Event, seq.to_be_bytes(), encode_event(&event));
        while self.events.last - self.events.first > EVENTS_MAX {
            self.events.first += 1;
            self.out.remove(Table::Event, self.events.first.to_be_bytes());
        }
        self.out.put(Table::Node, ROW, encode(&self.events));
        let owner = self.accounts.get(account).map(|account| account.owner);
        for (call, until, waiting) in self.waits.for_event() {
            let Waiting::Event { caller, since, limit } = waiting else {
                continue;
            };
            if owner == Some(caller) {
                let ask = EventAsk { call, caller, since, limit, until: None };
                self.load_events(ask);
            } else {
                let waiting = Waiting::Event { caller, since, limit };
                self.waits.park(call, until, waiting);
            }
        }
    }

    /// `event.list`: the events after a number, waiting for the next one if asked to.
    pub(super) fn event_list(&mut self, call: CallId, caller: Caller, with: &List, now: Now) {
        let since = with.since.unwrap_or(self.events.last);
        let limit = with.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
        let wait = with.wait_ms.filter(|wait| *wait > 0);
        let until = wait.map(|wait| now.mono.plus_ms(wait.min(RPC_WAIT_MS_MAX)));
        self.load_events(EventAsk { call, caller, since, limit, until });
    }

    fn load_events(&mut self, ask: EventAsk) {
        let from = ask.since.saturating_add(1).to_be_bytes().to_vec();
        let query = Query { from, ..Query::prefix(Table::Event, &[], PAGE_MAX) };
        self.load(query, Loading::Events { ask });
    }

    /// Rows of the log are here: give the caller's own, read on, or wait.
    pub(super) fn handle_events(&mut self, mut ask: EventAsk, rows: &[Row]) {
        let read: Vec<Event> = rows.iter().filter_map(|(_, value)| decode_event(value)).collect();
        let mine = |event: &&Event| {
            self.accounts.get(event.account).is_some_and(|account| account.owner == ask.caller)
        };
        let events: Vec<Event> = read.iter().filter(mine).take(ask.limit).cloned().collect();
        let next = match events.last() {
            Some(last) if events.len() == ask.limit => last.seq,
            Some(_) | None => read.last().map_or(ask.since, |event| event.seq),
        };
        if events.is_empty() && rows.len() == PAGE_MAX {
            ask.since = next;
            return self.load_events(ask);
        }
        if let Some(until) = ask.until.filter(|_| events.is_empty()) {
            let since = next;
            let waiting = Waiting::Event { caller: ask.caller, since, limit: ask.limit };
            if !self.waits.park(ask.call, until, waiting) {
                let error = ErrorKind::Busy.because("too many calls wait");
                self.reply(ask.call, Err(error));
            }
            return;
        }
        let events = Events { events, next, first: self.events.first };
        self.reply(ask.call, Ok(to_result(&events)));
    }

    /// Nothing came in time.
    pub(super) fn no_events(&mut self, call: CallId, since: u64) {
        let events = Events { events: Vec::new(), next: since, first: self.events.first };
        self.reply(call, Ok(to_result(&events)));
    }
}

/// Events lie on disk as JSON, which is what front ends get.
fn encode_event(event: &Event) -> Vec<u8> {
    serde_json::to_vec(event).expect("events have a JSON form")
}

fn decode_event(value: &[u8]) -> Option<Event> {
    serde_json::from_slice(value).ok()
}
