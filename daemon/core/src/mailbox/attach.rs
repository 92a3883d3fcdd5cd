//! Who is attached: challenges, proofs and the devices that each link may speak for.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytchat_proto::envelope::AttachProof;
use bytchat_proto::id::{EnvelopeId, NodeId, UserId};
use bytchat_proto::key::AccountKey;
use bytchat_proto::limits::{
    ACCOUNTS_MAX, CHALLENGE_MS, DEVICES_PER_USER_MAX, IDS_PER_REQUEST_MAX,
    KEY_TAKES_PER_MINUTE_MAX, LINKS_MAX, MINUTE_MS, PUSH_AGAIN_MAX_MS, PUSH_AGAIN_MS,
    PUSHES_IN_FLIGHT_MAX, PUSHES_PER_LOAD_MAX,
};
use bytchat_proto::record::{DeviceCertificate, RecordError};
use bytchat_proto::unverified::Unverified;

use super::Limits;
use super::share::{Quota, Room, Shares, Source};
use super::shelf::Owner;
use crate::fill::Fills;
use crate::io::{LinkId, LoadId};
use crate::time::{Mono, Now};

/// A device that gets what waits for it.
pub(super) struct Attachment {
    pub(super) link: LinkId,
    /// Whose share its place is of.
    source: Source,
    /// From this arrival on nothing was pushed yet.
    pub(super) next: u64,
    /// Notices from this number on it was not told yet.
    pub(super) told: u64,
    /// What was pushed, or is on its way from the disk, and is not removed.
    pub(super) in_flight: BTreeMap<EnvelopeId, Pushed>,
    /// What the device asked to see again.
    pub(super) again: VecDeque<EnvelopeId>,
    /// The question to the disk that it waits for.
    pub(super) loading: Option<LoadId>,
    /// Whether it waits for its turn to ask the disk.
    pub(super) queued: bool,
}

/// When something was pushed, and how often again.
#[derive(Clone, Copy)]
pub(super) struct Pushed {
    at: Mono,
    again: u32,
}

impl Pushed {
    /// When it is to be pushed again if it is not removed.
    fn due(self) -> Mono {
        let wait = PUSH_AGAIN_MS << self.again.min(10);
        self.at.plus_ms(wait.min(PUSH_AGAIN_MAX_MS))
    }
}

impl Attachment {
    /// Something is pushed now, or on its way to be.
    pub(super) fn sent(&mut self, id: EnvelopeId, now: Mono) {
        self.in_flight.entry(id).or_insert(Pushed { at: now, again: 0 }).at = now;
    }

    /// Something is gone. A device that removes is well, so that the rest need not wait for long.
    pub(super) fn landed(&mut self, id: EnvelopeId) {
        if self.in_flight.remove(&id).is_some() {
            self.in_flight.values_mut().for_each(|pushed| pushed.again = 0);
        }
    }

    /// When the first is to be pushed again.
    pub(super) fn first_due(&self) -> Option<Mono> {
        self.in_flight.values().map(|pushed| pushed.due()).min()
    }

    /// What waits longest for its removal and is to be pushed again now: not all at once.
    fn overdue(&mut self, now: Mono) -> Vec<EnvelopeId> {
        let due = self.in_flight.iter().map(|(id, pushed)| (pushed.due(), *id));
        let mut late: Vec<(Mono, EnvelopeId)> = due.filter(|(due, _)| now >= *due).collect();
        late.sort_unstable();
        late.truncate(PUSHES_PER_LOAD_MAX);
        for (_, id) in &late {
            if let Some(pushed) = self.in_flight.get_mut(id) {
                *pushed = Pushed { at: now, again: pushed.again.saturating_add(1) };
            }
        }
        late.into_iter().map(|(_, id)| id).collect()
    }
}

/// A question that only the device can answer, once.
struct Challenge {
    user: UserId,
    nonce: [u8; 32],
    until: Mono,
}

#[derive(Default)]
struct PerLink {
    challenge: Option<Challenge>,
    owners: BTreeSet<Owner>,
    minute: Mono,
    takes: u32,
}

/// What a proof is held against.
pub(super) struct Expected<'a> {
    pub(super) holder: NodeId,
    pub(super) link: LinkId,
    pub(super) binding: &'a [u8; 32],
}

