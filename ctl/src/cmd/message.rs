//! `bytctl message …`, `inbox` and `history`

use std::collections::BTreeSet;

use bytchat_proto::id::BlockId;
use bytchat_proto::limits::PAGE_DEFAULT;
use bytchat_proto::rpc::message::{
    ById, Direction, History, Inbox, Message, OnItsWay, Trace, Waiting, Waits,
};
use bytchat_proto::rpc::{Call, to_result};
use bytchat_proto::timestamp::Timestamp;
use serde_json::Value;

use super::{Context, send};
use crate::args;
use crate::client::{Client, understand};
use crate::failure::Failure;
use crate::names::Names;
use crate::print::{short_time, shorten, tame, tame_lines, time};

/// Characters of a text in a table on a terminal, which may have room for fewer.
const TEXT_CHARS: usize = 200;

pub(super) fn run(context: &mut Context, command: args::Message) -> Result<(), Failure> {
    match command {
        args::Message::Show { id } => match context.one(&Call::MessageShow(ById { id }))? {
            Some(message) => show(context, &message),
            None => Ok(()),
        },
        args::Message::Trace { id } => trace(context, id),
        args::Message::Waiting => waiting(context),
        args::Message::Wait { id, state, timeout } => {
            let until = send::deadline(timeout);
            let message = send::wait(&mut context.client, id, state, until)?;
            if context.printer.json() {
                return context.printer.value(&to_result(&message));
            }
            let state = message.state.as_str();
            context.printer.line(&format!("{state} {}", message.id))
        }
    }
}

/// What is on its way for one account.
fn waiting(context: &mut Context) -> Result<(), Failure> {
    let messages = gather_waiting(&mut context.client, context.account.as_deref())?;
    if context.printer.json() {
        return context.printer.value(&to_result(&messages));
    }
    let row = |message: &OnItsWay| {
        let to = message.alias.as_ref().map_or(message.to.to_string(), ToString::to_string);
        let since = if context.printer.terminal() { short_time } else { time }(message.since);
        let next = format!("{} s", message.next_try_ms.div_ceil(1_000));
        [since, to, message.cause.as_str().to_owned(), next, message.id.to_string()]
    };
    let rows: Vec<_> = messages.iter().map(row).collect();
    context.printer.table(["SINCE", "TO", "WHY", "NEXT TRY", "ID"], &rows)?;
    let remedies: BTreeSet<_> = messages.iter().filter_map(|it| it.cause.remedy()).collect();
    for remedy in remedies {
        context.printer.remark(remedy);
    }
    Ok(())
}

/// All messages of an account that are on their way.
pub(super) fn gather_waiting(
    client: &mut Client,
    account: Option<&str>,
) -> Result<Vec<OnItsWay>, Failure> {
    let mut messages = Vec::new();
    let mut after = None;
    loop {
        let account = account.map(ToOwned::to_owned);
        let call = Call::MessageWaiting(Waiting { account, limit: None, after });
        let page: Waits = understand(client.call_json(&call)?)?;
        messages.extend(page.messages);
        after = page.next;
        if after.is_none() {
            return Ok(messages);
        }
    }
}

pub(super) fn inbox(context: &mut Context, page: &args::Page) -> Result<(), Failure> {
    let account = context.account.clone();
    let ask = |limit, before| Call::MessageInbox(Inbox { account: account.clone(), limit, before });
    // It is in the order in which the messages came.
    list(context, page, ask, ("RECEIVED", |message| message.received_at))
}

pub(super) fn history(
    context: &mut Context,
    who: String,
    page: &args::Page,
) -> Result<(), Failure> {
    let account = context.account.clone();
    let ask = |limit, before| {
        Call::MessageHistory(History { account: account.clone(), who: who.clone(), limit, before })
    };
    list(context, page, ask, ("SENT", |message| message.sent_at))
}

