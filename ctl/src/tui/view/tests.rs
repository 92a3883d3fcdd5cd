//! Screens as text, against golden files: `BYTCHAT_BLESS=1` writes them anew.

use std::path::PathBuf;

use bytchat_proto::rpc::account::Account;
use bytchat_proto::rpc::contact::Standing;
use bytchat_proto::rpc::message::{Message, State};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::Color;
use unicode_width::UnicodeWidthStr;

use super::{Theme, draw};
use crate::tui::fixture::{
    ALICE, BOB, CAROL, MALLORY, account, chat, contact, fresh, model, received, sent, strange,
};
use crate::tui::model::{Answer, Command, Edit, Go, Key, Model, Msg, Overlay};

fn buffer(model: &Model, colour: bool) -> Buffer {
    let backend = TestBackend::new(model.size.width, model.size.height);
    let mut terminal = Terminal::new(backend).unwrap();
    terminal.draw(|frame| draw(model, Theme::new(colour), frame)).unwrap();
    terminal.backend().buffer().clone()
}

/// What is on the screen; `_` marks the cursor where text is written.
fn screen(model: &Model) -> String {
    let backend = TestBackend::new(model.size.width, model.size.height);
    let mut terminal = Terminal::new(backend).unwrap();
    let mut cursor = None;
    terminal
        .draw(|frame| {
            draw(model, Theme::new(true), frame);
        })
        .unwrap();
    if terminal.backend().cursor_visible() {
        cursor = Some(terminal.get_cursor_position().unwrap());
    }
    let buffer = terminal.backend().buffer();
    let mut text = String::new();
    for y in 0..buffer.area.height {
        let mut row = String::new();
        let mut x = 0;
        while x < buffer.area.width {
            let symbol = buffer[(x, y)].symbol();
            let here = cursor.is_some_and(|cursor| (cursor.x, cursor.y) == (x, y));
            row.push_str(if here && symbol == " " { "_" } else { symbol });
            x += u16::try_from(symbol.width()).unwrap().max(1);
        }
        text += row.trim_end();
        text.push('\n');
    }
    text
}

