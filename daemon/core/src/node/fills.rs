//! How full the node is.

use bytchat_proto::limits::{
    ACCOUNTS_MAX, ATTACH_CHECKS_MAX, CALLS_MAX, CLOCK_WORDS_MAX, CONTACTS_MAX, LOOKUPS_MAX,
    LOOKUPS_WAITING_MAX, OBSERVED_MAX, PUTS_MAX, SESSIONS_MAX,
};

use super::Node;
use crate::fill::Fills;

impl Node {
    /// How full everything is that peers and front ends can fill: nothing is above its limit,
    /// whatever they do.
    pub fn fills(&self) -> Fills {
        let mut fills = Fills::default();
        self.links.fills(&mut fills);
        self.dht.fills(&mut fills);
        self.mailbox.fills(&mut fills);
        self.inbox.fills(&mut fills);
        self.outbox.fills(&mut fills);
        self.routes.fills(&mut fills);
        self.hosts.fills(&mut fills);
        self.pod.fills(&mut fills);
        self.waits.fills(&mut fills);
        self.upkeep.fills(&mut fills);
        fills.note("accounts", self.accounts.users().len(), ACCOUNTS_MAX);
        fills.note("sessions", self.sessions.len(), SESSIONS_MAX);
        fills.note("rounds", self.rounds.len(), CONTACTS_MAX);
        fills.note("people", self.book.count(), CONTACTS_MAX);
        fills.note("words about the time", self.clock.word_count(), CLOCK_WORDS_MAX);
        fills.note("words about our address", self.observed.word_count(), OBSERVED_MAX);
        fills.note("users to be checked", self.checks.count(), ATTACH_CHECKS_MAX);
        fills.note("lookups under way", self.lookups.len(), LOOKUPS_MAX + LOOKUPS_WAITING_MAX);
        fills.note("puts under way", self.puts.len(), PUTS_MAX);
        fills.note("jobs", self.jobs.len(), CALLS_MAX + ACCOUNTS_MAX);
        fills
    }
}
