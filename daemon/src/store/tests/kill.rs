//! SIGKILL at random points: the test executable runs itself as the writer.

use std::env;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use super::{Chance, Script, dump, small};
use crate::store::Store;

const WRITERS: u64 = 4;
const DIR: &str = "BYTCHAT_STORE_WRITER";

/// Not a test of its own: it writes until it is killed, when it is told where.
#[test]
fn writer_process() {
    let Ok(dir) = env::var(DIR) else { return };
    let store = Store::open(Path::new(&dir), small()).unwrap();
    say("open 0 0");
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let store = store.clone();
            scope.spawn(move || {
                let script = Script { writer };
                for n in script.done(&store) + 1.. {
                    say(&format!("begun {writer} {n}"));
                    store.commit(script.commit(n)).unwrap();
                    say(&format!("acknowledged {writer} {n}"));
                }
            });
        }
    });
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

/// Lets a writer work until it has said so many lines, kills it, and returns how far each came.
fn run_and_kill(dir: &Path, lines: usize) -> Vec<(u64, u64)> {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "store::tests::kill::writer_process", "--nocapture"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said: Vec<String> = Vec::new();
    if lines > 0 {
        let open = out.by_ref().map(Result::unwrap).find(|line| line.ends_with("open 0 0"));
        assert!(open.is_some(), "the writer did not open the store");
        said.extend(out.by_ref().take(lines - 1).map(Result::unwrap));
        assert_eq!(said.len(), lines - 1, "the writer stopped by itself after {said:?}");
    }
    child.kill().unwrap();
    said.extend(out.map(Result::unwrap));
    child.wait().unwrap();
    let mut reached = vec![(0, 0); usize::try_from(WRITERS).unwrap()];
    for line in said {
        let words: Vec<&str> = line.split(' ').collect();
        let [what @ ("begun" | "acknowledged"), writer, n] = words[..] else {
            continue;
        };
        let (begun, acknowledged) = &mut reached[writer.parse::<usize>().unwrap()];
        *(if what == "begun" { begun } else { acknowledged }) = n.parse().unwrap();
    }
    reached
}

#[test]
fn no_kill_loses_or_halves_a_commit() {
    let rounds = if env::var("BYTCHAT_LONG").is_ok() { 200 } else { 20 };
    let chance = &mut Chance(rounds);
    let dir = tempfile::tempdir().unwrap();
    let mut done = vec![0; usize::try_from(WRITERS).unwrap()];
    let mut total = 0;
    for round in 0..rounds {
        // Some are killed while they open the store.
        let lines = if chance.below(5) == 0 { 0 } else { 1 + chance.below(400) };
        let reached = run_and_kill(dir.path(), lines);
        let context = format!("round {round}, killed after {lines} lines");
        let store = Store::open(dir.path(), small()).unwrap();
        for (writer, (begun, acknowledged)) in (0..).zip(reached) {
            let before: &mut u64 = &mut done[usize::try_from(writer).unwrap()];
            let script = Script { writer };
            script.check(&store, acknowledged.max(*before), begun.max(*before), &context);
            let now = script.done(&store);
            total += now - *before;
            *before = now;
        }
        let problems = store.verify().unwrap().problems;
        assert!(problems.is_empty(), "{context}: {problems:?}");
        if round % 5 == 4 {
            let rows = dump(&store);
            drop(store);
            super::forget_index(dir.path());
            let store = Store::open(dir.path(), small()).unwrap();
            assert!(dump(&store) == rows, "{context}: a rebuilt index differs");
        }
    }
    assert!(total > rounds * 20, "only {total} commits in {rounds} rounds");
}
