//! What the model does, key by key and answer by answer.

use bytchat_proto::rpc::contact::Standing;
use bytchat_proto::rpc::event::{Event, What};
use bytchat_proto::rpc::message::{Message, State};
use bytchat_proto::timestamp::Timestamp;
use ratatui::layout::{Position, Size};

use crate::tui::fixture::{
    ALICE, BOB, CAROL, MALLORY, account, chat, contact, fresh, model, received, sent, strange,
};
use crate::tui::model::{
    Answer, Command, Edit, End, Focus, Go, Key, Model, Mouse, Msg, Overlay, Page, Reach, Reading,
};

fn happens(model: &mut Model, what: What) -> Vec<Command> {
    let event = Event { seq: 1, at: Timestamp(0), account: ALICE, what };
    model.update(Msg::Event(Box::new(event)))
}

fn arrives(model: &mut Model, message: Message) -> Vec<Command> {
    happens(model, What::Received(message))
}

fn history(peer: bytchat_proto::id::UserId) -> Command {
    Command::History { account: ALICE, peer, older: None }
}

fn reads(commands: &[Command]) -> usize {
    let ids = commands.iter().filter_map(|command| match command {
        Command::Read { ids } => Some(ids.len()),
        Command::Accounts
        | Command::Contacts { .. }
        | Command::Inbox { .. }
        | Command::History { .. }
        | Command::Newest { .. }
        | Command::Send { .. }
        | Command::Add { .. }
        | Command::Stand { .. } => None,
    });
    ids.sum()
}

#[test]
fn at_the_start_everything_is_read_that_is_shown() {
    let mut model = fresh(100, 24);
    assert_eq!(model.update(Msg::Up), [Command::Accounts]);
    let commands = model.answer(Answer::Accounts(vec![account(ALICE, "alice", "alice@a.test")]));
    assert_eq!(
        commands,
        [Command::Contacts { account: ALICE }, Command::Inbox { account: ALICE, older: None }]
    );
    let contacts = vec![contact(BOB, Some("bob@b.test"), Standing::Accepted)];
    let commands = model.answer(Answer::Contacts(ALICE, contacts));
    assert_eq!(commands, [Command::Newest { account: ALICE, peer: BOB }, history(BOB)]);
}

#[test]
fn the_account_of_the_command_line_is_shown_first() {
    for (wanted, chosen, found) in [("work", 1, true), ("carol@w.test", 1, true), ("x", 0, false)] {
        let mut model = Model::new(Size::new(80, 24), Some(wanted.to_owned()), String::new());
        model.update(Msg::Up);
        model.answer(Answer::Accounts(vec![
            account(ALICE, "alice", "alice@a.test"),
            account(CAROL, "work", "carol@w.test"),
        ]));
        assert_eq!(model.chosen, chosen);
        assert_eq!(model.notice.is_none(), found);
    }
}

#[test]
fn requests_stand_apart_and_before_the_conversations() {
    let model = model(100, 24);
    let book = model.book().unwrap();
    let order: Vec<_> = book.sorted().iter().map(|(_, chat)| chat.peer).collect();
    assert_eq!(order, [MALLORY, BOB, CAROL]);
    assert_eq!((book.requests(), book.unread()), (1, 2));
}

#[test]
fn an_accepted_sender_is_told_that_one_has_read() {
    let mut model = model(100, 24);
    let commands = model.open(BOB, vec![received(3, "hi alice"), received(7, "there?")]);
    assert_eq!(reads(&commands), 2);
    assert_eq!(model.book().unwrap().unread(), 0);
    assert_eq!(reads(&arrives(&mut model, received(8, "live"))), 1);
}

#[test]
fn a_stranger_is_not_told_that_one_has_looked_until_accepted() {
    let mut model = model(100, 24);
    let commands = model.open(MALLORY, vec![strange(5, "buy this")]);
    assert_eq!(reads(&commands), 0);
    let commands = model.press(Key::Char('a'));
    let standing = Standing::Accepted;
    assert_eq!(commands, [Command::Stand { account: ALICE, peer: MALLORY, standing }]);
    let commands = model.answer(Answer::Stood(ALICE, contact(MALLORY, None, standing)));
    assert_eq!(reads(&commands), 1);
    assert_eq!(model.book().unwrap().requests(), 0);
}

