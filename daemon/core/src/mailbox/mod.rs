//! What a node does as holder of other people's envelopes, one-time keys and notices.
//!
//! Only what is known *about* an envelope is in memory; its bytes are on disk and come back by
//! `Output::Load`. Everything that a peer can make grow has a limit.

mod again;
mod attach;
mod effect;
mod fills;
mod kept;
mod notice;
mod onetime;
mod push;
mod repair;
mod share;
mod shelf;
mod tell;
mod tombstone;
mod verbs;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytchat_proto::id::{EnvelopeId, MailMark, NodeId, UserId};
use bytchat_proto::key::DeviceKey;
use bytchat_proto::limits::{
    ATTACHED_MAX, ENVELOPE_BYTES_PER_USER_MAX, ENVELOPES_BYTES_MAX, ENVELOPES_MAX,
    ENVELOPES_PER_USER_MAX, NOTICES_MAX, NOTICES_PER_USER_MAX, ONE_TIME_KEYS_MAX,
    ONE_TIME_KEYS_PER_BATCH, ONE_TIME_KEYS_SPENT_MAX, SWEEP_MS_MAX, SWEEP_ROWS_MAX, TOMBSTONES_MAX,
    TOMBSTONES_UNSEEN_PER_USER_MAX,
};
use bytchat_proto::timestamp::Timestamp;
use bytchat_proto::wire::{Request, Response};
use tracing::warn;

use self::attach::Attachments;
pub use self::effect::Effect;
pub use self::kept::Challenge;
use self::notice::Notices;
use self::onetime::OneTimeKeys;
use self::push::Purpose;
use self::repair::Offers;
pub use self::share::Source;
use self::share::{Quota, Room};
use self::shelf::{Owner, Shelf};
use self::tell::Pages;
use self::tombstone::{Tombstone, Tombstones};
use crate::io::{LinkId, LoadId, Outputs, Sign};
use crate::persist::Table;
use crate::time::{Deadline, Mono, Now};

/// How much a holder keeps.
#[derive(Clone, Copy, Debug)]
struct Limits {
    envelopes: usize,
    bytes: usize,
    envelopes_per_user: usize,
    bytes_per_user: usize,
    tombstones: usize,
    tombstones_unseen_per_user: usize,
    notices: usize,
    notices_per_user: usize,
    keys: usize,
    keys_per_device: usize,
    keys_spent: usize,
    attached: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            envelopes: ENVELOPES_MAX,
            bytes: ENVELOPES_BYTES_MAX,
            envelopes_per_user: ENVELOPES_PER_USER_MAX,
            bytes_per_user: ENVELOPE_BYTES_PER_USER_MAX,
            tombstones: TOMBSTONES_MAX,
            tombstones_unseen_per_user: TOMBSTONES_UNSEEN_PER_USER_MAX,
            notices: NOTICES_MAX,
            notices_per_user: NOTICES_PER_USER_MAX,
            keys: ONE_TIME_KEYS_MAX,
            keys_per_device: ONE_TIME_KEYS_PER_BATCH,
            keys_spent: ONE_TIME_KEYS_SPENT_MAX,
            attached: ATTACHED_MAX,
        }
    }
}

impl Limits {
    fn of_envelopes(&self) -> Quota {
        Quota {
            all: Room { count: self.envelopes, bytes: self.bytes },
            user: Room { count: self.envelopes_per_user, bytes: self.bytes_per_user },
        }
    }

    fn of_notices(&self) -> Quota {
        let room = |count| Room { count, bytes: usize::MAX };
        Quota { all: room(self.notices), user: room(self.notices_per_user) }
    }
}

/// Who asks, and what that means for this node.
#[derive(Clone, Copy, Debug)]
pub struct Peer<'a> {
    /// The link over which the request came.
    pub link: LinkId,
    /// The TLS exporter of that link.
    pub binding: &'a [u8; 32],
    /// Whether this node is among the closest to the user of the request, or a pod of that user.
    pub near: bool,
    /// Where the request comes from.
    pub source: Source,
}

