//! What was pushed and is not removed is pushed again.

use bytchat_proto::limits::{PUSH_AGAIN_MS, PUSH_AGAIN_PACE_MS};

use super::Mailbox;
use crate::io::Outputs;
use crate::time::{Mono, Now};

impl Mailbox {
    /// Looks later whether what is pushed was removed.
    pub(super) fn watch(&mut self, now: Mono) {
        self.again_at.get_or_insert(now.plus_ms(PUSH_AGAIN_MS));
    }

    /// Pushes again what was pushed and not removed for long.
    // SPEC 6.9: a lost push or removal must not cost its place in the window for good.
    pub(super) fn push_overdue(&mut self, now: Now, out: &mut Outputs) {
        if self.again_at.is_none_or(|at| at > now.mono) {
            return;
        }
        for (owner, ids) in self.attachments.overdue(now.mono) {
            // What has no room is due again later.
            let pushed = ids.into_iter().filter(|id| self.push_again(owner, *id)).count();
            tracing::debug!(pushed, "mail that was not removed is pushed again");
        }
        let pace = now.mono.plus_ms(PUSH_AGAIN_PACE_MS);
        self.again_at = self.attachments.first_due().map(|due| due.max(pace));
        self.pump(now, out);
    }
}
