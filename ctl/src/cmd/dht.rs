//! `bytctl dht …`

use std::net::SocketAddr;

use bytchat_proto::alias::Alias;
use bytchat_proto::point::Point;
use bytchat_proto::rpc::alias::{Binding, Resolve};
use bytchat_proto::rpc::dht::{Found, Hop, Lookup};
use bytchat_proto::rpc::{Call, ErrorKind};

use super::Context;
use crate::args;
use crate::client::understand;
use crate::failure::Failure;

pub(super) fn run(context: &mut Context, command: args::Dht) -> Result<(), Failure> {
    match command {
        args::Dht::Lookup { target, trace } => lookup(context, target, trace),
    }
}

fn lookup(context: &mut Context, target: String, trace: bool) -> Result<(), Failure> {
    let target = point(context, target)?;
    let Some(found) = context.one::<Found>(&Call::DhtLookup(Lookup { target }))? else {
        return Ok(());
    };
    if trace {
        hops(context, &found.hops)?;
    }
    let rows: Vec<_> = found
        .holders
        .iter()
        .map(|holder| {
            [
                holder.node_id.to_string(),
                if holder.own { "this node".to_owned() } else { shown(holder.address) },
                holder.near_bits.to_string(),
            ]
        })
        .collect();
    context.printer.table(["HOLDER", "ADDRESS", "NEAR"], &rows)?;
    let (answered, ms) = (found.answered, found.duration_ms);
    context.printer.remark(&format!("{answered} nodes answered within {ms} ms"));
    Ok(())
}

/// What is meant: an alias is resolved, everything else is a point.
fn point(context: &mut Context, target: String) -> Result<Point, Failure> {
    if target.parse::<Alias>().is_ok() {
        let binding = context.client.call_json(&Call::AliasResolve(Resolve { alias: target }))?;
        return Ok(Point::of_user(understand::<Binding>(binding)?.id));
    }
    target.parse().map_err(|_| {
        let why = format!("{target:?} is neither an alias nor an id of 32 letters and digits");
        Failure::refused(&ErrorKind::BadAddress.because(why))
    })
}

/// One row for each node that was asked, in the order of the answers.
fn hops(context: &mut Context, hops: &[Hop]) -> Result<(), Failure> {
    let row = |hop: &Hop| {
        [
            hop.hop.to_string(),
            hop.node_id.to_string(),
            shown(hop.address),
            format!("{} ms", hop.at_ms),
            hop.round_trip_ms.map_or("-".to_owned(), |ms| format!("{ms} ms")),
            hop.near_bits.to_string(),
            hop.contacts.to_string(),
            hop.outcome.as_str().to_owned(),
        ]
    };
    let rows: Vec<_> = hops.iter().map(row).collect();
    let heads = ["HOP", "NODE", "ADDRESS", "AT", "RTT", "NEAR", "CONTACTS", "OUTCOME"];
    context.printer.table(heads, &rows)
}

fn shown(address: Option<SocketAddr>) -> String {
    address.map_or("-".to_owned(), |address| address.to_string())
}
