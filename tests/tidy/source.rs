//! Files as the rules see them: lines, and lines without comments and texts.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::lexer;

/// One file of the tree.
pub(crate) struct Source {
    /// Where it is, from the root, with `/`.
    pub(crate) path: String,
    /// Its lines.
    pub(crate) lines: Vec<String>,
    /// Its lines with comments and texts blanked; for Rust only, else empty.
    pub(crate) code: Vec<String>,
}

/// A broken rule.
pub(crate) struct Violation {
    path: String,
    line: usize,
    rule: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.rule)
    }
}

impl Violation {
    /// A rule broken in a line, counted from 1.
    pub(crate) fn at(path: &str, line: usize, rule: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, rule: rule.into() }
    }
}

impl Source {
    /// A file from its text.
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let code = if path.ends_with(".rs") { lexer::code_of(text) } else { String::new() };
        Self {
            path: path.to_owned(),
            lines: text.lines().map(str::to_owned).collect(),
            code: code.lines().map(str::to_owned).collect(),
        }
    }

    /// Every file of the tree that people write: code, documents, configuration.
    pub(crate) fn all() -> Vec<Self> {
        let mut paths = Vec::new();
        walk(&root(), &mut paths);
        paths.sort();
        let root = root();
        let relative = |path: &PathBuf| {
            let path = path.strip_prefix(&root).expect("it is below the root");
            path.to_string_lossy().into_owned()
        };
        paths.iter().map(relative).map(|path| Self::new(&path, &read(&path))).collect()
    }

    /// Whether it is Rust.
    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether the whole file is a test.
    pub(crate) fn is_test(&self) -> bool {
        let path = self.path.as_str();
        ["/tests.rs", "/fixture.rs"].iter().any(|end| path.ends_with(end))
            || path.starts_with("tests/")
            || path.contains("/tests/")
    }

    /// How many lines stand before the tests at the bottom.
    pub(crate) fn lines_without_tests(&self) -> usize {
        let marks = self.lines.iter().zip(self.lines.iter().skip(1));
        let tail = marks
            .enumerate()
            .find(|(_, (a, b))| a.starts_with("#[cfg(test)]") && b.starts_with("mod tests {"));
        tail.map_or(self.lines.len(), |(line, _)| line)
    }

    /// The blanked lines that are no test, with their numbers from 1.
    pub(crate) fn shipped_code(&self) -> impl Iterator<Item = (usize, &str)> {
        let shipped = if self.is_test() { 0 } else { self.lines_without_tests() };
        (1..).zip(self.code.iter().map(String::as_str)).take(shipped)
    }

    /// A violation in a line of this file.
    pub(crate) fn violation(&self, line: usize, rule: impl Into<String>) -> Violation {
        Violation::at(&self.path, line, rule)
    }
}

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("tests/ has a parent").to_path_buf()
}

/// The text of a file.
pub(crate) fn read(path: &str) -> String {
    let bytes = std::fs::read(root().join(path));
    let bytes = bytes.unwrap_or_else(|error| unreachable!("{path}: {error}"));
    String::from_utf8_lossy(&bytes).into_owned()
}

fn walk(folder: &Path, paths: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder).expect("a folder can be listed");
    for entry in entries {
        let path = entry.expect("an entry can be read").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let hidden = name.starts_with('.') && name != ".ci";
        if hidden || name == "target" {
            continue;
        }
        if path.is_dir() {
            walk(&path, paths);
        } else if is_written_by_people(&path) {
            paths.push(path);
        }
    }
}

/// Golden files, the lock file and the licence are not.
fn is_written_by_people(path: &Path) -> bool {
    let ends = ["rs", "md", "toml", "service", "socket", "py", "sh", "mjs"];
    let end = path.extension().unwrap_or_default().to_string_lossy();
    ends.contains(&end.as_ref()) || path.ends_with(".ci/run")
}

/// Whether `word` stands in `line` between characters that are no part of a name.
pub(crate) fn has_word(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(part) && !after.is_some_and(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tests_at_the_bottom_are_not_counted() {
        let text = "//! x\nfn a() {}\n#[cfg(test)]\nmod tests {\n}\n";
        assert_eq!(Source::new("a/src/b.rs", text).lines_without_tests(), 2);
        assert!(Source::new("a/src/b/tests.rs", text).is_test());
    }

    #[test]
    fn words_end_where_names_end() {
        assert!(has_word("use sled::Db;", "sled"));
        assert!(!has_word("bobsled", "sled"));
        assert!(!has_word("sled_path", "sled"));
    }
}
