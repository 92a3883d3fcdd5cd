//! How often an address is dialled that others name: nobody may aim this node at a third party.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use bytchat_proto::limits::{
    DIAL_PROVEN_MAX, DIAL_PROVEN_MS, DIAL_TARGETS_MAX, DIALS_BURST_PER_ADDRESS, DIALS_BURST_PER_IP,
    DIALS_BURST_PER_PREFIX, DIALS_EVERY_MS_PER_ADDRESS, DIALS_EVERY_MS_PER_IP,
    DIALS_EVERY_MS_PER_PREFIX,
};

use crate::fill::Fills;
use crate::prefix::Prefix;
use crate::time::Mono;

/// What is counted. Machines of a local network and processes of one machine differ by address
/// and port alone, so that only public addresses are counted as a whole and by their prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    Address(SocketAddr),
    Ip(IpAddr),
    Prefix(Prefix),
}

/// What was dialled lately, and where nodes have proven themselves.
#[derive(Debug, Default)]
pub(super) struct Targets {
    /// Until when the attempts that were made last, at their pace.
    paid_until: BTreeMap<Target, Mono>,
    proven: BTreeMap<SocketAddr, Mono>,
}

impl Target {
    fn of(address: SocketAddr) -> impl Iterator<Item = Self> {
        let prefix = Prefix::of(address.ip());
        let ip = prefix.map(|_| Self::Ip(address.ip().to_canonical()));
        [Some(Self::Address(address)), ip, prefix.map(Self::Prefix)].into_iter().flatten()
    }

    /// One attempt in so many milliseconds, and so many at once.
    fn pace(self) -> (u64, u64) {
        match self {
            Self::Address(_) => (DIALS_EVERY_MS_PER_ADDRESS, DIALS_BURST_PER_ADDRESS),
            Self::Ip(_) => (DIALS_EVERY_MS_PER_IP, DIALS_BURST_PER_IP),
            Self::Prefix(_) => (DIALS_EVERY_MS_PER_PREFIX, DIALS_BURST_PER_PREFIX),
        }
    }
}

impl Targets {
    /// How full it is.
    pub(super) fn fills(&self, fills: &mut Fills) {
        fills.note("addresses dialled", self.paid_until.len(), DIAL_TARGETS_MAX);
        fills.note("addresses proven", self.proven.len(), DIAL_PROVEN_MAX);
    }

    /// Counts an attempt; false if there were too many. Where a node has proven itself nothing is
    /// counted: it listens there, and wants to be dialled.
    // SPEC 2.9: no address that others name is dialled without end.
    pub(super) fn may_dial(&mut self, address: SocketAddr, now: Mono) -> bool {
        let proven = self.proven.get(&address);
        if proven.is_some_and(|at| now.since_ms(*at) < DIAL_PROVEN_MS) {
            return true;
        }
        let free = |target: Target| {
            let (every_ms, burst) = target.pace();
            let paid_ms = self.paid_until.get(&target).map_or(0, |until| until.since_ms(now));
            paid_ms.saturating_add(every_ms) <= every_ms.saturating_mul(burst)
        };
        if !Target::of(address).all(free) {
            return false;
        }
        for target in Target::of(address) {
            let paid = self.paid_until.get(&target).copied().unwrap_or(now).max(now);
            self.make_room(target, now);
            self.paid_until.insert(target, paid.plus_ms(target.pace().0));
        }
        true
    }

    /// Forgets what has rested, else what was dialled least.
    fn make_room(&mut self, target: Target, now: Mono) {
        if self.paid_until.len() < DIAL_TARGETS_MAX || self.paid_until.contains_key(&target) {
            return;
        }
        self.paid_until.retain(|_, until| *until > now);
        if self.paid_until.len() >= DIAL_TARGETS_MAX
            && let Some(least) = self.paid_until.iter().min_by_key(|(_, until)| **until)
        {
            let least = *least.0;
            self.paid_until.remove(&least);
        }
    }

