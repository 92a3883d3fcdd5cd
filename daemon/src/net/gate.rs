//! Who may come in: seats for links, and rates for handshakes.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::limits::{
    HOST_HANDSHAKES_BURST, HOST_HANDSHAKES_PER_SECOND, NetLimits, PREFIX_HANDSHAKES_BURST,
    PREFIX_HANDSHAKES_PER_SECOND, RATE_SLOTS,
};

/// Locks a mutex whose holders cannot leave its value half changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is to be done with a stranger who knocks.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Begin the handshake and keep the seat as long as the link lives.
    Accept(Seat),
    /// Ask for a proof of the address, which costs us no memory.
    Retry,
    /// Say that there is no room.
    Refuse,
    /// Say nothing: who knocks that often reads no answers.
    Ignore,
}

/// How many links there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetCounts {
    /// Links and handshakes, accepted and dialled.
    pub seats: usize,
    /// Accepted handshakes that are not links yet.
    pub half_open: usize,
}

/// The doorkeeper of all listen addresses.
#[derive(Debug)]
pub(crate) struct Gate {
    limits: NetLimits,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    counts: NetCounts,
    hosts: BTreeMap<IpAddr, usize>,
    prefixes: BTreeMap<IpAddr, usize>,
    /// Unproved addresses have a table of their own: who spoofs a victim's address must not be
    /// able to use up what the victim itself may do.
    unproved: Rates,
    proved: Rates,
}

impl Gate {
    pub(crate) fn new(limits: NetLimits) -> Arc<Self> {
        let state = State {
            counts: NetCounts::default(),
            hosts: BTreeMap::new(),
            prefixes: BTreeMap::new(),
            unproved: Rates::new(),
            proved: Rates::new(),
        };
        Arc::new(Self { limits, state: Mutex::new(state) })
    }

    pub(crate) fn counts(&self) -> NetCounts {
        lock(&self.state).counts
    }

    /// Judges a handshake from `address`, which the transport may have proved; `now` is the time
    /// since any fixed point.
    pub(crate) fn knock(self: &Arc<Self>, address: IpAddr, proved: bool, now: Duration) -> Verdict {
        let place = Place::new(address, self.limits.loopback_exempt);
        let mut state = lock(&self.state);
        if state.counts.seats >= self.limits.links {
            return Verdict::Refuse;
        }
        if !proved && state.counts.half_open >= self.limits.half_open {
            return Verdict::Retry;
        }
        if !place.exempt {
            let rates = if proved { &mut state.proved } else { &mut state.unproved };
            match (rates.take(&place, now), proved) {
                (true, _) => {}
                (false, true) => return Verdict::Ignore,
                (false, false) => return Verdict::Retry,
            }
        }
        if proved && !state.has_room(&place, &self.limits) {
            return Verdict::Refuse;
        }
        state.counts.seats += 1;
        state.counts.half_open += 1;
        let mut seat = Seat { gate: Arc::clone(self), place, half_open: true, counted: false };
        if proved {
            seat.count(&mut state);
        }
        Verdict::Accept(seat)
    }

    /// Takes a seat for a dial, if there is one.
    pub(crate) fn reserve(self: &Arc<Self>, address: IpAddr) -> Option<Seat> {
        let mut state = lock(&self.state);
        if state.counts.seats >= self.limits.links {
            return None;
        }
        state.counts.seats += 1;
        let place = Place::new(address, true);
        Some(Seat { gate: Arc::clone(self), place, half_open: false, counted: false })
    }
}

impl State {
    fn has_room(&self, place: &Place, limits: &NetLimits) -> bool {
        let of = |map: &BTreeMap<IpAddr, usize>, key| map.get(key).copied().unwrap_or(0);
        place.exempt
            || (of(&self.hosts, &place.host) < limits.links_per_host
                && of(&self.prefixes, &place.prefix) < limits.links_per_prefix)
    }
}

