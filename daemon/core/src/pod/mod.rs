//! What a node does as a pod: it registers aliases for a host and says whose they are.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use bytchat_proto::alias::{Alias, Host};
use bytchat_proto::binding::{AliasBinding, AliasClaim, verify_claim};
use bytchat_proto::codec::{decode, encode};
use bytchat_proto::id::UserId;
use bytchat_proto::limits::{
    ALIAS_CLAIM_AGE_MAX_MS, ALIASES_PER_POD_MAX, ALIASES_PER_USER_MAX, CLOCK_SKEW_MS,
};
use bytchat_proto::timestamp::Timestamp;
use bytchat_proto::unverified::{Unverified, Verified};
use bytchat_proto::wire::{Refusal, Request, Response};
use serde::{Deserialize, Serialize};
use tracing::{error, warn};

use crate::fill::Fills;
use crate::io::{Outputs, Sign};
use crate::persist::Table;
use crate::time::Now;

/// The aliases of a pod; on a node that is no pod it refuses everything.
pub struct Pod {
    host: Option<Host>,
    aliases: BTreeMap<Alias, Registered>,
    users: BTreeMap<UserId, usize>,
    /// Aliases whose rows cannot be read: they belong to somebody.
    damaged: BTreeSet<Alias>,
    aliases_max: usize,
}

const DAMAGED: &str = "the pod's own row of this alias is damaged";

/// An alias as its row keeps it: whose it is, by which claim, and the pod's signed word.
#[derive(Clone, Serialize, Deserialize)]
struct Registered {
    user: UserId,
    sequence: u64,
    binding: Unverified<AliasBinding>,
}

impl Pod {
    /// How full everything is that others can fill.
    pub fn fills(&self, fills: &mut Fills) {
        fills.note("aliases", self.aliases.len(), self.aliases_max);
        fills.most("aliases of a user", self.users.values().copied(), ALIASES_PER_USER_MAX);
    }

    /// A pod with a host name, or a node that is none.
    pub fn new(host: Option<Host>) -> Self {
        Self {
            host,
            aliases: BTreeMap::new(),
            users: BTreeMap::new(),
            damaged: BTreeSet::new(),
            aliases_max: ALIASES_PER_POD_MAX,
        }
    }

    /// Takes in a row of `Alias` as the disk kept it; one of another host is left out. One that
    /// cannot be read stays as it is, and its alias is given to nobody else.
    pub fn restore(&mut self, key: &[u8], value: &[u8]) {
        let alias = std::str::from_utf8(key).ok();
        let alias = alias.and_then(|text| text.parse::<Alias>().ok());
        let ours = alias.filter(|alias| Some(alias.host()) == self.host.as_ref());
        match (ours, decode::<Registered>(value)) {
            (Some(alias), Ok(registered)) => self.insert(alias, registered),
            (Some(alias), Err(error)) => {
                error!(
                    %error,
                    "a registered alias is damaged on disk and is given to nobody: bring the data \
                     directory back from a backup"
                );
                self.damaged.insert(alias);
            }
            (None, _) => {
                warn!(bytes = value.len(), "an alias on disk is not of this pod: left out")
            }
        }
    }

    fn insert(&mut self, alias: Alias, registered: Registered) {
        let user = registered.user;
        if self.aliases.insert(alias, registered).is_none() {
            *self.users.entry(user).or_default() += 1;
        }
    }

    /// Answers a request of a peer; `None` for a verb that is not the pod's.
    pub fn handle_request(
        &mut self,
        request: &Request,
        sign: Sign<'_>,
        now: Now,
        out: &mut Outputs,
    ) -> Option<Response> {
        match request {
            Request::RegisterAlias { claim } => Some(self.register(claim, sign, now, out)),
            Request::ResolveAlias { alias } => Some(self.resolve(alias)),
            Request::Ping
            | Request::FindNode { .. }
            | Request::FindRecord { .. }
            | Request::PutRecord { .. }
            | Request::TakeKeys { .. }
            | Request::PutKeys { .. }
            | Request::Deposit { .. }
            | Request::Attach { .. }
            | Request::Prove { .. }
            | Request::Remove { .. }
            | Request::Fetch { .. }
            | Request::ShowKept { .. }
            | Request::Compare { .. }
            | Request::Notify { .. } => None,
        }
    }

