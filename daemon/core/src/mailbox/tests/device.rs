//! Tests of attaching, pushing, fetching and notices.

use std::collections::BTreeSet;

use bytchat_proto::limits::{
    ACCOUNTS_MAX, CHALLENGE_MS, DEVICES_PER_USER_MAX, HOUR_MS, IDS_PER_REQUEST_MAX, LINKS_MAX,
    MAILBOX_LOAD_RETRY_MS, MAILBOX_LOADS_MAX, NOTICE_PAGE_MS, NOTICES_PER_PAGE_MAX,
    PUSH_AGAIN_MAX_MS, PUSH_AGAIN_MS, PUSH_AGAIN_PACE_MS, PUSHES_IN_FLIGHT_MAX,
    PUSHES_PER_LOAD_MAX,
};

use super::*;

#[test]
fn a_device_gets_what_waits_in_the_order_of_arrival_and_then_what_comes() {
    let (mut world, alice) = (World::new(), Device::new(0, 1));
    let mail = envelopes(&alice, 0, 12);
    for envelope in &mail[..10] {
        world.deposit(envelope);
    }
    world.deposit(&Device::new(0, 2).envelope(50));
    assert_eq!(world.attach(1, &alice), (10, 0));
    world.deposit(&mail[10]);
    world.deposit(&mail[11]);
    assert!(world.pushed.iter().all(|(link, _)| *link == 1));
    assert_eq!(world.pushed(), ids(&mail));
}

#[test]
fn pushes_wait_for_removals_once_the_window_is_full() {
    let (mut world, alice) = (World::new(), Device::new(0, 1));
    let mail = envelopes(&alice, 0, PUSHES_IN_FLIGHT_MAX + 20);
    let all = ids(&mail);
    for envelope in &mail[..PUSHES_IN_FLIGHT_MAX + 10] {
        world.deposit(envelope);
    }
    world.attach(1, &alice);
    assert_eq!(world.pushed(), all[..PUSHES_IN_FLIGHT_MAX]);
    for envelope in &mail[PUSHES_IN_FLIGHT_MAX + 10..] {
        world.deposit(envelope);
    }
    assert_eq!(world.pushed(), []);
    world.remove(1, &alice, &all[..5]);
    world.remove(1, &alice, &all[5..PUSHES_IN_FLIGHT_MAX]);
    assert_eq!(world.pushed(), all[PUSHES_IN_FLIGHT_MAX..]);
}

#[test]
fn what_was_pushed_and_not_removed_is_pushed_again_at_once_only_on_another_attach() {
    let (mut world, alice) = (World::new(), Device::new(0, 1));
    let mail = ids(&envelopes(&alice, 0, 3));
    for envelope in envelopes(&alice, 0, 3) {
        world.deposit(&envelope);
    }
    world.attach(1, &alice);
    world.remove(1, &alice, &mail[..1]);
    assert_eq!(world.pushed(), mail);
    world.mailbox.link_down(LinkId(1));
    assert_eq!(world.mailbox.attached_count(), 0);
    world.attach(2, &alice);
    assert_eq!(world.pushed(), mail[1..]);
}

#[test]
fn the_newest_link_of_a_device_gets_its_mail() {
    let (mut world, alice) = (World::new(), Device::new(0, 1));
    world.attach(1, &alice);
    world.attach(2, &alice);
    assert_eq!(world.mailbox.attached_count(), 1);
    world.mailbox.link_down(LinkId(1));
    world.deposit(&alice.envelope(1));
    assert_eq!(world.pushed, [(2, alice.envelope(1).id())]);
}

#[test]
fn several_devices_attach_over_one_link() {
    let mut world = World::new();
    let (alice, bob) = (Device::new(0, 1), Device::new(1, 2));
    world.attach(1, &alice);
    world.attach(1, &bob);
    world.deposit(&bob.envelope(1));
    world.deposit(&alice.envelope(2));
    assert_eq!(world.pushed(), [bob.envelope(1).id(), alice.envelope(2).id()]);
    world.remove(1, &alice, &[alice.envelope(2).id()]);
    world.mailbox.link_down(LinkId(1));
    world.deposit(&bob.envelope(3));
    assert_eq!(world.pushed(), []);
}

