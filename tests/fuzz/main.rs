//! All that reads bytes, fed with what was kept and with mutations of it; the same in every run.
//! `SEED=7` chooses other mutations, `BYTCHAT_LONG=1` many more, `FUZZ=<file>` one input alone.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "a failing test tells how to run it again")]

use std::fs;
use std::path::{Path, PathBuf};

use bytchat_tests::fuzz::{Mutator, TARGETS, Target, make_mail, target};

/// How many times as many mutations a long run has.
const LONG: usize = 50;

fn corpus(target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target.name)
}

/// The inputs that are kept, in the order of their names.
fn kept(target: &Target) -> Vec<Vec<u8>> {
    let folder = corpus(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// An input that is being fed: it is written down if the body panics.
struct Feeding<'a>(&'a Target, &'a [u8]);

impl Drop for Feeding<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self(target, bytes) = self;
            let path = std::env::temp_dir().join(format!("fuzz-{}", target.name));
            let written = fs::write(&path, bytes);
            eprintln!(
                "`FUZZ={} cargo test --test fuzz {}` {written:?}",
                path.display(),
                target.name
            );
        }
    }
}

fn feed(target: &Target, bytes: &[u8]) {
    let _feeding = Feeding(target, bytes);
    (target.feed)(bytes);
}

fn number(variable: &str) -> Option<u64> {
    Some(std::env::var(variable).ok()?.parse().expect("a number"))
}

/// Feeds a target all that there is for it.
fn run(name: &str) {
    let target = target(name);
    if let Some(path) = std::env::var_os("FUZZ") {
        return feed(target, &fs::read(path).unwrap());
    }
    let mut inputs = (target.seeds)();
    assert!(!inputs.is_empty(), "{name} has no seeds");
    inputs.extend(kept(target));
    inputs.iter().for_each(|input| feed(target, input));
    let mut mutator = Mutator::new(number("SEED").unwrap_or(1));
    let times = if std::env::var_os("BYTCHAT_LONG").is_some() { LONG } else { 1 };
    for _ in 0..target.rounds * times {
        feed(target, &mutator.next(&inputs));
    }
}

macro_rules! bodies {
    ($($test:ident: $name:literal),* $(,)?) => {
        $(#[test]
        fn $test() {
            run($name);
        })*

        #[test]
        fn every_target_is_fed() {
            let fed = [$($name),*];
            assert!(TARGETS.iter().map(|target| target.name).eq(fed));
        }
    };
}

bodies! {
    no_frame_stops_a_node: "frames",
    no_value_stops_a_decoder: "values",
    no_text_stops_a_parser: "texts",
    no_call_stops_its_reader: "calls",
    no_file_stops_the_configuration: "config",
    no_front_end_stops_the_socket: "door",
    no_secret_from_the_disk_stops_its_reader: "pickles",
    no_log_stops_the_store: "segment",
    no_row_stops_a_node: "rows",
    nothing_that_happens_stops_a_node: "node",
}

/// Its keys are drawn from the system, so that it is written once: `BYTCHAT_BLESS=1` does it anew.
#[test]
fn mail_can_be_written_down() {
    let mail = make_mail();
    assert_eq!(mail.lines().count(), 5);
    if std::env::var_os("BYTCHAT_BLESS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/harness/fuzz/mail.txt");
        fs::write(path, mail).unwrap();
    }
}
