//! The node: the only switchboard between the cores. It hands inputs down and news across.

mod accounts;
mod aliases;
mod asked;
mod attach;
mod calls;
mod checks;
mod clock;
mod config;
mod contacts;
mod cursors;
mod deposit;
mod duties;
mod events;
mod fills;
#[cfg(test)]
mod fixture;
mod former;
mod guard;
mod history;
mod kept;
mod letters;
mod links;
mod narrow;
mod observed;
mod people;
mod pins;
mod pods;
mod profile;
mod publish;
mod receive;
mod repeat;
mod restore;
mod seal;
mod search;
mod send;
mod serve;
mod settle;
mod states;
mod status;
mod tokens;
mod trace;
mod upkeep;
mod waits;

use std::collections::{BTreeMap, VecDeque};

use bytchat_proto::id::{NodeId, UserId};
use bytchat_proto::key::DeviceKey;
use bytchat_proto::record::{Contact, RecordError};

use crate::account::Accounts;
use crate::answer::Answers;
use crate::crypto::{NodeSecret, Sessions, Vault};
use crate::dht::{Dht, LookupId, PutId};
use crate::event::Logs;
use crate::host::Hosts;
use crate::inbox::Inbox;
use crate::io::{Input, JobId, LoadId, Outputs};
use crate::link::{self, Links};
use crate::mailbox::Mailbox;
use crate::outbox::Outbox;
use crate::persist::{Row, Table};
use crate::pod::Pod;
use crate::round::Round;
use crate::route::Routes;
use crate::time::{Mono, Now};

pub use config::{NodeConfig, NodeError};
pub use status::Standing;

use accounts::Working;
use checks::Checks;
use clock::Clock;
use contacts::Book;
use history::Loading;
use links::Token;
use observed::Observed;
use pods::Purpose;
use search::{Lookup, Put};
use upkeep::Upkeep;
use waits::Waits;

/// One running node.
pub struct Node {
    config: NodeConfig,
    id: NodeId,
    secret: NodeSecret,
    vault: Vault,
    own: Contact,
    observed: Observed,
    clock: Clock,
    started: Mono,
    out: Outputs,
    links: Links<Token>,
    dht: Dht,
    mailbox: Mailbox,
    pod: Pod,
    accounts: Accounts,
    sessions: BTreeMap<(UserId, DeviceKey), Sessions>,
    rounds: BTreeMap<(UserId, UserId), Round>,
    routes: Routes,
    outbox: Outbox,
    inbox: Inbox,
    hosts: Hosts<Purpose>,
    book: Book,
    events: Logs,
    waits: Waits,
    tokens: crate::token::Tokens,
    kept: Answers,
    jobs: BTreeMap<JobId, Working>,
    lookups: BTreeMap<LookupId, Lookup>,
    puts: BTreeMap<PutId, Put>,
    loads: BTreeMap<LoadId, Loading>,
    answers: VecDeque<link::Event<Token>>,
    upkeep: Upkeep,
    checks: Checks,
    store_bytes: u64,
}

impl Node {
    /// A node as its rows left it. A row whose value could not be read comes with an empty one,
    /// which is none that is ever written there.
    pub fn new(
        config: NodeConfig,
        seed: [u8; 32],
        rows: Vec<(Table, Row)>,
        now: Now,
    ) -> Result<Self, NodeError> {
        let secret = NodeSecret::from_seed(config.secret)?;
        let own = links::own_contact(&config, &secret, &[], now);
        let id = own.peek().map_err(RecordError::from)?.node();
        let mut node = Self {
            id,
            vault: Vault::new(config.vault),
            observed: Observed::default(),
            clock: Clock::new(&rows, now),
            started: now.mono,
            out: Outputs::new(seed),
            links: links::of_config(&config, &secret, own.clone()),
            dht: Dht::new(own.clone(), config.terms())?,
            mailbox: Mailbox::new(id),
            pod: Pod::new(config.pod.clone()),
            accounts: Accounts::default(),
            sessions: BTreeMap::new(),
            rounds: BTreeMap::new(),
            routes: Routes::default(),
            outbox: Outbox::default(),
            inbox: Inbox::default(),
            hosts: Hosts::default(),
            book: Book::default(),
            events: Logs::new(config.events),
            waits: Waits::default(),
            tokens: crate::token::Tokens::default(),
            kept: Answers::default(),
            jobs: BTreeMap::new(),
            lookups: BTreeMap::new(),
            puts: BTreeMap::new(),
            loads: BTreeMap::new(),
            answers: VecDeque::new(),
            upkeep: Upkeep::new(now),
            checks: Checks::default(),
            store_bytes: 0,
            config,
            secret,
            own,
        };
        node.restore(rows, now);
        Ok(node)
    }

    /// This node's id.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// Takes an input; what follows from it is polled as outputs.
    pub fn handle_input(&mut self, input: Input, now: Now) {
        self.see_clock(now);
        match input {
            Input::LinkUp { link, key, address, binding, dial } => {
                let up = link::Up { key, address, binding, dial };
                self.links.link_up(link, up, now, &mut self.out);
            }
            Input::LinkDown { link, reason } => {
                tracing::debug!(?link, reason, "a link is down");
                self.links.link_down(link, now, &mut self.out);
            }
            Input::DialFailed { dial, reason } => {
                tracing::debug!(?dial, reason, "a dial failed");
                self.links.dial_failed(dial, now, &mut self.out);
            }
            Input::Frame { link, bytes } => {
                self.links.handle_frame(link, &bytes, now, &mut self.out);
            }
            Input::Call { call, caller, scope, request } => {
                self.handle_call(call, (caller, scope), request, now);
            }
            Input::CallGone { call } => self.waits.gone(call),
            Input::Loaded { load, rows } => self.handle_loaded(load, &rows, now),
            Input::LoadFailed { load, reason } => self.load_failed(load, &reason, now),
            Input::Done { job, result } => self.handle_done(job, result, now),
            Input::Resolved { host, result } => self.hosts.resolved(&host, result, now),
            Input::StoreSize { bytes } => self.store_bytes = bytes,
            Input::Settings { bootstrap } => self.take_settings(bootstrap, now),
            Input::Wake => {}
        }
        self.handle_timeout(now);
        self.settle(now);
    }
}
