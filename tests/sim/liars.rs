//! Mail in networks where many machines lie about who is near and drop what they take.

use bytchat_proto::limits::MINUTE_MS;
use bytchat_proto::point::Point;
use bytchat_tests::sim::{Faults, Person, World, each_seed};
use serde_json::json;

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
        let (arrived, sent) = world.deliver_late(&senders, &to, 34);
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
        world.buy_places(point, 20);
        world.run(15 * MINUTE_MS);
        let (arrived, sent) = world.deliver_late(&senders, &to, 34);
        println!("{arrived} of {sent} arrived");
        assert!(100 * arrived >= 99 * sent, "SEED={seed}: {arrived} of {sent}");
        assert!(world.noticed_crowd(to.host), "SEED={seed}: nobody noticed");
    });
}
