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

/// Seals a letter for one device (SPEC 6.2). On failure nothing is changed.
pub fn seal(
    own: &mut Own<'_>,
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
        return Err(CryptoError::WrongDevice {
            got: envelope.device(),
            expected: device.device(),
        });
    }
    let seed = device
        .kem_seed(envelope.kem_id())
        .ok_or(CryptoError::UnknownKem(envelope.kem_id()))?;
    let padded = kem::open(
        seed,
        envelope.head_bytes(),
        envelope.encapsulation(),
        envelope.ciphertext(),
    )?;
    decode(kem::unpad(&padded)?).map_err(CryptoError::undecoded("content of the envelope"))
}

/// Opens the ratchet message of one peer device and proves who speaks to whom. On failure
/// nothing is changed; on success device, sessions and letter are to be stored together.
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
        // SPEC 6.7: the library would open the session a second time for a replayed message.
        let (entry, letter) = open_with(entry, own_party, sealed, message.message())?;
        return Ok(commit(sessions, entry, letter, None));
    }
    if sessions.is_past(&id) {
        return Err(CryptoError::Undecryptable);
    }
    let opening = sealed.opening.as_ref().ok_or(OpeningFault::Missing)?;
    let (peer, certificate) = verify_opening(opening, own_party, sealed, &message)?;
    let (session, letter) = own
        .device
        .accept_session(&message, |plain| read_letter(&plain, &peer, own_party))?;
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
    OpenOrder {
        later: !sealed.first,
        chain,
        index,
    }
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
        let statement = OpeningStatement {
            session: entry.id.clone(),
            from,
            to: entry.peer,
        };
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
        return Err(CryptoError::WrongClaim {
            got: sealed.user,
            expected: entry.peer.user,
        });
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
        return Err(OpeningFault::Account {
            got: account.user(),
            expected: sealed.user,
        });
    }
    let certificate = opening
        .certificate
        .verify(account)
        .map_err(|error| OpeningFault::Certificate(error.into()))?
        .into_value();
    certificate
        .check(sealed.user)
        .map_err(OpeningFault::Certificate)?;
    if certificate.device != sealed.device {
        return Err(OpeningFault::Device {
            got: certificate.device,
            expected: sealed.device,
        });
    }
    if certificate.identity.as_slice() != message.identity_key().as_bytes() {
        return Err(OpeningFault::Identity);
    }
    let peer = Party {
        user: sealed.user,
        fingerprint: account.fingerprint(),
        device: sealed.device,
    };
    verify_statement(opening, &peer, own_party, &message.session_id())?;
    Ok((peer, certificate))
}

fn verify_statement(
    opening: &Opening,
    peer: &Party,
    own_party: &Party,
    session: &str,
) -> Result<(), OpeningFault> {
    let statement = opening
        .statement
        .verify(&peer.device)
        .map_err(OpeningFault::Statement)?;
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
    Err(CryptoError::WrongParty {
        end,
        got: Box::new(*got),
        expected: Box::new(*expected),
    })
}

fn parse(olm: &[u8]) -> Result<Message, CryptoError> {
    let message = Message::from_bytes(olm)
        .map_err(|error| CryptoError::malformed("ratchet message", error))?;
    check_version(&message)?;
    Ok(message)
}

fn parse_first(olm: &[u8]) -> Result<PreKeyMessage, CryptoError> {
    let message = PreKeyMessage::from_bytes(olm)
        .map_err(|error| CryptoError::malformed("ratchet message", error))?;
    check_version(message.message())?;
    Ok(message)
}

/// Version 1 has a truncated MAC: nobody may talk us down to it.
fn check_version(message: &Message) -> Result<(), CryptoError> {
    if message.version() == RATCHET_VERSION {
        Ok(())
    } else {
        Err(CryptoError::malformed("ratchet message", "another version"))
    }
}
