//! Many real nodes in one process, on virtual time, with seeded faults.

mod churn;
mod disk;
mod events;
mod history;
mod host;
mod liar;
mod lookup;
mod network;
mod path;
mod people;
mod seeds;
mod stranger;
mod trial;
mod witness;
mod world;

pub use churn::Churn;
pub use disk::Disk;
pub use history::History;
pub use host::Host;
pub use lookup::{Looked, nearest};
pub use network::Faults;
pub use people::{Person, keys};
pub use seeds::each_seed;
pub use stranger::{Stranger, letter};
pub use trial::trial;
pub use witness::Overheard;
pub use world::World;
