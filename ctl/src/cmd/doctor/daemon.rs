//! The daemon: what it says of itself.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Check, Findings, ask, network};
use crate::client::Client;

/// Who answers later than that is not well.
const PATIENCE: Duration = Duration::from_secs(10);
/// A front end that is so many events behind has probably been given up.
const BEHIND_MANY: u64 = 10_000;

/// Asks the daemon and judges what it says.
pub(super) fn look(client: &mut Client, findings: &mut Findings) {
    let begun = Instant::now();
    client.be_patient(PATIENCE);
    let status = match client.call_raw("node.status", &json!({}), Duration::ZERO) {
        Ok(status) => status,
        Err(failure) => {
            let hint = failure.hint();
            findings.checks.push(Check::fail("daemon", failure.to_string(), hint));
            return;
        }
    };
    let ms = begun.elapsed().as_millis();
    let mut list = |method| client.call_raw(method, &json!({}), Duration::ZERO).ok();
    let (cursors, accounts) = (list("cursor.list"), list("account.list"));
    let session = list("session.show");
    findings.config = list("node.config").unwrap_or_default();
    findings.checks.extend([
        Check::ok("daemon", format!("answers within {ms} ms")),
        version(status["version"].as_str().unwrap_or("?"), env!("CARGO_PKG_VERSION")),
        clock(&status),
        udp(&status["listen"]),
        links(&status),
        store(&status),
    ]);
    findings.checks.extend(session.map(|session| role(&session)));
    findings.checks.extend(cursors.map(|answer| behind(&answer["cursors"])));
    let accounts = accounts.unwrap_or_default();
    if accounts.is_object() {
        findings.checks.push(accounts_of(&accounts["accounts"]));
    }
    network::look(client, &accounts, &mut findings.checks);
    findings.status = status;
}

fn version(daemon: &str, own: &str) -> Check {
    match daemon == own {
        true => Check::ok("versions", format!("bytctl and bytchatd are {own}")),
        false => Check::warn(
            "versions",
            format!("bytchatd is {daemon}, bytctl is {own}"),
            "install both from the same package, then `systemctl restart bytchatd`",
        ),
    }
}

/// What this user may.
fn role(session: &Value) -> Check {
    const NAME: &str = "role";
    let more = "to be allowed more: sudo usermod -aG bytchat $USER, or [api] in bytchatd.toml";
    match session["role"].as_str().unwrap_or("?") {
        "observe" => Check::warn(NAME, "observe: you see how the node stands, no more", more),
        "read" => Check::warn(NAME, "read: you read and cannot send", more),
        role => Check::ok(NAME, role),
    }
}

fn clock(status: &Value) -> Check {
    const NAME: &str = "clock";
    let offset = status["clock_offset_ms"].as_u64().unwrap_or(0);
    match status["clock"].as_str() {
        Some("ok") => Check::ok(NAME, "the daemon knows nothing against it"),
        Some(standing) => Check::fail(
            NAME,
            format!("it is {standing}, by {} s as far as it is known", offset / 1000),
            "sudo timedatectl set-ntp true",
        ),
        None => match ask("timedatectl", &["show", "--property=NTPSynchronized", "--value"]) {
            Some(said) if said.trim() == "yes" => Check::ok(NAME, "it is set by NTP"),
            Some(_) => Check::warn(NAME, "nobody sets it", "sudo timedatectl set-ntp true"),
            None => Check::skip(NAME, "nothing on this machine tells whether it is set"),
        },
    }
}

fn udp(listen: &Value) -> Check {
    const NAME: &str = "udp";
    let tables = ["/proc/net/udp", "/proc/net/udp6"].map(fs::read_to_string);
    if tables.iter().all(Result::is_err) {
        return Check::skip(NAME, "the system does not show its sockets");
    }
    let bound: BTreeSet<u16> =
        tables.iter().flatten().flat_map(|table| table.lines()).filter_map(port).collect();
    let listen = listen.as_array().map_or(&[][..], Vec::as_slice);
    let listen = listen.iter().filter_map(|address| address.as_str()?.parse().ok());
    let listen: Vec<SocketAddr> = listen.collect();
    let missing = listen.iter().find(|address| !bound.contains(&address.port()));
    let names: Vec<_> = listen.iter().map(SocketAddr::to_string).collect();
    match missing {
        _ if listen.is_empty() => Check::fail(
            NAME,
            "the daemon listens nowhere",
            "look at `listen` in its configuration, then `systemctl restart bytchatd`",
        ),
        Some(address) => Check::fail(
            NAME,
            format!("nobody listens at port {}, though the daemon says so", address.port()),
            "systemctl restart bytchatd",
        ),
        None => Check::ok(NAME, format!("listens at {}", names.join(" "))),
    }
}