fn golden(name: &str, model: &Model) {
    let path = format!("{}/tests/screens/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let path = PathBuf::from(path);
    let got = screen(model);
    if std::env::var_os("BYTCHAT_BLESS").is_some() {
        std::fs::write(&path, &got).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap();
    assert!(got == wanted, "{name} is\n{got}\nand should be\n{wanted}");
}

fn talk() -> Vec<Message> {
    let mut messages = vec![
        received(3, "hi alice"),
        sent(
            4,
            "hi bob, this one is long enough to need a second row on most screens",
            State::Read,
        ),
        sent(5, "and this", State::Delivered),
        sent(6, "and that", State::Stored),
        received(1500, "there?"),
        sent(1501, "yes", State::Queued),
        sent(1502, "too late", State::Expired),
    ];
    messages[4].gap = true;
    messages
}

#[test]
fn a_wide_screen_shows_the_list_beside_the_conversation() {
    let mut model = model(100, 24);
    golden("list", &model);
    model.open(BOB, talk());
    model.write("half a sentence");
    golden("talk", &model);
}

#[test]
fn forty_columns_and_ten_rows_are_enough() {
    let mut model = model(40, 10);
    golden("small-list", &model);
    model.open(BOB, talk());
    model.write("half a sentence that needs more than one row");
    golden("small-talk", &model);
    model.update(Msg::Away("bytchatd cannot be reached".to_owned()));
    golden("small-away", &model);
    model.press(Key::Help);
    golden("small-help", &model);
}

#[test]
fn a_request_is_told_apart_and_cannot_be_answered() {
    let mut model = model(80, 16);
    model.open(MALLORY, vec![strange(5, "buy this")]);
    golden("request", &model);
    model.press(Key::Char('b'));
    golden("block", &model);
}

#[test]
fn what_is_typed_is_seen_while_the_daemon_is_away() {
    let mut model = model(80, 16);
    model.open(BOB, talk());
    model.update(Msg::Away("the connection to bytchatd broke: unexpected end".to_owned()));
    model.write("first");
    model.press(Key::Enter);
    model.write("second");
    model.press(Key::Edit(Edit::NewLine));
    model.write("third");
    golden("away", &model);
}

#[test]
fn history_is_scrolled_and_news_are_told_below() {
    let mut model = model(80, 12);
    let messages = chat(1..=40).messages.into_values().collect();
    model.open(BOB, messages);
    model.go(Go::PageUp);
    model.answer(Answer::Sent {
        account: ALICE,
        client_id: "other".to_owned(),
        message: Box::new(received(41, "news")),
    });
    golden("scrolled", &model);
}

#[test]
fn texts_of_strangers_stay_in_their_cells() {
    let mut model = model(60, 18);
    let nasty = "\u{1b}[2J\u{202e}evil\u{202c} zero\u{200b}width\r\nnext\tline \u{7}";
    let wide = "日本語のとても長い文章です。👩\u{200d}👩\u{200d}👧 ❤\u{fe0f} é\u{301}\u{301} end";
    model.open(BOB, vec![received(3, nasty), received(4, wide), sent(5, wide, State::Read)]);
    model.complain("bad\u{1b}]0;title\u{7}");
    golden("strange-texts", &model);
}

#[test]
fn boxes_lie_over_everything() {
    let mut model = model(80, 34);
    model.press(Key::Help);
    golden("help", &model);
    model.press(Key::Esc);
    model.press(Key::Char('n'));
    model.write("dave@d.test");
    golden("new", &model);
    model.press(Key::Enter);
    let command = Command::Add { account: ALICE, who: "dave@d.test".to_owned() };
    model.update(Msg::Failed(command, "there is no such alias".to_owned()));
    golden("new-failed", &model);
    model.press(Key::Esc);
    model.answer(Answer::Accounts(vec![
        account(ALICE, "alice", "alice@a.test"),
        account(CAROL, "work", "carol@work.test"),
    ]));
    model.press(Key::Accounts);
    model.go(Go::Down);
    golden("accounts", &model);
    model.press(Key::Enter);
    golden("other-account", &model);
}

#[test]
fn who_begins_is_told_what_to_do() {
    let mut model = fresh(60, 10);
    golden("connecting", &model);
    model.update(Msg::Up);
    model.answer(Answer::Accounts(Vec::new()));
    golden("no-account", &model);
    let damaged = Account { damaged: true, ..account(ALICE, "alice", "alice@a.test") };
    assert!(model.answer(Answer::Accounts(vec![damaged])).is_empty());
    golden("damaged", &model);
}

#[test]
fn blocked_people_and_changed_keys_are_marked() {
    let mut model = model(80, 12);
    let blocked = contact(MALLORY, None, Standing::Blocked);
    model.answer(Answer::Stood(ALICE, blocked));
    model.book_mut().unwrap().chat_mut(BOB).key_changed = true;
    model.open(BOB, talk());
    golden("marks", &model);
}

#[test]
fn without_colour_no_cell_has_one() {
    let mut model = model(100, 24);
    model.open(BOB, talk());
    model.complain("something went wrong");
    model.update(Msg::Away("why".to_owned()));
    let coloured = |buffer: Buffer| {
        buffer.content.iter().any(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset)
    };
    assert!(coloured(buffer(&model, true)));
    assert!(!coloured(buffer(&model, false)));
}

#[test]
fn no_size_makes_drawing_fail() {
    let mut model = model(80, 24);
    model.open(BOB, talk());
    model.write("some\ntext");
    model.update(Msg::Away("why".to_owned()));
    let overlays = [
        None,
        Some(Overlay::Help(99)),
        Some(Overlay::Accounts(5)),
        Some(Overlay::New { who: crate::tui::model::Editor::default(), asked: false }),
        Some(Overlay::Block(BOB)),
        Some(Overlay::Quit),
    ];
    for overlay in overlays {
        model.overlay = overlay;
        for width in (0..20).chain([39, 40, 71, 72, 73, 200]) {
            for height in 0..20 {
                model.size = ratatui::layout::Size::new(width, height);
                screen(&model);
            }
        }
    }
}
