//! Networks on virtual time in which many lie, or have bought the places around somebody.

use bytchat_proto::limits::MINUTE_MS;
use bytchat_proto::point::Point;
use bytchat_tests::sim::{Faults, Person, World};
use serde_json::json;

use crate::network::{SEED, gets, percent, profiles, share, told};
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
    world.buy_places(point, PLACES);
    world.run(15 * MINUTE_MS);
    let (arrived, sent) = world.deliver_late(&senders, &victim, EACH);
    let what = format!("{PLACES} bought places around a user: mail delivered");
    let reported = if world.noticed_crowd(victim.host) { "reported" } else { "not reported" };
    let limit = format!("of {sent} letters, while the user was away; {reported} by its node");
    told(vec![number(&what, percent(arrived, sent), &sent.to_string(), "≥ 99 %, reported", limit)])
}
