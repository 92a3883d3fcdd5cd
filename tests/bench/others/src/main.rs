//! Other people's distributed hash tables beside ours: the same work, the same machine, one run.
//!
//! `cargo run --release --manifest-path tests/bench/others/Cargo.toml` builds the daemons, starts
//! fifty nodes of each kind in turn, each a process of its own, and writes a table into
//! `BENCHMARKS.md`; another number as the argument, and names of kinds after it, write nothing.

mod bytchat;
mod kinds;
mod libp2p;
mod mainline;
mod measure;
mod process;
#[path = "../../samples.rs"]
mod samples;
mod table;

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use kinds::Kind;

/// Nodes of each kind.
const NODES: usize = 50;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["node", "libp2p", port, first @ ..] => libp2p::run(number(port), first.first().copied()),
        ["node", "mainline", port, first @ ..] => {
            mainline::run(number(port), first.first().copied());
        }
        ["isolated", commit] => {
            let results: Vec<_> = Kind::ALL.iter().map(|kind| measure::kind(*kind, NODES)).collect();
            let text = table::section(commit, NODES, &results);
            eprintln!("\n{text}");
            table::write(&root().join("BENCHMARKS.md"), &text);
        }
        ["isolated", _, nodes, names @ ..] => {
            let wanted = |kind: &&Kind| names.is_empty() || names.contains(&kind.name());
            let kinds = Kind::ALL.iter().filter(wanted);
            let nodes = number::<usize>(nodes);
            let results: Vec<_> = kinds.map(|kind| measure::kind(*kind, nodes)).collect();
            eprintln!("\n{}", table::rows(&results));
        }
        more => isolate(more),
    }
}

fn number<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a number is expected")
}

/// Builds the daemons and goes on in a network of our own, whose loopback counts nobody else.
fn isolate(args: &[&str]) -> ! {
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "-p", "bytchatd"]).current_dir(root());
    assert!(cargo.status().expect("cargo runs").success(), "the daemons do not build");
    let own = std::env::current_exe().expect("a program knows its path");
    let commit = table::ask("git", &["-C", &root().display().to_string(), "rev-parse", "--short", "HEAD"]);
    let script = "ip link set lo up && exec \"$0\" isolated \"$@\"";
    let mut unshare = Command::new("unshare");
    unshare.args(["--map-root-user", "--net", "sh", "-c", script]).arg(own).arg(commit).args(args);
    panic!("unshare: {}", unshare.exec());
}

/// The root of the repository.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(3).expect("the package stands in the repository").to_owned()
}
