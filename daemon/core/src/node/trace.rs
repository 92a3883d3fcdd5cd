//! The trace of a message: each step with its evidence.

use std::collections::{BTreeMap, BTreeSet};

use bytchat_proto::codec::{decode, encode};
use bytchat_proto::id::NodeId;
use bytchat_proto::key::DeviceKey;
use bytchat_proto::limits::{HOLDERS, TRACE_STEPS_MAX};
use bytchat_proto::rpc::message::{Message, Step, Trace};
use bytchat_proto::rpc::to_result;
use bytchat_proto::timestamp::Timestamp;
use serde::{Deserialize, Serialize};

use super::Node;
use super::history::{Loading, owner_of};
use crate::io::CallId;
use crate::outbox::EntryId;
use crate::persist::{Query, Row, Table};
use crate::time::Now;

/// What kind of step it is: how far it may fill the trace, and what it proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// It may come back with every try, so that it leaves room for evidence.
    Try,
    /// A node keeps it; with the device and the node when that is one of the recipient's holders.
    Kept(Option<(DeviceKey, NodeId)>),
    /// The message's last word, for which there is always room.
    End,
}

/// A step as it lies on disk.
#[derive(Debug, Serialize, Deserialize)]
struct StepRow {
    at: Timestamp,
    step: String,
    /// The holder that signed, and for which device.
    #[serde(default)]
    signed: Option<(DeviceKey, NodeId)>,
}

impl Mark {
    /// Steps after which there is no more room for one of this kind.
    fn most(self) -> usize {
        match self {
            Self::Try => TRACE_STEPS_MAX / 2,
            Self::Kept(_) => TRACE_STEPS_MAX - 4,
            Self::End => TRACE_STEPS_MAX,
        }
    }
}

impl Node {
    /// Writes a step of an entry's message down that brings no evidence.
    pub(super) fn step_entry(&mut self, id: EntryId, step: &str, now: Now) {
        self.note(id, Mark::Try, step, now);
    }

    /// Writes a step down that may come back with every try: only at the first.
    pub(super) fn step_once(&mut self, id: EntryId, step: &str, now: Now) {
        if self.outbox.get(id).is_some_and(|entry| entry.tries <= 1) {
            self.step_entry(id, step, now);
        }
    }

    /// Writes a step of an entry's message down; receipts leave no trace. Steps are in the order
    /// of their numbers, because the wall's clock may go back.
    pub(super) fn note(&mut self, id: EntryId, mark: Mark, step: &str, now: Now) {
        let entry = self.outbox.get(id);
        let Some((account, block)) = entry.and_then(|entry| Some((entry.account, entry.block?)))
        else {
            return;
        };
        let Some(number) = self.outbox.count_step(id, mark.most(), &mut self.out) else {
            return;
        };
        let signed = match mark {
            Mark::Kept(signed) => signed,
            Mark::Try | Mark::End => None,
        };
        let row = StepRow { at: now.wall, step: step.to_owned(), signed };
        let number = u64::from(number).to_be_bytes();
        let key = [block.as_bytes(), account.as_bytes(), number.as_slice()].concat();
        self.out.put(Table::Trace, key, encode(&row));
    }

    pub(super) fn load_steps(&mut self, call: CallId, message: Message) {
        let account = owner_of(&message);
        let prefix = [message.id.as_bytes(), account.as_bytes()].concat();
        let query = Query::prefix(Table::Trace, &prefix, TRACE_STEPS_MAX);
        self.load(query, Loading::Steps { call, message: Box::new(message) });
    }

    pub(super) fn answer_trace(&mut self, call: CallId, message: &Message, rows: &[Row]) {
        let rows: Vec<StepRow> = rows.iter().filter_map(|(_, value)| decode(value).ok()).collect();
        let stored = signers(&rows);
        let steps = rows.into_iter().map(|row| Step { at: row.at, step: row.step }).collect();
        let trace = Trace { id: message.id, state: message.state, stored, steps };
        self.reply(call, Ok(to_result(&trace)));
    }
}

