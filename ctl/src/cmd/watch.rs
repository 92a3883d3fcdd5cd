//! `bytctl watch`: follows the daemon's log of events, over its restarts.

use std::time::Duration;

use bytchat_proto::rpc::account::Accounts;
use bytchat_proto::rpc::event::{Event, List, What};
use bytchat_proto::rpc::message::{Direction, Message};
use bytchat_proto::rpc::{Call, ErrorKind, Nothing};
use serde_json::Value;

use super::Context;
use crate::client::understand;
use crate::failure::Failure;
use crate::print::{tame, time};

/// One long poll. Shorter than what a proxy or a sleeping laptop would break.
const WAIT_MS: u64 = 30_000;
/// Between two tries to reach a daemon that is away.
const RECONNECT_PAUSE: Duration = Duration::from_millis(200);

pub(super) fn run(context: &mut Context, since: Option<u64>) -> Result<(), Failure> {
    let account = own_id(context)?;
    let mut position = match since {
        Some(since) => since,
        None => next(&poll(context, None, 0)?)?,
    };
    let mut away = false;
    loop {
        let answer = match poll(context, Some(position), WAIT_MS) {
            Ok(answer) => answer,
            Err(failure) if failure.is_passing() => {
                if !away {
                    context.printer.remark("bytchatd is away; waiting for it to come back");
                }
                away = true;
                std::thread::sleep(RECONNECT_PAUSE);
                continue;
            }
            Err(failure) => return Err(failure),
        };
        away = false;
        match answer["gap"]["reason"].as_str() {
            None => {}
            Some("epoch") => context
                .printer
                .remark("this is another log than before: it is read from its beginning"),
            Some(_) => context
                .printer
                .remark("some events are gone: the log no longer reaches so far back"),
        }
        for event in answer["events"].as_array().map_or(&[][..], Vec::as_slice) {
            if account.is_none() || account.as_deref() == event["account"].as_str() {
                print(context, event)?;
            }
        }
        // SPEC 8.8: asking on from `next` loses no event and repeats none.
        position = next(&answer)?;
    }
}

fn poll(context: &mut Context, since: Option<u64>, wait_ms: u64) -> Result<Value, Failure> {
    let call = Call::EventList(List { since, wait_ms: Some(wait_ms), ..List::default() });
    let wait = Duration::from_millis(wait_ms);
    context.client.call_raw(call.method(), &call.params(), wait)
}

fn next(answer: &Value) -> Result<u64, Failure> {
    let next = answer["next"].as_u64();
    next.ok_or_else(|| Failure::Strange("the log of events has no `next`".to_owned()))
}

/// The id of the account that is to be followed, if one is named.
fn own_id(context: &mut Context) -> Result<Option<String>, Failure> {
    let Some(named) = context.account.clone() else {
        return Ok(None);
    };
    let Accounts { accounts } = context.client.call(&Call::AccountList(Nothing {}))?;
    for account in accounts {
        let alias = account.aliases.iter().any(|alias| alias.to_string() == named);
        let id = account.id.to_string();
        if alias || account.name == named || id == named {
            return Ok(Some(id));
        }
    }
    let error = ErrorKind::NotFound.because(format!("you have no account {named:?}"));
    Err(Failure::refused(&error))
}

fn print(context: &mut Context, event: &Value) -> Result<(), Failure> {
    if context.printer.json() {
        return context.printer.value(&flat(event));
    }
    let Ok(event) = understand::<Event>(event.clone()) else {
        let name = event["type"].as_str().unwrap_or("an event");
        return context.printer.line(&format!("{} (unknown to this bytctl)", tame(name)));
    };
    let at = time(event.at);
    let line = match event.what {
        What::Received(message) => format!("{at}  {}", arrival(&message)),
        What::State(message) => {
            let state = message.state.as_str();
            format!("{at}  {state}  {}  to {}", message.id, message.to)
        }
        What::KeyChanged { id } => {
            format!("{at}  the key of {id} has changed; sending to it has stopped")
        }
    };
    context.printer.line(&line)
}

fn arrival(message: &Message) -> String {
    let from = match message.direction {
        Direction::In => message.from.to_string(),
        Direction::Out => "you".to_owned(),
    };
    let request = if message.request { " (request)" } else { "" };
    format!("{from}{request}: {}", tame(&message.text))
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
