//! `message.waiting`: what has not reached its recipient yet, and why.

use std::collections::BTreeMap;

use bytchat_proto::id::{BlockId, UserId};
use bytchat_proto::limits::{HOLDERS, PAGE_DEFAULT, PAGE_MAX, WRITE_QUORUM};
use bytchat_proto::rpc::RpcError;
use bytchat_proto::rpc::message::{Cause, OnItsWay, State, Waiting, Waits};

use crate::io::Caller;
use crate::node::Node;
use crate::outbox::Entry;
use crate::time::Now;

impl Node {
    /// The messages of one account that are on their way, as many as a page holds.
    pub(in crate::node) fn message_waiting(
        &self,
        caller: Caller,
        with: &Waiting,
        now: Now,
    ) -> Result<Waits, RpcError> {
        let account = self.accounts.pick(caller, with.account.as_deref())?.user();
        let limit = with.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
        let all = self.outbox.of_account(account, with.after);
        let mut waits = all.filter(|entry| !entry.is_done());
        // Looking at all that goes to one recipient takes its time: once for each.
        let mut crowded = BTreeMap::new();
        let shown = |entry: &Entry| {
            let cause = self.cause(caller, entry, &mut crowded, now);
            Some(on_its_way(entry, entry.block?, cause, now))
        };
        let messages: Vec<OnItsWay> = waits.by_ref().take(limit).filter_map(shown).collect();
        let more = waits.next().is_some();
        let next = messages.last().filter(|_| more).map(|last| last.id);
        Ok(Waits { messages, next })
    }

    /// Why a message waits, by what the node knows at the moment.
    fn cause(
        &self,
        caller: Caller,
        entry: &Entry,
        crowded: &mut BTreeMap<UserId, bool>,
        now: Now,
    ) -> Cause {
        if entry.state >= State::Stored {
            return Cause::RecipientAway;
        }
        if self.book.is_user_damaged(caller, entry.to) {
            return Cause::PinDamaged;
        }
        if entry.alias.as_ref().is_some_and(|alias| self.book.has_changed(caller, alias)) {
            return Cause::KeyChanged;
        }
        if self.links.count() == 0 {
            return Cause::NoNetwork;
        }
        let Some(route) = self.routes.get(entry.to, now) else {
            return if entry.tries <= 1 { Cause::UnderWay } else { Cause::RecipientNotFound };
        };
        if !entry.is_under_way() {
            let crowded = crowded.entry(entry.to);
            return if *crowded.or_insert_with(|| self.outbox.is_crowded(entry.to)) {
                Cause::Earlier
            } else {
                Cause::UnderWay
            };
        }
        let asked = entry.targets.values().any(|target| !target.asked.is_empty());
        let quorum = WRITE_QUORUM.min(route.closest.len().clamp(1, HOLDERS));
        match entry.stored_count() {
            _ if asked => Cause::UnderWay,
            0 => Cause::NoHolder,
            held if held < quorum => Cause::FewHolders,
            _ => Cause::UnderWay,
        }
    }
}

fn on_its_way(entry: &Entry, id: BlockId, cause: Cause, now: Now) -> OnItsWay {
    OnItsWay {
        id,
        to: entry.to,
        alias: entry.alias.clone(),
        state: entry.state,
        since: entry.created,
        tries: entry.tries,
        holders: entry.stored_count(),
        cause,
        next_try_ms: entry.next_try().since_ms(now.mono),
    }
}

#[cfg(test)]
mod tests {
    use bytchat_proto::id::UserId;
    use bytchat_proto::limits::MINUTE_MS;
    use bytchat_proto::rpc::{Call, Changed, ErrorKind, message};

    use super::*;
    use crate::fixture::at;
    use crate::node::fixture::Machine;

    fn send(machine: &mut Machine, uid: u32, to: UserId) -> bytchat_proto::id::BlockId {
        let (to, text) = (to.to_string(), "hi".to_owned());
        let call = Call::MessageSend(message::Send { to, text, ..message::Send::default() });
        let sent = machine.ask(uid, call, at(0)).unwrap();
        serde_json::from_value::<Changed<message::Sent>>(sent).unwrap().result.id
    }

    fn waiting(machine: &mut Machine, uid: u32, with: Waiting) -> Waits {
        let answer = machine.ask(uid, Call::MessageWaiting(with), at(MINUTE_MS)).unwrap();
        serde_json::from_value(answer).unwrap()
    }

    #[test]
    fn what_waits_is_listed_with_its_cause_for_its_own_user_alone() {
        let mut machine = Machine::new();
        machine.person(1);
        machine.person(2);
        let to = UserId([9; 20]);
        let mut ids = [send(&mut machine, 1, to), send(&mut machine, 1, to)];
        ids.sort_unstable();
        let waits = waiting(&mut machine, 1, Waiting::default());
        assert_eq!(waits.messages.iter().map(|it| it.id).collect::<Vec<_>>(), ids);
        let first = &waits.messages[0];
        assert_eq!((first.cause, first.to, first.holders), (Cause::NoNetwork, to, 0));
        assert!(waiting(&mut machine, 2, Waiting::default()).messages.is_empty());
        let page = |after| Waiting { limit: Some(1), after, ..Waiting::default() };
        let first = waiting(&mut machine, 1, page(None));
        assert_eq!((first.messages.len(), first.next), (1, Some(ids[0])));
        let last = waiting(&mut machine, 1, page(first.next));
        assert_eq!((last.messages[0].id, last.next), (ids[1], None));
    }

    #[test]
    fn without_an_account_there_is_nothing_to_ask_about() {
        let mut machine = Machine::new();
        let call = Call::MessageWaiting(Waiting::default());
        let error = machine.ask(1, call, at(0)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::NoAccount);
    }
}