/// A device's answer to a challenge.
pub(super) struct Answer<'a> {
    pub(super) account: &'a AccountKey,
    pub(super) certificate: &'a Unverified<DeviceCertificate>,
    pub(super) proof: &'a Unverified<AttachProof>,
}

/// Why a device is not attached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ProveError {
    /// There is no challenge to answer.
    #[error("no challenge is open on this link: attach first")]
    NoChallenge,
    /// The challenge is too old.
    #[error("the challenge is older than {CHALLENGE_MS} ms: attach again")]
    TooLate,
    /// The account, the certificate or the signature is wrong.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Something signed is not what was asked for.
    #[error("the proof names another {0} than this link expects")]
    Mismatch(&'static str),
}

/// All challenges and attached devices.
#[derive(Default)]
pub(super) struct Attachments {
    links: BTreeMap<LinkId, PerLink>,
    attached: BTreeMap<Owner, Attachment>,
    shares: Shares,
}

impl Attachments {
    /// How full it is.
    pub(super) fn fills(&self, limits: &Limits, fills: &mut Fills) {
        fills.note("links of the mailbox", self.links.len(), LINKS_MAX);
        fills.note("devices attached", self.attached.len(), limits.attached);
        self.shares.fills("devices attached of a user", DEVICES_PER_USER_MAX, fills);
        let attached = || self.attached.values();
        let flying = attached().map(|it| it.in_flight.len());
        fills.most("pushes in flight", flying, PUSHES_IN_FLIGHT_MAX);
        let again = attached().map(|it| it.again.len());
        fills.most("pushes asked for again", again, IDS_PER_REQUEST_MAX);
    }

    pub(super) fn len(&self) -> usize {
        self.attached.len()
    }

    pub(super) fn get(&self, owner: Owner) -> Option<&Attachment> {
        self.attached.get(&owner)
    }

    pub(super) fn get_mut(&mut self, owner: Owner) -> Option<&mut Attachment> {
        self.attached.get_mut(&owner)
    }

    pub(super) fn is_attached(&self, link: LinkId, owner: Owner) -> bool {
        self.get(owner).is_some_and(|attached| attached.link == link)
    }

    pub(super) fn has_user(&self, user: UserId) -> bool {
        self.attached.range(Owner::all_of(user)).next().is_some()
    }

    /// The devices of a user that are attached on a link.
    pub(super) fn devices_on(&self, link: LinkId, user: UserId) -> Vec<Owner> {
        let devices = self.attached.range(Owner::all_of(user));
        let here = devices.filter(|(_, attached)| attached.link == link);
        here.map(|(owner, _)| *owner).collect()
    }

    /// Opens a challenge in place of an older one; false if too many links have one.
    pub(super) fn challenge(
        &mut self,
        link: LinkId,
        user: UserId,
        nonce: [u8; 32],
        now: Now,
    ) -> bool {
        let Some(state) = self.state(link, now.mono) else {
            return false;
        };
        state.challenge = Some(Challenge { user, nonce, until: now.mono.plus_ms(CHALLENGE_MS) });
        true
    }

    /// Checks a device's answer; the challenge is used up either way.
    pub(super) fn prove(
        &mut self,
        expected: &Expected<'_>,
        answer: &Answer<'_>,
        now: Now,
    ) -> Result<Owner, ProveError> {
        let state = self.links.get_mut(&expected.link);
        let challenge = state.and_then(|state| state.challenge.take());
        let challenge = challenge.ok_or(ProveError::NoChallenge)?;
        if now.mono >= challenge.until {
            return Err(ProveError::TooLate);
        }
        let user = challenge.user;
        if answer.account.user() != user {
            return Err(ProveError::Mismatch("user"));
        }
        let certificate = answer.certificate.verify(answer.account);
        let certificate = certificate.map_err(RecordError::from)?.into_value();
        certificate.check(user)?;
        let device = certificate.device;
        let proof = answer.proof.verify(&device).map_err(RecordError::from)?;
        let parts = [
            (proof.user == user, "user"),
            (proof.device == device, "device"),
            (proof.holder == expected.holder, "holder"),
            (proof.nonce.as_ref() == challenge.nonce, "nonce"),
            (proof.binding.as_ref() == expected.binding, "link"),
        ];
        match parts.iter().find(|(same, _)| !same) {
            Some((_, what)) => Err(ProveError::Mismatch(what)),
            None => Ok(Owner { user, device }),
        }
    }

