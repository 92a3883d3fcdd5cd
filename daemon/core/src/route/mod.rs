//! Routes: what is known of a recipient: devices, keys, holders, pods, places.

use std::collections::BTreeMap;

use bytchat_proto::alias::Host;
use bytchat_proto::codec::decode;
use bytchat_proto::envelope::{OneTimeKey, Party};
use bytchat_proto::id::{NodeId, UserId};
use bytchat_proto::key::DeviceKey;
use bytchat_proto::limits::{
    DEVICES_PER_USER_MAX, HOLDERS_MAX, OUTBOX_MAX, RECORDS_PER_POINT_MAX, ROUTE_FRESH_MS,
};
use bytchat_proto::record::{
    LocationBody, NodeRecord, PrekeyBody, RecordBody, RecordKind, Signer, UserBody,
};
use bytchat_proto::timestamp::Timestamp;
use bytchat_proto::unverified::{Unverified, Verified};

use crate::fill::Fills;
use crate::time::{Mono, Now};

/// A device of a recipient.
#[derive(Clone, Debug)]
pub struct Device {
    /// Who it is.
    pub party: Party,
    /// Its Olm identity key.
    pub identity: [u8; 32],
    /// Its KEM and fallback keys; without them nothing can be sealed to it.
    pub prekeys: PrekeyBody,
    /// A key for one session opening.
    pub one_time: Option<[u8; 32]>,
}

/// What is known of a recipient.
#[derive(Clone, Debug)]
pub struct Route {
    /// Sequence number of the user record.
    pub head: u64,
    /// The devices that can be written to.
    pub devices: BTreeMap<DeviceKey, Device>,
    /// Pods that keep a fast copy.
    pub pods: Vec<Host>,
    /// The nodes closest to the user: those that should hold, and others to step in.
    pub closest: Vec<NodeRecord>,
    /// How many of them should hold.
    pub holders: usize,
    /// Nodes on which devices are up.
    pub places: Vec<NodeRecord>,
}

/// How a search for a recipient stands.
#[derive(Debug, Default)]
struct Search {
    user: Option<Verified<RecordBody>>,
    prekeys: Vec<Verified<RecordBody>>,
    places: Vec<NodeRecord>,
    closest: Vec<NodeRecord>,
    holders: usize,
    left: usize,
}

#[derive(Debug, Default)]
struct Entry {
    route: Option<Route>,
    fetched: Mono,
    search: Option<Search>,
}

/// What a search came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Parts are still looked for.
    Searching,
    /// The route is whole; one-time keys may be asked for.
    Found,
    /// No record of the user was found.
    Unknown,
}

/// The kinds of records that make a route.
pub const KINDS: [RecordKind; 3] = [RecordKind::User, RecordKind::Prekey, RecordKind::Location];

/// All routes, by recipient.
#[derive(Debug, Default)]
pub struct Routes {
    by_user: BTreeMap<UserId, Entry>,
}

impl Routes {
    /// How full everything is that others can fill.
    pub fn fills(&self, fills: &mut Fills) {
        fills.note("recipients known", self.by_user.len(), OUTBOX_MAX);
        let routes = || self.by_user.values().filter_map(|entry| entry.route.as_ref());
        let devices = routes().map(|route| route.devices.len());
        fills.most("devices of a recipient", devices, DEVICES_PER_USER_MAX);
        let closest = routes().map(|route| route.closest.len());
        fills.most("holders of a recipient", closest, 2 * HOLDERS_MAX);
        let places = routes().map(|route| route.places.len());
        fills.most("places of a recipient", places, RECORDS_PER_POINT_MAX);
    }

    /// The route to a user, if it is fresh and leads to a device.
    pub fn get(&self, user: UserId, now: Now) -> Option<&Route> {
        let entry = self.by_user.get(&user)?;
        let fresh = now.mono.since_ms(entry.fetched) < ROUTE_FRESH_MS;
        entry.route.as_ref().filter(|route| fresh && !route.devices.is_empty())
    }

    /// Takes the one-time key of a device: it opens one session only.
    pub fn take_one_time(&mut self, user: UserId, device: DeviceKey) -> Option<[u8; 32]> {
        let route = self.by_user.get_mut(&user)?.route.as_mut()?;
        route.devices.get_mut(&device)?.one_time.take()
    }

