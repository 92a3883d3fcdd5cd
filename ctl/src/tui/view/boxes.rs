//! Draws the boxes that lie over everything else.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use ratatui::widgets::{Block, Clear, Widget};

use super::{Theme, put, put_both};
use crate::tui::layout::compose::{cells, written};
use crate::tui::layout::help::{KEYS, top_max};
use crate::tui::layout::text;
use crate::tui::model::{Editor, Model, Overlay};

/// Cells of the first column of the keys.
const KEY_CELLS: usize = 17;
const BOX_COLUMNS: u16 = 56;

/// Draws the box that is open; gives the place of the cursor if it asks for text.
pub(super) fn draw(model: &Model, area: Rect, buffer: &mut Buffer) -> Option<Position> {
    match model.overlay.as_ref()? {
        Overlay::Help(top) => help(*top, area, buffer),
        Overlay::Accounts(marked) => accounts(model, *marked, area, buffer),
        Overlay::New { who, asked } => return ask(who, *asked, area, buffer),
        Overlay::Block(peer) => {
            let name = model.book().and_then(|book| book.chats.get(peer)).map(|chat| chat.name());
            let question = format!("Block {}? They are not told.", name.unwrap_or_default());
            confirm("Block", &question, area, buffer);
        }
        Overlay::Quit => {
            let texts = match model.unsent() {
                1 => "A text was not sent".to_owned(),
                many => format!("{many} texts were not sent"),
            };
            confirm("Quit", &format!("{texts} and will be lost. Quit?"), area, buffer);
        }
    }
    None
}

fn help(top: usize, area: Rect, buffer: &mut Buffer) {
    let inner = open("Keys: Up and Down move, Esc closes", KEYS.len(), area, buffer);
    let top = top.min(top_max(area.height));
    for ((key, what), area) in KEYS.iter().skip(top).zip(inner.rows()) {
        if what.is_empty() {
            put(buffer, area, key, Theme::strong());
        } else {
            put(buffer, area, &format!(" {key:KEY_CELLS$}{what}"), Style::new());
        }
    }
}

fn accounts(model: &Model, marked: usize, area: Rect, buffer: &mut Buffer) {
    let inner = open("Accounts: Enter chooses", model.books.len(), area, buffer);
    let top = (marked + 1).saturating_sub(inner.height.into());
    let books = model.books.iter().enumerate().skip(top);
    for ((index, book), area) in books.zip(inner.rows()) {
        let mark = if index == marked { '>' } else { ' ' };
        let left = format!("{mark}{}", text::line(&book.name()));
        let right = match (book.unread(), book.requests()) {
            (0, 0) => String::new(),
            (unread, 0) => format!("{unread} unread "),
            (unread, requests) => format!("{unread} unread, {requests} asking "),
        };
        let style = if index == marked { Theme::bar() } else { Style::new() };
        put_both(buffer, area, (&left, &right), style);
    }
}

fn ask(who: &Editor, asked: bool, area: Rect, buffer: &mut Buffer) -> Option<Position> {
    let inner = open("Write to whom? Alias or user id", 2, area, buffer);
    let field = written(who, cells(inner.width.saturating_add(2)));
    let cursor = usize::from(field.cursor.y);
    put(buffer, inner, field.rows.get(cursor).map_or("", String::as_str), Style::new());
    let hint = if asked { "looking for them…" } else { "Enter looks, Esc closes" };
    put(buffer, inner.rows().nth(1).unwrap_or_default(), hint, Theme::quiet());
    (!asked).then(|| Position::new(inner.x.saturating_add(field.cursor.x), inner.y))
}

fn confirm(title: &str, question: &str, area: Rect, buffer: &mut Buffer) {
    let columns = usize::from(area.width.min(BOX_COLUMNS).saturating_sub(4));
    let mut rows = text::wrap(question, columns);
    rows.push("y yes, n no".to_owned());
    let inner = open(title, rows.len(), area, buffer);
    for (row, area) in rows.iter().zip(inner.rows()) {
        put(buffer, area, row, Style::new());
    }
}

/// Clears a place in the middle for some rows, with a frame; gives what is inside.
fn open(title: &str, rows: usize, area: Rect, buffer: &mut Buffer) -> Rect {
    let width = area.width.min(BOX_COLUMNS);
    let height = u16::try_from(rows).unwrap_or(u16::MAX).saturating_add(2).min(area.height);
    let place = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    Clear.render(place, buffer);
    let cells = usize::from(width.saturating_sub(4));
    let frame = Block::bordered().title(format!(" {} ", text::fit(title, cells)));
    let inner = frame.inner(place);
    frame.render(place, buffer);
    Rect { x: inner.x.saturating_add(1), width: inner.width.saturating_sub(2), ..inner }
}
