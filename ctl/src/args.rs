//! The command line.

mod network;
mod token;

use std::path::PathBuf;
use std::time::Duration;

use bytchat_proto::id::BlockId;
use bytchat_proto::rpc::message::State;
use clap::{Parser, Subcommand, ValueEnum};

use crate::color::When;
use crate::manual;

pub(crate) use network::{Dht, Node};
pub(crate) use token::{NewToken, Token};

/// Sends and reads messages through bytchatd.
#[derive(Debug, Parser)]
#[command(name = "bytctl", version, arg_required_else_help = true, after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// The daemon's socket [default: $BYTCHAT_SOCKET, then the user's daemon, then the system's]
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    /// Print JSON, also for errors (on stderr)
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Which of your accounts: name, alias or user id
    #[arg(long, global = true, value_name = "NAME|ID")]
    pub(crate) account: Option<String>,
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t)]
    pub(crate) color: When,
    /// A file with a token that narrows what this command may [default: $BYTCHAT_TOKEN, the token
    /// itself]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) token: Option<PathBuf>,
    /// What to do
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0 done        1 error           2 usage, bad value   4 key changed   5 unknown or unreachable
  6 timeout     7 not permitted   8 conflict           69 no daemon    130 interrupted";

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Accounts: users whose secret key is here
    #[command(subcommand)]
    Account(Account),
    /// Names and pictures
    #[command(subcommand)]
    Profile(Profile),
    /// Human names at pods
    #[command(subcommand)]
    Alias(Alias),
    /// Send a message
    Send(Send),
    /// List what others wrote, newest last
    Inbox(Page),
    /// List the conversation with somebody, newest last
    History {
        /// Alias or user id
        who: String,
        /// How many
        #[command(flatten)]
        page: Page,
    },
    /// Follow what happens: messages that come in, and states of those that went out
    Watch(Watch),
    /// Read and write on the whole terminal: all conversations, live
    ///
    /// Shows conversations, what is unread in them, and strangers who ask to be heard; messages
    /// with how far they have come, as they come in. Needs a terminal of 40 columns and 10 rows,
    /// and works without colour (NO_COLOR). F1 shows the keys.
    Tui(Tui),
    /// One message
    #[command(subcommand)]
    Message(Message),
    /// The address book
    #[command(subcommand)]
    Contact(Contact),
    /// Tokens: secrets by which a front end may less than you
    #[command(subcommand)]
    Token(Token),
    /// The daemon itself
    #[command(subcommand)]
    Node(Node),
    /// The network as this node sees it
    #[command(subcommand)]
    Dht(Dht),
    /// Call any method of the daemon
    Rpc(Rpc),
    /// Look for what keeps this machine from sending and receiving, and say how to mend it
    Doctor(Doctor),
    /// The daemon's configuration
    #[command(subcommand)]
    Config(Config),
    /// Print what the exit codes mean
    #[command(after_help = manual::exit_codes(), help_template = "{after-help}")]
    ExitCodes,
    /// Print what may stand next in a command line
    #[command(name = "__complete", hide = true)]
    Complete {
        /// What: line, who, account, cursor or method
        kind: String,
        /// How it begins; the words of the line after the name of the program
        #[arg(allow_hyphen_values = true, trailing_var_arg = true)]
        words: Vec<String>,
    },
    /// Run twelve daemons here and send messages among them, with and without their readers online
    Demo {
        /// Leave the daemons running
        #[arg(long)]
        keep: bool,
    },
    /// Print the script by which a shell completes commands and options
    Completion {
        /// The shell
        shell: Shell,
    },
    /// Write the manual pages into a folder
    Manual {
        /// The folder
        folder: PathBuf,
    },
}

/// A shell that can complete.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Shell {
    /// bash, with bash-completion
    Bash,
    /// zsh
    Zsh,
    /// fish
    Fish,
}

/// `account …`
#[derive(Debug, Subcommand)]
pub(crate) enum Account {
    /// Make an account
    Create {
        /// A local name
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        change: Change,
    },
    /// Take an account's private key (RSA, PEM) from a file
    Import {
        /// The file, or - for stdin
        file: PathBuf,
        /// A local name
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        change: Change,
    },
    /// Print an account's private key
    Export {
        /// The public key instead
        #[arg(long)]
        public: bool,
    },
    /// List your accounts
    List,
    /// Name and picture
    #[command(subcommand)]
    Profile(Profile),
}

/// `profile …`
#[derive(Debug, Subcommand)]
pub(crate) enum Profile {
    /// Set the name and the picture that others see
    Set {
        /// The name
        #[arg(long)]
        name: String,
        /// An image file, at most 16 KiB; without it the profile has no picture
        #[arg(long, value_name = "FILE")]
        avatar: Option<PathBuf>,
        #[command(flatten)]
        edit: Edit,
    },
    /// Show somebody's name and picture
    Show {
        /// Alias or user id
        who: String,
    },
}

/// `alias …`
#[derive(Debug, Subcommand)]
pub(crate) enum Alias {
    /// Register an alias at its pod
    Register {
        /// name@pod.example
        alias: String,
        #[command(flatten)]
        change: Change,
    },
    /// Ask whose an alias is
    Resolve {
        /// name@pod.example
        alias: String,
    },
    /// List your aliases
    List,
}

