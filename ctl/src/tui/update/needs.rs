//! What the screen lacks: told anew after each message, so that nobody has to think of it.

use crate::tui::layout::areas::areas;
use crate::tui::layout::talk::Talk;
use crate::tui::model::{Chat, Command, Focus, Model, Reach, Reading};

/// Messages that are marked as read by one call.
const READ_MAX: usize = 100;

/// The commands for what is shown and not here, and for what is seen and was not read.
pub(super) fn needs(model: &mut Model) -> Vec<Command> {
    choose(model);
    if model.reach != Reach::Up {
        return Vec::new();
    }
    let area = areas(model, model.size).talk;
    let zone = model.zone.clone();
    let seen = model.focus == Focus::Chat && model.attended && model.overlay.is_none();
    let Some(account) = model.book().map(|book| book.account.id) else {
        return Vec::new();
    };
    let Some(chat) = model.chat_mut().filter(|_| !area.is_empty()) else {
        return Vec::new();
    };
    let peer = chat.peer;
    let mut commands = Vec::new();
    if chat.reading == Reading::No {
        chat.reading = Reading::Asked;
        commands.push(Command::History { account, peer, older: None });
    }
    // A page ahead, so that scrolling meets no wait.
    let ahead = 2 * usize::from(area.height);
    let far = chat.older.is_none() || chat.paging;
    if !far && Talk::new(chat, area, zone).rows_above(ahead) < ahead {
        chat.paging = true;
        commands.push(Command::History { account, peer, older: chat.older });
    }
    if seen && is_at_end(chat) {
        let ids = chat.mark_read();
        let reads = ids.chunks(READ_MAX).map(|ids| Command::Read { ids: ids.to_vec() });
        commands.extend(reads);
    }
    commands
}

/// Whether what came last is seen. A stranger is not told that one has looked.
fn is_at_end(chat: &Chat) -> bool {
    chat.is_open() && chat.reading == Reading::Yes && chat.scroll.is_none()
}

/// Something is chosen wherever there is something to choose.
fn choose(model: &mut Model) {
    model.chosen = model.chosen.min(model.books.len().saturating_sub(1));
    let Some(book) = model.book_mut() else {
        return;
    };
    if book.chat().is_none() {
        book.chosen = book.sorted().first().map(|(_, chat)| chat.peer);
    }
}
