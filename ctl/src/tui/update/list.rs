//! Keys in the list of conversations.

use bytchat_proto::id::UserId;
use bytchat_proto::rpc::contact::Standing;

use super::quit;
use crate::tui::layout::areas::areas;
use crate::tui::layout::list::order;
use crate::tui::model::{Command, Editor, Focus, Go, Key, Model, Overlay};

pub(super) fn press(model: &mut Model, key: Key) -> Vec<Command> {
    match key {
        Key::Char(c) => return letter(model, c),
        Key::Enter | Key::Tab | Key::Go(Go::Right) => open(model),
        Key::NextChat => step(model, 1),
        Key::PrevChat => step(model, -1),
        Key::Go(go) => walk(model, go),
        Key::Edit(_)
        | Key::Esc
        | Key::Help
        | Key::Accounts
        | Key::Refresh
        | Key::Suspend
        | Key::Quit => {}
    }
    Vec::new()
}

fn letter(model: &mut Model, c: char) -> Vec<Command> {
    match c {
        'j' => step(model, 1),
        'k' => step(model, -1),
        'g' => walk(model, Go::Top),
        'G' => walk(model, Go::Bottom),
        'l' => open(model),
        'q' => quit(model),
        '?' => model.overlay = Some(Overlay::Help(0)),
        's' => model.overlay = Some(Overlay::Accounts(model.chosen)),
        'n' if model.book().is_some() => {
            model.overlay = Some(Overlay::New { who: Editor::default(), asked: false });
        }
        'a' => return accept(model),
        'b' => ask_block(model),
        _ => {}
    }
    Vec::new()
}

/// Accepts whoever is chosen, or ends a block.
pub(super) fn accept(model: &Model) -> Vec<Command> {
    let chosen = model.book().and_then(|book| Some((book.account.id, book.chat()?)));
    match chosen {
        Some((account, chat)) if !chat.is_open() => {
            vec![Command::Stand { account, peer: chat.peer, standing: Standing::Accepted }]
        }
        Some(_) | None => Vec::new(),
    }
}

/// Asks whether whoever is chosen is to be blocked.
pub(super) fn ask_block(model: &mut Model) {
    if let Some(chat) = model.chat().filter(|chat| !chat.is_blocked()) {
        model.overlay = Some(Overlay::Block(chat.peer));
    }
}

/// Goes into the conversation that is chosen.
pub(super) fn open(model: &mut Model) {
    let Some(chat) = model.chat_mut() else {
        return;
    };
    if chat.new_from.is_none() {
        chat.new_from = chat.unread.keys().next().copied();
    }
    model.focus = Focus::Chat;
}

/// Goes back to the list.
pub(super) fn close(model: &mut Model) {
    if let Some(chat) = model.chat_mut() {
        chat.leave();
    }
    model.focus = Focus::List;
}

/// Chooses a conversation.
pub(super) fn choose(model: &mut Model, peer: UserId) {
    if model.book().is_none_or(|book| book.chosen == Some(peer)) {
        return;
    }
    if let Some(chat) = model.chat_mut() {
        chat.leave();
    }
    if let Some(book) = model.book_mut() {
        book.chosen = Some(peer);
    }
    if model.focus == Focus::Chat {
        open(model);
    }
}

/// Chooses another conversation, so many further down.
pub(super) fn step(model: &mut Model, by: isize) {
    let Some(book) = model.book() else {
        return;
    };
    let order = order(book);
    let now = order.iter().position(|peer| Some(*peer) == book.chosen).unwrap_or_default();
    let then = now.saturating_add_signed(by).min(order.len().saturating_sub(1));
    if let Some(peer) = order.get(then) {
        choose(model, *peer);
    }
}

fn walk(model: &mut Model, go: Go) {
    let page = isize::try_from(areas(model, model.size).list.height).unwrap_or(1).max(1);
    match go {
        Go::Up => step(model, -1),
        Go::Down => step(model, 1),
        Go::PageUp => step(model, -page),
        Go::PageDown => step(model, page),
        Go::Home | Go::Top => step(model, isize::MIN),
        Go::End | Go::Bottom => step(model, isize::MAX),
        Go::Left | Go::Right | Go::WordLeft | Go::WordRight => {}
    }
}
