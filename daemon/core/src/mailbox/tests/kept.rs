//! Showing that what was promised is still here.

use bytchat_proto::limits::MAILBOX_LOADS_MAX;

use super::*;

fn challenge(device: &Device, envelope: EnvelopeId, request: u64) -> Challenge {
    let (user, device) = (device.user(), device.signer.device());
    Challenge { link: LinkId(3), request, user, device, envelope, nonce: vec![8; 32] }
}

impl World {
    fn show(&mut self, challenge: Challenge) {
        let node = Signer::new(200);
        let sign = |digest: &[u8; 64]| node.sign(digest);
        self.mailbox.show(challenge, &sign, self.now, &mut self.out);
    }

    /// The answer to a challenge.
    fn shown(&mut self, challenge: Challenge) -> Response {
        let request = challenge.request;
        self.show(challenge);
        self.settle();
        let (link, to, response) = self.answers.pop().unwrap();
        assert_eq!((link, to), (3, request));
        response
    }
}

#[test]
fn a_holder_shows_what_it_has_also_after_a_restart() {
    let (mut world, device) = (World::new(), Device::new(0, 1));
    let envelope = device.envelope(1);
    world.deposit(&envelope);
    world.restart();
    let Response::Kept { proof } = world.shown(challenge(&device, envelope.id(), 5)) else {
        panic!("it does not show it");
    };
    assert_eq!(proof.as_slice(), envelope.kept_proof(&[8; 32], OWN));
    // The proof is that of one holder, for one challenge.
    assert_ne!(proof.as_slice(), envelope.kept_proof(&[8; 32], NodeId([8; 20])));
    assert_ne!(proof.as_slice(), envelope.kept_proof(&[9; 32], OWN));
}

#[test]
fn a_holder_cannot_show_what_it_never_had_what_is_not_whole_or_what_is_of_somebody_else() {
    let (mut world, device) = (World::new(), Device::new(0, 1));
    let envelope = device.envelope(1);
    let missing = |response: Response| reason(&response) == Refusal::NotFound;
    assert!(missing(world.shown(challenge(&device, envelope.id(), 1))));
    world.deposit(&envelope);
    assert!(missing(world.shown(challenge(&Device::new(0, 2), envelope.id(), 2))));
    for ((table, _), value) in &mut world.disk {
        if *table == Table::Envelope {
            value.truncate(40);
        }
    }
    assert!(missing(world.shown(challenge(&device, envelope.id(), 3))));
}

#[test]
fn a_holder_says_with_a_receipt_that_its_device_has_removed_it() {
    let (mut world, device) = (World::new(), Device::new(0, 1));
    let envelope = device.envelope(1);
    world.deposit(&envelope);
    world.attach(1, &device);
    world.remove(1, &device, &[envelope.id()]);
    let receipt = receipt(world.shown(challenge(&device, envelope.id(), 1)));
    assert!(receipt.taken && receipt.envelope == envelope.id());
}

#[test]
fn challenges_leave_half_of_the_disk_to_devices() {
    let (mut world, device) = (World::new(), Device::new(0, 1));
    let envelope = device.envelope(1);
    world.deposit(&envelope);
    for request in 0..=MAILBOX_LOADS_MAX as u64 / 2 {
        world.show(challenge(&device, envelope.id(), request));
    }
    assert_eq!(world.mailbox.loads.len(), MAILBOX_LOADS_MAX / 2);
    world.collect();
    let [(_, last, response)] = world.answers.as_slice() else { panic!("{:?}", world.answers) };
    assert_eq!((*last, reason(response)), (MAILBOX_LOADS_MAX as u64 / 2, Refusal::Busy));
    world.answers.clear();
    world.settle();
    assert_eq!(world.answers.len(), MAILBOX_LOADS_MAX / 2);
}
