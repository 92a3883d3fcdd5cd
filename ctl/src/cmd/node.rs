//! `bytctl node …`

use bytchat_proto::rpc::node::{Clock, Histogram, Peer, Stats, Status};
use bytchat_proto::rpc::{Call, Nothing};

use super::Context;
use crate::args;
use crate::failure::Failure;

pub(super) fn run(context: &mut Context, command: args::Node) -> Result<(), Failure> {
    match command {
        args::Node::Status => status(context),
        args::Node::Peers => peers(context),
        args::Node::Stats => stats(context),
    }
}

fn status(context: &mut Context) -> Result<(), Failure> {
    let Some(status) = context.one::<Status>(&Call::NodeStatus(Nothing {}))? else {
        return Ok(());
    };
    let addresses = |list: &[std::net::SocketAddr]| {
        let texts: Vec<_> = list.iter().map(ToString::to_string).collect();
        texts.join(" ")
    };
    let mut pairs = vec![
        ("node", status.node_id.to_string()),
        ("version", status.version),
        ("network", status.network.to_string()),
        ("pod", status.pod.map_or("-".to_owned(), |host| host.to_string())),
        ("listens at", addresses(&status.listen)),
        ("seen at", addresses(&status.observed)),
        ("peers", status.peers.to_string()),
        ("links", status.links.to_string()),
        ("records", status.records.to_string()),
        ("envelopes", status.envelopes.to_string()),
        ("outbox", status.outbox.to_string()),
        ("damaged accounts", status.damaged_accounts.to_string()),
        ("store", format!("{} bytes", status.store_bytes)),
    ];
    let seconds = status.clock_offset_ms / 1_000;
    match status.clock {
        Clock::Ok => {}
        Clock::Behind => pairs.push(("clock", format!("behind by {seconds} s: set it right"))),
        Clock::Ahead => pairs.push(("clock", format!("ahead by {seconds} s: set it right"))),
    }
    context.printer.pairs(&pairs)
}

fn peers(context: &mut Context) -> Result<(), Failure> {
    let Some(peers) = context.list::<Peer>(&Call::NodePeers(Nothing {}), "peers")? else {
        return Ok(());
    };
    let mut rows = Vec::with_capacity(peers.len());
    for peer in peers {
        rows.push([
            peer.node_id.to_string(),
            peer.address.to_string(),
            if peer.linked { "linked" } else { "known" }.to_owned(),
            peer.rtt_ms.map_or("-".to_owned(), |ms| format!("{ms} ms")),
            peer.pod.map_or("-".to_owned(), |host| host.to_string()),
        ]);
    }
    context.printer.table(["NODE", "ADDRESS", "LINK", "RTT", "POD"], &rows)
}

fn stats(context: &mut Context) -> Result<(), Failure> {
    let Some(stats) = context.one::<Stats>(&Call::NodeStats(Nothing {}))? else {
        return Ok(());
    };
    context.printer.pairs(&rows(&stats))
}

/// What was counted, in words.
fn rows(stats: &Stats) -> Vec<(&'static str, String)> {
    let Stats { lookups, asks, puts, repair, links, keyspace, .. } = stats;
    let refusals = stats.refusals.iter().map(|it| format!("{} {}", it.refused_total, it.reason));
    let refusals: Vec<String> = refusals.collect();
    let told = |counts: &[(u64, &str)]| {
        let words: Vec<_> = counts.iter().map(|(count, word)| format!("{count} {word}")).collect();
        words.join(", ")
    };
    let begun = [
        (lookups.started_total, "begun"),
        (lookups.answered_total, "answered"),
        (lookups.unanswered_total, "without answer"),
        (lookups.turned_away_total, "turned away"),
    ];
    let asked = [
        (asks.answered_total, "answered"),
        (asks.refused_total, "refused"),
        (asks.malformed_total, "malformed"),
        (asks.lost_total, "lost"),
        (asks.slow_total, "slow"),
    ];
    let put =
        [(puts.stored_total, "stored"), (puts.short_total, "short"), (puts.stale_total, "stale")];
    let repaired = [
        (repair.records_total, "records"),
        (repair.records_lost_total, "records lost"),
        (repair.records_waiting, "records waiting"),
        (repair.envelopes_total, "envelopes"),
        (repair.envelopes_lost_total, "envelopes not taken"),
    ];
    let linked = [
        (links.opened_total, "opened"),
        (links.accepted_total, "accepted"),
        (links.dials_failed_total, "dials failed"),
        (links.strangers_total, "strangers"),
        (links.banned_total, "banned"),
    ];
    let mailboxes = [
        (keyspace.mailboxes, "looked after"),
        (keyspace.mailboxes_crowded, "crowded"),
        (keyspace.mailboxes_one_prefix, "held within one prefix"),
    ];
    let nodes = keyspace.nodes_estimate.map(|nodes| format!("about {nodes} nodes"));
    let few = || "too few nodes are known for an estimate".to_owned();
    vec![
        ("time", format!("{} s", stats.uptime_ms / 1_000)),
        ("lookups", told(&begun)),
        ("lookup hops", spread(&lookups.hops, "")),
        ("lookup time", spread(&lookups.duration_ms, " ms")),
        ("requests", told(&asked)),
        ("round trip", spread(&asks.round_trip_ms, " ms")),
        ("puts", told(&put)),
        ("holders of a put", spread(&puts.holders, "")),
        ("repair", told(&repaired)),
        ("links", told(&linked)),
        ("refused", if refusals.is_empty() { "nothing".to_owned() } else { refusals.join(", ") }),
        ("network", nodes.unwrap_or_else(few)),
        ("mailboxes", told(&mailboxes)),
    ]
}

/// Where half and most of the values lie.
fn spread(histogram: &Histogram, unit: &str) -> String {
    if histogram.count() == 0 {
        return "-".to_owned();
    }
    let share = |per_cent| match histogram.at_most(per_cent) {
        Some(bound) => format!("{per_cent} % ≤ {bound}{unit}"),
        None => format!("{per_cent} % beyond {}{unit}", histogram.bounds.last().unwrap_or(&0)),
    };
    format!("{}, {}", share(50), share(95))
}
