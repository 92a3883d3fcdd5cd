//! Named positions in the logs: each Unix user has its own.

use std::collections::BTreeMap;

use bytchat_proto::codec::{decode, encode};
use bytchat_proto::limits::{CURSOR_NAME_BYTES_MAX, CURSORS_MAX, CURSORS_PER_USER_MAX};
use bytchat_proto::rpc::{ErrorKind, RpcError};
use bytchat_proto::timestamp::Timestamp;
use serde::{Deserialize, Serialize};

use crate::io::Outputs;
use crate::persist::Table;

/// One named position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// All events up to this number are done with.
    pub seq: u64,
    /// When it was set.
    pub at: Timestamp,
}

/// The named positions of all Unix users.
#[derive(Debug, Default)]
pub struct Cursors {
    saved: BTreeMap<u32, BTreeMap<String, Saved>>,
}

pub(super) const ROW: &[u8] = b"event/cursor/";

impl Cursors {
    pub(super) fn restore(&mut self, place: &[u8], value: &[u8]) -> Option<()> {
        let (uid, name) = place.split_first_chunk::<4>()?;
        let name = String::from_utf8(name.to_vec()).ok()?;
        let saved = decode(value).ok()?;
        self.saved.entry(u32::from_be_bytes(*uid)).or_default().insert(name, saved);
        Some(())
    }

    /// A user's position of a name.
    pub fn get(&self, uid: u32, name: &str) -> Option<Saved> {
        self.saved.get(&uid)?.get(name).copied()
    }

    /// A user's positions, by name.
    pub fn of(&self, uid: u32) -> impl Iterator<Item = (&str, Saved)> {
        self.saved.get(&uid).into_iter().flatten().map(|(name, saved)| (name.as_str(), *saved))
    }

    /// The lowest of a user's positions.
    pub(super) fn lowest(&self, uid: u32) -> Option<u64> {
        self.saved.get(&uid)?.values().map(|saved| saved.seq).min()
    }

    /// Whether a user may have a position of a name.
    pub(super) fn check(&self, uid: u32, name: &str) -> Result<(), RpcError> {
        // Those of narrowed sessions stand behind the name of what they were narrowed to.
        let good = match name.split_once('/') {
            Some((place, own)) => is_place(place) && is_name(own),
            None => is_name(name),
        };
        if !good {
            return Err(ErrorKind::BadParameters.because(format!(
                "`name` has 1 to {CURSOR_NAME_BYTES_MAX} letters, digits and `.`, `_`, `-`, `:`"
            )));
        }
        if self.get(uid, name).is_none() {
            self.check_room(uid)?;
        }
        Ok(())
    }

    pub(super) fn set(&mut self, uid: u32, name: &str, saved: Saved, out: &mut Outputs) {
        out.put(Table::Node, key(uid, name), encode(&saved));
        self.saved.entry(uid).or_default().insert(name.to_owned(), saved);
    }

    fn check_room(&self, uid: u32) -> Result<(), RpcError> {
        let own = self.saved.get(&uid).map_or(0, BTreeMap::len);
        let all: usize = self.saved.values().map(BTreeMap::len).sum();
        if own >= CURSORS_PER_USER_MAX {
            return Err(ErrorKind::Quota.because(format!(
                "you have {CURSORS_PER_USER_MAX} positions, which is the limit"
            )));
        }
        if all >= CURSORS_MAX {
            return Err(ErrorKind::Quota.because("this node has no room for another position"));
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, uid: u32, name: &str, out: &mut Outputs) -> bool {
        let removed = self.saved.get_mut(&uid).and_then(|own| own.remove(name)).is_some();
        if removed {
            out.remove(Table::Node, key(uid, name));
            self.saved.retain(|_, own| !own.is_empty());
        }
        removed
    }
}

/// Whether a front end may call a position so.
pub fn is_name(name: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || "._-:".contains(c);
    !name.is_empty() && name.len() <= CURSOR_NAME_BYTES_MAX && name.chars().all(good)
}

fn is_place(place: &str) -> bool {
    place.len() == 16 && place.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c))
}

fn key(uid: u32, name: &str) -> Vec<u8> {
    [ROW, &uid.to_be_bytes(), name.as_bytes()].concat()
}
