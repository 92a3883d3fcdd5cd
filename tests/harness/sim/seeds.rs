//! Which seeds a simulation runs with.

use super::world::World;

/// Seeds that `BYTCHAT_LONG=1` adds.
const LONG: u64 = 40;

/// Runs a simulation with a few seeds, with many if `BYTCHAT_LONG` is set, or with the one that
/// `SEED` names.
#[allow(clippy::print_stdout, reason = "a run says how much it has looked at")]
pub fn each_seed(name: &str, usual: u64, run: impl Fn(u64)) {
    let named = std::env::var("SEED").ok().map(|seed| seed.parse().expect("SEED is a number"));
    let seeds: Vec<u64> = match named {
        Some(seed) => vec![seed],
        None if std::env::var_os("BYTCHAT_LONG").is_some() => (1..=usual + LONG).collect(),
        None => (1..=usual).collect(),
    };
    for seed in &seeds {
        run(*seed);
    }
    println!("{name}: {} seeds", seeds.len());
}

impl Drop for World {
    #[allow(clippy::print_stderr, reason = "a failing run says how to see it again")]
    fn drop(&mut self) {
        let errors = self.take_errors();
        if std::thread::panicking() {
            eprintln!("at {} ms; see it again with SEED={}{}", self.now_ms(), self.seed, commit());
            errors.iter().for_each(|error| eprintln!("logged as error: {error}"));
        } else {
            assert!(errors.is_empty(), "SEED={}{}: {errors:#?}", self.seed, commit());
        }
    }
}

/// The commit that runs, if git can say.
pub(super) fn commit() -> String {
    let asked = std::process::Command::new("git").args(["rev-parse", "--short", "HEAD"]).output();
    let told = asked.ok().filter(|told| told.status.success());
    let commit = told.and_then(|told| String::from_utf8(told.stdout).ok());
    commit.map(|commit| format!(" on commit {}", commit.trim())).unwrap_or_default()
}