#[test]
fn blocking_asks_first() {
    let mut model = model(100, 24);
    model.open(MALLORY, vec![strange(5, "buy this")]);
    assert!(model.press(Key::Char('b')).is_empty());
    assert!(model.press(Key::Char('n')).is_empty());
    model.press(Key::Char('b'));
    let standing = Standing::Blocked;
    let block = Command::Stand { account: ALICE, peer: MALLORY, standing };
    assert_eq!(model.press(Key::Char('y')), [block]);
    assert!(model.overlay.is_none());
}

#[test]
fn nothing_is_read_where_nobody_looks() {
    let mut model = model(100, 24);
    model.open(BOB, vec![received(3, "hi alice")]);
    model.update(Msg::Attended(false));
    assert_eq!(reads(&arrives(&mut model, received(8, "live"))), 0);
    assert_eq!(reads(&model.update(Msg::Attended(true))), 1);
    // Nor below a place that was scrolled away from, nor under a box.
    let texts = (9..60).map(|seq| received(seq, "text"));
    for text in texts {
        arrives(&mut model, text);
    }
    model.go(Go::PageUp);
    assert_eq!(reads(&arrives(&mut model, received(60, "below"))), 0);
    assert_eq!(reads(&model.go(Go::Bottom)), 1);
    model.press(Key::Help);
    assert_eq!(reads(&arrives(&mut model, received(61, "hidden"))), 0);
}

#[test]
fn many_are_read_by_calls_of_bounded_size() {
    let mut model = model(100, 24);
    let messages: Vec<_> = (1..=250).map(|seq| received(seq, "x")).collect();
    model.answer(Answer::Inbox(ALICE, Page { messages: messages.clone(), older: None }));
    let commands = model.open(BOB, messages);
    let sizes = commands.iter().map(|command| reads(std::slice::from_ref(command)));
    assert_eq!(sizes.filter(|size| *size > 0).collect::<Vec<_>>(), [100, 100, 50]);
}

#[test]
fn a_text_is_sent_once_and_shown_until_it_is_taken() {
    let mut model = model(100, 24);
    model.open(BOB, Vec::new());
    model.write("hi");
    model.press(Key::Edit(Edit::NewLine));
    model.write("bob");
    let commands = model.press(Key::Enter);
    let [Command::Send { to, text, client_id, .. }] = &commands[..] else {
        panic!("{commands:?}");
    };
    assert_eq!((to.as_str(), text.as_str()), ("bob@b.test", "hi\nbob"));
    assert_eq!(model.chat().unwrap().pending.len(), 1);
    assert!(model.press(Key::Enter).is_empty(), "nothing is left to send");
    let message = Box::new(sent(9, "hi\nbob", State::Queued));
    model.answer(Answer::Sent { account: ALICE, client_id: client_id.clone(), message });
    let chat = model.chat().unwrap();
    assert!(chat.pending.is_empty());
    assert_eq!(chat.messages[&9].text, "hi\nbob");
}

#[test]
fn each_send_has_a_name_of_its_own() {
    let mut model = model(100, 24);
    model.open(BOB, Vec::new());
    let mut names = Vec::new();
    for _ in 0..3 {
        model.write("same");
        let commands = model.press(Key::Enter);
        let Some(Command::Send { client_id, .. }) = commands.first() else {
            panic!("{commands:?}");
        };
        names.push(client_id.clone());
    }
    assert_eq!(names, ["seed-1", "seed-2", "seed-3"]);
}

#[test]
fn a_refused_text_comes_back_to_be_mended() {
    let mut model = model(100, 24);
    model.open(BOB, Vec::new());
    model.write("hello");
    let commands = model.press(Key::Enter);
    model.write("next");
    model.update(Msg::Failed(commands[0].clone(), "the outbox is full".to_owned()));
    let chat = model.chat().unwrap();
    assert_eq!(chat.draft.text(), "hello\nnext");
    assert!(chat.pending.is_empty());
    assert!(model.notice.as_ref().unwrap().bad);
}

#[test]
fn states_only_move_forward_whatever_the_order() {
    let mut model = model(100, 24);
    model.open(BOB, vec![sent(9, "hi", State::Queued)]);
    for (told, shown) in [
        (State::Delivered, State::Delivered),
        (State::Stored, State::Delivered),
        (State::Read, State::Read),
    ] {
        happens(&mut model, What::State(sent(9, "hi", told)));
        assert_eq!(model.chat().unwrap().messages[&9].state, shown);
    }
    let message = Box::new(sent(9, "hi", State::Queued));
    model.answer(Answer::Sent { account: ALICE, client_id: "x".to_owned(), message });
    assert_eq!(model.chat().unwrap().messages[&9].state, State::Read);
}

