//! Mail in networks where many machines lie about who is near and drop what they take.

use bytchat_proto::id::BlockId;
use bytchat_proto::point::Point;
use bytchat_tests::sim::{Faults, Person, World, each_seed};
use serde_json::json;

const MINUTE_MS: u64 = 60_000;

/// Sends texts to a machine that is down, brings it up, and says how many arrived there.
fn deliver(world: &mut World, senders: &[Person], to: &Person, each: usize) -> (usize, usize) {
    world.crash(to.host);
    let mut sent: Vec<BlockId> = Vec::new();
    for turn in 0..each {
        for from in senders {
            let params = json!({ "to": to.id, "text": format!("{turn} of {}", from.id) });
            let answer = world.ask(from, "message.send", params).unwrap();
            sent.push(serde_json::from_value(answer["id"].clone()).unwrap());
            world.run(500);
        }
    }
    world.run(2 * MINUTE_MS);
    senders.iter().for_each(|from| world.crash(from.host));
    world.restart(to.host);
    world.run(5 * MINUTE_MS);
    let arrived: Vec<BlockId> = world.inbox(to).into_iter().map(|message| message.id).collect();
    (sent.iter().filter(|id| arrived.contains(id)).count(), sent.len())
}

/// Three senders and one who is away while they write.
fn people(world: &mut World, hosts: [usize; 4]) -> (Vec<Person>, Person) {
    let mut people: Vec<Person> = hosts.iter().map(|host| world.person(*host)).collect();
    world.run(MINUTE_MS);
    let to = people.pop().unwrap();
    for from in &people {
        let params = json!({ "who": from.id });
        world.ask(&to, "contact.add", params).unwrap();
    }
    (people, to)
}

#[test]
#[allow(clippy::print_stdout, reason = "a run says what it has measured")]
fn mail_arrives_though_a_fifth_of_the_machines_lie_and_drop() {
    each_seed("a fifth lies", 1, |seed| {
        let mut world = World::new(seed, Faults::default());
        world.add(None, &[]);
        for index in 1..150 {
            world.add(None, &[0]);
            if index % 5 == 2 {
                world.lie(index);
            }
            world.run(200);
        }
        world.run(2 * MINUTE_MS);
        let (senders, to) = people(&mut world, [5, 40, 75, 110]);
        let (arrived, sent) = deliver(&mut world, &senders, &to, 34);
        println!("{arrived} of {sent} arrived");
        assert!(100 * arrived >= 99 * sent, "SEED={seed}: {arrived} of {sent}");
    });
}

#[test]
#[allow(clippy::print_stdout, reason = "a run says what it has measured")]
fn mail_arrives_though_twenty_liars_have_bought_the_nearest_places() {
    each_seed("twenty places", 1, |seed| {
        let mut world = World::grown(seed, 120, Faults::default());
        let (senders, to) = people(&mut world, [5, 40, 75, 110]);
        let point = Point::of_user(to.id);
        let honest = world.hosts.iter().map(|host| host.id);
        let nearest = honest.min_by_key(|node| Point::of_node(*node).distance(point)).unwrap();
        for _ in 0..20 {
            world.buy_place(point, nearest, &[0, 1]);
            world.run(2_000);
        }
        world.run(15 * MINUTE_MS);
        let (arrived, sent) = deliver(&mut world, &senders, &to, 34);
        let now = bytchat_core::time::Now {
            mono: bytchat_core::time::Mono(world.now_ms()),
            wall: bytchat_proto::timestamp::Timestamp(0),
        };
        let told = world.node(to.host).defence(now);
        println!("{arrived} of {sent} arrived; {told:?}");
        assert!(100 * arrived >= 99 * sent, "SEED={seed}: {arrived} of {sent}");
        assert!(told.crowded > 0, "SEED={seed}: nobody noticed: {told:?}");
    });
}
