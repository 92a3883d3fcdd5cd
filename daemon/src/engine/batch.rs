//! What one drain of the node asks for: writes that go to the disk together, then the rest.

use bytchat_core::io::Output;
use bytchat_core::persist::Write;

/// The outputs of one drain.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) writes: Vec<Write>,
    /// Everything else, in order; no `Persist`.
    pub(super) effects: Vec<Output>,
    bytes: usize,
}

impl Batch {
    /// Adds an output behind the others.
    pub(super) fn add(&mut self, output: Output) {
        let Output::Persist(writes) = output else {
            self.effects.push(output);
            return;
        };
        let length = |write: &Write| match write {
            Write::Put { key, value, .. } => key.len() + value.len(),
            Write::Remove { key, .. } => key.len(),
        };
        self.bytes += writes.iter().map(length).sum::<usize>();
        self.writes.extend(writes);
    }

    /// How many bytes it writes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Tells whether there is nothing to do.
    pub(super) fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.effects.is_empty()
    }
}
