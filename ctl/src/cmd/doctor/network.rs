//! The network as the daemon counts it, and why mail waits.

use bytchat_proto::rpc::message::{Cause, OnItsWay, Trace};
use bytchat_proto::rpc::node::Stats;
use serde_json::{Value, json};
use std::time::Duration;

use super::super::message::gather_waiting;
use super::Check;
use crate::client::{Client, understand};
use crate::print::time;

/// So many messages that wait are told one by one.
const TOLD_MAX: usize = 5;

/// Asks what was counted, and what waits in each account.
pub(super) fn look(client: &mut Client, accounts: &Value, checks: &mut Vec<Check>) {
    let stats = client.call_raw("node.stats", &json!({}), Duration::ZERO);
    if let Ok(stats) = stats.and_then(understand::<Stats>) {
        checks.extend([strangers(&stats), keyspace(&stats)]);
    }
    let accounts = accounts["accounts"].as_array().map_or(&[][..], Vec::as_slice);
    let mut waiting = Vec::new();
    for account in accounts.iter().filter_map(|account| account["id"].as_str()) {
        // A daemon of an older version does not tell.
        let Ok(messages) = gather_waiting(client, Some(account)) else { return };
        waiting.extend(messages);
    }
    checks.extend(mail(&waiting, |message| last_step(client, message)));
}

fn strangers(stats: &Stats) -> Check {
    const NAME: &str = "strangers";
    let (links, own) = (&stats.links, stats.links.opened_total + stats.links.accepted_total);
    match (links.strangers_total, own) {
        (0, _) => Check::ok(NAME, "no node of another network came by"),
        (many, 0) => Check::warn(
            NAME,
            format!("{many} links ended because the other end belongs to another network"),
            "`network` and `network_key` must be the same in bytchatd.toml at both ends",
        ),
        (many, _) => Check::ok(NAME, format!("{many} links to nodes of other networks ended")),
    }
}

/// Whether somebody seems to have put nodes around our mailboxes.
fn keyspace(stats: &Stats) -> Check {
    const NAME: &str = "eclipse";
    let pod = "an alias at a pod that you trust has it keep a copy: `bytctl alias register`; \
               `bytctl dht lookup YOUR-ID --trace` shows the nodes";
    let keyspace = &stats.keyspace;
    if keyspace.mailboxes_crowded > 0 {
        let (many, density) = (keyspace.mailboxes_crowded, keyspace.density_max);
        let found = format!(
            "around {many} mailboxes of this daemon nodes lie up to {density} times as dense as \
             chance would have it: somebody may mean to hold their mail back"
        );
        return Check::warn(NAME, found, pod);
    }
    if keyspace.mailboxes_one_prefix > 0 {
        let many = keyspace.mailboxes_one_prefix;
        let found = format!(
            "{many} mailboxes of this daemon are held by nodes most of which have addresses of \
             one network"
        );
        return Check::warn(NAME, found, pod);
    }
    match keyspace.nodes_estimate {
        Some(nodes) => {
            Check::ok(NAME, format!("nobody crowds around a mailbox among about {nodes} nodes"))
        }
        None => Check::ok(NAME, "too few nodes are known to judge who crowds where"),
    }
}

/// What waits and is not simply on its way, each with its cause.
fn mail(
    waiting: &[OnItsWay],
    mut last_step: impl FnMut(&OnItsWay) -> Option<String>,
) -> Vec<Check> {
    const NAME: &str = "mail";
    let calm = |cause| matches!(cause, Cause::UnderWay | Cause::RecipientAway | Cause::Earlier);
    let stuck: Vec<_> = waiting.iter().filter(|message| !calm(message.cause)).collect();
    let away = waiting.iter().filter(|message| message.cause == Cause::RecipientAway).count();
    if stuck.is_empty() {
        let found = format!(
            "{} messages are under way, {away} lie with their holders",
            waiting.len() - away
        );
        return vec![Check::ok(NAME, found)];
    }
    let mut checks = Vec::new();
    for message in stuck.iter().take(TOLD_MAX) {
        let to = message.alias.as_ref().map_or(message.to.to_string(), ToString::to_string);
        let (since, cause, id) = (time(message.since), message.cause.as_str(), message.id);
        let mut found = format!("{id} to {to} waits since {since}: {cause}");
        if let Some(step) = last_step(message) {
            found = format!("{found}; last: {step}");
        }
        let remedy = message.cause.remedy().unwrap_or_default();
        let remedy = remedy.replace("TO", &message.to.to_string()).replace("ALIAS", &to);
        checks.push(Check::warn(NAME, found, remedy.replace("ID", &id.to_string())));
    }
    let rest = stuck.len() - checks.len();
    if rest > 0 {
        let found = format!("{rest} more messages wait");
        checks.push(Check::warn(NAME, found, "`bytctl message waiting` lists them"));
    }
    checks
}

