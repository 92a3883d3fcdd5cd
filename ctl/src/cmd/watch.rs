//! `bytctl watch`: follows the daemon's log of events, over its restarts.

use std::time::Duration;

use bytchat_proto::rpc::ErrorKind;
use bytchat_proto::rpc::event::{Event, What};
use bytchat_proto::rpc::message::{Direction, Message};
use serde_json::{Value, json};

use super::{Context, hook};
use crate::args;
use crate::client::understand;
use crate::color::Tone;
use crate::failure::Failure;
use crate::names::Names;
use crate::print::{tame, time};

/// One long poll. Shorter than what a proxy or a sleeping laptop would break.
const WAIT_MS: u64 = 30_000;
/// Between two tries to reach a daemon that is away.
const RECONNECT_PAUSE: Duration = Duration::from_millis(200);

pub(super) fn run(context: &mut Context, options: args::Watch) -> Result<(), Failure> {
    let mut watch = Watch::begin(context, options)?;
    loop {
        let params = watch.question(WAIT_MS);
        let answer = watch.ask("event.list", &params, Duration::from_millis(WAIT_MS))?;
        watch.epoch = answer["epoch"].as_str().map(ToOwned::to_owned);
        watch.tell_gap(&answer["gap"])?;
        for event in answer["events"].as_array().map_or(&[][..], Vec::as_slice) {
            watch.handle(event)?;
        }
        // SPEC 8.8: asking on from `next` loses no event and repeats none.
        watch.advance(number(&answer, "next")?)?;
    }
}

/// Where it is in the log, and what it does with what comes.
struct Watch<'a> {
    context: &'a mut Context,
    options: args::Watch,
    account: Option<String>,
    names: Names,
    next: u64,
    epoch: Option<String>,
    began: bool,
    away: bool,
}

impl<'a> Watch<'a> {
    fn begin(context: &'a mut Context, options: args::Watch) -> Result<Self, Failure> {
        let account = own_id(context)?;
        let named = context.account.as_deref();
        let names = match context.printer.terminal() && !context.printer.json() {
            true => Names::ask(&mut context.client, named),
            false => Names::default(),
        };
        let (next, epoch, began, away) = (0, None, false, false);
        let mut watch = Self { context, options, account, names, next, epoch, began, away };
        watch.find_place()?;
        watch.began = true;
        Ok(watch)
    }

    /// Goes to where the cursor is, or `--since`, or to the end of the log.
    fn find_place(&mut self) -> Result<(), Failure> {
        if let Some(name) = self.options.cursor.clone() {
            let cursors = self.ask("cursor.list", &json!({}), Duration::ZERO)?;
            let all = cursors["cursors"].as_array().map_or(&[][..], Vec::as_slice);
            if let Some(cursor) = all.iter().find(|cursor| cursor["name"] == name.as_str()) {
                self.epoch = cursors["epoch"].as_str().map(ToOwned::to_owned);
                self.next = number(cursor, "seq")?;
                return Ok(());
            }
        }
        let answer = self.ask("event.list", &json!({ "limit": 1 }), Duration::ZERO)?;
        self.epoch = answer["epoch"].as_str().map(ToOwned::to_owned);
        self.next = match self.options.since {
            Some(since) => since,
            None => number(&answer, "next")?,
        };
        // From now on nothing is lost, even if this is killed before the first event.
        self.remember()
    }

    fn question(&self, wait_ms: u64) -> Value {
        let mut params = json!({ "since": self.next, "wait_ms": wait_ms });
        if let Some(types) = &self.options.types {
            params["types"] = types.as_slice().into();
        }
        if let Some(epoch) = &self.epoch {
            params["epoch"] = epoch.as_str().into();
        }
        params
    }

