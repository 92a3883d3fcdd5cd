//! Floods: neither a mailbox that is full at its holders nor garbage at a device's own node stops
//! the mail of contacts.

use bytchat_core::persist::{Table, Write};
use bytchat_proto::envelope::{ENCAPSULATION_BYTES, Envelope, TAG_BYTES};
use bytchat_proto::id::UserId;
use bytchat_proto::key::DeviceKey;
use bytchat_proto::limits::{
    ENVELOPE_CLASS_MAX, ENVELOPE_CLASS_MIN, ENVELOPES_PER_USER_MAX, GARBAGE_TOKENS_MAX,
    GARBAGE_TOKENS_PER_SECOND, GARBAGE_TOKENS_PER_SECOND_PER_NODE, RECORD_TTL_MAX_MS, WRITE_QUORUM,
};
use bytchat_proto::point::Point;
use bytchat_proto::rpc::message::State;
use bytchat_proto::timestamp::Timestamp;
use bytchat_proto::wire::{Body, Refusal, Request, Response};
use bytchat_tests::sim::{Faults, History, Person, Stranger, World, each_seed};

/// Fills the room that a machine keeps for a user, as a flood from very many places would.
fn fill(world: &mut World, host: usize, user: UserId) {
    world.crash(host);
    let until = u64::MAX / 2;
    let write = |number: usize| {
        let mut sealed = vec![0; ENVELOPE_CLASS_MIN + TAG_BYTES];
        sealed[..8].copy_from_slice(&number.to_be_bytes());
        let device = DeviceKey([7; 32]);
        let envelope = Envelope::assemble(user, device, 1, &[3; ENCAPSULATION_BYTES], &sealed);
        let envelope = envelope.expect("it has the right size");
        let (id, arrival) = (envelope.id(), (number as u64 + 1).to_be_bytes());
        let key = [user.as_bytes(), device.as_bytes(), &arrival, id.as_bytes()].concat();
        let mut source = [0; 28];
        source[..8].copy_from_slice(&number.to_be_bytes());
        let value = [&until.to_be_bytes(), source.as_slice(), envelope.as_bytes()].concat();
        Write::Put { table: Table::Envelope, key, value }
    };
    world.hosts[host].disk.commit((0..ENVELOPES_PER_USER_MAX).map(write).collect());
    world.restart(host);
}

#[test]
fn mail_of_a_contact_goes_to_the_next_holders_when_the_nearest_are_full() {
    each_seed("flood", 1, |seed| {
        let mut world = World::grown(seed, 14, Faults::default());
        let mut history = History::new();
        let (alice, bob) = (world.person(4), world.person(7));
        world.run(30_000);
        history.send(&mut world, &alice, &bob);
        world.run(30_000);
        let point = Point::of_user(bob.id);
        let distance =
            |world: &World, host: usize| Point::of_node(world.hosts[host].id).distance(point);
        let mut near: Vec<usize> = (0..14).filter(|host| ![4, 7].contains(host)).collect();
        near.sort_by_key(|host| distance(&world, *host));
        for host in &near[..WRITE_QUORUM] {
            fill(&mut world, *host, bob.id);
        }
        world.crash(bob.host);
        // Everybody has noticed by then that the old links are dead.
        world.run(45_000);
        let id = history.send(&mut world, &alice, &bob);
        world.run(60_000);
        let trace = world.trace(&alice, id);
        assert_eq!(world.state(&alice, id), State::Stored, "{trace:#}");
        assert!(trace.to_string().contains("this node holds as much for this user"), "{trace:#}");
        world.restart(bob.host);
        world.run(60_000);
        assert_eq!(world.state(&alice, id), State::Delivered, "{trace:#}");
        let broken = history.end(&mut world, &[&alice, &bob]);
        assert!(broken.is_empty(), "SEED={seed}: {broken:#?}");
    });
}

/// The device of somebody and the key to which mail for it is sealed, as a real letter names them.
fn overheard(world: &mut World, of: &Person) -> (DeviceKey, u32) {
    let deposits = world.overheard().into_iter().filter_map(|heard| match heard.body {
        Body::Request(Request::Deposit { envelope, .. }) => Some(envelope),
        Body::Hello(_)
        | Body::NetworkProof(_)
        | Body::Request(_)
        | Body::Response(_)
        | Body::Routing(_)
        | Body::Delivery(_)
        | Body::Notice(_) => None,
    });
    let mut letters = deposits.filter(|envelope| envelope.user() == of.id);
    let letter = letters.next().expect("somebody has written");
    (letter.device(), letter.kem_id())
}

