//! The rows of the list of conversations.

use bytchat_proto::id::UserId;

use crate::tui::model::{Book, Chat, Section};

/// One row.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ListRow<'a> {
    /// The name of a section, and how many are in it.
    Heading(Section, usize),
    /// A conversation.
    Chat(&'a Chat),
}

/// The rows of an account that fit into a height, so that the chosen one is among them.
pub(crate) fn window(book: &Book, height: usize) -> Vec<ListRow<'_>> {
    let mut rows = rows(book);
    let chosen = rows
        .iter()
        .position(|row| matches!(row, ListRow::Chat(chat) if Some(chat.peer) == book.chosen));
    let last = rows.len().saturating_sub(height);
    let top = chosen.unwrap_or_default().saturating_sub(height / 2).min(last);
    rows.drain(..top);
    rows.truncate(height);
    rows
}

/// The conversations in their order.
pub(crate) fn order(book: &Book) -> Vec<UserId> {
    book.sorted().iter().map(|(_, chat)| chat.peer).collect()
}

fn rows(book: &Book) -> Vec<ListRow<'_>> {
    let sorted = book.sorted();
    let mut rows = Vec::new();
    let mut current = None;
    let plain = sorted.iter().all(|(section, _)| *section == Section::Chats);
    for (section, chat) in &sorted {
        if current != Some(*section) && !plain {
            let count = sorted.iter().filter(|(other, _)| other == section).count();
            rows.push(ListRow::Heading(*section, count));
            current = Some(*section);
        }
        rows.push(ListRow::Chat(chat));
    }
    rows
}
