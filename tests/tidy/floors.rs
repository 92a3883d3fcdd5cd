//! Floors: a module may use what is below it, never what is beside or above it.

use crate::source::{Source, Violation};

/// One row of a package, top first: its floor and the modules on it, strangers to each other.
type Row = (i8, &'static [&'static str]);

const SHELL: &[Row] = &[
    (5, &["boot"]),
    (4, &["engine"]),
    (
        3,
        &["net", "store", "rpc", "jobs", "clock", "entropy", "config", "systemd", "resolve", "log"],
    ),
];

/// The lower rows of floor 0 are the vocabulary that everything above is written in.
const CORE: &[Row] = &[
    (2, &["node"]),
    (
        1,
        &[
            "link", "dht", "pod", "mailbox", "round", "outbox", "route", "account", "inbox",
            "host", "event", "token", "answer",
        ],
    ),
    (0, &["crypto", "stamp"]),
    (0, &["io"]),
    (0, &["budget"]),
    (0, &["persist", "time", "deadline", "prefix", "recent", "fill"]),
    (0, &["planted"]),
];

const PROTO: &[Row] = &[
    (-1, &["rpc", "wire"]),
    (-2, &["envelope", "binding", "block"]),
    (-2, &["record"]),
    (-2, &["unverified"]),
    (-3, &["key", "point", "alias", "codec"]),
    (-3, &["id"]),
    (-3, &["limits", "timestamp", "secret"]),
];

const PACKAGES: &[(&str, &[Row])] =
    &[("daemon/src/", SHELL), ("daemon/core/src/", CORE), ("proto/src/", PROTO)];

/// Lists the uses that go sideways or up, and modules without a floor.
pub(crate) fn check(source: &Source) -> Vec<Violation> {
    let package = PACKAGES.iter().find_map(|(folder, rows)| {
        let path = source.path.strip_prefix(folder)?.strip_suffix(".rs")?;
        Some((path, *rows))
    });
    let Some((path, rows)) = package.filter(|_| !source.is_test()) else {
        return Vec::new();
    };
    let modules: Vec<&str> = path.split('/').filter(|part| *part != "mod").collect();
    let own = modules[0];
    if ["lib", "main"].contains(&own) {
        return Vec::new();
    }
    let Some((row, floor)) = place(rows, own) else {
        let rule = format!("module {own} has no floor: give it one in tests/tidy/floors.rs");
        return vec![source.violation(1, rule)];
    };
    uses(source, &modules)
        .into_iter()
        .filter(|(_, used)| used != own)
        .filter(|(_, used)| place(rows, used).is_some_and(|(below, _)| below <= row))
        .map(|(line, used)| {
            source.violation(line, format!("{own} (floor {floor}) must not use {used}"))
        })
        .collect()
}

fn place(rows: &[Row], module: &str) -> Option<(usize, i8)> {
    rows.iter()
        .enumerate()
        .find(|(_, (_, modules))| modules.contains(&module))
        .map(|(row, (floor, _))| (row, *floor))
}

/// The modules of the package that a file names, with the lines where it does.
fn uses(source: &Source, modules: &[&str]) -> Vec<(usize, String)> {
    let lines: Vec<_> = source.shipped_code().map(|(_, line)| line).collect();
    let text = lines.join("\n");
    let mut found = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let whole = text[..at].chars().next_back();
        if !whole.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$') {
            collect(&text, at + "crate::".len(), &mut found);
        }
    }
    let up = "super::".repeat(modules.len());
    for (at, _) in text.match_indices(&up) {
        if !text[..at].ends_with("super::") {
            collect(&text, at + up.len(), &mut found);
        }
    }
    found
}

/// Collects the names at a place: one, or those of a list in braces.
fn collect(text: &str, at: usize, found: &mut Vec<(usize, String)>) {
    let rest = &text[at..];
    let Some(list) = rest.strip_prefix('{') else {
        found.push((line_of(text, at), name_of(rest)));
        return;
    };
    let mut depth = 0;
    let mut fresh = true;
    for (offset, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return,
            '}' => depth -= 1,
            ',' if depth == 0 => fresh = true,
            c if fresh && (c.is_alphanumeric() || c == '_') => {
                let place = at + 1 + offset;
                found.push((line_of(text, place), name_of(&text[place..])));
                fresh = false;
            }
            _ => {}
        }
    }
}

fn name_of(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violations(path: &str, text: &str) -> Vec<String> {
        let source = Source::new(path, text);
        check(&source).iter().map(Violation::to_string).collect()
    }

    #[test]
    fn a_core_that_uses_the_switchboard_is_caught() {
        assert_eq!(
            violations("daemon/core/src/dht/table.rs", "\nuse crate::node::Node;"),
            ["daemon/core/src/dht/table.rs:2: dht (floor 1) must not use node"]
        );
    }

    #[test]
    fn siblings_are_strangers_in_lists_and_through_super() {
        let list = "use crate::{io::{self, Output},\n link::Link, time::Now};";
        assert_eq!(
            violations("daemon/core/src/dht/mod.rs", list),
            ["daemon/core/src/dht/mod.rs:2: dht (floor 1) must not use link"]
        );
        assert_eq!(violations("daemon/core/src/dht/a.rs", "use super::super::pod::Pod;").len(), 1);
        assert_eq!(violations("proto/src/wire.rs", "use super::rpc::Call;").len(), 1);
    }

    #[test]
    fn what_is_below_may_be_used_and_comments_do_not_count() {
        let text = "use crate::io::Output; use super::table::Table; // crate::node::Node";
        assert!(violations("daemon/core/src/dht/lookup.rs", text).is_empty());
        assert!(violations("daemon/core/src/node/mod.rs", "use crate::dht::Dht;").is_empty());
    }

    #[test]
    fn a_module_without_a_floor_is_caught() {
        assert!(violations("daemon/core/src/magic.rs", "//! x")[0].contains("has no floor"));
    }
}
