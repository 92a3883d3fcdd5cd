//! `cursor.*`: named positions in the log of events.

use std::sync::Arc;

use bytchat_proto::rpc::cursor::{ByName, Cursor, Cursors, Delete, List, Set};
use bytchat_proto::rpc::{Done, ErrorKind, RpcError};

use super::Node;
use super::narrow::place_of;
use super::people::check_rev;
use super::repeat::page;
use crate::event::{Saved, Span};
use crate::io::{CallId, Caller, Scope};
use crate::time::Now;

impl Node {
    pub(super) fn cursor_set(
        &mut self,
        call: CallId,
        caller: Caller,
        with: &Set,
        now: Now,
    ) -> Result<Cursor, RpcError> {
        if with.epoch.as_ref().is_some_and(|epoch| epoch != self.events.epoch()) {
            return Err(ErrorKind::OtherEpoch.because("`epoch` names another log than this one"));
        }
        let before = self.events.cursors().get(caller.uid, &with.name);
        check_rev("the position", with.expect_rev, before.map_or(0, |saved| saved.seq))?;
        let saved = Saved { seq: with.seq, at: now.wall };
        if self.kept.is_dry(call) {
            self.events.check_cursor(caller.uid, &with.name, with.seq)?;
        } else {
            self.events.set_cursor(caller.uid, &with.name, saved, &mut self.out)?;
        }
        Ok(self.cursor(caller, &with.name, saved))
    }

    pub(super) fn cursor_get(&self, caller: Caller, with: &ByName) -> Result<Cursor, RpcError> {
        let saved = self.events.cursors().get(caller.uid, &with.name);
        saved.map(|saved| self.cursor(caller, &with.name, saved)).ok_or_else(|| none(&with.name))
    }

    pub(super) fn cursor_list(
        &self,
        (caller, scope): (Caller, Option<&Arc<Scope>>),
        with: &List,
    ) -> Cursors {
        let place = scope.map(|scope| place_of(scope)).unwrap_or_default();
        let Span { first, last } = self.events.span(caller.uid);
        let cursors = self.events.cursors().of(caller.uid);
        let rest = cursors.filter(|(name, _)| {
            name.starts_with(&place)
                && with.after.as_deref().is_none_or(|after| *name > after)
                && with.name.as_deref().is_none_or(|only| *name == only)
        });
        let views = rest.map(|(name, saved)| self.cursor(caller, name, saved));
        let (cursors, more) = page(views, with.limit);
        let next = cursors.last().filter(|_| more).map(|cursor: &Cursor| cursor.name.clone());
        let epoch = self.events.epoch().to_owned();
        Cursors { cursors, epoch, first, head: last, next }
    }

    pub(super) fn cursor_delete(
        &mut self,
        call: CallId,
        caller: Caller,
        with: &Delete,
    ) -> Result<Done, RpcError> {
        let there = match self.kept.is_dry(call) {
            true => self.events.cursors().get(caller.uid, &with.name).is_some(),
            false => self.events.remove_cursor(caller.uid, &with.name, &mut self.out),
        };
        if there { Ok(Done {}) } else { Err(none(&with.name)) }
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
