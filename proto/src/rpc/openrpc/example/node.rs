//! Examples of what the node says of itself and of its network.

use serde_json::{Value, json};

use super::{ALICE, Example, NETWORK, NODE, PEER, example};

pub(super) fn node() -> Vec<Example> {
    let status = json!({
        "node_id": NODE,
        "listen": ["192.0.2.7:7117", "[2001:db8::7]:7117"],
        "observed": ["192.0.2.7:7117"],
        "peers": 30,
        "links": 5,
        "records": 12,
        "envelopes": 3,
        "outbox": 1,
        "damaged_accounts": 0,
        "clock": "ok",
        "clock_offset_ms": 0,
        "network": NETWORK,
        "pod": null,
        "store_bytes": 4_096,
        "uptime_ms": 60_000,
        "version": env!("CARGO_PKG_VERSION"),
    });
    let peer = json!({
        "node_id": PEER,
        "address": "[2001:db8::8]:7117",
        "pod": "pod.example",
        "linked": true,
        "rtt_ms": 23,
    });
    let setting = json!({
        "key": "network",
        "value": "home",
        "origin": "file",
        "place": "/etc/bytchat/bytchatd.toml:3",
        "waits": false,
    });
    let config = json!({ "file": "/etc/bytchat/bytchatd.toml", "values": [setting] });
    vec![
        example("node.status", "a node at home", json!({}), status),
        example(
            "node.peers",
            "one neighbour, which is a pod",
            json!({}),
            json!({ "peers": [peer] }),
        ),
        example("node.stats", "an hour of a node at home", json!({}), stats()),
        example("node.config", "one key of many", json!({}), config),
        example(
            "session.set",
            "a test that wants to know what is on its way out",
            json!({ "deprecated": true }),
            json!({ "deprecated": true }),
        ),
    ]
}

fn stats() -> Value {
    let histogram = |bounds: &[u64], counts: &[u64], sum: u64| {
        let counts = json!(counts);
        json!({ "bounds": bounds, "counts": counts, "sum": sum })
    };
    json!({
        "uptime_ms": 3_600_000,
        "lookups": {
            "started_total": 40,
            "answered_total": 39,
            "unanswered_total": 1,
            "turned_away_total": 0,
            "hops": histogram(&[1, 2, 3], &[10, 25, 4, 0], 72),
            "duration_ms": histogram(&[100, 1_000], &[35, 5, 0], 4_210),
        },
        "asks": {
            "answered_total": 310,
            "refused_total": 2,
            "malformed_total": 0,
            "lost_total": 11,
            "slow_total": 14,
            "round_trip_ms": histogram(&[10, 100], &[20, 285, 5], 15_400),
        },
        "puts": {
            "stored_total": 6,
            "short_total": 0,
            "stale_total": 0,
            "holders": histogram(&[2, 3, 4, 5], &[0, 1, 0, 5, 0], 28),
        },
        "repair": {
            "records_total": 12,
            "records_lost_total": 1,
            "records_waiting": 0,
            "envelopes_total": 3,
            "envelopes_lost_total": 0,
        },
        "links": {
            "opened_total": 34,
            "accepted_total": 21,
            "dials_failed_total": 4,
            "strangers_total": 0,
            "banned_total": 0,
        },
        "refusals": [],
        "keyspace": {
            "nodes_estimate": 900,
            "mailboxes": 1,
            "mailboxes_crowded": 0,
            "density_max": 1,
            "mailboxes_one_prefix": 0,
        },
    })
}

pub(super) fn lookup() -> Value {
    let address = "[2001:db8::8]:7117";
    let hop = json!({
        "node_id": PEER,
        "address": address,
        "hop": 1,
        "near_bits": 9,
        "at_ms": 31,
        "round_trip_ms": 23,
        "outcome": "answered",
        "contacts": 20,
    });
    let holder = json!({ "node_id": PEER, "address": address, "near_bits": 9, "own": false });
    json!({
        "target": ALICE,
        "holders": [holder],
        "hops": [hop],
        "answered": 14,
        "duration_ms": 88,
    })
}
