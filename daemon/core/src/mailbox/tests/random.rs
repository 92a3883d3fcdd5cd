//! Random walks through everything that peers can do: nothing grows past its limit, and what got a
//! receipt is delivered after a crash.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use bytchat_proto::envelope::OneTimeKey;
use bytchat_proto::limits::HOUR_MS;
use bytchat_proto::point::Point;
use proptest::prelude::*;

use super::*;

/// One thing that a peer does, or time.
#[derive(Clone, Debug)]
enum Step {
    Deposit { to: usize, number: u32, repair: bool, from: u64 },
    Notify { to: usize, number: u32 },
    Attach { link: u64, who: usize },
    Down { link: u64 },
    Remove { who: usize, number: u32 },
    Fetch { who: usize, number: u32 },
    PutKeys { who: usize, first: u8 },
    TakeKeys { of: usize },
    Repair { other: u8 },
    Wait { hours: u64 },
    Restart,
}

const LIMITS: Limits = Limits {
    envelopes: 12,
    bytes: 11 * 4096,
    envelopes_per_user: 8,
    bytes_per_user: 7 * 4096,
    tombstones: 9,
    tombstones_unseen_per_user: 4,
    notices: 6,
    notices_per_user: 4,
    keys: 9,
    keys_per_device: 4,
    keys_spent: 12,
    attached: 2,
};

fn devices() -> &'static [Device; 3] {
    static DEVICES: OnceLock<[Device; 3]> = OnceLock::new();
    DEVICES.get_or_init(|| [Device::new(0, 1), Device::new(0, 2), Device::new(1, 3)])
}

fn step() -> impl Strategy<Value = Step> {
    let (who, link, number) = (0..3usize, 0..4u64, 0..24u32);
    let at = (who.clone(), number);
    prop_oneof![
        6 => (at.clone(), any::<bool>(), 0..8u64).prop_map(|((to, number), repair, from)| {
            Step::Deposit { to, number, repair, from }
        }),
        2 => at.clone().prop_map(|(to, number)| Step::Notify { to, number }),
        3 => (link.clone(), who.clone()).prop_map(|(link, who)| Step::Attach { link, who }),
        1 => link.prop_map(|link| Step::Down { link }),
        4 => at.clone().prop_map(|(who, number)| Step::Remove { who, number }),
        1 => at.prop_map(|(who, number)| Step::Fetch { who, number }),
        2 => (who.clone(), any::<u8>()).prop_map(|(who, first)| Step::PutKeys { who, first }),
        2 => who.prop_map(|of| Step::TakeKeys { of }),
        1 => any::<u8>().prop_map(|other| Step::Repair { other }),
        1 => (1..40u64).prop_map(|hours| Step::Wait { hours }),
        1 => Just(Step::Restart),
    ]
}

/// What the outside was promised.
#[derive(Default)]
struct Promised {
    /// Ends of envelopes that got a receipt and were not removed.
    kept: BTreeMap<EnvelopeId, Timestamp>,
    handed_out: BTreeMap<(DeviceKey, Vec<u8>), Timestamp>,
}

impl Promised {
    fn run(&mut self, world: &mut World, step: Step) {
        match step {
            Step::Deposit { to, number, repair, from } => {
                let subnet = u8::try_from(from / 2).ok().filter(|subnet| *subnet > 0);
                world.from = Some(Source { neighbour: from % 2 == 1, ..source(from, subnet) });
                let envelope = devices()[to].envelope(number);
                let until = world.in_days(4);
                let answer = world.deposit_until(&envelope, until, repair);
                world.from = None;
                if let Response::Receipt { receipt } = answer {
                    let receipt = receipt.peek().unwrap();
                    if !receipt.taken {
                        self.kept.insert(receipt.envelope, receipt.until);
                    }
                }
            }
            Step::Notify { to, number } => {
                let notice = devices()[to].notice(number, world.in_days(2));
                world.ask(90, &Request::Notify { notice });
            }
            Step::Attach { link, who } => {
                let device = &devices()[who];
                let nonce = world.challenge(link, device.user());
                world.ask(link, &device.prove(&device.proof(&nonce, link)));
            }
            Step::Down { link } => world.mailbox.link_down(LinkId(link)),
            Step::Remove { who, number } => {
                let id = devices()[who].envelope(number).id();
                let removal = devices()[who].removal(&[id]);
                let link = link_of(world, who);
                if world.ask(link, &removal) == Response::Done {
                    self.kept.remove(&id);
                }
            }
            Step::Fetch { who, number } => {
                let user = devices()[who].user();
                let envelopes = vec![devices()[who].envelope(number).id()];
                let link = link_of(world, who);
                world.ask(link, &Request::Fetch { user, envelopes });
            }
            Step::PutKeys { who, first } => put_keys(world, who, first),
            Step::TakeKeys { of } => self.take_keys(world, of),
            Step::Repair { other } => {
                let closest = |_: Point| vec![OWN, NodeId([other; 20])];
                world.mailbox.repair(&closest, 5, world.now);
                world.settle();
            }
            Step::Wait { hours } => world.wait(hours * HOUR_MS),
            Step::Restart => {
                let before = std::mem::take(world.mailbox.shelf.shares_mut());
                world.restart();
                assert_eq!(before, *world.mailbox.shelf.shares_mut());
            }
        }
    }

