//! What versions before 0.2 kept of `message.send` with a client id: rows without a time, that
//! are read and, after as long as anything else is kept, removed.

use bytchat_proto::id::UserId;
use bytchat_proto::limits::{ANSWERS_FORGOTTEN_AT_ONCE, ANSWERS_KEPT_MS};
use bytchat_proto::rpc::message::Sent;
use bytchat_proto::rpc::to_result;
use bytchat_proto::timestamp::Timestamp;
use serde::Deserialize;

use super::Node;
use super::history::Loading;
use super::repeat::{Before, Repeated};
use crate::answer::{Former, hash};
use crate::persist::{Query, Row, Table};
use crate::time::Now;

/// The beginning of their keys.
const PREFIX: &[u8] = b"c";

/// One of them.
#[derive(Debug, Deserialize)]
struct Done {
    sent: Sent,
    text: [u8; 32],
}

impl Node {
    /// At the first start of this version: they are kept from now on as long as anything else. A
    /// new store has none.
    pub(super) fn restored_former(&mut self, is_new: bool, now: Now) {
        if self.kept.former == Former::Unknown {
            let until = self.clock.late(now).wall.plus_ms(ANSWERS_KEPT_MS);
            let former = if is_new { Former::None } else { Former::Until(until) };
            self.kept.set_former(former, &mut self.out);
        }
    }

    /// Looks there for what a client id led to.
    pub(super) fn look_at_former(&mut self, repeated: Repeated, now: Now) {
        let Some(with) = repeated.request.sends().filter(|_| self.kept.former != Former::None)
        else {
            return self.not_done_before(repeated, now);
        };
        let Ok(account) = self.accounts.pick(repeated.caller, with.account.as_deref()) else {
            return self.not_done_before(repeated, now);
        };
        let id = hash(&repeated.client_id);
        let key = [PREFIX, account.user().as_bytes(), &id].concat();
        let query = Query::row(Table::MessageIndex, &key);
        self.load(query, Loading::Former { repeated: Box::new(repeated) });
    }

    pub(super) fn handle_former(&mut self, repeated: Repeated, rows: &[Row], now: Now) {
        let Some((_, row)) = rows.first() else {
            return self.not_done_before(repeated, now);
        };
        let same = |done: &Done| {
            repeated.request.sends().is_some_and(|with| {
                let other = with.to.parse::<UserId>().is_ok_and(|to| to != done.sent.to);
                hash(&with.text) == done.text && !other
            })
        };
        let before = match serde_json::from_slice::<Done>(row) {
            Ok(done) if same(&done) => Before::Same(to_result(&done.sent)),
            Ok(_) => Before::Other,
            Err(_) => Before::Damaged,
        };
        self.done_before(&repeated, before);
    }

    /// Looks for them when they are old enough.
    pub(super) fn sweep_former(&mut self, calm: Timestamp) {
        if let Former::Until(until) = self.kept.former
            && calm >= until
        {
            let query = Query::prefix(Table::MessageIndex, PREFIX, ANSWERS_FORGOTTEN_AT_ONCE);
            self.load(query, Loading::OldFormer);
        }
    }

    /// Removes them, and goes on soon if there may be more.
    pub(super) fn forget_former(&mut self, rows: &[Row], now: Now) {
        for (key, _) in rows {
            self.out.remove(Table::MessageIndex, key.clone());
        }
        if rows.len() < ANSWERS_FORGOTTEN_AT_ONCE {
            self.kept.set_former(Former::None, &mut self.out);
        } else {
            self.upkeep.sweep_soon(now);
        }
    }
}
