//! Draws the conversation that is chosen, and what is being written.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;

use super::{Theme, put, put_both};
use crate::tui::layout::areas::Areas;
use crate::tui::layout::compose::{PROMPT, cells, written};
use crate::tui::layout::talk::{Mark, Row, RowKind, Talk};
use crate::tui::layout::text;
use crate::tui::model::{Chat, Focus, Model, Reading};

/// Draws; gives the place of the cursor if text can be written.
pub(super) fn draw(
    model: &Model,
    theme: Theme,
    areas: &Areas,
    buffer: &mut Buffer,
) -> Option<Position> {
    let chat = model.chat()?;
    head(chat, theme, areas.head, buffer);
    talk(&Talk::new(chat, areas.talk, model.zone.clone()), chat, theme, areas.talk, buffer);
    put(buffer, areas.rule, &"─".repeat(areas.rule.width.into()), Theme::quiet());
    if !chat.is_open() {
        decide(chat, areas.compose, buffer);
        return None;
    }
    compose(model, chat, areas.compose, buffer)
}

fn head(chat: &Chat, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let name = text::line(&chat.name());
    let (left, style) = if chat.key_changed {
        (format!(" {name}: the key has changed, nothing is sent"), theme.bad())
    } else if chat.is_request() {
        (format!(" {name} wants to write to you"), Theme::strong())
    } else if chat.is_blocked() {
        (format!(" {name} is blocked"), Theme::strong())
    } else {
        (format!(" {name}"), Theme::strong())
    };
    let right = match (chat.scroll, chat.below) {
        (None, _) => String::new(),
        (Some(_), 0) => "↓ End ".to_owned(),
        (Some(_), new) => format!("↓ {new} new, End "),
    };
    put_both(buffer, area, (&left, &right), style);
}

fn talk(talk: &Talk<'_>, chat: &Chat, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let rows = talk.window();
    if rows.is_empty() {
        let text = match chat.reading {
            Reading::No | Reading::Asked => "reading…",
            Reading::Yes => "nothing was written yet",
            Reading::Failed => "the messages cannot be read; Ctrl-L tries again",
        };
        return put(buffer, area, &format!(" {text}"), Theme::quiet());
    }
    let free = usize::from(area.height) - rows.len();
    for (row, area) in rows.iter().zip(area.rows().skip(free)) {
        match row.kind {
            RowKind::Day => rule(&row.text, Theme::quiet(), area, buffer),
            RowKind::New => rule(&row.text, theme.unread(), area, buffer),
            RowKind::Remark => put(buffer, area, &format!(" ({})", row.text), Theme::quiet()),
            RowKind::Text if talk.is_roomy() => roomy(row, theme, area, buffer),
            RowKind::Text => narrow(row, theme, area, buffer),
        }
    }
}

fn rule(text: &str, style: Style, area: Rect, buffer: &mut Buffer) {
    let cells = usize::from(area.width).saturating_sub(text::width(text) + 5);
    put(buffer, area, &format!("── {text} {}", "─".repeat(cells)), style);
}

fn roomy(row: &Row, theme: Theme, area: Rect, buffer: &mut Buffer) {
    put(buffer, area, &row.left, theme.author(row.mine));
    put(buffer, beyond(area, text::width(&row.left)), &row.text, Style::new());
    if let Some(mark) = row.mark {
        let cells = usize::from(area.width) - mark.word().len();
        put(buffer, beyond(area, cells), mark.word(), theme.mark(mark));
    }
}

fn narrow(row: &Row, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let mark = row.mark.map(|mark| format!(", {}", mark.word())).unwrap_or_default();
    let style = match (row.mark, row.text.is_empty()) {
        (Some(mark @ Mark::Is(bytchat_proto::rpc::message::State::Expired)), _) => theme.mark(mark),
        (_, true) => theme.author(row.mine),
        (_, false) => Style::new(),
    };
    put(buffer, area, &format!("{}{}{mark}", row.left, row.text), style);
}

fn decide(chat: &Chat, area: Rect, buffer: &mut Buffer) {
    let text = if chat.is_request() {
        "a accepts, b blocks; they do not learn that you read this"
    } else {
        "a ends the block"
    };
    put(buffer, area, &format!(" {text}"), Theme::strong());
}

fn compose(model: &Model, chat: &Chat, area: Rect, buffer: &mut Buffer) -> Option<Position> {
    if area.is_empty() {
        return None;
    }
    let written = written(&chat.draft, cells(area.width));
    let cursor = usize::from(written.cursor.y);
    let top = (cursor + 1).saturating_sub(area.height.into());
    put(buffer, area, PROMPT, Theme::strong());
    let inner = beyond(area, PROMPT.len());
    for (row, area) in written.rows.iter().skip(top).zip(inner.rows()) {
        put(buffer, area, row, Style::new());
    }
    let down = u16::try_from(cursor - top).unwrap_or(u16::MAX);
    let place =
        Position::new(inner.x.saturating_add(written.cursor.x), inner.y.saturating_add(down));
    (model.focus == Focus::Chat).then_some(place)
}

/// What is left of a part behind some cells.
fn beyond(area: Rect, cells: usize) -> Rect {
    let cells = u16::try_from(cells).unwrap_or(u16::MAX).min(area.width);
    Rect { x: area.x + cells, width: area.width - cells, ..area }
}