/// The last step of a message, if the daemon tells.
fn last_step(client: &mut Client, message: &OnItsWay) -> Option<String> {
    let id = json!({ "id": message.id });
    let trace = client.call_raw("message.trace", &id, Duration::ZERO).ok()?;
    Some(understand::<Trace>(trace).ok()?.steps.pop()?.step)
}

#[cfg(test)]
mod tests {
    use bytchat_proto::rpc::node::{Keyspace, Links};

    use super::super::Verdict;
    use super::*;

    fn message(cause: &str) -> OnItsWay {
        let message = json!({
            "id": "aeaqcaibaeaqcaibaeaqcaibaeaqcaibaeaqcaibaeaqcaibaeaq",
            "to": "qeaqcaibaeaqcaibaeaqcaibaeaqcaib", "alias": "bob@b.test", "state": "queued",
            "since": 1_795_231_949_123_u64, "tries": 3, "holders": 0, "cause": cause,
            "next_try_ms": 1_000,
        });
        understand(message).unwrap()
    }

    #[test]
    fn each_message_that_waits_is_told_with_its_cause_and_what_to_do() {
        let calm = [message("under_way"), message("earlier"), message("recipient_away")];
        let checks = mail(&calm, |_| None);
        assert_eq!((checks.len(), checks[0].verdict), (1, Verdict::Ok));
        assert!(checks[0].found.contains("2 messages are under way, 1 lie"), "{checks:?}");
        for (cause, told, fix) in [
            ("no_network", "no other node is linked", "bootstrap"),
            ("recipient_not_found", "record was not found", "ask the recipient"),
            ("no_holder", "no holder took it", "dht lookup qeaqcaib"),
            ("few_holders", "too few holders", "message trace aeaqcaib"),
            ("key_changed", "has changed", "contact add bob@b.test"),
            ("pin_damaged", "is damaged", "contact add bob@b.test"),
        ] {
            let checks = mail(&[message(cause)], |_| Some("the last step".to_owned()));
            assert_eq!((checks.len(), checks[0].verdict), (1, Verdict::Warn));
            assert!(checks[0].found.contains("to bob@b.test waits since 2026-11-21"));
            assert!(checks[0].found.contains(told), "{checks:?}");
            assert!(checks[0].found.ends_with("last: the last step"), "{checks:?}");
            assert!(checks[0].fix.as_ref().unwrap().contains(fix), "{checks:?}");
        }
        let many = vec![message("no_holder"); TOLD_MAX + 2];
        let checks = mail(&many, |_| None);
        assert_eq!(checks.len(), TOLD_MAX + 1);
        assert!(checks[TOLD_MAX].found.contains("2 more"), "{checks:?}");
    }

    #[test]
    fn a_mailbox_in_a_crowd_is_told_before_all_else() {
        let stats = |crowded, one, nodes| Stats {
            keyspace: Keyspace {
                nodes_estimate: nodes,
                mailboxes: 2,
                mailboxes_crowded: crowded,
                density_max: 40,
                mailboxes_one_prefix: one,
            },
            ..Stats::default()
        };
        for (stats, verdict, told) in [
            (stats(1, 1, Some(900)), Verdict::Warn, "40 times as dense"),
            (stats(0, 1, Some(900)), Verdict::Warn, "one network"),
            (stats(0, 0, Some(900)), Verdict::Ok, "about 900 nodes"),
            (stats(0, 0, None), Verdict::Ok, "too few"),
        ] {
            let check = keyspace(&stats);
            assert_eq!(check.verdict, verdict);
            assert!(check.found.contains(told), "{check:?}");
        }
    }

    #[test]
    fn strangers_matter_to_who_has_met_nobody_else() {
        let stats = |strangers_total, opened_total| Stats {
            links: Links { strangers_total, opened_total, ..Links::default() },
            ..Stats::default()
        };
        assert_eq!(strangers(&stats(0, 0)).verdict, Verdict::Ok);
        assert_eq!(strangers(&stats(3, 1)).verdict, Verdict::Ok);
        assert_eq!(strangers(&stats(3, 0)).verdict, Verdict::Warn);
    }
}
