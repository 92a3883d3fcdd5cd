//! Keys in the boxes that lie over everything else.

use bytchat_proto::id::UserId;
use bytchat_proto::rpc::contact::Standing;

use super::chat::edit;
use super::list::close;
use crate::tui::layout::help::top_max;
use crate::tui::model::{Command, Editor, End, Go, Key, Model, Overlay};

/// No alias and no id is nearly as long.
const WHO_BYTES_MAX: usize = 512;
/// How far keys move in a box.
const STEPS: &[(Key, isize)] = &[
    (Key::Char('j'), 1),
    (Key::Char('k'), -1),
    (Key::Tab, 1),
    (Key::Go(Go::Down), 1),
    (Key::Go(Go::Up), -1),
    (Key::Go(Go::PageDown), 8),
    (Key::Go(Go::PageUp), -8),
    (Key::Go(Go::Home), isize::MIN),
    (Key::Go(Go::Top), isize::MIN),
    (Key::Go(Go::End), isize::MAX),
    (Key::Go(Go::Bottom), isize::MAX),
];

pub(super) fn press(model: &mut Model, key: Key) -> Vec<Command> {
    if key == Key::Esc {
        model.overlay = None;
        return Vec::new();
    }
    let rows = model.size.height;
    match &mut model.overlay {
        Some(Overlay::Help(_)) if matches!(key, Key::Char('q' | '?') | Key::Enter) => {
            model.overlay = None;
        }
        Some(Overlay::Help(top)) => *top = moved(*top, key, top_max(rows)),
        Some(Overlay::Accounts(marked)) => {
            let last = model.books.len().saturating_sub(1);
            if key == Key::Enter {
                let chosen = (*marked).min(last);
                switch(model, chosen);
            } else {
                *marked = moved(*marked, key, last);
            }
        }
        Some(Overlay::New { who, asked: asked @ false }) => {
            if key == Key::Enter && !who.is_blank() {
                *asked = true;
                let who = who.text().trim().to_owned();
                return add(model, who);
            }
            type_who(who, key);
        }
        Some(Overlay::Block(peer)) => {
            let peer = *peer;
            return block(model, peer, key);
        }
        Some(Overlay::Quit) if key == Key::Char('y') => model.end = Some(End::Quit),
        Some(Overlay::Quit) if key == Key::Char('n') => model.overlay = None,
        Some(Overlay::Quit | Overlay::New { .. }) | None => {}
    }
    Vec::new()
}

/// Writes into the box that asks for somebody.
pub(super) fn write(who: &mut Editor, text: &str) {
    let line = text.trim().lines().next().unwrap_or_default();
    // What does not fit is no address anyway.
    who.insert(line, WHO_BYTES_MAX);
}

fn type_who(who: &mut Editor, key: Key) {
    if let Key::Char(c) = key {
        who.insert(c.encode_utf8(&mut [0; 4]), WHO_BYTES_MAX);
    } else if let Key::Edit(what) = key {
        edit(who, what);
    } else if let Key::Go(go) = key {
        match go {
            Go::Left => who.left(),
            Go::Right => who.right(),
            Go::WordLeft => who.word_left(),
            Go::WordRight => who.word_right(),
            Go::Home | Go::Top => who.home(),
            Go::End | Go::Bottom => who.end(),
            Go::Up | Go::Down | Go::PageUp | Go::PageDown => {}
        }
    }
}

fn add(model: &Model, who: String) -> Vec<Command> {
    let account = model.book().map(|book| book.account.id);
    account.map(|account| Command::Add { account, who }).into_iter().collect()
}

fn block(model: &mut Model, peer: UserId, key: Key) -> Vec<Command> {
    let (yes, no) = (key == Key::Char('y'), key == Key::Char('n'));
    if yes || no {
        model.overlay = None;
    }
    let account = model.book().filter(|_| yes).map(|book| book.account.id);
    let standing = Standing::Blocked;
    account.map(|account| Command::Stand { account, peer, standing }).into_iter().collect()
}

/// Shows another account.
fn switch(model: &mut Model, chosen: usize) {
    model.overlay = None;
    if chosen != model.chosen {
        close(model);
        model.chosen = chosen;
    }
}

/// A place in a list after a key.
fn moved(place: usize, key: Key, last: usize) -> usize {
    let step = STEPS.iter().find(|(known, _)| *known == key);
    let by = step.map_or(0, |(_, by)| *by);
    place.saturating_add_signed(by).min(last)
}
