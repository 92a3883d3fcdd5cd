//! `bytctl node …`

use bytchat_proto::rpc::node::{Clock, Peer, Status};
use bytchat_proto::rpc::{Call, Nothing};

use super::Context;
use crate::args;
use crate::failure::Failure;

pub(super) fn run(context: &mut Context, command: args::Node) -> Result<(), Failure> {
    match command {
        args::Node::Status => status(context),
        args::Node::Peers => peers(context),
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