    fn register(
        &mut self,
        claim: &Unverified<AliasClaim>,
        sign: Sign<'_>,
        now: Now,
        out: &mut Outputs,
    ) -> Response {
        let Ok(named) = claim.peek() else {
            return Response::refused(Refusal::Malformed, "the claim cannot be read");
        };
        if let Some(refused) = self.refuse_host(&named.alias) {
            return refused;
        }
        // SPEC 5.2: the account itself must have asked.
        let claim = match verify_claim(claim) {
            Ok(claim) => claim,
            Err(error) => return Response::refused(Refusal::BadSignature, error.to_string()),
        };
        if let Some(registered) = self.aliases.get(&claim.alias) {
            return registered.answer(&claim);
        }
        if self.damaged.contains(&claim.alias) {
            return Response::refused(Refusal::Taken, DAMAGED);
        }
        if let Some(refused) = self.refuse_new(&claim, now.wall) {
            return refused;
        }
        // SPEC 5.3: the pod countersigns the claim as it was signed.
        let binding = AliasBinding { claim: claim.source().clone(), registered: now.wall };
        let binding = Unverified::sign(&binding, sign);
        let registered = Registered {
            user: claim.account.user(),
            sequence: claim.sequence,
            binding: binding.clone(),
        };
        out.put(Table::Alias, claim.alias.to_string(), encode(&registered));
        self.insert(claim.alias.clone(), registered);
        Response::Binding { binding }
    }

    fn refuse_host(&self, alias: &Alias) -> Option<Response> {
        let detail = match &self.host {
            None => "this node is no pod".to_owned(),
            Some(host) if host != alias.host() => format!("this is the pod of {host}"),
            Some(_) => return None,
        };
        Some(Response::refused(Refusal::NotPod, detail))
    }

    fn refuse_new(&self, claim: &AliasClaim, now: Timestamp) -> Option<Response> {
        if claim.created > now.plus_ms(CLOCK_SKEW_MS) {
            let detail = "the claim was made later than this clock allows";
            return Some(Response::refused(Refusal::Malformed, detail));
        }
        if now.since_ms(claim.created) > ALIAS_CLAIM_AGE_MAX_MS {
            return Some(Response::refused(Refusal::Expired, "the claim is too old"));
        }
        let count = self.users.get(&claim.account.user()).copied().unwrap_or(0);
        if count >= ALIASES_PER_USER_MAX {
            let detail = format!("an account may register {ALIASES_PER_USER_MAX} aliases here");
            return Some(Response::refused(Refusal::Full, detail));
        }
        if self.aliases.len() >= self.aliases_max {
            return Some(Response::refused(Refusal::Full, "this pod has no room left"));
        }
        None
    }

    fn resolve(&self, alias: &Alias) -> Response {
        if let Some(refused) = self.refuse_host(alias) {
            return refused;
        }
        // SPEC 5.4: anyone may ask, and gets both signatures.
        match self.aliases.get(alias) {
            Some(registered) => registered.proof(),
            None if self.damaged.contains(alias) => Response::refused(Refusal::Busy, DAMAGED),
            None => Response::refused(Refusal::NotFound, "nobody has this alias"),
        }
    }

    /// Whether a user has an alias here, so that mail gets a fast copy.
    pub fn serves(&self, user: UserId) -> bool {
        self.users.contains_key(&user)
    }

    /// How many aliases are registered.
    pub fn alias_count(&self) -> usize {
        self.aliases.len()
    }
}

impl Registered {
    // SPEC 5.3: first come, first served; the same account gets the same word again.
    fn answer(&self, claim: &Verified<AliasClaim>) -> Response {
        if claim.account.user() != self.user {
            return Response::refused(Refusal::Taken, "the alias belongs to somebody else");
        }
        if claim.sequence < self.sequence {
            return Response::refused(Refusal::Stale, "a newer claim is registered");
        }
        self.proof()
    }

    fn proof(&self) -> Response {
        Response::Binding { binding: self.binding.clone() }
    }
}
