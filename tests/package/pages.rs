//! The manual pages, as the programs that show them read them.

use std::path::{Path, PathBuf};
use std::process::Command;

use bytchat_tests::daemon::Ran;

use crate::built::{files, has_tools, packages};

fn pages(root: &Path) -> Vec<PathBuf> {
    let sections = files(&root.join("usr/share/man"));
    sections.iter().flat_map(|section| files(section)).collect()
}

#[test]
fn every_page_is_shown_without_a_warning_and_has_a_date() {
    let Some(built) = packages("the manual pages") else { return };
    if !has_tools("the manual pages", &["man", "mandoc", "lexgrog"]) {
        return;
    }
    let unpacked = built.unpacked();
    let pages = pages(unpacked.path());
    assert!(pages.len() > 30, "{pages:?}");
    for page in &pages {
        let mut man = Command::new("man");
        man.args(["--warnings=w", "-E", "UTF-8", "-l"]).arg(page);
        let shown = Ran::of(man.env("MANWIDTH", "80").env("MANROFFSEQ", ""), b"");
        assert_eq!(shown.err, "", "{}", page.display());
        assert!(shown.ok().contains("2026-11-18"), "{}: {}", page.display(), shown.out);
        // What an index of manual pages reads of it.
        let named = Ran::of(Command::new("lexgrog").arg(page), b"");
        assert!(named.ok().contains(" - "), "{}", named.out);
    }
    // mandoc does not guess that a file is compressed.
    Ran::of(Command::new("gunzip").args(&pages), b"").ok();
    let pages = pages.iter().map(|page| page.with_extension(""));
    let mut lint = Command::new("mandoc");
    let lint = Ran::of(lint.args(["-T", "lint", "-W", "warning"]).args(pages), b"");
    assert_eq!(lint.code, 0, "{}{}", lint.out, lint.err);
}
