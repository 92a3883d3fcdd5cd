//! What lookups and puts are for, and where their results go.

use bytchat_proto::envelope::OneTimeKey;
use bytchat_proto::id::{NodeId, UserId};
use bytchat_proto::limits::{HOLDERS_MAX, PLACES_MAX};
use bytchat_proto::point::Point;
use bytchat_proto::record::{NodeRecord, Record, RecordBody, RecordKind, verify_record};
use bytchat_proto::unverified::{Unverified, Verified};
use bytchat_proto::wire::{Request, Response};

use super::Node;
use super::links::Token;
use crate::dht::{LookupId, Peer, PutId};
use crate::io::CallId;
use crate::planted::planted;
use crate::route::{KINDS, Outcome};
use crate::time::Now;

/// What a lookup is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lookup {
    /// A part of the route to a recipient.
    Route { user: UserId, kind: RecordKind },
    /// The nodes that hold our own mail.
    Holders { user: UserId },
    /// The record of a user whose devices are attached here.
    Attached { user: UserId },
    /// Our own user record, before a newer one is published.
    OwnRecord { user: UserId },
    /// Somebody's profile, for a front end.
    Profile { user: UserId, call: CallId },
    /// A lookup that is shown to a front end.
    Shown { call: CallId },
}

/// What a put is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Put {
    /// Our own user record.
    OwnRecord { user: UserId },
    /// Our own profile, for a front end that waits.
    Profile { user: UserId, call: CallId },
}

impl Node {
    /// Starts a lookup; false if too many wait already.
    pub(super) fn look(
        &mut self,
        target: Point,
        kind: Option<RecordKind>,
        why: Lookup,
        now: Now,
    ) -> bool {
        match self.dht.find(target, kind, now, &mut self.out) {
            Ok(lookup) => {
                self.lookups.insert(lookup, why);
                true
            }
            Err(error) => {
                tracing::debug!(%error, ?why, "a lookup has to wait");
                false
            }
        }
    }

    /// Looks for a recipient's devices, keys, holders and places.
    pub(super) fn search_route(&mut self, user: UserId, now: Now) {
        if !self.routes.begin(user) {
            return;
        }
        for kind in KINDS {
            if !self.look(kind.point(user), Some(kind), Lookup::Route { user, kind }, now) {
                self.lookups.retain(
                    |_, why| !matches!(why, Lookup::Route { user: other, .. } if *other == user),
                );
                return self.routes.abandon(user);
            }
        }
    }

    pub(super) fn handle_found(
        &mut self,
        lookup: LookupId,
        closest: &[Peer],
        mut records: Vec<Verified<RecordBody>>,
        answered: usize,
        now: Now,
    ) {
        let Some(why) = self.lookups.remove(&lookup) else {
            return;
        };
        let mut nodes: Vec<NodeRecord> =
            closest.iter().map(|peer| NodeRecord::clone(&peer.record)).collect();
        tracing::debug!(?why, records = records.len(), answered, "a lookup is done");
        let calm = self.clock.calm(now);
        match why {
            Lookup::Route { user, kind } => {
                records.extend(self.dht.holds(kind.point(user), kind).into_iter().cloned());
                let wanted = |record: &Verified<RecordBody>| {
                    record.kind == kind && record.user() == user && record.expires > calm.wall
                };
                records.retain(wanted);
                self.add_self(Point::of_user(user), &mut nodes);
                let ids = nodes.iter().map(NodeRecord::node);
                let holders = self.dht.holders_among(Point::of_user(user), ids);
                let near = (nodes, holders);
                if self.routes.found(user, kind, records, near, now) != Outcome::Searching {
                    self.handle_route(user, now);
                }
            }
            Lookup::Holders { user } => {
                self.dht.watch_over(Point::of_user(user), closest);
                let ids = nodes.iter().map(NodeRecord::node);
                nodes.truncate(self.dht.holders_among(Point::of_user(user), ids));
                self.handle_holders(user, &nodes, now);
                self.inbox.found_holders(user, now);
            }
            Lookup::Shown { call } => self.handle_shown(call, lookup, nodes, answered),
            Lookup::Attached { user } => self.handle_checked(user, &records),
            Lookup::OwnRecord { user } => {
                records.extend(
                    self.dht.holds(Point::of_user(user), RecordKind::User).into_iter().cloned(),
                );
                records.retain(|record| record.user() == user);
                self.handle_own_record(user, records, now);
            }
            Lookup::Profile { user, call } => {
                records.extend(
                    self.dht
                        .holds(Point::of_profile(user), RecordKind::Profile)
                        .into_iter()
                        .cloned(),
                );
                records.retain(|record| record.user() == user);
                self.handle_profile_found(user, call, &records, answered);
            }
        }
    }