    fn take_keys(&mut self, world: &mut World, of: usize) {
        let user = devices()[of].user();
        let Response::Keys { keys } = world.ask(91, &Request::TakeKeys { user }) else {
            return;
        };
        for key in keys {
            let key = key.peek().unwrap();
            let name = (key.device, key.key.into_vec());
            let before = self.handed_out.insert(name, key.expires);
            // What ended, or was forgotten for want of room, may be put anew.
            let remembered = self.handed_out.len() <= LIMITS.keys_spent;
            assert!(!remembered || before.is_none_or(|end| end <= world.now.wall));
        }
    }
}

fn put_keys(world: &mut World, who: usize, first: u8) {
    let device = &devices()[who];
    let key = |number: u8| OneTimeKey {
        device: device.signer.device(),
        holder: OWN,
        key: ByteBuf::from(vec![number; 32]),
        expires: world.in_days(10),
    };
    let keys = (0..3).map(|n| key(first.wrapping_add(n)));
    let sign = |key| Unverified::sign(&key, |digest| device.signer.sign(digest));
    let keys = keys.map(sign).collect();
    let user = device.user();
    let link = link_of(world, who);
    world.ask(link, &Request::PutKeys { user, keys });
}

/// The link over which a device is attached, or one over which it is not.
fn link_of(world: &World, who: usize) -> u64 {
    let attached = world.mailbox.attachments.get(devices()[who].owner());
    attached.map_or(80, |attached| attached.link.0)
}

fn check_limits(world: &World) {
    let mailbox = &world.mailbox;
    assert!(mailbox.envelope_count() <= LIMITS.envelopes);
    let held: usize = mailbox.shelf.sizes().sum();
    assert!(held <= LIMITS.bytes);
    for device in devices() {
        let (count, bytes) = mailbox.shelf.usage_of(device.user());
        assert!(count <= LIMITS.envelopes_per_user && bytes <= LIMITS.bytes_per_user);
        assert!(mailbox.keys.left(device.owner()) <= LIMITS.keys_per_device);
    }
    assert!(mailbox.tombstone_count() <= LIMITS.tombstones);
    assert!(mailbox.notices.len() <= LIMITS.notices);
    assert!(mailbox.keys.live_count() <= LIMITS.keys);
    assert!(mailbox.keys.spent_count() <= LIMITS.keys_spent);
    assert!(mailbox.attached_count() <= LIMITS.attached);
    assert!(mailbox.loads.is_empty() && mailbox.effects.is_empty());
    assert_eq!(mailbox.envelope_count(), world.rows(Table::Envelope));
    assert_eq!(mailbox.tombstone_count(), world.rows(Table::Tombstone));
    assert_eq!(mailbox.notices.len(), world.rows(Table::Notice));
    let keys = mailbox.keys.live_count() + mailbox.keys.spent_count();
    assert_eq!(keys, world.rows(Table::Prekey));
}

/// Attaches each device in turn and removes all that it gets.
fn take_all(world: &mut World) -> BTreeSet<EnvelopeId> {
    let mut got = BTreeSet::new();
    for device in devices() {
        world.pushed.clear();
        world.attach(70, device);
        loop {
            let pushed = world.pushed();
            if pushed.is_empty() {
                break;
            }
            world.remove(70, device, &pushed);
            assert!(pushed.into_iter().all(|id| got.insert(id)));
        }
        world.mailbox.link_down(LinkId(70));
    }
    got
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn limits_hold_and_every_receipt_is_honoured_after_a_crash(
        steps in prop::collection::vec(step(), 1..120)
    ) {
        let mut world = World::with_limits(LIMITS);
        let mut promised = Promised::default();
        for step in steps {
            promised.run(&mut world, step);
            check_limits(&world);
        }
        world.restart();
        let mut kept = promised.kept;
        kept.retain(|_, until| *until > world.now.wall);
        let expected: BTreeSet<EnvelopeId> = kept.into_keys().collect();
        prop_assert_eq!(take_all(&mut world), expected);
        prop_assert_eq!(world.rows(Table::Envelope), 0);
        world.wait(20 * DAY_MS);
        prop_assert!(world.disk.is_empty());
        prop_assert_eq!(world.mailbox.poll_timeout(), None);
    }
}
