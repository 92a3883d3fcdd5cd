//! What may stand next in a command line: contacts, accounts and more, as the daemon knows them.

use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use clap::{Arg, Command, CommandFactory};
use serde_json::{Map, Value};

use crate::args::Args;
use crate::client::Client;
use crate::failure::Failure;
use crate::print::Printer;

/// Who types does not wait longer.
const PATIENCE: Duration = Duration::from_millis(150);

/// Whom to ask, and for which account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// Where the daemon may listen.
    pub(crate) sockets: Vec<PathBuf>,
    /// The account, if one is named.
    pub(crate) account: Option<String>,
}

/// What is to be completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Who,
    Account,
    Cursor,
    Method,
}

/// Prints what may stand next, one a line, and nothing if that cannot be known in time: in the
/// middle of a command line nobody reads errors.
pub(crate) fn run(
    printer: &mut Printer,
    mut place: Place,
    kind: &str,
    words: &[String],
) -> Result<(), Failure> {
    let wanted = match (kind, words) {
        ("line", words) => place.read(&Args::command(), words),
        (kind, words) => parse(kind).map(|kind| (kind, words.last().cloned().unwrap_or_default())),
    };
    let Some((kind, prefix)) = wanted else {
        return Ok(());
    };
    let (tell, told) = channel();
    // The end of the program ends it as well.
    thread::spawn(move || drop(tell.send(candidates(&place, kind))));
    let mut found = told.recv_timeout(PATIENCE).unwrap_or_default();
    found.sort_unstable();
    found.dedup();
    for word in found.iter().filter(|word| word.starts_with(&prefix) && is_plain(word)) {
        printer.line(word)?;
    }
    Ok(())
}

fn parse(kind: &str) -> Option<Kind> {
    match kind {
        "who" => Some(Kind::Who),
        "account" => Some(Kind::Account),
        "cursor" => Some(Kind::Cursor),
        "method" => Some(Kind::Method),
        _ => None,
    }
}

impl Place {
    /// Reads the words of a line of which the last is being typed: what that one is to be.
    fn read(&mut self, tree: &Command, words: &[String]) -> Option<(Kind, String)> {
        let (prefix, words) = words.split_last()?;
        let mut command = tree;
        let (mut option, mut positions, mut plain): (Option<&Arg>, _, _) = (None, 0, false);
        for word in words {
            if let Some(arg) = option.take() {
                self.hear(arg, word);
            } else if let Some(name) = word.strip_prefix("--").filter(|_| !plain) {
                plain = name.is_empty();
                let (name, value) =
                    name.split_once('=').map_or((name, None), |(n, v)| (n, Some(v)));
                let arg = long(command, name).or_else(|| long(tree, name));
                option = arg.filter(|arg| value.is_none() && arg.get_action().takes_values());
                if let (Some(arg), Some(value)) = (arg, value) {
                    self.hear(arg, value);
                }
            } else if let Some(below) = command.find_subcommand(word).filter(|_| !plain) {
                command = below;
                positions = 0;
            } else {
                positions += 1;
            }
        }
        let arg = option.or_else(|| command.get_positionals().nth(positions))?;
        let kind = match arg.get_id().as_str() {
            "who" | "to" | "alias" => Kind::Who,
            "account" => Kind::Account,
            "cursor" => Kind::Cursor,
            "method" => Kind::Method,
            _ => return None,
        };
        Some((kind, prefix.clone()))
    }

    fn hear(&mut self, arg: &Arg, value: &str) {
        match arg.get_id().as_str() {
            "socket" => self.sockets = vec![value.into()],
            "account" => self.account = Some(value.to_owned()),
            _ => {}
        }
    }
}

fn long<'a>(command: &'a Command, name: &str) -> Option<&'a Arg> {
    command.get_arguments().find(|arg| arg.get_long() == Some(name))
}

fn candidates(place: &Place, kind: Kind) -> Vec<String> {
    let mut client = Client::new(place.sockets.clone());
    let mut params = Map::new();
    if let Some(account) = place.account.as_ref().filter(|_| kind == Kind::Who) {
        params.insert("account".to_owned(), account.as_str().into());
    }
    let (method, list) = match kind {
        Kind::Who => ("contact.list", "contacts"),
        Kind::Account => ("account.list", "accounts"),
        Kind::Cursor => ("cursor.list", "cursors"),
        Kind::Method => ("rpc.methods", "methods"),
    };
    let answer = client.call_raw(method, &Value::Object(params), Duration::ZERO);
    let mut answer = answer.unwrap_or_default();
    match answer[list].take() {
        Value::Array(items) => items.iter().flat_map(|item| names(item, kind)).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            Vec::new()
        }
    }
}

fn names(item: &Value, kind: Kind) -> Vec<String> {
    let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
    let aliases = || item["aliases"].as_array().map_or(&[][..], Vec::as_slice).iter();
    let found = match kind {
        Kind::Who => vec![text(&item["alias"]).or_else(|| text(&item["id"]))],
        Kind::Account => [text(&item["name"])].into_iter().chain(aliases().map(text)).collect(),
        Kind::Cursor => vec![text(&item["name"])],
        Kind::Method => vec![text(item).or_else(|| text(&item["name"]))],
    };
    found.into_iter().flatten().collect()
}

/// A word that no shell reads in another way.
fn is_plain(word: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || "@._-:".contains(c);
    !word.is_empty() && !word.starts_with('-') && word.chars().all(known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(line: &str) -> (Option<(Kind, String)>, Place) {
        let words: Vec<_> = line.split(' ').map(str::to_owned).collect();
        let mut place = Place::default();
        (place.read(&Args::command(), &words), place)
    }

    #[test]
    fn the_place_in_the_line_says_what_is_to_be_completed() {
        for (line, kind) in [
            ("send ", Some(Kind::Who)),
            ("send --wait stored bo", Some(Kind::Who)),
            ("send --wait ", None),
            ("send bob@b.test ", None),
            ("history bo", Some(Kind::Who)),
            ("contact block bo", Some(Kind::Who)),
            ("alias resolve bo", Some(Kind::Who)),
            ("account list --account a", Some(Kind::Account)),
            ("--account ", Some(Kind::Account)),
            ("watch --cursor ", Some(Kind::Cursor)),
            ("rpc event", Some(Kind::Method)),
            ("rpc event.list si", None),
            ("send -- bo", Some(Kind::Who)),
            ("node ", None),
            ("", None),
        ] {
            assert_eq!(read(line).0.map(|(kind, _)| kind), kind, "{line}");
        }
    }

    #[test]
    fn the_line_names_the_daemon_and_the_account() {
        let (wanted, place) = read("--socket /s send --account=me bo");
        assert_eq!(wanted, Some((Kind::Who, "bo".to_owned())));
        assert_eq!(place, Place { sockets: vec!["/s".into()], account: Some("me".to_owned()) });
    }

    #[test]
    fn names_come_out_of_answers_and_words_of_shells_do_not() {
        let account = json!({ "name": "me", "aliases": ["me@a.test"] });
        assert_eq!(names(&account, Kind::Account), ["me", "me@a.test"]);
        assert_eq!(names(&json!({ "alias": null, "id": "x" }), Kind::Who), ["x"]);
        assert_eq!(names(&json!("node.status"), Kind::Method), ["node.status"]);
        assert_eq!(names(&json!({ "name": "node.status" }), Kind::Method), ["node.status"]);
        for bad in ["", "-x", "a b", "$(x)", "a;b", "a'b", "\u{1b}"] {
            assert!(!is_plain(bad), "{bad}");
        }
    }
}
