//! What a world still has to do, in the order of its time.

use std::collections::BTreeMap;

use bytchat_core::io::{Input, LinkId};

/// Something that happens on a machine, unless it was restarted meanwhile.
pub(super) enum What {
    /// The node takes an input.
    Input(Box<Input>),
    /// The oldest batch is on disk.
    Committed,
    /// The node's deadline has come.
    Wake,
    /// A link was cut so long ago that it is given up.
    Silent(LinkId),
}

/// One entry of the agenda.
pub(super) struct Event {
    pub(super) host: usize,
    pub(super) boot: u64,
    pub(super) what: What,
}

/// Everything that will happen; what is due at once happens in the order in which it was set.
#[derive(Default)]
pub(super) struct Agenda {
    events: BTreeMap<(u64, u64), Event>,
    count: u64,
}

impl Agenda {
    pub(super) fn add(&mut self, at: u64, event: Event) {
        self.count += 1;
        self.events.insert((at, self.count), event);
    }

    pub(super) fn next_at(&self) -> Option<u64> {
        self.events.first_key_value().map(|((at, _), _)| *at)
    }

    pub(super) fn pop(&mut self) -> Option<(u64, Event)> {
        self.events.pop_first().map(|((at, _), event)| (at, event))
    }
}
