//! Keys in a conversation: writing, sending, scrolling.

use bytchat_proto::limits::TEXT_BYTES_MAX;

use super::list::{accept, ask_block, close, step};
use crate::tui::layout::areas::areas;
use crate::tui::layout::talk::Talk;
use crate::tui::model::{Command, Edit, Editor, Go, Key, Model, Pending, Reach};

/// Messages of one conversation that wait for the daemon to take them.
const PENDING_MAX: usize = 32;

pub(super) fn press(model: &mut Model, key: Key) -> Vec<Command> {
    let open = model.chat().is_some_and(|chat| chat.is_open());
    match key {
        Key::Char(c) if open => write(model, c.encode_utf8(&mut [0; 4])),
        Key::Char('a') => return accept(model),
        Key::Char('b') => ask_block(model),
        Key::Enter if open => return send(model),
        Key::Edit(edit) if open => change(model, edit),
        Key::Go(go) => walk(model, go),
        Key::Esc | Key::Tab => close(model),
        Key::NextChat => step(model, 1),
        Key::PrevChat => step(model, -1),
        Key::Char(_)
        | Key::Enter
        | Key::Edit(_)
        | Key::Help
        | Key::Accounts
        | Key::Refresh
        | Key::Suspend
        | Key::Quit => {}
    }
    Vec::new()
}

/// Writes a text at the cursor.
pub(super) fn write(model: &mut Model, text: &str) {
    let Some(chat) = model.chat_mut().filter(|chat| chat.is_open()) else {
        return;
    };
    if !chat.draft.insert(text, TEXT_BYTES_MAX) {
        model.complain(format!("a message holds {TEXT_BYTES_MAX} bytes; this does not fit"));
    }
}

/// Changes a text.
pub(super) fn edit(editor: &mut Editor, edit: Edit) {
    match edit {
        Edit::NewLine => {}
        Edit::Backspace => editor.backspace(),
        Edit::Delete => editor.delete(),
        Edit::EraseWord => editor.erase_word(),
        Edit::EraseLine => editor.erase_line(),
        Edit::EraseRest => editor.erase_rest(),
    }
}

fn change(model: &mut Model, what: Edit) {
    if what == Edit::NewLine {
        return write(model, "\n");
    }
    if let Some(chat) = model.chat_mut() {
        edit(&mut chat.draft, what);
    }
}

fn send(model: &mut Model) -> Vec<Command> {
    let Some(account) = model.book().map(|book| book.account.id) else {
        return Vec::new();
    };
    let client_id = model.next_client_id();
    let away = model.reach != Reach::Up;
    let Some(chat) = model.chat_mut().filter(|chat| !chat.draft.is_blank()) else {
        return Vec::new();
    };
    if chat.pending.len() >= PENDING_MAX {
        model.complain("too many messages wait for bytchatd; this one stays here");
        return Vec::new();
    }
    let text = chat.draft.take();
    chat.pending.push(Pending { client_id: client_id.clone(), text: text.clone() });
    chat.new_from = None;
    chat.show_end();
    let (peer, to) = (chat.peer, chat.address());
    if away {
        model.say("it is sent when bytchatd is back");
    }
    vec![Command::Send { account, peer, to, text, client_id }]
}

fn walk(model: &mut Model, go: Go) {
    let page = isize::try_from(areas(model, model.size).talk.height).unwrap_or(1);
    let page = (page - 1).max(1);
    let Some(chat) = model.chat_mut() else {
        return;
    };
    let blank = chat.draft.text().is_empty();
    match go {
        Go::Up if chat.draft.up() => {}
        Go::Down if chat.draft.down() => {}
        Go::Up => scroll(model, 1),
        Go::Down => scroll(model, -1),
        Go::PageUp => scroll(model, page),
        Go::PageDown => scroll(model, -page),
        Go::Top => scroll(model, isize::MAX),
        Go::Bottom => chat.show_end(),
        Go::End if blank => chat.show_end(),
        Go::Left => chat.draft.left(),
        Go::Right => chat.draft.right(),
        Go::WordLeft => chat.draft.word_left(),
        Go::WordRight => chat.draft.word_right(),
        Go::Home => chat.draft.home(),
        Go::End => chat.draft.end(),
    }
}

/// Scrolls so many rows up, or down if it is negative.
pub(super) fn scroll(model: &mut Model, rows: isize) {
    let area = areas(model, model.size).talk;
    let zone = model.zone.clone();
    let Some(chat) = model.chat_mut() else {
        return;
    };
    let talk = Talk::new(chat, area, zone);
    let by = rows.unsigned_abs();
    let edge = if rows > 0 { talk.up(by) } else { talk.down(by) };
    chat.scroll_to(edge);
}
