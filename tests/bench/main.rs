//! `bench`: real daemons on loopback, measured; the numbers go into `BENCHMARKS.md`.
//!
//! `cargo run --release -p bytchat-tests --bin bench` builds the daemons, measures them for about
//! ten minutes and writes the tables; `… --bin bench -- build` measures a cold release build
//! instead. `… -- socket` and `… -- million` leave all else out. `… -- quick` leaves rest, socket
//! and million out and writes nothing, nor does `… -- million MESSAGES`, with fewer of them.
//! `… -- network` measures simulated networks; `… -- network 300 week` takes one size and the week
//! of mail, and writes nothing.

#![allow(clippy::panic, reason = "what cannot be measured ends the program and says why")]
#![allow(clippy::print_stderr, reason = "it tells how far it is")]
#![allow(clippy::disallowed_methods, reason = "what is measured is real time")]

mod client;
mod fill;
mod hostile;
mod machine;
mod measure;
mod million;
mod network;
mod people;
mod report;
mod samples;
mod socket;
mod week;
mod world;

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use bytchat_proto::limits::HOLDERS;
use people::Pair;
use report::Row;
use samples::show;
use world::World;

/// Nodes while messages are measured: as in `bytctl demo`.
const NODES: usize = 12;
/// Nodes while rest is measured.
const NODES_AT_REST: usize = 51;
/// Peers that each of them knows by then, at least; a bucket holds twenty, so none knows all.
const PEERS_AT_REST: usize = 20;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["build"] => measure_build(),
        ["isolated", commit] => measure_all(true, commit),
        ["quick"] => drop(measure_mail(&tempdir())),
        ["socket"] => built("socket", measure_socket),
        ["million"] => built("million", || measure_million(million::MESSAGES)),
        ["million", messages] => {
            drop(measure_million(messages.parse().expect("MESSAGES is a number")));
        }
        ["network", sizes @ ..] => measure_network(sizes),
        [] => {
            let commit = commit();
            build(None);
            isolate(&commit);
            measure_all(false, &commit);
        }
        _ => {
            panic!(
                "usage: bench [build | quick | socket | million [COUNT] | \
                 network [NODES… week drops liars places]]"
            )
        }
    }
}