    /// Why a device may not attach on a link. One that is attached gives its place back first.
    // SPEC 6.9: places are few, so that no user and no source takes them all.
    pub(super) fn full(
        &mut self,
        link: LinkId,
        owner: Owner,
        source: Source,
        max: usize,
    ) -> Option<&'static str> {
        let on_link = self.links.get(&link).map_or(0, |state| state.owners.len());
        if on_link >= ACCOUNTS_MAX && !self.is_attached(link, owner) {
            return Some("too many devices are attached on this link");
        }
        let old = self.get(owner).map(|attached| attached.source);
        if old == Some(source) {
            return None;
        }
        if old.is_none() && self.shares.of_user(owner.user).count >= DEVICES_PER_USER_MAX {
            return Some("too many devices of this user are attached");
        }
        // A user's devices are few already: only the places of all have shares.
        let room = |count| Room { count, bytes: usize::MAX };
        let quota = Quota { all: room(max), user: room(usize::MAX) };
        old.into_iter().for_each(|old| self.shares.take(owner.user, old, 0));
        let full = self.shares.full(owner.user, source, 0, &quota);
        old.into_iter().for_each(|old| self.shares.add(owner.user, old, 0));
        full
    }

    /// Attaches a proven device, from the first envelope on; an older link of it loses it.
    pub(super) fn attach(&mut self, link: LinkId, owner: Owner, source: Source) {
        self.detach(owner);
        self.shares.add(owner.user, source, 0);
        self.links.entry(link).or_default().owners.insert(owner);
        let attachment = Attachment {
            link,
            source,
            next: 0,
            told: 0,
            in_flight: BTreeMap::new(),
            again: VecDeque::new(),
            loading: None,
            queued: false,
        };
        self.attached.insert(owner, attachment);
    }

    /// What is to be pushed again now, by device.
    pub(super) fn overdue(&mut self, now: Mono) -> Vec<(Owner, Vec<EnvelopeId>)> {
        let late = |(owner, attached): (&Owner, &mut Attachment)| (*owner, attached.overdue(now));
        self.attached.iter_mut().map(late).filter(|(_, late)| !late.is_empty()).collect()
    }

    /// When the first is to be pushed again.
    pub(super) fn first_due(&self) -> Option<Mono> {
        self.attached.values().filter_map(Attachment::first_due).min()
    }

    /// Detaches a device.
    pub(super) fn detach(&mut self, owner: Owner) {
        let Some(old) = self.attached.remove(&owner) else {
            return;
        };
        self.shares.take(owner.user, old.source, 0);
        if let Some(state) = self.links.get_mut(&old.link) {
            state.owners.remove(&owner);
        }
    }

    /// Forgets a link and detaches its devices.
    pub(super) fn link_down(&mut self, link: LinkId) -> BTreeSet<Owner> {
        let owners = self.links.remove(&link).unwrap_or_default().owners;
        for owner in &owners {
            if let Some(old) = self.attached.remove(owner) {
                self.shares.take(owner.user, old.source, 0);
            }
        }
        owners
    }

    /// Counts a request for keys; false if the link asked too often in this minute.
    pub(super) fn may_take_keys(&mut self, link: LinkId, now: Now) -> bool {
        let Some(state) = self.state(link, now.mono) else {
            return false;
        };
        if now.mono.since_ms(state.minute) >= MINUTE_MS {
            state.minute = now.mono;
            state.takes = 0;
        }
        state.takes = state.takes.saturating_add(1);
        state.takes <= KEY_TAKES_PER_MINUTE_MAX
    }

    fn state(&mut self, link: LinkId, now: Mono) -> Option<&mut PerLink> {
        if !self.links.contains_key(&link) && self.links.len() >= LINKS_MAX {
            self.links.retain(|_, state| state.is_needed(now));
            if self.links.len() >= LINKS_MAX {
                return None;
            }
        }
        let fresh = || PerLink { minute: now, ..PerLink::default() };
        Some(self.links.entry(link).or_insert_with(fresh))
    }
}

impl PerLink {
    fn is_needed(&self, now: Mono) -> bool {
        let challenged = self.challenge.as_ref().is_some_and(|open| now < open.until);
        challenged || !self.owners.is_empty() || now.since_ms(self.minute) < MINUTE_MS
    }
}
