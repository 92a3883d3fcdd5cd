//! A conversation with one person: messages, what is unread, what is being written.

use std::collections::BTreeMap;

use bytchat_proto::alias::Alias;
use bytchat_proto::id::{BlockId, UserId};
use bytchat_proto::rpc::contact::{Contact, Standing};
use bytchat_proto::rpc::message::{Direction, Message, State};

use super::editor::Editor;
use super::msg::{Older, Page};

/// Bytes of one conversation that are kept while it is shown: some ten thousand common messages.
const CHAT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// A conversation that nobody looks at keeps so many bytes at most, or is read anew.
const RESTING_BYTES_MAX: usize = 256 * 1024;
/// What a message needs besides its text, about.
const MESSAGE_BYTES: usize = 256;
/// Unread messages that are counted in one conversation; nobody reads a larger number.
const UNREAD_MAX: usize = 1_000;

/// How much of a conversation is here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Nothing.
    #[default]
    No,
    /// It was asked for.
    Asked,
    /// All from some message on.
    Yes,
    /// It cannot be read.
    Failed,
}

/// The lower edge of what is shown when it is not the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Edge {
    /// The lowest message.
    pub(crate) seq: u64,
    /// So many of its last rows are hidden.
    pub(crate) skip: usize,
}

/// A message that the daemon has not taken yet.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    /// Our name for it.
    pub(crate) client_id: String,
    /// The text.
    pub(crate) text: String,
}

/// A conversation.
#[derive(Clone, Debug)]
pub(crate) struct Chat {
    /// With whom.
    pub(crate) peer: UserId,
    /// The alias under which the person is known.
    pub(crate) alias: Option<Alias>,
    /// How the person stands.
    pub(crate) standing: Option<Standing>,
    /// Messages by their place in the history.
    pub(crate) messages: BTreeMap<u64, Message>,
    /// How much is here.
    pub(crate) reading: Reading,
    /// Where older messages are.
    pub(crate) older: Option<Older>,
    /// Older messages were asked for.
    pub(crate) paging: bool,
    /// There are older messages, but no room for them.
    pub(crate) full: bool,
    /// What was not read yet.
    pub(crate) unread: BTreeMap<u64, BlockId>,
    /// The place of the newest message that is known of; 0 if there is none.
    pub(crate) last: u64,
    /// Where the person has scrolled to; `None` follows the end.
    pub(crate) scroll: Option<Edge>,
    /// Messages that came while the end was not shown.
    pub(crate) below: usize,
    /// What was new when the conversation was opened begins here.
    pub(crate) new_from: Option<u64>,
    /// What is being written.
    pub(crate) draft: Editor,
    /// What the daemon has not taken yet, oldest first.
    pub(crate) pending: Vec<Pending>,
    /// The key behind the name has changed.
    pub(crate) key_changed: bool,
    bytes: usize,
}

impl Chat {
    /// A conversation of which nothing is known yet.
    pub(crate) fn new(peer: UserId) -> Self {
        Self {
            peer,
            alias: None,
            standing: None,
            messages: BTreeMap::new(),
            reading: Reading::No,
            older: None,
            paging: false,
            full: false,
            unread: BTreeMap::new(),
            last: 0,
            scroll: None,
            below: 0,
            new_from: None,
            draft: Editor::default(),
            pending: Vec::new(),
            key_changed: false,
            bytes: 0,
        }
    }

    /// Who it is with: the alias, or the beginning of the user id.
    pub(crate) fn name(&self) -> String {
        match &self.alias {
            Some(alias) => alias.to_string(),
            None => short(self.peer),
        }
    }

    /// The same in few letters, for the rows of a conversation.
    pub(crate) fn short_name(&self) -> String {
        let name = self.name();
        name.split('@').next().unwrap_or_default().to_owned()
    }

    /// What the daemon is told to find the person by.
    pub(crate) fn address(&self) -> String {
        self.alias.as_ref().map_or_else(|| self.peer.to_string(), ToString::to_string)
    }

    /// Whether the person waits to be accepted.
    pub(crate) fn is_request(&self) -> bool {
        self.standing == Some(Standing::Request)
    }

