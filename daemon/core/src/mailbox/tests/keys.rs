//! Tests of one-time keys.

use bytchat_proto::envelope::OneTimeKey;
use bytchat_proto::limits::{
    DEVICES_PER_USER_MAX, KEY_TAKES_PER_MINUTE_MAX, MINUTE_MS, ONE_TIME_KEY_TTL_MS,
};

use super::*;

fn key(device: &Device, number: u8, now: Now) -> OneTimeKey {
    OneTimeKey {
        device: device.signer.device(),
        holder: OWN,
        key: ByteBuf::from(vec![number; 32]),
        expires: now.wall.plus_ms(ONE_TIME_KEY_TTL_MS),
    }
}

fn put(device: &Device, keys: &[OneTimeKey]) -> Request {
    let sign = |key| Unverified::sign(key, |digest| device.signer.sign(digest));
    Request::PutKeys { user: device.user(), keys: keys.iter().map(sign).collect() }
}

fn batch(device: &Device, numbers: std::ops::Range<u8>, now: Now) -> Request {
    let keys: Vec<OneTimeKey> = numbers.map(|number| key(device, number, now)).collect();
    put(device, &keys)
}

/// Takes keys over a link: the first byte of each.
fn take(world: &mut World, link: u64, user: UserId) -> Vec<u8> {
    let response = world.ask(link, &Request::TakeKeys { user });
    let Response::Keys { keys } = response else {
        panic!("expected keys, got {response:?}");
    };
    keys.iter().map(|key| key.peek().unwrap().key[0]).collect()
}

#[test]
fn each_key_is_handed_out_once_and_one_for_each_device() {
    let mut world = World::new();
    let (phone, tablet) = (Device::new(0, 1), Device::new(0, 2));
    world.attach(1, &phone);
    world.attach(2, &tablet);
    assert_eq!(world.ask(1, &batch(&phone, 0..3, world.now)), Response::Done);
    assert_eq!(world.ask(2, &batch(&tablet, 10..11, world.now)), Response::Done);
    let user = phone.user();
    let mut all = take(&mut world, 9, user);
    assert_eq!(all.len(), 2);
    all.extend(take(&mut world, 9, user));
    all.extend(take(&mut world, 9, user));
    assert!(take(&mut world, 9, user).is_empty());
    all.sort_unstable();
    assert_eq!(all, [0, 1, 2, 10]);
}

#[test]
fn a_key_is_spent_on_disk_before_the_answer_and_never_comes_back() {
    let (mut world, alice) = (World::new(), Device::new(0, 1));
    world.attach(1, &alice);
    let keys = batch(&alice, 0..2, world.now);
    world.ask(1, &keys);
    let user = alice.user();
    world.ask_only(9, &Request::TakeKeys { user });
    assert!(matches!(world.out.poll(), Some(Output::Persist(writes)) if writes.len() == 1));
    world.restart();
    assert_eq!(take(&mut world, 9, user), [0]);
    world.restart();
    world.attach(1, &alice);
    assert_eq!(world.ask(1, &keys), Response::Done);
    assert_eq!(world.attach(1, &alice), (0, 1));
    assert_eq!(take(&mut world, 9, user), [1]);
    assert!(take(&mut world, 9, user).is_empty());
}

#[test]
fn only_an_attached_device_puts_its_own_good_keys() {
    let mut world = World::new();
    let (alice, tablet, bob) = (Device::new(0, 1), Device::new(0, 2), Device::new(1, 3));
    let now = world.now;
    let good = key(&alice, 1, now);
    let fine = put(&alice, std::slice::from_ref(&good));
    assert_eq!(reason(&world.ask(1, &fine)), Refusal::NotAttached);
    world.attach(1, &alice);
    world.attach(2, &bob);
    assert_eq!(reason(&world.ask(2, &fine)), Refusal::NotAttached);
    type Change = fn(&mut OneTimeKey);
    let changes: [(Change, Refusal); 6] = [
        (|key| key.holder = NodeId([1; 20]), Refusal::BadSignature),
        (|key| key.key.truncate(31), Refusal::Malformed),
        (|key| key.expires = at(0).wall, Refusal::Expired),
        (|key| key.expires = Timestamp(u64::MAX), Refusal::Malformed),
        (|key| key.device = DeviceKey([9; 32]), Refusal::NotAttached),
        (|key| key.device = Signer::new(2).device(), Refusal::NotAttached),
    ];
    for (change, expected) in changes {
        let mut bad = good.clone();
        change(&mut bad);
        let mixed = put(&alice, &[key(&alice, 2, now), bad]);
        assert_eq!(reason(&world.ask(1, &mixed)), expected);
    }
    let forged = Request::PutKeys {
        user: alice.user(),
        keys: vec![Unverified::sign(&good, |digest| tablet.signer.sign(digest))],
    };
    assert_eq!(reason(&world.ask(1, &forged)), Refusal::BadSignature);
    let junk = Request::PutKeys {
        user: alice.user(),
        keys: vec![Unverified::assemble(vec![1, 2, 3], vec![])],
    };
    assert_eq!(reason(&world.ask(1, &junk)), Refusal::Malformed);
    assert!(take(&mut world, 9, alice.user()).is_empty());
    assert_eq!(world.rows(Table::Prekey), 0);
    assert_eq!(world.ask(1, &fine), Response::Done);
}

