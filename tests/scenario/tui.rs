//! `bytctl tui` in a terminal, as a person uses it.

use std::process::Command;

use bytchat_tests::daemon::{Backbone, Daemon, Ran, Terminal, programs};
use rustix::process::Signal;
use serde_json::json;

const ENTER: &str = "\r";
const ESC: &str = "\x1b";
const PAGE_UP: &str = "\x1b[5~";
const CTRL_END: &str = "\x1b[1;5F";
const CTRL_J: &str = "\n";

fn tui(daemon: &Daemon) -> Command {
    let mut command = Command::new(&programs().bytctl);
    command.arg("--socket").arg(daemon.socket_path()).arg("tui");
    command
}

fn quit(terminal: &mut Terminal) {
    terminal.press("\x03");
    assert!(terminal.ended().success());
}

#[test]
fn two_people_talk_and_each_sees_how_far_a_message_has_come() {
    let backbone = Backbone::shared();
    let (alice, alice_id) = backbone.user("screen@a.test");
    let (bob, _) = backbone.user("pen@b.test");
    alice.get(&["contact", "add", "pen@b.test"]);
    bob.get(&["contact", "add", "screen@a.test"]);
    let sent = bob.get(&["send", &alice_id, "hi alice"]);
    let id = sent["id"].as_str().unwrap();
    alice.arrival(id);

    let mut terminal = Terminal::run(&tui(&alice), 100, 30);
    terminal.row(&["pen@b.test", "(1)"]);
    terminal.row(&["hi alice"]);
    terminal.press(ENTER);
    // Who sees it says so.
    bob.get(&["message", "wait", id, "--state", "read", "--timeout", "90"]);
    terminal.gone("(1)");

    terminal.press(&format!("hi{CTRL_J}bob{ENTER}"));
    terminal.row(&["you", "hi", "delivered"]);
    let inbox = bob.get(&["inbox"]);
    assert_eq!(inbox[0]["text"], "hi\nbob");
    bob.call("message.read", &json!({ "ids": [inbox[0]["id"]] }));
    terminal.row(&["you", "hi", "read"]);

    bob.get(&["send", &alice_id, "and live"]);
    terminal.row(&["pen", "and live"]);
    // Reading anew, and being put aside where no shell could take over, end where they began.
    for key in ["\x0c", "\x1a"] {
        terminal.press(key);
        terminal.press("mark");
        terminal.row(&["> mark"]);
        terminal.row(&["pen", "and live"]);
        terminal.press("\x15");
        terminal.gone("mark");
    }
    for (columns, rows) in [(40, 10), (80, 24), (120, 40)] {
        terminal.resize(columns, rows);
        terminal.press("x\x7f");
        terminal.until("the same at another size", |screen| {
            let lines = screen.lines().map(|line| line.chars().count()).max().unwrap_or_default();
            screen.contains("and live") && lines <= columns.into() && screen.contains("> ")
        });
    }
    quit(&mut terminal);
}

#[test]
fn a_stranger_is_accepted_and_answered() {
    let backbone = Backbone::shared();
    let (alice, alice_id) = backbone.user("asked@a.test");
    let (carol, _) = backbone.user("asking@b.test");
    let mut terminal = Terminal::run(&tui(&alice), 100, 30);
    terminal.until("an empty list", |screen| screen.contains("Nobody is here yet"));
    let sent = carol.get(&["send", &alice_id, "may I?"]);
    terminal.row(&["REQUESTS (1)"]);
    terminal.press(ENTER);
    terminal.row(&["may I?"]);
    terminal.row(&["wants to write to you"]);
    terminal.press("a");
    terminal.row(&["is accepted"]);
    terminal.gone("REQUESTS");
    let id = sent["id"].as_str().unwrap();
    carol.get(&["message", "wait", id, "--state", "read", "--timeout", "90"]);
    terminal.press(&format!("you may{ENTER}"));
    terminal.row(&["you may", "delivered"]);
    quit(&mut terminal);
}

#[test]
fn a_long_history_is_paged_and_a_restart_of_the_daemon_loses_nothing() {
    let backbone = Backbone::shared();
    let (alice, _) = backbone.user("paging@a.test");
    let (bob, bob_id) = backbone.user("paged@b.test");
    bob.get(&["contact", "add", "paging@a.test"]);
    let mut socket = alice.socket();
    for number in 1..=250 {
        let text = format!("note {number}.");
        let answer = socket.call("message.send", &json!({ "to": bob_id, "text": text }));
        assert!(answer["error"].is_null(), "{answer}");
    }
    let mut terminal = Terminal::run(&tui(&alice), 100, 30);
    terminal.row(&["note 250."]);
    terminal.press(ENTER);
    for number in [200, 150, 100, 50, 1] {
        let wanted = format!("note {number}.");
        while !terminal.text().contains(&wanted) {
            let before = terminal.text();
            terminal.press(PAGE_UP);
            terminal.until("another page", |screen| screen != before);
        }
    }
    terminal.press(CTRL_END);
    terminal.row(&["note 250."]);

    terminal.press("typed before");
    terminal.row(&["> typed before"]);
    alice.stop();
    terminal.row(&["bytchatd is away"]);
    terminal.press(", sent after");
    terminal.press(ENTER);
    terminal.row(&["typed before, sent after", "sending"]);
    alice.run();
    terminal.gone("bytchatd is away");
    terminal.row(&["typed before, sent after", "delivered"]);
    terminal.press(ESC);
    quit(&mut terminal);
    let history = alice.get(&["history", &bob_id, "--limit", "5"]);
    let texts = history.as_array().unwrap().iter().map(|message| &message["text"]);
    assert_eq!(texts.filter(|text| *text == "typed before, sent after").count(), 1);
}

#[test]
fn the_terminal_is_given_back_when_a_signal_ends_it() {
    let daemon = Daemon::start(&Backbone::shared().setup);
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let mut terminal = Terminal::run(&tui(&daemon), 80, 24);
        terminal.until("a word on accounts", |screen| screen.contains("There is no"));
        terminal.signal(signal);
        assert_eq!(terminal.ended().code(), Some(130));
    }
}

#[test]
fn without_a_terminal_or_a_daemon_it_says_so() {
    let daemon = Daemon::start(&Backbone::shared().setup);
    let ran = Ran::of(&mut tui(&daemon), b"");
    assert_eq!(ran.code, 2, "{}", ran.err);
    assert!(ran.err.contains("terminal"), "{}", ran.err);
    daemon.stop();
    let mut terminal = Terminal::run(&tui(&daemon), 80, 24);
    terminal.until("how to start it", |screen| screen.contains("systemctl start bytchatd"));
    assert_eq!(terminal.ended().code(), Some(69));
}
