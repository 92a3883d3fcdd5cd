//! News between cores, handed across until there is none.

use super::Node;
use crate::time::Now;

impl Node {
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
