//! What the engine needs of its surroundings, as narrow as it can be said.

use std::future::Future;
use std::net::SocketAddr;

use bytchat_core::io::{DialId, Input, LinkId, Output};
use bytchat_core::node::{Node, Standing};
use bytchat_core::persist::{Query, Row, Write};
use bytchat_core::time::{Deadline, Now};
use bytchat_proto::key::NodeKey;

use crate::store::{Store, StoreError};

/// Decides; the node does.
pub trait Decide {
    /// Takes an input.
    fn handle_input(&mut self, input: Input, now: Now);
    /// The next thing to be done.
    fn poll_output(&mut self) -> Option<Output>;
    /// When to wake it.
    fn poll_timeout(&self) -> Option<Deadline>;
    /// How it stands.
    fn standing(&self) -> Standing;
}

/// Keeps rows; the store does. All of it may block.
pub trait Disk: Clone + Send + 'static {
    /// Commits writes together.
    fn commit(&self, writes: Vec<Write>) -> Result<(), StoreError>;
    /// Answers a question.
    fn scan(&self, query: &Query) -> Result<Vec<Row>, StoreError>;
    /// Counts the bytes on disk.
    fn bytes(&self) -> u64;
}

/// Carries frames; the network does. Nothing but `next` waits.
pub trait Links {
    /// The next input from a peer; `None` when the network is gone. May be dropped at any time.
    fn next(&mut self) -> impl Future<Output = Option<Input>>;
    /// Opens a link.
    fn dial(&self, dial: DialId, address: SocketAddr, key: Option<NodeKey>);
    /// Sends a frame; one that cannot be sent is lost.
    fn send(&self, link: LinkId, bytes: Vec<u8>);
    /// Closes a link.
    fn close(&self, link: LinkId, reason: &str);
}

impl Decide for Node {
    fn handle_input(&mut self, input: Input, now: Now) {
        Node::handle_input(self, input, now);
    }

    fn poll_output(&mut self) -> Option<Output> {
        Node::poll_output(self)
    }

    fn poll_timeout(&self) -> Option<Deadline> {
        Node::poll_timeout(self)
    }

    fn standing(&self) -> Standing {
        Node::standing(self)
    }
}

impl Disk for Store {
    fn commit(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        Store::commit(self, writes).map(|_| ())
    }

    fn scan(&self, query: &Query) -> Result<Vec<Row>, StoreError> {
        Store::scan(self, query)
    }

    fn bytes(&self) -> u64 {
        Store::bytes(self)
    }
}
