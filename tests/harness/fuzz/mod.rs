//! Bytes from anywhere against all that reads them. A body takes any bytes, and panics when a
//! promise is broken: `tests/fuzz` replays and mutates, libFuzzer searches.

mod disk;
mod door;
mod frames;
mod golden;
mod mail;
mod mutate;
mod node;
mod pickles;
mod segment;
mod source;
mod texts;
mod values;

pub use mail::make_mail;
pub use mutate::Mutator;

/// One reader of bytes.
pub struct Target {
    /// Its name, and that of the folder of its corpus.
    pub name: &'static str,
    /// Feeds it.
    pub feed: fn(&[u8]),
    /// Good inputs that are made, not kept.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// How many mutations the tests feed it: slow ones get fewer.
    pub rounds: usize,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "frames", feed: frames::feed, seeds: frames::seeds, rounds: 2_000 },
    Target { name: "values", feed: values::feed, seeds: values::seeds, rounds: 2_000 },
    Target { name: "texts", feed: texts::feed, seeds: texts::seeds, rounds: 2_000 },
    Target { name: "calls", feed: texts::feed_call, seeds: texts::calls, rounds: 2_000 },
    Target { name: "config", feed: disk::feed_config, seeds: disk::configs, rounds: 500 },
    Target { name: "door", feed: door::feed, seeds: door::seeds, rounds: 500 },
    Target { name: "pickles", feed: pickles::feed, seeds: pickles::seeds, rounds: 500 },
    Target { name: "segment", feed: segment::feed, seeds: segment::seeds, rounds: 40 },
    Target { name: "rows", feed: node::feed_rows, seeds: node::row_seeds, rounds: 200 },
    Target { name: "node", feed: node::feed, seeds: node::seeds, rounds: 200 },
];

/// The target of a name.
pub fn target(name: &str) -> &'static Target {
    let found = TARGETS.iter().find(|target| target.name == name);
    found.expect("a target of this name")
}
