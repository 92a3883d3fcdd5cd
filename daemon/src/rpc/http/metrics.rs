//! `GET /metrics`: what an operator's Prometheus wants to know.

use std::fmt::Write;
use std::sync::atomic::Ordering;

use bytchat_proto::rpc::event::{Events, List};
use bytchat_proto::rpc::node::{Histogram, Stats, Status};
use bytchat_proto::rpc::{Call, ErrorKind, Nothing, Role, RpcError};
use serde::de::DeserializeOwned;

use super::super::dialect::Dialect;
use super::super::exchange::Exchange;

/// Renders all metrics. Those of events are of the caller's own log.
///
/// # Errors
/// The caller is not an operator, or the engine does not answer.
pub(super) async fn render(exchange: &Exchange) -> Result<String, RpcError> {
    // SPEC 8.12: how much is called says how busy other Unix users are.
    exchange.grant.permit("GET /metrics", Role::Admin)?;
    let status: Status = ask(exchange, Call::NodeStatus(Nothing {})).await?;
    let stats: Stats = ask(exchange, Call::NodeStats(Nothing {})).await?;
    let events: Events =
        ask(exchange, Call::EventList(List { limit: Some(1), ..List::default() })).await?;
    let mut page = Metrics::default();
    let node = [
        ("uptime_seconds", "Time since the start.", status.uptime_ms / 1_000),
        ("links", "Links to other nodes that are up.", count(status.links)),
        ("peers", "Nodes in the routing table.", count(status.peers)),
        ("records", "Records held for others and our own.", count(status.records)),
        ("envelopes", "Envelopes held for others.", count(status.envelopes)),
        ("outbox_messages", "Messages on their way out.", count(status.outbox)),
        ("store_bytes", "Bytes of the store on disk.", status.store_bytes),
        ("events_head", "The last event of the caller's log.", events.head),
        ("events_first", "The caller's log begins after this event.", events.first),
    ];
    for (name, help, value) in node {
        page.gauge(name, help, value);
    }
    counted(&stats, &mut page);
    front_ends(exchange, &mut page);
    Ok(page.0)
}

/// What the node has counted since its start.
fn counted(stats: &Stats, page: &mut Metrics) {
    let Stats { lookups, asks, puts, repair, links, keyspace, .. } = stats;
    for (name, help, value) in [
        ("lookups_started_total", "Searches that began.", lookups.started_total),
        ("lookups_answered_total", "Searches that were answered.", lookups.answered_total),
        ("lookups_unanswered_total", "Searches that nobody answered.", lookups.unanswered_total),
        ("lookups_turned_away_total", "Searches without a place.", lookups.turned_away_total),
        ("asks_answered_total", "Requests that were answered.", asks.answered_total),
        ("asks_refused_total", "Requests that others refused.", asks.refused_total),
        ("asks_malformed_total", "Requests whose answer was none.", asks.malformed_total),
        ("asks_lost_total", "Requests without an answer.", asks.lost_total),
        ("asks_slow_total", "Requests that took longer than usual.", asks.slow_total),
        ("puts_stored_total", "Records that enough holders took.", puts.stored_total),
        ("puts_short_total", "Records that too few holders took.", puts.short_total),
        ("puts_stale_total", "Records of which a holder has a newer one.", puts.stale_total),
        ("repair_records_total", "Records handed on.", repair.records_total),
        ("repair_records_lost_total", "Records not handed on.", repair.records_lost_total),
        ("repair_envelopes_total", "Envelopes handed on.", repair.envelopes_total),
        ("repair_envelopes_lost_total", "Envelopes not taken.", repair.envelopes_lost_total),
        ("links_opened_total", "Links that this node opened.", links.opened_total),
        ("links_accepted_total", "Links that others opened.", links.accepted_total),
        ("links_dials_failed_total", "Attempts that failed.", links.dials_failed_total),
        ("links_strangers_total", "Links to other networks.", links.strangers_total),
        ("links_banned_total", "Links whose end broke a rule.", links.banned_total),
    ] {
        page.counter(name, help, value);
    }
    page.head("refusals_total", "counter", "Requests of others that were refused, by reason.");
    for refusals in &stats.refusals {
        let label = format!("reason=\"{}\"", refusals.reason);
        page.value("refusals_total", &label, refusals.refused_total);
    }
    page.gauge("repair_records_waiting", "Records to be handed on.", repair.records_waiting);
    if let Some(nodes) = keyspace.nodes_estimate {
        page.gauge("nodes_estimate", "Nodes in the network, as estimated.", nodes);
    }
    let (crowded, one) = (keyspace.mailboxes_crowded, keyspace.mailboxes_one_prefix);
    page.gauge("mailboxes_crowded", "Own mailboxes around which nodes crowd.", crowded);
    page.gauge("mailboxes_one_prefix", "Own mailboxes held by nodes of one network.", one);
    page.histogram("lookup_hops", "Nodes that led to the nearest.", &lookups.hops);
    page.histogram("lookup_duration_ms", "Duration of searches.", &lookups.duration_ms);
    page.histogram("ask_round_trip_ms", "Time until an answer.", &asks.round_trip_ms);
    page.histogram("put_holders", "Holders that took a record.", &puts.holders);
}