#[test]
fn a_proof_is_good_for_one_user_holder_nonce_link_and_device() {
    let mut world = World::new();
    let (alice, bob) = (Device::new(0, 1), Device::new(1, 2));
    world.deposit(&alice.envelope(1));
    let changes: [fn(&mut AttachProof); 5] = [
        |proof| proof.user = UserId([0; 20]),
        |proof| proof.device = DeviceKey([0; 32]),
        |proof| proof.holder = NodeId([8; 20]),
        |proof| proof.nonce[0] ^= 1,
        |proof| proof.binding = ByteBuf::from(binding_of(2).to_vec()),
    ];
    for change in changes {
        let nonce = world.challenge(1, alice.user());
        let mut proof = alice.proof(&nonce, 1);
        change(&mut proof);
        let answer = world.ask(1, &alice.prove(&proof));
        assert_eq!(reason(&answer), Refusal::BadSignature);
        // The challenge is used up by the first answer, good or bad.
        let second = world.ask(1, &alice.prove(&alice.proof(&nonce, 1)));
        assert_eq!(reason(&second), Refusal::NotAttached);
    }
    let nonce = world.challenge(1, alice.user());
    let wrong = world.ask(1, &bob.prove(&bob.proof(&nonce, 1)));
    assert_eq!(reason(&wrong), Refusal::BadSignature);
    let nonce = world.challenge(1, alice.user());
    let stolen = Unverified::sign(&alice.proof(&nonce, 1), |digest| bob.signer.sign(digest));
    let forged = Request::Prove {
        account: Account::of(0).key.clone(),
        certificate: alice.certificate.clone(),
        proof: stolen,
    };
    assert_eq!(reason(&world.ask(1, &forged)), Refusal::BadSignature);
    let nonce = world.challenge(1, alice.user());
    let claimed = Request::Prove {
        account: Account::of(0).key.clone(),
        certificate: bob.certificate.clone(),
        proof: Unverified::sign(&bob.proof(&nonce, 1), |digest| bob.signer.sign(digest)),
    };
    assert_eq!(reason(&world.ask(1, &claimed)), Refusal::BadSignature);
    assert_eq!((world.mailbox.attached_count(), world.pushed()), (0, vec![]));
}

#[test]
fn a_proof_cannot_be_replayed_on_its_own_link_or_carried_to_another() {
    let (mut world, alice) = (World::new(), Device::new(0, 1));
    let nonce = world.challenge(1, alice.user());
    let proof = alice.prove(&alice.proof(&nonce, 1));
    assert_eq!(reason(&world.ask(2, &proof)), Refusal::NotAttached);
    world.challenge(2, alice.user());
    assert_eq!(reason(&world.ask(2, &proof)), Refusal::BadSignature);
    assert!(matches!(world.ask(1, &proof), Response::Attached { .. }));
    assert_eq!(reason(&world.ask(1, &proof)), Refusal::NotAttached);
    let other = world.challenge(1, alice.user());
    assert_ne!(nonce, other);
    assert_eq!(reason(&world.ask(1, &proof)), Refusal::BadSignature);
}

#[test]
fn a_challenge_is_good_for_a_short_time_and_a_new_one_replaces_it() {
    let (mut world, alice) = (World::new(), Device::new(0, 1));
    let nonce = world.challenge(1, alice.user());
    world.wait(CHALLENGE_MS);
    let late = world.ask(1, &alice.prove(&alice.proof(&nonce, 1)));
    assert_eq!(reason(&late), Refusal::Expired);
    let old = world.challenge(1, alice.user());
    world.challenge(1, alice.user());
    let replaced = world.ask(1, &alice.prove(&alice.proof(&old, 1)));
    assert_eq!(reason(&replaced), Refusal::BadSignature);
    let nonce = world.challenge(1, alice.user());
    world.wait(CHALLENGE_MS - 1);
    let in_time = world.ask(1, &alice.prove(&alice.proof(&nonce, 1)));
    assert!(matches!(in_time, Response::Attached { .. }));
}