    /// Begins a search; false if one is under way.
    pub fn begin(&mut self, user: UserId) -> bool {
        if self.by_user.len() >= OUTBOX_MAX {
            self.by_user.retain(|_, entry| entry.search.is_some());
        }
        let entry = self.by_user.entry(user).or_default();
        if entry.search.is_some() {
            return false;
        }
        entry.search = Some(Search { left: KINDS.len(), ..Search::default() });
        true
    }

    /// Ends a search that could not begin.
    pub fn abandon(&mut self, user: UserId) {
        if let Some(entry) = self.by_user.get_mut(&user) {
            entry.search = None;
        }
    }

    /// Forgets how fresh a route is: it will be looked for again.
    pub fn stale(&mut self, user: UserId) {
        if let Some(entry) = self.by_user.get_mut(&user) {
            entry.route = None;
        }
    }

    /// Takes what one of the lookups found.
    pub fn found(
        &mut self,
        user: UserId,
        kind: RecordKind,
        records: Vec<Verified<RecordBody>>,
        (closest, holders): (Vec<NodeRecord>, usize),
        now: Now,
    ) -> Outcome {
        let Some(entry) = self.by_user.get_mut(&user) else {
            return Outcome::Searching;
        };
        let Some(search) = entry.search.as_mut() else {
            return Outcome::Searching;
        };
        match kind {
            RecordKind::User => {
                search.user = records.into_iter().max_by_key(|record| record.sequence);
                search.closest = closest;
                search.closest.truncate(2 * HOLDERS_MAX);
                search.holders = holders;
            }
            RecordKind::Prekey => search.prekeys = records,
            RecordKind::Location => search.places = records.iter().filter_map(place).collect(),
            RecordKind::Profile => {}
        }
        search.left -= 1;
        if search.left > 0 {
            return Outcome::Searching;
        }
        entry.route = entry.search.take().and_then(|search| search.finish(user));
        entry.fetched = now.mono;
        if entry.route.is_some() { Outcome::Found } else { Outcome::Unknown }
    }

    /// Takes one-time keys that a holder handed out. SPEC 6.4: a key is good only from the
    /// holder that it names.
    pub fn one_time_keys(
        &mut self,
        user: UserId,
        holder: NodeId,
        keys: &[Unverified<OneTimeKey>],
        now: Timestamp,
    ) {
        let route = self.by_user.get_mut(&user).and_then(|entry| entry.route.as_mut());
        let Some(route) = route else { return };
        for key in keys.iter().take(route.devices.len()) {
            let Ok(device) = key.peek().map(|key| key.device) else {
                continue;
            };
            let Some(known) = route.devices.get_mut(&device) else {
                continue;
            };
            let Ok(key) = key.verify(&device) else {
                continue;
            };
            if key.holder == holder && key.expires > now {
                known.one_time = key.key.as_slice().try_into().ok();
            }
        }
    }
}

impl Search {
    fn finish(self, user: UserId) -> Option<Route> {
        let record = self.user?;
        let body: UserBody = decode(&record.body).ok()?;
        let account = record.signer.account();
        let mut devices = BTreeMap::new();
        for certificate in &body.devices {
            let Ok(certificate) = certificate.verify(account) else {
                continue;
            };
            let device = certificate.device;
            if certificate.user != user || body.revoked.contains(&device) {
                continue;
            }
            let Ok(identity) = certificate.identity.as_slice().try_into() else {
                continue;
            };
            let Some(prekeys) = newest_prekeys(&self.prekeys, device) else {
                continue;
            };
            let party = Party { user, fingerprint: account.fingerprint(), device };
            devices.insert(device, Device { party, identity, prekeys, one_time: None });
        }
        Some(Route {
            head: record.sequence,
            devices,
            pods: body.pods,
            closest: self.closest,
            holders: self.holders,
            places: self.places,
        })
    }
}

fn newest_prekeys(records: &[Verified<RecordBody>], device: DeviceKey) -> Option<PrekeyBody> {
    let signed_by = |record: &&Verified<RecordBody>| match &record.signer {
        Signer::Device { certificate, .. } => {
            certificate.peek().is_ok_and(|certificate| certificate.device == device)
        }
        Signer::Account { .. } => false,
    };
    let newest = records.iter().filter(signed_by).max_by_key(|record| record.sequence)?;
    decode(&newest.body).ok()
}

fn place(record: &Verified<RecordBody>) -> Option<NodeRecord> {
    let body: LocationBody = decode(&record.body).ok()?;
    body.contact.peek().ok()
}
