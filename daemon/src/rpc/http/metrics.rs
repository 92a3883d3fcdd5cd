//! `GET /metrics`: what an operator's Prometheus wants to know.

use std::fmt::Write;
use std::sync::atomic::Ordering;

use bytchat_proto::rpc::event::{Events, List};
use bytchat_proto::rpc::node::Status;
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
    front_ends(exchange, &mut page);
    Ok(page.0)
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