    /// Whether the person is blocked.
    pub(crate) fn is_blocked(&self) -> bool {
        self.standing == Some(Standing::Blocked)
    }

    /// Whether it can be written to.
    pub(crate) fn is_open(&self) -> bool {
        !self.is_request() && !self.is_blocked()
    }

    /// Takes what the address book says.
    pub(crate) fn set_contact(&mut self, contact: &Contact) {
        self.alias = contact.alias.clone();
        self.standing = Some(contact.standing);
    }

    /// Takes a message: a new one, or another state of one that is here.
    pub(crate) fn insert(&mut self, message: Message) {
        self.last = self.last.max(message.seq);
        self.standing.get_or_insert(standing_by(&message));
        self.note_unread(&message);
        if let Some(known) = self.messages.get_mut(&message.seq) {
            known.state = known.state.max(message.state);
            return;
        }
        let first = self.messages.keys().next().copied();
        let outside = self.older.is_some() && first.is_some_and(|first| message.seq < first);
        if !matches!(self.reading, Reading::Asked | Reading::Yes) || outside {
            return;
        }
        if self.scroll.is_some() {
            self.below += 1;
        }
        self.keep(message);
        if self.bytes > CHAT_BYTES_MAX {
            self.forget();
        }
    }

    /// Takes a part of the history.
    pub(crate) fn take_page(&mut self, page: Page) {
        self.reading = Reading::Yes;
        self.paging = false;
        self.older = page.older;
        for message in page.messages {
            self.last = self.last.max(message.seq);
            self.note_unread(&message);
            match self.messages.get_mut(&message.seq) {
                Some(known) => known.state = known.state.max(message.state),
                None => self.keep(message),
            }
        }
        if self.bytes > CHAT_BYTES_MAX {
            self.full = self.older.take().is_some();
        }
    }

    /// Forgets the messages, so that they are read anew when they are wanted.
    pub(crate) fn forget(&mut self) {
        self.messages.clear();
        self.bytes = 0;
        self.reading = Reading::No;
        self.older = None;
        self.paging = false;
        self.full = false;
        self.show_end();
    }

    /// Nobody looks at it any more.
    pub(crate) fn leave(&mut self) {
        self.new_from = None;
        if self.bytes > RESTING_BYTES_MAX || self.reading == Reading::Failed {
            self.forget();
        }
    }

    /// Shows the end.
    pub(crate) fn show_end(&mut self) {
        self.scroll = None;
        self.below = 0;
    }

    /// Scrolls.
    pub(crate) fn scroll_to(&mut self, edge: Option<Edge>) {
        match edge {
            Some(_) => self.scroll = edge,
            None => self.show_end(),
        }
    }

    /// Everything that came is read; gives what is to be told to the sender.
    pub(crate) fn mark_read(&mut self) -> Vec<BlockId> {
        for seq in self.unread.keys() {
            if let Some(message) = self.messages.get_mut(seq) {
                message.state = message.state.max(State::Read);
            }
        }
        std::mem::take(&mut self.unread).into_values().collect()
    }

    /// Counts a message among the unread ones if it is one.
    pub(crate) fn note_unread(&mut self, message: &Message) {
        if message.direction == Direction::Out {
            return;
        }
        let seen = self.messages.get(&message.seq).is_some_and(|known| known.state >= State::Read);
        if message.state >= State::Read || seen {
            self.unread.remove(&message.seq);
            return;
        }
        self.unread.insert(message.seq, message.id);
        if self.unread.len() > UNREAD_MAX {
            self.unread.pop_first();
        }
    }

    fn keep(&mut self, message: Message) {
        self.bytes += MESSAGE_BYTES + message.text.len();
        self.messages.insert(message.seq, message);
    }
}

/// The begin of a user id.
pub(crate) fn short(id: UserId) -> String {
    let mut text = id.to_string();
    text.truncate(8);
    text + "…"
}

/// With whom the account talks in a message.
pub(crate) fn peer_of(message: &Message) -> UserId {
    match message.direction {
        Direction::In => message.from,
        Direction::Out => message.to,
    }
}

fn standing_by(message: &Message) -> Standing {
    if message.request { Standing::Request } else { Standing::Accepted }
}
