//! Short runs, each of which leads nodes into temptation; each gives what a checker has against it.

use std::collections::BTreeSet;

use bytchat_core::persist::Table;
use bytchat_proto::envelope::{ENCAPSULATION_BYTES, Envelope, TAG_BYTES};
use bytchat_proto::id::EnvelopeId;
use bytchat_proto::key::DeviceKey;
use bytchat_proto::limits::{ENVELOPE_CLASS_MIN, NOTICES_PER_USER_MAX, RECORD_TTL_MAX_MS};
use bytchat_proto::point::Point;
use bytchat_proto::record::Record;
use bytchat_proto::timestamp::Timestamp;
use bytchat_proto::wire::{Body, Contacts, Notice, Request, Response};
use bytchat_tests::sim::{Faults, History, Overheard, Person, Stranger, World};
use serde_json::json;

pub(crate) type Broken = BTreeSet<String>;

const MINUTE_MS: u64 = 60_000;
const YEAR_MS: i64 = 365 * 86_400_000;
/// The wall clock of every world starts here.
const EPOCH_MS: u64 = 1_795_219_200_000;

fn two(seed: u64, machines: usize, faults: Faults) -> (World, Person, Person, History) {
    let mut world = World::grown(seed, machines, faults);
    let (alice, bob) = (world.person(4), world.person(6));
    world.run(MINUTE_MS);
    (world, alice, bob, History::new())
}

/// A sender loses its power right after it was told that its message is queued.
pub(crate) fn power_cut(seed: u64) -> Broken {
    let faults = Faults { slow_disks_percent: 100, ..Faults::default() };
    let (mut world, alice, bob, mut history) = two(seed, 8, faults);
    for _ in 0..3 {
        history.send(&mut world, &alice, &bob);
        let ms = world.below(8);
        world.run(ms);
        world.crash(alice.host);
        world.run(35_000);
        world.restart(alice.host);
        world.run(20_000);
    }
    history.settle(&mut world, &[&alice, &bob], 10 * MINUTE_MS);
    history.end(&mut world, &[&alice, &bob])
}

/// Two people are never there at the same time.
pub(crate) fn apart(seed: u64) -> Broken {
    let (mut world, alice, bob, mut history) = two(seed, 8, Faults::default());
    world.crash(bob.host);
    world.run(40_000);
    history.send(&mut world, &alice, &bob);
    history.send(&mut world, &alice, &bob);
    world.run(MINUTE_MS);
    history.follow(&mut world, &[&alice]);
    world.crash(alice.host);
    world.run(40_000);
    world.restart(bob.host);
    world.run(2 * MINUTE_MS);
    if world.texts(&bob).len() < 2 {
        history.broken.insert("mail that was stored does not come".to_owned());
    }
    world.restart(alice.host);
    history.settle(&mut world, &[&alice, &bob], 10 * MINUTE_MS);
    history.end(&mut world, &[&alice, &bob])
}

/// All who hold a message are lost for good, one after the other, and its sender is away.
pub(crate) fn holders_lost(seed: u64) -> Broken {
    let (mut world, alice, bob, mut history) = two(seed, 14, Faults::default());
    world.crash(bob.host);
    world.run(40_000);
    history.send(&mut world, &alice, &bob);
    world.run(2 * MINUTE_MS);
    world.crash(alice.host);
    for host in holding(&world, &[alice.host]) {
        world.lose(host);
        world.run(12 * MINUTE_MS);
    }
    world.restart(bob.host);
    world.run(3 * MINUTE_MS);
    if world.texts(&bob).is_empty() {
        history.broken.insert("mail is lost with those who held it at first".to_owned());
    }
    world.restart(alice.host);
    history.settle(&mut world, &[&alice, &bob], 15 * MINUTE_MS);
    history.end(&mut world, &[&alice, &bob])
}

