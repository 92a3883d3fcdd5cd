//! The lock file of the fuzz targets, which are a workspace of their own: it names the versions
//! that the root's names, and what our packages need today.

use std::collections::BTreeSet;

use crate::source::Violation;

pub(crate) const ROOT: &str = "Cargo.lock";
pub(crate) const FUZZ: &str = "tests/fuzz/libfuzzer/Cargo.lock";
/// What is fuzzed, and where it says what it needs.
pub(crate) const MANIFESTS: [(&str, &str); 4] = [
    ("bytchat-proto", "proto/Cargo.toml"),
    ("bytchat-core", "daemon/core/Cargo.toml"),
    ("bytchatd", "daemon/Cargo.toml"),
    ("bytchat-tests", "tests/Cargo.toml"),
];
/// What only the fuzz targets need.
const OWN: [&str; 3] = ["bytchat-fuzz", "libfuzzer-sys", "arbitrary"];

/// The packages of a lock file as they stand there.
fn packages(lock: &str) -> impl Iterator<Item = &str> {
    lock.split("[[package]]\n").skip(1)
}

fn name(package: &str) -> &str {
    let line = package.lines().next().unwrap_or_default();
    line.trim_start_matches("name = ").trim_matches('"')
}

/// Name and version of a package, and who vouches for it.
fn identity(package: &str) -> Vec<&str> {
    let known = ["name = ", "version = ", "checksum = "];
    package.lines().filter(|line| known.iter().any(|known| line.starts_with(known))).collect()
}

/// What a package needs by its lock file.
fn locked(package: &str) -> BTreeSet<&str> {
    let lines = package.lines().filter_map(|line| line.strip_prefix(" \""));
    lines.filter_map(|line| line.split(['"', ' ']).next()).collect()
}

/// What a package needs by its manifest.
fn needed(manifest: &str) -> BTreeSet<&str> {
    let from = manifest.lines().skip_while(|line| *line != "[dependencies]").skip(1);
    let lines = from.take_while(|line| !line.starts_with('['));
    lines.filter_map(|line| line.split(['.', ' ']).next()).filter(|name| !name.is_empty()).collect()
}

/// Lists what the fuzz targets would be built with and nothing else is.
pub(crate) fn check(root: &str, fuzz: &str, manifests: &[(&str, String)]) -> Vec<Violation> {
    let same = |package: &&str| packages(root).any(|it| identity(it) == identity(package));
    let strange = packages(fuzz).filter(|it| !OWN.contains(&name(it)) && !same(it)).map(name);
    let behind = manifests.iter().filter_map(|(package, manifest)| {
        let found = packages(fuzz).find(|it| name(it) == *package);
        (found.map(locked) != Some(needed(manifest))).then_some(*package)
    });
    let rule = |package: &str| {
        Violation::at(FUZZ, 1, format!("{package} is not what it is in the root: lock it anew"))
    };
    strange.chain(behind).map(rule).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = "\
version = 4

[[package]]
name = \"a\"
version = \"1\"
checksum = \"x\"

[[package]]
name = \"ours\"
version = \"1\"
dependencies = [
 \"a 1\",
]
";

    #[test]
    fn a_lock_file_that_was_left_behind_is_caught() {
        let needs = |what: &str| {
            [("ours", format!("[dependencies]\n{what}.workspace = true\n\n[dev-dependencies]\nb"))]
        };
        assert!(check(LOCK, LOCK, &needs("a")).is_empty());
        assert_eq!(check(LOCK, LOCK, &needs("c")).len(), 1);
        let other = LOCK.replace("checksum = \"x\"", "checksum = \"y\"");
        assert_eq!(check(&other, LOCK, &needs("a")).len(), 1);
        let more = format!("{LOCK}\n[[package]]\nname = \"libfuzzer-sys\"\nversion = \"0\"\n");
        assert!(check(LOCK, &more, &needs("a")).is_empty());
    }
}
