//! The history of a run: what was promised to whom, and whether it was kept.

use std::collections::{BTreeMap, BTreeSet};

use bytchat_core::persist::{Query, Table};
use bytchat_proto::codec::decode;
use bytchat_proto::id::{BlockId, UserId};
use bytchat_proto::limits::{self, HOLDERS, WRITE_QUORUM};
use bytchat_proto::point::Point;
use bytchat_proto::rpc::event::{Event, Events, What};
use bytchat_proto::rpc::message::{Direction, Message, Sent, State};
use serde_json::json;

use super::host::Host;
use super::people::Person;
use super::world::World;

/// So often a world is asked whether it has come to rest.
const SETTLE_MS: u64 = 10_000;

struct Promise {
    from: Person,
    to: UserId,
    text: String,
}

/// Everything that was promised and seen in one run.
#[derive(Default)]
pub struct History {
    promises: Vec<(BlockId, Promise)>,
    cursors: BTreeMap<(usize, u32), u64>,
    states: BTreeMap<(usize, BlockId), State>,
    shown: BTreeMap<(usize, UserId), Vec<Message>>,
    count: usize,
    /// Promises that were broken.
    pub broken: BTreeSet<String>,
}

impl History {
    /// Nothing happened yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends a new text, and remembers that its sender was told `queued`.
    pub fn send(&mut self, world: &mut World, from: &Person, to: &Person) -> BlockId {
        self.send_to(world, from, &to.id.to_string(), to.id)
    }

    /// Sends a new text that is so long that shorter ones overtake it.
    pub fn send_long(&mut self, world: &mut World, from: &Person, to: &Person) -> BlockId {
        let text = format!("PLAINTEXT {} {}", self.count + 1, "and on ".repeat(3_000));
        self.send_text(world, from, &to.id.to_string(), to.id, text)
    }

    /// Sends a new text to an address that leads to a user.
    pub fn send_to(
        &mut self,
        world: &mut World,
        from: &Person,
        address: &str,
        to: UserId,
    ) -> BlockId {
        let text = format!("PLAINTEXT {} of {}", self.count + 1, from.id);
        self.send_text(world, from, address, to, text)
    }

    fn send_text(
        &mut self,
        world: &mut World,
        from: &Person,
        address: &str,
        to: UserId,
        text: String,
    ) -> BlockId {
        self.count += 1;
        let params = json!({"to": address, "text": text});
        let sent = world.ask(from, "message.send", params).expect("it is queued");
        let sent: Sent = serde_json::from_value(sent).expect("an answer");
        assert_eq!((sent.state, sent.to), (State::Queued, to), "what is sent is queued");
        self.promises.push((sent.id, Promise { from: from.clone(), to, text }));
        sent.id
    }

    /// Reads the events of everybody whose machine is up.
    pub fn follow(&mut self, world: &mut World, people: &[&Person]) {
        for who in people {
            while world.is_up(who.host) && self.follow_one(world, who) {}
        }
    }

    fn follow_one(&mut self, world: &mut World, who: &Person) -> bool {
        let since = self.cursors.get(&(who.host, who.uid)).copied().unwrap_or_default();
        let params = json!({"since": since, "limit": 500});
        let events = world.ask(who, "event.list", params).expect("events");
        let events: Events = serde_json::from_value(events).expect("a list of events");
        if events.next < since {
            self.broken.insert(format!("the log of {} went back to {}", who.id, events.next));
        }
        self.cursors.insert((who.host, who.uid), events.next);
        for event in &events.events {
            self.see(world, who, event);
        }
        !events.events.is_empty()
    }

    fn see(&mut self, world: &World, who: &Person, event: &Event) {
        match &event.what {
            What::Received(message) => self.received(who, message),
            What::State(message) => self.moved(world, who, message),
            What::KeyChanged { id } => {
                self.broken.insert(format!("the key of {id} is said to have changed"));
            }
        }
    }