/// The largest envelope that there is, with nothing in it.
fn garbage(number: usize, user: UserId, (device, kem): (DeviceKey, u32)) -> Request {
    let mut sealed = vec![0; ENVELOPE_CLASS_MAX + TAG_BYTES];
    sealed[..8].copy_from_slice(&number.to_be_bytes());
    let envelope = Envelope::assemble(user, device, kem, &[3; ENCAPSULATION_BYTES], &sealed);
    let envelope = envelope.expect("it has the right size");
    // The simulated clocks of the wall are before that time.
    let until = Timestamp(1_795_219_200_000 + RECORD_TTL_MAX_MS / 2);
    Request::Deposit { envelope, until, repair: false }
}

/// What the answers say: how often it was tried to open something, and how often not.
fn count(world: &mut World, strangers: &[Stranger]) -> (u64, u64) {
    let (mut tried, mut refused) = (0, 0);
    for stranger in strangers {
        for answer in world.answers(stranger) {
            let Response::Refused { reason, .. } = answer else { panic!("{answer:?}") };
            assert!(matches!(reason, Refusal::Malformed | Refusal::Busy), "{reason:?}");
            tried += u64::from(reason == Refusal::Malformed);
            refused += u64::from(reason == Refusal::Busy);
        }
    }
    (tried, refused)
}

/// Whether all that somebody has brought straight to somebody's node was let in.
fn is_brought_at_once(world: &mut World, from: &Person, to: &Person) -> bool {
    let (mut brought, mut refused) = (0, 0);
    for heard in world.overheard() {
        let ends = (heard.from, heard.to);
        if let Body::Request(Request::Deposit { .. }) = heard.body {
            brought += usize::from(ends == (from.host, to.host));
        } else if let Body::Response(Response::Refused { reason: Refusal::Busy, .. }) = heard.body {
            refused += usize::from(ends == (to.host, from.host));
        }
    }
    brought > 0 && refused == 0
}

#[test]
fn garbage_of_many_links_is_tried_at_a_bounded_pace_and_a_contacts_mail_arrives() {
    each_seed("garbage", 1, |seed| {
        let mut world = World::grown(seed, 8, Faults::default());
        let mut history = History::new();
        let (alice, bob) = (world.person(4), world.person(7));
        world.run(30_000);
        world.listen();
        history.send(&mut world, &bob, &alice);
        history.send(&mut world, &alice, &bob);
        world.run(30_000);
        let sealed_to = overheard(&mut world, &bob);
        history.send(&mut world, &alice, &bob);
        world.run(10_000);
        let ten = 10 * GARBAGE_TOKENS_PER_SECOND_PER_NODE;
        // Each is another one: what has failed before is not tried again, and costs nothing.
        let mut number = 0;
        for (links, seconds, last) in [(10, 12, ten), (40, 4, GARBAGE_TOKENS_PER_SECOND)] {
            let mut strangers: Vec<Stranger> = (0..links).map(|_| world.stranger(7)).collect();
            world.run(1_000);
            let (mut tried, mut refused, mut sent) = (0, 0, Vec::new());
            for second in 0..seconds {
                for _ in 0..1_000 {
                    let stranger = &mut strangers[number % links];
                    number += 1;
                    world.asks(stranger, garbage(number, bob.id, sealed_to));
                    world.run(1);
                }
                let (more, less) = count(&mut world, &strangers);
                (tried, refused) = (tried + more, refused + less);
                // What was saved is gone after the first second, and each node's after some more.
                // A token can be a fraction older than the second.
                let saved = if second == 0 { GARBAGE_TOKENS_MAX } else { 0 };
                assert!(more <= saved + GARBAGE_TOKENS_PER_SECOND + 1, "{more} in one second");
                assert!(second + 1 < seconds || more <= last + 1, "{more} in the last second");
                if second + 1 < seconds {
                    sent.push(history.send(&mut world, &alice, &bob));
                }
            }
            assert!(tried > 0 && refused > tried, "{tried} were tried, {refused} refused");
            for id in sent {
                let trace = world.trace(&alice, id);
                assert_eq!(world.state(&alice, id), State::Delivered, "{trace:#}");
            }
            assert!(is_brought_at_once(&mut world, &alice, &bob));
            world.run(10_000);
        }
        let broken = history.end(&mut world, &[&alice, &bob]);
        assert!(broken.is_empty(), "SEED={seed}: {broken:#?}");
    });
}
