//! Tokens: secrets by which a Unix user narrows what a front end may do in its name.

use std::collections::BTreeMap;

use bytchat_proto::codec::{decode, encode};
use bytchat_proto::id::UserId;
use bytchat_proto::limits::{TOKENS_MAX, TOKENS_PER_USER_MAX};
use bytchat_proto::rpc::{ErrorKind, Role, RpcError};
use bytchat_proto::timestamp::Timestamp;
use data_encoding::{BASE32_NOPAD, HEXLOWER};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::io::Outputs;
use crate::persist::Table;

/// Our rows in the table of the node.
const ROW: &[u8] = b"token/";
/// How the text of a token begins, so that people and scanners of code know it.
const PREFIX: &str = "bytchat-";
/// A hash of a token is that of nothing else.
const LABEL: &[u8] = b"bytchat token 1\0";

/// What a token lets a front end do, and nothing besides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// What people call it.
    pub name: String,
    /// The highest role.
    pub role: Option<Role>,
    /// The only accounts.
    pub accounts: Option<Vec<UserId>>,
    /// The only methods.
    pub methods: Option<Vec<String>>,
    /// The end.
    pub until: Option<Timestamp>,
    /// When it was made.
    pub made: Timestamp,
}

/// A token as it is kept: by its hash.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Kept {
    hash: [u8; 32],
    grant: Grant,
}

/// The first bytes of a token's hash.
type Id = [u8; 8];

/// The tokens of all Unix users.
#[derive(Debug, Default)]
pub struct Tokens {
    of: BTreeMap<u32, BTreeMap<Id, Kept>>,
}

/// The id of a token, which is no secret.
pub fn id_of(text: &str) -> String {
    HEXLOWER.encode(&id(&hash(text)))
}