    /// Puts this node among the closest where it belongs there.
    pub(super) fn add_self(&self, point: Point, nodes: &mut Vec<NodeRecord>) {
        if let Ok(own) = self.own.peek() {
            nodes.push(own);
        }
        nodes.sort_by_key(|record| Point::of_node(record.node()).distance(point));
        nodes.dedup_by_key(|record| record.node());
        nodes.truncate(2 * HOLDERS_MAX);
    }

    /// The route to a recipient is there or not: go on with what waits for it.
    fn handle_route(&mut self, user: UserId, now: Now) {
        let Some(route) = self.routes.get(user, now) else {
            for entry in self.outbox.to_user(user) {
                self.step_once(entry, "the recipient's record was not found yet", now);
            }
            if planted!(LookupNotRetried) {
                self.routes.begin(user);
            }
            return;
        };
        let sessions = &self.sessions;
        let accounts = self.accounts.users();
        let can_send = |device: &crate::route::Device| {
            accounts.iter().any(|account| {
                sessions
                    .get(&(*account, device.party.device))
                    .is_some_and(|sessions| sessions.can_send(&device.party))
            })
        };
        let opens = route.devices.values().any(|device| !can_send(device));
        let holder = route.closest.iter().find(|record| record.node() != self.id).cloned();
        match holder.filter(|_| opens) {
            Some(holder) => {
                self.ask(&holder, Request::TakeKeys { user }, Token::TakeKeys { user }, now);
            }
            None => self.work_to(user, now),
        }
    }

    /// One-time keys came, or none; the fallback key does as well.
    pub(super) fn handle_keys(
        &mut self,
        user: UserId,
        from: NodeId,
        response: Option<Response>,
        now: Now,
    ) {
        if let Some(Response::Keys { keys }) = response {
            let keys: Vec<Unverified<OneTimeKey>> = keys;
            self.routes.one_time_keys(user, from, &keys, now.wall);
        }
        self.work_to(user, now);
    }

    /// The nodes on which a recipient's devices are up, as far as is known.
    pub(super) fn places(&self, user: UserId, now: Now) -> Vec<NodeRecord> {
        let route = self.routes.get(user, now);
        let mut places = route.map(|route| route.places.clone()).unwrap_or_default();
        places.truncate(PLACES_MAX);
        places
    }

    /// Publishes a record of ours and remembers what for; false if that has to wait.
    pub(super) fn publish(&mut self, record: &Record, why: Option<Put>, now: Now) -> bool {
        match verify_record(record, self.config.network, now.wall) {
            Ok(verified) => match self.dht.publish(verified, now, &mut self.out) {
                Ok(put) => {
                    if let Some(why) = why {
                        self.puts.insert(put, why);
                    }
                    return true;
                }
                Err(error) => tracing::debug!(%error, "a record has to wait"),
            },
            Err(error) => tracing::error!(%error, "a record of our own is refused"),
        }
        false
    }

    pub(super) fn handle_stored(
        &mut self,
        put: PutId,
        holders: &[NodeId],
        ok: bool,
        stale: Option<u64>,
        now: Now,
    ) {
        match self.puts.remove(&put) {
            Some(Put::OwnRecord { user }) => {
                if let Some(sequence) = stale {
                    tracing::info!(%user, sequence, "another device has published a newer record");
                    // One holder's word is not proof: it must not make us sign without end.
                    self.upkeep.publish_later(user, now);
                }
            }
            Some(Put::Profile { user, call }) => {
                self.handle_profile_stored(user, call, holders.len(), ok, stale);
            }
            None => {}
        }
    }
}