/// How many holders have signed, at most five a device: over the days they may be others.
fn signers(rows: &[StepRow]) -> usize {
    let mut signed: BTreeMap<DeviceKey, BTreeSet<NodeId>> = BTreeMap::new();
    for (device, node) in rows.iter().filter_map(|row| row.signed) {
        signed.entry(device).or_default().insert(node);
    }
    signed.values().map(|nodes| nodes.len().min(HOLDERS)).sum()
}

/// The day of a time, for people.
pub(super) fn date(at: Timestamp) -> String {
    // Civil-from-days (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms").
    let days = at.0 / bytchat_proto::limits::DAY_MS + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use bytchat_proto::id::{BlockId, UserId};

    use super::*;
    use crate::fixture::at;
    use crate::node::fixture::Machine;
    use crate::outbox;

    const BLOCK: BlockId = BlockId([5; 32]);

    /// Puts a message into the outbox of a machine.
    fn queue(machine: &mut Machine) -> EntryId {
        let content = outbox::block_content(vec![1]);
        let mut entry = outbox::entry(UserId([1; 20]), UserId([2; 20]), content, at(0));
        entry.block = Some(BLOCK);
        let id = machine.node.outbox.queue(entry, &mut machine.node.out);
        machine.drain();
        id
    }

    fn steps(machine: &Machine) -> Vec<StepRow> {
        machine.rows(Table::Trace).iter().map(|(_, row)| decode(row).unwrap()).collect()
    }

    #[test]
    fn steps_are_neither_lost_nor_reordered_by_a_restart() {
        let mut machine = Machine::new();
        let id = queue(&mut machine);
        machine.node.step_entry(id, "one", at(60_000));
        machine.node.step_entry(id, "two", at(60_000));
        machine.restart(at(0));
        machine.node.step_entry(id, "three, by a clock that went back", at(0));
        machine.node.step_entry(id, "four", at(60_000));
        machine.drain();
        let texts: Vec<String> = steps(&machine).into_iter().map(|row| row.step).collect();
        assert_eq!(texts, ["one", "two", "three, by a clock that went back", "four"]);
    }

    #[test]
    fn restarts_make_no_room_for_more_steps_and_the_last_word_has_its_place() {
        let mut machine = Machine::new();
        let id = queue(&mut machine);
        for number in 0..TRACE_STEPS_MAX {
            machine.node.step_entry(id, "a try in vain", at(0));
            let node = NodeId([u8::try_from(number).unwrap(); 20]);
            let signed = Some((DeviceKey([1; 32]), node));
            machine.node.note(id, Mark::Kept(signed), "somebody signed", at(0));
            machine.restart(at(0));
        }
        machine.node.note(id, Mark::End, "delivered", at(0));
        machine.drain();
        let rows = steps(&machine);
        assert!(rows.len() < TRACE_STEPS_MAX, "{}", rows.len());
        assert_eq!(rows.last().unwrap().step, "delivered");
        assert_eq!(signers(&rows), HOLDERS);
        machine.node.outbox.remove(id, &mut machine.node.out);
        machine.drain();
        assert!(machine.rows(Table::Outbox).is_empty());
    }

    #[test]
    fn holders_are_counted_by_their_signatures_and_not_by_words() {
        let row = |step: &str, signed| StepRow { at: Timestamp(0), step: step.to_owned(), signed };
        let (device, other) = (DeviceKey([1; 32]), DeviceKey([2; 32]));
        let rows = [
            row("stored 4/5 as a holder's refusal says", None),
            row("kept by a first", Some((device, NodeId([1; 20])))),
            row("kept by the first for longer", Some((device, NodeId([1; 20])))),
            row("kept by a second", Some((device, NodeId([2; 20])))),
            row("kept for another device", Some((other, NodeId([1; 20])))),
        ];
        assert_eq!(signers(&rows), 3);
    }

    #[test]
    fn days_are_written_as_people_write_them() {
        assert_eq!(date(Timestamp(0)), "1970-01-01");
        assert_eq!(date(Timestamp(951_782_400_000)), "2000-02-29");
        assert_eq!(date(Timestamp(1_795_219_200_000)), "2026-11-21");
    }
}
