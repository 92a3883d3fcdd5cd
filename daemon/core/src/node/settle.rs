//! What comes out: news between cores, handed across until there is none, effects and deadlines.

use super::Node;
use crate::io::Output;
use crate::time::{Deadline, Now};

impl Node {
    /// The next effect.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.poll()
    }

    /// When the node wants to be woken, and why.
    pub fn poll_timeout(&self) -> Option<Deadline> {
        [
            self.links.poll_timeout(),
            self.dht.poll_timeout(),
            self.mailbox.poll_timeout(),
            self.outbox.poll_timeout(),
            self.inbox.poll_timeout(),
            self.waits.poll_timeout(),
            self.upkeep.poll_timeout(),
            self.checks.poll_timeout(),
        ]
        .into_iter()
        .fold(None, Deadline::earliest)
    }

    /// Hands news across until no core has any more.
    pub(super) fn settle(&mut self, now: Now) {
        while self.settle_once(now) {}
    }

    fn settle_once(&mut self, now: Now) -> bool {
        if let Some(event) = self.answers.pop_front().or_else(|| self.links.poll_event()) {
            self.handle_link_event(event, now);
        } else if let Some(ask) = self.dht.poll_ask() {
            self.handle_ask(ask, now);
        } else if let Some(event) = self.dht.poll_event() {
            self.handle_dht_event(event, now);
        } else if let Some(event) = self.hosts.poll_event() {
            self.handle_host_event(event, now);
        } else if let Some(effect) = self.mailbox.poll_effect() {
            self.handle_effect(effect, now);
        } else {
            return false;
        }
        true
    }
}
