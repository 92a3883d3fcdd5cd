//! The mouse: the wheel scrolls what it is over, a click chooses.

use super::chat::scroll;
use super::list::{choose, open, step};
use crate::tui::layout::areas::areas;
use crate::tui::layout::list::{ListRow, window};
use crate::tui::model::{Command, Focus, Model, Mouse, Overlay};

/// Rows of a conversation by one notch of the wheel.
const WHEEL_ROWS: isize = 3;

pub(super) fn update(model: &mut Model, mouse: Mouse) -> Vec<Command> {
    model.attended = true;
    let areas = areas(model, model.size);
    if model.overlay.is_some() {
        // A box asks for an answer by keys; only the help is put away by a click.
        if matches!((&model.overlay, mouse), (Some(Overlay::Help(_)), Mouse::Click(_))) {
            model.overlay = None;
        }
        return Vec::new();
    }
    match mouse {
        Mouse::Wheel { up, at } if areas.list.contains(at) => {
            step(model, if up { -1 } else { 1 });
        }
        Mouse::Wheel { up, at } if areas.talk.contains(at) => {
            scroll(model, if up { WHEEL_ROWS } else { -WHEEL_ROWS });
        }
        Mouse::Click(at) if areas.list.contains(at) => {
            let row = usize::from(at.y - areas.list.y);
            let rows = model.book().map(|book| window(book, areas.list.height.into()));
            let row = rows.as_deref().and_then(|rows| rows.get(row));
            if let Some(ListRow::Chat(chat)) = row {
                let peer = chat.peer;
                choose(model, peer);
                open(model);
            }
        }
        Mouse::Click(at) if areas.talk.contains(at) || areas.compose.contains(at) => {
            if model.focus == Focus::List {
                open(model);
            }
        }
        Mouse::Wheel { .. } | Mouse::Click(_) => {}
    }
    Vec::new()
}
