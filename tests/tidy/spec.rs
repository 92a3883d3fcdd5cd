//! The specification and the code: a cited paragraph exists, and a MUST is cited.

use std::collections::BTreeMap;

use crate::source::{Source, Violation};

/// Paragraphs with a MUST that no code cites yet; the test prints them. Cited ones must leave.
pub(crate) const NOT_YET_CITED: &[&str] = &[];

struct Paragraph {
    line: usize,
    text: String,
}

/// Lists citations of nothing, MUSTs that nobody cites, and entries of `pending` that are done.
pub(crate) fn check(text: &str, sources: &[Source], pending: &[&str]) -> Vec<Violation> {
    let paragraphs = paragraphs(text);
    let mut cited = BTreeMap::new();
    let mut violations = Vec::new();
    for source in sources.iter().filter(|source| source.is_rust()) {
        for (number, line) in (1..).zip(&source.lines) {
            for id in citations(line) {
                if !paragraphs.contains_key(&id) {
                    violations.push(source.violation(number, format!("there is no SPEC {id}")));
                }
                cited.insert(id, ());
            }
        }
    }
    for (id, paragraph) in &paragraphs {
        let must = paragraph.text.contains("MUST");
        let waits = pending.contains(&id.as_str());
        let is_cited = cited.contains_key(id);
        if must && !is_cited && !waits {
            let rule = format!("{id} has a MUST that no code cites");
            violations.push(Violation::at("proto/SPEC.md", paragraph.line, rule));
        }
        if waits && is_cited {
            let rule = format!("{id} is cited: take it off the list in tests/tidy/spec.rs");
            violations.push(Violation::at("proto/SPEC.md", paragraph.line, rule));
        }
    }
    violations
}

/// Paragraphs begin with their number in bold: `**4.2** …`.
fn paragraphs(text: &str) -> BTreeMap<String, Paragraph> {
    let mut paragraphs: BTreeMap<String, Paragraph> = BTreeMap::new();
    let mut current: Option<String> = None;
    for (line, content) in (1..).zip(text.lines()) {
        if content.starts_with('#') {
            current = None;
        } else if let Some(id) = content.strip_prefix("**").and_then(number) {
            let text = String::new();
            paragraphs.insert(id.clone(), Paragraph { line, text });
            current = Some(id);
        }
        if let Some(paragraph) = current.as_ref().and_then(|id| paragraphs.get_mut(id)) {
            paragraph.text.push_str(content);
        }
    }
    paragraphs
}

/// The numbers after the word, also several: `4.2`, `4.2, 4.3`, `4.2 and 4.3`.
fn citations(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, word) in line.match_indices("SPEC ") {
        let mut rest = &line[at + word.len()..];
        while let Some(id) = number(rest) {
            rest = &rest[id.len()..];
            found.push(id);
            let more = rest.strip_prefix(", ").or_else(|| rest.strip_prefix(" and "));
            rest = more.unwrap_or("");
        }
    }
    found
}

/// A number like `4.2` at the beginning of a text.
fn number(text: &str) -> Option<String> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let id = text[..end].trim_end_matches('.');
    let (chapter, paragraph) = id.split_once('.')?;
    let whole = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
    (whole(chapter) && whole(paragraph)).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# 4\n\n**4.1** A holder MUST answer.\n\n**4.2** A reader looks\nagain.\n";

    fn violations(code: &str, pending: &[&str]) -> Vec<String> {
        let code = code.replace("§", "SPEC");
        let sources = [Source::new("proto/src/a.rs", &code)];
        let found = check(TEXT, &sources, pending);
        found.iter().map(Violation::to_string).collect()
    }

    #[test]
    fn a_citation_of_nothing_is_caught() {
        assert_eq!(
            violations("// § 4.1: so.\n// § 4.2, 4.9.", &[]),
            [format!("proto/src/a.rs:2: there is no {} 4.9", "SPEC")]
        );
    }

    #[test]
    fn a_must_that_nobody_cites_is_caught() {
        assert_eq!(
            violations("// § 4.2", &[]),
            ["proto/SPEC.md:3: 4.1 has a MUST that no code cites"]
        );
        assert!(violations("// § 4.2", &["4.1"]).is_empty());
    }

    #[test]
    fn the_list_of_the_uncited_does_not_outlive_its_reason() {
        assert!(violations("// § 4.1 and 4.2", &["4.1"])[0].contains("is cited"));
    }
}
