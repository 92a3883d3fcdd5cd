//! How dense nodes lie around a point: who makes nodes in order to stand around somebody's mailbox
//! puts them closer together than chance does.

use std::collections::BTreeMap;

use bytchat_proto::limits::{
    BUCKET_CONTACTS_MAX, CROWDED_DENSITY, HOLDERS, MAILBOXES_WATCHED_MAX, WRITE_QUORUM,
};
use bytchat_proto::point::Point;
use bytchat_proto::rpc::node::Keyspace;

use super::Dht;
use super::contacts::Peer;
use crate::prefix::Prefix;

/// The mailboxes of our own users, and what lies around them.
#[derive(Debug, Default)]
pub(super) struct Mailboxes {
    around: BTreeMap<Point, Around>,
}

/// What lies around one point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Around {
    /// How many times as dense as the network; 0 if it is not known.
    density: u64,
    /// Most of the holders have addresses of one network.
    one_prefix: bool,
}

impl Around {
    fn is_crowded(self) -> bool {
        self.density >= CROWDED_DENSITY
    }
}

/// How many nodes a network has in which so many lie so near to a point; `nearest` in their order.
/// The farthest of `k` nodes lies at the distance `k / n` on average, and `(k - 1) / d` is the
/// estimate of `n` that errs to neither side.
fn size(point: Point, nearest: &[Peer]) -> Option<u64> {
    let farthest = nearest.last()?.point().distance(point).0;
    let head: [u8; 16] = farthest.first_chunk().copied()?;
    let distance = u128::from_be_bytes(head).max(1);
    let others = u128::try_from(nearest.len().saturating_sub(1)).ok()?;
    let size = (u128::MAX / distance).saturating_mul(others);
    Some(u64::try_from(size).unwrap_or(u64::MAX))
}

fn is_one_prefix(nearest: &[Peer]) -> bool {
    let mut counts: BTreeMap<Prefix, usize> = BTreeMap::new();
    for prefix in nearest.iter().flat_map(Peer::prefixes) {
        *counts.entry(prefix).or_default() += 1;
    }
    counts.values().any(|count| *count >= WRITE_QUORUM)
}

impl Dht {
    /// How many nodes the network has, judged by those nearest to this one; `None` if too few are
    /// known.
    pub fn nodes_estimate(&self) -> Option<u64> {
        let own = self.own.point();
        let nearest = self.table.closest(own, BUCKET_CONTACTS_MAX, false);
        if nearest.len() < BUCKET_CONTACTS_MAX {
            return None;
        }
        size(own, &nearest)
    }

    /// Takes note of the nodes that a lookup found around a mailbox of ours, nearest first.
    pub fn watch_over(&mut self, mailbox: Point, nearest: &[Peer]) {
        let nearest = nearest.get(..HOLDERS.min(nearest.len())).unwrap_or_default();
        let here = if nearest.len() < HOLDERS { None } else { size(mailbox, nearest) };
        let density = here.zip(self.nodes_estimate()).map(|(here, all)| here / all.max(1));
        let around = Around { density: density.unwrap_or(0), one_prefix: is_one_prefix(nearest) };
        let room = self.mailboxes.around.len() < MAILBOXES_WATCHED_MAX;
        if !room && !self.mailboxes.around.contains_key(&mailbox) {
            return;
        }
        let before = self.mailboxes.around.insert(mailbox, around).unwrap_or_default();
        if around.is_crowded() && !before.is_crowded() {
            let density = around.density;
            tracing::warn!(%mailbox, density, "nodes crowd around a mailbox: `bytctl doctor`");
        }
    }

    /// How the nodes known lie in the keyspace.
    pub fn keyspace(&self) -> Keyspace {
        let count = |wanted: fn(&Around) -> bool| {
            let found = self.mailboxes.around.values().filter(|around| wanted(around)).count();
            u64::try_from(found).unwrap_or(u64::MAX)
        };
        Keyspace {
            nodes_estimate: self.nodes_estimate(),
            mailboxes: count(|_| true),
            mailboxes_crowded: count(|around| around.is_crowded()),
            density_max: self.mailboxes.around.values().map(|it| it.density).max().unwrap_or(0),
            mailboxes_one_prefix: count(|around| around.one_prefix),
        }
    }
}
