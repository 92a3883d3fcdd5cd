//! Draws the list of conversations.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Theme, put, put_both};
use crate::tui::layout::list::{ListRow, window};
use crate::tui::layout::text;
use crate::tui::model::{Chat, Focus, Model, Section};

pub(super) fn draw(model: &Model, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let rows = model.book().map(|book| window(book, area.height.into())).unwrap_or_default();
    if rows.is_empty() {
        return hint(model, area, buffer);
    }
    for (row, area) in rows.into_iter().zip(area.rows()) {
        match row {
            ListRow::Heading(section, count) => {
                let heading = format!(" {} ({count})", heading(section));
                put(buffer, area, &heading, Theme::strong());
            }
            ListRow::Chat(chat) => entry(model, theme, chat, area, buffer),
        }
    }
}

fn entry(model: &Model, theme: Theme, chat: &Chat, area: Rect, buffer: &mut Buffer) {
    let chosen = model.book().is_some_and(|book| book.chosen == Some(chat.peer));
    let mark = if chosen { '>' } else { ' ' };
    let mut right = String::new();
    if chat.key_changed {
        right.push_str("new key ");
    }
    if !chat.draft.is_blank() || !chat.pending.is_empty() {
        right.push_str("draft ");
    }
    if !chat.unread.is_empty() {
        right.push_str(&format!("({}) ", chat.unread.len()));
    }
    let style = match (chosen, model.focus) {
        (true, Focus::List) => Theme::bar(),
        (true, Focus::Chat) => Theme::strong(),
        (false, _) if !chat.unread.is_empty() => theme.unread(),
        (false, _) if chat.is_blocked() => Theme::quiet(),
        (false, _) => ratatui::style::Style::new(),
    };
    let left = format!("{mark}{}", text::line(&chat.name()));
    put_both(buffer, area, (&left, &right), style);
}

fn heading(section: Section) -> &'static str {
    match section {
        Section::Requests => "REQUESTS",
        Section::Chats => "CONVERSATIONS",
        Section::Blocked => "BLOCKED",
    }
}

fn hint(model: &Model, area: Rect, buffer: &mut Buffer) {
    let text = match model.book() {
        None if model.loaded => {
            "There is no account yet. `bytctl account create --name NAME` makes one; then press \
             Ctrl-L here."
        }
        Some(book) if book.account.damaged => {
            "What is on disk of this account cannot be read. It is kept as it is; the log of \
             bytchatd says more. F2 shows your other accounts."
        }
        Some(book) if book.listed => "Nobody is here yet. Press n to write to somebody.",
        None | Some(_) => "reading…",
    };
    let cells = usize::from(area.width.saturating_sub(2));
    for (row, area) in text::wrap(text, cells).iter().zip(area.rows()) {
        put(buffer, area, &format!(" {row}"), Theme::quiet());
    }
}
