//! `bytctl send …`

use std::io::{self, IsTerminal, Read};
use std::time::{Duration, Instant};

use bytchat_proto::id::BlockId;
use bytchat_proto::limits::{RPC_WAIT_MS_MAX, TEXT_BYTES_MAX};
use bytchat_proto::rpc::message::{Message, Send, Sent, State, Wait};
use bytchat_proto::rpc::{Call, ErrorKind, to_result};
use serde::de::IgnoredAny;

use super::{Context, random_hex};
use crate::args;
use crate::client::{Client, understand};
use crate::failure::Failure;

/// A long wait is asked for in pieces, each shorter than a daemon that hangs is waited for.
const WAIT_PIECE_MS: u64 = 60_000;

pub(super) fn run(context: &mut Context, mut command: args::Send) -> Result<(), Failure> {
    if command.lines {
        return super::lines::run(context, &command);
    }
    let text = text(command.text.take(), &mut io::stdin())?;
    send(context, &command, text)
}

/// Sends one message, and waits for it if asked to.
pub(super) fn send(
    context: &mut Context,
    command: &args::Send,
    text: String,
) -> Result<(), Failure> {
    let until = deadline(command.timeout);
    let call = Call::MessageSend(Send {
        account: context.account.clone(),
        to: command.to.clone(),
        text,
        // SPEC 8.50: a repeated call with the same client id is the same message.
        client_id: Some(random_hex(16)?),
        dry_run: command.dry_run,
    });
    if command.dry_run {
        let change = args::Change { dry_run: true };
        return context.change::<IgnoredAny>(call, change).map(drop);
    }
    let mut sent: Sent = understand(context.client.call_again(&call, until)?)?;
    let Some(state) = command.wait else {
        return print(context, &sent);
    };
    let waited = wait(&mut context.client, sent.id, state, until);
    if let Ok(message) = &waited {
        sent.state = message.state;
    }
    // The id is said in any case: the message is on its way.
    print(context, &sent)?;
    waited.map(drop)
}

fn print(context: &mut Context, sent: &Sent) -> Result<(), Failure> {
    if context.printer.json() {
        return context.printer.value(&to_result(sent));
    }
    context.printer.line(&format!("{} {}", sent.state.as_str(), sent.id))
}

/// Waits until a message has come so far, also over a restart of the daemon.
pub(super) fn wait(
    client: &mut Client,
    id: BlockId,
    state: State,
    until: Instant,
) -> Result<Message, Failure> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let left_ms = u64::try_from(left.as_millis()).unwrap_or(RPC_WAIT_MS_MAX);
        let wait_ms = left_ms.min(WAIT_PIECE_MS);
        let call = Call::MessageWait(Wait { id, state, timeout_ms: Some(wait_ms) });
        let message = match client.call_again(&call, until) {
            Err(failure) if failure.kind() == Some(ErrorKind::Timeout) && left_ms > wait_ms => {
                continue;
            }
            result => understand::<Message>(result?)?,
        };
        if message.state == State::Expired && state != State::Expired {
            return Err(Failure::refused(
                &ErrorKind::Timeout.because("the message has expired: nobody took it in time"),
            ));
        }
        return Ok(message);
    }
}

/// The end of a time from now; a time beyond any clock is as good as a year.
pub(super) fn deadline(timeout: Duration) -> Instant {
    let now = Instant::now();
    let year = Duration::from_secs(365 * 86_400);
    now + timeout.min(year)
}

/// The text of the command line, or of stdin without its last newline.
fn text(named: Option<String>, stdin: &mut (impl Read + IsTerminal)) -> Result<String, Failure> {
    match named {
        Some(text) if text != "-" => return Ok(text),
        None if stdin.is_terminal() => {
            return Err(Failure::Usage(
                "there is no text: name it after the recipient, or pipe it in".to_owned(),
            ));
        }
        Some(_) | None => {}
    }
    let limit = u64::try_from(TEXT_BYTES_MAX).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    stdin
        .take(limit.saturating_add(2))
        .read_to_end(&mut bytes)
        .map_err(|source| Failure::File { what: "read", path: "stdin".into(), source })?;
    if bytes.ends_with(b"\n") {
        bytes.pop();
    }
    if bytes.len() > TEXT_BYTES_MAX {
        return Err(Failure::refused(
            &ErrorKind::TooLarge
                .because(format!("a message has at most {TEXT_BYTES_MAX} bytes, stdin has more")),
        ));
    }
    String::from_utf8(bytes)
        .map_err(|error| Failure::Usage(format!("stdin is no UTF-8 text: {}", error.utf8_error())))
}