#[test]
fn challenges_and_attached_devices_are_bounded() {
    let mut world = World::with_limits(Limits { attached: 2, ..Limits::default() });
    let devices: Vec<Device> = (1..4).map(|number| Device::new(0, number)).collect();
    world.attach(1, &devices[0]);
    world.attach(2, &devices[1]);
    let nonce = world.challenge(3, devices[2].user());
    let third = world.ask(3, &devices[2].prove(&devices[2].proof(&nonce, 3)));
    assert_eq!(reason(&third), Refusal::Full);
    world.attach(3, &devices[1]);
    let user = devices[0].user();
    let attach = Request::Attach { user };
    let open = (10..).take(LINKS_MAX).map(|link| world.ask(link, &attach));
    let refused = open.filter(|answer| matches!(answer, Response::Refused { .. }));
    assert_eq!(refused.count(), 3);
    world.wait(60_000);
    assert!(matches!(world.ask(9_999, &attach), Response::Challenge { .. }));
    world.deposit(&devices[0].envelope(1));
    assert_eq!(world.pushed.len(), 1);
}

#[test]
fn one_link_cannot_take_all_places() {
    let mut world = World::new();
    let first = Device::new(0, 1);
    world.attach(1, &first);
    for number in 1..ACCOUNTS_MAX {
        let device = DeviceKey([u8::try_from(number).unwrap(); 32]);
        let user = UserId([u8::try_from(number).unwrap(); 20]);
        let from = source(1_000 + u64::try_from(number).unwrap(), None);
        world.mailbox.attachments.attach(LinkId(1), Owner { user, device }, from);
    }
    let more = Device::new(0, 250);
    let nonce = world.challenge(1, more.user());
    let answer = world.ask(1, &more.prove(&more.proof(&nonce, 1)));
    assert_eq!(reason(&answer), Refusal::Full);
    world.attach(1, &first);
    world.attach(2, &more);
}

/// Answers a challenge for a device, which may be refused.
fn try_attach(world: &mut World, link: u64, device: &Device) -> Response {
    let nonce = world.challenge(link, device.user());
    let proof = device.proof(&nonce, link);
    world.ask(link, &device.prove(&proof))
}

#[test]
fn one_account_cannot_take_all_places() {
    let mut world = World::new();
    let count = u8::try_from(DEVICES_PER_USER_MAX).unwrap();
    for number in 1..=count {
        world.attach(u64::from(number), &Device::new(0, number));
    }
    let answer = try_attach(&mut world, 99, &Device::new(0, count + 1));
    assert_eq!(reason(&answer), Refusal::Full);
    // A device that comes back has its place, and others have theirs.
    world.attach(100, &Device::new(0, 1));
    world.attach(101, &Device::new(1, 1));
    world.mailbox.link_down(LinkId(2));
    world.attach(102, &Device::new(0, count + 1));
}

#[test]
fn one_source_cannot_take_all_places() {
    let mut world = World::with_limits(Limits { attached: 100, ..Limits::default() });
    let from = source(1, None);
    let owner = |number: u8| Owner { user: UserId([number; 20]), device: DeviceKey([number; 32]) };
    let attachments = &mut world.mailbox.attachments;
    let mut attach = |link, number, from| {
        let full = attachments.full(LinkId(link), owner(number), from, 100);
        if full.is_none() {
            attachments.attach(LinkId(link), owner(number), from);
        }
        full
    };
    let taken = (0..100).take_while(|number| attach(1, *number, from).is_none()).count();
    assert_eq!(taken, 11);
    assert_eq!(attach(1, 0, from), None, "who comes back keeps its place");
    // To move a place to another source frees the first, and uses up the second.
    let other = source(2, None);
    assert!((0..11).all(|number| attach(2, number, other).is_none()));
    assert!((11..22).all(|number| attach(1, number, from).is_none() || number > 20));
    assert!(attach(2, 11, other).is_some());
    assert_eq!(attach(3, 200, source(3, None)), None);
}

