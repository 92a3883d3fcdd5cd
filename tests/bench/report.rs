//! The report: tables in `BENCHMARKS.md`, each between two marks that the next run finds again.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::measure::{Idle, Online};
use crate::million::{Million, Start};
use crate::samples::{Samples, show};
use crate::socket::{Calls, Replay, Socket};

/// One line of the table.
pub(crate) struct Row {
    what: String,
    middle: String,
    worst: String,
    count: String,
    aim: &'static str,
    limit: String,
}

/// A line about times.
pub(crate) fn times(
    what: &str,
    samples: &Samples,
    aim: &'static str,
    limit: impl Into<String>,
) -> Row {
    let shown = |percent| match samples.count() {
        0 => "none".to_owned(),
        _ => show(samples.percentile(percent)),
    };
    Row {
        what: what.to_owned(),
        middle: shown(50),
        worst: shown(99),
        count: samples.count().to_string(),
        aim,
        limit: limit.into(),
    }
}

/// A line about one number.
pub(crate) fn number(
    what: &str,
    value: String,
    count: &str,
    aim: &'static str,
    limit: impl Into<String>,
) -> Row {
    let (what, count, limit) = (what.to_owned(), count.to_owned(), limit.into());
    Row { what, middle: value, worst: String::new(), count, aim, limit }
}

/// The lines about two people who are online.
pub(crate) fn online(online: &Online, round_trip: &Samples) -> Vec<Row> {
    let over = online.queued.p50().saturating_sub(online.bare.p50());
    let beyond = show(over);
    vec![
        times("UDP round trip over loopback", round_trip, "", "the kernel and the scheduler"),
        times("bare append of 8 KiB and fdatasync", &online.bare, "", "the disk"),
        times(
            "`message.send` until `queued`",
            &online.queued,
            "≤ 5 ms beyond one fdatasync",
            format!("one commit; {beyond} beyond the bare one: sealing, signing, thread hops"),
        ),
        times(
            "online: `queued` until the recipient's `event.list` returns",
            &online.arrived,
            "≤ round trip + 20 ms",
            "the recipient's commit, before which nothing is told, and opening the envelope",
        ),
        times(
            "online: `queued` until the sender sees `delivered`",
            &online.delivered,
            "",
            "two more commits (receipt queued, receipt taken) and 5 ms in which receipts gather",
        ),
    ]
}

/// The lines about a network at rest.
pub(crate) fn idle(idle: &Idle, isolated: bool) -> Vec<Row> {
    let (all, own) = idle.memory_mb;
    let (bytes, packets) = idle.sent;
    let count = format!("{} nodes", idle.nodes);
    let shared = if isolated { "" } else { "; other programs' loopback traffic is in it" };
    vec![
        number(
            &format!("resident memory, {} peers, {} links", idle.peers, idle.links),
            format!("{all:.1} MB"),
            "1",
            "≤ 40 MB",
            format!(
                "{own:.1} MB of it anonymous, the rest is the program; median of all nodes \
                 {:.1} MB",
                idle.memory_mb_median
            ),
        ),
        number(
            "traffic of one node at rest, each way",
            format!("{bytes:.0} B/s"),
            &count,
            "",
            format!(
                "{packets:.1} packets/s; loopback's own counter over 60 s, divided by the \
                 nodes; headers included{shared}"
            ),
        ),
        number(
            "processor time of one node at rest",
            format!("{:.2} %", idle.cpu_percent),
            &count,
            "",
            "of one core; over the same 60 s",
        ),
    ]
}

/// The lines about the socket of front ends.
pub(crate) fn socket(socket: &Socket) -> Vec<Row> {
    let Socket { calls, replays, program } = socket;
    let mut rows: Vec<Row> = calls.iter().map(rate).collect();
    rows.extend(replays.iter().map(replay));
    let limit = "the start of a process, one call";
    rows.push(times("`bytctl node status`, start to exit", program, "≤ 10 ms", limit));
    rows
}

