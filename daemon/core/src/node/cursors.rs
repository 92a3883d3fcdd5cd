//! `cursor.*`: named positions in the log of events.

use std::sync::Arc;

use bytchat_proto::rpc::cursor::{ByName, Cursor, Cursors, Set};
use bytchat_proto::rpc::{Done, ErrorKind, RpcError};

use super::Node;
use super::narrow::place_of;
use crate::event::{Saved, Span};
use crate::io::{Caller, Scope};
use crate::time::Now;

impl Node {
    pub(super) fn cursor_set(
        &mut self,
        caller: Caller,
        with: &Set,
        now: Now,
    ) -> Result<Cursor, RpcError> {
        if with.epoch.as_ref().is_some_and(|epoch| epoch != self.events.epoch()) {
            return Err(ErrorKind::OtherEpoch.because("`epoch` names another log than this one"));
        }
        let saved = Saved { seq: with.seq, at: now.wall };
        self.events.set_cursor(caller.uid, &with.name, saved, &mut self.out)?;
        Ok(self.cursor(caller, &with.name, saved))
    }

    pub(super) fn cursor_get(&self, caller: Caller, with: &ByName) -> Result<Cursor, RpcError> {
        let saved = self.events.cursors().get(caller.uid, &with.name);
        saved.map(|saved| self.cursor(caller, &with.name, saved)).ok_or_else(|| none(&with.name))
    }

    pub(super) fn cursor_list(&self, caller: Caller, scope: Option<&Arc<Scope>>) -> Cursors {
        let place = scope.map(|scope| place_of(scope)).unwrap_or_default();
        let Span { first, last } = self.events.span(caller.uid);
        let cursors = self.events.cursors().of(caller.uid);
        let cursors = cursors.filter(|(name, _)| name.starts_with(&place));
        Cursors {
            cursors: cursors.map(|(name, saved)| self.cursor(caller, name, saved)).collect(),
            epoch: self.events.epoch().to_owned(),
            first,
            head: last,
        }
    }

    pub(super) fn cursor_delete(
        &mut self,
        caller: Caller,
        with: &ByName,
    ) -> Result<Done, RpcError> {
        let removed = self.events.remove_cursor(caller.uid, &with.name, &mut self.out);
        if removed { Ok(Done {}) } else { Err(none(&with.name)) }
    }

    fn cursor(&self, caller: Caller, name: &str, saved: Saved) -> Cursor {
        let Span { first, last } = self.events.span(caller.uid);
        let behind = last.saturating_sub(saved.seq.max(first));
        Cursor { name: name.to_owned(), seq: saved.seq, at: saved.at, behind }
    }
}

fn none(name: &str) -> RpcError {
    let shown: String = name.chars().take(80).collect();
    ErrorKind::NotFound.because(format!("you have no position {shown:?}"))
}