#[test]
fn who_is_not_near_a_user_attaches_no_device_of_it_unless_its_mail_lies_here() {
    let (mut world, alice) = (World::new(), Device::new(0, 1));
    world.near = false;
    assert_eq!(reason(&try_attach(&mut world, 1, &alice)), Refusal::NotClosest);
    world.near = true;
    world.deposit(&alice.envelope(1));
    world.near = false;
    assert_eq!(world.attach(1, &alice), (1, 0));
}

#[test]
fn only_an_attached_device_fetches_and_only_its_own() {
    let mut world = World::new();
    let (alice, tablet) = (Device::new(0, 1), Device::new(0, 2));
    let mail = envelopes(&alice, 0, 3);
    for envelope in &mail {
        world.deposit(envelope);
    }
    let fetch = |envelopes: &[EnvelopeId]| Request::Fetch {
        user: alice.user(),
        envelopes: envelopes.to_vec(),
    };
    let again = fetch(&[mail[2].id(), mail[0].id(), EnvelopeId([0; 32])]);
    assert_eq!(reason(&world.ask(1, &again)), Refusal::NotAttached);
    world.attach(1, &alice);
    world.attach(2, &tablet);
    assert_eq!(world.pushed(), ids(&mail));
    assert_eq!(world.ask(1, &again), Response::Done);
    assert_eq!(world.pushed, [(1, mail[2].id()), (1, mail[0].id())]);
    assert_eq!(reason(&world.ask(2, &again)), Refusal::NotFound);
    assert_eq!(reason(&world.ask(3, &again)), Refusal::NotAttached);
    let many = fetch(&vec![mail[0].id(); IDS_PER_REQUEST_MAX + 1]);
    assert_eq!(reason(&world.ask(1, &many)), Refusal::Malformed);
    let many = alice.removal(&vec![mail[0].id(); IDS_PER_REQUEST_MAX + 1]);
    assert_eq!(reason(&world.ask(1, &many)), Refusal::Malformed);
}

#[test]
fn notices_are_played_back_in_order_until_their_envelope_is_removed() {
    let mut world = World::with_limits(Limits { notices_per_user: 3, ..Limits::default() });
    let (alice, bob) = (Device::new(0, 1), Device::new(1, 2));
    let until = world.in_days(2);
    let notify = |device: &Device, number| Request::Notify { notice: device.notice(number, until) };
    let id = |number| alice.envelope(number).id();
    for number in [3, 1, 1, 2] {
        assert_eq!(world.ask(9, &notify(&alice, number)), Response::Done);
    }
    assert_eq!(reason(&world.ask(9, &notify(&alice, 4))), Refusal::Full);
    assert_eq!(world.ask(9, &notify(&bob, 4)), Response::Done);
    world.restart();
    world.attach(1, &alice);
    assert_eq!(world.notices, [(1, id(3)), (1, id(1)), (1, id(2))]);
    world.remove(1, &alice, &[id(1), id(2)]);
    assert_eq!(world.ask(9, &notify(&alice, 1)), Response::Done);
    assert_eq!(world.ask(9, &notify(&alice, 5)), Response::Done);
    assert_eq!(world.notices.last(), Some(&(1, id(5))));
    world.notices.clear();
    world.attach(2, &alice);
    assert_eq!(world.notices, [(2, id(3)), (2, id(5))]);
    world.wait(2 * DAY_MS);
    assert_eq!((world.mailbox.notices.len(), world.rows(Table::Notice)), (0, 0));
    let over = world.ask(9, &notify(&alice, 6));
    assert_eq!(reason(&over), Refusal::Expired);
}