fn rate(calls: &Calls) -> Row {
    let Calls { dialect, clients, times, per_second, bare_per_second } = calls;
    let name = dialect.name();
    let plural = if *clients == 1 { "" } else { "s" };
    let limit = format!(
        "{per_second:.0} calls/s, {:.2} of a bare jsonrpsee's {bare_per_second:.0}; reading and \
         writing on both sides",
        per_second / bare_per_second
    );
    let what = format!("`node.status`, {name}, {clients} client{plural}");
    self::times(&what, times, "≥ 0.9 of bare", limit)
}

fn replay(replay: &Replay) -> Row {
    let Replay { subscribers, per_second } = replay;
    let plural = if *subscribers == 1 { "" } else { "s" };
    let limit = "reading the log, and writing each event to each socket";
    number(
        &format!("events of the log to {subscribers} subscriber{plural}, all together"),
        format!("{per_second:.0}/s"),
        "1",
        "≥ 5000/s",
        limit,
    )
}

/// The lines about a store that holds much.
pub(crate) fn million(million: &Million, messages: u64) -> Vec<Row> {
    let Million { empty, full, filled, disk_mb, history } = million;
    let filled = filled.as_secs_f64();
    let with = |store: &str, start: &Start, limit: String| {
        let (all, own) = start.memory_mb;
        let held = format!("{own:.1} MB of it anonymous; ten seconds after the start");
        [
            times(&format!("start to READY, {store}"), &start.ready, "≤ 300 ms", limit),
            times(&format!("start until it answers, {store}"), &start.answers, "", "the same"),
            number(
                &format!("resident memory, {store}"),
                format!("{all:.1} MB"),
                "1",
                "≤ 40 MB",
                held,
            ),
        ]
    };
    let limit = format!("opening the index; {disk_mb:.0} MB on disk, written in {filled:.0} s");
    let mut rows = Vec::from(with("empty store", empty, "processes, threads, syncs".to_owned()));
    rows.extend(with(&format!("{messages} messages"), full, limit));
    rows.push(times(
        &format!("50 messages of a conversation, {messages} messages"),
        history,
        "",
        "51 rows, far apart in the log",
    ));
    rows
}

/// The line about the build.
pub(crate) fn build(time: Duration, cpu: Duration) -> Row {
    number(
        "cold release build of `bytchatd` and `bytctl`",
        format!("{:.0} s", time.as_secs_f64()),
        "1",
        "",
        format!(
            "{:.0} s of processor time: aws-lc's C code, and thin LTO over four codegen units",
            cpu.as_secs_f64()
        ),
    )
}

/// The table.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| What | p50 | p99 | n | Aim | What limits it |\n|---|---:|---:|---:|---|---|\n",
    );
    for row in rows {
        let Row { what, middle, worst, count, aim, limit } = row;
        text.push_str(&format!("| {what} | {middle} | {worst} | {count} | {aim} | {limit} |\n"));
    }
    text
}

/// Puts a section into the file, in the place of the one with the same name.
pub(crate) fn write(file: &Path, name: &str, section: &str) {
    let old = fs::read_to_string(file).expect("BENCHMARKS.md stands in the root");
    let new = replace(&old, name, section).expect("BENCHMARKS.md has the marks of each section");
    fs::write(file, new).expect("BENCHMARKS.md can be written");
}

fn replace(text: &str, name: &str, section: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- begin {name} -->\n"), format!("<!-- end {name} -->\n"));
    let (before, rest) = text.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}{section}{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_replaced_and_all_else_stays() {
        let text = "a\n<!-- begin x -->\nold\n<!-- end x -->\nb\n";
        let new = replace(text, "x", "new\n").unwrap();
        assert_eq!(new, "a\n<!-- begin x -->\nnew\n<!-- end x -->\nb\n");
        assert_eq!(replace(&new, "x", "new\n").unwrap(), new);
        assert!(replace(text, "y", "new\n").is_none());
    }
}
