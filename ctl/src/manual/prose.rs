//! What the command tree does not say of itself.

use bytchat_proto::rpc::ErrorKind;
use clap_mangen::roff::{Roff, roman};

use super::{entry, section, verbatim};

/// What the exit codes mean.
pub(super) const EXITS: &[(u8, &str)] = &[
    (0, "It is done."),
    (1, "Something else went wrong; the message says what."),
    (2, "The command line or one of its values makes no sense."),
    (4, "The key of the recipient has changed. Nothing was sent."),
    (5, "There is no such thing or nobody of that name, or the network cannot be reached."),
    (6, "What was waited for did not happen in time."),
    (7, "That is not permitted."),
    (8, "It conflicts with something that is there already."),
    (69, "The daemon cannot be reached."),
    (130, "Somebody pressed Ctrl-C."),
];

/// Examples by the page that they belong to; each line is a command that can be run.
pub(super) const EXAMPLES: &[(&str, &str)] = &[
    (
        "bytctl",
        "bytctl account create --name alice\n\
         bytctl alias register alice@pod.example\n\
         bytctl send bob@pod.example 'hi'\n\
         bytctl inbox\n\
         bytctl watch",
    ),
    (
        "bytctl-send",
        "bytctl send bob@pod.example 'hi'\n\
         uptime | bytctl send bob@pod.example -\n\
         tail -f alarms.log | bytctl send bob@pod.example --lines\n\
         bytctl send bob@pod.example 'hi' --wait delivered --timeout 30",
    ),
    ("bytctl-tui", "bytctl --account work tui"),
    (
        "bytctl-watch",
        "bytctl watch --json --since 0\n\
         bytctl watch --cursor bot --types message.received --exec ./answer",
    ),
    ("bytctl-config-show", "bytctl config show"),
    ("bytctl-doctor", "bytctl doctor\nbytctl doctor --bundle report.tar"),
    (
        "bytctl-token-create",
        "bytctl token create --name bot --role send --accounts work --days 90 > bot.token\n\
         bytctl --token bot.token watch --cursor bot --types message.received --exec ./answer",
    ),
    ("bytctl-inbox", "bytctl inbox --limit 5 --json | jq -r '.[].text'"),
    ("bytctl-rpc", "bytctl rpc --list\nbytctl rpc event.list since:=0"),
    (
        "bytctl-completion",
        "bytctl completion bash > ~/.local/share/bash-completion/completions/bytctl\n\
         bytctl completion fish > ~/.config/fish/completions/bytctl.fish",
    ),
];

const ENVIRONMENT: &[(&str, &str)] = &[
    ("BYTCHAT_SOCKET", "The daemon's socket, if --socket names none."),
    (
        "BYTCHAT_TOKEN",
        "A token that narrows what the command may, if --token names no file. It never gives more.",
    ),
    ("XDG_RUNTIME_DIR", "Where the socket of the user's own daemon lies."),
    ("NO_COLOR", "No colours, unless --color says otherwise."),
    ("CLICOLOR_FORCE", "Colours in a pipe as well, unless it is 0."),
    ("TZ", "The time zone of what `bytctl tui` shows; all other times are in UTC."),
];

const FILES: &[(&str, &str)] = &[
    ("$XDG_RUNTIME_DIR/bytchat/bytchatd.sock", "The user's daemon, which is tried first."),
    ("/run/bytchat/bytchatd.sock", "The system's daemon, for members of bytchat and bytchat-read."),
];

/// The end of bytctl(1).
pub(super) fn program(page: &mut Roff) {
    section(page, "OUTPUT");
    page.text([roman(
        "On a terminal lists are tables; in a pipe each row is a line with tabs between its \
         fields. A table is as wide as the terminal: texts are cut, and rows without room go on \
         in the next line. What takes long is told on stderr, if that is a terminal. With --json \
         every answer is one JSON value on one line, and an error is an object on stderr with the \
         member error, which has the members code, kind, message and hint.",
    )]);
    section(page, "EXIT STATUS");
    for (code, meaning) in exits() {
        entry(page, &code.to_string(), &meaning);
    }
    for (heading, entries) in [("ENVIRONMENT", ENVIRONMENT), ("FILES", FILES)] {
        section(page, heading);
        for (term, text) in entries {
            entry(page, term, text);
        }
    }
    examples(page, "bytctl");
    section(page, "SEE ALSO");
    page.text([roman("bytchatd(8), bytchatd.toml(5), bytchat-rpc(7)")]);
}

/// The end of a command's page.
pub(super) fn command(page: &mut Roff, name: &str, above: &str) {
    section(page, "EXIT STATUS");
    page.text([roman("The codes are listed in bytctl(1).")]);
    examples(page, name);
    section(page, "SEE ALSO");
    let above = if above == "bytctl" { String::new() } else { format!("{above}(1), ") };
    page.text([roman(format!("{above}bytctl(1), bytchatd(8)"))]);
}

/// The exit codes with all that they mean.
pub(super) fn exits() -> impl Iterator<Item = (u8, String)> {
    EXITS.iter().map(|(code, meaning)| (*code, exit(*code, meaning)))
}

fn exit(code: u8, meaning: &str) -> String {
    let kinds = ErrorKind::ALL.iter().filter(|kind| kind.exit_code() == code);
    let names: Vec<_> = kinds.map(|kind| kind.name()).collect();
    match names.is_empty() {
        true => meaning.to_owned(),
        false => format!("{meaning} Kinds of errors: {}.", names.join(", ")),
    }
}

fn examples(page: &mut Roff, name: &str) {
    if let Some((_, lines)) = EXAMPLES.iter().find(|(command, _)| *command == name) {
        section(page, "EXAMPLES");
        verbatim(page, lines);
    }
}
