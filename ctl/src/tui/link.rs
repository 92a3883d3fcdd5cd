//! The daemon's side: the only place here that knows calls. A thread follows the events; three
//! more make the calls, so that a slow one holds up only its own kind.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use bytchat_proto::id::UserId;
use bytchat_proto::rpc::account::Accounts;
use bytchat_proto::rpc::contact::{Change, Contact, Contacts, List, Standing};
use bytchat_proto::rpc::event::Event;
use bytchat_proto::rpc::message::{ById, History, Inbox, Message, Messages, Read, Send, Sent};
use bytchat_proto::rpc::{Call, ErrorKind};
use serde_json::{Value, json};

use super::model::{Answer, Command, Msg, Older, Page};
use crate::client::{Client, understand};
use crate::failure::Failure;

/// One long poll for events.
const WAIT: Duration = Duration::from_secs(30);
/// Between two tries to reach a daemon that is away.
const RECONNECT_PAUSE: Duration = Duration::from_millis(200);
/// Messages of a conversation in one page: a high screen, twice.
const HISTORY_PAGE: usize = 100;
/// Messages of an inbox in one page, when unread ones are counted.
const INBOX_PAGE: usize = 200;
/// Commands that a thread is given ahead.
const LANE: usize = 16;

/// Tells the model. If the thread that holds it panics, the front end ends.
#[derive(Clone)]
pub(crate) struct Feed(pub(crate) SyncSender<Msg>);

/// The threads that make calls.
pub(crate) struct Link {
    lanes: [Lane; 3],
}

/// Calls of one kind, one after the other.
struct Lane {
    commands: SyncSender<Command>,
    waiting: VecDeque<Command>,
}

impl Feed {
    /// Tells something; false if nobody listens any more.
    pub(crate) fn tell(&self, msg: Msg) -> bool {
        self.0.send(msg).is_ok()
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        if thread::panicking() {
            self.tell(Msg::Stop);
        }
    }
}

impl Link {
    /// Starts the threads; they end with the process.
    pub(crate) fn start(client: &Client, feed: &Feed) -> Self {
        let (own, events) = (feed.clone(), client.another());
        thread::spawn(move || follow(events, &own));
        let lanes = [(); 3].map(|()| {
            let (commands, queue) = sync_channel(LANE);
            let (own, client) = (feed.clone(), client.another());
            thread::spawn(move || work(client, &queue, &own));
            Lane { commands, waiting: VecDeque::new() }
        });
        Self { lanes }
    }

    /// Lets commands be done; never waits.
    pub(crate) fn run(&mut self, commands: Vec<Command>) {
        for command in commands {
            self.lanes[lane(&command)].waiting.push_back(command);
        }
        self.lanes.iter_mut().for_each(Lane::pass_on);
    }
}

impl Lane {
    fn pass_on(&mut self) {
        while let Some(command) = self.waiting.pop_front() {
            match self.commands.try_send(command) {
                Ok(()) => {}
                // Each command that is done makes room, and a message that calls us again.
                Err(TrySendError::Full(command)) => return self.waiting.push_front(command),
                // The thread has panicked: the end is on its way.
                Err(TrySendError::Disconnected(_)) => return,
            }
        }
    }
}

fn lane(command: &Command) -> usize {
    match command {
        Command::Accounts
        | Command::Contacts { .. }
        | Command::Inbox { .. }
        | Command::History { .. }
        | Command::Newest { .. }
        | Command::Read { .. } => 0,
        Command::Send { .. } => 1,
        // These may ask a pod that does not answer.
        Command::Add { .. } | Command::Stand { .. } => 2,
    }
}

fn work(mut client: Client, commands: &Receiver<Command>, feed: &Feed) {
    for command in commands {
        if !feed.tell(done(&mut client, command)) {
            return;
        }
    }
}

/// Does a command; while the daemon is away, again and again: each can be repeated.
fn done(client: &mut Client, command: Command) -> Msg {
    loop {
        match call(client, &command) {
            Ok(answer) => return Msg::Answer(answer),
            Err(failure) if passes(&failure) => thread::sleep(RECONNECT_PAUSE),
            Err(failure) => return Msg::Failed(command, failure.to_string()),
        }
    }
}

