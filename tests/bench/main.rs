//! `bench`: real daemons on loopback, measured; the numbers go into `BENCHMARKS.md`.
//!
//! `cargo run --release -p bytchat-tests --bin bench` takes four to five minutes;
//! `… --bin bench -- build` measures a cold release build instead.

#![allow(clippy::panic, reason = "what cannot be measured ends the program and says why")]
#![allow(clippy::print_stderr, reason = "it tells how far it is")]
#![allow(clippy::disallowed_methods, reason = "what is measured is real time")]

mod client;
mod machine;
mod measure;
mod report;
mod samples;
mod world;

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use report::Row;
use samples::show;
use world::World;

/// Nodes while messages are measured: as in `bytctl demo`.
const NODES: usize = 12;
/// Nodes while rest is measured: each knows about fifty others.
const NODES_AT_REST: usize = 51;
/// Peers that each of them knows by then, at least.
const PEERS_AT_REST: usize = 40;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["build"] => measure_build(),
        ["isolated"] => measure_all(true),
        [] => {
            build(None);
            isolate();
            measure_all(false);
        }
        _ => panic!("usage: bench [build]"),
    }
}

/// Goes on in a network of our own, so that its loopback counts nobody else; returns only where
/// the system does not allow it.
fn isolate() {
    let own = std::env::current_exe().expect("a program knows its path");
    let script = "ip link set lo up && exec \"$0\" isolated";
    let unshare = ["--map-root-user", "--net", "sh", "-c"];
    let test = Command::new("unshare").args(unshare).arg("ip link set lo up").status();
    if test.is_ok_and(|status| status.success()) {
        let error = Command::new("unshare").args(unshare).arg(script).arg(own).exec();
        panic!("unshare: {error}");
    }
    eprintln!("no network of our own is to be had: other programs' traffic is counted too");
}

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("the package stands in the workspace").to_owned()
}

/// Builds what is measured, into another directory if one is named.
fn build(target: Option<&Path>) {
    let mut command = Command::new(env!("CARGO"));
    command.args(["build", "--release", "-p", "bytchatd", "-p", "bytctl"]).current_dir(root());
    if let Some(target) = target {
        command.env("CARGO_TARGET_DIR", target);
    }
    let status = command.status().expect("cargo runs");
    assert!(status.success(), "the build ended with {status}");
}

fn measure_build() {
    let target = tempfile::tempdir().expect("a directory can be made");
    let began = Instant::now();
    build(Some(target.path()));
    let rows = [report::build(began.elapsed(), machine::children_cpu())];
    write("build", &head(target.path()), &rows);
}

fn measure_all(isolated: bool) {
    let began = Instant::now();
    let own = std::env::current_exe().expect("a program knows its path");
    let dir = tempfile::Builder::new().prefix("bytchat-bench-").tempdir();
    let dir = dir.expect("a directory can be made");
    let tell = |step: &str| eprintln!("[{:6.1} s] {step}", began.elapsed().as_secs_f64());
    tell("twelve daemons start");
    let mut world = World::start(&own.with_file_name("bytchatd"), dir.path());
    world.grow(NODES, 0);
    measure::introduce(&world);
    tell("two people are online");
    let mut rows = report::online(&measure::online(&world, dir.path()), &machine::round_trips());
    tell("bytctl sends");
    let (sends, bare) = measure::program(&world, &own.with_file_name("bytctl"));
    rows.insert(3, bytctl(&sends, show(bare.p50())));
    tell("one of them is away");
    rows.extend(away(&mut world));
    tell("one of them writes without waiting");
    rows.extend(bursts(&world));
    tell("39 more daemons start");
    world.grow(NODES_AT_REST, PEERS_AT_REST);
    tell("nothing happens for two minutes");
    rows.extend(report::idle(&measure::idle(&world), isolated));
    write("run", &head(dir.path()), &rows);
    tell("BENCHMARKS.md is written");
}

fn bytctl(sends: &samples::Samples, bare: String) -> Row {
    let limit = format!("`message.send` and the start of a process ({bare} for `--version`)");
    report::times(
        "`bytctl send`, process start to exit",
        sends,
        "≤ 5 ms beyond one fdatasync",
        limit,
    )
}

fn away(world: &mut World) -> Vec<Row> {
    let (quorum, all) = measure::stored(world);
    let (up, mail) = measure::returns(world);
    let after = show(mail.p50().saturating_sub(up.p50()));
    vec![
        report::times("away: `queued` until `stored` (3 of 5 holders)", &quorum, "", STORED_LIMIT),
        report::times("away: `queued` until 5 of 5 holders have signed", &all, "", STORED_LIMIT),
        report::times("daemon start until it answers", &up, "", "opening the store, reading it"),
        report::times(
            "daemon start until mail that waited is in the log of events",
            &mail,
            "",
            format!("{after} after it answers: finding the holders, links, proofs, one commit"),
        ),
    ]
}

const STORED_LIMIT: &str = "each holder's commit, all on this one disk; the sender's own after it";

fn bursts(world: &World) -> [Row; 2] {
    let (queued, arrived) = measure::bursts(world);
    let what = "pipelined, one pair, 64 calls in flight";
    let limit = "two cores for all twelve daemons; sealing one after the other";
    [
        report::number(
            &format!("{what}: `queued`"),
            format!("{queued:.0}/s"),
            "5 × 400",
            "",
            limit,
        ),
        report::number(&format!("{what}: told"), format!("{arrived:.0}/s"), "5 × 400", "", limit),
    ]
}

fn head(dir: &Path) -> String {
    let root = root().display().to_string();
    let commit = machine::ask("git", &["-C", &root, "describe", "--always", "--dirty"]);
    let date = machine::ask("date", &["-u", "+%F %H:%M UTC"]);
    format!("{date}, commit {commit}; {}.\n\n", machine::describe(dir))
}

fn write(name: &str, head: &str, rows: &[Row]) {
    let text = format!("{head}{}", report::table(rows));
    eprintln!("\n{text}");
    report::write(&root().join("BENCHMARKS.md"), name, &text);
}
