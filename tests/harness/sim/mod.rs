//! Many real nodes in one process, on virtual time, with seeded faults.

mod disk;
mod host;
mod world;

pub use host::Host;
pub use world::{Faults, World};
