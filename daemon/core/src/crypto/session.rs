//! Letters into envelopes and back: the ratchet inside, the seal outside, and proof of who speaks.

use std::fmt;

use bytchat_proto::codec::{decode, encode};
use bytchat_proto::envelope::{Envelope, Letter, Opening, OpeningStatement, Party, Sealed};
use bytchat_proto::key::AccountKey;
use bytchat_proto::record::DeviceCertificate;
use bytchat_proto::unverified::Unverified;
use rand_chacha::ChaCha20Rng;
use serde_bytes::ByteBuf;
use vodozemac::olm::{Message, PreKeyMessage};
use zeroize::Zeroizing;

use super::device::DeviceSecret;
use super::sessions::{Entry, Sessions};
use super::{CryptoError, End, OpeningFault, kem};

/// The version byte of ratchet messages with a whole MAC (session config V2).
const RATCHET_VERSION: u8 = 4;

/// The device of ours that seals or opens.
pub struct Own<'a> {
    /// Its secrets.
    pub device: &'a mut DeviceSecret,
    /// Its account.
    pub account: &'a AccountKey,
    /// The account's word for it.
    pub certificate: &'a Unverified<DeviceCertificate>,
}

/// The device that an envelope is for.
#[derive(Clone, Debug)]
pub struct Recipient {
    /// Who it is.
    pub party: Party,
    /// Its certified Olm identity key.
    pub identity: [u8; 32],
    /// Which KEM key is sealed to.
    pub kem_id: u32,
    /// The KEM key (X-Wing).
    pub kem: Vec<u8>,
    /// A one-time or fallback key, used only if a session must be opened.
    pub opening_key: [u8; 32],
}

/// A letter that was opened, and who has just proven to be its sender.
pub struct Opened {
    /// The letter; its parties are proven.
    pub letter: Letter,
    /// The sender's key and certificate, verified, when the message opened a session.
    pub opening: Option<(AccountKey, DeviceCertificate)>,
}

/// Where a message stands among those of one sender: mail comes in any order, and a ratchet
/// reads it best in its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OpenOrder {
    later: bool,
    chain: [u8; 32],
    index: u64,
}

/// Seals a letter for one device (SPEC 6.2). On failure nothing is changed; on success sessions
/// and envelope are to be stored together. The device's secrets stay as they are.
pub fn seal(
    own: &Own<'_>,
    sessions: &mut Sessions,
    to: &Recipient,
    letter: &Letter,
    rng: &mut ChaCha20Rng,
) -> Result<Envelope, CryptoError> {
    let from = own.party();
    check_party(End::Sender, &letter.from, &from)?;
    check_party(End::Recipient, &letter.to, &to.party)?;
    let mut entry = match sessions.sending(&to.party) {
        Some(entry) => entry.copy(),
        None => {
            let session = own.device.open_session(&to.identity, &to.opening_key)?;
            Entry::opened_by_us(session, to.party)
        }
    };
    let plain = Zeroizing::new(encode(letter));
    let (first, olm) = entry.encrypt(&plain)?;
    let sealed = Zeroizing::new(encode(&Sealed {
        user: from.user,
        device: from.device,
        // SPEC 6.6: until the peer has answered, any of our messages may be the first it sees.
        opening: first.then(|| own.opening(&entry, from)),
        first,
        olm: ByteBuf::from(olm),
    }));
    let padded = kem::pad(&sealed)?;
    let Party { user, device, .. } = to.party;
    let head = Envelope::head(user, device, to.kem_id);
    let (encapsulation, ciphertext) = kem::seal(&to.kem, &head, &padded, rng)?;
    let envelope = Envelope::assemble(user, device, to.kem_id, &encapsulation, &ciphertext)?;
    sessions.keep_sent(entry);
    Ok(envelope)
}

/// Takes the outer seal off: who claims to write, and the ratchet message. Nothing is believed
/// yet.
pub fn open_outer(device: &DeviceSecret, envelope: &Envelope) -> Result<Sealed, CryptoError> {
    if envelope.device() != device.device() {
        return Err(CryptoError::WrongDevice { got: envelope.device(), expected: device.device() });
    }
    let seed =
        device.kem_seed(envelope.kem_id()).ok_or(CryptoError::UnknownKem(envelope.kem_id()))?;
    let padded =
        kem::open(seed, envelope.head_bytes(), envelope.encapsulation(), envelope.ciphertext())?;
    decode(kem::unpad(&padded)?).map_err(CryptoError::undecoded("content of the envelope"))
}

/// Opens the ratchet message of one peer device and proves who speaks to whom. On failure
/// nothing is changed; on success sessions and letter are to be stored together, and the device
/// too if the message opened a session.
pub fn open_inner(
    own: &mut Own<'_>,
    own_party: &Party,
    sessions: &mut Sessions,
    sealed: &Sealed,
) -> Result<Opened, CryptoError> {
    if !sealed.first {
        let message = parse(&sealed.olm)?;
        return open_next(own_party, sessions, sealed, &message);
    }
    let message = parse_first(&sealed.olm)?;
    let id = message.session_id();
    if let Some(entry) = sessions.find(&id) {
        // SPEC 6.12: the library would open the session a second time for a replayed message.
        let (entry, letter) = open_with(entry, own_party, sealed, message.message())?;
        return Ok(commit(sessions, entry, letter, None));
    }
    if sessions.is_past(&id) {
        return Err(CryptoError::Undecryptable);
    }
    let opening = sealed.opening.as_ref().ok_or(OpeningFault::Missing)?;
    let (peer, certificate) = verify_opening(opening, own_party, sealed, &message)?;
    let (session, letter) =
        own.device.accept_session(&message, |plain| read_letter(&plain, &peer, own_party))?;
    let entry = Entry::opened_by_peer(session, peer, message.message());
    let proven = (opening.account.clone(), certificate);
    Ok(commit(sessions, entry, letter, Some(proven)))
}

