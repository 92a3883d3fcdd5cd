//! Calls that change something, on their way to what does it: repeated ones get the first answer
//! again, and dry runs change nothing.

#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;

use bytchat_proto::limits::{ANSWERS_FORGOTTEN_AT_ONCE, CLIENT_ID_BYTES_MAX, PAGE_MAX};
use bytchat_proto::rpc::{Call, ErrorKind, RpcError};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Node;
use super::history::Loading;
use crate::answer::{Answers, Begun, Kept, Key};
use crate::io::{CallId, Caller, Output, Scope};
use crate::persist::Row;
use crate::time::Now;

/// A call that waits for what its client id led to before.
#[derive(Debug)]
pub(super) struct Repeated {
    pub(super) call: CallId,
    pub(super) caller: Caller,
    pub(super) scope: Option<Arc<Scope>>,
    pub(super) client_id: String,
    pub(super) request: Call,
}

/// What a client id led to before.
pub(super) enum Before {
    /// To this answer to the same call.
    Same(Value),
    /// To another call.
    Other,
    /// To something that cannot be read any more.
    Damaged,
}

/// Feeds a hash, so that what is hashed is written nowhere: it may hold a private key.
struct Hashing(Sha256);

impl io::Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Node {
    /// Answers a front end.
    pub(super) fn reply(&mut self, call: CallId, mut result: Result<Value, RpcError>) {
        self.kept.end(call, &mut result, &mut self.out);
        self.out.push(Output::Reply { call, result });
    }

    /// Answers a call of a session that may be narrowed.
    pub(super) fn handle_call(
        &mut self,
        call: CallId,
        (caller, scope): (Caller, Option<Arc<Scope>>),
        request: Call,
        now: Now,
    ) {
        let narrowed = match &scope {
            Some(scope) => self.narrow(caller, scope, request),
            None => Ok(request),
        };
        match narrowed {
            Ok(request) => self.handle_in_full(call, (caller, scope), request, now),
            Err(error) => self.out.push(Output::Reply { call, result: Err(error) }),
        }
    }

    fn handle_in_full(
        &mut self,
        call: CallId,
        (caller, scope): (Caller, Option<Arc<Scope>>),
        mut request: Call,
        now: Now,
    ) {
        let Some(repeat) = request.repeat() else {
            return self.run(call, (caller, scope), request, now);
        };
        let (client_id, dry_run) = (repeat.client_id.take(), *repeat.dry_run);
        let checked = client_id.as_deref().map_or(Ok(()), check_client_id);
        let client_id = client_id.filter(|_| !dry_run);
        let client = client_id.as_deref().map(|id| (Key::new(caller.uid, id), asked(&request)));
        let begun = Begun::new(caller.uid, client, dry_run, self.clock.late(now).wall);
        if let Err(error) = checked.and_then(|()| self.kept.begin(call, begun)) {
            return self.out.push(Output::Reply { call, result: Err(error) });
        }
        let (Some((key, _)), Some(client_id)) = (client, client_id) else {
            return self.run(call, (caller, scope), request, now);
        };
        let repeated = Box::new(Repeated { call, caller, scope, client_id, request });
        self.load(key.query(), Loading::Repeated { repeated });
    }

    fn run(&mut self, call: CallId, who: (Caller, Option<Arc<Scope>>), request: Call, now: Now) {
        if let Err(error) = self.dispatch(call, who, request, now) {
            self.reply(call, Err(error));
        }
    }

    /// The rows of a client id are here, or there are none.
    pub(super) fn handle_repeated(&mut self, repeated: Repeated, rows: &[Row], now: Now) {
        let Some((_, row)) = rows.first() else {
            return self.look_at_former(repeated, now);
        };
        let before = match Kept::decode(row) {
            Some(kept) if self.kept.is_asked(repeated.call, kept.asked) => {
                Before::Same(kept.answer)
            }
            Some(_) => Before::Other,
            None => Before::Damaged,
        };
        self.done_before(&repeated, before);
    }

