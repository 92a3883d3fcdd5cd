//! What is stored and may have to be sealed anew, because its recipient cannot read it.

use bytchat_proto::envelope::{Envelope, Party};
use bytchat_proto::id::{EnvelopeId, UserId};
use bytchat_proto::limits::{LETTER_KEPT_MS, LETTERS_KEPT_MAX, LETTERS_KEPT_PER_USER_MAX};
use bytchat_proto::rpc::message::State;

use super::{Entry, EntryId, Outbox};
use crate::io::Outputs;
use crate::time::{Mono, Now};

impl Outbox {
    /// A quorum has signed: it is tried again rarely.
    pub fn settle(&mut self, id: EntryId, now: Now) {
        if let Some(entry) = self.entries.get_mut(&id) {
            (entry.tries, entry.again) = (0, false);
            self.put_off(id, true, now);
        }
    }

    /// The messages whose turn it is to be asked for at their holders: stored and not delivered,
    /// each in its turn.
    pub fn next_stored(&mut self, most: usize) -> Vec<EntryId> {
        let stored = |entry: &Entry| {
            entry.state == State::Stored && entry.block.is_some() && !entry.is_urgent()
        };
        let after = self.asked_for;
        let (later, sooner) = (self.entries.range(after..), self.entries.range(..after));
        let turn = later.chain(sooner).filter(|(_, entry)| stored(entry));
        let turn: Vec<EntryId> = turn.map(|(id, _)| *id).take(most).collect();
        self.asked_for = turn.last().map_or(EntryId(0), |last| EntryId(last.0.saturating_add(1)));
        turn
    }

    /// Keeps a letter without a message for a while after it is stored, because its recipient may
    /// find that it cannot be read. The oldest make room.
    // SPEC 6.12: a receipt that is lost with its session is sealed anew.
    pub fn keep(&mut self, id: EntryId, now: Now, out: &mut Outputs) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        let until = now.wall.plus_ms(LETTER_KEPT_MS);
        let to = entry.to;
        (entry.state, entry.again) = (State::Stored, false);
        entry.kept_until.get_or_insert(until);
        self.kept.insert(id);
        let of_user = self.of_user(to).filter(|(_, entry)| entry.kept_until.is_some());
        let of_user: Vec<EntryId> = of_user.map(|(id, _)| id).collect();
        let surplus = of_user.len().saturating_sub(LETTERS_KEPT_PER_USER_MAX);
        let mut gone: Vec<EntryId> = of_user.into_iter().take(surplus).collect();
        if self.kept.len() > LETTERS_KEPT_MAX {
            gone.extend(self.kept.first());
        }
        gone.into_iter().for_each(|id| self.remove(id, out));
        self.put_off(id, true, now);
        self.save(id, out);
    }

    /// Drops what is sealed to a recipient's device and was not confirmed, if some of it is what
    /// the recipient could not read: what lies between is lost to the same session. All of it is
    /// sealed anew.
    pub fn resend(
        &mut self,
        (account, to): (UserId, &Party),
        unread: &[EnvelopeId],
        now: Mono,
    ) -> Vec<EntryId> {
        let ours: Vec<EntryId> = self
            .of_user(to.user)
            .filter(|(_, entry)| entry.account == account)
            .map(|(id, _)| id)
            .collect();
        let sealed = |entry: &Entry| {
            let target = entry.targets.get(&to.device)?;
            target.envelope.as_ref().map(Envelope::id)
        };
        let known = |id: &EntryId| {
            let sealed = self.entries.get(id).and_then(sealed);
            sealed.is_some_and(|id| unread.contains(&id))
        };
        if !ours.iter().any(known) {
            return Vec::new();
        }
        let mut again = Vec::new();
        for id in ours {
            let Some(entry) = self.entries.get_mut(&id).filter(|entry| !entry.is_done()) else {
                continue;
            };
            let dropped = entry.targets.remove(&to.device).and_then(|target| target.envelope);
            if let Some(dropped) = dropped {
                self.tries.remove(&(entry.next_try, id));
                (entry.next_try, entry.tries, entry.again) = (now, 0, true);
                self.tries.insert((now, id));
                let payer = entry.payer();
                self.weigh(payer, 0, dropped.as_bytes().len());
                again.push(id);
            }
        }
        again
    }
}