impl Grant {
    fn is_over(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

impl Tokens {
    /// Takes a row of the node's table; false if it is none of ours.
    pub fn restore(&mut self, key: &[u8], value: &[u8]) -> bool {
        let Some(place) = key.strip_prefix(ROW) else {
            return false;
        };
        let kept = place.split_first_chunk::<4>().zip(decode::<Kept>(value).ok());
        match kept {
            Some(((uid, _), kept)) => {
                let own = self.of.entry(u32::from_be_bytes(*uid)).or_default();
                own.insert(id(&kept.hash), kept);
            }
            // Who presents it is refused, which is the safe side.
            None => tracing::error!("a token is unreadable on the disk and counts for nothing"),
        }
        true
    }

    /// Makes a token; its text is told once, and its hash is kept.
    ///
    /// # Errors
    /// There is no room for another.
    pub fn create(
        &mut self,
        uid: u32,
        grant: Grant,
        out: &mut Outputs,
    ) -> Result<Zeroizing<String>, RpcError> {
        self.drop_over(uid, grant.made, out);
        let own = self.of.get(&uid).map_or(0, BTreeMap::len);
        let all: usize = self.of.values().map(BTreeMap::len).sum();
        if own >= TOKENS_PER_USER_MAX {
            let error = format!("you have {TOKENS_PER_USER_MAX} tokens, which is the limit");
            return Err(ErrorKind::Quota.because(error));
        }
        if all >= TOKENS_MAX {
            return Err(ErrorKind::Quota.because("this node has no room for another token"));
        }
        let secret = Zeroizing::new(out.random_bytes::<32>());
        let mut text = Zeroizing::new(String::with_capacity(PREFIX.len() + 52));
        text.push_str(PREFIX);
        BASE32_NOPAD.encode_append(secret.as_slice(), &mut text);
        text.make_ascii_lowercase();
        let hash = hash(&text);
        let kept = Kept { hash, grant };
        out.put(Table::Node, key(uid, id(&hash)), encode(&kept));
        self.of.entry(uid).or_default().insert(id(&hash), kept);
        Ok(text)
    }

    // SPEC 8.44: what is wrong, over or another user's is the same error by the same way.
    /// What a token of a Unix user lets do.
    ///
    /// # Errors
    /// It is none of this user's, or it is over.
    pub fn grant(&self, uid: u32, text: &str, now: Timestamp) -> Result<&Grant, RpcError> {
        let hash = hash(text);
        let found = self.of.get(&uid).and_then(|own| own.get(&id(&hash)));
        let good = found.filter(|kept| kept.hash == hash && !kept.grant.is_over(now));
        let error = || ErrorKind::BadToken.because("this token is not good here, or no longer");
        good.map(|kept| &kept.grant).ok_or_else(error)
    }

    /// A user's tokens with their ids; those that are over are not among them.
    pub fn list(&self, uid: u32, now: Timestamp) -> impl Iterator<Item = (String, &Grant)> {
        let own = self.of.get(&uid).into_iter().flatten();
        own.filter(move |(_, kept)| !kept.grant.is_over(now))
            .map(|(id, kept)| (HEXLOWER.encode(id), &kept.grant))
    }

    /// Removes a token by its id; false if the user has none of it.
    pub fn remove(&mut self, uid: u32, text: &str, out: &mut Outputs) -> bool {
        let id = HEXLOWER.decode(text.as_bytes()).ok().and_then(|id| Id::try_from(id).ok());
        let Some(id) = id else {
            return false;
        };
        let removed = self.of.get_mut(&uid).and_then(|own| own.remove(&id)).is_some();
        if removed {
            out.remove(Table::Node, key(uid, id));
            self.of.retain(|_, own| !own.is_empty());
        }
        removed
    }

    fn drop_over(&mut self, uid: u32, now: Timestamp, out: &mut Outputs) {
        let Some(own) = self.of.get_mut(&uid) else {
            return;
        };
        own.retain(|id, kept| {
            let over = kept.grant.is_over(now);
            if over {
                out.remove(Table::Node, key(uid, *id));
            }
            !over
        });
    }
}

fn hash(text: &str) -> [u8; 32] {
    Sha256::new().chain_update(LABEL).chain_update(text.as_bytes()).finalize().into()
}

fn id(hash: &[u8; 32]) -> Id {
    let mut id = Id::default();
    id.copy_from_slice(&hash[..8]);
    id
}

fn key(uid: u32, id: Id) -> Vec<u8> {
    [ROW, &uid.to_be_bytes(), &id].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::Output;
    use crate::persist::Write;

    const ANN: u32 = 1_000;
    const BEN: u32 = 1_001;
    const NOW: Timestamp = Timestamp(1_000_000);

    fn grant(until: Option<Timestamp>) -> Grant {
        Grant {
            name: "bot".to_owned(),
            role: Some(Role::Read),
            accounts: None,
            methods: None,
            until,
            made: NOW,
        }
    }

    #[test]
    fn a_token_is_good_for_its_own_user_until_it_ends_or_is_removed() {
        let (mut tokens, mut out) = (Tokens::default(), Outputs::new([1; 32]));
        let text = tokens.create(ANN, grant(Some(NOW.plus_ms(10))), &mut out).unwrap();
        assert!(text.starts_with("bytchat-") && text.len() == 8 + 52, "{}", text.len());
        assert_eq!(tokens.grant(ANN, &text, NOW).unwrap().role, Some(Role::Read));
        let none = tokens.grant(ANN, "bytchat-no", NOW).unwrap_err();
        assert_eq!(tokens.grant(BEN, &text, NOW).unwrap_err(), none);
        assert_eq!(tokens.grant(ANN, &text, NOW.plus_ms(10)).unwrap_err(), none);
        assert_eq!(none.kind, ErrorKind::BadToken);
        let ids: Vec<String> = tokens.list(ANN, NOW).map(|(id, _)| id).collect();
        assert_eq!(ids, [id_of(&text)]);
        assert_eq!(tokens.list(ANN, NOW.plus_ms(10)).count(), 0);
        assert!(!tokens.remove(BEN, &ids[0], &mut out) && !tokens.remove(ANN, "x", &mut out));
        assert!(tokens.remove(ANN, &ids[0], &mut out));
        assert_eq!(tokens.grant(ANN, &text, NOW).unwrap_err(), none);
        assert!(!tokens.remove(ANN, &ids[0], &mut out));
    }

    #[test]
    fn what_lies_on_the_disk_gives_no_token_and_comes_back_after_a_start() {
        let (mut tokens, mut out) = (Tokens::default(), Outputs::new([1; 32]));
        let text = tokens.create(ANN, grant(None), &mut out).unwrap();
        let Some(Output::Persist(writes)) = out.poll() else { panic!("nothing is kept") };
        let [Write::Put { key, value, .. }] = writes.as_slice() else { panic!("{writes:?}") };
        let secret = text.strip_prefix(PREFIX).unwrap();
        let raw = BASE32_NOPAD.decode(secret.to_ascii_uppercase().as_bytes()).unwrap();
        for kept in [key, value] {
            for needle in [secret.as_bytes(), raw.as_slice()] {
                assert!(!kept.windows(needle.len()).any(|window| window == needle));
            }
        }
        let mut again = Tokens::default();
        assert!(again.restore(key, value));
        assert_eq!(again.grant(ANN, &text, NOW).unwrap(), &grant(None));
        assert!(!again.restore(b"next/x", value));
        let mut damaged = Tokens::default();
        assert!(damaged.restore(key, b"x") && damaged.grant(ANN, &text, NOW).is_err());
    }

    #[test]
    fn tokens_are_bounded_and_those_that_are_over_make_room() {
        let (mut tokens, mut out) = (Tokens::default(), Outputs::new([1; 32]));
        for _ in 0..TOKENS_PER_USER_MAX {
            tokens.create(ANN, grant(Some(NOW.plus_ms(1))), &mut out).unwrap();
        }
        let full = tokens.create(ANN, grant(None), &mut out).unwrap_err();
        assert_eq!(full.kind, ErrorKind::Quota);
        tokens.create(BEN, grant(None), &mut out).unwrap();
        let later = Grant { made: NOW.plus_ms(1), ..grant(None) };
        tokens.create(ANN, later, &mut out).unwrap();
        assert_eq!(tokens.list(ANN, NOW.plus_ms(1)).count(), 1);
    }
}