#[test]
fn a_batch_replaces_the_oldest_and_quotas_hold() {
    let mut world = World::with_limits(Limits {
        keys_per_device: 4,
        keys: 6,
        keys_spent: 3,
        ..Limits::default()
    });
    let (alice, bob) = (Device::new(0, 1), Device::new(1, 2));
    let now = world.now;
    world.attach(1, &alice);
    world.attach(2, &bob);
    assert_eq!(reason(&world.ask(1, &batch(&alice, 0..5, now))), Refusal::Malformed);
    world.ask(1, &batch(&alice, 0..4, now));
    assert_eq!(world.ask(1, &batch(&alice, 4..7, now)), Response::Done);
    assert_eq!(world.attach(1, &alice), (0, 4));
    assert_eq!(reason(&world.ask(2, &batch(&bob, 0..3, now))), Refusal::Full);
    assert_eq!(world.ask(2, &batch(&bob, 0..2, now)), Response::Done);
    assert_eq!(world.mailbox.keys.live_count(), 6);
    assert_eq!(world.rows(Table::Prekey), 6);
    let user = alice.user();
    let taken: Vec<u8> = (0..4).flat_map(|_| take(&mut world, 9, user)).collect();
    assert_eq!(taken, [3, 4, 5, 6]);
    assert_eq!(world.mailbox.keys.spent_count(), 3);
    assert_eq!(world.rows(Table::Prekey), 5);
}

#[test]
fn a_user_has_keys_of_so_many_devices_only() {
    let mut world = World::new();
    for number in 1..=u8::try_from(DEVICES_PER_USER_MAX + 1).unwrap() {
        let device = Device::new(0, number);
        world.attach(1, &device);
        let answer = world.ask(1, &batch(&device, 0..1, world.now));
        let many = usize::from(number) > DEVICES_PER_USER_MAX;
        assert_eq!(matches!(answer, Response::Refused { .. }), many);
        world.mailbox.link_down(LinkId(1));
    }
    let user = Account::of(0).key.user();
    assert_eq!(take(&mut world, 9, user).len(), DEVICES_PER_USER_MAX);
}

#[test]
fn keys_end_and_those_of_a_revoked_device_go_at_once() {
    let mut world = World::new();
    let (phone, tablet) = (Device::new(0, 1), Device::new(0, 2));
    world.attach(1, &phone);
    world.attach(2, &tablet);
    world.ask(1, &batch(&phone, 0..3, world.now));
    world.ask(2, &batch(&tablet, 10..13, world.now));
    let user = phone.user();
    world.mailbox.revoke(user, &[tablet.signer.device()], &mut world.out);
    assert_eq!(take(&mut world, 9, user), [0]);
    assert_eq!(world.rows(Table::Prekey), 3);
    world.advance(ONE_TIME_KEY_TTL_MS);
    assert!(take(&mut world, 9, user).is_empty());
    world.wait(MINUTE_MS);
    assert!(world.disk.is_empty());
    assert_eq!(world.mailbox.keys.live_count() + world.mailbox.keys.spent_count(), 0);
}

#[test]
fn a_link_takes_keys_so_often_in_a_minute() {
    let (mut world, alice) = (World::new(), Device::new(0, 1));
    let user = alice.user();
    for _ in 0..KEY_TAKES_PER_MINUTE_MAX {
        take(&mut world, 9, user);
    }
    let more = world.ask(9, &Request::TakeKeys { user });
    assert_eq!(reason(&more), Refusal::Busy);
    take(&mut world, 8, user);
    world.wait(MINUTE_MS);
    take(&mut world, 9, user);
}
