//! The root of the tree: a few folders and files, each with its place.

use crate::source::{Violation, root};

const FOLDERS: &[&str] =
    &[".ci", "ctl", "daemon", "docs", "packaging", "proto", "systemd", "tests"];
const FILES: &[&str] = &[
    "ARCHITECTURE.md",
    "BENCHMARKS.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "SECURITY.md",
    "clippy.toml",
    "deny.toml",
    "rustfmt.toml",
];
/// What must be there, so that a deleted file does not go unnoticed.
const NEEDED: &[&str] = &[
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "README.md",
    "SECURITY.md",
    "deny.toml",
    "rustfmt.toml",
    "clippy.toml",
];

/// The names in the root; folders end with `/`. What git and builds leave there is passed over.
pub(crate) fn entries() -> Vec<String> {
    let entries = std::fs::read_dir(root()).expect("the root can be listed");
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.expect("an entry can be read");
        let mut name = entry.file_name().to_string_lossy().into_owned();
        let hidden = name.starts_with('.') && name != ".ci";
        if entry.path().is_dir() {
            name.push('/');
        }
        if !hidden && name != "target/" {
            names.push(name);
        }
    }
    names
}

/// Lists what does not belong in the root and what is missing.
pub(crate) fn check(entries: &[String]) -> Vec<Violation> {
    let stray = entries.iter().filter(|name| match name.strip_suffix('/') {
        Some(folder) => !FOLDERS.contains(&folder),
        None => !FILES.contains(&name.as_str()),
    });
    let stray = stray.map(|name| Violation::at(name, 1, "the root has no place for it"));
    let missing = NEEDED
        .iter()
        .filter(|needed| !entries.iter().any(|name| name == *needed))
        .map(|needed| Violation::at(needed, 1, "the root needs it"));
    stray.chain(missing).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stray_folder_and_a_missing_file_are_caught() {
        let mut names: Vec<String> = NEEDED.iter().map(|name| (*name).to_owned()).collect();
        assert!(check(&names).is_empty());
        names.push("misc/".to_owned());
        names.retain(|name| name != "LICENSE");
        let found: Vec<_> = check(&names).iter().map(Violation::to_string).collect();
        assert_eq!(
            found,
            ["misc/:1: the root has no place for it", "LICENSE:1: the root needs it"]
        );
    }
}