/// Goes on in a network of our own, so that its loopback counts nobody else; returns only where
/// the system does not allow it.
fn isolate(commit: &str) {
    let own = std::env::current_exe().expect("a program knows its path");
    let script = "ip link set lo up && exec \"$0\" isolated \"$1\"";
    let unshare = ["--map-root-user", "--net", "sh", "-c"];
    let test = Command::new("unshare").args(unshare).arg("ip link set lo up").status();
    if test.is_ok_and(|status| status.success()) {
        let error = Command::new("unshare").args(unshare).arg(script).arg(own).arg(commit).exec();
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

/// Builds, measures one thing, and writes its table.
fn built(name: &str, measure: impl FnOnce() -> Vec<Row>) {
    let commit = commit();
    build(None);
    let head = head(&std::env::temp_dir(), &commit);
    write(name, &head, &measure());
}

fn measure_build() {
    let commit = commit();
    let target = tempfile::tempdir().expect("a directory can be made");
    let began = Instant::now();
    build(Some(target.path()));
    let rows = [report::build(began.elapsed(), machine::children_cpu())];
    write("build", &head(target.path(), &commit), &rows);
}

/// The commit that is built and measured; what the tables themselves say is no part of it.
fn commit() -> String {
    let root = root().display().to_string();
    let commit = machine::ask("git", &["-C", &root, "rev-parse", "--short", "HEAD"]);
    let changed = ["-C", &root, "status", "--porcelain", "--", ".", ":!BENCHMARKS.md"];
    match machine::ask("git", &changed).as_str() {
        "unknown" => commit,
        _ => format!("{commit} with changes"),
    }
}

fn tempdir() -> tempfile::TempDir {
    let dir = tempfile::Builder::new().prefix("bytchat-bench-").tempdir();
    dir.expect("a directory can be made")
}

fn beside(name: &str) -> PathBuf {
    std::env::current_exe().expect("a program knows its path").with_file_name(name)
}

fn measure_all(isolated: bool, built: &str) {
    let dir = tempdir();
    let head = head(dir.path(), built);
    let (mut world, pair, mut rows) = measure_mail(&dir);
    eprintln!("39 more daemons start, then nothing happens for two minutes");
    world.grow(NODES_AT_REST, PEERS_AT_REST);
    rows.extend(report::idle(&measure::idle(&world, pair), isolated));
    drop(world);
    write("run", &head, &rows);
    write("socket", &head, &measure_socket());
    write("million", &head, &measure_million(million::MESSAGES));
}

fn measure_socket() -> Vec<Row> {
    eprintln!("front ends call, and follow events");
    let dir = tempdir();
    let rows = report::socket(&socket::socket(&beside("bytchatd"), &beside("bytctl"), dir.path()));
    eprintln!("{}", report::table(&rows));
    rows
}

fn measure_million(messages: u64) -> Vec<Row> {
    eprintln!("{messages} messages are written into a store; this takes minutes");
    let dir = tempdir();
    let rows =
        report::million(&million::million(&beside("bytchatd"), dir.path(), messages), messages);
    eprintln!("{}", report::table(&rows));
    rows
}

/// Simulated networks, and mail that waits for a week; of the machine only its memory counts.
/// What is named is measured and written nowhere.
fn measure_network(named: &[&str]) {
    let head = format!("Seed {}. {}", network::SEED, head(&std::env::temp_dir(), &commit()));
    let all = network::SIZES.map(|size| size.to_string());
    let all = all.iter().map(String::as_str).chain(["week", "drops", "liars", "places"]);
    let wanted: Vec<&str> = if named.is_empty() { all.collect() } else { named.to_vec() };
    let mut rows = Vec::new();
    for what in wanted {
        rows.extend(match what {
            "week" => week::of_loss(),
            "drops" => week::of_drops(),
            "liars" => hostile::liars(),
            "places" => hostile::places(),
            size => network::of_size(size.parse().expect("a size is a number")),
        });
    }
    if named.is_empty() {
        write("network", &head, &rows);
    }
}

fn measure_mail(dir: &tempfile::TempDir) -> (World, Pair, Vec<Row>) {
    let mut world = World::start(&beside("bytchatd"), dir.path());
    world.grow(NODES, HOLDERS);
    let pair = people::introduce(&world);
    measure::first(&world, pair);
    eprintln!("two people are online");
    let online = measure::online(&world, pair, dir.path());
    let mut rows = report::online(&online, &machine::round_trips());
    let (sends, bare) = measure::program(&world, pair, &beside("bytctl"));
    rows.insert(3, bytctl(&sends, show(bare.p50())));
    eprintln!("one of them is away");
    rows.extend(away(&mut world, pair));
    eprintln!("one of them writes without waiting");
    rows.extend(bursts(&world, pair));
    eprintln!("{}", report::table(&rows));
    (world, pair, rows)
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

fn away(world: &mut World, pair: Pair) -> Vec<Row> {
    let (quorum, all) = measure::stored(world, pair);
    let (up, mail) = measure::returns(world, pair);
    let after = show(mail.p50().saturating_sub(up.p50()));
    vec![
        report::times("away: `queued` until `stored` (3 of 5 holders)", &quorum, "", STORED_LIMIT),
        report::times("away: `queued` until 5 of 5 holders have signed", &all, "", ALL_LIMIT),
        report::times("daemon start until it answers", &up, "", "opening the store, reading it"),
        report::times(
            "daemon start until mail that waited is in the log of events",
            &mail,
            "",
            format!("{after} after it answers: finding the holders, links, proofs, one commit"),
        ),
    ]
}

const ALL_LIMIT: &str = "the slowest of five commits on one disk, and its own trace after it";
const STORED_LIMIT: &str = "each holder's commit, all on this one disk; the sender's own after it";

fn bursts(world: &World, pair: Pair) -> [Row; 2] {
    let (queued, arrived, missing) = measure::bursts(world, pair);
    let what = "pipelined, one pair, 64 calls in flight";
    let limit = "the cores, shared by all twelve daemons; one node seals one after the other";
    let told = format!("{limit}; {missing} of 2000 were not told within 5 s of the last one");
    [
        report::number(
            &format!("{what}: `queued`"),
            format!("{queued:.0}/s"),
            "5 × 400",
            "",
            limit,
        ),
        report::number(&format!("{what}: told"), format!("{arrived:.0}/s"), "5 × 400", "", told),
    ]
}

fn head(dir: &Path, commit: &str) -> String {
    let date = machine::ask("date", &["-u", "+%F %H:%M UTC"]);
    format!("{date}, commit {commit}; {}.\n\n", machine::describe(dir))
}

fn write(name: &str, head: &str, rows: &[Row]) {
    let text = format!("{head}{}", report::table(rows));
    eprintln!("\n{text}");
    report::write(&root().join("BENCHMARKS.md"), name, &text);
}
