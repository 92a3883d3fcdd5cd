//! Which part of the screen is for what; the same for drawing, scrolling and the mouse.

use ratatui::layout::{Rect, Size};

use super::compose;
use crate::tui::model::{Focus, Model, Reach};

/// From so many columns on, list and conversation stand side by side.
const WIDE: u16 = 72;
/// The list takes a quarter, within these.
const LIST_COLUMNS: (u16, u16) = (22, 36);
/// From so many rows on, there is room for a rule above the text that is written.
const TALL: u16 = 14;

/// The parts; one without cells is not shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Areas {
    /// The account and what is unread.
    pub(crate) title: Rect,
    /// The daemon is away.
    pub(crate) banner: Rect,
    /// The conversations.
    pub(crate) list: Rect,
    /// Between list and conversation.
    pub(crate) border: Rect,
    /// Whom the conversation is with.
    pub(crate) head: Rect,
    /// The messages.
    pub(crate) talk: Rect,
    /// Between the messages and what is written.
    pub(crate) rule: Rect,
    /// What is written.
    pub(crate) compose: Rect,
    /// Hints and notices.
    pub(crate) status: Rect,
}

/// Divides a screen.
pub(crate) fn areas(model: &Model, size: Size) -> Areas {
    let mut areas = Areas::default();
    let mut rest = Rect::new(0, 0, size.width, size.height);
    areas.title = take_top(&mut rest, 1);
    areas.status = take_bottom(&mut rest, 1);
    if matches!(model.reach, Reach::Away(_)) {
        areas.banner = take_top(&mut rest, 1);
    }
    if size.width >= WIDE {
        let (least, most) = LIST_COLUMNS;
        let columns = (size.width / 4).clamp(least, most);
        areas.list = Rect { width: columns, ..rest };
        areas.border = Rect { x: columns, width: 1, ..rest };
        rest = Rect { x: columns + 1, width: rest.width - columns - 1, ..rest };
    } else if model.focus == Focus::List || model.chat().is_none() {
        areas.list = rest;
        return areas;
    }
    if model.chat().is_some() {
        divide_chat(model, &mut areas, rest);
    }
    areas
}

fn divide_chat(model: &Model, areas: &mut Areas, mut rest: Rect) {
    areas.head = take_top(&mut rest, 1);
    let rows = compose::rows(model, rest.width).clamp(1, usize::from(rest.height / 3).max(1));
    areas.compose = take_bottom(&mut rest, u16::try_from(rows).unwrap_or(u16::MAX));
    if rest.height >= TALL {
        areas.rule = take_bottom(&mut rest, 1);
    }
    areas.talk = rest;
}

fn take_top(rest: &mut Rect, rows: u16) -> Rect {
    let rows = rows.min(rest.height);
    let taken = Rect { height: rows, ..*rest };
    rest.y += rows;
    rest.height -= rows;
    taken
}

fn take_bottom(rest: &mut Rect, rows: u16) -> Rect {
    let rows = rows.min(rest.height);
    rest.height -= rows;
    Rect { y: rest.y + rest.height, height: rows, ..*rest }
}