/// The place of a message in the order of opening; what cannot be read comes last.
pub fn open_order(sealed: &Sealed) -> OpenOrder {
    let message = if sealed.first {
        PreKeyMessage::from_bytes(&sealed.olm).map(|first| first.message().clone())
    } else {
        Message::from_bytes(&sealed.olm)
    };
    let (chain, index) = message.map_or(([0xff; 32], u64::MAX), |message| {
        (message.ratchet_key().to_bytes(), message.chain_index())
    });
    OpenOrder { later: !sealed.first, chain, index }
}

impl Own<'_> {
    fn party(&self) -> Party {
        Party {
            user: self.account.user(),
            fingerprint: self.account.fingerprint(),
            device: self.device.device(),
        }
    }

    fn opening(&self, entry: &Entry, from: Party) -> Opening {
        let statement = OpeningStatement { session: entry.id.clone(), from, to: entry.peer };
        Opening {
            account: self.account.clone(),
            certificate: self.certificate.clone(),
            statement: Unverified::sign(&statement, |digest| self.device.sign(digest)),
        }
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opened(from {:?})", self.letter.from.device)
    }
}

fn open_next(
    own_party: &Party,
    sessions: &mut Sessions,
    sealed: &Sealed,
    message: &Message,
) -> Result<Opened, CryptoError> {
    if sessions.is_empty() {
        return Err(CryptoError::NoSession);
    }
    let mut failure = CryptoError::Undecryptable;
    let mut opened = None;
    for entry in sessions.candidates(message) {
        match open_with(entry, own_party, sealed, message) {
            Ok(found) => {
                opened = Some(found);
                break;
            }
            Err(CryptoError::Undecryptable) => {}
            Err(error) => failure = error,
        }
    }
    let (entry, letter) = opened.ok_or(failure)?;
    Ok(commit(sessions, entry, letter, None))
}

fn open_with(
    entry: &Entry,
    own_party: &Party,
    sealed: &Sealed,
    message: &Message,
) -> Result<(Entry, Letter), CryptoError> {
    let (copy, plain) = entry.decrypt(message)?;
    if (sealed.user, sealed.device) != (entry.peer.user, entry.peer.device) {
        return Err(CryptoError::WrongClaim { got: sealed.user, expected: entry.peer.user });
    }
    let letter = read_letter(&plain, &entry.peer, own_party)?;
    Ok((copy, letter))
}

fn commit(
    sessions: &mut Sessions,
    entry: Entry,
    letter: Letter,
    opening: Option<(AccountKey, DeviceCertificate)>,
) -> Opened {
    sessions.keep_first(entry);
    Opened { letter, opening }
}

/// Who opens the session: account, certificate, identity key and statement must all agree, or
/// a stolen fallback key could impersonate (SPEC 6.6).
fn verify_opening(
    opening: &Opening,
    own_party: &Party,
    sealed: &Sealed,
    message: &PreKeyMessage,
) -> Result<(Party, DeviceCertificate), OpeningFault> {
    let account = &opening.account;
    if account.user() != sealed.user {
        return Err(OpeningFault::Account { got: account.user(), expected: sealed.user });
    }
    let certificate = opening
        .certificate
        .verify(account)
        .map_err(|error| OpeningFault::Certificate(error.into()))?
        .into_value();
    certificate.check(sealed.user).map_err(OpeningFault::Certificate)?;
    if certificate.device != sealed.device {
        return Err(OpeningFault::Device { got: certificate.device, expected: sealed.device });
    }
    if certificate.identity.as_slice() != message.identity_key().as_bytes() {
        return Err(OpeningFault::Identity);
    }
    let peer =
        Party { user: sealed.user, fingerprint: account.fingerprint(), device: sealed.device };
    verify_statement(opening, &peer, own_party, &message.session_id())?;
    Ok((peer, certificate))
}

fn verify_statement(
    opening: &Opening,
    peer: &Party,
    own_party: &Party,
    session: &str,
) -> Result<(), OpeningFault> {
    let statement = opening.statement.verify(&peer.device).map_err(OpeningFault::Statement)?;
    if statement.session != session {
        return Err(OpeningFault::Session);
    }
    if statement.from != *peer {
        return Err(OpeningFault::From);
    }
    if statement.to != *own_party {
        return Err(OpeningFault::To);
    }
    Ok(())
}

/// Reads a letter whose parties are the proven ones (SPEC 6.5).
fn read_letter(plain: &[u8], peer: &Party, own_party: &Party) -> Result<Letter, CryptoError> {
    let letter: Letter = decode(plain).map_err(CryptoError::undecoded("letter"))?;
    check_party(End::Sender, &letter.from, peer)?;
    check_party(End::Recipient, &letter.to, own_party)?;
    Ok(letter)
}

fn check_party(end: End, got: &Party, expected: &Party) -> Result<(), CryptoError> {
    if got == expected {
        return Ok(());
    }
    Err(CryptoError::WrongParty { end, got: Box::new(*got), expected: Box::new(*expected) })
}

fn parse(olm: &[u8]) -> Result<Message, CryptoError> {
    let message = Message::from_bytes(olm)
        .map_err(|error| CryptoError::malformed("ratchet message", error))?;
    check_form(&message, message.to_bytes() == olm)?;
    Ok(message)
}

fn parse_first(olm: &[u8]) -> Result<PreKeyMessage, CryptoError> {
    let message = PreKeyMessage::from_bytes(olm)
        .map_err(|error| CryptoError::malformed("ratchet message", error))?;
    check_form(message.message(), message.to_bytes() == olm)?;
    Ok(message)
}