/// The mailbox of a node: envelopes, one-time keys and notices for devices of other people.
pub struct Mailbox {
    own: NodeId,
    limits: Limits,
    shelf: Shelf,
    tombstones: Tombstones,
    keys: OneTimeKeys,
    notices: Notices,
    attachments: Attachments,
    pages: Pages,
    /// Attached devices that wait for their turn to ask the disk.
    ready: VecDeque<Owner>,
    loads: BTreeMap<LoadId, Purpose>,
    effects: VecDeque<Effect>,
    /// What other holders lack, on its way to them.
    offers: Offers,
    /// How far the walk of repair has come.
    place: Option<(Owner, u64)>,
    /// Attached devices whose question the disk could not answer, and when it is asked again.
    late: Option<(Mono, BTreeSet<Owner>)>,
    /// Rows of envelopes that came a second time after the disk had not given them.
    orphans: Vec<Vec<u8>>,
    sweep_at: Option<Mono>,
    /// When to look for what is to be pushed again.
    again_at: Option<Mono>,
}

impl Mailbox {
    /// An empty mailbox of a node.
    pub fn new(own: NodeId) -> Self {
        Self::with_limits(own, Limits::default())
    }

    fn with_limits(own: NodeId, limits: Limits) -> Self {
        Self {
            own,
            limits,
            shelf: Shelf::new(),
            tombstones: Tombstones::new(),
            keys: OneTimeKeys::new(),
            notices: Notices::new(),
            attachments: Attachments::default(),
            pages: Pages::default(),
            ready: VecDeque::new(),
            loads: BTreeMap::new(),
            effects: VecDeque::new(),
            offers: Offers::default(),
            place: None,
            late: None,
            orphans: Vec::new(),
            sweep_at: None,
            again_at: None,
        }
    }

    /// Takes in a row of `Envelope`, `Tombstone`, `Prekey` or `Notice` as the disk kept it; a
    /// malformed one is left out.
    pub fn restore(&mut self, table: Table, key: &[u8], value: &[u8], now: Now) {
        let good = if table == Table::Envelope {
            self.restore_envelope(key, value)
        } else if table == Table::Tombstone {
            self.restore_tombstone(key, value)
        } else if table == Table::Prekey {
            self.keys.restore(key, value)
        } else if table == Table::Notice {
            self.notices.restore(key, value)
        } else {
            false
        };
        if !good {
            warn!(?table, bytes = value.len(), "a row of the mailbox is malformed: left out");
        }
        self.arm(now);
    }

    fn restore_envelope(&mut self, key: &[u8], value: &[u8]) -> bool {
        let Some((id, held, _)) = shelf::parse_row(key, value) else {
            return false;
        };
        if !self.shelf.insert(id, held) && self.orphans.len() < SWEEP_ROWS_MAX {
            self.orphans.push(key.to_vec());
        }
        true
    }

    fn restore_tombstone(&mut self, key: &[u8], value: &[u8]) -> bool {
        let Some((mark, stone)) = Tombstone::parse_row(key, value) else {
            return false;
        };
        self.tombstones.insert(mark, stone);
        true
    }

    /// Answers a request of a peer; `None` for a verb that is not the mailbox's.
    pub fn handle_request(
        &mut self,
        peer: Peer<'_>,
        request: &Request,
        sign: Sign<'_>,
        now: Now,
        out: &mut Outputs,
    ) -> Option<Response> {
        let response = match request {
            Request::Deposit { envelope, until, repair } => {
                let neighbour = *repair && peer.source.neighbour;
                let deposit = verbs::Deposit {
                    envelope,
                    until: *until,
                    repair: *repair,
                    near: peer.near,
                    source: Source { neighbour, ..peer.source },
                };
                self.deposit(&deposit, sign, now, out)
            }
            Request::TakeKeys { user } => self.take_keys(peer.link, *user, now, out),
            Request::PutKeys { user, keys } => self.put_keys(peer.link, *user, keys, now, out),
            Request::Attach { user } => self.attach(peer.link, *user, now, out),
            Request::Prove { account, certificate, proof } => {
                let answer = attach::Answer { account, certificate, proof };
                self.prove(peer, &answer, now)
            }
            Request::Remove { removal } => {
                self.remove((peer.link, peer.source.neighbour), removal, now, out)
            }
            Request::Fetch { user, envelopes } => self.fetch(peer.link, *user, envelopes),
            Request::Compare { marks } => self.compare(peer.source.node, marks, now),
            // This node itself: it knows what it has.
            Request::ShowKept { .. } => kept::not_here(),
            Request::Notify { notice } => {
                let source = Source { neighbour: false, ..peer.source };
                self.notify((peer.near, source), notice, now, out)
            }
            Request::Ping
            | Request::FindNode { .. }
            | Request::FindRecord { .. }
            | Request::PutRecord { .. }
            | Request::RegisterAlias { .. }
            | Request::ResolveAlias { .. } => return None,
        };
        self.tell(now);
        self.pump(now, out);
        self.arm(now);
        Some(response)
    }

