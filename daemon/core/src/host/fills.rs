//! How full the hosts are.

use bytchat_proto::limits::{HOST_PINS_MAX, HOST_WAITING_MAX, HOSTS_MAX};

use super::Hosts;
use crate::fill::Fills;

impl<P> Hosts<P> {
    /// How full everything is that others can fill.
    pub fn fills(&self, fills: &mut Fills) {
        fills.note("pods known", self.known.len(), HOSTS_MAX);
        fills.note("pods pinned", self.pins.len(), HOST_PINS_MAX);
        let waiting = self.known.values().map(|known| known.waiting.len());
        fills.most("requests waiting for a pod", waiting, HOST_WAITING_MAX);
    }
}
