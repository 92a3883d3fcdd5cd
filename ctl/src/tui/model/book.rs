//! An account of ours with its conversations.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use bytchat_proto::id::UserId;
use bytchat_proto::rpc::account::Account;

use super::chat::{Chat, short};

/// An account and its conversations.
#[derive(Clone, Debug)]
pub(crate) struct Book {
    /// The account.
    pub(crate) account: Account,
    /// The conversations by their other side.
    pub(crate) chats: BTreeMap<UserId, Chat>,
    /// The one that is chosen.
    pub(crate) chosen: Option<UserId>,
    /// The address book was asked for.
    pub(crate) listing: bool,
    /// The address book was read.
    pub(crate) listed: bool,
    /// So much of the inbox was looked through for unread messages.
    pub(crate) scanned: usize,
}

/// The parts of the list of conversations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    /// People who wrote and wait to be accepted.
    Requests,
    /// People one talks with.
    Chats,
    /// People one does not hear.
    Blocked,
}

impl Book {
    /// An account of which nothing is known yet.
    pub(crate) fn new(account: Account) -> Self {
        Self {
            account,
            chats: BTreeMap::new(),
            chosen: None,
            listing: false,
            listed: false,
            scanned: 0,
        }
    }

    /// What the account is called.
    pub(crate) fn name(&self) -> String {
        let alias = self.account.aliases.first().map(ToString::to_string);
        let own = Some(&self.account.name).filter(|name| !name.is_empty()).cloned();
        alias.or(own).unwrap_or_else(|| short(self.account.id))
    }

    /// Whether a word of the command line means this account.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        let account = &self.account;
        let alias = account.aliases.iter().any(|alias| alias.to_string() == name);
        alias || account.name == name || account.id.to_string() == name
    }

    /// A conversation, begun if there is none.
    pub(crate) fn chat_mut(&mut self, peer: UserId) -> &mut Chat {
        self.chats.entry(peer).or_insert_with(|| Chat::new(peer))
    }

    /// The conversation that is chosen.
    pub(crate) fn chat(&self) -> Option<&Chat> {
        self.chats.get(&self.chosen?)
    }

    /// The conversations as they are listed: by section, newest first, then by name.
    pub(crate) fn sorted(&self) -> Vec<(Section, &Chat)> {
        let mut chats: Vec<_> = self.chats.values().map(|chat| (section(chat), chat)).collect();
        chats.sort_by_cached_key(|(section, chat)| {
            (order(*section), Reverse(chat.last), chat.name())
        });
        chats
    }

    /// Unread messages of people who were accepted.
    pub(crate) fn unread(&self) -> usize {
        let open = self.chats.values().filter(|chat| chat.is_open());
        open.map(|chat| chat.unread.len()).sum()
    }

    /// People who wait to be accepted.
    pub(crate) fn requests(&self) -> usize {
        self.chats.values().filter(|chat| chat.is_request()).count()
    }

    /// Texts that would be lost by ending now.
    pub(crate) fn unsent(&self) -> usize {
        let unsent = |chat: &Chat| chat.pending.len() + usize::from(!chat.draft.is_blank());
        self.chats.values().map(unsent).sum()
    }
}

fn section(chat: &Chat) -> Section {
    if chat.is_request() {
        Section::Requests
    } else if chat.is_blocked() {
        Section::Blocked
    } else {
        Section::Chats
    }
}

fn order(section: Section) -> u8 {
    match section {
        Section::Requests => 0,
        Section::Chats => 1,
        Section::Blocked => 2,
    }
}
