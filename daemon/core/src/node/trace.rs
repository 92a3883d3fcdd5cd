//! The trace of a message: each step with its evidence.

use bytchat_proto::id::{BlockId, UserId};
use bytchat_proto::limits::TRACE_STEPS_MAX;
use bytchat_proto::rpc::message::Step;
use bytchat_proto::timestamp::Timestamp;

use super::Node;
use crate::outbox::EntryId;
use crate::persist::Table;
use crate::time::Now;

impl Node {
    /// Writes a step of an entry's message down; receipts leave no trace.
    pub(super) fn step_entry(&mut self, id: EntryId, step: &str, now: Now) {
        let Some(entry) = self.outbox.get(id) else {
            return;
        };
        if let Some(block) = entry.block {
            self.step(entry.account, block, step, now);
        }
    }

    /// Writes a step down that may come back with every try: only at the first.
    pub(super) fn step_once(&mut self, id: EntryId, step: &str, now: Now) {
        if self.outbox.get(id).is_some_and(|entry| entry.tries <= 1) {
            self.step_entry(id, step, now);
        }
    }

    /// Writes a step of a message down, with its evidence.
    pub(super) fn step(&mut self, account: UserId, block: BlockId, step: &str, now: Now) {
        let number = self.waits.next_step(account, block);
        if number >= TRACE_STEPS_MAX {
            return;
        }
        let row = Step { at: now.wall, step: step.to_owned() };
        let mut key = [block.as_bytes(), account.as_bytes()].concat();
        key.extend_from_slice(&now.wall.0.to_be_bytes());
        key.extend_from_slice(&self.out.fresh().to_be_bytes());
        self.out.put(Table::Trace, key, bytchat_proto::codec::encode(&row));
    }
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
    use super::*;

    #[test]
    fn days_are_written_as_people_write_them() {
        assert_eq!(date(Timestamp(0)), "1970-01-01");
        assert_eq!(date(Timestamp(951_782_400_000)), "2000-02-29");
        assert_eq!(date(Timestamp(1_795_219_200_000)), "2026-11-21");
    }
}