    // SPEC 8.50: the same call gives the first answer again, another one the error `conflict`.
    /// A client id was used before.
    pub(super) fn done_before(&mut self, repeated: &Repeated, before: Before) {
        let call = repeated.call;
        match before {
            Before::Same(mut answer) => {
                answer["replayed"] = true.into();
                self.kept.replay(call);
                self.out.push(Output::Reply { call, result: Ok(answer) });
            }
            Before::Other => {
                let error = "this client id was used for another call";
                self.reply(call, Err(ErrorKind::Conflict.because(error)));
            }
            // Something was done, and must not be done again.
            Before::Damaged => {
                let error = "what this client id led to is damaged on disk: look whether it was \
                    done, and use another id if not";
                tracing::error!("the answer to a call with a client id is damaged on disk");
                self.reply(call, Err(ErrorKind::Internal.because(error)));
            }
        }
    }

    /// A client id was not used before.
    pub(super) fn not_done_before(&mut self, repeated: Repeated, now: Now) {
        let Repeated { call, caller, scope, request, .. } = repeated;
        match self.kept.check_room(caller.uid) {
            Ok(()) => self.run(call, (caller, scope), request, now),
            Err(error) => self.reply(call, Err(error)),
        }
    }

    /// Looks for answers that are older than they are kept.
    pub(super) fn sweep_answers(&mut self, now: Now) {
        let calm = self.clock.calm(now);
        self.sweep_former(calm.wall);
        if !self.kept.sweeping && !self.recount_answers() {
            self.kept.sweeping = true;
            let query = Answers::old(calm.wall, ANSWERS_FORGOTTEN_AT_ONCE);
            self.load(query, Loading::OldAnswers);
        }
    }

    /// Counts anew what is counted wrong on disk, a few rows at a time; false if nothing is.
    pub(super) fn recount_answers(&mut self) -> bool {
        let query = self.kept.recount();
        self.kept.sweeping = query.is_some();
        query.map(|query| self.load(query, Loading::Recount)).is_some()
    }

    /// Rows that are counted anew are here.
    pub(super) fn recounted_answers(&mut self, rows: &[Row]) {
        self.kept.recounted(rows, &mut self.out);
        self.recount_answers();
    }

    /// Rows of answers cannot be read at the moment.
    pub(super) fn sweep_failed(&mut self, now: Now) {
        self.kept.sweeping = false;
        self.upkeep.sweep_soon(now);
    }

    /// Forgets them, and goes on soon if there may be more.
    pub(super) fn forget_answers(&mut self, rows: &[Row], now: Now) {
        self.kept.sweeping = false;
        self.kept.forget(rows, &mut self.out);
        if rows.len() >= ANSWERS_FORGOTTEN_AT_ONCE {
            self.upkeep.sweep_soon(now);
        }
    }
}

/// What is asked for: the parameters that are there, each in its place, without the client id.
fn asked(request: &Call) -> [u8; 32] {
    let mut hashing = Hashing(Sha256::new());
    serde_json::to_writer(&mut hashing, request).expect("calls have a JSON form");
    hashing.0.finalize().into()
}

// SPEC 8.4: what is wrong is named.
fn check_client_id(id: &str) -> Result<(), RpcError> {
    if id.is_empty() || id.len() > CLIENT_ID_BYTES_MAX || !id.bytes().all(|b| b.is_ascii_graphic())
    {
        return Err(ErrorKind::BadParameters.because(format!(
            "`client_id` has 1 to {CLIENT_ID_BYTES_MAX} visible characters of ASCII"
        )));
    }
    Ok(())
}

/// A page of a list, and whether there is more.
pub(super) fn page<T>(items: impl Iterator<Item = T>, limit: Option<usize>) -> (Vec<T>, bool) {
    let mut items = items.peekable();
    let limit = limit.map_or(usize::MAX, |limit| limit.clamp(1, PAGE_MAX));
    let page = items.by_ref().take(limit).collect();
    (page, items.peek().is_some())
}