#[test]
fn a_stranger_who_writes_is_listed_at_once() {
    let mut model = model(100, 24);
    let stranger = bytchat_proto::id::UserId([7; 20]);
    let message = Message { from: stranger, ..strange(8, "hello?") };
    let commands = arrives(&mut model, message.clone());
    assert!(commands.contains(&Command::Contacts { account: ALICE }));
    assert_eq!(model.book().unwrap().requests(), 2);
    // Asked for once, however much is written meanwhile.
    let other = Message { from: bytchat_proto::id::UserId([8; 20]), ..message };
    assert!(!arrives(&mut model, other).contains(&Command::Contacts { account: ALICE }));
}

#[test]
fn older_messages_are_read_before_the_upper_end_is_reached() {
    let mut model = model(100, 24);
    let page = chat(101..=200).messages.into_values().collect();
    model.book_mut().unwrap().chosen = Some(BOB);
    model.press(Key::Enter);
    let answer = |older, first, messages| Answer::History {
        account: ALICE,
        peer: BOB,
        older,
        page: Page { messages, older: first },
    };
    assert_eq!(reads(&model.answer(answer(None, Some(101), page))), 102);
    let mut asked = Vec::new();
    for _ in 0..8 {
        asked.extend(model.go(Go::PageUp));
    }
    assert_eq!(asked, [Command::History { account: ALICE, peer: BOB, older: Some(101) }]);
    let page: Vec<_> = chat(1..=100).messages.into_values().collect();
    let shown = model.chat().unwrap().scroll;
    model.answer(answer(Some(101), None, page.clone()));
    assert_eq!(model.chat().unwrap().messages.len(), 200);
    assert_eq!(model.chat().unwrap().scroll, shown, "what is read does not move");
    assert!(model.go(Go::Top).is_empty());
    // An answer that comes late is not taken for another one.
    model.press(Key::Refresh);
    model.answer(answer(Some(101), None, page));
    assert!(model.chat().unwrap().messages.is_empty());
}

#[test]
fn missed_events_make_messages_be_read_anew_and_drafts_stay() {
    let mut model = model(100, 24);
    model.open(BOB, vec![received(3, "hi alice")]);
    model.write("a draft");
    let commands = model.update(Msg::Gap);
    assert_eq!(commands, [Command::Accounts, history(BOB)]);
    let chat = model.chat().unwrap();
    assert!(chat.messages.is_empty());
    assert_eq!(chat.draft.text(), "a draft");
}

#[test]
fn while_the_daemon_is_away_one_can_write_and_nothing_is_lost() {
    let mut model = model(100, 24);
    model.open(BOB, vec![received(3, "hi alice")]);
    model.write("typed before");
    model.update(Msg::Away("gone".to_owned()));
    model.write(" and after");
    assert!(matches!(model.press(Key::Enter)[..], [Command::Send { .. }]));
    model.write("more");
    assert_eq!(model.update(Msg::Up), [Command::Accounts]);
    let chat = model.chat().unwrap();
    assert_eq!(chat.pending[0].text, "typed before and after");
    assert_eq!(chat.draft.text(), "more");
    assert_eq!(model.reach, Reach::Up);
}

#[test]
fn what_cannot_be_read_is_not_asked_for_again_and_again() {
    let mut model = model(100, 24);
    model.book_mut().unwrap().chosen = Some(BOB);
    let commands = model.press(Key::Enter);
    assert_eq!(commands, [history(BOB)]);
    let failed = Msg::Failed(history(BOB), "not permitted".to_owned());
    assert!(model.update(failed).is_empty());
    assert!(model.press(Key::Char('x')).is_empty());
    assert_eq!(model.chat().unwrap().reading, Reading::Failed);
    assert!(model.press(Key::Refresh).contains(&history(BOB)));
}