#[test]
fn notices_come_in_pages_over_each_link_and_devices_take_turns() {
    let mut world = World::new();
    let (alice, bob) = (Device::new(0, 1), Device::new(1, 2));
    let until = world.in_days(2);
    let count = 5 * NOTICES_PER_PAGE_MAX;
    for number in (0..).take(count) {
        for device in [&alice, &bob] {
            let notify = Request::Notify { notice: device.notice(number, until) };
            assert_eq!(world.ask(9, &notify), Response::Done);
        }
    }
    world.attach(1, &alice);
    world.attach(1, &bob);
    let to_alice = ids(&envelopes(&alice, 0, count + 1));
    let told = |world: &mut World| {
        let told: Vec<EnvelopeId> = world.notices.drain(..).map(|(_, id)| id).collect();
        let (first, second) = told.iter().partition(|id| to_alice.contains(id));
        (first, second)
    };
    let (mut first, second): (Vec<EnvelopeId>, Vec<EnvelopeId>) = told(&mut world);
    assert_eq!((&first[..], second.len()), (&to_alice[..NOTICES_PER_PAGE_MAX], 0));
    // What comes now waits for its turn.
    let last = u32::try_from(count).unwrap();
    let notify = Request::Notify { notice: alice.notice(last, until) };
    assert_eq!(world.ask(9, &notify), Response::Done);
    assert!(world.notices.is_empty());
    let (mut pages, mut to_bob) = (1, 0);
    while first.len() + to_bob < 2 * count + 1 {
        world.wait(NOTICE_PAGE_MS);
        let (more, second) = told(&mut world);
        assert!((1..=NOTICES_PER_PAGE_MAX).contains(&(more.len() + second.len())));
        assert!(!second.is_empty(), "each has its turn");
        first.extend(more);
        to_bob += second.len();
        pages += 1;
    }
    assert_eq!((first, pages), (to_alice, (2 * count + 1).div_ceil(NOTICES_PER_PAGE_MAX)));
    assert_eq!(world.mailbox.pages.len(), 1);
    world.mailbox.link_down(LinkId(1));
    assert_eq!(world.mailbox.pages.len(), 0);
}

#[test]
fn what_is_fetched_has_its_place_in_the_window() {
    let (mut world, alice) = (World::new(), Device::new(0, 1));
    let mail = envelopes(&alice, 0, PUSHES_IN_FLIGHT_MAX + 20);
    let all = ids(&mail);
    for envelope in &mail {
        world.deposit(envelope);
    }
    world.attach(1, &alice);
    assert_eq!(world.pushed(), all[..PUSHES_IN_FLIGHT_MAX]);
    let fetch = |ids: &[EnvelopeId]| {
        let (user, envelopes) = (alice.user(), ids.to_vec());
        Request::Fetch { user, envelopes }
    };
    // What is under way is pushed again, and what waits waits.
    assert_eq!(world.ask(1, &fetch(&all[..2])), Response::Done);
    assert_eq!(world.pushed(), all[..2]);
    assert_eq!(world.ask(1, &fetch(&all[PUSHES_IN_FLIGHT_MAX + 15..])), Response::Done);
    assert_eq!(world.pushed(), []);
    world.remove(1, &alice, &all[..1]);
    assert_eq!(world.pushed(), all[PUSHES_IN_FLIGHT_MAX + 15..PUSHES_IN_FLIGHT_MAX + 16]);
}

#[test]
fn a_revoked_device_is_detached() {
    let (mut world, alice) = (World::new(), Device::new(0, 1));
    world.attach(1, &alice);
    let devices = [alice.signer.device()];
    world.mailbox.revoke(alice.user(), &devices, &mut world.out);
    world.deposit(&alice.envelope(1));
    assert_eq!(world.pushed(), []);
    let removal = alice.removal(&[alice.envelope(1).id()]);
    assert_eq!(reason(&world.ask(1, &removal)), Refusal::NotAttached);
}