    /// A node has proven itself at an address.
    pub(super) fn proved(&mut self, address: SocketAddr, now: Mono) {
        if self.proven.len() >= DIAL_PROVEN_MAX && !self.proven.contains_key(&address) {
            self.proven.retain(|_, at| now.since_ms(*at) < DIAL_PROVEN_MS);
            let oldest = self.proven.iter().min_by_key(|(_, at)| **at).map(|(it, _)| *it);
            if let Some(oldest) = oldest.filter(|_| self.proven.len() >= DIAL_PROVEN_MAX) {
                self.proven.remove(&oldest);
            }
        }
        self.proven.insert(address, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialled(targets: &mut Targets, addresses: impl Iterator<Item = String>, at: u64) -> u64 {
        let mut may = |address: String| targets.may_dial(address.parse().unwrap(), Mono(at));
        addresses.filter(|address| may(address.clone())).fold(0, |count, _| count + 1)
    }

    #[test]
    fn one_address_is_dialled_a_few_times_and_then_rarely() {
        let mut targets = Targets::default();
        let same = || (0..1_000).map(|_| "127.0.0.1:9".to_owned());
        assert_eq!(dialled(&mut targets, same(), 5), DIALS_BURST_PER_ADDRESS);
        assert_eq!(dialled(&mut targets, same(), 5 + DIALS_EVERY_MS_PER_ADDRESS - 1), 0);
        assert_eq!(dialled(&mut targets, same(), 5 + DIALS_EVERY_MS_PER_ADDRESS), 1);
        let rested = 5 + 2 * DIALS_BURST_PER_ADDRESS * DIALS_EVERY_MS_PER_ADDRESS;
        assert_eq!(dialled(&mut targets, same(), rested), DIALS_BURST_PER_ADDRESS);
    }

    #[test]
    fn ports_and_neighbours_of_a_public_address_count_together_and_local_ones_do_not() {
        let ports = |ip: &'static str| (1..1_000).map(move |port| format!("{ip}:{port}"));
        let mut targets = Targets::default();
        assert_eq!(dialled(&mut targets, ports("127.0.0.1"), 0), 999);
        assert_eq!(dialled(&mut targets, ports("10.1.2.3"), 0), 999);
        assert_eq!(dialled(&mut targets, ports("203.0.113.1"), 0), DIALS_BURST_PER_IP);
        assert_eq!(dialled(&mut targets, ports("[::ffff:203.0.113.1]"), 0), 0);
        let subnet = (2..250).map(|last| format!("203.0.113.{last}:1"));
        let rest = DIALS_BURST_PER_PREFIX - DIALS_BURST_PER_IP;
        assert_eq!(dialled(&mut targets, subnet, 0), rest);
        assert_eq!(dialled(&mut targets, ports("198.51.100.1").take(1), 0), 1);
    }

    #[test]
    fn where_a_node_has_proven_itself_it_is_dialled_freely_for_a_day() {
        let mut targets = Targets::default();
        let address: SocketAddr = "203.0.113.1:9".parse().unwrap();
        targets.proved(address, Mono(0));
        let same = || (0..1_000).map(|_| "203.0.113.1:9".to_owned());
        assert_eq!(dialled(&mut targets, same(), 1), 1_000);
        assert_eq!(dialled(&mut targets, same(), DIAL_PROVEN_MS), DIALS_BURST_PER_ADDRESS);
    }

    #[test]
    fn the_tables_are_bounded() {
        let mut targets = Targets::default();
        let ports = 1..=u16::try_from(DIAL_TARGETS_MAX.max(DIAL_PROVEN_MAX) + 50).unwrap();
        for port in ports {
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            assert!(targets.may_dial(address, Mono(0)));
            targets.proved(address, Mono(u64::from(port)));
        }
        assert_eq!(targets.paid_until.len(), DIAL_TARGETS_MAX);
        assert_eq!(targets.proven.len(), DIAL_PROVEN_MAX);
    }
}