#[test]
fn quitting_asks_only_if_something_would_be_lost() {
    let mut clean = model(100, 24);
    clean.press(Key::Char('q'));
    assert_eq!(clean.end, Some(End::Quit));
    let mut model = model(100, 24);
    model.open(BOB, Vec::new());
    model.write("q");
    assert_eq!(model.end, None);
    model.press(Key::Quit);
    assert!(matches!(model.overlay, Some(Overlay::Quit)));
    model.press(Key::Char('n'));
    assert_eq!((model.end, model.chat().unwrap().draft.text()), (None, "q"));
    model.press(Key::Quit);
    model.press(Key::Char('y'));
    assert_eq!(model.end, Some(End::Quit));
}

#[test]
fn a_signal_ends_it_at_once() {
    let mut model = model(100, 24);
    model.open(BOB, Vec::new());
    model.write("lost");
    model.update(Msg::Stop);
    assert_eq!(model.end, Some(End::Stopped));
}

#[test]
fn somebody_new_is_looked_for_and_opened() {
    let mut model = model(100, 24);
    model.press(Key::Char('n'));
    model.update(Msg::Paste(" dave@d.test\n".to_owned()));
    let who = "dave@d.test".to_owned();
    assert_eq!(model.press(Key::Enter), [Command::Add { account: ALICE, who }]);
    assert!(model.press(Key::Enter).is_empty(), "it is asked for once");
    let dave = bytchat_proto::id::UserId([4; 20]);
    let commands =
        model.answer(Answer::Added(ALICE, contact(dave, Some("dave@d.test"), Standing::Accepted)));
    assert_eq!(commands, [history(dave)]);
    assert_eq!((model.focus, model.chat().unwrap().peer), (Focus::Chat, dave));
}

#[test]
fn accounts_are_switched_and_keep_what_was_written() {
    let mut model = model(100, 24);
    model.open(BOB, Vec::new());
    model.write("for bob");
    model.answer(Answer::Accounts(vec![
        account(ALICE, "alice", "alice@a.test"),
        account(CAROL, "work", "carol@w.test"),
    ]));
    model.press(Key::Accounts);
    model.go(Go::Down);
    model.press(Key::Enter);
    assert_eq!(model.book().unwrap().account.id, CAROL);
    assert!(model.chat().is_none());
    model.press(Key::Char('s'));
    model.go(Go::Up);
    model.press(Key::Enter);
    assert_eq!(model.chat().unwrap().draft.text(), "for bob");
}

#[test]
fn pasted_text_is_not_sent_by_its_lines() {
    let mut model = model(100, 24);
    model.open(BOB, Vec::new());
    assert!(model.update(Msg::Paste("one\r\ntwo\n".to_owned())).is_empty());
    assert_eq!(model.chat().unwrap().draft.text(), "one\ntwo\n");
    let long = "x".repeat(bytchat_proto::limits::TEXT_BYTES_MAX);
    model.update(Msg::Paste(long));
    assert_eq!(model.chat().unwrap().draft.text(), "one\ntwo\n");
    assert!(model.notice.is_some());
}

#[test]
fn the_mouse_chooses_and_scrolls() {
    let mut model = model(100, 24);
    // Row 0 is the title, 1 the heading, 2 the request, 3 the heading, 4 Bob.
    model.update(Msg::Mouse(Mouse::Click(Position::new(3, 4))));
    assert_eq!((model.focus, model.chat().unwrap().peer), (Focus::Chat, BOB));
    let messages = chat(1..=60).messages.into_values().collect();
    model.open(BOB, messages);
    let at = Position::new(60, 10);
    model.update(Msg::Mouse(Mouse::Wheel { up: true, at }));
    assert!(model.chat().unwrap().scroll.is_some());
    model.update(Msg::Mouse(Mouse::Wheel { up: false, at }));
    assert!(model.chat().unwrap().scroll.is_none());
    model.press(Key::Help);
    model.update(Msg::Mouse(Mouse::Click(at)));
    assert!(model.overlay.is_none());
}

#[test]
fn a_flood_does_not_fill_the_memory() {
    let mut model = model(100, 24);
    model.open(BOB, Vec::new());
    let text = "x".repeat(48 * 1024);
    for seq in 10..600 {
        arrives(&mut model, received(seq, &text));
    }
    let held: usize = model.chat().unwrap().messages.values().map(|m| m.text.len()).sum();
    assert!(held <= 9 * 1024 * 1024, "{held}");
    for seq in 1000..4000 {
        arrives(&mut model, Message { from: CAROL, ..received(seq, "x") });
    }
    let chat = &model.book().unwrap().chats[&CAROL];
    assert!(chat.messages.is_empty() && chat.unread.len() <= 1000);
}
