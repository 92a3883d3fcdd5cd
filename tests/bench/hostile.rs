//! Networks on virtual time in which many lie, or have bought the places around somebody.

use bytchat_core::time::{Mono, Now};
use bytchat_proto::id::{BlockId, NodeId};
use bytchat_proto::limits::MINUTE_MS;
use bytchat_proto::point::Point;
use bytchat_proto::timestamp::Timestamp;
use bytchat_tests::sim::{Faults, Person, World};
use serde_json::json;

use crate::network::{SEED, gets, profiles, share, told};
use crate::report::{Row, number};

/// Nodes of which a part lies, and how many.
const MACHINES: usize = 1_000;
const LIARS_PERCENT: u64 = 20;
const LOOKUPS: usize = 500;
/// Nodes among which places are bought, how many, and what is sent to who is surrounded.
const AROUND: usize = 120;
const PLACES: usize = 20;
const SENDERS: usize = 4;
const EACH: usize = 50;

/// A fifth of the nodes name only each other, and take what they do not keep.
pub(crate) fn liars() -> Vec<Row> {
    let faults = Faults { liars_percent: LIARS_PERCENT, ..Faults::default() };
    let mut world = World::swarm(SEED, MACHINES, faults);
    world.run(10 * MINUTE_MS);
    let looked = world.look_up(LOOKUPS);
    let when = format!("{MACHINES} nodes, {LIARS_PERCENT} % lie");
    let limit = "the nearest five honest nodes; liars name only liars".to_owned();
    let row = share(&format!("{when}: true five found"), &looked, "≥ 99 %", limit);
    let people = profiles(&mut world, MACHINES);
    told(vec![row, gets(&mut world, &people, &when)])
}

/// Twenty liars are nearer to a victim than any honest node, when mail comes for it.
pub(crate) fn places() -> Vec<Row> {
    let mut world = World::grown(SEED, AROUND, Faults::default());
    let senders: Vec<Person> = (0..SENDERS).map(|turn| world.person(5 + 20 * turn)).collect();
    let victim = world.person(110);
    world.run(MINUTE_MS);
    for from in &senders {
        world.ask(&victim, "contact.add", json!({ "who": from.id })).expect("a contact");
    }
    let point = Point::of_user(victim.id);
    let distance = |node: &NodeId| Point::of_node(*node).distance(point);
    let honest = world.hosts.iter().map(|host| host.id);
    let nearest = honest.min_by_key(distance).expect("nodes are there");
    for _ in 0..PLACES {
        world.buy_place(point, nearest, &[0, 1]);
        world.run(2_000);
    }
    world.run(15 * MINUTE_MS);
    let (sent, arrived) = mail_for(&mut world, &senders, &victim);
    let now = Now { mono: Mono(world.now_ms()), wall: Timestamp(0) };
    let told_of = world.node(victim.host).defence(now).crowded;
    let what = format!("{PLACES} bought places around a user: mail delivered");
    let reported = if told_of > 0 { "reported" } else { "not reported" };
    let limit = format!("of {sent} letters, while the user was away; {reported} by its node");
    let percent = format!("{:.2} %", 100.0 * crate::network::ratio(arrived, sent));
    told(vec![number(&what, percent, &sent.to_string(), "≥ 99 %, reported", limit)])
}

/// Writes to somebody who is away, and counts what is there when they come and the senders are
/// gone.
fn mail_for(world: &mut World, senders: &[Person], to: &Person) -> (usize, usize) {
    world.crash(to.host);
    let mut sent: Vec<BlockId> = Vec::new();
    for turn in 0..EACH {
        for from in senders {
            let text = format!("{turn} of {}", from.id);
            let params = json!({ "to": to.id, "text": text });
            let answer = world.ask(from, "message.send", params).expect("it is taken");
            sent.push(serde_json::from_value(answer["id"].clone()).expect("an id"));
            world.run(500);
        }
    }
    world.run(2 * MINUTE_MS);
    senders.iter().for_each(|from| world.crash(from.host));
    world.restart(to.host);
    world.run(5 * MINUTE_MS);
    let inbox: Vec<BlockId> = world.inbox(to).into_iter().map(|message| message.id).collect();
    (sent.len(), sent.iter().filter(|id| inbox.contains(id)).count())
}
