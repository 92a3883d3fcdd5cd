//! Keys, mouse and size as the terminal tells them, by what they are for.

use std::io;

use ratatui::crossterm::event::{
    self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent,
    MouseEventKind,
};
use ratatui::layout::{Position, Size};

use super::link::Feed;
use super::model::{Edit, Go, Key, Mouse, Msg};

/// Tells what the terminal tells, until either side ends.
pub(crate) fn listen(feed: &Feed) {
    loop {
        let msg = match event::read() {
            Ok(event) => translate(event),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => None,
            Err(_) => Some(Msg::Stop),
        };
        let stop = matches!(msg, Some(Msg::Stop));
        let heard = msg.is_none_or(|msg| feed.tell(msg));
        if stop || !heard {
            return;
        }
    }
}

fn translate(event: Event) -> Option<Msg> {
    match event {
        Event::Key(key) => self::key(key).map(Msg::Key),
        Event::Mouse(mouse) => self::mouse(mouse).map(Msg::Mouse),
        Event::Paste(text) => Some(Msg::Paste(text)),
        Event::Resize(columns, rows) => Some(Msg::Resize(Size::new(columns, rows))),
        Event::FocusGained => Some(Msg::Attended(true)),
        Event::FocusLost => Some(Msg::Attended(false)),
    }
}

fn key(event: KeyEvent) -> Option<Key> {
    if event.kind == KeyEventKind::Release {
        return None;
    }
    let ctrl = event.modifiers.contains(KeyModifiers::CONTROL);
    let alt = event.modifiers.contains(KeyModifiers::ALT);
    let shift = event.modifiers.contains(KeyModifiers::SHIFT);
    // A pair, so that the many keys that mean nothing here need not be named.
    match (event.code, ctrl || alt) {
        (KeyCode::Char(c), true) if ctrl => control(c),
        (KeyCode::Char(c), true) => meta(c),
        (KeyCode::Char(c), false) => Some(Key::Char(c)),
        (KeyCode::Enter, other) if other || shift => Some(Key::Edit(Edit::NewLine)),
        (KeyCode::Enter, _) => Some(Key::Enter),
        (KeyCode::Backspace, true) => Some(Key::Edit(Edit::EraseWord)),
        (KeyCode::Backspace, false) => Some(Key::Edit(Edit::Backspace)),
        (KeyCode::Delete, _) => Some(Key::Edit(Edit::Delete)),
        (KeyCode::Esc, _) => Some(Key::Esc),
        (KeyCode::Tab | KeyCode::BackTab, _) => Some(Key::Tab),
        (KeyCode::Up, true) => Some(Key::PrevChat),
        (KeyCode::Down, true) => Some(Key::NextChat),
        (KeyCode::Up, false) => Some(Key::Go(Go::Up)),
        (KeyCode::Down, false) => Some(Key::Go(Go::Down)),
        (KeyCode::Left, true) => Some(Key::Go(Go::WordLeft)),
        (KeyCode::Right, true) => Some(Key::Go(Go::WordRight)),
        (KeyCode::Left, false) => Some(Key::Go(Go::Left)),
        (KeyCode::Right, false) => Some(Key::Go(Go::Right)),
        (KeyCode::Home, true) => Some(Key::Go(Go::Top)),
        (KeyCode::End, true) => Some(Key::Go(Go::Bottom)),
        (KeyCode::Home, false) => Some(Key::Go(Go::Home)),
        (KeyCode::End, false) => Some(Key::Go(Go::End)),
        (KeyCode::PageUp, _) => Some(Key::Go(Go::PageUp)),
        (KeyCode::PageDown, _) => Some(Key::Go(Go::PageDown)),
        (KeyCode::F(1), _) => Some(Key::Help),
        (KeyCode::F(2), _) => Some(Key::Accounts),
        _ => None,
    }
}

fn control(c: char) -> Option<Key> {
    match c.to_ascii_lowercase() {
        'a' => Some(Key::Go(Go::Home)),
        'b' => Some(Key::Go(Go::Left)),
        'c' | 'q' => Some(Key::Quit),
        'd' => Some(Key::Edit(Edit::Delete)),
        'e' => Some(Key::Go(Go::End)),
        'f' => Some(Key::Go(Go::Right)),
        'h' => Some(Key::Edit(Edit::Backspace)),
        'j' => Some(Key::Edit(Edit::NewLine)),
        'k' => Some(Key::Edit(Edit::EraseRest)),
        'l' => Some(Key::Refresh),
        'n' => Some(Key::NextChat),
        'p' => Some(Key::PrevChat),
        'u' => Some(Key::Edit(Edit::EraseLine)),
        'w' => Some(Key::Edit(Edit::EraseWord)),
        'z' => Some(Key::Suspend),
        _ => None,
    }
}

fn meta(c: char) -> Option<Key> {
    match c.to_ascii_lowercase() {
        'b' => Some(Key::Go(Go::WordLeft)),
        'f' => Some(Key::Go(Go::WordRight)),
        _ => None,
    }
}

fn mouse(event: MouseEvent) -> Option<Mouse> {
    let at = Position::new(event.column, event.row);
    // Moves and other buttons mean nothing here.
    match (event.kind, ()) {
        (MouseEventKind::ScrollUp, ()) => Some(Mouse::Wheel { up: true, at }),
        (MouseEventKind::ScrollDown, ()) => Some(Mouse::Wheel { up: false, at }),
        (MouseEventKind::Down(MouseButton::Left), ()) => Some(Mouse::Click(at)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pressed(code: KeyCode, modifiers: KeyModifiers) -> Option<Key> {
        key(KeyEvent::new(code, modifiers))
    }

    #[test]
    fn a_new_line_is_told_from_sending() {
        let new_line = Some(Key::Edit(Edit::NewLine));
        assert_eq!(pressed(KeyCode::Enter, KeyModifiers::NONE), Some(Key::Enter));
        assert_eq!(pressed(KeyCode::Enter, KeyModifiers::ALT), new_line);
        assert_eq!(pressed(KeyCode::Enter, KeyModifiers::SHIFT), new_line);
        assert_eq!(pressed(KeyCode::Char('j'), KeyModifiers::CONTROL), new_line);
        assert_eq!(pressed(KeyCode::Char('j'), KeyModifiers::NONE), Some(Key::Char('j')));
    }

    #[test]
    fn capitals_are_letters_and_unknown_combinations_are_nothing() {
        assert_eq!(pressed(KeyCode::Char('A'), KeyModifiers::SHIFT), Some(Key::Char('A')));
        assert_eq!(pressed(KeyCode::Char('y'), KeyModifiers::CONTROL), None);
        assert_eq!(pressed(KeyCode::F(9), KeyModifiers::NONE), None);
        let mut release = KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE);
        release.kind = KeyEventKind::Release;
        assert_eq!(key(release), None);
    }
}