    fn received(&mut self, who: &Person, message: &Message) {
        let shown = self.shown.entry((who.host, who.id)).or_default();
        if shown.iter().any(|other| other.id == message.id) {
            self.broken.insert(format!("{} is shown twice to {}", message.id, who.id));
        }
        shown.push(message.clone());
        let promise = self.promises.iter().find(|(id, _)| *id == message.id);
        let kept = promise.is_some_and(|(_, promise)| {
            (promise.to, promise.from.id, &promise.text) == (who.id, message.from, &message.text)
        });
        if !kept {
            self.broken.insert(format!("{} gets {:?}, which is not sent so", who.id, message.text));
        }
    }

    fn moved(&mut self, world: &World, who: &Person, message: &Message) {
        let before = self.states.insert((who.host, message.id), message.state);
        if before.is_some_and(|before| before >= message.state) {
            self.broken
                .insert(format!("{} went from {before:?} to {:?}", message.id, message.state));
        }
        let there = !copies(world, message.id, message.to).is_empty();
        if matches!(message.state, State::Delivered | State::Read) && !there {
            self.broken.insert(format!("{} is called delivered and is not there", message.id));
        }
        let holders = holders(world, message.to);
        // Where a sender reaches fewer, fewer are enough (SPEC 4.10).
        let others = world.hosts.len().saturating_sub(2);
        let expected = if world.was_cut { 1 } else { WRITE_QUORUM.min(others) };
        if message.state == State::Stored && !there && holders < expected {
            self.broken.insert(format!("{} is called stored and {holders} hold mail", message.id));
        }
    }

    /// Follows everybody until all that was promised has happened; what takes longer than a bound
    /// is a promise broken.
    pub fn settle(&mut self, world: &mut World, people: &[&Person], bound_ms: u64) {
        let end = world.now_ms() + bound_ms;
        loop {
            self.follow(world, people);
            let mut astray = astray(world, people);
            let late = self.promises.iter().filter(|(id, promise)| {
                let state = self.states.get(&(promise.from.host, *id));
                !matches!(state, Some(State::Delivered | State::Read))
            });
            astray.extend(late.map(|(id, _)| format!("{id} is not delivered")));
            if astray.is_empty() {
                return;
            }
            if world.now_ms() >= end {
                let bound = bound_ms / 60_000;
                astray.iter_mut().for_each(|it| it.push_str(&format!(" after {bound} minutes")));
                return self.broken.extend(astray);
            }
            world.run(SETTLE_MS);
        }
    }

    /// Ends a run: everything that was promised has happened exactly once, and in order.
    pub fn end(mut self, world: &mut World, people: &[&Person]) -> BTreeSet<String> {
        self.follow(world, people);
        for (id, promise) in &self.promises {
            let copies = copies(world, *id, promise.to);
            if copies.is_empty() || copies.values().any(|count| *count != 1) {
                self.broken.insert(format!("{:?} is there so often: {copies:?}", promise.text));
            }
            let state = self.states.get(&(promise.from.host, *id));
            if !matches!(state, Some(State::Delivered | State::Read)) {
                let trace = world.ask(&promise.from, "message.trace", json!({ "id": id }));
                self.broken.insert(format!("{:?} is only {state:?}: {trace:?}", promise.text));
            }
        }
        self.check_order();
        self.broken.extend(over_limit(world));
        self.broken.append(&mut world.findings);
        self.broken
    }

    /// What somebody wrote comes in its order, or is said to have a gap before it.
    fn check_order(&mut self) {
        let written = |id: BlockId| self.promises.iter().position(|(other, _)| *other == id);
        for messages in self.shown.values() {
            for (place, message) in messages.iter().enumerate() {
                let early = messages[place + 1..].iter().find(|later| {
                    later.from == message.from && written(later.id) < written(message.id)
                });
                if let Some(early) = early.filter(|_| !message.gap) {
                    let (text, early) = (&message.text, &early.text);
                    self.broken.insert(format!("{text:?} hides the gap before it: {early:?}"));
                }
            }
        }
    }
}

/// How many machines have mail for a user on their disks.
fn holders(world: &World, user: UserId) -> usize {
    let mail = Query::prefix(Table::Envelope, user.as_bytes(), 1);
    world.hosts.iter().filter(|machine| !machine.disk.scan(&mail).is_empty()).count()
}

