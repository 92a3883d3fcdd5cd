//! Faults in the code itself: each is found within a few seeds, and without it nothing is.

use std::process::Command;

use bytchat_core::planted::{Plant, plant};
use bytchat_tests::daemon::programs;

use crate::probes::{self, Broken};

/// A fault that was not found with so many seeds is not found.
const SEEDS: u64 = 200;

/// Runs a probe until it finds a fault; with the same seed it finds nothing without the fault.
#[allow(clippy::print_stdout, reason = "a run says with which seed it has found what")]
fn is_found(fault: Plant, probe: impl Fn(u64) -> Broken) {
    plant(Some(fault));
    let found = (1..=SEEDS).map(|seed| (seed, probe(seed))).find(|(_, broken)| !broken.is_empty());
    plant(None);
    let (seed, broken) = found.unwrap_or_else(|| panic!("{fault:?} is not found"));
    println!("{fault:?} is found with seed {seed}: {broken:?}");
    let without = probe(seed);
    assert!(without.is_empty(), "SEED={seed}, without {fault:?}: {without:#?}");
}

#[test]
fn an_answer_before_the_commit_is_found() {
    is_found(Plant::AnswerBeforeCommit, probes::power_cut);
}

#[test]
fn a_lost_wake_up_is_found() {
    is_found(Plant::LostWakeUp, probes::apart);
}

#[test]
fn missing_repair_is_found() {
    is_found(Plant::NoRepair, probes::holders_lost);
}

#[test]
fn a_clock_that_is_believed_is_found() {
    is_found(Plant::TrustedClock, probes::clocks_ahead);
}

#[test]
fn a_lookup_that_is_not_tried_again_is_found() {
    is_found(Plant::LookupNotRetried, probes::cut_off);
}

#[test]
fn a_hidden_gap_is_found() {
    is_found(Plant::HiddenGap, probes::burst);
}

#[test]
fn a_signature_that_is_not_checked_is_found() {
    is_found(Plant::UncheckedSignature, probes::hostile);
}

#[test]
fn a_record_that_is_replaced_by_an_older_one_is_found() {
    is_found(Plant::StaleAccepted, probes::hostile);
}

#[test]
fn a_forgotten_tombstone_is_found() {
    is_found(Plant::ForgottenTombstone, probes::hostile);
}

#[test]
fn mail_that_is_kept_for_ever_is_found() {
    is_found(Plant::TtlOverflow, probes::hostile);
}

#[test]
fn mail_that_is_kept_twice_is_found() {
    is_found(Plant::NoDeduplication, probes::hostile);
}

#[test]
fn notices_without_a_bound_are_found() {
    is_found(Plant::UnboundedQueue, probes::hostile);
}

/// Whether a file has the names of the faults in it.
fn has_faults(program: &std::path::Path) -> bool {
    let bytes = std::fs::read(program).unwrap();
    let names = ["AnswerBeforeCommit", "ForgottenTombstone", "LookupNotRetried"];
    names.iter().any(|name| memchr::memmem::find(&bytes, name.as_bytes()).is_some())
}

#[test]
fn the_programs_that_are_shipped_have_no_such_fault() {
    assert!(has_faults(&std::env::current_exe().unwrap()), "the search finds nothing at all");
    let programs = programs();
    assert!(!has_faults(&programs.bytchatd) && !has_faults(&programs.bytctl));
    let tree = ["tree", "--edges", "normal,features", "--package", "bytchatd"];
    let tree = Command::new(env!("CARGO")).args(tree).output().unwrap();
    let tree = String::from_utf8(tree.stdout).unwrap();
    assert!(tree.contains("bytchat-core"), "{tree}");
    assert!(!tree.contains("planted"), "{tree}");
}
