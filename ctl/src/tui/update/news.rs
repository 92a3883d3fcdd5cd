//! What the daemon answers and tells.

use std::mem::take;

use bytchat_proto::id::UserId;
use bytchat_proto::rpc::account::Account;
use bytchat_proto::rpc::contact::{Contact, Standing};
use bytchat_proto::rpc::event::{Event, What};
use bytchat_proto::rpc::message::Message;

use super::list::{choose, open};
use crate::tui::model::{Answer, Book, Command, Model, Older, Overlay, Page, Reading, peer_of};

/// So much of an inbox is looked through for unread messages.
const SCAN_MAX: usize = 2_000;
/// The newest message is read of so many conversations, to put them into order.
const NEWEST_MAX: usize = 64;

/// Reads everything anew that no event tells of.
pub(super) fn refresh(model: &mut Model) -> Vec<Command> {
    for book in &mut model.books {
        for chat in book.chats.values_mut() {
            if chat.reading == Reading::Failed {
                chat.reading = Reading::No;
            }
        }
    }
    vec![Command::Accounts]
}

/// Forgets all messages: some were missed. What is being written stays.
pub(super) fn forget(model: &mut Model) {
    for chat in model.books.iter_mut().flat_map(|book| book.chats.values_mut()) {
        chat.forget();
        chat.unread.clear();
    }
}

pub(super) fn event(model: &mut Model, event: Event) -> Vec<Command> {
    let Some(book) = model.book_of(event.account) else {
        return vec![Command::Accounts];
    };
    let message = match event.what {
        What::Received(message) | What::State(message) => message,
        What::KeyChanged { id } => {
            let chat = book.chat_mut(id);
            chat.key_changed = true;
            let name = chat.name();
            model.complain(format!("the key of {name} has changed; sending there has stopped"));
            return Vec::new();
        }
    };
    let peer = peer_of(&message);
    let known = book.chats.contains_key(&peer);
    book.chat_mut(peer).insert(message);
    // Who is new here may have an alias.
    if known { Vec::new() } else { list_contacts(book) }
}

pub(super) fn answer(model: &mut Model, answer: Answer) -> Vec<Command> {
    match answer {
        Answer::Accounts(accounts) => return take_accounts(model, accounts),
        Answer::Contacts(account, contacts) => {
            let book = model.book_of(account);
            return book.map(|book| take_contacts(book, &contacts)).unwrap_or_default();
        }
        Answer::Inbox(account, page) => {
            let book = model.book_of(account);
            return book.and_then(|book| take_inbox(book, page)).into_iter().collect();
        }
        Answer::History { account, peer, older, page } => {
            if let Some(book) = model.book_of(account) {
                take_history(book, peer, older, page);
            }
        }
        Answer::Newest(account, peer, message) => {
            if let (Some(book), Some(message)) = (model.book_of(account), message) {
                let chat = book.chat_mut(peer);
                chat.last = chat.last.max(message.seq);
            }
        }
        Answer::Sent { account, client_id, message } => {
            if let Some(book) = model.book_of(account) {
                take_sent(book, &client_id, *message);
            }
        }
        Answer::Read => {}
        Answer::Added(account, contact) => take_added(model, account, &contact),
        Answer::Stood(account, contact) => take_stood(model, account, &contact),
    }
    Vec::new()
}

pub(super) fn failed(model: &mut Model, command: Command, why: &str) -> Vec<Command> {
    match command {
        Command::History { account, peer, older } => {
            if let Some(book) = model.book_of(account) {
                let chat = book.chat_mut(peer);
                chat.paging = false;
                match older {
                    Some(_) => chat.older = None,
                    None => chat.reading = Reading::Failed,
                }
            }
        }
        Command::Send { account, peer, text, client_id, .. } => {
            if let Some(book) = model.book_of(account) {
                let chat = book.chat_mut(peer);
                chat.pending.retain(|pending| pending.client_id != client_id);
                chat.draft.give_back(&text);
            }
        }
        Command::Add { .. } => {
            if let Some(Overlay::New { asked, .. }) = &mut model.overlay {
                *asked = false;
            }
        }
        Command::Contacts { account } => {
            if let Some(book) = model.book_of(account) {
                book.listing = false;
            }
        }
        Command::Accounts
        | Command::Inbox { .. }
        | Command::Newest { .. }
        | Command::Read { .. }
        | Command::Stand { .. } => {}
    }
    model.complain(why);
    Vec::new()
}

