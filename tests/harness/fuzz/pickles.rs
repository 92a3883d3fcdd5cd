//! What lies sealed on the disk or comes inside of a seal: secrets, ratchets, letters, keys in PEM.
//! The seal is taken off here, for nobody gets through it by chance.

use std::sync::OnceLock;

use bytchat_core::answer::Kept;
use bytchat_core::crypto::{
    DeviceSecret, Own, Sessions, Vault, account, open_inner, open_order, open_outer,
};
use bytchat_core::io::{JobResult, Task};
use bytchat_core::prefix::{PREFIX_BYTES, Prefix};
use bytchat_proto::codec::decode;
use bytchat_proto::envelope::{Envelope, Party, Sealed};
use bytchat_proto::key::AccountKey;
use bytchat_proto::record::DeviceCertificate;
use bytchat_proto::unverified::Unverified;
use data_encoding::HEXLOWER;
use zeroize::Zeroizing;

use super::values::person;
use crate::sim::keys;

/// Secrets of a device, its ratchets, and what another one has sent to it.
const MAIL: &str = include_str!("mail.txt");

/// The first byte tells what the rest is read as.
pub(super) fn feed(bytes: &[u8]) {
    let (what, rest) = bytes.split_first().unwrap_or((&0, &[]));
    match what % 8 {
        0 => sessions(rest),
        1 => device(rest),
        2 => drop(Vault::new([2; 32]).open(b"place", rest)),
        3 => pem(rest),
        4 => drop(Kept::decode(rest)),
        5 => prefix(rest),
        6 => envelope(rest),
        _ => letter(rest),
    }
}

/// Reads the states of ratchets, and writes them as they are read.
fn sessions(bytes: &[u8]) {
    if let Ok(sessions) = Sessions::from_pickle(bytes) {
        let once = sessions.pickle();
        let again = Sessions::from_pickle(&once).expect("what was written here is read");
        assert_eq!(again.pickle(), once);
    }
}

fn device(bytes: &[u8]) {
    if let Ok(device) = DeviceSecret::from_pickle(bytes) {
        let again = DeviceSecret::from_pickle(&device.pickle()).expect("what is written is read");
        assert_eq!(again.device(), device.device());
        assert_eq!(again.prekeys(), device.prekeys());
    }
}

fn pem(bytes: &[u8]) {
    let pem = Zeroizing::new(String::from_utf8_lossy(bytes).into_owned());
    if let JobResult::Account { secret, key } = account::run(Task::ReadAccount { pem }) {
        assert_eq!(AccountKey::from_spki(key.spki()), Ok(key));
        assert!(!account::private_pem(&secret).is_empty());
    }
}

fn prefix(bytes: &[u8]) {
    let prefix = bytes.first_chunk::<PREFIX_BYTES>().copied().and_then(Prefix::decode);
    assert_eq!(Prefix::decode(Prefix::encode(prefix)), prefix);
}

/// One line of what was written down.
fn written(name: &str) -> Vec<u8> {
    let line = MAIL.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    HEXLOWER.decode(line.expect("it is written down").as_bytes()).expect("it is hex")
}

fn own_device() -> DeviceSecret {
    static PICKLE: OnceLock<Vec<u8>> = OnceLock::new();
    let pickle = PICKLE.get_or_init(|| written("device"));
    DeviceSecret::from_pickle(pickle).expect("the device is good")
}

fn envelope(bytes: &[u8]) {
    let device = own_device();
    // The head is set right, or nothing would come to be opened.
    let mut bytes = bytes.to_vec();
    let head = Envelope::head(person().key.user(), device.device(), device.prekeys().kem_id);
    if let Some(place) = bytes.get_mut(..head.len()) {
        place.copy_from_slice(&head);
    }
    if let Ok(envelope) = Envelope::decode(bytes)
        && let Ok(sealed) = open_outer(&device, &envelope)
    {
        open_order(&sealed);
    }
}

/// Reads what was inside of the outer seal: the message of a ratchet and who opens it.
fn letter(bytes: &[u8]) {
    let Ok(sealed) = decode::<Sealed>(bytes) else { return };
    open_order(&sealed);
    let mut device = own_device();
    let owner = person();
    let own_party = Party {
        user: owner.key.user(),
        fingerprint: owner.key.fingerprint(),
        device: device.device(),
    };
    let certificate: &Unverified<DeviceCertificate> = &owner.certificate;
    for known in [true, false] {
        let mut sessions = match known {
            true => Sessions::from_pickle(&written("sessions")).expect("they are good"),
            false => Sessions::default(),
        };
        let mut own = Own { device: &mut device, account: &owner.key, certificate };
        if let Ok(opened) = open_inner(&mut own, &own_party, &mut sessions, &sealed) {
            assert_eq!(opened.letter.to, own_party);
            // SPEC 6.12: the same message is not opened twice.
            let again = open_inner(&mut own, &own_party, &mut sessions, &sealed);
            assert!(again.is_err(), "a message was opened twice");
        }
    }
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let pem = keys().next().expect("there is a key").as_bytes().to_vec();
    let mut seeds = vec![
        [[0].as_slice(), &written("sessions")].concat(),
        [[1].as_slice(), &written("device")].concat(),
        [[3].as_slice(), &pem].concat(),
        [[4].as_slice(), &[7; 32], b"{\"id\":\"x\"}"].concat(),
        vec![5; 1 + PREFIX_BYTES],
        [[6].as_slice(), &written("envelope")].concat(),
    ];
    for name in ["first", "next"] {
        seeds.push([[7].as_slice(), &written(name)].concat());
    }
    seeds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_down_is_opened() {
        let owner = person();
        let (user, fingerprint) = (owner.key.user(), owner.key.fingerprint());
        let mut device = own_device();
        let party = Party { user, fingerprint, device: device.device() };
        for (name, sessions) in [("first", None), ("next", Some(written("sessions")))] {
            let sessions = sessions.map(|pickle| Sessions::from_pickle(&pickle).unwrap());
            let sealed: Sealed = decode(&written(name)).unwrap();
            let (account, certificate) = (&owner.key, &owner.certificate);
            let mut own = Own { device: &mut device, account, certificate };
            let opened =
                open_inner(&mut own, &party, &mut sessions.unwrap_or_default(), &sealed).unwrap();
            assert_eq!(opened.letter.to, party);
        }
        let envelope = Envelope::decode(written("envelope")).unwrap();
        assert!(open_outer(&own_device(), &envelope).is_ok());
        assert_eq!(envelope.user(), user);
    }
}
