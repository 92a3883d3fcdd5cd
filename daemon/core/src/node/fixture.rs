//! A node with its disk, for the tests of what survives.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytchat_proto::id::{NetworkId, UserId};
use bytchat_proto::rpc::account::Create;
use bytchat_proto::rpc::{Call, RpcError, openrpc};
use serde_json::Value;

use super::{Node, NodeConfig, NodeError};
use crate::crypto::account;
use crate::fixture::at;
use crate::io::{CallId, Caller, Input, Output, Scope};
use crate::persist::{Query, Row, Table, Write};
use crate::time::Now;

/// A machine: what runs, and what lies on its disk.
pub(super) struct Machine {
    pub(super) node: Node,
    pub(super) disk: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
    pub(super) replies: Vec<Result<Value, RpcError>>,
    /// When jobs and questions to the disk are done.
    now: Now,
    /// What the disk was asked, and how many rows it found.
    pub(super) asked: Vec<(Query, usize)>,
}

fn start(disk: &BTreeMap<(Table, Vec<u8>), Vec<u8>>, now: Now) -> Result<Node, NodeError> {
    let config = NodeConfig {
        network: NetworkId::of_name("test"),
        network_key: None,
        work: 0,
        stamp: Vec::new(),
        secret: [1; 32],
        vault: [2; 32],
        listen: Vec::new(),
        bootstrap: Vec::new(),
        pod: None,
        events: crate::event::Keep::default(),
        version: "test".to_owned(),
    };
    let hot = |((table, key), value): (&(Table, Vec<u8>), &Vec<u8>)| {
        let row = (key.clone(), value.clone());
        Node::HOT.contains(table).then_some((*table, row))
    };
    Node::new(config, [3; 32], disk.iter().filter_map(hot).collect(), now)
}

impl Machine {
    /// A machine with an empty disk.
    pub(super) fn new() -> Self {
        let disk = BTreeMap::new();
        let node = start(&disk, at(0)).unwrap();
        Self { node, disk, replies: Vec::new(), asked: Vec::new(), now: at(0) }
    }

    /// Stops and starts it with what is on its disk.
    pub(super) fn restart(&mut self, now: Now) {
        self.drain();
        self.crash(now);
    }

    /// Starts it with what is on its disk, and does nothing yet of what it wants done.
    pub(super) fn restart_idle(&mut self, now: Now) {
        self.now = now;
        self.node = start(&self.disk, now).unwrap();
    }

    /// Starts it with what is on its disk; nothing else of what it was about to do is done.
    pub(super) fn crash(&mut self, now: Now) {
        self.restart_idle(now);
        self.drain();
    }

    /// Does what the node wants done; gives back what it wants of the world.
    pub(super) fn drain(&mut self) -> Vec<Output> {
        let mut rest = Vec::new();
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Persist(writes) => writes.into_iter().for_each(|write| self.write(write)),
                Output::Job { job, task } => {
                    let done = Input::Done { job, result: account::run(task) };
                    self.node.handle_input(done, self.now);
                }
                Output::Reply { result, .. } => self.replies.push(result),
                Output::Event { .. } => {}
                Output::Load { load, query } => {
                    let rows = self.read(&query);
                    self.asked.push((query, rows.len()));
                    self.node.handle_input(Input::Loaded { load, rows }, self.now);
                }
                output @ (Output::Transmit { .. }
                | Output::Dial { .. }
                | Output::Close { .. }
                | Output::Resolve { .. }) => rest.push(output),
            }
        }
        rest
    }

    pub(super) fn read(&self, query: &Query) -> Vec<Row> {
        let table = self.rows(query.table).into_iter();
        let within = |key: &[u8]| {
            key >= query.from.as_slice() && query.to.as_ref().is_none_or(|to| key < to.as_slice())
        };
        let mut rows: Vec<Row> = table.filter(|(key, _)| within(key)).collect();
        if query.reverse {
            rows.reverse();
        }
        rows.truncate(query.limit);
        if let Some(table) = query.follow {
            rows.iter_mut().filter(|(_, at)| !at.is_empty()).for_each(|(key, value)| {
                *key = std::mem::take(value);
                *value = self.disk.get(&(table, key.clone())).cloned().unwrap_or_default();
            });
        }
        let mut goes_on = query.meter();
        let last = rows.iter().position(|(_, value)| !goes_on(value.len()));
        rows.truncate(last.map_or(rows.len(), |last| last + 1));
        rows
    }

    /// Lets time pass.
    pub(super) fn wake(&mut self, now: Now) {
        self.now = now;
        self.node.handle_input(Input::Wake, now);
        self.drain();
    }

    pub(super) fn write(&mut self, write: Write) {
        match write {
            Write::Put { table, key, value } => self.disk.insert((table, key), value),
            Write::Remove { table, key } => self.disk.remove(&(table, key)),
        };
    }

    /// The rows of a table, in the order of their keys.
    pub(super) fn rows(&self, table: Table) -> Vec<Row> {
        let rows = self.disk.iter().filter(|((other, _), _)| *other == table);
        rows.map(|((_, key), value)| (key.clone(), value.clone())).collect()
    }

    /// Calls the node as a Unix user.
    pub(super) fn ask(&mut self, uid: u32, request: Call, now: Now) -> Result<Value, RpcError> {
        self.ask_as(uid, None, request, now)
    }

    /// The same in a session that may be narrowed.
    pub(super) fn ask_as(
        &mut self,
        uid: u32,
        scope: Option<Arc<Scope>>,
        request: Call,
        now: Now,
    ) -> Result<Value, RpcError> {
        self.now = now;
        let (call, method) = (CallId(1), request.method());
        let caller = Caller { uid };
        self.node.handle_input(Input::Call { call, caller, scope, request }, now);
        self.drain();
        let result = self.replies.pop().unwrap();
        if let Err(error) = &result {
            let listed = openrpc::errors(method).unwrap();
            assert!(listed.contains(&error.kind), "{method} gives {error:?}, which is not listed");
        }
        result
    }

    /// Makes an account of a Unix user.
    pub(super) fn person(&mut self, uid: u32) -> UserId {
        let made = self.ask(uid, Call::AccountCreate(Create::default()), at(0)).unwrap();
        serde_json::from_value(made["id"].clone()).unwrap()
    }
}