    /// Calls, and when the daemon goes away calls again until it is back.
    fn ask(&mut self, method: &str, params: &Value, wait: Duration) -> Result<Value, Failure> {
        loop {
            match self.context.client.call_raw(method, params, wait) {
                Err(failure) if self.is_passing(&failure) => {
                    if !self.away {
                        self.context.printer.remark("bytchatd is away; waiting for its return");
                    }
                    self.away = true;
                    std::thread::sleep(RECONNECT_PAUSE);
                }
                Ok(answer) => {
                    if self.away {
                        self.context.printer.remark("bytchatd is back");
                    }
                    self.away = false;
                    return Ok(answer);
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Whether to try again. That the daemon runs when watching begins is asked for.
    fn is_passing(&self, failure: &Failure) -> bool {
        self.began && (failure.is_passing() || failure.kind() == Some(ErrorKind::Busy))
    }

    fn handle(&mut self, event: &Value) -> Result<(), Failure> {
        let seq = number(event, "seq")?;
        if self.account.is_some() && self.account.as_deref() != event["account"].as_str() {
            return Ok(());
        }
        match self.options.exec.clone() {
            Some(command) => {
                let printer = &self.context.printer;
                hook::run_until_done(printer, &command, self.options.tries, &flat(event))?;
            }
            None => self.print(event)?,
        }
        self.advance(seq)
    }

    /// Everything up to this number is done with.
    fn advance(&mut self, next: u64) -> Result<(), Failure> {
        let moved = next != self.next;
        self.next = next;
        if moved { self.remember() } else { Ok(()) }
    }

    /// Moves the cursor to where this is.
    fn remember(&mut self) -> Result<(), Failure> {
        let Some(name) = self.options.cursor.clone() else {
            return Ok(());
        };
        let mut params = json!({ "name": name, "seq": self.next });
        if let Some(epoch) = &self.epoch {
            params["epoch"] = epoch.as_str().into();
        }
        match self.ask("cursor.set", &params, Duration::ZERO) {
            // The next question finds out where the other log begins.
            Err(failure) if failure.kind() == Some(ErrorKind::OtherEpoch) => Ok(()),
            answer => answer.map(drop),
        }
    }

    fn tell_gap(&mut self, gap: &Value) -> Result<(), Failure> {
        let remark = match gap["reason"].as_str() {
            None => return Ok(()),
            Some("epoch") => "this is another log than before: it is read from its beginning",
            Some(_) => "some events are gone: the log no longer reaches so far back",
        };
        if self.context.printer.json() && self.options.exec.is_none() {
            let mut told = gap.clone();
            told["event"] = "stream.gap".into();
            return self.context.printer.value(&told);
        }
        self.context.printer.warn(remark);
        Ok(())
    }

    fn print(&mut self, event: &Value) -> Result<(), Failure> {
        let printer = &mut self.context.printer;
        if printer.json() {
            return printer.value(&flat(event));
        }
        let Ok(event) = understand::<Event>(event.clone()) else {
            let name = event["type"].as_str().unwrap_or("an event");
            return printer.line(&format!("{} (unknown to this bytctl)", tame(name)));
        };
        let palette = printer.palette();
        let at = palette.paint(Some(Tone::Faint), &time(event.at));
        let line = match event.what {
            What::Received(message) => {
                let from = palette.paint(Some(Tone::Head), &from(&message, &self.names));
                format!("{at}  {from}: {}", tame(&message.text))
            }
            What::State(message) => {
                let state = message.state.as_str();
                format!("{at}  {state}  {}  to {}", message.id, self.names.of(message.to))
            }
            What::KeyChanged { id } => {
                let who = self.names.of(id);
                let text = format!("the key of {who} has changed; sending to it has stopped");
                format!("{at}  {}", palette.paint(Some(Tone::Warn), &text))
            }
        };
        printer.line(&line)
    }
}

fn number(answer: &Value, name: &str) -> Result<u64, Failure> {
    let number = answer[name].as_u64();
    number.ok_or_else(|| Failure::Strange(format!("the log of events has no `{name}`")))
}

/// The id of the account that is to be followed, if one is named.
fn own_id(context: &mut Context) -> Result<Option<String>, Failure> {
    let Some(named) = context.account.clone() else {
        return Ok(None);
    };
    let answer = context.client.call_raw("account.list", &json!({}), Duration::ZERO)?;
    for account in answer["accounts"].as_array().map_or(&[][..], Vec::as_slice) {
        let mut aliases = account["aliases"].as_array().map_or(&[][..], Vec::as_slice).iter();
        let own = [&account["name"], &account["id"]];
        if own.iter().any(|name| **name == named) || aliases.any(|alias| *alias == named) {
            return Ok(account["id"].as_str().map(ToOwned::to_owned));
        }
    }
    let error = ErrorKind::NotFound.because(format!("you have no account {named:?}"));
    Err(Failure::refused(&error))
}

fn from(message: &Message, names: &Names) -> String {
    let from = match message.direction {
        Direction::In => tame(&names.of(message.from)),
        Direction::Out => "you".to_owned(),
    };
    let request = if message.request { " (request)" } else { "" };
    format!("{from}{request}")
}

/// The data of an event with its name and number beside it.
fn flat(event: &Value) -> Value {
    let mut data = event["data"].clone();
    if !data.is_object() {
        data = Value::Object(serde_json::Map::new());
    }
    data["event"] = event["type"].clone();
    data["event_seq"] = event["seq"].clone();
    data["account"] = event["account"].clone();
    data
}
