//! What comes in to the model, and what it wants done.

use bytchat_proto::id::{BlockId, UserId};
use bytchat_proto::rpc::account::Account;
use bytchat_proto::rpc::contact::{Contact, Standing};
use bytchat_proto::rpc::event::Event;
use bytchat_proto::rpc::message::Message;
use ratatui::layout::{Position, Size};

/// Where a list goes on towards the past, as the daemon names it.
pub(crate) type Older = u64;

/// What happens to the front end.
#[derive(Debug)]
pub(crate) enum Msg {
    /// A key was pressed.
    Key(Key),
    /// Text was pasted.
    Paste(String),
    /// The mouse did something.
    Mouse(Mouse),
    /// The terminal has another size.
    Resize(Size),
    /// Somebody looks at the terminal, or no longer does.
    Attended(bool),
    /// The daemon answers; what it knows is to be read anew.
    Up,
    /// The daemon does not answer, and why.
    Away(String),
    /// Events were missed: what is known may be old.
    Gap,
    /// The daemon tells news.
    Event(Box<Event>),
    /// A command was done.
    Answer(Answer),
    /// A command was refused, and why.
    Failed(Command, String),
    /// The front end is to end.
    Stop,
}

/// A key, or a combination of keys, by what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// A character.
    Char(char),
    /// Changes a text.
    Edit(Edit),
    /// Goes somewhere.
    Go(Go),
    /// Enter.
    Enter,
    /// Escape.
    Esc,
    /// Tab.
    Tab,
    /// To the next conversation.
    NextChat,
    /// To the one before.
    PrevChat,
    /// Help.
    Help,
    /// The list of accounts.
    Accounts,
    /// Reads and draws everything anew.
    Refresh,
    /// Back to the shell for a while.
    Suspend,
    /// The end.
    Quit,
}

/// Changes of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edit {
    /// A new line.
    NewLine,
    /// Erases what stands before the cursor.
    Backspace,
    /// Erases what stands at the cursor.
    Delete,
    /// Erases the word before the cursor.
    EraseWord,
    /// Erases the line up to the cursor.
    EraseLine,
    /// Erases the line from the cursor on.
    EraseRest,
}

/// Directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Go {
    /// A line up.
    Up,
    /// A line down.
    Down,
    /// A character to the left.
    Left,
    /// A character to the right.
    Right,
    /// A word to the left.
    WordLeft,
    /// A word to the right.
    WordRight,
    /// To the beginning of a line or list.
    Home,
    /// To the end of a line or list.
    End,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// To the first of all.
    Top,
    /// To the last of all.
    Bottom,
}

/// What a mouse does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mouse {
    /// The wheel was turned.
    Wheel {
        /// Away from the person.
        up: bool,
        /// Over which cell.
        at: Position,
    },
    /// The first button was pressed over a cell.
    Click(Position),
}

/// Some messages of a longer list, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Page {
    /// The messages.
    pub(crate) messages: Vec<Message>,
    /// Where older ones are, if there are any.
    pub(crate) older: Option<Older>,
}

/// What is to be asked of the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Lists the accounts.
    Accounts,
    /// Lists the address book of an account.
    Contacts {
        /// The account.
        account: UserId,
    },
    /// Lists what came in.
    Inbox {
        /// The account.
        account: UserId,
        /// Only what is older.
        older: Option<Older>,
    },
    /// Lists a conversation.
    History {
        /// The account.
        account: UserId,
        /// With whom.
        peer: UserId,
        /// Only what is older.
        older: Option<Older>,
    },
    /// Reads the newest message of a conversation.
    Newest {
        /// The account.
        account: UserId,
        /// With whom.
        peer: UserId,
    },
    /// Sends a message.
    Send {
        /// The account.
        account: UserId,
        /// To whom.
        peer: UserId,
        /// The name under which the daemon finds the recipient.
        to: String,
        /// The text.
        text: String,
        /// Makes a repeated call the same message.
        client_id: String,
    },
    /// Tells senders that their messages were read.
    Read {
        /// The messages.
        ids: Vec<BlockId>,
    },
    /// Puts somebody into the address book.
    Add {
        /// The account.
        account: UserId,
        /// Alias or user id.
        who: String,
    },
    /// Accepts or blocks somebody.
    Stand {
        /// The account.
        account: UserId,
        /// Whom.
        peer: UserId,
        /// How the person is to stand.
        standing: Standing,
    },
}

/// What the daemon answered.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The accounts.
    Accounts(Vec<Account>),
    /// The address book of an account.
    Contacts(UserId, Vec<Contact>),
    /// What came in for an account.
    Inbox(UserId, Page),
    /// A part of a conversation.
    History {
        /// The account.
        account: UserId,
        /// With whom.
        peer: UserId,
        /// It was asked for what is older than this.
        older: Option<Older>,
        /// The messages.
        page: Page,
    },
    /// The newest message of a conversation, if it has any.
    Newest(UserId, UserId, Option<Box<Message>>),
    /// A message was written down.
    Sent {
        /// The account.
        account: UserId,
        /// Its own name for it.
        client_id: String,
        /// The message.
        message: Box<Message>,
    },
    /// Messages were marked as read.
    Read,
    /// Somebody is in the address book now.
    Added(UserId, Contact),
    /// Somebody was accepted or blocked.
    Stood(UserId, Contact),
}