/// A column of times: its heading, and which time of a message it shows.
type Times = (&'static str, fn(&Message) -> Timestamp);

fn list(
    context: &mut Context,
    page: &args::Page,
    ask: impl Fn(Option<usize>, Option<u64>) -> Call,
    (times, at): Times,
) -> Result<(), Failure> {
    let (messages, next) = gather(&mut context.client, page, ask)?;
    if context.printer.json() {
        return context.printer.value(&messages);
    }
    let messages: Vec<Message> = understand(messages)?;
    let terminal = context.printer.terminal();
    let names = match terminal {
        true => Names::ask(&mut context.client, context.account.as_deref()),
        false => Names::default(),
    };
    let row = |message: &Message| {
        let way = match message.direction {
            Direction::In => names.of(message.from),
            Direction::Out => "you".to_owned(),
        };
        let text = if terminal { shorten(&message.text, TEXT_CHARS) } else { message.text.clone() };
        let state = match message.direction {
            Direction::In if message.request && !names.accepted(message.from) => "request",
            Direction::In | Direction::Out => message.state.as_str(),
        };
        let at = if terminal { short_time } else { time }(at(message));
        [at, way, state.to_owned(), text, message.id.to_string()]
    };
    let rows: Vec<_> = messages.iter().map(row).collect();
    let heading = [times, "FROM", "STATE", "TEXT", "ID"];
    context.printer.table(heading, &rows)?;
    if let Some(next) = next {
        context.printer.remark(&format!("there are older ones: --before {next}"));
    }
    Ok(())
}

// SPEC 8.53: a page with fewer messages than were asked for need not be the last one.
/// Asks for older pages until there are as many messages as were asked for; with them comes where
/// still older ones are.
fn gather(
    client: &mut Client,
    page: &args::Page,
    ask: impl Fn(Option<usize>, Option<u64>) -> Call,
) -> Result<(Value, Option<u64>), Failure> {
    let wanted = page.limit.unwrap_or(PAGE_DEFAULT);
    let (mut limit, mut before) = (page.limit, page.before);
    let mut messages = Vec::new();
    loop {
        let mut answer = client.call_json(&ask(limit, before))?;
        let mut older: Vec<Value> = understand(answer["messages"].take())?;
        older.append(&mut messages);
        messages = older;
        let next = answer["next"].as_u64();
        let left = wanted.saturating_sub(messages.len());
        if left == 0 || next.is_none() {
            return Ok((messages.into(), next));
        }
        (limit, before) = (Some(left), next);
    }
}

fn show(context: &mut Context, message: &Message) -> Result<(), Failure> {
    let yes = |flag: bool| if flag { "yes" } else { "no" }.to_owned();
    context.printer.pairs(&[
        ("id", message.id.to_string()),
        ("from", message.from.to_string()),
        ("to", message.to.to_string()),
        ("state", message.state.as_str().to_owned()),
        ("type", message.content_type.clone()),
        ("sent", time(message.sent_at)),
        ("received", time(message.received_at)),
        ("request", yes(message.request)),
        ("gap before", yes(message.gap)),
    ])?;
    context.printer.line(&format!("\n{}", tame_lines(&message.text)))
}

fn trace(context: &mut Context, id: BlockId) -> Result<(), Failure> {
    let Some(trace) = context.one::<Trace>(&Call::MessageTrace(ById { id }))? else {
        return Ok(());
    };
    for line in trace_lines(&trace) {
        context.printer.line(&line)?;
    }
    Ok(())
}

/// A trace for people: its state, then a step a line with the time since the first.
pub(super) fn trace_lines(trace: &Trace) -> Vec<String> {
    let state = trace.state.as_str();
    // Nobody signs to a recipient, so that none is no news about a message that came in.
    let summary = match trace.stored {
        0 => state.to_owned(),
        1 => format!("{state}; 1 holder has signed for it"),
        many => format!("{state}; {many} holders have signed for it"),
    };
    let mut lines = vec![trace.id.to_string(), summary];
    let first = trace.steps.first().map(|step| step.at).unwrap_or_default();
    for step in &trace.steps {
        let ms = step.at.since_ms(first);
        let (seconds, ms) = (ms / 1000, ms % 1000);
        let when = time(step.at);
        lines.push(format!(
            "  {when}  {:>9}  {}",
            format!("+{seconds}.{ms:03} s"),
            tame(&step.step)
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytchat_proto::rpc::message::{State, Step};

    #[test]
    fn a_trace_shows_every_step_with_its_time() {
        let step = |at, step: &str| Step { at: Timestamp(at), step: step.to_owned() };
        let trace = Trace {
            id: BlockId([0; 32]),
            state: State::Stored,
            stored: 5,
            steps: vec![step(1_000, "queued"), step(3_050, "holder a\u{1b} signed")],
        };
        let lines = trace_lines(&trace);
        assert_eq!(lines[1], "stored; 5 holders have signed for it");
        assert_eq!(lines[3], "  1970-01-01T00:00:03.050Z   +2.050 s  holder a\\u{1b} signed");
        assert_eq!(lines.len(), 4);
    }
}
