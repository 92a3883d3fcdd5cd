//! Lookups that are watched: what they find, how long they take, and how many they ask.

use std::collections::{BTreeMap, BTreeSet};

use bytchat_core::io::CallId;
use bytchat_proto::id::{NodeId, UserId};
use bytchat_proto::limits::HOLDERS;
use bytchat_proto::point::Point;
use bytchat_proto::rpc::Call;
use serde_json::json;

use super::world::World;

/// So many are under way at once.
const AT_ONCE: usize = 50;
/// A lookup that takes longer does not end.
const PATIENCE_MS: u64 = 60_000;

/// One lookup that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Looked {
    /// The nearest of those that are up and honest have answered.
    pub right: bool,
    /// How long it took.
    pub ms: u64,
    /// How many requests it sent.
    pub requests: usize,
    /// How many had to name each other until the nearest one was known, which is the last.
    pub hops: usize,
}

impl World {
    /// Looks for strangers from so many random machines that are up, some at once.
    pub fn look_up(&mut self, count: usize) -> Vec<Looked> {
        let mut done = Vec::new();
        while done.len() < count {
            let some = AT_ONCE.min(count - done.len());
            let strangers: Vec<UserId> = (0..some).map(|_| UserId(self.random_bytes())).collect();
            done.extend(self.look_up_at_once(&strangers).into_iter().map(|(looked, _)| looked));
        }
        done
    }

    /// Gets the profiles of people, which lie there, from so many random machines that are up;
    /// right is who got one.
    pub fn get(&mut self, people: &[UserId], count: usize) -> Vec<Looked> {
        let mut done = Vec::new();
        while done.len() < count {
            let some = people.len().min(count - done.len());
            let got = self.look_up_at_once(&people[..some]);
            done.extend(got.into_iter().map(|(looked, right)| Looked { right, ..looked }));
        }
        done
    }

    /// Asks for some profiles, and says of each whether it was there as well.
    fn look_up_at_once(&mut self, users: &[UserId]) -> Vec<(Looked, bool)> {
        let began = self.now_ms();
        let mut asked: BTreeMap<CallId, (usize, Point)> = BTreeMap::new();
        for user in users {
            let host = self.somewhere();
            let show = Call::parse("profile.show", json!({ "who": user })).unwrap();
            self.watch(Point::of_profile(*user));
            let call = self.call(host, 1_000, show);
            asked.insert(call, (host, Point::of_profile(*user)));
        }
        let mut done = Vec::new();
        while !asked.is_empty() {
            assert!(self.now_ms() < began + PATIENCE_MS, "a lookup does not end");
            self.step();
            for (call, reply) in std::mem::take(&mut self.replies) {
                let Some((host, point)) = asked.remove(&call) else { continue };
                done.push((self.judge(host, point, began), reply.is_ok()));
            }
        }
        done
    }

    /// A machine that is up and honest.
    fn somewhere(&mut self) -> usize {
        loop {
            let host = usize::try_from(self.below(self.hosts.len() as u64)).unwrap();
            if self.is_up(host) && !self.lies(host) {
                return host;
            }
        }
    }

    fn judge(&mut self, host: usize, point: Point, began: u64) -> Looked {
        let now = self.now_ms();
        let watched = self.witness.unwatch(point);
        let others = (0..self.hosts.len()).filter(|it| *it != host && self.is_up(*it));
        let honest: BTreeSet<NodeId> =
            others.filter(|it| !self.lies(*it)).map(|it| self.hosts[it].id).collect();
        let found = nearest(point, watched.answered.intersection(&honest).copied());
        let truth = nearest(point, honest);
        let first = found.first().and_then(|node| watched.depths.get(node));
        Looked {
            right: found == truth,
            ms: now - began,
            requests: watched.requests,
            hops: first.copied().unwrap_or_default(),
        }
    }
}

/// The nearest of some nodes to a point, as many as are to hold what lies there.
pub fn nearest(point: Point, nodes: impl IntoIterator<Item = NodeId>) -> Vec<NodeId> {
    let distance = |node| Point::of_node(node).distance(point);
    let mut nodes: Vec<_> = nodes.into_iter().map(|node| (distance(node), node)).collect();
    nodes.sort_unstable();
    nodes.into_iter().take(HOLDERS).map(|(_, node)| node).collect()
}