/// Room for one link, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    gate: Arc<Gate>,
    place: Place,
    half_open: bool,
    counted: bool,
}

impl Seat {
    /// Turns a handshake into a link; false when its host has too many of them.
    pub(crate) fn establish(&mut self) -> bool {
        let gate = Arc::clone(&self.gate);
        let mut state = lock(&gate.state);
        if !self.half_open {
            return true;
        }
        self.half_open = false;
        state.counts.half_open -= 1;
        if !self.counted && !state.has_room(&self.place, &gate.limits) {
            return false;
        }
        self.count(&mut state);
        true
    }

    fn count(&mut self, state: &mut State) {
        if !self.counted && !self.place.exempt {
            *state.hosts.entry(self.place.host).or_default() += 1;
            *state.prefixes.entry(self.place.prefix).or_default() += 1;
            self.counted = true;
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = lock(&self.gate.state);
        state.counts.seats -= 1;
        if self.half_open {
            state.counts.half_open -= 1;
        }
        if self.counted {
            release(&mut state.hosts, self.place.host);
            release(&mut state.prefixes, self.place.prefix);
        }
    }
}

fn release(map: &mut BTreeMap<IpAddr, usize>, key: IpAddr) {
    if let Some(count) = map.get_mut(&key) {
        *count -= 1;
        if *count == 0 {
            map.remove(&key);
        }
    }
}

/// Where somebody comes from: one machine and one network.
#[derive(Debug)]
struct Place {
    host: IpAddr,
    prefix: IpAddr,
    exempt: bool,
}

impl Place {
    fn new(address: IpAddr, loopback_exempt: bool) -> Self {
        let address = address.to_canonical();
        let (host, prefix) = match address {
            IpAddr::V4(v4) => (address, Ipv4Addr::from_bits(v4.to_bits() & (!0 << 8)).into()),
            // A machine with IPv6 has a whole /64 to choose from.
            IpAddr::V6(v6) => (
                Ipv6Addr::from_bits(v6.to_bits() & (!0 << 64)).into(),
                Ipv6Addr::from_bits(v6.to_bits() & (!0 << 80)).into(),
            ),
        };
        Self { host, prefix, exempt: loopback_exempt && address.is_loopback() }
    }
}

/// Rates of handshakes by host and by prefix.
#[derive(Debug)]
struct Rates {
    hosts: RateTable,
    prefixes: RateTable,
}

impl Rates {
    fn new() -> Self {
        Self {
            hosts: RateTable::new(HOST_HANDSHAKES_PER_SECOND, HOST_HANDSHAKES_BURST),
            prefixes: RateTable::new(PREFIX_HANDSHAKES_PER_SECOND, PREFIX_HANDSHAKES_BURST),
        }
    }

    fn take(&mut self, place: &Place, now: Duration) -> bool {
        self.hosts.has(&place.host, now)
            && self.prefixes.has(&place.prefix, now)
            && self.hosts.take(&place.host, now)
            && self.prefixes.take(&place.prefix, now)
    }
}

/// Token buckets in a table of fixed size, found by a keyed hash that nobody outside can aim at.
///
/// A bucket is the one number of the generic cell rate algorithm (ITU-T I.371): the time at
/// which it will be full again.
#[derive(Debug)]
struct RateTable {
    full_at: Vec<Duration>,
    hasher: RandomState,
    interval: Duration,
    burst: Duration,
}

impl RateTable {
    fn new(per_second: u32, burst: u32) -> Self {
        let interval = Duration::from_secs(1) / per_second;
        let full_at = vec![Duration::ZERO; RATE_SLOTS];
        Self { full_at, hasher: RandomState::new(), interval, burst: interval * burst }
    }

    fn has(&mut self, key: &IpAddr, now: Duration) -> bool {
        let (interval, burst) = (self.interval, self.burst);
        (*self.slot(key)).max(now) + interval <= now + burst
    }