/// People whose record lies with fewer of the nearest machines than a quorum.
fn astray(world: &World, people: &[&Person]) -> Vec<String> {
    let lies_well = |person: &Person| {
        let point = Point::of_user(person.id);
        let record = Query::prefix(Table::Record, &point.0, 1);
        let near = world.nearest(point, HOLDERS);
        let holding = near.iter().filter(|it| !world.hosts[**it].disk.scan(&record).is_empty());
        holding.count() >= WRITE_QUORUM.min(near.len())
    };
    let astray = people.iter().filter(|person| !lies_well(person));
    astray.map(|person| format!("the record of {} is not where it belongs", person.id)).collect()
}

/// The machines on whose disks a message is in its recipient's history, and how often.
fn copies(world: &World, id: BlockId, to: UserId) -> BTreeMap<usize, usize> {
    let mut copies = BTreeMap::new();
    for (host, machine) in world.hosts.iter().enumerate() {
        let rows = machine.disk.scan(&Query::prefix(Table::Message, to.as_bytes(), usize::MAX));
        let messages = rows.iter().filter_map(|(_, value)| decode::<Message>(value).ok());
        let count = messages.filter(|it| it.id == id && it.direction == Direction::In).count();
        if count > 0 {
            copies.insert(host, count);
        }
    }
    copies
}

/// Tables that are larger than they may be, and plaintext on disks where it does not belong.
fn over_limit(world: &World) -> Vec<String> {
    let limits = [
        (Table::Record, limits::RECORDS_MAX + limits::OWN_RECORDS_MAX),
        (Table::Outbox, limits::OUTBOX_MAX * (1 + limits::DEVICES_PER_USER_MAX)),
        (Table::Envelope, limits::ENVELOPES_MAX),
        (Table::Tombstone, limits::TOMBSTONES_MAX),
        (Table::Prekey, limits::ONE_TIME_KEYS_MAX + limits::ONE_TIME_KEYS_SPENT_MAX),
        (Table::Notice, limits::NOTICES_MAX),
        (Table::Seen, limits::SEEN_MAX),
        (Table::Account, limits::ACCOUNTS_MAX),
        (Table::Peer, 160 * limits::BUCKET_CONTACTS_MAX + limits::UNTESTED_MAX),
    ];
    let mut found = Vec::new();
    for (host, machine) in world.hosts.iter().enumerate() {
        for (table, most) in limits {
            let rows = machine.disk.count(table);
            if rows > most {
                found.push(format!("machine {host} has {rows} rows in {table:?}, allowed {most}"));
            }
        }
        found.extend(doubled(host, machine));
        found.extend(crowded(host, machine));
        if machine.disk.count(Table::Account) == 0 && machine.disk.holds(super::witness::MARK) {
            found.push(format!("machine {host} has what somebody wrote in plain text"));
        }
    }
    found
}

/// An envelope that lies on a machine more than once.
fn doubled(host: usize, machine: &Host) -> Option<String> {
    let rows = machine.disk.scan(&Query::prefix(Table::Envelope, b"", usize::MAX));
    let ids: BTreeSet<&[u8]> = rows.iter().map(|(key, _)| &key[key.len() - 32..]).collect();
    let more = rows.len() - ids.len();
    (more > 0).then(|| format!("machine {host} holds {more} envelopes once more"))
}

/// More notices for one user than a machine may keep.
fn crowded(host: usize, machine: &Host) -> Option<String> {
    let rows = machine.disk.scan(&Query::prefix(Table::Notice, b"", usize::MAX));
    let mut users: BTreeMap<&[u8], usize> = BTreeMap::new();
    rows.iter().for_each(|(key, _)| *users.entry(&key[..20]).or_default() += 1);
    let most = users.into_values().max().unwrap_or_default();
    let over = most > limits::NOTICES_PER_USER_MAX;
    over.then(|| format!("machine {host} keeps {most} notices for one user"))
}
