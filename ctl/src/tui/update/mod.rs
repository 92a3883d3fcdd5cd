//! What happens next: a message changes the model and says what is to be asked of the daemon.

mod boxes;
mod chat;
mod list;
mod mouse;
mod needs;
mod news;
#[cfg(test)]
mod tests;

use super::model::{Command, End, Focus, Key, Model, Msg, Overlay, Reach};

/// Takes a message.
pub(crate) fn update(model: &mut Model, msg: Msg) -> Vec<Command> {
    let mut commands = match msg {
        Msg::Key(key) => press(model, key),
        Msg::Paste(text) => paste(model, &text),
        Msg::Mouse(mouse) => mouse::update(model, mouse),
        Msg::Resize(size) => {
            model.size = size;
            Vec::new()
        }
        Msg::Attended(attended) => {
            model.attended = attended;
            Vec::new()
        }
        Msg::Up => {
            model.reach = Reach::Up;
            news::refresh(model)
        }
        Msg::Away(why) => {
            model.reach = Reach::Away(why);
            Vec::new()
        }
        Msg::Gap => {
            news::forget(model);
            news::refresh(model)
        }
        Msg::Event(event) => news::event(model, *event),
        Msg::Answer(answer) => news::answer(model, answer),
        Msg::Failed(command, why) => news::failed(model, command, &why),
        Msg::Stop => {
            model.end = Some(End::Stopped);
            Vec::new()
        }
    };
    commands.extend(needs::needs(model));
    commands
}

fn press(model: &mut Model, key: Key) -> Vec<Command> {
    model.notice = None;
    // A key shows that somebody is there, whatever the terminal told before.
    model.attended = true;
    if let Some(commands) = everywhere(model, key) {
        return commands;
    }
    match (&model.overlay, model.focus) {
        (Some(_), _) => boxes::press(model, key),
        (None, Focus::List) => list::press(model, key),
        (None, Focus::Chat) => chat::press(model, key),
    }
}

/// The keys that mean the same everywhere.
fn everywhere(model: &mut Model, key: Key) -> Option<Vec<Command>> {
    match key {
        Key::Quit if matches!(model.overlay, Some(Overlay::Quit)) => model.end = Some(End::Quit),
        Key::Quit => quit(model),
        Key::Help if matches!(model.overlay, Some(Overlay::Help(_))) => model.overlay = None,
        Key::Help => model.overlay = Some(Overlay::Help(0)),
        Key::Accounts => model.overlay = Some(Overlay::Accounts(model.chosen)),
        Key::Suspend => model.wishes.suspend = true,
        Key::Refresh => {
            model.wishes.redraw = true;
            if let Some(chat) = model.chat_mut() {
                chat.forget();
            }
            return Some(news::refresh(model));
        }
        Key::Char(_)
        | Key::Edit(_)
        | Key::Go(_)
        | Key::Enter
        | Key::Esc
        | Key::Tab
        | Key::NextChat
        | Key::PrevChat => return None,
    }
    Some(Vec::new())
}

/// Ends, but asks before something that was typed is lost.
fn quit(model: &mut Model) {
    if model.unsent() == 0 {
        model.end = Some(End::Quit);
    } else {
        model.overlay = Some(Overlay::Quit);
    }
}

fn paste(model: &mut Model, text: &str) -> Vec<Command> {
    model.notice = None;
    match (&mut model.overlay, model.focus) {
        (Some(Overlay::New { who, asked: false }), _) => boxes::write(who, text),
        (None, Focus::Chat) => chat::write(model, text),
        (Some(_) | None, _) => {}
    }
    Vec::new()
}
