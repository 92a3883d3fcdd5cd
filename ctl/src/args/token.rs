//! The command line of `token`.

use bytchat_proto::rpc::Role;
use clap::Subcommand;

/// `token …`
#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Make a token and print it, this once
    Create(NewToken),
    /// List your tokens, without the secrets
    List,
    /// Remove a token, and end what goes on by it
    Delete {
        /// Its id, as `token list` shows it
        id: String,
    },
}

/// `token create …`
#[derive(Debug, clap::Args)]
pub(crate) struct NewToken {
    /// What to call it
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// At most this role: observe, read or send
    #[arg(long, value_name = "ROLE")]
    pub(crate) role: Option<Role>,
    /// Only these of your accounts
    #[arg(long, value_name = "NAME|ID,…", value_delimiter = ',')]
    pub(crate) accounts: Option<Vec<String>>,
    /// Only these methods, as message.send or message.*
    #[arg(long, value_name = "METHOD,…", value_delimiter = ',')]
    pub(crate) methods: Option<Vec<String>>,
    /// Only for so many days
    #[arg(long, value_name = "N")]
    pub(crate) days: Option<u64>,
}
