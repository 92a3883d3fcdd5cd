//! The slow operations with account keys: made, read and used outside the decisions.
//!
//! aws-lc-rs does every private operation; the rsa crate reads, writes and checks.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PSS_SHA512};
use bytchat_proto::key::{AccountKey, KeyError, Verifier};
use bytchat_proto::limits::PEM_BYTES_MAX;
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs8::der::pem::{LineEnding, encode_string};
use rsa::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey};
use rsa::pss::{Signature, VerifyingKey};
use rsa::signature::Verifier as _;
use rsa::{RsaPrivateKey, RsaPublicKey};
use sha2::{Digest, Sha512};
use zeroize::Zeroizing;

use crate::io::{JobResult, Task};

/// Why an account key or its signature is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// The text is no private key.
    #[error("text is no private key in PEM (BEGIN PRIVATE KEY); {MAKE}")]
    NoPem,
    /// The text is far too long.
    #[error("text has {0} bytes, a private key has at most {PEM_BYTES_MAX}")]
    TooLong(usize),
    /// The key is protected.
    #[error(
        "private key is protected by a passphrase; \
         remove it with: openssl pkey -in account.pem -out plain.pem"
    )]
    Protected,
    /// The key is public.
    #[error("this is a public key, the private key is needed")]
    Public,
    /// The key is in a form of OpenSSH.
    #[error("private key is in OpenSSH form; convert it with: ssh-keygen -p -m PKCS8 -f FILE")]
    OpenSsh,
    /// The key is damaged or of another kind.
    #[error("private key is damaged or no RSA key; {MAKE}")]
    NotRsa,
    /// The key has the wrong size, exponent or encoding.
    #[error("{0}; {MAKE}")]
    Key(KeyError),
    /// The library of the private operations does not take the key.
    #[error("private key is inconsistent; {MAKE}")]
    Inconsistent,
    /// The key could not be made.
    #[error("no account key could be made; try again")]
    Generate,
    /// A signature was made that does not verify: a fault of memory or processor.
    #[error("signature made here does not verify and is withheld; check this machine's memory")]
    Fault,
}

/// How people make a key.
const MAKE: &str =
    "make one with: openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out account.pem";

type Account = (Zeroizing<Vec<u8>>, AccountKey);

/// Does a piece of slow cryptography.
pub fn run(task: Task) -> JobResult {
    let account = |(secret, key)| JobResult::Account { secret, key };
    let result = match task {
        Task::GenerateAccount => generate().map(account),
        Task::ReadAccount { pem } => read(&pem).map(account),
        Task::Sign { secret, digest } => sign(&secret, &digest).map(JobResult::Signature),
    };
    result.unwrap_or_else(|error| JobResult::Failed(error.to_string()))
}

/// The account's PKCS#8 DER as PEM.
pub fn private_pem(secret: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(pem("PRIVATE KEY", secret))
}

/// The account's public key as PEM.
pub fn public_pem(key: &AccountKey) -> String {
    pem("PUBLIC KEY", key.spki())
}

fn pem(label: &str, der: &[u8]) -> String {
    encode_string(label, LineEnding::LF, der).expect("a key fits into memory")
}

fn generate() -> Result<Account, AccountError> {
    let pair = KeyPair::generate(KeySize::Rsa3072).map_err(|_| AccountError::Generate)?;
    let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| AccountError::Generate)?;
    checked_account(Zeroizing::new(der.as_ref().to_vec()))
}

fn read(pem: &str) -> Result<Account, AccountError> {
    if pem.len() > PEM_BYTES_MAX {
        return Err(AccountError::TooLong(pem.len()));
    }
    let pem = pem.trim();
    let label = pem.strip_prefix("-----BEGIN ").and_then(|rest| rest.split("-----").next());
    let key = match label {
        Some("PRIVATE KEY") => RsaPrivateKey::from_pkcs8_pem(pem).ok(),
        Some("RSA PRIVATE KEY") if pem.contains("ENCRYPTED") => {
            return Err(AccountError::Protected);
        }
        Some("RSA PRIVATE KEY") => RsaPrivateKey::from_pkcs1_pem(pem).ok(),
        Some("ENCRYPTED PRIVATE KEY") => return Err(AccountError::Protected),
        Some("OPENSSH PRIVATE KEY") => return Err(AccountError::OpenSsh),
        Some("PUBLIC KEY" | "RSA PUBLIC KEY") => return Err(AccountError::Public),
        _ => return Err(AccountError::NoPem),
    };
    let key = key.ok_or(AccountError::NotRsa)?;
    // The public half is judged before a library does anything with the private one.
    let spki = key.to_public_key().to_public_key_der().map_err(|_| AccountError::NotRsa)?;
    AccountKey::from_spki(spki.as_bytes()).map_err(AccountError::Key)?;
    let der = key.to_pkcs8_der().map_err(|_| AccountError::NotRsa)?;
    checked_account(der.to_bytes())
}