/// Version 1 has a truncated MAC: nobody may talk us down to it. And a message has one form only,
/// since the MAC covers what the library has read and not the bytes.
fn check_form(message: &Message, canonical: bool) -> Result<(), CryptoError> {
    const WHAT: &str = "ratchet message";
    if message.version() != RATCHET_VERSION {
        return Err(CryptoError::malformed(WHAT, "another version"));
    }
    if canonical { Ok(()) } else { Err(CryptoError::malformed(WHAT, "not in its one form")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::account;
    use crate::io::{JobResult, Task};
    use aws_lc_rs::hkdf;
    use bytchat_proto::envelope::{
        Content, ENCAPSULATION_BYTES, ENVELOPE_HEAD_BYTES, TAG_BYTES, size_class,
    };
    use bytchat_proto::id::NodeId;
    use bytchat_proto::limits::{
        DAY_MS, ENVELOPE_CLASS_MAX, SESSIONS_PAST_MAX, SESSIONS_PER_PAIR_MAX,
    };
    use bytchat_proto::timestamp::Timestamp;
    use ciborium::Value;
    use proptest::prelude::*;
    use rand_core::{Rng, SeedableRng};
    use vodozemac::olm::{OlmMessage, Session, SessionConfig, SessionKeys};
    use vodozemac::{Curve25519PublicKey, Curve25519SecretKey};

    const START: Timestamp = Timestamp(1_000_000_000_000);
    const ALICE: usize = 0;
    const BOB: usize = 1;
    const MALLORY: usize = 2;

    /// A device of one of the three shared accounts, and its sessions with one other device.
    struct Side {
        device: DeviceSecret,
        account: &'static AccountKey,
        secret: &'static Zeroizing<Vec<u8>>,
        certificate: Unverified<DeviceCertificate>,
        party: Party,
        sessions: Sessions,
        rng: ChaCha20Rng,
    }

    impl Side {
        fn new(number: usize) -> Self {
            let (secret, account) = account::shared(number);
            let mut rng = ChaCha20Rng::seed_from_u64(number as u64);
            let device = DeviceSecret::generate(START, &mut rng);
            let mut side = Self {
                party: Party {
                    user: account.user(),
                    fingerprint: account.fingerprint(),
                    device: device.device(),
                },
                certificate: Unverified::assemble(vec![], vec![]),
                device,
                account,
                secret,
                sessions: Sessions::new(),
                rng,
            };
            side.certificate = side.certify(side.device.identity());
            side
        }

        fn certify(&self, identity: [u8; 32]) -> Unverified<DeviceCertificate> {
            let certificate = DeviceCertificate {
                user: self.party.user,
                device: self.party.device,
                identity: ByteBuf::from(identity),
                label: "laptop".to_owned(),
                added: START,
            };
            Unverified::sign(&certificate, |digest| {
                let secret = self.secret.clone();
                let digest = *digest;
                match account::run(Task::Sign { secret, digest }) {
                    JobResult::Signature(signature) => signature,
                    other @ (JobResult::Account { .. } | JobResult::Failed(_)) => {
                        panic!("{other:?}")
                    }
                }
            })
        }

        /// What others learn from the prekey record and the certificate.
        fn recipient(&self) -> Recipient {
            let prekeys = self.device.prekeys();
            Recipient {
                party: self.party,
                identity: self.device.identity(),
                kem_id: prekeys.kem_id,
                kem: prekeys.kem.into_vec(),
                opening_key: prekeys.fallback.as_slice().try_into().unwrap(),
            }
        }

        fn recipient_with_one_time_key(&mut self) -> Recipient {
            let key = self.device.one_time_keys(NodeId([1; 20]), START, 1);
            let key = key[0].verify(&self.party.device).unwrap().into_value().key;
            Recipient { opening_key: key.as_slice().try_into().unwrap(), ..self.recipient() }
        }

        fn letter(&self, to: &Party, body: &[u8]) -> Letter {
            Letter {
                from: self.party,
                to: *to,
                from_head: 1,
                to_head: 2,
                content: Content::Block(ByteBuf::from(body)),
            }
        }

        fn send(&mut self, to: &Recipient, body: &[u8]) -> Envelope {
            let letter = self.letter(&to.party, body);
            self.try_send(to, &letter).unwrap()
        }

        fn try_send(&mut self, to: &Recipient, letter: &Letter) -> Result<Envelope, CryptoError> {
            let own = Own {
                device: &mut self.device,
                account: self.account,
                certificate: &self.certificate,
            };
            seal(&own, &mut self.sessions, to, letter, &mut self.rng)
        }

        fn receive(&mut self, envelope: &Envelope) -> Result<Opened, CryptoError> {
            let sealed = open_outer(&self.device, envelope)?;
            self.receive_sealed(&sealed)
        }

        fn receive_sealed(&mut self, sealed: &Sealed) -> Result<Opened, CryptoError> {
            let mut own = Own {
                device: &mut self.device,
                account: self.account,
                certificate: &self.certificate,
            };
            open_inner(&mut own, &self.party, &mut self.sessions, sealed)
        }

        fn sealed(&self, envelope: &Envelope) -> Sealed {
            open_outer(&self.device, envelope).unwrap()
        }

        /// Everything that a failure must leave alone.
        fn state(&self) -> (Zeroizing<Vec<u8>>, Zeroizing<Vec<u8>>) {
            (self.device.pickle(), self.sessions.pickle())
        }

        /// Fails to receive, and checks that nothing has changed.
        fn refuse(&mut self, sealed: &Sealed) -> CryptoError {
            let before = self.state();
            let error = self.receive_sealed(sealed).unwrap_err();
            assert!(self.state() == before, "{error} changed the state");
            error
        }

        fn restart(&mut self) {
            self.device = DeviceSecret::from_pickle(&self.device.pickle()).unwrap();
            self.sessions = Sessions::from_pickle(&self.sessions.pickle()).unwrap();
        }
    }

    fn body(opened: &Opened) -> &[u8] {
        match &opened.letter.content {
            Content::Block(bytes) => bytes,
            other @ (Content::Receipt(_) | Content::Resend(_)) => panic!("{other:?}"),
        }
    }

    /// Two devices that have written to each other.
    fn acquainted() -> (Side, Side) {
        let (mut alice, mut bob) = (Side::new(ALICE), Side::new(BOB));
        let hello = alice.send(&bob.recipient(), b"hello");
        bob.receive(&hello).unwrap();
        let answer = bob.send(&alice.recipient(), b"welcome");
        alice.receive(&answer).unwrap();
        (alice, bob)
    }

    /// A letter as a malicious client would write it, on its real session.
    fn forge(from: &mut Side, to: &Recipient, letter: &Letter) -> Sealed {
        let mut entry = match from.sessions.sending(&to.party) {
            Some(entry) => entry.copy(),
            None => {
                let session = from.device.open_session(&to.identity, &to.opening_key);
                Entry::opened_by_us(session.unwrap(), to.party)
            }
        };
        let (first, olm) = entry.encrypt(&encode(letter)).unwrap();
        let own =
            Own { device: &mut from.device, account: from.account, certificate: &from.certificate };
        Sealed {
            user: from.party.user,
            device: from.party.device,
            opening: first.then(|| own.opening(&entry, own.party())),
            first,
            olm: ByteBuf::from(olm),
        }
    }

    #[test]
    fn letters_go_both_ways_and_only_the_first_proves_who_opens() {
        let (mut alice, mut bob) = (Side::new(ALICE), Side::new(BOB));
        let first = alice.send(&bob.recipient(), b"first");
        let second = alice.send(&bob.recipient(), b"second");
        assert!(bob.sealed(&second).opening.is_some());

        let opened = bob.receive(&first).unwrap();
        assert_eq!(body(&opened), b"first");
        assert_eq!(opened.letter.from, alice.party);
        let (account, certificate) = opened.opening.unwrap();
        assert_eq!(account, *alice.account);
        assert_eq!(certificate.device, alice.party.device);

        let opened = bob.receive(&second).unwrap();
        assert_eq!(body(&opened), b"second");
        assert!(opened.opening.is_none());

        let answer = bob.send(&alice.recipient(), b"answer");
        assert!(!alice.sealed(&answer).first);
        let opened = alice.receive(&answer).unwrap();
        assert_eq!(body(&opened), b"answer");
        assert!(opened.opening.is_none());

        let third = alice.send(&bob.recipient(), b"third");
        let sealed = bob.sealed(&third);
        assert!(!sealed.first && sealed.opening.is_none());
        assert_eq!(body(&bob.receive(&third).unwrap()), b"third");
    }

    #[test]
    fn only_a_letter_with_an_opening_changes_the_device() {
        let (mut alice, mut bob) = (Side::new(ALICE), Side::new(BOB));
        let to_bob = bob.recipient_with_one_time_key();
        for (number, opens) in [true, false, false].into_iter().enumerate() {
            let alices = alice.device.pickle();
            let envelope = alice.send(&to_bob, b"hi");
            assert!(alice.device.pickle() == alices, "sealing changed the device");
            let bobs = bob.device.pickle();
            let opened = bob.receive(&envelope).unwrap();
            assert_eq!(opened.opening.is_some(), opens, "letter {number}");
            assert_eq!(bob.device.pickle() != bobs, opens, "letter {number}");
        }
    }

    #[test]
    fn sessions_survive_restarts_in_the_middle() {
        let (mut alice, mut bob) = acquainted();
        for round in 0u8..10 {
            alice.restart();
            let envelope = alice.send(&bob.recipient(), &[round]);
            bob.restart();
            assert_eq!(body(&bob.receive(&envelope).unwrap()), &[round]);
            let envelope = bob.send(&alice.recipient(), &[round, 1]);
            assert_eq!(body(&alice.receive(&envelope).unwrap()), &[round, 1]);
        }
        assert!(Sessions::from_pickle(&[]).is_err());
        let mut cut = alice.sessions.pickle();
        cut.pop();
        let error = Sessions::from_pickle(&cut).unwrap_err();
        assert_eq!(error, CryptoError::Corrupt("sessions"));
    }

    #[test]
    fn sixty_kilobytes_fit_even_into_an_opening() {
        let (mut alice, mut bob) = (Side::new(ALICE), Side::new(BOB));
        let large = vec![7; 60 * 1024];
        let envelope = alice.send(&bob.recipient(), &large);
        assert_eq!(body(&bob.receive(&envelope).unwrap()), &large[..]);

        let before = alice.state();
        let letter = alice.letter(&bob.party, &vec![7; ENVELOPE_CLASS_MAX]);
        let error = alice.try_send(&bob.recipient(), &letter).unwrap_err();
        assert!(matches!(error, CryptoError::TooLong { .. }), "{error}");
        assert!(alice.state() == before);
    }

    #[test]
    fn envelopes_have_size_classes_only() {
        let (mut alice, bob) = (Side::new(ALICE), Side::new(BOB));
        let fixed = ENVELOPE_HEAD_BYTES + ENCAPSULATION_BYTES + TAG_BYTES;
        for length in (0..9000).step_by(450) {
            let envelope = alice.send(&bob.recipient(), &vec![1; length]);
            let sealed = envelope.as_bytes().len() - fixed;
            assert_eq!(size_class(sealed), Some(sealed));
            assert!(sealed > length);
        }
    }

    #[test]
    fn envelopes_of_one_session_have_nothing_in_common() {
        let (mut alice, bob) = acquainted();
        let a = alice.send(&bob.recipient(), b"same");
        let b = alice.send(&bob.recipient(), b"same");
        assert_eq!(a.head_bytes(), b.head_bytes());
        assert_eq!(a.as_bytes().len(), b.as_bytes().len());
        assert_ne!(a.id(), b.id());
        let windows = |envelope: &Envelope| -> std::collections::BTreeSet<Vec<u8>> {
            envelope.as_bytes()[ENVELOPE_HEAD_BYTES..].windows(8).map(<[u8]>::to_vec).collect()
        };
        assert!(windows(&a).is_disjoint(&windows(&b)));
        for name in
            [alice.party.user.as_bytes(), alice.party.device.as_bytes(), &alice.device.identity()]
        {
            assert!(!a.as_bytes().windows(name.len()).any(|part| part == name));
        }
    }

    #[test]
    fn another_device_cannot_open_an_envelope() {
        let (mut alice, bob) = acquainted();
        let mallory = Side::new(MALLORY);
        let envelope = alice.send(&bob.recipient(), b"secret");
        assert_eq!(
            open_outer(&mallory.device, &envelope),
            Err(CryptoError::WrongDevice { got: bob.party.device, expected: mallory.party.device })
        );
        let to = |device, kem_id| {
            let parts = (envelope.encapsulation(), envelope.ciphertext());
            Envelope::assemble(bob.party.user, device, kem_id, parts.0, parts.1).unwrap()
        };
        let redirected = to(mallory.party.device, mallory.recipient().kem_id);
        assert_eq!(open_outer(&mallory.device, &redirected), Err(CryptoError::BadSeal));
        let unknown = to(bob.party.device, bob.recipient().kem_id ^ 1);
        let id = unknown.kem_id();
        assert_eq!(open_outer(&bob.device, &unknown), Err(CryptoError::UnknownKem(id)));
    }

    #[test]
    fn an_envelope_outlives_eight_rotations_and_no_more() {
        let (mut alice, mut bob) = (Side::new(ALICE), Side::new(BOB));
        let envelope = alice.send(&bob.recipient(), b"patience");
        for day in 1..=8 {
            bob.device.rotate(START.plus_ms(day * DAY_MS), &mut bob.rng);
            assert!(open_outer(&bob.device, &envelope).is_ok());
        }
        bob.device.rotate(START.plus_ms(9 * DAY_MS), &mut bob.rng);
        assert_eq!(
            open_outer(&bob.device, &envelope),
            Err(CryptoError::UnknownKem(envelope.kem_id()))
        );
    }

    #[test]
    fn every_flip_and_cut_of_an_envelope_is_refused() {
        let (mut alice, bob) = acquainted();
        let bytes = alice.send(&bob.recipient(), b"whole").into_bytes();
        let fixed = 0..ENVELOPE_HEAD_BYTES + 16;
        for at in fixed.chain((0..bytes.len()).step_by(61)) {
            let mut bad = bytes.clone();
            bad[at] ^= 1 << (at % 8);
            // The user is not the device's to judge, but it is under the seal.
            if let Ok(envelope) = Envelope::decode(bad) {
                let error = open_outer(&bob.device, &envelope).unwrap_err();
                let expected = match at {
                    22..54 => matches!(error, CryptoError::WrongDevice { .. }),
                    54..58 => matches!(error, CryptoError::UnknownKem(_)),
                    _ => error == CryptoError::BadSeal,
                };
                assert!(expected, "flip at {at}: {error}");
            } else {
                assert!(at < 2, "flip at {at}");
            }
            assert!(Envelope::decode(bytes[..at].to_vec()).is_err());
        }
    }

    #[test]
    fn every_flip_and_cut_of_a_ratchet_message_is_refused_and_changes_nothing() {
        let (mut alice, mut bob) = (Side::new(ALICE), Side::new(BOB));
        let first = alice.send(&bob.recipient(), b"opening");
        let first = bob.sealed(&first);
        refuse_all_damage(&mut bob, &first);
        bob.receive_sealed(&first).unwrap();
        let answer = bob.send(&alice.recipient(), b"answer");
        alice.receive(&answer).unwrap();
        let next = alice.send(&bob.recipient(), b"next");
        let next = bob.sealed(&next);
        refuse_all_damage(&mut bob, &next);
        bob.receive_sealed(&next).unwrap();
    }

    fn refuse_all_damage(side: &mut Side, sealed: &Sealed) {
        for at in 0..sealed.olm.len() {
            let mut bad = sealed.clone();
            bad.olm[at] ^= 1 << (at % 8);
            side.refuse(&bad);
            bad.olm.truncate(at);
            side.refuse(&bad);
        }
        let mut other_kind = sealed.clone();
        other_kind.first = !sealed.first;
        side.refuse(&other_kind);
    }

    #[test]
    fn a_replay_is_recognised_before_and_after_a_restart() {
        let (mut alice, mut bob) = (Side::new(ALICE), Side::new(BOB));
        let first = alice.send(&bob.recipient(), b"once");
        let sealed = bob.sealed(&first);
        bob.receive_sealed(&sealed).unwrap();
        // The library alone would open the fallback key's session again.
        let message = parse_first(&sealed.olm).unwrap();
        let mut copy = DeviceSecret::from_pickle(&bob.device.pickle()).unwrap();
        assert!(copy.accept_session(&message, |_| Ok(())).is_ok());

        assert_eq!(bob.refuse(&sealed), CryptoError::Replayed);
        bob.restart();
        assert_eq!(bob.refuse(&sealed), CryptoError::Replayed);
        let answer = bob.send(&alice.recipient(), b"answer");
        alice.receive(&answer).unwrap();
        let answer = alice.sealed(&answer);
        assert_eq!(alice.refuse(&answer), CryptoError::Replayed);
        let next = alice.send(&bob.recipient(), b"next");
        bob.receive(&next).unwrap();
        assert_eq!(bob.refuse(&sealed), CryptoError::Replayed);
        let next = bob.sealed(&next);
        assert_eq!(bob.refuse(&next), CryptoError::Replayed);
    }

    #[test]
    fn a_session_that_made_room_is_not_opened_again() {
        let (mut alice, mut bob) = (Side::new(ALICE), Side::new(BOB));
        let mut openings = Vec::new();
        for number in 0..SESSIONS_PER_PAIR_MAX + SESSIONS_PAST_MAX {
            alice.sessions.renew();
            let envelope = alice.send(&bob.recipient(), &[0]);
            let sealed = bob.sealed(&envelope);
            bob.receive_sealed(&sealed).unwrap();
            openings.push(sealed);
            let live = (number + 1).min(SESSIONS_PER_PAIR_MAX);
            let expected = format!("Sessions({live} live, {} past)", number + 1 - live);
            assert_eq!(format!("{:?}", bob.sessions), expected);
        }
        let (gone, live) = openings.split_at(SESSIONS_PAST_MAX);
        for sealed in gone {
            assert_eq!(bob.refuse(sealed), CryptoError::Undecryptable);
        }
        for sealed in live {
            assert_eq!(bob.refuse(sealed), CryptoError::Replayed);
        }
    }

    #[test]
    fn a_one_time_key_opens_one_session() {
        let (mut alice, mut bob) = (Side::new(ALICE), Side::new(BOB));
        let mut mallory = Side::new(MALLORY);
        let to_bob = bob.recipient_with_one_time_key();
        let late = mallory.send(&to_bob, b"second");
        let late = bob.sealed(&late);
        let first = alice.send(&to_bob, b"first");
        bob.receive(&first).unwrap();
        let with_alice = std::mem::take(&mut bob.sessions);
        assert_eq!(bob.refuse(&late), CryptoError::MissingOneTimeKey);
        let again = bob.sealed(&first);
        assert_eq!(bob.refuse(&again), CryptoError::MissingOneTimeKey);
        bob.sessions = with_alice;
        assert_eq!(bob.refuse(&again), CryptoError::Replayed);
    }

    #[test]
    fn forty_letters_in_reverse_all_open() {
        let (mut alice, mut bob) = acquainted();
        let to = bob.recipient();
        let envelopes: Vec<_> = (0..40u8).map(|n| alice.send(&to, &[n])).collect();
        for (number, envelope) in (0..40u8).zip(&envelopes).rev() {
            assert_eq!(body(&bob.receive(envelope).unwrap()), &[number]);
        }
        for envelope in &envelopes {
            let sealed = bob.sealed(envelope);
            assert_eq!(bob.refuse(&sealed), CryptoError::Replayed);
        }
    }

    #[test]
    fn a_lost_key_is_no_replay_and_sorting_loses_none() {
        let (mut alice, mut bob) = (Side::new(ALICE), Side::new(BOB));
        let to = bob.recipient();
        let mut mail: Vec<_> = (0..100u8).map(|n| alice.send(&to, &[n])).collect();
        mail.reverse();
        let mut mail: Vec<_> = mail.iter().map(|envelope| bob.sealed(envelope)).collect();
        bob.receive_sealed(&mail[0]).unwrap();
        assert_eq!(bob.refuse(&mail[99]), CryptoError::Undecryptable);
        assert_eq!(bob.refuse(&mail[0]), CryptoError::Replayed);

        bob.sessions = Sessions::new();
        mail.sort_by_key(open_order);
        for (number, sealed) in (0..100u8).zip(&mail) {
            assert_eq!(body(&bob.receive_sealed(sealed).unwrap()), &[number]);
        }
        let mut damaged = mail[0].clone();
        damaged.olm.truncate(3);
        assert!(open_order(&damaged) > open_order(&mail[99]));
    }

    #[test]
    fn both_may_open_at_once_and_meet_on_one_session() {
        let (mut alice, mut bob) = (Side::new(ALICE), Side::new(BOB));
        let from_alice = alice.send(&bob.recipient(), b"a");
        let from_bob = bob.send(&alice.recipient(), b"b");
        assert_eq!(body(&bob.receive(&from_alice).unwrap()), b"a");
        assert_eq!(body(&alice.receive(&from_bob).unwrap()), b"b");
        for round in 0u8..6 {
            let envelope = alice.send(&bob.recipient(), &[round]);
            assert_eq!(body(&bob.receive(&envelope).unwrap()), &[round]);
            let envelope = bob.send(&alice.recipient(), &[round]);
            assert!(!alice.sealed(&envelope).first);
            assert_eq!(body(&alice.receive(&envelope).unwrap()), &[round]);
        }
    }

    #[test]
    fn a_peer_that_lost_its_sessions_is_reached_again() {
        let (mut alice, mut bob) = acquainted();
        bob.sessions = Sessions::new();
        let lost = alice.send(&bob.recipient(), b"lost");
        let lost = bob.sealed(&lost);
        assert_eq!(bob.refuse(&lost), CryptoError::NoSession);

        assert!(alice.sessions.can_send(&bob.party));
        alice.sessions.renew();
        assert!(!alice.sessions.can_send(&bob.party));
        alice.restart();
        let again = alice.send(&bob.recipient(), b"again");
        assert!(bob.receive(&again).unwrap().opening.is_some());
        assert_eq!(bob.refuse(&lost), CryptoError::Undecryptable);
        let answer = bob.send(&alice.recipient(), b"answer");
        assert_eq!(body(&alice.receive(&answer).unwrap()), b"answer");
    }

    #[test]
    fn a_retired_session_is_still_read_but_never_used() {
        let (mut alice, mut bob) = acquainted();
        let on_its_way = bob.send(&alice.recipient(), b"on its way");
        alice.sessions.renew();
        assert_eq!(body(&alice.receive(&on_its_way).unwrap()), b"on its way");
        let next = alice.send(&bob.recipient(), b"next");
        assert!(bob.sealed(&next).first);
    }

    #[test]
    fn a_stolen_device_state_impersonates_nobody_to_its_owner() {
        let (mut alice, mut bob) = (Side::new(ALICE), Side::new(BOB));
        let honest = alice.send(&bob.recipient(), b"honest");
        let honest = bob.sealed(&honest);
        let letter = alice.letter(&bob.party, b"forged");
        let (message, id) = forge_from_stolen_state(&bob, &alice, &encode(&letter));
        let mut copy = DeviceSecret::from_pickle(&bob.device.pickle()).unwrap();
        let parsed = parse_first(&message).unwrap();
        assert!(
            copy.accept_session(&parsed, |_| Ok(())).is_ok(),
            "the ratchet alone must be fooled, or this proves nothing"
        );

        let mut sealed = Sealed { olm: ByteBuf::from(message), opening: None, ..honest.clone() };
        assert_eq!(bob.refuse(&sealed), OpeningFault::Missing.into());
        sealed.opening.clone_from(&honest.opening);
        assert_eq!(bob.refuse(&sealed), OpeningFault::Session.into());
        let statement = OpeningStatement { session: id, from: alice.party, to: bob.party };
        let by_thief = Unverified::sign(&statement, |digest| bob.device.sign(digest));
        sealed.opening.as_mut().unwrap().statement = by_thief;
        let error = bob.refuse(&sealed);
        assert!(matches!(error, CryptoError::BadOpening(OpeningFault::Statement(_))), "{error}");
    }

    /// Three Diffie-Hellmans need only the recipient's secrets: the thief plays anybody.
    fn forge_from_stolen_state(victim: &Side, as_whom: &Side, plain: &[u8]) -> (Vec<u8>, String) {
        let pickle = victim.device.pickle();
        let state: Value = ciborium::from_reader(&pickle[1..]).unwrap();
        let account = field(&state, "account");
        let fallback = field(field(account, "fallback_keys"), "fallback_key");
        let identity = secret_key(field(account, "diffie_hellman_key"));
        let fallback = secret_key(field(fallback, "key"));
        let base = Curve25519SecretKey::new();
        let keys = SessionKeys {
            identity_key: Curve25519PublicKey::from_bytes(as_whom.device.identity()),
            base_key: Curve25519PublicKey::from(&base),
            one_time_key: Curve25519PublicKey::from(&fallback),
        };
        let secret = [
            fallback.diffie_hellman(&keys.identity_key),
            identity.diffie_hellman(&keys.base_key),
            fallback.diffie_hellman(&keys.base_key),
        ]
        .map(|part| part.unwrap().to_bytes())
        .concat();
        let (root, chain) = expand(&secret);
        let config = SessionConfig::version_2();
        let mut session = Session::from_root_key_material(config, keys, root, chain, [9; 32]);
        (session.encrypt(plain).unwrap().to_parts().1, keys.session_id())
    }

    fn expand(secret: &[u8]) -> ([u8; 32], [u8; 32]) {
        struct Length;
        impl hkdf::KeyType for Length {
            fn len(&self) -> usize {
                64
            }
        }
        let mut keys = [0; 64];
        let key = hkdf::Salt::new(hkdf::HKDF_SHA256, &[0]).extract(secret);
        key.expand(&[b"OLM_ROOT"], Length).unwrap().fill(&mut keys).unwrap();
        let (root, chain) = keys.split_at(32);
        (root.try_into().unwrap(), chain.try_into().unwrap())
    }

    fn field<'a>(value: &'a Value, name: &str) -> &'a Value {
        let map = value.as_map().unwrap();
        let found = map.iter().find(|(key, _)| key.as_text() == Some(name));
        &found.unwrap().1
    }

    fn secret_key(value: &Value) -> Curve25519SecretKey {
        let bytes: [u8; 32] = value.deserialized().unwrap();
        Curve25519SecretKey::from_slice(&bytes)
    }

    #[test]
    fn a_letter_meant_for_a_thief_of_identity_is_not_taken_for_ours() {
        let (mut alice, mut bob) = (Side::new(ALICE), Side::new(BOB));
        let mut mallory = Side::new(MALLORY);
        // Mallory has Bob's identity key certified as her own and passes on what she gets.
        mallory.certificate = mallory.certify(bob.device.identity());
        let to_mallory = Recipient {
            identity: bob.device.identity(),
            opening_key: bob.recipient().opening_key,
            ..mallory.recipient()
        };
        let envelope = alice.send(&to_mallory, b"for mallory");
        let sealed = mallory.sealed(&envelope);
        assert_eq!(bob.refuse(&sealed), OpeningFault::To.into());

        // Nor can she claim what Bob's identity key has sealed.
        let envelope = bob.send(&alice.recipient(), b"by bob");
        let mut sealed = alice.sealed(&envelope);
        sealed.user = mallory.party.user;
        sealed.device = mallory.party.device;
        let opening = sealed.opening.as_mut().unwrap();
        opening.account = mallory.account.clone();
        opening.certificate = mallory.certificate.clone();
        let mut statement = opening.statement.peek().unwrap();
        statement.from = mallory.party;
        opening.statement = Unverified::sign(&statement, |digest| mallory.device.sign(digest));
        let error = alice.refuse(&sealed);
        assert!(matches!(error, CryptoError::WrongParty { end: End::Sender, .. }), "{error}");
    }

    #[test]
    fn an_opening_is_refused_for_each_part_that_does_not_fit() {
        let (mut alice, mut bob) = (Side::new(ALICE), Side::new(BOB));
        let mallory = Side::new(MALLORY);
        let envelope = alice.send(&bob.recipient(), b"hello");
        let good = bob.sealed(&envelope);
        let mut faults = Vec::new();
        let mut refuse = |change: &dyn Fn(&mut Sealed, &mut Opening)| {
            let mut bad = good.clone();
            let mut opening = bad.opening.take().unwrap();
            change(&mut bad, &mut opening);
            bad.opening = Some(opening);
            let error = bob.refuse(&bad);
            let text = error.to_string();
            let CryptoError::BadOpening(fault) = error else {
                panic!("{text}");
            };
            faults.push(fault);
        };
        let resign = |opening: &mut Opening, change: &dyn Fn(&mut OpeningStatement)| {
            let mut statement = opening.statement.peek().unwrap();
            change(&mut statement);
            opening.statement = Unverified::sign(&statement, |digest| alice.device.sign(digest));
        };
        let thief = mallory.party;
        refuse(&|sealed, _| sealed.user = thief.user);
        refuse(&|_, opening| opening.account = mallory.account.clone());
        refuse(&|_, opening| opening.certificate = mallory.certificate.clone());
        refuse(&|sealed, _| sealed.device = thief.device);
        refuse(&|_, opening| opening.certificate = alice.certify([1; 32]));
        refuse(&|_, opening| resign(opening, &|statement| statement.session.push('x')));
        refuse(&|_, opening| resign(opening, &|statement| statement.from = thief));
        refuse(&|_, opening| resign(opening, &|statement| statement.to = thief));
        assert!(
            matches!(
                &faults[..],
                [
                    OpeningFault::Account { .. },
                    OpeningFault::Account { .. },
                    OpeningFault::Certificate(_),
                    OpeningFault::Device { .. },
                    OpeningFault::Identity,
                    OpeningFault::Session,
                    OpeningFault::From,
                    OpeningFault::To,
                ]
            ),
            "{faults:?}"
        );
        assert!(bob.receive_sealed(&good).is_ok());
    }

    #[test]
    fn a_letter_must_name_the_proven_parties() {
        for acquaint in [false, true] {
            let (mut alice, mut bob) = match acquaint {
                true => acquainted(),
                false => (Side::new(ALICE), Side::new(BOB)),
            };
            let thief = Side::new(MALLORY).party;
            let to_bob = bob.recipient_with_one_time_key();
            for (end, from, to) in
                [(End::Sender, thief, bob.party), (End::Recipient, alice.party, thief)]
            {
                let letter = Letter { from, to, ..alice.letter(&bob.party, b"false") };
                let sealed = forge(&mut alice, &to_bob, &letter);
                let error = bob.refuse(&sealed);
                assert!(
                    matches!(&error, CryptoError::WrongParty { end: got, .. } if *got == end),
                    "{error}"
                );
                let before = alice.state();
                let error = alice.try_send(&to_bob, &letter).unwrap_err();
                assert!(matches!(error, CryptoError::WrongParty { .. }), "{error}");
                assert!(alice.state() == before);
            }
            // Neither the session nor the one-time key was used up by the refusals.
            let envelope = alice.send(&to_bob, b"true");
            assert_eq!(body(&bob.receive(&envelope).unwrap()), b"true");
        }
    }

    #[test]
    fn a_message_must_claim_the_sender_of_its_session() {
        let (mut alice, mut bob) = acquainted();
        let envelope = alice.send(&bob.recipient(), b"mine");
        let mut sealed = bob.sealed(&envelope);
        sealed.user = bob.party.user;
        let expected = CryptoError::WrongClaim { got: bob.party.user, expected: alice.party.user };
        assert_eq!(bob.refuse(&sealed), expected);
    }

    #[test]
    fn a_session_of_the_older_version_is_refused() {
        let (mut alice, mut bob) = (Side::new(ALICE), Side::new(BOB));
        let envelope = alice.send(&bob.recipient(), b"new");
        let mut sealed = bob.sealed(&envelope);
        let account = vodozemac::olm::Account::new();
        let mut session = account
            .create_outbound_session(
                SessionConfig::version_1(),
                Curve25519PublicKey::from_bytes(bob.device.identity()),
                Curve25519PublicKey::from_bytes(bob.recipient().opening_key),
            )
            .unwrap();
        let OlmMessage::PreKey(old) = session.encrypt("old").unwrap() else {
            panic!("the first message opens a session");
        };
        sealed.olm = ByteBuf::from(old.to_bytes());
        let expected = CryptoError::malformed("ratchet message", "another version");
        assert_eq!(bob.refuse(&sealed), expected);
        sealed.first = false;
        sealed.olm = ByteBuf::from(old.message().to_bytes());
        assert_eq!(bob.refuse(&sealed), expected);
    }

    #[test]
    fn keys_that_cannot_be_used_are_refused_by_the_sender() {
        let (mut alice, bob) = (Side::new(ALICE), Side::new(BOB));
        let letter = alice.letter(&bob.party, b"x");
        let good = bob.recipient();
        for bad in [
            Recipient { identity: [0; 32], ..good.clone() },
            Recipient { opening_key: [0; 32], ..good.clone() },
            Recipient { kem: vec![0xff; 1216], ..good.clone() },
            Recipient { kem: vec![], ..good.clone() },
        ] {
            let error = alice.try_send(&bad, &letter).unwrap_err();
            assert!(matches!(error, CryptoError::BadKey(_)), "{error}");
            assert!(alice.sessions.is_empty());
        }
    }

    #[test]
    fn what_holds_plaintext_shows_none() {
        let (mut alice, mut bob) = acquainted();
        let envelope = alice.send(&bob.recipient(), b"whisper");
        let opened = bob.receive(&envelope).unwrap();
        let text = format!("{opened:?} {:?}", bob.sessions);
        let device = alice.party.device;
        let expected = format!("Opened(from {device:?}) Sessions(1 live, 0 past)");
        assert_eq!(text, expected);
    }

    /// One acquainted device for all cases: refusals change nothing.
    fn receiver() -> &'static std::sync::Mutex<(Side, Side)> {
        static SIDES: std::sync::OnceLock<std::sync::Mutex<(Side, Side)>> =
            std::sync::OnceLock::new();
        SIDES.get_or_init(|| std::sync::Mutex::new(acquainted()))
    }

    proptest! {
        #[test]
        fn random_envelopes_are_refused(seed: u64) {
            let sides = receiver().lock().unwrap();
            let bob = &sides.1;
            let mut rng = ChaCha20Rng::seed_from_u64(seed);
            let mut bytes = vec![0; ENCAPSULATION_BYTES + 2048 + TAG_BYTES];
            rng.fill_bytes(&mut bytes);
            let (encapsulation, ciphertext) = bytes.split_at(ENCAPSULATION_BYTES);
            let id = bob.recipient().kem_id;
            let Party { user, device, .. } = bob.party;
            let envelope =
                Envelope::assemble(user, device, id, encapsulation, ciphertext).unwrap();
            prop_assert_eq!(open_outer(&bob.device, &envelope), Err(CryptoError::BadSeal));
        }

        #[test]
        fn random_content_under_a_good_seal_is_refused(
            content in prop::collection::vec(any::<u8>(), 2048),
        ) {
            let sides = receiver().lock().unwrap();
            let bob = &sides.1;
            let to = bob.recipient();
            let Party { user, device, .. } = bob.party;
            let head = Envelope::head(user, device, to.kem_id);
            let mut rng = ChaCha20Rng::seed_from_u64(1);
            let (encapsulation, ciphertext) =
                kem::seal(&to.kem, &head, &content, &mut rng).unwrap();
            let envelope =
                Envelope::assemble(user, device, to.kem_id, &encapsulation, &ciphertext).unwrap();
            let error = open_outer(&bob.device, &envelope).unwrap_err();
            let malformed = matches!(error, CryptoError::Malformed { .. });
            prop_assert!(malformed);
        }

        #[test]
        fn random_ratchet_messages_are_refused(
            olm in prop::collection::vec(any::<u8>(), 0..300),
            version in prop::option::of(3u8..=4),
            first: bool,
        ) {
            let mut sides = receiver().lock().unwrap();
            let sealed = Sealed {
                user: sides.0.party.user,
                device: sides.0.party.device,
                opening: None,
                first,
                olm: ByteBuf::from(version.into_iter().chain(olm).collect::<Vec<u8>>()),
            };
            sides.1.refuse(&sealed);
        }
    }
}