/// `send …`
#[derive(Debug, clap::Args)]
pub(crate) struct Send {
    /// Alias or user id
    pub(crate) to: String,
    /// The text; - or nothing reads stdin
    pub(crate) text: Option<String>,
    /// Send each line of stdin as a message of its own; empty lines are left out
    #[arg(long, conflicts_with = "text")]
    pub(crate) lines: bool,
    /// Return only when the message has come so far
    #[arg(long, value_name = "STATE", value_parser = waitable)]
    pub(crate) wait: Option<State>,
    /// For how long to wait
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub(crate) timeout: Duration,
    /// Only check whether it would be sent
    #[arg(long, conflicts_with = "wait")]
    pub(crate) dry_run: bool,
}

/// How something is changed.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct Change {
    /// Change nothing: only say what would happen
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// How something is changed that others may change as well.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct Edit {
    /// Only if nobody else has changed it since: the rev that was seen, 0 for none
    #[arg(long, value_name = "REV")]
    pub(crate) expect_rev: Option<u64>,
    #[command(flatten)]
    pub(crate) change: Change,
}

/// Which part of a list.
#[derive(Debug, clap::Args)]
pub(crate) struct Page {
    /// At most so many, the newest
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Only messages before this number
    #[arg(long, value_name = "SEQ")]
    pub(crate) before: Option<u64>,
}

/// `tui …`
#[derive(Debug, clap::Args)]
pub(crate) struct Tui {
    /// Leave the mouse to the terminal
    #[arg(long)]
    pub(crate) no_mouse: bool,
}

/// `watch …`
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Watch {
    /// Start after the event with this number instead of now; 0 for all
    #[arg(long, value_name = "SEQ")]
    pub(crate) since: Option<u64>,
    /// Go on where this name was left; the daemon remembers it
    #[arg(long, value_name = "NAME")]
    pub(crate) cursor: Option<String>,
    /// Only events of these types, as message.received or message.*
    #[arg(long, value_name = "TYPE,…", value_delimiter = ',')]
    pub(crate) types: Option<Vec<String>>,
    /// Run this command of the shell for each event, with the event as JSON on its stdin; the
    /// cursor moves on when it exits with 0, else it is run again, after a while
    #[arg(long, value_name = "CMD", requires = "cursor")]
    pub(crate) exec: Option<String>,
    /// Give up when the command has failed so often with the same event
    #[arg(long, value_name = "N", requires = "exec")]
    pub(crate) tries: Option<u32>,
}

/// `doctor …`
#[derive(Debug, clap::Args)]
pub(crate) struct Doctor {
    /// The daemon's configuration file, if it is not the usual one
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Write what was found into an archive (tar) that can be shown to others: without messages,
    /// keys, aliases, user ids and addresses
    #[arg(long, value_name = "FILE")]
    pub(crate) bundle: Option<PathBuf>,
}

/// `config …`
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Show what is in effect, and which file, flag or variable each value comes from
    Show,
}

/// `message …`
#[derive(Debug, Subcommand)]
pub(crate) enum Message {
    /// Show a message
    Show {
        /// Its id
        id: BlockId,
    },
    /// Show the steps that a message has come, with their evidence
    Trace {
        /// Its id
        id: BlockId,
    },
    /// List the messages that have not reached their recipient, and why
    Waiting,
    /// Wait until a message has come so far
    Wait {
        /// Its id
        id: BlockId,
        /// The state, or a later one
        #[arg(long, value_parser = waitable)]
        state: State,
        /// For how long to wait
        #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
        timeout: Duration,
    },
}

/// `contact …`
#[derive(Debug, Subcommand)]
pub(crate) enum Contact {
    /// List the address book
    List,
    /// Put somebody into it
    Add {
        /// Alias or user id
        who: String,
        #[command(flatten)]
        edit: Edit,
    },
    /// Accept somebody who wrote first, or end a block
    Accept {
        /// Alias or user id
        who: String,
        #[command(flatten)]
        edit: Edit,
    },
    /// Refuse to hear from somebody, silently
    Block {
        /// Alias or user id
        who: String,
        #[command(flatten)]
        edit: Edit,
    },
}

/// `rpc …`
#[derive(Debug, clap::Args)]
pub(crate) struct Rpc {
    /// The method, noun.verb
    #[arg(required_unless_present = "list")]
    pub(crate) method: Option<String>,
    /// Parameters: key=text, or key:=json
    #[arg(value_name = "KEY=VALUE")]
    pub(crate) params: Vec<String>,
    /// List the methods
    #[arg(long, conflicts_with = "method")]
    pub(crate) list: bool,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| "a number of seconds is expected".to_owned())?;
    Duration::try_from_secs_f64(number).map_err(|error| error.to_string())
}

fn waitable(text: &str) -> Result<State, String> {
    match text.parse()? {
        State::Queued => Err("every message is queued at once; wait for stored or more".to_owned()),
        state @ (State::Stored | State::Delivered | State::Read | State::Expired) => Ok(state),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_tree_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn global_options_stand_anywhere() {
        let args = Args::parse_from(["bytctl", "send", "bob", "hi", "--json", "--socket", "/s"]);
        assert!(args.json);
        assert_eq!(args.socket, Some(PathBuf::from("/s")));
    }

    #[test]
    fn a_mistyped_option_is_not_sent_as_text() {
        assert!(Args::try_parse_from(["bytctl", "send", "bob", "--jsno"]).is_err());
        let args = Args::parse_from(["bytctl", "send", "bob", "--", "--jsno"]);
        assert!(matches!(args.command, Command::Send(Send { text: Some(t), .. }) if t == "--jsno"));
    }

    #[test]
    fn seconds_are_checked() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for bad in ["-1", "NaN", "inf", "1e300", "soon", ""] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
