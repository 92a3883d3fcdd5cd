//! Floods: a mailbox that is full at its holders does not stop the mail of contacts.

use bytchat_core::persist::{Table, Write};
use bytchat_proto::envelope::{ENCAPSULATION_BYTES, Envelope, TAG_BYTES};
use bytchat_proto::id::UserId;
use bytchat_proto::key::DeviceKey;
use bytchat_proto::limits::{ENVELOPE_CLASS_MIN, ENVELOPES_PER_USER_MAX, WRITE_QUORUM};
use bytchat_proto::point::Point;
use bytchat_proto::rpc::message::State;
use bytchat_tests::sim::{Faults, History, World, each_seed};

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
