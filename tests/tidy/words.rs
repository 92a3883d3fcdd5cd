//! One word per concept. The words of the original notes stand in `docs/notes.md` alone.

use crate::source::{Source, Violation, has_word};

/// A word that is not ours, in lower case, and what we say.
const STRANGERS: &[(&str, &str)] = &[
    ("tracker", "holder"),
    ("trackers", "holders"),
    ("seed node", "node"),
    ("seed nodes", "nodes"),
    ("channel", "round, link or stream"),
    ("channels", "rounds, links or streams"),
    ("blockchain", "log"),
    ("chatroom", "round"),
    ("chat room", "round"),
    ("group chat", "round"),
    ("group id", "round id"),
    ("nickname", "alias, or name"),
    ("username", "alias, or Unix user"),
    ("screen name", "name"),
    ("user meta", "profile"),
];

/// Verbs and names of the notes as they are spelt there.
const SPELLINGS: &[(&str, &str)] = &[
    ("UID", "user id"),
    ("GETCERTIFICATE", "a record is looked up"),
    ("GETKEY", "a key is taken"),
    ("HELLO", "`Hello`"),
    ("ACK", "receipt, or response"),
];

/// The project speaks of itself alone: not of how, where or by what it was written.
const OUTSIDE: &[&str] = &[
    "worktree",
    "chatbot",
    "language model",
    "ai assistant",
    "subagent",
    "/work/",
    "design.md",
    "conventions.md",
    "promises.md",
    "crypto.md",
    "reliability.md",
    "peers.md",
    "quic-nat.md",
];

/// Here the words are explained; and this file lists them.
const EXPLAINED: &[&str] = &["docs/notes.md", "tests/tidy/words.rs"];

/// Queues of the standard library and of tokio are called so by everybody.
const QUEUES: &[&str] = &["mpsc", "oneshot", "broadcast", "watch"];

/// Lists the words that are not ours.
pub(crate) fn check(source: &Source) -> Vec<Violation> {
    if EXPLAINED.contains(&source.path.as_str()) {
        return Vec::new();
    }
    let code = if source.path.ends_with(".toml") { &source.lines } else { &source.code };
    let queues = code.iter().any(|line| QUEUES.iter().any(|word| has_word(line, word)));
    (1..)
        .zip(&source.lines)
        .flat_map(|(number, line)| {
            rules(line, queues).into_iter().map(move |rule| source.violation(number, rule))
        })
        .collect()
}

fn rules(line: &str, queues: bool) -> Vec<String> {
    let low = line.to_lowercase();
    let plain = words_of(line);
    let strangers = STRANGERS
        .iter()
        .filter(|(word, _)| has_word(&plain, word))
        .filter(|(word, _)| !(queues && word.starts_with("channel")))
        .map(|(word, ours)| format!("we do not say {word:?}: say {ours}"));
    let spellings = SPELLINGS
        .iter()
        .filter(|(word, _)| has_word(line, word))
        .map(|(word, ours)| format!("we do not write {word}: say {ours}"));
    let outside = OUTSIDE
        .iter()
        .filter(|word| low.contains(**word))
        .map(|word| format!("{word:?} is no part of the project"));
    strangers.chain(spellings).chain(outside).collect()
}

/// The words of a line, also those inside of names: `SeedNode` and `seed_node` are two words.
fn words_of(line: &str) -> String {
    let mut words = String::from(" ");
    let mut small = false;
    for c in line.chars() {
        if small && c.is_uppercase() {
            words.push(' ');
        }
        small = c.is_lowercase();
        if c.is_alphanumeric() {
            words.extend(c.to_lowercase());
        } else if !words.ends_with(' ') {
            words.push(' ');
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caught(path: &str, text: &str) -> usize {
        check(&Source::new(path, text)).len()
    }

    #[test]
    fn words_are_found_inside_of_names_and_sentences() {
        assert_eq!(caught("ctl/src/a.rs", "struct SeedNode;"), 1);
        assert_eq!(caught("ctl/src/a.rs", "let tracker_id = 1;"), 1);
        assert_eq!(caught("README.md", "Ask the tracker for the UID."), 2);
        assert_eq!(caught("README.md", "The seed of a node, its uid, and tracked files."), 0);
    }

    #[test]
    fn queues_may_be_called_by_their_name() {
        let text = "use tokio::sync::mpsc;\nlet (a, b) = mpsc::channel(1);";
        assert_eq!(caught("daemon/src/a.rs", text), 0);
        assert_eq!(caught("daemon/src/a.rs", "struct Channel;"), 1);
    }

    #[test]
    fn the_notes_are_explained_in_one_place() {
        assert_eq!(caught("docs/notes.md", "A tracker is a holder."), 0);
    }

    #[test]
    fn the_project_speaks_of_itself_alone() {
        assert_eq!(caught("ctl/src/a.rs", "// see /work/main"), 1);
        assert_eq!(caught("docs/a.md", "as an AI assistant"), 1);
    }
}
