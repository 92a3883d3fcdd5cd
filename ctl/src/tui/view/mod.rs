//! Draws the model; changes nothing.

mod boxes;
mod chat;
mod list;
#[cfg(test)]
mod tests;
mod theme;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::layout::areas::areas;
use super::layout::text;
use super::model::{Focus, Model, Reach};
pub(crate) use theme::Theme;

/// Draws everything, and puts the cursor where text is written.
pub(crate) fn draw(model: &Model, theme: Theme, frame: &mut Frame<'_>) {
    let size = frame.area().as_size();
    let areas = areas(model, size);
    let buffer = frame.buffer_mut();
    title(model, areas.title, buffer);
    banner(model, theme, areas.banner, buffer);
    list::draw(model, theme, areas.list, buffer);
    for y in areas.border.rows() {
        put(buffer, y, "│", Theme::quiet());
    }
    let mut cursor = chat::draw(model, theme, &areas, buffer);
    status(model, theme, areas.status, buffer);
    if model.overlay.is_some() {
        cursor = boxes::draw(model, frame.area(), frame.buffer_mut());
    }
    if let Some(cursor) = cursor.filter(|cursor| frame.area().contains(*cursor)) {
        frame.set_cursor_position(cursor);
    }
}

/// Puts a tamed text into the first row of a part, cut to fit.
fn put(buffer: &mut Buffer, area: Rect, text: &str, style: Style) {
    if area.is_empty() {
        return;
    }
    let cells = usize::from(area.width);
    buffer.set_stringn(area.x, area.y, text::fit(text, cells), cells, style);
}

/// Puts two tamed texts into the first row of a part, one at each side; the right one is whole.
fn put_both(buffer: &mut Buffer, area: Rect, (left, right): (&str, &str), style: Style) {
    let cells = usize::from(area.width);
    let right = text::fit(right, cells);
    let room = cells - text::width(&right);
    let left = text::fit(left, room);
    let gap = " ".repeat(room - text::width(&left));
    put(buffer, area, &format!("{left}{gap}{right}"), style);
}

fn title(model: &Model, area: Rect, buffer: &mut Buffer) {
    let name = model.book().map_or_else(|| "BytChat".to_owned(), |book| book.name());
    let unread: usize = model.books.iter().map(|book| book.unread()).sum();
    let requests: usize = model.books.iter().map(|book| book.requests()).sum();
    let mut right = Vec::new();
    if unread > 0 {
        right.push(format!("{unread} unread"));
    }
    match requests {
        0 => {}
        1 => right.push("1 request".to_owned()),
        many => right.push(format!("{many} requests")),
    }
    match &model.reach {
        Reach::Trying => right.push("connecting…".to_owned()),
        Reach::Away(_) => right.push("away".to_owned()),
        Reach::Up => {}
    }
    let right = format!("{} ", right.join(", "));
    let left = format!(" {}", text::line(&name));
    put_both(buffer, area, (&left, &right), Theme::bar());
}

fn banner(model: &Model, theme: Theme, area: Rect, buffer: &mut Buffer) {
    if let Reach::Away(why) = &model.reach {
        let text = format!(" bytchatd is away, what you write is kept; {}", text::line(why));
        put_both(buffer, area, (&text, ""), theme.banner());
    }
}

fn status(model: &Model, theme: Theme, area: Rect, buffer: &mut Buffer) {
    match &model.notice {
        Some(notice) => {
            let style = if notice.bad { theme.bad() } else { Theme::strong() };
            put(buffer, area, &format!(" {}", text::line(&notice.text)), style);
        }
        None => put(buffer, area, &format!(" {}", hints(model)), Theme::quiet()),
    }
}

/// The keys that are useful now; the first ones matter most, for the last are cut.
fn hints(model: &Model) -> &'static str {
    let open = model.chat().is_none_or(|chat| chat.is_open());
    match (model.focus, open) {
        (Focus::List, true) => "? help  Enter open  n new  q quit",
        (Focus::List, false) => "? help  a accept  b block  Enter look  q quit",
        (Focus::Chat, true) => "Esc back  Enter send  Alt+Enter new line  PgUp older  F1 help",
        (Focus::Chat, false) => "Esc back  a accept  b block  F1 help",
    }
}