/// All who hold a message come back with a clock that is a year ahead, and its sender is away.
pub(crate) fn clocks_ahead(seed: u64) -> Broken {
    let (mut world, alice, bob, mut history) = two(seed, 10, Faults::default());
    world.crash(bob.host);
    world.run(40_000);
    history.send(&mut world, &alice, &bob);
    world.run(2 * MINUTE_MS);
    world.crash(alice.host);
    for host in holding(&world, &[alice.host]) {
        world.crash(host);
        world.hosts[host].skew_ms = YEAR_MS;
        world.restart(host);
    }
    world.run(5 * MINUTE_MS);
    world.restart(bob.host);
    world.run(3 * MINUTE_MS);
    if world.texts(&bob).is_empty() {
        history.broken.insert("mail is given up by clocks that are wrong".to_owned());
    }
    world.heal();
    history.settle(&mut world, &[&alice, &bob], 15 * MINUTE_MS);
    history.end(&mut world, &[&alice, &bob])
}

/// A sender writes for the first time while nobody hears it, and nobody is heard.
pub(crate) fn cut_off(seed: u64) -> Broken {
    let (mut world, alice, bob, mut history) = two(seed, 8, Faults::default());
    let others: Vec<usize> = (0..8).filter(|host| *host != alice.host).collect();
    world.cut([alice.host], others.clone());
    world.cut(others, [alice.host]);
    world.run(MINUTE_MS);
    history.send(&mut world, &alice, &bob);
    world.run(3 * MINUTE_MS);
    world.mend();
    history.settle(&mut world, &[&alice, &bob], 15 * MINUTE_MS);
    history.end(&mut world, &[&alice, &bob])
}

/// Long and short letters are written at once, and much is lost on the way.
pub(crate) fn burst(seed: u64) -> Broken {
    let rough = Faults { loss_per_mille: 100, round_trip_ms: 200, ..Faults::default() };
    let (mut world, alice, bob, mut history) = two(seed, 8, rough);
    for _ in 0..6 {
        history.send_long(&mut world, &alice, &bob);
        history.send(&mut world, &alice, &bob);
    }
    history.settle(&mut world, &[&alice, &bob], 10 * MINUTE_MS);
    history.end(&mut world, &[&alice, &bob])
}

/// A stranger lies, repeats what it has heard, and asks for more than it may have.
pub(crate) fn hostile(seed: u64) -> Broken {
    let (mut world, alice, bob, mut history) = two(seed, 8, Faults::default());
    world.listen();
    for name in ["Bob", "Bob the second"] {
        world.ask(&bob, "profile.set", json!({ "name": name })).expect("a name is taken");
        world.run(20_000);
    }
    world.crash(bob.host);
    world.run(40_000);
    history.send(&mut world, &alice, &bob);
    world.run(MINUTE_MS);
    let heard = world.overheard();
    world.restart(bob.host);
    world.run(MINUTE_MS);
    world.crash(bob.host);
    world.run(40_000);
    let point = Point::of_user(bob.id);
    let near = world.nearest(point, 5);
    let host = near.into_iter().find(|host| *host != alice.host).expect("others are there");
    let mut stranger = world.stranger(host);
    world.run(1_000);
    forge(&mut world, &mut stranger, host, &mut history.broken);
    replace(&mut world, &heard, &bob, &mut history.broken);
    repeat(&mut world, &mut stranger, host, &heard, &bob, &mut history.broken);
    exceed(&mut world, &mut stranger, &bob, &mut history.broken);
    world.restart(bob.host);
    history.settle(&mut world, &[&alice, &bob], 15 * MINUTE_MS);
    history.end(&mut world, &[&alice, &bob])
}

fn forge(world: &mut World, stranger: &mut Stranger, host: usize, broken: &mut Broken) {
    let victim = (host + 1) % 3;
    let place = ([10, 99, 99, 9], 9).into();
    let contacts = vec![world.forged_contact(victim, place)];
    world.tells(stranger, Body::Routing(Contacts { contacts }));
    world.run(1_000);
    let target = Point::of_node(world.hosts[victim].id);
    world.asks(stranger, Request::FindNode { target });
    world.run(1_000);
    for answer in world.answers(stranger) {
        let Response::Nodes(Contacts { contacts }) = answer else { continue };
        let records = contacts.iter().filter_map(|contact| contact.peek().ok());
        if records.into_iter().any(|record| record.addresses.contains(&place)) {
            broken.insert("a contact that nobody has signed is handed on".to_owned());
        }
    }
}

