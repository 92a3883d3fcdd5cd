//! The shape of files: a first line, sizes, and what never lands.

use crate::source::{Source, Violation};

const LINES_MAX: usize = 400;
/// The composition root is where elegant projects lose it.
const NODE_LINES_MAX: usize = 250;
/// All limits stand in this one file by rule; it is a table, and nobody reads it from end to end.
const LIMITS: (&str, usize) = ("proto/src/limits.rs", 900);
/// Files that are tests throughout tell more and decide nothing.
const TEST_LINES_MAX: usize = 600;
const COLUMNS_MAX: usize = 100;
/// Written in two parts so that this file does not hold the words itself.
const UNFINISHED: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:")];

/// Lists what breaks the shape of a file.
pub(crate) fn check(source: &Source) -> Vec<Violation> {
    let mut violations = unfinished(source);
    if source.is_rust() {
        violations.extend(head(source));
        violations.extend(sizes(source));
        violations.extend(waits(source));
    }
    violations
}

fn unfinished(source: &Source) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (number, line) in (1..).zip(&source.lines) {
        for word in UNFINISHED.iter().filter(|word| line.contains(**word)) {
            violations.push(source.violation(number, format!("no {word} lands here")));
        }
    }
    violations
}

fn head(source: &Source) -> Option<Violation> {
    let good = source.lines.first().is_some_and(|line| line.starts_with("//! "));
    (!good).then(|| source.violation(1, "a file begins with one `//!` line that says what it is"))
}

fn sizes(source: &Source) -> Vec<Violation> {
    let max = if source.path.starts_with("daemon/core/src/node/") && !source.is_test() {
        NODE_LINES_MAX
    } else if source.is_test() {
        TEST_LINES_MAX
    } else if source.path == LIMITS.0 {
        LIMITS.1
    } else {
        LINES_MAX
    };
    let got = source.lines_without_tests();
    let long = (got > max).then(|| {
        let rule = format!("file has {got} lines without tests, allowed are {max}");
        source.violation(max + 1, rule)
    });
    let wide = (1..).zip(&source.lines).filter_map(|(number, line)| {
        let columns = line.chars().count();
        let rule = format!("line has {columns} characters, allowed are {COLUMNS_MAX}");
        (columns > COLUMNS_MAX).then(|| source.violation(number, rule))
    });
    long.into_iter().chain(wide).collect()
}

/// A test that waits for a time instead of an event is slow, or wrong on a slow machine.
fn waits(source: &Source) -> Vec<Violation> {
    // Rest is measured by resting.
    if source.path.starts_with("tests/bench/") {
        return Vec::new();
    }
    let from = if source.is_test() { 0 } else { source.lines_without_tests() };
    (1..)
        .zip(&source.code)
        .skip(from)
        .filter(|(_, line)| line.contains("sleep("))
        .map(|(number, _)| source.violation(number, "a test waits for events, it does not sleep"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<String> {
        let source = Source::new(path, text);
        check(&source).iter().map(Violation::to_string).collect()
    }

    #[test]
    fn a_file_without_a_first_line_is_caught() {
        assert!(rules("ctl/src/a.rs", "use a;\n")[0].starts_with("ctl/src/a.rs:1: a file begins"));
        assert!(rules("ctl/src/a.rs", "//! A file.\n").is_empty());
    }

    #[test]
    fn long_files_are_caught_and_node_is_held_shorter() {
        let text = format!("//! x\n{}", "//\n".repeat(300));
        assert!(rules("daemon/core/src/dht/a.rs", &text).is_empty());
        assert!(rules("daemon/core/src/node/a.rs", &text)[0].contains("allowed are 250"));
        let longer = text.repeat(3);
        assert!(rules("tests/sim/a.rs", &longer)[0].contains("allowed are 600"));
        let tests = format!("//! x\n#[cfg(test)]\nmod tests {{\n{}}}", "//\n".repeat(500));
        assert!(rules("ctl/src/a.rs", &tests).is_empty());
    }

    #[test]
    fn wide_lines_and_unfinished_work_are_caught() {
        let wide = format!("//! {}", "x".repeat(97));
        assert!(rules("ctl/src/a.rs", &wide)[0].contains("101 characters"));
        let unfinished = format!("//! x\n// {}: more", UNFINISHED[0]);
        assert!(rules("ctl/src/a.rs", &unfinished)[0].starts_with("ctl/src/a.rs:2:"));
    }

    #[test]
    fn a_sleeping_test_is_caught() {
        let text = "//! x\nfn f() { thread::sleep(d) }";
        assert_eq!(rules("tests/scenario/a.rs", text).len(), 1);
        assert!(rules("daemon/src/a.rs", text).is_empty());
    }
}