fn take_accounts(model: &mut Model, accounts: Vec<Account>) -> Vec<Command> {
    let shown = model.book().map(|book| book.account.id);
    let mut old = take(&mut model.books);
    let mut commands = Vec::new();
    for account in accounts {
        let known = old.iter().position(|book| book.account.id == account.id);
        let mut book = match known {
            Some(at) => Book { account, ..old.swap_remove(at) },
            None => Book::new(account),
        };
        book.scanned = 0;
        // What cannot be read need not be asked for.
        if !book.account.damaged {
            commands.extend(list_contacts(&mut book));
            commands.push(Command::Inbox { account: book.account.id, older: None });
        }
        model.books.push(book);
    }
    model.loaded = true;
    let place = |id: UserId| model.books.iter().position(|book| book.account.id == id);
    model.chosen = shown.and_then(place).unwrap_or_default();
    find_wanted(model);
    commands
}

/// Shows the account that the command line named.
fn find_wanted(model: &mut Model) {
    let Some(wanted) = model.wanted.take() else {
        return;
    };
    match model.books.iter().position(|book| book.is_called(&wanted)) {
        Some(chosen) => model.chosen = chosen,
        None => model.complain(format!("you have no account {wanted:?}")),
    }
}

fn list_contacts(book: &mut Book) -> Vec<Command> {
    if std::mem::replace(&mut book.listing, true) {
        return Vec::new();
    }
    vec![Command::Contacts { account: book.account.id }]
}

fn take_contacts(book: &mut Book, contacts: &[Contact]) -> Vec<Command> {
    book.listing = false;
    let account = book.account.id;
    let mut commands = Vec::new();
    for contact in contacts {
        let chat = book.chat_mut(contact.id);
        chat.set_contact(contact);
        let unknown = chat.last == 0 && !book.listed && commands.len() < NEWEST_MAX;
        if unknown {
            commands.push(Command::Newest { account, peer: contact.id });
        }
    }
    book.listed = true;
    commands
}

fn take_inbox(book: &mut Book, page: Page) -> Option<Command> {
    book.scanned += page.messages.len();
    for message in &page.messages {
        let chat = book.chat_mut(peer_of(message));
        chat.last = chat.last.max(message.seq);
        chat.note_unread(message);
        let standing = if message.request { Standing::Request } else { Standing::Accepted };
        chat.standing.get_or_insert(standing);
    }
    let older = page.older.filter(|_| book.scanned < SCAN_MAX)?;
    Some(Command::Inbox { account: book.account.id, older: Some(older) })
}

fn take_history(book: &mut Book, peer: UserId, older: Option<Older>, page: Page) {
    let chat = book.chat_mut(peer);
    // An answer to what is no longer wanted would leave a hole.
    let wanted = match older {
        Some(_) => chat.paging && older == chat.older,
        None => chat.reading == Reading::Asked,
    };
    if wanted {
        chat.take_page(page);
    }
}

fn take_sent(book: &mut Book, client_id: &str, message: Message) {
    let chat = book.chat_mut(peer_of(&message));
    chat.pending.retain(|pending| pending.client_id != client_id);
    chat.insert(message);
}

fn take_added(model: &mut Model, account: UserId, contact: &Contact) {
    let asked = matches!(model.overlay, Some(Overlay::New { asked: true, .. }));
    if let Some(book) = model.book_of(account) {
        book.chat_mut(contact.id).set_contact(contact);
    }
    // The person may have gone elsewhere meanwhile.
    if asked && model.book().is_some_and(|book| book.account.id == account) {
        model.overlay = None;
        choose(model, contact.id);
        open(model);
    }
}

fn take_stood(model: &mut Model, account: UserId, contact: &Contact) {
    let Some(book) = model.book_of(account) else {
        return;
    };
    let chat = book.chat_mut(contact.id);
    chat.set_contact(contact);
    let name = chat.name();
    model.say(match contact.standing {
        Standing::Accepted => format!("{name} is accepted"),
        Standing::Blocked => format!("{name} is blocked"),
        Standing::Request => format!("{name} still asks"),
    });
}
