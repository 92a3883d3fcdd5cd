//! Style as a test: floors, waterlines, sizes, words, cited paragraphs, folders. A violation is
//! printed as `file:line: rule`. Each rule has a test that it catches a planted offence.

mod floors;
mod lexer;
mod locks;
mod shape;
mod source;
mod spec;
mod tree;
mod waterlines;
mod words;

use source::{Source, Violation};

fn assert_none(violations: Vec<Violation>) {
    let lines: Vec<_> = violations.iter().map(Violation::to_string).collect();
    assert!(lines.is_empty(), "\n{}\n", lines.join("\n"));
}

fn in_all_sources(check: impl Fn(&Source) -> Vec<Violation>) {
    let sources = Source::all();
    assert!(sources.len() > 30, "the tree was not found");
    assert_none(sources.iter().flat_map(check).collect());
}

#[test]
fn modules_use_only_what_is_below_them() {
    in_all_sources(floors::check);
}

#[test]
fn nothing_crosses_a_waterline() {
    in_all_sources(waterlines::check);
}

#[test]
fn files_have_their_shape() {
    in_all_sources(shape::check);
}

#[test]
fn one_concept_has_one_word() {
    in_all_sources(words::check);
}

#[test]
fn code_and_specification_agree() {
    let sources = Source::all();
    let text = source::read("proto/SPEC.md");
    for paragraph in spec::NOT_YET_CITED {
        println!("SPEC {paragraph} is not cited yet");
    }
    assert_none(spec::check(&text, &sources, spec::NOT_YET_CITED));
}

#[test]
fn the_root_holds_only_what_belongs_there() {
    assert_none(tree::check(&tree::entries()));
}

#[test]
fn the_fuzz_targets_are_built_with_what_all_is_built_with() {
    let manifests = locks::MANIFESTS.map(|(package, path)| (package, source::read(path)));
    let (root, fuzz) = (source::read(locks::ROOT), source::read(locks::FUZZ));
    assert_none(locks::check(&root, &fuzz, &manifests));
}
