//! Fair shares: what one source may hold of one user's room, and of the room of all.

use std::collections::BTreeMap;

use bytchat_proto::id::{NodeId, UserId};
use bytchat_proto::limits::{
    MAILBOX_SHARE_NODE_PERCENT, MAILBOX_SHARE_PREFIX_PERCENT, NEIGHBOUR_SHARE_FACTOR,
    NEIGHBOURS_SHARE_PERCENT, SHELF_NEIGHBOUR_SHARE_FACTOR, SHELF_SHARE_NODE_PERCENT,
    SHELF_SHARE_PREFIX_PERCENT,
};

use crate::fill::Fills;
use crate::prefix::{PREFIX_BYTES, Prefix};

/// The bytes of a source on disk.
pub(super) const SOURCE_BYTES: usize = NodeId::BYTES + PREFIX_BYTES + 1;

/// Who brings something: a node, and where in the address space it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// The node.
    pub node: NodeId,
    /// Its part of the public address space; none in local networks.
    pub prefix: Option<Prefix>,
    /// Whether it is near the user as well, so that it may hand on what it keeps.
    pub neighbour: bool,
}

/// So many things, and their bytes: what is used, or what may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) count: usize,
    pub(super) bytes: usize,
}

/// What may be used in all, and for one user.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quota {
    pub(super) all: Room,
    pub(super) user: Room,
}

/// The room of one user, or that of all, and one party that uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Part {
    user: Option<UserId>,
    neighbour: bool,
    party: Party,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Party {
    Node(NodeId),
    Prefix(Prefix),
    /// All neighbours together.
    Neighbours,
}

/// What is used, by whom.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Shares {
    all: Room,
    users: BTreeMap<UserId, Room>,
    parts: BTreeMap<Part, Room>,
}

impl Source {
    /// Its bytes on disk.
    pub(super) fn encode(self) -> [u8; SOURCE_BYTES] {
        let mut bytes = [u8::from(self.neighbour); SOURCE_BYTES];
        bytes[..NodeId::BYTES].copy_from_slice(&self.node.0);
        bytes[NodeId::BYTES..SOURCE_BYTES - 1].copy_from_slice(&Prefix::encode(self.prefix));
        bytes
    }

    /// Reads its bytes.
    pub(super) fn decode(bytes: [u8; SOURCE_BYTES]) -> Option<Self> {
        let (node, rest) = bytes.split_first_chunk()?;
        let (prefix, rest) = rest.split_first_chunk()?;
        let neighbour = rest.first()? & 1 == 1;
        Some(Self { node: NodeId(*node), prefix: Prefix::decode(*prefix), neighbour })
    }

    fn parties(self) -> impl Iterator<Item = Party> {
        let all = self.neighbour.then_some(Party::Neighbours);
        let own = [Some(Party::Node(self.node)), self.prefix.map(Party::Prefix)];
        own.into_iter().chain([all]).flatten()
    }

    fn parts(self, user: UserId) -> impl Iterator<Item = Part> {
        let neighbour = self.neighbour;
        let rooms = [None, Some(user)].into_iter();
        rooms.flat_map(move |user| self.parties().map(move |party| Part { user, neighbour, party }))
    }
}

impl Room {
    fn add(&mut self, bytes: usize) {
        self.count += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }

    fn take(&mut self, bytes: usize) -> bool {
        self.count = self.count.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
        self.count == 0
    }

    fn less(self, used: Self) -> Self {
        Self {
            count: self.count.saturating_sub(used.count),
            bytes: self.bytes.saturating_sub(used.bytes),
        }
    }

    /// Whether it is less than so much of what is free.
    fn is_below(self, percent: usize, free: Self) -> bool {
        let below =
            |held: usize, free: usize| held.saturating_mul(100) < free.saturating_mul(percent);
        below(self.count, free.count) && (self.bytes == 0 || below(self.bytes, free.bytes))
    }
}

impl Shares {
    /// How full the fullest room of a user is.
    pub(super) fn fills(&self, what: &'static str, max: usize, fills: &mut Fills) {
        fills.most(what, self.users.values().map(|room| room.count), max);
    }

    pub(super) fn of_user(&self, user: UserId) -> Room {
        self.users.get(&user).copied().unwrap_or_default()
    }

    pub(super) fn add(&mut self, user: UserId, source: Source, bytes: usize) {
        self.all.add(bytes);
        self.users.entry(user).or_default().add(bytes);
        for part in source.parts(user) {
            self.parts.entry(part).or_default().add(bytes);
        }
    }

    pub(super) fn take(&mut self, user: UserId, source: Source, bytes: usize) {
        self.all.take(bytes);
        if self.users.get_mut(&user).is_some_and(|room| room.take(bytes)) {
            self.users.remove(&user);
        }
        for part in source.parts(user) {
            if self.parts.get_mut(&part).is_some_and(|room| room.take(bytes)) {
                self.parts.remove(&part);
            }
        }
    }

    /// Why there is no room for one thing more of so many bytes. A source's share is a part of
    /// what is still *free*, so that each further source of a flood gets less, and a new one finds
    /// something.
    // SPEC 6.14: a receipt promises storage, so nothing makes room for anything else.
    pub(super) fn full(
        &self,
        user: UserId,
        source: Source,
        bytes: usize,
        quota: &Quota,
    ) -> Option<&'static str> {
        let of_user = self.of_user(user);
        let spent = |used: Room, max: Room| {
            used.count >= max.count || used.bytes.saturating_add(bytes) > max.bytes
        };
        if spent(self.all, quota.all) {
            return Some("this node holds as much as it may");
        }
        if spent(of_user, quota.user) {
            return Some("this node holds as much for this user as it may");
        }
        let free = (quota.all.less(self.all), quota.user.less(of_user));
        source.parts(user).find_map(|part| self.exceeds(part, free))
    }

    fn exceeds(&self, part: Part, free: (Room, Room)) -> Option<&'static str> {
        let held = self.parts.get(&part).copied().unwrap_or_default();
        let (free, percent, sentence) = match (part.user, part.party) {
            (None, Party::Node(_)) => {
                (free.0, SHELF_SHARE_NODE_PERCENT, "your node has its share of the room of all")
            }
            (None, Party::Prefix(_)) => (
                free.0,
                SHELF_SHARE_PREFIX_PERCENT,
                "your address range has its share of the room of all",
            ),
            (Some(_), Party::Node(_)) => {
                (free.1, MAILBOX_SHARE_NODE_PERCENT, "your node has its share of this user's room")
            }
            (Some(_), Party::Prefix(_)) => (
                free.1,
                MAILBOX_SHARE_PREFIX_PERCENT,
                "your address range has its share of this user's room",
            ),
            (room, Party::Neighbours) => {
                let free = if room.is_none() { free.0 } else { free.1 };
                let sentence = "what holders hand on has its share of the room";
                return (!held.is_below(NEIGHBOURS_SHARE_PERCENT, free)).then_some(sentence);
            }
        };
        // SPEC 6.14: a neighbour hands on the mail of many senders when holders change, so it may
        // bring more. All of them together leave a quarter: anybody can choose a node id that is
        // near somebody. In the room of all it is near somebody invented, so it may little more.
        let factor = match (part.neighbour, part.user) {
            (false, _) => 1,
            (true, None) => SHELF_NEIGHBOUR_SHARE_FACTOR,
            (true, Some(_)) => NEIGHBOUR_SHARE_FACTOR,
        };
        (!held.is_below(percent * factor, free)).then_some(sentence)
    }
}