/// An account key that was seen to work.
fn checked_account(secret: Zeroizing<Vec<u8>>) -> Result<Account, AccountError> {
    let key = public_of(&pair_of(&secret)?)?;
    let digest: [u8; 64] = Sha512::digest(b"bytchat/self-test/1\0").into();
    sign(&secret, &digest)?;
    Ok((secret, key))
}

fn sign(secret: &[u8], digest: &[u8; 64]) -> Result<Vec<u8>, AccountError> {
    let pair = pair_of(secret)?;
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PSS_SHA512, &SystemRandom::new(), digest, &mut signature)
        .map_err(|_| AccountError::Inconsistent)?;
    withhold_faulty(&public_of(&pair)?, digest, &signature)?;
    Ok(signature)
}

/// Two libraries must agree on a signature before anybody sees it: a faulty one can betray the
/// private key.
fn withhold_faulty(
    key: &AccountKey,
    digest: &[u8; 64],
    signature: &[u8],
) -> Result<(), AccountError> {
    key.check(digest, signature).map_err(|_| AccountError::Fault)?;
    let public =
        RsaPublicKey::from_public_key_der(key.spki()).map_err(|_| AccountError::Inconsistent)?;
    let signature = Signature::try_from(signature).map_err(|_| AccountError::Fault)?;
    VerifyingKey::<Sha512>::new(public).verify(digest, &signature).map_err(|_| AccountError::Fault)
}

fn pair_of(secret: &[u8]) -> Result<KeyPair, AccountError> {
    KeyPair::from_pkcs8(secret).map_err(|_| AccountError::Inconsistent)
}

fn public_of(pair: &KeyPair) -> Result<AccountKey, AccountError> {
    let spki: PublicKeyX509Der<'_> =
        pair.public_key().as_der().map_err(|_| AccountError::Inconsistent)?;
    AccountKey::from_spki(spki.as_ref()).map_err(AccountError::Key)
}