fn passes(failure: &Failure) -> bool {
    failure.is_passing() || failure.kind() == Some(ErrorKind::Busy)
}

fn call(client: &mut Client, command: &Command) -> Result<Answer, Failure> {
    Ok(match command {
        Command::Accounts => {
            let Accounts { accounts, .. } = client.call(&Call::AccountList(Default::default()))?;
            Answer::Accounts(accounts)
        }
        Command::Contacts { account } => Answer::Contacts(*account, contacts(client, *account)?),
        Command::Inbox { account, older } => {
            let call = Call::MessageInbox(Inbox {
                account: Some(account.to_string()),
                limit: Some(INBOX_PAGE),
                before: *older,
            });
            Answer::Inbox(*account, page(client, &call)?)
        }
        Command::History { account, peer, older } => Answer::History {
            account: *account,
            peer: *peer,
            older: *older,
            page: history(client, (*account, *peer), *older, HISTORY_PAGE)?,
        },
        Command::Newest { account, peer } => {
            let mut page = history(client, (*account, *peer), None, 1)?;
            Answer::Newest(*account, *peer, page.messages.pop().map(Box::new))
        }
        Command::Send { account, to, text, client_id, .. } => {
            send(client, *account, (to, text), client_id)?
        }
        Command::Read { ids } => {
            client.call_json(&Call::MessageRead(Read { ids: ids.clone(), ..Read::default() }))?;
            Answer::Read
        }
        Command::Add { account, who } => {
            let with = change(*account, who.clone());
            Answer::Added(*account, client.call(&Call::ContactAdd(with))?)
        }
        Command::Stand { account, peer, standing } => {
            let with = change(*account, peer.to_string());
            let call = match standing {
                Standing::Blocked => Call::ContactBlock(with),
                Standing::Accepted | Standing::Request => Call::ContactAccept(with),
            };
            Answer::Stood(*account, client.call(&call)?)
        }
    })
}

fn change(account: UserId, who: String) -> Change {
    Change { account: Some(account.to_string()), who, ..Change::default() }
}

fn contacts(client: &mut Client, account: UserId) -> Result<Vec<Contact>, Failure> {
    let mut all = Vec::new();
    let mut with = List { account: Some(account.to_string()), ..List::default() };
    loop {
        let Contacts { contacts, next } = client.call(&Call::ContactList(with.clone()))?;
        all.extend(contacts);
        if next.is_none() {
            return Ok(all);
        }
        with.after = next;
    }
}

fn history(
    client: &mut Client,
    (account, peer): (UserId, UserId),
    older: Option<Older>,
    limit: usize,
) -> Result<Page, Failure> {
    let call = Call::MessageHistory(History {
        account: Some(account.to_string()),
        who: peer.to_string(),
        limit: Some(limit),
        before: older,
    });
    page(client, &call)
}

fn page(client: &mut Client, call: &Call) -> Result<Page, Failure> {
    let Messages { messages, next } = client.call(call)?;
    Ok(Page { messages, older: next })
}

fn send(
    client: &mut Client,
    account: UserId,
    (to, text): (&str, &str),
    client_id: &str,
) -> Result<Answer, Failure> {
    let call = Call::MessageSend(Send {
        account: Some(account.to_string()),
        to: to.to_owned(),
        text: text.to_owned(),
        // SPEC 8.50: a call that is repeated is the same message.
        client_id: Some(client_id.to_owned()),
        dry_run: false,
    });
    let sent: Sent = client.call(&call)?;
    let message: Message = client.call(&Call::MessageShow(ById { id: sent.id }))?;
    let (client_id, message) = (client_id.to_owned(), Box::new(message));
    Ok(Answer::Sent { account, client_id, message })
}

/// Where we are in the log of events.
#[derive(Default)]
struct Place {
    next: Option<u64>,
    /// The log, if the daemon names it: another one counts anew.
    epoch: Option<Value>,
}