/// Says again what was true once: an older record.
fn replace(world: &mut World, heard: &[Overheard], bob: &Person, broken: &mut Broken) {
    let mut profiles = heard.iter().filter_map(Overheard::request).filter_map(|request| {
        let Request::PutRecord { record } = request else { return None };
        is_profile_of(record, bob).then(|| record.clone())
    });
    let record = profiles.next().expect("a profile was put");
    let holder = world.nearest(Point::of_profile(bob.id), 1)[0];
    let mut stranger = world.stranger(holder);
    world.run(1_000);
    world.asks(&mut stranger, Request::PutRecord { record });
    world.run(1_000);
    if world.answers(&stranger).contains(&Response::Done) {
        broken.insert("an older record takes the place of a newer one".to_owned());
    }
}

/// Brings mail again that was removed.
fn repeat(
    world: &mut World,
    stranger: &mut Stranger,
    host: usize,
    heard: &[Overheard],
    bob: &Person,
    broken: &mut Broken,
) {
    let mut requests = heard.iter().filter_map(Overheard::request);
    let mail = requests.find_map(|request| {
        let Request::Deposit { envelope, until, .. } = request else { return None };
        (envelope.user() == bob.id).then(|| (envelope.clone(), *until))
    });
    let (envelope, until) = mail.expect("mail was deposited");
    world.asks(stranger, Request::Deposit { envelope, until, repair: false });
    world.run(1_000);
    world.answers(stranger);
    if world.hosts[host].disk.count(Table::Envelope) > 0 {
        broken.insert("mail that was removed is brought back".to_owned());
    }
}

fn is_profile_of(record: &Record, bob: &Person) -> bool {
    let body = record.peek().expect("it was sent by a node");
    body.slot().is_ok_and(|slot| slot.point == Point::of_profile(bob.id))
}

/// The same mail twice, mail for ever, and more notices than anybody may have.
fn exceed(world: &mut World, stranger: &mut Stranger, bob: &Person, broken: &mut Broken) {
    let device = DeviceKey([7; 32]);
    let sealed = vec![0; ENVELOPE_CLASS_MIN + TAG_BYTES];
    let envelope = Envelope::assemble(bob.id, device, 1, &[3; ENCAPSULATION_BYTES], &sealed);
    let envelope = envelope.expect("it has the right size");
    let until = Timestamp(u64::MAX / 2);
    for _ in 0..2 {
        let envelope = envelope.clone();
        world.asks(stranger, Request::Deposit { envelope, until, repair: false });
        world.run(1_000);
    }
    let latest = Timestamp(EPOCH_MS + world.now_ms() + RECORD_TTL_MAX_MS + 10 * MINUTE_MS);
    for answer in world.answers(stranger) {
        let Response::Receipt { receipt } = answer else { continue };
        if receipt.peek().expect("a receipt can be read").until > latest {
            broken.insert("mail is promised to be kept for ever".to_owned());
        }
    }
    let until = Timestamp(EPOCH_MS + world.now_ms() + RECORD_TTL_MAX_MS / 2);
    for number in 0..NOTICES_PER_USER_MAX + 100 {
        let mut id = [9; 32];
        id[..8].copy_from_slice(&number.to_be_bytes());
        let notice = Notice { user: bob.id, device, envelope: EnvelopeId(id), until };
        world.asks(stranger, Request::Notify { notice });
        world.run(10);
    }
    world.run(1_000);
    world.answers(stranger);
}

/// The machines that are up and hold mail, but for some.
fn holding(world: &World, except: &[usize]) -> Vec<usize> {
    let up = (0..world.hosts.len()).filter(|host| world.is_up(*host) && !except.contains(host));
    up.filter(|host| world.hosts[*host].disk.count(Table::Envelope) > 0).collect()
}
