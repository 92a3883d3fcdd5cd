//! The duties themselves: what is done when its time has come.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytchat_proto::id::UserId;
use bytchat_proto::limits::{
    COMPARE_WALK_MS, DAY_MS, HOLDERS, HOLDERS_REFRESH_MS, HOUR_MS, KEPT_CHALLENGE_MS, MINUTE_MS,
    RESEND_MS,
};
use bytchat_proto::point::Point;
use bytchat_proto::record::NodeRecord;
use bytchat_proto::wire::{Body, Contacts};

use super::Node;
use super::search::Lookup;
use crate::link::Named;
use crate::time::{Mono, Now};

/// Neighbours that are told of others at once.
const ROUTING_LINKS_MAX: usize = 20;
/// Envelopes that one round of repair walks over.
const REPAIR_BUDGET: usize = 256;
/// Without a neighbour, bootstrap is tried again after so long at first.
const BOOTSTRAP_MIN_MS: u64 = 1_000;
/// Neighbours below which bootstrap addresses are asked again.
const NEIGHBOURS_FEW: usize = 3;

impl Node {
    pub(super) fn handle_duties(&mut self, now: Now) {
        for user in take_due(&mut self.upkeep.publish, now, DAY_MS) {
            if let Some(account) = self.accounts.get_mut(user) {
                account.device.rotate(self.clock.calm(now).wall, self.out.random());
                account.save_device(&self.vault, &mut self.out);
            }
            self.publish_account(user, now);
        }
        for user in take_due(&mut self.upkeep.attach, now, HOLDERS_REFRESH_MS) {
            let point = Point::of_user(user);
            // After a start those that the table knows are asked while nearer ones are looked for:
            // one dead node among them costs the lookup seconds.
            if !self.inbox.knows_holders(user) {
                let near = self.dht.closest(point, HOLDERS);
                let near: Vec<NodeRecord> =
                    near.iter().map(|it| NodeRecord::clone(&it.record)).collect();
                self.handle_holders(user, &near, now);
            }
            // Without a record to find, the lookup ends when all of the closest have answered.
            if !self.look(point, None, Lookup::Holders { user }, now) {
                self.upkeep.attach_later(user, now);
            }
        }
        if now.mono >= self.upkeep.location {
            self.upkeep.location = now.mono.plus_ms(10 * MINUTE_MS);
            for user in self.accounts.users() {
                self.publish_location(user, now);
            }
        }
        if now.mono >= self.upkeep.bootstrap {
            self.bootstrap(now);
        }
        if now.mono >= self.upkeep.resend {
            self.upkeep.resend = now.mono.plus_ms(RESEND_MS);
            self.ask_for_unread(now);
        }
        if now.mono >= self.upkeep.routing {
            self.upkeep.routing = now.mono.plus_ms(5 * MINUTE_MS);
            self.tell_neighbours();
        }
        if now.mono >= self.upkeep.repair {
            self.repair(now);
        }
        if now.mono >= self.upkeep.kept {
            self.upkeep.kept = now.mono.plus_ms(KEPT_CHALLENGE_MS);
            self.challenge_holders(now);
        }
        if now.mono >= self.upkeep.sweep {
            self.keep_clock(now);
            let calm = self.clock.calm(now);
            let more = self.events.expire(calm.wall, &mut self.out);
            self.upkeep.sweep = now.mono.plus_ms(if more { 1_000 } else { HOUR_MS });
            self.inbox.expire(calm, &mut self.out);
            self.sweep_answers(now);
        }
    }

    /// Dials the bootstrap addresses while there are few neighbours, ever more rarely.
    fn bootstrap(&mut self, now: Now) {
        let wait = if self.links.count() >= NEIGHBOURS_FEW.min(self.config.bootstrap.len()) {
            self.upkeep.bootstrap_tries = 0;
            MINUTE_MS
        } else {
            for address in self.config.bootstrap.clone() {
                if !self.config.listen.contains(&address) {
                    let named = Named::ByOperator;
                    self.links.dial_address(address, named, now, &mut self.out);
                }
            }
            self.upkeep.bootstrap_tries += 1;
            (BOOTSTRAP_MIN_MS << self.upkeep.bootstrap_tries.min(6)).min(MINUTE_MS)
        };
        self.upkeep.bootstrap = now.mono.plus_ms(wait);
    }

    /// Takes on other bootstrap addresses, and looks anew for pods, which may stand elsewhere now.
    pub(super) fn take_settings(&mut self, bootstrap: Vec<SocketAddr>, now: Now) {
        self.config.bootstrap = bootstrap;
        self.upkeep.bootstrap = now.mono;
        self.upkeep.bootstrap_tries = 0;
        self.hosts.forget();
        self.upkeep.forget_pods(now);
    }

    /// Tells neighbours which nodes we know; they verify them before use.
    fn tell_neighbours(&mut self) {
        let contacts = self.dht.routing();
        if contacts.is_empty() {
            return;
        }
        let links: Vec<_> = self.links.nodes().take(ROUTING_LINKS_MAX).collect();
        for (_, link) in links {
            let routing = Contacts { contacts: contacts.clone() };
            self.links.push(link, Body::Routing(routing), &mut self.out);
        }
    }

    /// Compares held envelopes with the nodes that should hold them now.
    fn repair(&mut self, now: Now) {
        let dht = &self.dht;
        let closest = |point: Point| dht.holders(point);
        let done = self.mailbox.repair(&closest, REPAIR_BUDGET, now);
        let jitter = self.out.random_below(COMPARE_WALK_MS / 5 * 2);
        let wait = if done { COMPARE_WALK_MS / 5 * 4 + jitter } else { 1_000 };
        self.upkeep.repair = now.mono.plus_ms(wait);
    }
}

fn take_due(map: &mut BTreeMap<UserId, Mono>, now: Now, next_ms: u64) -> Vec<UserId> {
    let mut due = Vec::new();
    for (user, at) in map {
        if now.mono >= *at {
            *at = now.mono.plus_ms(next_ms);
            due.push(*user);
        }
    }
    due
}