/// The local port of a row of `/proc/net/udp`.
fn port(row: &str) -> Option<u16> {
    let (_, port) = row.split_whitespace().nth(1)?.rsplit_once(':')?;
    u16::from_str_radix(port, 16).ok()
}

fn links(status: &Value) -> Check {
    const NAME: &str = "network";
    let number = |name: &str| status[name].as_u64().unwrap_or(0);
    let (peers, links, outbox) = (number("peers"), number("links"), number("outbox"));
    let found = format!("{peers} nodes are known, {links} linked, {outbox} messages under way");
    match (peers, links) {
        (0, 0) => Check::fail(
            NAME,
            "no other node is known",
            "name one that is up under `bootstrap` in bytchatd.toml, then `systemctl reload \
             bytchatd`; let UDP out of the firewall",
        ),
        (_, 0) => Check::warn(
            NAME,
            format!("{found}: nobody is linked just now"),
            "if that stays so, let UDP out of the firewall and look whether the network is up",
        ),
        (_, _) => Check::ok(NAME, found),
    }
}

fn store(status: &Value) -> Check {
    const NAME: &str = "store";
    let damaged = status["damaged_accounts"].as_u64().unwrap_or(0);
    if damaged > 0 {
        return Check::fail(
            NAME,
            format!("{damaged} accounts cannot be read"),
            "`bytctl account list` names yours; bring back the data directory from a backup",
        );
    }
    let bytes = status["store_bytes"].as_u64().unwrap_or(0);
    Check::ok(NAME, format!("reads and writes, {} MB", bytes.div_ceil(1_000_000)))
}

fn behind(cursors: &Value) -> Check {
    const NAME: &str = "cursors";
    let cursors = cursors.as_array().map_or(&[][..], Vec::as_slice);
    let late = cursors.iter().find(|c| c["behind"].as_u64().is_some_and(|n| n > BEHIND_MANY));
    match late {
        None => Check::ok(NAME, format!("{} front ends follow events", cursors.len())),
        Some(cursor) => {
            let name = cursor["name"].as_str().unwrap_or("?");
            Check::warn(
                NAME,
                format!("{name} is {} events behind and keeps them on the disk", cursor["behind"]),
                format!("start what reads it, or `bytctl rpc cursor.delete name={name}`"),
            )
        }
    }
}

fn accounts_of(accounts: &Value) -> Check {
    match accounts.as_array().map_or(0, Vec::len) {
        0 => Check::warn("accounts", "you have none", "bytctl account create --name NAME"),
        1 => Check::ok("accounts", "you have one"),
        many => Check::ok("accounts", format!("you have {many}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_port_is_read_from_the_system_s_table() {
        let row = " 1: 0100007F:12F0 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 1";
        assert_eq!(port(row), Some(4848));
        assert_eq!(port("  sl  local_address rem_address"), None);
        assert_eq!(port(""), None);
    }

    #[test]
    fn what_is_wrong_has_a_remedy_and_what_is_right_has_none() {
        let status = |peers, links, damaged| {
            json!({ "peers": peers, "links": links, "outbox": 0,
            "damaged_accounts": damaged, "clock": "behind", "clock_offset_ms": 90_000 })
        };
        let cursor = |behind| json!([{ "name": "bot", "behind": behind }]);
        for (check, verdict) in [
            (version("1.0.0", "1.0.0"), Verdict::Ok),
            (version("1.0.0", "1.0.1"), Verdict::Warn),
            (links(&status(0, 0, 0)), Verdict::Fail),
            (links(&status(3, 0, 0)), Verdict::Warn),
            (links(&status(3, 1, 0)), Verdict::Ok),
            (store(&status(0, 0, 1)), Verdict::Fail),
            (store(&status(0, 0, 0)), Verdict::Ok),
            (clock(&status(0, 0, 0)), Verdict::Fail),
            (clock(&json!({ "clock": "ok" })), Verdict::Ok),
            (behind(&cursor(10_000)), Verdict::Ok),
            (behind(&cursor(10_001)), Verdict::Warn),
            (behind(&Value::Null), Verdict::Ok),
            (accounts_of(&json!([])), Verdict::Warn),
            (accounts_of(&json!([1, 2])), Verdict::Ok),
            (role(&json!({ "role": "read" })), Verdict::Warn),
            (role(&json!({ "role": "send" })), Verdict::Ok),
            (udp(&json!([])), Verdict::Fail),
            (udp(&json!(["127.0.0.1:0"])), Verdict::Fail),
        ] {
            assert_eq!(check.verdict, verdict, "{check:?}");
            assert_eq!(check.fix.is_some(), verdict != Verdict::Ok, "{check:?}");
        }
    }
}