    fn take(&mut self, key: &IpAddr, now: Duration) -> bool {
        let has = self.has(key, now);
        if has {
            let interval = self.interval;
            let slot = self.slot(key);
            *slot = (*slot).max(now) + interval;
        }
        has
    }

    fn slot(&mut self, key: &IpAddr) -> &mut Duration {
        let slots = u64::try_from(self.full_at.len()).expect("a table fits into memory");
        let at = usize::try_from(self.hasher.hash_one(key) % slots).expect("an index is in memory");
        &mut self.full_at[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1000);

    fn open() -> NetLimits {
        let wide = usize::MAX;
        NetLimits {
            links: wide,
            links_per_host: wide,
            links_per_prefix: wide,
            half_open: wide,
            ..NetLimits::default()
        }
    }

    fn v4(c: u8, d: u8) -> IpAddr {
        IpAddr::from([203, 0, c, d])
    }

    fn count_accepted(gate: &Arc<Gate>, from: IpAddr, proved: bool, knocks: u32) -> u32 {
        let knock = |_: &u32| matches!(gate.knock(from, proved, NOW), Verdict::Accept(_));
        u32::try_from((0..knocks).filter(knock).count()).unwrap()
    }

    fn seat(verdict: Verdict) -> Option<Seat> {
        if let Verdict::Accept(seat) = verdict { Some(seat) } else { None }
    }

    #[test]
    fn a_host_may_burst_and_then_only_at_its_rate() {
        let gate = Gate::new(open());
        assert_eq!(count_accepted(&gate, v4(0, 1), true, 1000), HOST_HANDSHAKES_BURST);
        assert!(matches!(gate.knock(v4(0, 1), true, NOW), Verdict::Ignore));
        let later = NOW + Duration::from_secs(1);
        let accepted = (0..100).filter(|_| seat(gate.knock(v4(0, 1), true, later)).is_some());
        assert_eq!(accepted.count(), usize::try_from(HOST_HANDSHAKES_PER_SECOND).unwrap());
    }

    #[test]
    fn a_prefix_is_limited_though_each_of_its_hosts_is_fresh() {
        let gate = Gate::new(open());
        let accepted: u32 = (0..=255).map(|d| count_accepted(&gate, v4(0, d), true, 1)).sum();
        assert_eq!(accepted, PREFIX_HANDSHAKES_BURST);
        // Two of ten other prefixes in its slot would be a coincidence of one in ten thousands.
        let others: u32 = (1..=10).map(|c| count_accepted(&gate, v4(c, 1), true, 1)).sum();
        assert!(others >= 8, "{others}");
    }

    #[test]
    fn an_ipv6_host_is_its_whole_64_and_its_prefix_the_48() {
        let gate = Gate::new(open());
        let v6 =
            |net: u16, sub: u16, host: u16| IpAddr::from([0x2001, 0xdb8, net, sub, 0, 0, 0, host]);
        let one: u32 = (0..200).map(|host| count_accepted(&gate, v6(1, 0, host), true, 1)).sum();
        assert_eq!(one, HOST_HANDSHAKES_BURST);
        let whole: u32 = (0..2000).map(|sub| count_accepted(&gate, v6(2, sub, 1), true, 1)).sum();
        assert_eq!(whole, PREFIX_HANDSHAKES_BURST);
    }

    #[test]
    fn who_spoofs_an_address_does_not_shut_it_out() {
        let gate = Gate::new(open());
        assert_eq!(count_accepted(&gate, v4(0, 1), false, 1000), HOST_HANDSHAKES_BURST);
        assert!(matches!(gate.knock(v4(0, 1), false, NOW), Verdict::Retry));
        assert!(matches!(gate.knock(v4(0, 1), true, NOW), Verdict::Accept(_)));
    }

    #[test]
    fn a_flood_from_everywhere_takes_no_more_memory() {
        let mut rates = Rates::new();
        let slots = rates.hosts.full_at.capacity();
        for n in 0..100_000u32 {
            rates.take(&Place::new(IpAddr::from(n.to_be_bytes()), true), NOW);
        }
        assert_eq!(rates.hosts.full_at.capacity(), slots);
        assert_eq!(slots, RATE_SLOTS);
    }

    #[test]
    fn above_the_half_open_limit_strangers_must_prove_their_address() {
        let gate = Gate::new(NetLimits { half_open: 2, ..open() });
        let mut first = seat(gate.knock(v4(0, 1), false, NOW)).unwrap();
        let _second = seat(gate.knock(v4(0, 2), false, NOW)).unwrap();
        assert!(matches!(gate.knock(v4(0, 3), false, NOW), Verdict::Retry));
        assert!(matches!(gate.knock(v4(0, 3), true, NOW), Verdict::Accept(_)));
        assert!(first.establish());
        assert_eq!(gate.counts(), NetCounts { seats: 2, half_open: 1 });
        assert!(matches!(gate.knock(v4(0, 3), false, NOW), Verdict::Accept(_)));
    }

    #[test]
    fn seats_are_limited_in_all_and_given_back() {
        let gate = Gate::new(NetLimits { links: 2, ..open() });
        let dialled = gate.reserve(v4(0, 1)).unwrap();
        let accepted = seat(gate.knock(v4(0, 2), true, NOW)).unwrap();
        assert!(matches!(gate.knock(v4(0, 3), true, NOW), Verdict::Refuse));
        assert!(gate.reserve(v4(0, 3)).is_none());
        drop(accepted);
        assert!(gate.reserve(v4(0, 3)).is_some());
        drop(dialled);
        assert_eq!(gate.counts(), NetCounts::default());
    }

    #[test]
    fn links_of_a_host_and_of_a_prefix_are_limited() {
        let gate = Gate::new(NetLimits { links_per_host: 2, links_per_prefix: 3, ..open() });
        let mut seats = Vec::new();
        for host in [1, 1, 2] {
            seats.push(seat(gate.knock(v4(0, host), true, NOW)).unwrap());
        }
        assert!(matches!(gate.knock(v4(0, 1), true, NOW), Verdict::Refuse));
        assert!(matches!(gate.knock(v4(0, 3), true, NOW), Verdict::Refuse));
        assert!(matches!(gate.knock(v4(1, 1), true, NOW), Verdict::Accept(_)));
        seats.clear();
        assert!(lock(&gate.state).hosts.is_empty() && lock(&gate.state).prefixes.is_empty());
        assert!(matches!(gate.knock(v4(0, 1), true, NOW), Verdict::Accept(_)));
    }

    #[test]
    fn an_unproved_host_is_counted_when_its_handshake_is_done() {
        let gate = Gate::new(NetLimits { links_per_host: 1, ..open() });
        let mut first = seat(gate.knock(v4(0, 1), false, NOW)).unwrap();
        let mut second = seat(gate.knock(v4(0, 1), false, NOW)).unwrap();
        assert!(first.establish());
        assert!(!second.establish());
        drop(second);
        assert_eq!(gate.counts(), NetCounts { seats: 1, half_open: 0 });
        assert!(matches!(gate.knock(v4(0, 1), true, NOW), Verdict::Refuse));
    }

    #[test]
    fn loopback_is_exempt_if_so_configured() {
        let limits = NetLimits { links_per_host: 1, ..open() };
        let gate = Gate::new(limits.clone());
        for local in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(count_accepted(&gate, local.parse().unwrap(), true, 1000), 1000);
        }
        let strict = Gate::new(NetLimits { loopback_exempt: false, ..limits });
        let local = "127.0.0.1".parse().unwrap();
        assert_eq!(count_accepted(&strict, local, true, 1000), HOST_HANDSHAKES_BURST);
    }
}