#[test]
fn what_is_removed_or_detached_while_the_disk_reads_is_not_pushed() {
    let (mut world, alice) = (World::new(), Device::new(0, 1));
    let mail = ids(&envelopes(&alice, 0, 3));
    for envelope in envelopes(&alice, 0, 3) {
        world.deposit(&envelope);
    }
    let nonce = world.challenge(1, alice.user());
    world.ask_only(1, &alice.prove(&alice.proof(&nonce, 1)));
    world.ask_only(1, &alice.removal(&mail[1..2]));
    world.settle();
    assert_eq!(world.pushed(), [mail[0], mail[2]]);
    let nonce = world.challenge(2, alice.user());
    world.ask_only(2, &alice.prove(&alice.proof(&nonce, 2)));
    world.mailbox.link_down(LinkId(2));
    world.settle();
    assert_eq!(world.pushed(), []);
}

#[test]
fn an_envelope_that_the_disk_lost_is_forgotten_and_can_come_again() {
    let (mut world, alice) = (World::new(), Device::new(0, 1));
    let mail = envelopes(&alice, 0, 2);
    for envelope in &mail {
        world.deposit(envelope);
    }
    let lost = world.disk.pop_first().unwrap();
    world.attach(1, &alice);
    assert_eq!(world.pushed(), [mail[1].id()]);
    assert_eq!(world.mailbox.envelope_count(), 1);
    world.deposit(&mail[0]);
    assert_eq!(world.pushed(), [mail[0].id()]);
    // The disk recovers the old row: the envelope is there once, and the other row goes.
    world.disk.insert(lost.0, lost.1);
    world.restart();
    assert_eq!((world.mailbox.envelope_count(), world.rows(Table::Envelope)), (2, 3));
    world.wait(3_600_000);
    assert_eq!((world.mailbox.envelope_count(), world.rows(Table::Envelope)), (2, 2));
}

#[test]
fn one_damaged_envelope_takes_no_other_with_it() {
    let (mut world, alice) = (World::new(), Device::new(0, 1));
    let mail = envelopes(&alice, 0, PUSHES_PER_LOAD_MAX + 2);
    for envelope in &mail {
        world.deposit(envelope);
    }
    world.disk.values_mut().nth(3).unwrap().clear();
    let whole: Vec<_> = [&mail[..3], &mail[4..]].concat().iter().map(Envelope::id).collect();
    // The row of the damaged one stays, and takes nobody's place when all is read again.
    for link in 1..4 {
        world.attach(link, &alice);
        assert_eq!(world.pushed(), whole);
        world.mailbox.link_down(LinkId(link));
    }
    assert_eq!(world.mailbox.envelope_count(), whole.len());
}

/// Lets every question to the disk that waits fail; says how many.
fn fail_loads(world: &mut World) -> usize {
    let mut failed = 0;
    while let Some(output) = world.out.poll() {
        if let Output::Load { load, .. } = output {
            world.mailbox.load_failed(load, world.now, &mut world.out);
            failed += 1;
        }
    }
    failed
}

#[test]
fn what_the_disk_cannot_answer_at_the_moment_is_asked_again() {
    let (mut world, alice) = (World::new(), Device::new(0, 1));
    let mail = envelopes(&alice, 0, PUSHES_PER_LOAD_MAX + 2);
    for envelope in &mail {
        world.deposit(envelope);
    }
    let nonce = world.challenge(1, alice.user());
    world.ask_only(1, &alice.prove(&alice.proof(&nonce, 1)));
    assert_eq!(fail_loads(&mut world), 1);
    // What comes meanwhile waits for its turn.
    let late = alice.envelope(500);
    world.deposit(&late);
    assert_eq!((world.pushed(), world.mailbox.loads.len()), (Vec::new(), 0));
    world.advance(MAILBOX_LOAD_RETRY_MS);
    world.mailbox.handle_timeout(world.now, &mut world.out);
    assert_eq!(fail_loads(&mut world), 1);
    world.wait(MAILBOX_LOAD_RETRY_MS);
    let all = [ids(&mail), vec![late.id()]].concat();
    assert_eq!(world.pushed(), all);
    assert_eq!(world.mailbox.envelope_count(), all.len());
    // The window is as large as before.
    world.remove(1, &alice, &all);
    let more = envelopes(&alice, 1_000, PUSHES_IN_FLIGHT_MAX);
    for envelope in &more {
        world.deposit(envelope);
    }
    assert_eq!(world.pushed(), ids(&more));
}

