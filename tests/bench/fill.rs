//! A store that holds years of mail, written in the form that a node writes it.

use std::path::Path;

use bytchat_core::event::{Keep, Logs};
use bytchat_core::io::{Output, Outputs};
use bytchat_core::persist::{Table, Write};
use bytchat_proto::codec::encode;
use bytchat_proto::id::{BlockId, NodeId, UserId, labelled_sha256};
use bytchat_proto::limits::{DAY_MS, EVENTS_MAX, SEEN_TTL_MS};
use bytchat_proto::rpc::event::{Event, What};
use bytchat_proto::rpc::message::{Direction, Message, State, Step};
use bytchat_proto::timestamp::Timestamp;
use bytchatd::store::{Options, Store};
use rustix::process::getuid;

/// Conversations over which the messages are spread.
const PEERS: u64 = 500;
/// The time over which they came.
const SPAN_MS: u64 = 365 * DAY_MS;
/// Large commits write each block of the index only a few times; the last ones are small, so that
/// the last segment is no larger than a node's.
const COMMIT_MESSAGES_MAX: u64 = 50_000;
const COMMIT_MESSAGES_MIN: u64 = 500;
/// Steps of a message that went its usual way.
pub(crate) const STEPS: u64 = 9;

/// A history of so many messages of one account, half of them its own.
pub(crate) struct History {
    pub(crate) account: UserId,
    pub(crate) messages: u64,
    pub(crate) end: Timestamp,
}

/// The log of events, written by the code of the node itself.
struct Events {
    uid: u32,
    logs: Logs,
    out: Outputs,
}

impl Events {
    fn new() -> Self {
        let logs = Logs::new(Keep::default());
        Self { uid: getuid().as_raw(), logs, out: Outputs::new([0; 32]) }
    }

    fn add(&mut self, account: UserId, message: Message, writes: &mut Vec<Write>) {
        let (seq, at) = (self.logs.span(self.uid).last + 1, message.received_at);
        let what = match message.direction {
            Direction::In => What::Received(message),
            Direction::Out => What::State(message),
        };
        let event = Event { seq, at, account, what };
        let json = serde_json::to_vec(&event).expect("events have a JSON form");
        self.logs.append(self.uid, &json, at, &mut self.out);
        while let Some(output) = self.out.poll() {
            if let Output::Persist(rows) = output {
                writes.extend(rows);
            }
        }
    }
}

impl History {
    /// Writes the history into the store of a daemon that does not run.
    pub(crate) fn write(&self, dir: &Path) {
        let store = Store::open(&dir.join("store"), Options::default()).expect("a store opens");
        let (mut from, mut events) = (1, Events::new());
        while from <= self.messages {
            let left = self.messages - from + 1;
            let count = (left / 4).clamp(COMMIT_MESSAGES_MIN, COMMIT_MESSAGES_MAX);
            let to = self.messages.min(from + count - 1);
            let mut writes = Vec::new();
            for seq in from..=to {
                self.add(seq, &mut events, &mut writes);
            }
            self.add_counters(to, &mut writes);
            store.commit(writes).expect("the disk has room");
            from = to + 1;
        }
        store.close();
    }

    /// With whom a message was exchanged.
    pub(crate) fn peer(&self, seq: u64) -> UserId {
        let hash = labelled_sha256("bench/peer", &[&(seq % PEERS).to_be_bytes()]);
        UserId::from_slice(&hash[..20]).expect("20 bytes are a user id")
    }

    pub(crate) fn message(&self, seq: u64) -> Message {
        let (peer, out) = (self.peer(seq), seq.is_multiple_of(2));
        let (from, to) = if out { (self.account, peer) } else { (peer, self.account) };
        let age = (self.messages - seq) * (SPAN_MS / self.messages.max(1));
        let sent_at = Timestamp(self.end.0.saturating_sub(age));
        Message {
            id: BlockId(labelled_sha256("bench/block", &[&seq.to_be_bytes()])),
            seq,
            from,
            to,
            direction: if out { Direction::Out } else { Direction::In },
            content_type: "text/plain".to_owned(),
            text: format!("The night train number {seq} leaves at ten past eleven, from four."),
            state: if out { State::Read } else { State::Delivered },
            sent_at,
            received_at: sent_at,
            request: false,
            gap: false,
        }
    }

    fn add(&self, seq: u64, events: &mut Events, writes: &mut Vec<Write>) {
        let message = self.message(seq);
        let account = self.account.as_bytes();
        let (id, number) = (message.id, seq.to_be_bytes());
        let key = [account, &number].concat();
        let mut put = |table, parts: &[&[u8]], value: Vec<u8>| {
            writes.push(Write::Put { table, key: parts.concat(), value });
        };
        put(Table::Message, &[&key], encode(&message));
        put(Table::MessageIndex, &[b"b", id.as_bytes(), account], key.clone());
        let peer = self.peer(seq);
        put(Table::MessageIndex, &[b"p", account, peer.as_bytes(), &number], key.clone());
        if message.direction == Direction::In {
            put(Table::MessageIndex, &[b"i", account, &number], key);
            let until = message.received_at.0.saturating_add(SEEN_TTL_MS);
            if until > self.end.0 {
                let envelope = labelled_sha256("bench/envelope", &[&number]);
                let brought = [peer.as_bytes(), id.as_bytes()].concat();
                put(Table::Seen, &[&envelope], [&until.to_be_bytes(), &*brought].concat());
            }
        } else {
            for step in 0..STEPS {
                let key = [id.as_bytes(), account, &(step + 1).to_be_bytes()];
                put(Table::Trace, &key, encode(&step_of(&message, step)));
            }
        }
        if self.messages - seq < EVENTS_MAX {
            events.add(self.account, message, writes);
        }
    }

    fn add_counters(&self, last: u64, writes: &mut Vec<Write>) {
        let next = [b"next/".as_slice(), self.account.as_bytes()].concat();
        let value = (last + 1).to_be_bytes().to_vec();
        writes.push(Write::Put { table: Table::Node, key: next, value });
    }
}

fn step_of(message: &Message, step: u64) -> Step {
    let holder = NodeId::from_slice(message.to.as_bytes()).expect("both have 20 bytes");
    let step = match step {
        0 => "queued: it is on this machine's disk".to_owned(),
        1 => "sealed for 1 device(s) of the recipient".to_owned(),
        step if step < STEPS - 2 => format!("stored {}/5 until 2026-12-01 by {holder}", step - 1),
        step if step < STEPS - 1 => "delivered: a device of the recipient has it".to_owned(),
        _ => "read: the recipient has seen it".to_owned(),
    };
    Step { at: message.sent_at, step }
}
