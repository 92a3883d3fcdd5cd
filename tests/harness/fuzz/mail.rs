//! Mail that is written down: secrets of a device, its ratchets, and what another one sent to it.

use bytchat_core::crypto::{DeviceSecret, Own, Recipient, Sessions, open_inner, open_outer, seal};
use bytchat_proto::codec::encode;
use bytchat_proto::envelope::{Content, Envelope, Letter, Party, Sealed};
use bytchat_proto::timestamp::Timestamp;
use bytchat_proto::unverified::Unverified;
use data_encoding::HEXLOWER;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde_bytes::ByteBuf;

use super::values::{Person, by_account, nth_person};

/// One end: a person with a device and its ratchets.
struct End {
    person: Person,
    device: DeviceSecret,
    sessions: Sessions,
}

impl End {
    fn new(number: usize) -> Self {
        let mut rng = ChaCha20Rng::from_seed([7; 32]);
        let device = DeviceSecret::generate(Timestamp(0), &mut rng);
        let mut person = nth_person(number);
        let mut certificate = person.certificate.peek().expect("a letter that was sealed opens");
        certificate.device = device.device();
        certificate.identity = ByteBuf::from(device.identity());
        person.certificate =
            Unverified::sign(&certificate, |digest| by_account(&person.secret, digest));
        Self { person, device, sessions: Sessions::default() }
    }

    fn party(&self) -> Party {
        let Person { key, .. } = &self.person;
        let device = self.device.device();
        Party { user: key.user(), fingerprint: key.fingerprint(), device }
    }

    fn write(&mut self, to: &Self) -> Envelope {
        let prekeys = to.device.prekeys();
        let recipient = Recipient {
            party: to.party(),
            identity: to.device.identity(),
            kem_id: prekeys.kem_id,
            kem: prekeys.kem.to_vec(),
            opening_key: prekeys
                .fallback
                .as_slice()
                .try_into()
                .expect("a letter that was sealed opens"),
        };
        let letter = Letter {
            from: self.party(),
            to: to.party(),
            from_head: 1,
            to_head: 1,
            content: Content::Block(ByteBuf::from(b"hi".to_vec())),
        };
        let mut rng = ChaCha20Rng::from_seed([8; 32]);
        let Person { key, certificate, .. } = &self.person;
        let own = Own { device: &mut self.device, account: key, certificate };
        seal(&own, &mut self.sessions, &recipient, &letter, &mut rng)
            .expect("a letter that was sealed opens")
    }

    fn open(&mut self, envelope: &Envelope) -> Sealed {
        let party = self.party();
        let sealed = open_outer(&self.device, envelope).expect("a letter that was sealed opens");
        let Person { key, certificate, .. } = &self.person;
        let mut own = Own { device: &mut self.device, account: key, certificate };
        open_inner(&mut own, &party, &mut self.sessions, &sealed)
            .expect("a letter that was sealed opens");
        sealed
    }
}

/// Other mail of the same kind, in the same form.
pub fn make_mail() -> String {
    let (mut alice, mut bob) = (End::new(1), End::new(0));
    let pickle = bob.device.pickle();
    let envelope = alice.write(&bob);
    let first = bob.open(&envelope);
    let back = bob.write(&alice);
    alice.open(&back);
    let sessions = bob.sessions.pickle();
    let next = bob.open(&alice.write(&bob));
    let lines = [
        ("device", pickle.to_vec()),
        ("sessions", sessions.to_vec()),
        ("envelope", envelope.into_bytes()),
        ("first", encode(&first)),
        ("next", encode(&next)),
    ];
    lines.map(|(name, bytes)| format!("{name} {}\n", HEXLOWER.encode(&bytes))).concat()
}
