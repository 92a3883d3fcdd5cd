//! What is asked about the node and its network.

use clap::Subcommand;

/// `node …`
#[derive(Debug, Subcommand)]
pub(crate) enum Node {
    /// What this node is and how it stands
    Status,
    /// The nodes that it knows
    Peers,
    /// What it has counted since its start: lookups, holders, repair, refusals
    Stats,
}

/// `dht …`
#[derive(Debug, Subcommand)]
pub(crate) enum Dht {
    /// Look for the nodes that hold what lies at a point: the mail and the record of a user
    Lookup {
        /// An alias, a user id, a node id or any other point
        target: String,
        /// Show every node that was asked
        #[arg(long)]
        trace: bool,
    },
}
