//! What the terminal front end knows and shows: plain values, without terminal, socket and clock.

mod book;
mod chat;
mod editor;
mod msg;
mod zone;

use bytchat_proto::id::UserId;
use ratatui::layout::Size;

pub(crate) use book::{Book, Section};
pub(crate) use chat::{Chat, Edge, Pending, Reading, peer_of};
pub(crate) use editor::Editor;
pub(crate) use msg::{Answer, Command, Edit, Go, Key, Mouse, Msg, Older, Page};
pub(crate) use zone::Zone;

/// Whether the daemon answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Nothing was heard of it yet.
    Trying,
    /// It answers.
    Up,
    /// It does not, and why.
    Away(String),
}

/// Where keys go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Focus {
    /// The list of conversations.
    List,
    /// The conversation that is chosen.
    Chat,
}

/// A box over everything else.
#[derive(Clone, Debug)]
pub(crate) enum Overlay {
    /// The keys, from a line on.
    Help(usize),
    /// The accounts, with one marked.
    Accounts(usize),
    /// Asks for somebody to write to.
    New {
        /// Alias or user id.
        who: Editor,
        /// The daemon looks for the person.
        asked: bool,
    },
    /// Asks whether somebody is to be blocked.
    Block(UserId),
    /// Asks whether texts that were not sent are to be lost.
    Quit,
}

/// A word to the person, until the next key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Notice {
    /// What happened.
    pub(crate) text: String,
    /// Whether something went wrong.
    pub(crate) bad: bool,
}

/// How it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The person is done.
    Quit,
    /// Somebody else ended it.
    Stopped,
}

/// What the outer loop is to do with the terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wishes {
    /// Draw every cell anew.
    pub(crate) redraw: bool,
    /// Give the terminal back for a while.
    pub(crate) suspend: bool,
}

/// Everything.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    /// The accounts, in the daemon's order.
    pub(crate) books: Vec<Book>,
    /// The account that is shown.
    pub(crate) chosen: usize,
    /// The accounts were read.
    pub(crate) loaded: bool,
    /// Where keys go.
    pub(crate) focus: Focus,
    /// What lies over everything else.
    pub(crate) overlay: Option<Overlay>,
    /// Whether the daemon answers.
    pub(crate) reach: Reach,
    /// A word to the person.
    pub(crate) notice: Option<Notice>,
    /// Columns and rows.
    pub(crate) size: Size,
    /// Whether somebody looks at the terminal, as far as it tells.
    pub(crate) attended: bool,
    /// Whether and how it ends.
    pub(crate) end: Option<End>,
    /// What the outer loop is to do.
    pub(crate) wishes: Wishes,
    /// The person's clock.
    pub(crate) zone: Zone,
    /// The account that the command line named, until it is found.
    pub(crate) wanted: Option<String>,
    client_ids: String,
    sends: u64,
}

impl Model {
    /// At the start. `client_ids` is a word that no other front end uses: each message gets a
    /// name that begins with it.
    pub(crate) fn new(size: Size, wanted: Option<String>, client_ids: String) -> Self {
        Self {
            books: Vec::new(),
            chosen: 0,
            loaded: false,
            focus: Focus::List,
            overlay: None,
            reach: Reach::Trying,
            notice: None,
            size,
            attended: true,
            end: None,
            wishes: Wishes::default(),
            zone: Zone::default(),
            wanted,
            client_ids,
            sends: 0,
        }
    }

    /// The account that is shown.
    pub(crate) fn book(&self) -> Option<&Book> {
        self.books.get(self.chosen)
    }

    /// The same, to be changed.
    pub(crate) fn book_mut(&mut self) -> Option<&mut Book> {
        self.books.get_mut(self.chosen)
    }

    /// An account by its id.
    pub(crate) fn book_of(&mut self, account: UserId) -> Option<&mut Book> {
        self.books.iter_mut().find(|book| book.account.id == account)
    }

    /// The conversation that is shown.
    pub(crate) fn chat(&self) -> Option<&Chat> {
        self.book()?.chat()
    }

    /// The same, to be changed.
    pub(crate) fn chat_mut(&mut self) -> Option<&mut Chat> {
        let book = self.book_mut()?;
        book.chats.get_mut(&book.chosen?)
    }

    /// Says something.
    pub(crate) fn say(&mut self, text: impl Into<String>) {
        self.notice = Some(Notice { text: text.into(), bad: false });
    }

    /// Says that something went wrong.
    pub(crate) fn complain(&mut self, text: impl Into<String>) {
        self.notice = Some(Notice { text: text.into(), bad: true });
    }

    /// A name for the next message that no other has.
    pub(crate) fn next_client_id(&mut self) -> String {
        self.sends += 1;
        format!("{}-{}", self.client_ids, self.sends)
    }

    /// Texts that would be lost by ending now.
    pub(crate) fn unsent(&self) -> usize {
        self.books.iter().map(Book::unsent).sum()
    }
}