#[test]
fn questions_to_the_disk_are_bounded_and_everybody_gets_a_turn() {
    let mut world = World::new();
    let user = Account::of(0).key.user();
    let count = MAILBOX_LOADS_MAX + 10;
    let devices = (0..count).map(|number| DeviceKey([u8::try_from(number).unwrap(); 32]));
    let owners: Vec<Owner> = devices.map(|device| Owner { user, device }).collect();
    for Owner { user, device } in &owners {
        let encapsulation = [3; ENCAPSULATION_BYTES];
        let sealed = [4; ENVELOPE_CLASS_MIN + TAG_BYTES];
        world.deposit(&Envelope::assemble(*user, *device, 1, &encapsulation, &sealed).unwrap());
    }
    for owner in owners {
        world.mailbox.attachments.attach(LinkId(1), owner, source(1, None));
        world.mailbox.wake(owner);
    }
    world.mailbox.pump(world.now, &mut world.out);
    assert_eq!(world.mailbox.loads.len(), MAILBOX_LOADS_MAX);
    world.settle();
    assert_eq!(world.pushed.len(), count);
    assert!(!world.mailbox.handle_loaded(LoadId(u64::MAX), &[], world.now, &mut world.out));
}

#[test]
fn what_is_not_removed_for_long_is_pushed_again_at_a_pace_and_ever_later() {
    let (mut world, alice) = (World::new(), Device::new(0, 1));
    let mail = envelopes(&alice, 0, PUSHES_IN_FLIGHT_MAX + 1);
    for envelope in &mail {
        world.deposit(envelope);
    }
    world.attach(1, &alice);
    // All of it gets lost, and so does the whole window.
    assert_eq!(world.pushed().len(), PUSHES_IN_FLIGHT_MAX);
    world.wait(PUSH_AGAIN_MS - 1);
    assert_eq!(world.pushed(), []);
    world.wait(1);
    assert_eq!(world.pushed().len(), PUSHES_PER_LOAD_MAX);
    world.wait(PUSH_AGAIN_PACE_MS - 1);
    assert_eq!(world.pushed(), []);
    world.wait(3 * PUSH_AGAIN_PACE_MS);
    assert_eq!(world.pushed().len(), PUSHES_IN_FLIGHT_MAX - PUSHES_PER_LOAD_MAX);
    world.wait(HOUR_MS);
    world.pushed();
    world.wait(HOUR_MS);
    let hourly = usize::try_from(HOUR_MS / PUSH_AGAIN_MAX_MS).unwrap();
    assert!(world.pushed().len() <= (hourly + 1) * PUSHES_IN_FLIGHT_MAX);
    // A device that removes is well: the rest comes soon, and then what has waited for a place.
    world.remove(1, &alice, &ids(&mail)[..1]);
    assert_eq!(world.pushed(), ids(&mail)[PUSHES_IN_FLIGHT_MAX..]);
    world.wait(PUSH_AGAIN_MS + 5 * PUSH_AGAIN_PACE_MS);
    let again: BTreeSet<EnvelopeId> = world.pushed().into_iter().collect();
    assert_eq!(again, ids(&mail)[1..].iter().copied().collect());
    world.remove(1, &alice, &ids(&mail));
    world.wait(HOUR_MS);
    assert_eq!((world.pushed(), world.mailbox.again_at), (vec![], None));
}
