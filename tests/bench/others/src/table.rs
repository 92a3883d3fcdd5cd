//! What is said of it, and where.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::measure::{Done, Measured};
use crate::samples::show;

const BEGIN: &str = "<!-- begin others -->\n";
const END: &str = "<!-- end others -->\n";

/// The table with the line above it.
pub(crate) fn section(commit: &str, nodes: usize, all: &[Measured]) -> String {
    let date = ask("date", &["-u", "+%F %H:%M UTC"]);
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.and_then(|line| line.split_once(": ")).map_or("unknown", |(_, name)| name);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or_default();
    format!(
        "{date}, commit {commit}; {nodes} nodes of each kind; {cores} cores of {model}, Linux {}, \
         load average {load} at the end.\n\n{}",
        kernel.trim(),
        rows(all)
    )
}

/// The table alone.
pub(crate) fn rows(all: &[Measured]) -> String {
    let mut text = String::from("| What |");
    for one in all {
        text.push_str(&format!(" {} |", one.kind.name()));
    }
    text.push_str("\n|---|");
    text.push_str(&"---:|".repeat(all.len()));
    text.push('\n');
    let mut row = |what: &str, cell: &dyn Fn(&Measured) -> String| {
        let cells: Vec<String> = all.iter().map(cell).collect();
        text.push_str(&format!("| {what} | {} |\n", cells.join(" | ")));
    };
    let sides: [(&str, fn(&Measured) -> &Done); 3] = [
        ("put", |one| &one.puts),
        ("get", |one| &one.gets),
        ("get, right after the kill", |one| &one.after),
    ];
    for (what, of) in sides {
        row(&format!("{what}: succeeded"), &|one| {
            format!("{} of {}", of(one).times.count(), of(one).tried)
        });
        row(&format!("{what}: p50"), &|one| time(of(one), 50));
        row(&format!("{what}: p99"), &|one| time(of(one), 99));
        row(&format!("{what}: packets"), &|one| format!("{:.0}", of(one).packets));
        row(&format!("{what}: kB"), &|one| format!("{:.1}", of(one).bytes / 1000.0));
    }
    row("resident memory of a node", &|one| format!("{:.1} MB", one.memory_mb.0));
    row("the anonymous part of it", &|one| format!("{:.1} MB", one.memory_mb.1));
    row("packets a second of a node at rest", &|one| format!("{:.1}", one.rest));
    text
}

fn time(done: &Done, percent: usize) -> String {
    match done.times.count() {
        0 => "none".to_owned(),
        _ => show(done.times.percentile(percent)),
    }
}

/// What a small program answers.
pub(crate) fn ask(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.ok().filter(|text| !text.is_empty()).unwrap_or_else(|| "unknown".to_owned())
}

/// Puts the section into the file, in the place of the one before.
pub(crate) fn write(file: &Path, section: &str) {
    let old = fs::read_to_string(file).expect("BENCHMARKS.md stands in the root");
    let (before, rest) = old.split_once(BEGIN).expect("BENCHMARKS.md has the marks");
    let (_, after) = rest.split_once(END).expect("BENCHMARKS.md has the marks");
    let new = format!("{before}{BEGIN}{section}{END}{after}");
    fs::write(file, new).expect("BENCHMARKS.md can be written");
}
