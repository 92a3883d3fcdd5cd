//! Mail that lasts: holders come and go, lie and return, and a device gets all of it in the end.

use bytchat_core::persist::{Query, Table};
use bytchat_proto::id::UserId;
use bytchat_proto::limits::{DAY_MS, HOLDERS, HOLDERS_REFRESH_MS, HOUR_MS, MINUTE_MS};
use bytchat_proto::point::Point;
use bytchat_proto::rpc::event::{Events, What};
use bytchat_proto::rpc::message::State;
use bytchat_proto::wire::{Request, Response};
use bytchat_tests::sim::{Faults, History, Person, World, each_seed, letter};
use serde_json::json;

/// So soon holders must have what they lack.
const REPAIRED_MS: u64 = 10 * MINUTE_MS;

/// Whether a machine has mail for a user on its disk.
fn has_mail(world: &World, host: usize, user: UserId) -> bool {
    let mail = Query::prefix(Table::Envelope, user.as_bytes(), 1);
    !world.hosts[host].disk.scan(&mail).is_empty()
}

/// The machines that have mail for a user.
fn with_mail(world: &World, user: UserId) -> Vec<usize> {
    (0..world.hosts.len()).filter(|host| has_mail(world, *host, user)).collect()
}

/// Leaves a letter for somebody with one machine, and with nobody else.
fn leave(world: &mut World, host: usize, user: UserId) {
    let (envelope, until) = (letter(user), world.wall().plus_ms(7 * DAY_MS));
    let mut stranger = world.stranger(host);
    world.asks(&mut stranger, Request::Deposit { envelope, until, repair: false });
    world.run(1_000);
    let answers = world.answers(&stranger);
    assert!(matches!(answers.as_slice(), [Response::Receipt { .. }]), "{answers:?}");
}

#[test]
fn a_letter_with_one_machine_is_with_all_holders_in_ten_minutes_and_again_when_some_are_lost() {
    each_seed("repair", 2, |seed| {
        let mut world = World::grown(seed, 40, Faults::default());
        let user = UserId(world.random_bytes());
        let nearest = |world: &World| world.nearest(Point::of_user(user), HOLDERS);
        // Not the nearest one: which of them has it makes no difference.
        let first = nearest(&world)[HOLDERS - 2];
        leave(&mut world, first, user);
        for lost in [0, 3, 2] {
            for host in nearest(&world).into_iter().take(lost) {
                world.lose(host);
            }
            world.run(REPAIRED_MS);
            let near = nearest(&world);
            let lack: Vec<usize> =
                near.into_iter().filter(|host| !has_mail(&world, *host, user)).collect();
            assert!(lack.is_empty(), "SEED={seed}: after {lost} were lost, {lack:?} lack it");
        }
    });
}

#[test]
fn holders_that_have_all_of_it_send_each_other_none_of_it() {
    each_seed("compared", 1, |seed| {
        let mut world = World::grown(seed, 40, Faults::default());
        let user = UserId(world.random_bytes());
        let first = world.nearest(Point::of_user(user), 1)[0];
        leave(&mut world, first, user);
        world.run(REPAIRED_MS);
        let before = with_mail(&world, user);
        world.listen();
        world.run(2 * HOUR_MS);
        let said = world.overheard();
        let asked = |wanted: fn(&Request) -> bool| {
            let asked = said.iter().filter(move |it| it.request().is_some_and(wanted));
            asked.map(|it| it.to)
        };
        let mut given: Vec<usize> = asked(|it| matches!(it, Request::Deposit { .. })).collect();
        given.extend(&before);
        let count = given.len();
        given.sort_unstable();
        given.dedup();
        assert_eq!(given.len(), count, "SEED={seed}: somebody got it who had it");
        // Each pair of those who hold it, about once an hour.
        let (compared, holders) = (
            asked(|it| matches!(it, Request::Compare { .. })).count(),
            with_mail(&world, user).len(),
        );
        let pairs = holders * (holders - 1) / 2;
        assert!((1..=4 * pairs).contains(&compared), "SEED={seed}: {compared} for {pairs} pairs");
    });
}

/// Two who have written to each other.
fn friends(seed: u64, machines: usize) -> (World, History, [Person; 2]) {
    let mut world = World::grown(seed, machines, Faults::default());
    let mut history = History::new();
    let (alice, bob) = (world.person(4), world.person(7));
    world.run(30_000);
    for (from, to) in [(&alice, &bob), (&bob, &alice)] {
        history.send(&mut world, from, to);
        world.run(10_000);
    }
    (world, history, [alice, bob])
}

/// What somebody was told to have received, in that order.
fn received(world: &mut World, who: &Person) -> Vec<bytchat_proto::id::BlockId> {
    let events = world.ask(who, "event.list", json!({ "since": 0, "limit": 500 })).unwrap();
    let events: Events = serde_json::from_value(events).unwrap();
    let received = events.events.into_iter().filter_map(|event| match event.what {
        What::Received(message) => Some(message.id),
        What::State(_) | What::KeyChanged { .. } => None,
    });
    received.collect()
}

#[test]
fn a_device_that_returns_has_all_in_order_in_seconds_though_two_of_five_holders_lie_or_are_gone() {
    each_seed("returns", 2, |seed| {
        let (mut world, mut history, [alice, bob]) = friends(seed, 24);
        world.crash(bob.host);
        let mut sent = Vec::new();
        for _ in 0..60 {
            sent.push(history.send(&mut world, &alice, &bob));
            world.run(500);
        }
        world.run(MINUTE_MS);
        assert!(sent.iter().all(|id| world.state(&alice, *id) == State::Stored), "SEED={seed}");
        let holders = world.nearest(Point::of_user(bob.id), HOLDERS);
        let others: Vec<usize> = holders.into_iter().filter(|it| *it != alice.host).collect();
        world.crash(others[0]);
        world.drop_mail(others[1]);
        // Nobody but holders can bring it.
        world.crash(alice.host);
        world.run(MINUTE_MS);
        let before = world.now_ms();
        world.restart(bob.host);
        while received(&mut world, &bob).len() <= sent.len() {
            world.run(100);
            let ms = world.now_ms() - before;
            let there = received(&mut world, &bob).len();
            assert!(ms < 10_000, "SEED={seed}: {there} of {} after {ms} ms", sent.len() + 1);
        }
        assert_eq!(received(&mut world, &bob)[1..], sent, "SEED={seed}");
        world.restart(alice.host);
        world.run(2 * MINUTE_MS);
        let broken = history.end(&mut world, &[&alice, &bob]);
        assert!(broken.is_empty(), "SEED={seed}: {broken:#?}");
    });
}

#[test]
fn a_device_attaches_to_nearer_nodes_as_they_appear() {
    each_seed("nearer", 1, |seed| {
        let (mut world, _, [_, bob]) = friends(seed, 12);
        let point = Point::of_user(bob.id);
        world.listen();
        while world.nearest(point, 1)[0] < 12 {
            world.add(None, &[0, 1]);
            world.run(5_000);
        }
        let new = world.nearest(point, 1)[0];
        world.run(HOLDERS_REFRESH_MS);
        let attaches = |it: &&bytchat_tests::sim::Overheard| {
            let proves = matches!(it.request(), Some(Request::Prove { .. }));
            proves && (it.from, it.to) == (bob.host, new)
        };
        let said = world.overheard();
        assert_eq!(said.iter().filter(attaches).count(), 1, "SEED={seed}: machine {new}");
    });
}