/// Accounts that the tests share, because each takes a while to make.
#[cfg(test)]
pub(super) fn shared(number: usize) -> &'static Account {
    use std::sync::OnceLock;
    static ACCOUNTS: [OnceLock<Account>; 3] = [const { OnceLock::new() }; 3];
    ACCOUNTS[number].get_or_init(|| generate().unwrap())
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::RsaKeyPair;
    use rsa::pkcs1::EncodeRsaPrivateKey;
    use rsa::traits::PublicKeyParts;

    fn read_text(pem: &str) -> JobResult {
        run(Task::ReadAccount { pem: Zeroizing::new(pem.to_owned()) })
    }

    fn account(result: JobResult) -> Account {
        match result {
            JobResult::Account { secret, key } => (secret, key),
            other @ (JobResult::Signature(_) | JobResult::Failed(_)) => panic!("{other:?}"),
        }
    }

    fn failure(result: JobResult) -> String {
        match result {
            JobResult::Failed(why) => why,
            other @ (JobResult::Signature(_) | JobResult::Account { .. }) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_new_account_signs_and_both_libraries_verify() {
        let (secret, key) = account(run(Task::GenerateAccount));
        let digest = [9; 64];
        let JobResult::Signature(signature) = run(Task::Sign { secret, digest }) else {
            panic!("no signature");
        };
        assert_eq!(signature.len(), 384);
        assert!(key.check(&digest, &signature).is_ok());
        let public = RsaPublicKey::from_public_key_der(key.spki()).unwrap();
        assert_eq!(public.n().bits(), 3072);
        let verifier = VerifyingKey::<Sha512>::new_with_salt_len(public, 64);
        let parsed = Signature::try_from(&signature[..]).unwrap();
        assert!(verifier.verify(&digest, &parsed).is_ok());
        assert!(verifier.verify(&[8; 64], &parsed).is_err());
    }

    #[test]
    fn a_faulty_signature_is_withheld() {
        let (secret, key) = shared(0);
        let mut signature = sign(secret, &[1; 64]).unwrap();
        assert_eq!(withhold_faulty(key, &[1; 64], &signature), Ok(()));
        signature[200] ^= 1;
        assert_eq!(withhold_faulty(key, &[1; 64], &signature), Err(AccountError::Fault));
    }

    #[test]
    fn keys_survive_their_text_forms() {
        let (secret, key) = shared(0);
        let (again, same) = account(read_text(&private_pem(secret)));
        assert_eq!(same, *key);
        assert_eq!(account(read_text(&private_pem(&again))).1, *key);
        let public = RsaPublicKey::from_public_key_pem(&public_pem(key)).unwrap();
        assert_eq!(public.to_public_key_der().unwrap().as_bytes(), key.spki());
    }

    #[test]
    fn pkcs1_is_read_and_kept_as_pkcs8() {
        let (secret, key) = shared(0);
        let pkcs1 =
            RsaPrivateKey::from_pkcs8_der(secret).unwrap().to_pkcs1_pem(LineEnding::LF).unwrap();
        let padded = format!("\n  {}\n\n", &*pkcs1);
        let (again, same) = account(read_text(&padded));
        assert_eq!(same, *key);
        assert!(RsaKeyPair::from_pkcs8(&again).is_ok());
    }

    #[test]
    fn a_small_key_and_a_small_exponent_are_refused() {
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let why = failure(read_text(&private_pem(der.as_ref())));
        assert!(why.contains("2048 bits, expected 3072 to 4096"), "{why}");
        assert!(why.contains("openssl genpkey"), "{why}");

        let why = failure(read_text(&pem_with_exponent_3()));
        assert!(why.contains("exponent other than 65537"), "{why}");
    }

    /// Fitting primes are slow to find, so the numbers beside those of a good key must do.
    fn pem_with_exponent_3() -> String {
        let (secret, _) = shared(0);
        let key = RsaPrivateKey::from_pkcs8_der(secret).unwrap();
        let primes = rsa::traits::PrivateKeyParts::primes(&key);
        let three = rsa::BigUint::from(3u32);
        let (p, q) = (coprime(&primes[0]), coprime(&primes[1]));
        let key = RsaPrivateKey::from_p_q(p, q, three).unwrap();
        assert_eq!(key.n().bits(), 3072);
        key.to_pkcs8_pem(LineEnding::LF).unwrap().to_string()
    }

    /// A number near `prime` that is 2 modulo 3; nobody checks that it is prime.
    fn coprime(prime: &rsa::BigUint) -> rsa::BigUint {
        let (two, three) = (rsa::BigUint::from(2u32), rsa::BigUint::from(3u32));
        let mut number = prime.clone();
        while &number % &three != two {
            number -= &two;
        }
        number
    }

    #[test]
    fn other_texts_are_refused_with_advice() {
        let (_, key) = shared(0);
        let begin = |label: &str| format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
        let protected = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n";
        for (text, advice) in [
            (String::new(), "no private key in PEM"),
            ("x".repeat(9000), "at most 8192"),
            (public_pem(key), "public key"),
            (begin("ENCRYPTED PRIVATE KEY"), "openssl pkey"),
            (protected.to_owned(), "openssl pkey"),
            (begin("OPENSSH PRIVATE KEY"), "ssh-keygen"),
            (begin("PRIVATE KEY"), "no RSA key"),
            (begin("CERTIFICATE"), "no private key in PEM"),
        ] {
            let why = failure(read_text(&text));
            assert!(why.contains(advice), "{why}");
        }
    }

    #[test]
    fn a_damaged_secret_signs_nothing() {
        let (secret, _) = shared(0);
        let mut bad = secret.clone();
        let middle = bad.len() / 2;
        bad[middle] ^= 1;
        let digest = [1; 64];
        let why = failure(run(Task::Sign { secret: bad, digest }));
        assert!(!why.is_empty());
        let secret = Zeroizing::new(vec![]);
        assert!(failure(run(Task::Sign { secret, digest })).contains("inconsistent"));
    }
}
