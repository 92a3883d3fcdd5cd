//! How full the mailbox is.

use bytchat_proto::limits::{MAILBOX_LOADS_MAX, OFFERS_WAITING_MAX, SWEEP_ROWS_MAX};

use super::Mailbox;
use crate::fill::Fills;

impl Mailbox {
    /// How full everything is that others can fill.
    pub fn fills(&self, fills: &mut Fills) {
        let limits = &self.limits;
        self.shelf.fills(limits, fills);
        self.tombstones.fills(limits, fills);
        self.keys.fills(limits, fills);
        self.notices.fills(limits, fills);
        self.attachments.fills(limits, fills);
        fills.note("questions of the mailbox to the disk", self.loads.len(), MAILBOX_LOADS_MAX);
        fills.note("devices waiting for their turn", self.ready.len(), limits.attached);
        fills.note("envelopes to be offered", self.offers.count(), OFFERS_WAITING_MAX);
        let late = self.late.iter().map(|(_, owners)| owners.len());
        fills.most("devices waiting for the disk", late, limits.attached);
        fills.note("rows without an envelope", self.orphans.len(), SWEEP_ROWS_MAX);
    }
}