    /// Forgets a link: its challenge and the devices attached over it.
    pub fn link_down(&mut self, link: LinkId) {
        let gone = self.attachments.link_down(link);
        self.pages.link_down(link);
        self.ready.retain(|owner| !gone.contains(owner));
    }

    /// Forgets devices that a user's newest record revokes: they are detached and their one-time
    /// keys are handed out no more.
    pub fn revoke(&mut self, user: UserId, devices: &[DeviceKey], out: &mut Outputs) {
        for device in devices {
            let device = *device;
            let owner = Owner { user, device };
            self.detach(owner);
            self.keys.revoke(owner, out);
        }
    }

    fn detach(&mut self, owner: Owner) {
        self.attachments.detach(owner);
        self.ready.retain(|other| *other != owner);
    }

    /// The next thing to do with other nodes.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When something ends.
    pub fn poll_timeout(&self) -> Option<Deadline> {
        let why = "something in the mailbox ends";
        let sweep = self.sweep_at.map(|at| Deadline { at, why });
        let again = self.again_at.map(|at| Deadline { at, why: "push mail again" });
        let late = self.late.as_ref().map(|(at, _)| *at);
        let late = late.map(|at| Deadline { at, why: "ask the disk again" });
        let of_all = [sweep, again, late, self.pages.deadline()];
        of_all.into_iter().fold(None, Deadline::earliest)
    }

    /// Removes what is over, a bounded number of rows at a time, and tells of what is left.
    pub fn handle_timeout(&mut self, now: Now, out: &mut Outputs) {
        self.tell(now);
        self.push_overdue(now, out);
        self.ask_again(now, out);
        if self.sweep_at.is_none_or(|at| at > now.mono) {
            return;
        }
        let mut rows = 0;
        while rows < SWEEP_ROWS_MAX && self.sweep_one(now.wall, out) {
            rows += 1;
        }
        self.pump(now, out);
        self.arm(now);
    }

    fn sweep_one(&mut self, now: Timestamp, out: &mut Outputs) -> bool {
        if let Some(key) = self.orphans.pop() {
            out.remove(Table::Envelope, key);
            return true;
        }
        if let Some(id) = self.shelf.expired(now) {
            self.drop_envelope(id, out);
            return true;
        }
        if let Some((_, mark)) = self.tombstones.first().filter(|(until, _)| *until <= now) {
            self.drop_tombstone(mark, out);
            return true;
        }
        let notice = self.notices.first().filter(|(until, ..)| *until <= now);
        if let Some((_, owner, id)) = notice {
            self.drop_notice(owner, id, out);
            return true;
        }
        self.keys.sweep_one(now, out)
    }

    fn drop_envelope(&mut self, id: EnvelopeId, out: &mut Outputs) {
        let Some(held) = self.shelf.remove(id) else {
            return;
        };
        out.remove(Table::Envelope, held.key(id));
        self.landed(held.owner, id);
    }

    fn drop_tombstone(&mut self, mark: MailMark, out: &mut Outputs) {
        self.tombstones.remove(mark);
        out.remove(Table::Tombstone, mark.0);
    }

    fn drop_notice(&mut self, owner: Owner, id: EnvelopeId, out: &mut Outputs) {
        if let Some(key) = self.notices.remove(owner, id) {
            out.remove(Table::Notice, key);
        }
    }

    /// Sets the clock to the earliest end; looks again within the hour, as the wall may jump.
    fn arm(&mut self, now: Now) {
        let ends = [
            self.shelf.earliest(),
            self.tombstones.first().map(|(until, _)| until),
            self.notices.first().map(|(until, ..)| until),
            self.keys.earliest(),
        ];
        let earliest = ends.into_iter().flatten().min();
        self.sweep_at = earliest.map(|end| {
            let wait = end.since_ms(now.wall).clamp(1, SWEEP_MS_MAX);
            now.mono.plus_ms(wait)
        });
    }

    /// How many envelopes lie here.
    pub fn envelope_count(&self) -> usize {
        self.shelf.len()
    }

    /// How many removed envelopes are remembered.
    pub fn tombstone_count(&self) -> usize {
        self.tombstones.len()
    }

    /// Whether a device of a user is attached.
    pub fn has_attached(&self, user: UserId) -> bool {
        self.attachments.has_user(user)
    }

    /// How many devices are attached.
    pub fn attached_count(&self) -> usize {
        self.attachments.len()
    }
}