fn front_ends(exchange: &Exchange, page: &mut Metrics) {
    let (desk, counts) = (&exchange.desk, &exchange.desk.counts);
    page.head("rpc_clients", "gauge", "Front ends connected, by dialect.");
    for dialect in Dialect::ALL {
        let label = format!("dialect=\"{}\"", dialect.name());
        page.value("rpc_clients", &label, counts.speaking(dialect));
    }
    let subscriptions = count(desk.subscriptions.taken());
    page.gauge("rpc_subscriptions", "Subscriptions of front ends.", subscriptions);
    let away = counts.turned_away.load(Ordering::Relaxed);
    page.counter("rpc_turned_away_total", "Front ends that found no place.", away);
    let told = counts.events.load(Ordering::Relaxed);
    page.counter("rpc_events_told_total", "Events told to subscribers.", told);
    page.head("rpc_calls_total", "counter", "Calls answered, by method and result.");
    for (method, failed, good) in counts.calls() {
        for (result, value) in [("error", failed), ("ok", good)] {
            let label = format!("method=\"{method}\",result=\"{result}\"");
            page.value("rpc_calls_total", &label, value);
        }
    }
}

async fn ask<T: DeserializeOwned>(exchange: &Exchange, call: Call) -> Result<T, RpcError> {
    let result = exchange.ask(call).await?;
    serde_json::from_value(result).map_err(|error| ErrorKind::Internal.because(error.to_string()))
}

fn count(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[derive(Default)]
struct Metrics(String);

impl Metrics {
    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, "gauge", help);
        self.value(name, "", value);
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, "counter", help);
        self.value(name, "", value);
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.head(name, "histogram", help);
        let bucket = format!("{name}_bucket");
        let mut below = 0_u64;
        for (bound, count) in histogram.bounds.iter().zip(&histogram.counts) {
            below = below.saturating_add(*count);
            self.value(&bucket, &format!("le=\"{bound}\""), below);
        }
        self.value(&bucket, "le=\"+Inf\"", histogram.count());
        self.value(&format!("{name}_sum"), "", histogram.sum);
        self.value(&format!("{name}_count"), "", histogram.count());
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP bytchat_{name} {help}"));
        self.line(format_args!("# TYPE bytchat_{name} {kind}"));
    }

    fn value(&mut self, name: &str, label: &str, value: u64) {
        match label {
            "" => self.line(format_args!("bytchat_{name} {value}")),
            label => self.line(format_args!("bytchat_{name}{{{label}}} {value}")),
        }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{line}").expect("a text takes what is written");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_is_told_in_counts_that_grow_to_all() {
        let mut histogram = Histogram::new(&[1, 5]);
        for value in [1, 1, 4, 9] {
            histogram.add(value);
        }
        let mut page = Metrics::default();
        page.histogram("hops", "Hops.", &histogram);
        let told = [
            "# HELP bytchat_hops Hops.",
            "# TYPE bytchat_hops histogram",
            "bytchat_hops_bucket{le=\"1\"} 2",
            "bytchat_hops_bucket{le=\"5\"} 3",
            "bytchat_hops_bucket{le=\"+Inf\"} 4",
            "bytchat_hops_sum 15",
            "bytchat_hops_count 4",
        ];
        assert_eq!(page.0.lines().collect::<Vec<_>>(), told);
    }
}