/// Follows the events for ever. The place is taken before anything else is read, so that what
/// happens while it is read is told afterwards.
fn follow(mut client: Client, feed: &Feed) {
    let mut place = Place::default();
    let mut up = false;
    let mut told = None;
    loop {
        let wait = if up { WAIT } else { Duration::ZERO };
        let heard = match poll(&mut client, &place, wait) {
            Ok(answer) => {
                told = None;
                tell(feed, &answer, &mut place, !std::mem::replace(&mut up, true))
            }
            Err(failure) => {
                up = false;
                let why = failure.to_string();
                let news = told.as_ref() != Some(&why);
                told = Some(why.clone());
                thread::sleep(RECONNECT_PAUSE);
                !news || feed.tell(Msg::Away(why))
            }
        };
        if !heard {
            return;
        }
    }
}

fn poll(client: &mut Client, place: &Place, wait: Duration) -> Result<Value, Failure> {
    let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    let mut params = json!({ "wait_ms": wait_ms });
    if let Some(next) = place.next {
        params["since"] = next.into();
    }
    if let Some(epoch) = &place.epoch {
        params["epoch"] = epoch.clone();
    }
    client.call_raw("event.list", &params, wait)
}

/// Passes on what an answer tells; false if nobody listens any more.
fn tell(feed: &Feed, answer: &Value, place: &mut Place, fresh: bool) -> bool {
    let first = answer["first"].as_u64();
    let missed = place.next.is_some_and(|next| first.is_some_and(|first| next < first));
    let gap = missed || !answer["gap"].is_null();
    // SPEC 8.8: asking on from `next` loses no event and repeats none. After a gap everything is
    // read anew, and old events would make what was read long ago look new.
    let next = answer["head"].as_u64().filter(|_| gap);
    place.next = next.or(answer["next"].as_u64()).or(place.next);
    place.epoch = answer.get("epoch").cloned();
    let state = [fresh.then_some(Msg::Up), gap.then_some(Msg::Gap)].into_iter().flatten();
    let events = answer["events"].as_array().filter(|_| !gap).map_or(&[][..], Vec::as_slice);
    // Events of a later daemon that are unknown here change nothing that is shown.
    let events = events.iter().filter_map(|event| understand::<Event>(event.clone()).ok());
    state.chain(events.map(|event| Msg::Event(Box::new(event)))).all(|msg| feed.tell(msg))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(answer: &Value, place: &mut Place, fresh: bool) -> Vec<String> {
        let (tx, rx) = sync_channel(16);
        assert!(tell(&Feed(tx), answer, place, fresh));
        rx.iter().map(|msg| format!("{msg:?}").chars().take(5).collect()).collect()
    }

    #[test]
    fn the_place_moves_on_and_a_gap_is_told() {
        let mut place = Place::default();
        let answer = json!({ "events": [], "next": 7, "first": 3 });
        assert_eq!(told(&answer, &mut place, true), ["Up"]);
        assert_eq!(place.next, Some(7));
        assert!(told(&answer, &mut place, false).is_empty());
        let later = json!({ "events": [], "next": 20, "first": 12 });
        assert_eq!(told(&later, &mut place, false), ["Gap"]);
        let other = json!({
            "events": [], "next": 1, "head": 9, "first": 0, "epoch": "e", "gap": { "to": 0 },
        });
        assert_eq!(told(&other, &mut place, true), ["Up", "Gap"]);
        assert_eq!((place.next, place.epoch), (Some(9), Some(json!("e"))));
    }

    #[test]
    fn unknown_events_are_passed_over() {
        let answer = json!({
            "events": [{ "seq": 1, "type": "of.later", "data": 1 }, 7, null],
            "next": 2, "first": 0,
        });
        assert!(told(&answer, &mut Place::default(), false).is_empty());
    }

    #[test]
    fn nobody_listening_ends_it() {
        let (tx, rx) = sync_channel(16);
        drop(rx);
        let answer = json!({ "events": [], "next": 7, "first": 3 });
        assert!(!tell(&Feed(tx), &answer, &mut Place::default(), true));
    }
}
